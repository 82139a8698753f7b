//! Raft (Ongaro and Ousterhout 2014; section numbers are those of Ongaro's dissertation), without
//! payloads: it orders identities, [`EntryId`]s, and never sees a command.
//!
//! **State** a ballot (term, vote), the [`Log`] as runs of terms, the commit index, a role with the
//! data that only this role has, what is on disk ([`durability`]), and what was told to the host.
//! **Inputs** [`Input`]. **Outputs** [`Output`], each told when it *became* true and told once.
//!
//! **Rules**, each in one place:
//!
//! | rule | where |
//! |---|---|
//! | a vote looks at log, term and the promise to a live leader, never at role or configuration | `election::on_vote` |
//! | a candidate counts itself, and asks, only when its ballot is on disk | `election::promote`, `tell` |
//! | entries are cut only where another leader's entry really differs, never at or below commit | `follower::on_append` |
//! | an acknowledgement names what matched *and* is on disk, and waits for the ballot | `follower::tell_ack` |
//! | a leader commits by counting only entries of its own term (3.6.2) | `replication::advance_commit` |
//! | a commit is told up to what is on this disk, and waits for the ballot | `settle` |
//! | a read waits for a round that began after it, and for an entry of this term (6.4) | `read` |
//! | or it is answered while nobody else can be elected (6.4.1) | `lease` |
//! | an idle group falls silent, and whoever hears anything wakes | `rest` |
//! | a configuration is appended after an entry of this term, and after every earlier one, is committed | `change` |
//! | a snapshot is installed by followers only, and only if the log contradicts it | `snapshot` |

mod change;
mod config;
pub mod configuration;
pub mod durability;
mod election;
mod follower;
mod input;
mod leadership;
mod lease;
mod log;
mod message;
mod output;
mod read;
mod replication;
mod rest;
mod snapshot;
mod transfer;

pub use config::{Config, ConfigError};
pub use configuration::{Change, Configuration, Unchangeable};
pub use durability::{Receipt, Write};
pub use input::Input;
pub use leadership::{Pace, Peer};
pub use log::{Configured, Log, Run};
pub use message::{Base, Message, Snapshot};
pub use output::Output;
pub use read::Read;
pub use snapshot::Incoming;

use crate::event::{Event, Ignored, SteppedDown, Stopped};
use crate::id::{EntryId, Index, Members, Slot, Term};
use crate::limits::{Limit, Limits};
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::rng::Rng;
use crate::time::{Instant, Now, Span};
use durability::Disk;
use follower::Following;
use leadership::Leadership;

/// What a member is, with the data that only this role has.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[repr(u8)] // Every step asks several times which it is: a byte of its own answers at once.
#[allow(clippy::large_enum_variant, reason = "on a board a leader's table is inline, by design")]
enum Role {
    Follower(Following),
    /// Asks whether it would be elected.
    Canvasser {
        granted: Members,
        asked: bool,
    },
    Candidate {
        granted: Members,
        asked: bool,
        /// The leader itself has asked it to campaign.
        asked_to: bool,
    },
    Leader(Leadership),
}

/// What the host has been told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Told {
    commit: Index,
    /// The term, and who leads in it: this member itself, if it does.
    leader: Option<(Term, Option<Slot>)>,
}

/// A member of a Raft group.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Raft {
    config: Config,
    rng: Rng,
    now: Instant,
    term: Term,
    vote: Option<Slot>,
    log: Log,
    commit: Index,
    role: Role,
    /// When a follower or candidate campaigns, or a leader next looks for its quorum. None before
    /// the first step.
    alarm: Option<Instant>,
    /// Until when this member has promised not to elect another leader.
    promised_until: Instant,
    /// Reigns of this member since the last commit: each doubles the next timeout.
    fruitless: u8,
    /// How many reads this member has named by a number of their own: as a follower, or by lease.
    reads: u64,
    disk: Disk,
    /// The durable snapshot at the floor.
    snapshot: Option<Snapshot>,
    incoming: Option<snapshot::Incoming>,
    told: Told,
    stopped: Option<Stopped>,
}

