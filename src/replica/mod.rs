//! A replica: Raft, the payloads it orders, and the state machine they are for.
//!
//! This is the payload floor. Data enters as a frame, is split here into a header that walks down
//! to Raft and entries that stay, and is bound to the identity that Raft gives it: an entry is put
//! in the window when, and only when, Raft hands its identity to the disk, in the same step. So a
//! host cannot bind bytes to the wrong place.
//!
//! **State** the [`Raft`] machine, a window of entries that spans exactly Raft's log, the clock, the
//! sessions, the roster, the state machine with the index applied, and at most two snapshots: the durable one
//! at the floor, and one that is being received or stored. **Rules**, each in one place:
//!
//! | rule | where |
//! |---|---|
//! | a follower takes no entry whose stamp is too early for its clock, unless it is committed | `Replica::admit` |
//! | entries are applied in order, once, when Raft says that they are committed | `Replica::apply` |
//! | a command takes effect once per session and number | `session` |
//! | a read is served when what was committed when its round ended is applied | `Replica::tell_reads` |
//! | who is to belong to the group is brought in, and who is not is let go | `members` |
//! | a snapshot is the state exactly at its boundary, sessions included | `snapshot` |
//!
//! The host encodes each output before the next step: [`Output::Persist`] with
//! [`Replica::entries`] (or [`Replica::image`] for a rebase), [`Output::Send`] with
//! [`Replica::entries_of`] and [`Replica::chunk_of`], [`Output::Store`] with
//! [`Replica::bytes_of`].

mod entry;
mod lift;
mod members;
mod session;
mod snapshot;
pub mod witness;

pub use entry::{Body, Entry, Request};
pub use session::Outcome;
pub use witness::Witness;

use crate::event::{Event, Ignored, Stopped};
use crate::hlc::{self, Clock, Stamp};
use crate::id::{ClientId, EntryId, Incarnation, Index, Members, Slot, Term};
use crate::limits::Limit;
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::membership::Address;
use crate::membership::roster::{self, Life, Roster};
use crate::quorum::Vote;
use crate::raft::{self, Raft, Read, Receipt, Write};
use crate::state_machine::{Position, StateMachine};
use crate::time::{Instant, Now, Span};
use entry::Window;
use lift::{Lift, Source};
use session::Sessions;
use snapshot::Held;

/// How a replica is set up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// The member of the Raft group. [`Limits::sessions`](crate::limits::Limits::sessions) must be
    /// one value for the whole group, for as long as it lives: which session makes room for another
    /// is part of the replicated state.
    pub raft: raft::Config,
    /// The clock. The log holds every stamp, so it needs no reserve.
    pub clock: hlc::Config,
    /// What the group should look like, as far as its [roster] goes. A group
    /// that admits nobody has an empty one, and then its host alone changes the configuration.
    pub roster: roster::Config,
}

/// What travels between replicas, beside entries and snapshot bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Header {
    /// Raft's message.
    pub message: raft::Message,
    /// The sender does not take the receiver's newest entries yet: their stamps are too early.
    pub early: bool,
    /// The entries that it speaks of do not travel with it: the receivers are witnesses.
    pub bare: bool,
}

/// What a host tells a replica.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input<'a, C> {
    /// The deadline has passed (early and late ticks do no harm).
    Tick,
    /// A message came in. The host vouches for the sender.
    Message {
        /// Who sent it.
        from: Slot,
        /// What it says.
        header: Header,
        /// The entries that travelled with it.
        entries: &'a [Entry<C>],
        /// The part of a snapshot that travelled with it.
        chunk: &'a [u8],
    },
    /// Clients' requests, together: refused, all of them, unless this member leads.
    Submit {
        /// The requests.
        requests: &'a [Request<C>],
    },
    /// Find out when a read of the state is linearizable: refused unless this member leads or knows who
    /// does.
    Read,
    /// The write of this receipt, and every write before it, are durable.
    Persisted(Receipt),
    /// A write failed. The replica stops for good.
    PersistFailed,
    /// The snapshot of [`Output::Store`] is durable.
    Stored(raft::Snapshot),
    /// The host doubts that this member lives: it wakes whoever rests in that one's service.
    Suspect(Slot),
    /// Stop leading: refused unless this member leads.
    StepDown,
    /// Hand leadership over to this member: refused unless this member leads and that one can.
    Transfer(Slot),
    /// Give this life of a node a seat, and bring it into the group: refused unless this member leads and
    /// it makes sense. Asked again it does no harm, and tells where the node is reached now. Once the
    /// entry of [`Output::Submitted`] is applied, [`Replica::roster`] says where it sits; if nowhere,
    /// somebody else was faster: ask again.
    Admit {
        /// Whom.
        life: Life,
        /// Where it is reached.
        address: Address,
        /// The slot that it has in the configuration, if it founded the group and has no seat yet.
        founder: Option<Slot>,
        /// The incarnation of the same node that it replaces.
        replaces: Option<Incarnation>,
    },
    /// Let this life of a node leave the group: refused unless this member leads and it makes sense. It
    /// has left when [`raft::Configuration::members`] without it is committed.
    Dismiss(Life),
    /// Change the configuration to this one, in one of the steps that [`raft::Configuration`] has:
    /// refused unless this member leads and earlier changes are committed.
    Reconfigure(raft::Configuration),
}