impl Raft {
    /// A member that has never lived before.
    ///
    /// # Errors
    /// [`ConfigError`] if the configuration contradicts itself.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Self::recover(config, None)
    }

    /// A member that has lived before: `base` has the newest snapshot that is durable on it. Fold what
    /// was written in with [`replay`](Raft::replay), in the order of writing, before the first
    /// step.
    ///
    /// # Errors
    /// [`ConfigError`] if the configuration contradicts itself.
    pub fn recover(mut config: Config, base: Option<Base>) -> Result<Self, ConfigError> {
        config.limits = config.limits.within();
        config.limits.runs = config.limits.runs.min(config.limits.entries / 2);
        if config.me.position() >= config.limits.members {
            return Err(ConfigError::NoSuchSlot);
        }
        if config.voters.iter().any(|slot| slot.position() >= config.limits.members) {
            return Err(ConfigError::TooManyVoters);
        }
        if config.heartbeat == Span::ZERO || config.heartbeat.times(2) > config.election_timeout {
            return Err(ConfigError::Timeouts);
        }
        let floor = base.map_or(EntryId::ZERO, |base| base.snapshot.boundary);
        let founded = Configuration::of(config.voters);
        let configuration = base.map_or(founded, |base| base.configuration);
        Ok(Self {
            rng: Rng::new(config.seed),
            now: Instant::ORIGIN,
            term: floor.term,
            vote: None,
            log: Log::new(floor, configuration),
            commit: floor.index,
            role: Role::Follower(Following::nobody()),
            alarm: None,
            promised_until: Instant::ORIGIN,
            fruitless: 0,
            reads: 0,
            disk: Disk::new(config.boot, floor.index),
            snapshot: base.map(|base| base.snapshot),
            incoming: None,
            told: Told { commit: floor.index, leader: None },
            stopped: None,
            config,
        })
    }

    /// The term this member is in.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.term
    }

    /// The leader of this term, as far as this member knows.
    #[must_use]
    pub const fn leader(&self) -> Option<Slot> {
        match &self.role {
            Role::Follower(following) => following.leader(),
            Role::Canvasser { .. } | Role::Candidate { .. } => None,
            Role::Leader(_) => Some(self.config.me),
        }
    }

    /// When this member last heard its leader; a leader, a quorum.
    #[must_use]
    pub fn last_heard(&self) -> Option<Instant> {
        match &self.role {
            Role::Leader(leading) => {
                Some(leading.quorum_heard(self.configuration(), self.config.me, self.now))
            }
            Role::Follower(following) => following.heard(),
            Role::Canvasser { .. } | Role::Candidate { .. } => None,
        }
    }

    /// Whether this member leads.
    #[must_use]
    pub const fn leads(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The role in one word: `leader`, `candidate`, `canvasser`, `follower` or `stopped`.
    #[must_use]
    pub const fn role(&self) -> &'static str {
        match &self.role {
            _ if self.stopped.is_some() => "stopped",
            Role::Follower(_) => "follower",
            Role::Canvasser { .. } => "canvasser",
            Role::Candidate { .. } => "candidate",
            Role::Leader(_) => "leader",
        }
    }

    /// Who has this member's vote in this term.
    #[must_use]
    pub const fn vote(&self) -> Option<Slot> {
        self.vote
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// Up to where this member knows entries to be committed, on its own disk or not.
    #[must_use]
    pub const fn commit(&self) -> Index {
        self.commit
    }

    /// Up to where entries are on this disk.
    #[must_use]
    pub const fn durable(&self) -> Index {
        self.disk.durable()
    }

    /// The configuration, with the limits that are in force.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Why this member has stopped for good, if it has.
    #[must_use]
    pub const fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    /// The protocol state without clock and chance, for exploration: the clock stands at its origin,
    /// the generator at its seed, every wait begins anew and every promise of silence has passed.
    ///
    /// Two members that come out equal take equal steps, as long as each is stepped only when its
    /// promise has passed, and ticked when it is to ring and not before.
    #[must_use]
    pub fn without_time(mut self) -> Self {
        self.rng = Rng::new(self.config.seed);
        (self.now, self.promised_until, self.fruitless) = (Instant::ORIGIN, Instant::ORIGIN, 0);
        self.alarm = self.alarm.map(|_| Instant::ORIGIN.after(self.config.election_timeout));
        match &mut self.role {
            Role::Leader(leading) => leading.without_time(Instant::ORIGIN, self.config.heartbeat),
            Role::Follower(following) => following.without_time(Instant::ORIGIN),
            Role::Canvasser { .. } | Role::Candidate { .. } => {}
        }
        self.disk.begin_at(Instant::ORIGIN);
        self
    }

    /// Who belongs to the group, as far as this member knows: the newest configuration of its log.
    #[must_use]
    pub const fn configuration(&self) -> &Configuration {
        &self.log.configured().configuration
    }

    /// Whom a leader sends its log to: everyone in a configuration that may still count. Who is being
    /// removed is told until that is committed.
    fn audience(&self) -> Members {
        let newest = self.log.configured();
        if newest.at <= self.commit {
            return newest.configuration.members().without(self.config.me);
        }
        let newest = self.log.configurations().rev();
        let mut may_count = true;
        let counted =
            newest.take_while(|it| core::mem::replace(&mut may_count, it.at > self.commit));
        let all = counted.fold(Members::NONE, |all, it| all.and(it.configuration.members()));
        all.without(self.config.me)
    }

    /// Stops for good: nothing more is promised, and nothing taken back.
    pub(crate) fn stop(&mut self, why: Stopped, mut event: impl FnMut(Event)) {
        self.stopped = Some(why);
        self.role = Role::Follower(Following::nobody());
        event(Event::Stopped { why });
    }

    /// Whether another entry than this one is known to be committed where it stands.
    fn rules_out(&self, entry: EntryId) -> bool {
        let is_other = |term| term != entry.term;
        entry.index <= self.commit && self.log.term_at(entry.index).is_some_and(is_other)
    }

    /// Takes note that everything up to `index` is committed.
    fn commit_to(&mut self, index: Index) {
        if index > self.commit {
            self.commit = index;
            self.fruitless = 0;
        }
    }
}

impl Machine for Raft {
    type Input<'a> = Input;
    type Output = Output;

    fn step<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Input,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, self.max_outputs())?;
        self.check(&input)?;
        self.wake(now, out);
        self.rouse(&input);
        match input {
            Input::Tick => self.tick(out),
            Input::Message { from, message } => {
                if let Some(reply) = self.receive(from, &message, out) {
                    out.push(Output::Send { to: Members::only(from), message: reply });
                }
            }
            Input::Propose { count } => self.log.append(self.term, u64::from(count)),
            Input::Read => self.read(out),
            Input::Persisted(receipt) => self.disk.confirm(receipt, self.now),
            Input::PersistFailed => self.stop(Stopped::WriteFailed, |event| out.event(event)),
            Input::Stored(snapshot) => self.stored(snapshot, out),
            Input::Discard => self.incoming = None,
            Input::Suspect(_) => {}
            Input::StepDown => self.step_down(SteppedDown::Asked, out),
            Input::Reconfigure(configuration) => self.reconfigure(configuration),
            Input::Transfer(to) => self.transfer(to),
        }
        self.settle(out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        match (&self.role, self.alarm) {
            _ if self.stopped.is_some() => None,
            (_, None) => Some(Instant::ORIGIN),
            _ if self.is_resting() => None,
            (Role::Leader(leading), Some(alarm)) => Some(alarm.min(leading.next_deadline())),
            (_, alarm) => alarm,
        }
    }

    fn max_outputs(&self) -> usize {
        // A ballot and two runs to write; one answer; twice one message to each member, and the
        // answer to its read; commit, role, read taken, reads confirmed or in vain, snapshot
        // received, two words about a transfer, one about rest.
        self.config.limits.members.saturating_mul(3).saturating_add(14)
    }
}