/// What a host must do. All of it in any order, once encoded, except that writes keep their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// Make durable, with its entries, then echo the receipt.
    Persist {
        /// What to echo.
        receipt: Receipt,
        /// What to write.
        write: Write,
    },
    /// Send to each of these members, with its entries or chunk; losing it does no harm.
    Send {
        /// The receivers.
        to: Members,
        /// What to send.
        header: Header,
    },
    /// Make a snapshot's bytes durable, then say [`Input::Stored`].
    Store {
        /// The snapshot.
        snapshot: raft::Snapshot,
    },
    /// The requests of this step stand in the log from here on; each is answered by
    /// [`Output::Applied`] or, without an answer, by [`Output::Following`].
    Submitted {
        /// The first of them.
        first: EntryId,
        /// How many they are.
        count: u32,
    },
    /// Everything up to here is applied: ask [`Replica::outcome`].
    Applied {
        /// The last of them.
        index: Index,
    },
    /// This member leads.
    Leading,
    /// This member does not lead. Requests and reads that it took and did not answer may or may
    /// not come to pass: their clients ask the leader, in the same session.
    Following {
        /// The leader, once it is known.
        leader: Option<Slot>,
    },
    /// Leadership was not handed over in time, and this member takes requests again.
    NotTransferred {
        /// Who should have taken it.
        to: Slot,
    },
    /// A read was taken; [`Output::Readable`], [`Output::Unreadable`] or [`Output::Following`] ends it.
    Reading {
        /// Its name.
        read: Read,
    },
    /// For an election timeout the leader has not answered, or what its answer asks for has not come: no
    /// read up to and with this one that was not told to be readable will be. Ask elsewhere.
    Unreadable {
        /// The newest of them.
        read: Read,
    },
    /// Every read up to and with this one may be served now, from [`Replica::state`].
    Readable {
        /// The newest of them.
        read: Read,
    },
}

/// How old a read may be that waits for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Staleness {
    /// The newest entry that it sees, with the leader's time when it was made.
    pub as_of: Position,
    /// How many entries are known to be committed that it does not see.
    pub behind: u64,
    /// How long ago this member last heard a leader say what is committed; for a leader, a quorum
    /// answer it. What was committed since then, and while that word was on its way, is not known here.
    /// None before anybody was heard.
    pub unheard: Option<Span>,
}

/// Why a replica cannot go on from what is on its disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum RecoverError {
    /// The configuration contradicts itself.
    Config(raft::ConfigError),
    /// The snapshot's bytes are not what its name says, or describe no state that the limits
    /// permit.
    Snapshot,
    /// The log goes on from a snapshot that is not here.
    SnapshotMissing {
        /// The last entry that it covers.
        boundary: EntryId,
    },
    /// A write of the log comes without its entries, or holds more than the limits permit.
    Entries,
}

impl core::fmt::Display for RecoverError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Snapshot => {
                f.write_str("the snapshot is damaged, of another version or beyond the limits")
            }
            Self::SnapshotMissing { boundary } => {
                write!(f, "the log goes on from a snapshot of {boundary} that is missing")
            }
            Self::Entries => {
                f.write_str("the log's entries do not fit their writes, or the limits")
            }
        }
    }
}

impl core::error::Error for RecoverError {}