impl Raft {
    /// Refuses what a host may not ask now, before anything changes.
    pub(crate) fn check(&self, input: &Input) -> Result<(), Refused> {
        let not_leader = || Err(Refused::NotLeader { leader: self.leader() });
        if self.stopped.is_some() {
            return Err(Refused::Stopped);
        }
        match input {
            Input::Propose { .. }
            | Input::StepDown
            | Input::Reconfigure(_)
            | Input::Transfer(_)
                if !self.leads() =>
            {
                not_leader()
            }
            Input::Read if self.leader().is_none() => not_leader(),
            Input::Stored(base) if !base.is_coherent(self.term) => Err(Refused::Meaningless),
            Input::Transfer(to) => self.check_transfer(*to),
            Input::Reconfigure(configuration) => self.check_change(configuration),
            Input::Propose { count } => self.check_proposal(*count),
            _ => Ok(()),
        }
    }

    fn check_proposal(&self, count: u32) -> Result<(), Refused> {
        let last = self.log.last().index;
        if self.is_transferring() {
            Err(Refused::Transferring)
        } else if count == 0 {
            Err(Refused::Meaningless)
        } else if count as usize > self.config.limits.batch {
            Err(Refused::Full(Limit::Batch))
        } else if self.room_for(self.term, last, None).above(last) < u64::from(count) {
            Err(Refused::Full(Limit::Entries))
        } else {
            Ok(())
        }
    }

    /// Up to where entries of `term` may stand that follow the one at `before`.
    ///
    /// One entry stays free for each run that may still come, on every member alike: whoever has
    /// room for a run has room for its first entry. Else a member with a full log, which after a
    /// restart does not know what of it is committed, could neither campaign nor compact.
    fn room_for(&self, term: Term, before: Index, configuration: Option<&Configuration>) -> Index {
        let Limits { runs, entries, .. } = self.config.limits;
        if !self.has_room_for(before, term, configuration) {
            return before;
        }
        let to_come = runs.saturating_sub(self.log.runs_with(before, term));
        let end = self.log.floor().index.plus(entries.saturating_sub(to_come) as u64);
        end.min(message::LAST_POSITION).max(before)
    }

    /// Takes note of the time. A member that has slept through its own alarm accuses nobody.
    fn wake<X: Outbox<Output> + ?Sized>(&mut self, now: Now, out: &mut X) {
        if now.mono < self.now {
            self.clock_went_back(self.now);
        }
        self.now = self.now.max(now.mono);
        let timeout = self.config.election_timeout;
        match self.alarm {
            None => {
                // A former life may have heard a leader just before it ended.
                self.promised_until = self.now.after(timeout);
                self.set_alarm();
            }
            Some(_) if self.is_resting() => {}
            Some(alarm) if self.now.since(alarm) > timeout => {
                out.event(Event::Overslept { late: self.now.since(alarm) });
                self.set_alarm();
            }
            Some(_) => {}
        }
    }

    /// Sets the alarm anew, from now.
    fn set_alarm(&mut self) {
        let timeout = self.config.election_timeout;
        let wait = if self.leads() {
            timeout
        } else {
            let base = timeout.times(1 << self.fruitless.min(5));
            base.plus(Span::micros(self.rng.below(base.as_micros())))
        };
        self.alarm = Some(self.now.after(wait));
    }