/// A replica of a state machine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Replica<S: StateMachine> {
    raft: Raft,
    window: Window<S::Command>,
    clock: Clock,
    sessions: Sessions<S::Response>,
    state: S,
    applied: Position,
    /// Who sits in which slot, and who should.
    roster: Roster,
    planned: roster::Config,
    /// Until when leadership is not handed over again because this member is to leave.
    keeps_until: Instant,
    /// The latest time that this replica was told.
    now: Instant,
    levels: Levels,
    /// The durable snapshot at the floor, to be sent to who needs it.
    held: Option<Held>,
    /// A snapshot that is being received or stored.
    next: Option<Held>,
    /// Members that do not take this leader's stamps yet.
    early: Members,
    /// A session was forgotten in the very step that applied a command of it.
    forgetful: bool,
    /// The last entry of this reign that nobody asked for.
    own_in: Index,
    /// When the state machine next has something due, and until when it is not tried again.
    due_at: Option<Instant>,
    due_pause: Instant,
}

/// What Raft has said in its steps, as far as this floor acts on it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Levels {
    committed: Index,
    /// Reads that may be served once the index is applied; and those confirmed since.
    serving: Option<(Read, Index)>,
    confirmed: Option<(Read, Index)>,
    /// The leader, by its term, whose newest entries this member does not take yet.
    early: Option<Term>,
}

impl<S: StateMachine> Replica<S> {
    /// A replica that has never lived before, of a state machine in its first state.
    ///
    /// # Errors
    /// [`RecoverError::Config`].
    pub fn new(config: Config, state: S) -> Result<Self, RecoverError> {
        Self::recover(config, state, None)
    }

    /// A replica that has lived before: with the newest durable snapshot, if there is one. Fold in
    /// what was written with [`replay`](Replica::replay) before the first step.
    ///
    /// # Errors
    /// [`RecoverError`], and there is no replica.
    pub fn recover(
        config: Config,
        state: S,
        snapshot: Option<(raft::Snapshot, &[u8])>,
    ) -> Result<Self, RecoverError> {
        let held = match snapshot {
            Some((snapshot, bytes)) => {
                Some(Held::from_bytes(snapshot, bytes).ok_or(RecoverError::Snapshot)?)
            }
            None => None,
        };
        let base = held.as_ref().map(Held::base).transpose().map_err(|_| RecoverError::Snapshot)?;
        let raft = Raft::recover(config.raft, base).map_err(RecoverError::Config)?;
        let applied = Position { entry: EntryId::ZERO, stamp: Stamp::ZERO };
        let mut replica = Self {
            window: Window::new(raft.log().floor().index),
            clock: Clock::new(config.clock),
            sessions: Sessions::new(),
            state,
            applied,
            roster: Roster::new(),
            planned: config.roster,
            keeps_until: Instant::ORIGIN,
            now: Instant::ORIGIN,
            levels: Levels::default(),
            held: None,
            next: None,
            early: Members::NONE,
            forgetful: false,
            own_in: Index::ZERO,
            due_at: None,
            due_pause: Instant::ORIGIN,
            raft,
        };
        if let Some(held) = held {
            replica.restore(&held).map_err(|_| RecoverError::Snapshot)?;
            replica.held = Some(held);
        }
        Ok(replica)
    }

    /// Folds a write of a former life back in, with its entries, in the order of writing.
    ///
    /// # Errors
    /// [`RecoverError`]; the replica must not be used.
    pub fn replay(
        &mut self,
        write: &Write,
        entries: &[Entry<S::Command>],
    ) -> Result<(), RecoverError> {
        self.raft.replay(write);
        if self.raft.stopped().is_some() {
            return Err(RecoverError::Entries);
        }
        match *write {
            Write::Ballot { .. } => {}
            Write::Rebase { base, .. } => {
                let boundary = base.snapshot.boundary;
                if boundary.index > self.applied.entry.index {
                    return Err(RecoverError::SnapshotMissing { boundary });
                }
                self.window = Window::new(self.raft.log().floor().index);
            }
            Write::Append { term, first, last } => {
                self.replay_entries(term, first, last, entries)?;
            }
            Write::Configure { entry: EntryId { term, index }, .. } => {
                self.replay_entries(term, index, index, entries)?;
            }
        }
        let is_too_long = self.window.len() > self.raft.config().limits.entries;
        if is_too_long || self.window.last() != self.raft.log().last().index {
            return Err(RecoverError::Entries);
        }
        Ok(())
    }