    fn tick<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.is_resting() {
            return;
        }
        let rings = self.alarm.is_some_and(|alarm| self.now >= alarm);
        if self.may_rest() {
            return self.rest(out);
        }
        match &mut self.role {
            Role::Leader(leading) => {
                leading.beat(self.now, self.config.heartbeat);
                if rings {
                    self.look_for_quorum(out);
                }
                self.end_transfer(out);
            }
            _ if rings => self.canvass(out),
            _ => {}
        }
    }

    /// Takes a message in. What it returns is an answer that promises nothing and so waits for
    /// nothing: everything else is told by `settle`.
    fn receive<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        message: &Message,
        out: &mut X,
    ) -> Option<Message> {
        if let Err(why) = self.sense_of(from, message) {
            out.event(Event::Ignored { from, why });
            return None;
        }
        match *message {
            Message::PreVote { term, last } => Some(self.on_pre_vote(from, term, last)),
            Message::PreVoteReply { term, proposed, granted } => {
                self.on_pre_vote_reply(from, term, proposed, granted, out)
            }
            Message::Vote { term, last, asked_to } => self.on_vote(from, term, last, asked_to, out),
            Message::Campaign { term, last } => self.on_campaign(from, term, last, out),
            Message::VoteReply { term, granted } => self.on_vote_reply(from, term, granted, out),
            Message::Append { .. } | Message::Configure { .. } => {
                self.on_append(from, message, out)
            }
            Message::Matched { term, matched, round } => {
                self.on_matched(from, term, matched, round, out)
            }
            Message::Conflict { term, rejected, hint, round } => {
                self.on_conflict(from, (term, round), rejected, hint, out)
            }
            Message::Chunk { .. } => self.on_chunk(from, message, out),
            Message::Received { term, digest, received, round } => {
                self.on_received(from, (term, round), digest, received, out)
            }
            Message::ReadIndex { term, life, number } => {
                self.on_read_index(from, term, (life, number), out)
            }
            Message::ReadIndexReply { term, life, number, index } => {
                self.on_read_index_reply(from, term, (life, number), index, out)
            }
            Message::Rest { term, last } => self.on_rest(from, term, last, out),
            Message::Stale { term } => self.adopt(term, out),
        }
    }

    fn sense_of(&self, from: Slot, message: &Message) -> Result<(), Ignored> {
        if from == self.config.me || from.position() >= self.config.limits.members {
            Err(Ignored::Stranger)
        } else if message.term().epoch() != self.term.epoch() {
            Err(Ignored::WrongEpoch)
        } else if !message.is_coherent() {
            Err(Ignored::Malformed)
        } else {
            Ok(())
        }
    }

    /// Tells every level that has become true and was not told.
    fn settle<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.stopped.is_some() {
            return self.tell_role(out);
        }
        self.promote(out);
        if self.leads() {
            self.advance_commit();
            self.leave_joint();
        }
        while !self.is_written() {
            let Some((receipt, write)) = self.next_write() else { break };
            out.push(Output::Persist { receipt, write });
        }
        if self.leads() {
            self.tell_entries(out);
            self.tell_transfer(out);
            self.retire(out);
        } else {
            self.tell_ballots(out);
            self.tell_ack(out);
        }
        self.tell_role(out);
        if self.leads() {
            self.tell_reads(out);
        } else {
            self.ask_for_read(out);
        }
        // A host may store what it applies, and what a term has taught must not outlive the term.
        let committed = self.commit.min(self.disk.durable());
        if committed > self.told.commit && self.disk.has_ballot() {
            self.told.commit = committed;
            out.push(Output::Committed { index: committed });
        }
    }

    fn tell_role<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (term, leader) = (self.term, self.leader());
        if self.told.leader == Some((term, leader)) {
            return;
        }
        self.told.leader = Some((term, leader));
        out.push(match &self.role {
            Role::Leader(leading) => {
                Output::Leading { barrier: EntryId::new(term, leading.barrier()) }
            }
            _ => Output::Following { term, leader },
        });
    }
}