    fn replay_entries(
        &mut self,
        term: Term,
        first: Index,
        last: Index,
        entries: &[Entry<S::Command>],
    ) -> Result<(), RecoverError> {
        if entries.len() as u64 != last.above(first.previous()) {
            return Err(RecoverError::Entries);
        }
        self.window.cut(first);
        let mut index = first.previous();
        for entry in entries {
            index = index.next();
            let is_next = index == self.window.last().next();
            if is_next && self.raft.log().term_at(index) == Some(term) {
                self.clock.raise(entry.stamp);
                let weight = entry.weight(S::weight);
                self.window.push(entry.clone(), weight).map_err(|_| RecoverError::Entries)?;
            }
        }
        Ok(())
    }

    /// The state, as of [`applied`](Replica::applied).
    #[must_use]
    pub const fn state(&self) -> &S {
        &self.state
    }

    /// The last entry applied.
    #[must_use]
    pub const fn applied(&self) -> Position {
        self.applied
    }

    /// How old a read of [`state`](Self::state) is that waits for nothing: neither for a leader nor for
    /// what is still to be applied.
    #[must_use]
    pub fn staleness(&self, now: Now) -> Staleness {
        let now = self.now.max(now.mono);
        let behind = self.raft.commit().above(self.applied.entry.index);
        Staleness {
            as_of: self.applied,
            behind,
            unheard: self.raft.last_heard().map(|at| now.since(at)),
        }
    }

    /// Who sits in which slot, as of [`applied`](Self::applied).
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The same as of the end of the log, committed or not. Like the configuration it counts, for who may
    /// speak for a slot, from where it stands there.
    #[must_use]
    pub fn roster_of_log(&self) -> Roster {
        let mut roster = self.roster.clone();
        let mut index = self.applied.entry.index;
        for entry in self.window.range(index.next(), self.window.last()) {
            index = index.next();
            if let Body::Roster(command) = &entry.body {
                roster.apply(index, command);
            }
        }
        roster
    }

    /// What the group should look like.
    #[must_use]
    pub const fn roster_config(&self) -> &roster::Config {
        &self.planned
    }

    /// The Raft machine below.
    #[must_use]
    pub const fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What became of a request: to be asked after the step that applied its entry, before the
    /// next, for sessions are forgotten. The number of a request to open a session is zero.
    #[must_use]
    pub fn outcome(&self, client: ClientId, sequence: u64) -> Outcome<'_, S::Response> {
        match self.sessions.outcome(client, sequence) {
            // It may have taken effect just before the session was forgotten.
            Outcome::NoSession if self.forgetful && sequence > 0 => Outcome::Superseded,
            outcome => outcome,
        }
    }

    /// The entries from `first` to `last`, as far as they are above the floor.
    pub fn entries(
        &self,
        first: Index,
        last: Index,
    ) -> impl Iterator<Item = &Entry<S::Command>> + Clone {
        self.window.range(first, last)
    }

    /// The entries that travel with a message.
    pub fn entries_of(&self, header: &Header) -> impl Iterator<Item = &Entry<S::Command>> + Clone {
        let (first, last) = match header.message {
            _ if header.bare => (Index::new(1), Index::ZERO),
            raft::Message::Append { prev, count, .. } => {
                (prev.index.next(), prev.index.plus(u64::from(count)))
            }
            raft::Message::Configure { prev, .. } => (prev.index.next(), prev.index.next()),
            _ => (Index::new(1), Index::ZERO),
        };
        self.window.range(first, last)
    }

    /// All that must be on disk for this replica beside its snapshot: what a rebase stands for.
    pub fn image(&self) -> impl Iterator<Item = Write> {
        self.raft.image()
    }
}

impl<S: StateMachine> Machine for Replica<S> {
    type Input<'a> = Input<'a, S::Command>;
    type Output = Output;

    fn step<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Input<'_, S::Command>,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, self.max_outputs())?;
        if self.raft.stopped().is_some() {
            return Err(Refused::Stopped);
        }
        match input {
            Input::Tick => self.tick(now, out)?,
            Input::Message { from, header, entries, chunk } => {
                self.receive(now, from, header, (entries, chunk), out)?;
            }
            Input::Submit { requests } => self.submit(now, requests, out)?,
            Input::Read => self.below(now, raft::Input::Read, Source::Nothing, out)?,
            Input::Persisted(receipt) => {
                self.below(now, raft::Input::Persisted(receipt), Source::Nothing, out)?;
            }
            Input::PersistFailed => {
                self.below(now, raft::Input::PersistFailed, Source::Nothing, out)?;
            }
            Input::Stored(snapshot) => self.stored(now, snapshot, out)?,
            Input::Suspect(slot) => {
                self.below(now, raft::Input::Suspect(slot), Source::Nothing, out)?;
            }
            Input::StepDown => self.below(now, raft::Input::StepDown, Source::Nothing, out)?,
            Input::Transfer(to) => {
                self.below(now, raft::Input::Transfer(to), Source::Nothing, out)?;
            }
            Input::Admit { life, address, founder, replaces } => {
                self.give_seat(now, (life, address), founder, replaces, out)?;
            }
            Input::Dismiss(life) => self.enter(now, roster::Command::Dismiss(life), out)?,
            Input::Reconfigure(to) => {
                self.below(now, raft::Input::Reconfigure(to), Source::Nothing, out)?;
            }
        }
        let now = self.forward(now);
        self.now = now.mono;
        self.settle(now, out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let due_at = self.due_at.filter(|_| self.raft.stopped().is_none());
        self.raft.deadline().into_iter().chain(due_at).min()
    }

    fn max_outputs(&self) -> usize {
        // Raft steps for the input, and again for what follows from it: a step of the plan for the roster or
        // a command that is due, a leader that steps down, a damaged snapshot. Then: submitted; stored, applied and readable,
        // each for two causes at most.
        self.raft.max_outputs().saturating_mul(3).saturating_add(7)
    }
}

impl<S: StateMachine> Replica<S> {
    /// Time as this floor takes it: it stands still where a host's clock goes back. Raft is told of
    /// that, for what it has timed.
    fn forward(&self, now: Now) -> Now {
        Now { mono: now.mono.max(self.now), wall: now.wall }
    }

    /// Takes a step of the Raft machine below, and brings the window in line with its log.
    fn below<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: raft::Input,
        source: Source<'_, S::Command>,
        out: &mut X,
    ) -> Result<(), Refused> {
        let forward = self.forward(now);
        if now.mono < forward.mono {
            self.raft.check(&input)?;
            self.raft.clock_went_back(forward.mono);
        }
        let mut witnesses = self.raft.configuration().witnesses();
        if let raft::Input::Reconfigure(next) = &input {
            witnesses = witnesses.and(next.witnesses());
        }
        let mut lift = Lift {
            window: &mut self.window,
            clock: &mut self.clock,
            levels: &mut self.levels,
            source,
            weigh: S::weight,
            witnesses,
            now: forward,
            out,
        };
        self.raft.step(forward, input, &mut lift)?;
        self.window.span(self.raft.log().floor().index, self.raft.log().last().index);
        Ok(())
    }

    fn tick<X: Outbox<Output> + ?Sized>(&mut self, now: Now, out: &mut X) -> Result<(), Refused> {
        self.below(now, raft::Input::Tick, Source::Nothing, out)?;
        let now = self.forward(now);
        let has_changed = self.tend(now, out)?;
        let is_due = self.next_due(now).is_some_and(|at| at <= now.mono);
        let Some((_, command)) = self.state.due().filter(|_| is_due) else { return Ok(()) };
        // If it cannot be proposed now, it is tried again a heartbeat later.
        self.due_pause = now.mono.after(self.raft.config().heartbeat);
        if has_changed { Ok(()) } else { self.propose(now, Body::Due(command), out) }
    }

    /// Proposes what nobody has asked for, if that can be done now.
    fn propose<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        body: Body<S::Command>,
        out: &mut X,
    ) -> Result<(), Refused> {
        let propose = raft::Input::Propose { count: 1 };
        if self.raft.check(&propose).is_ok() && self.clock.stamps(now, 1).is_ok() {
            let stamp = self.clock.last();
            self.below(now, propose, Source::Own(stamp, body), out)?;
            self.own_in = self.raft.log().last().index;
        }
        Ok(())
    }

    fn submit<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        requests: &[Request<S::Command>],
        out: &mut X,
    ) -> Result<(), Refused> {
        let count = u32::try_from(requests.len()).map_err(|_| Refused::Full(Limit::Batch))?;
        let propose = raft::Input::Propose { count };
        self.raft.check(&propose)?;
        self.check_weight(requests)?;
        let stamps = self.clock.stamps(self.forward(now), u64::from(count));
        let stamp = stamps.map_err(Refused::Clock)?;
        let index = self.raft.log().last().index.next();
        self.below(now, propose, Source::Requests(stamp, index, requests), out)?;
        let first = EntryId::new(self.raft.term(), index);
        out.push(Output::Submitted { first, count });
        Ok(())
    }

    /// Refuses requests that are too heavy for a message, or for what is not committed yet to hold as
    /// well. If everything is committed, any batch is taken, or one that is too heavy never were.
    fn check_weight(&self, requests: &[Request<S::Command>]) -> Result<(), Refused> {
        let limits = &self.raft.config().limits;
        let mut all = 0_u64;
        for request in requests {
            let Request::Command { command, .. } = request else { continue };
            let weight = S::weight(command);
            if weight > u64::from(limits.batch_bytes) {
                return Err(Refused::Full(Limit::BatchBytes));
            }
            all = all.saturating_add(weight);
        }
        let (committed, last) = (self.raft.commit(), self.raft.log().last().index);
        let waiting = self.window.weight(committed.next(), last);
        if waiting > 0 && waiting.saturating_add(all) > u64::from(limits.uncommitted_bytes) {
            return Err(Refused::Full(Limit::UncommittedBytes));
        }
        Ok(())
    }

    fn receive<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        from: Slot,
        mut header: Header,
        (entries, chunk): (&[Entry<S::Command>], &[u8]),
        out: &mut X,
    ) -> Result<(), Refused> {
        let mut source = Source::Nothing;
        match &mut header.message {
            // What an old leader says is for Raft alone to answer.
            raft::Message::Append { term, prev, count, commit, .. }
                if *term >= self.raft.term() =>
            {
                if *count as usize != entries.len() {
                    out.event(Event::Ignored { from, why: Ignored::Malformed });
                    return Ok(());
                }
                source = Source::Entries(prev.index.next(), entries);
                *count = self.admit(self.forward(now), *term, *prev, *commit, entries, out);
            }
            &mut raft::Message::Configure { term, prev, committed, .. }
                if term >= self.raft.term() =>
            {
                if entries.len() != 1 {
                    out.event(Event::Ignored { from, why: Ignored::Malformed });
                    return Ok(());
                }
                source = Source::Entries(prev.index.next(), entries);
                let commit = if committed { prev.index.next() } else { Index::ZERO };
                if self.admit(self.forward(now), term, prev, commit, entries, out) == 0 {
                    let (entries, count, commit, round) = (prev.term, 0, Index::ZERO, 0);
                    header.message =
                        raft::Message::Append { term, prev, entries, count, commit, round };
                }
            }
            raft::Message::Chunk { length, .. } if *length as usize != chunk.len() => {
                out.event(Event::Ignored { from, why: Ignored::Malformed });
                return Ok(());
            }
            raft::Message::Matched { term, .. } | raft::Message::Conflict { term, .. }
                if *term == self.raft.term() =>
            {
                let others = self.early.without(from);
                self.early = if header.early { others.with(from) } else { others };
            }
            _ => {}
        }
        let before = self.raft.incoming();
        self.below(now, raft::Input::Message { from, message: header.message }, source, out)?;
        self.stage(now, before, chunk, out)
    }

    /// How many of a leader's entries may be taken in: those that fit, and whose stamps this clock
    /// agrees with. What is committed is beyond dispute.
    fn admit<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        term: Term,
        prev: EntryId,
        commit: Index,
        entries: &[Entry<S::Command>],
        out: &mut X,
    ) -> u32 {
        let most = self.raft.config().limits.entries as u64;
        let end = self.raft.log().floor().index.plus(most);
        let mut last_stamp = self.window.get(prev.index).map_or(Stamp::ZERO, |entry| entry.stamp);
        let mut index = prev.index;
        let mut admitted = 0_u32;
        if !entries.is_empty() {
            self.levels.early = None;
        }
        for entry in entries {
            index = index.next();
            if index > end || entry.stamp <= last_stamp {
                break;
            }
            if index > commit && self.clock.check(now, entry.stamp).is_err() {
                out.event(Event::StampTooEarly { index });
                self.levels.early = Some(term);
                break;
            }
            last_stamp = entry.stamp;
            admitted = admitted.saturating_add(1);
        }
        admitted
    }

    /// Acts on every level that Raft has raised, and tells what became true.
    fn settle<X: Outbox<Output> + ?Sized>(&mut self, now: Now, out: &mut X) {
        self.apply(out);
        if self.raft.stopped().is_some() {
            return;
        }
        self.defer_to_clocks(now, out);
        self.take_snapshot(out);
        self.tell_reads(out);
        self.due_at = self.next_due(now);
    }

    /// Stops for good; who waits for a request or a read hears at least that. (If Raft stops by
    /// itself, it says so by itself.)
    fn stop<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        self.raft.stop(Stopped::Corrupt, |event| out.event(event));
        out.push(Output::Following { leader: None });
    }

    /// Applies what is committed, in order, once.
    fn apply<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let before = self.applied.entry.index;
        if before >= self.levels.committed {
            return;
        }
        self.forgetful = false;
        let most = self.raft.config().limits.sessions;
        while self.applied.entry.index < self.levels.committed && self.raft.stopped().is_none() {
            let index = self.applied.entry.index.next();
            let found = (self.raft.log().term_at(index), self.window.get(index));
            let (Some(term), Some(entry)) = found else {
                self.stop(out);
                break;
            };
            let at = Position { entry: EntryId::new(term, index), stamp: entry.stamp };
            match &entry.body {
                Body::Barrier => self.state.leader_changed(at),
                Body::Change => {}
                Body::Roster(command) => {
                    if self.roster.apply(index, command) {
                        out.event(Event::RosterChanged { at: index });
                    }
                }
                Body::Due(command) => {
                    self.state.apply(at, command);
                }
                Body::Request(Request::Open { client }) => {
                    if let Some((client, used)) = self.sessions.open(*client, index, most) {
                        self.forgetful |= used > before;
                        out.event(Event::SessionEvicted { client });
                    }
                }
                Body::Request(Request::Command { client, sequence, command }) => {
                    if let Some(session) = self.sessions.expecting(*client, *sequence) {
                        session.answer(*sequence, self.state.apply(at, command), index);
                    }
                }
            }
            self.applied = at;
        }
        if self.applied.entry.index > before {
            out.push(Output::Applied { index: self.applied.entry.index });
        }
    }

    /// A leader whose stamps a quorum does not take has a clock that is wrong: it makes way.
    fn defer_to_clocks<X: Outbox<Output> + ?Sized>(&mut self, now: Now, out: &mut X) {
        if !self.raft.leads() {
            (self.early, self.own_in) = (Members::NONE, Index::ZERO);
            return;
        }
        if self.early.is_empty() {
            return;
        }
        let takes_them = |slot| Some(!self.early.contains(slot));
        if self.raft.configuration().vote(takes_them) == Vote::Lost {
            self.early = Members::NONE;
            // It leads, so it is not refused.
            let _ = self.below(now, raft::Input::StepDown, Source::Nothing, out);
        }
    }

    fn tell_reads<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let levels = &mut self.levels;
        if levels.serving.is_none() && levels.confirmed.is_none() {
            return;
        }
        for _ in 0..2 {
            if levels.serving.is_none() {
                levels.serving = levels.confirmed.take();
            }
            let applied = self.applied.entry.index;
            if let Some((read, _)) = levels.serving.take_if(|(_, index)| *index <= applied) {
                out.push(Output::Readable { read });
            }
        }
    }

    /// When the state machine next has something due, if this member leads and has not proposed it.
    fn next_due(&self, now: Now) -> Option<Instant> {
        if !self.raft.leads() || self.applied.entry.index < self.own_in {
            return None;
        }
        let (stamp, _) = self.state.due()?;
        // Without a stamp it cannot be proposed: the next heartbeat asks again.
        let here = self.clock.clone().stamp(now).ok()?;
        let wait = if stamp < here { Span::ZERO } else { stamp.since(here).plus(Span::millis(1)) };
        Some(now.mono.after(wait).max(self.due_pause))
    }
}
