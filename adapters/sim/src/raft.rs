//! Raft alone as a subject: identities without payloads.

use crate::cluster::{Cluster, Disk, Effect, Stimulus, Subject};
use quorate::id::{EntryId, Index, Members, Slot, Term};
use quorate::limits::Limits;
use quorate::raft::{
    Base, Config, Configuration, Input, Message, Output, Raft, Receipt, Snapshot, Write,
};
use quorate::time::{Instant, Now, Span};
use quorate::{Event, Machine, Refused};
use std::fmt::{self, Display};

/// How the members of a group are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The members that vote.
    pub voters: Members,
    /// The entry that gave those who do not vote at first their slots.
    pub since: Index,
    /// The least time without a leader after which a member campaigns.
    pub election_timeout: Span,
    /// How often a leader is heard.
    pub heartbeat: Span,
    /// How far clocks drift apart, in parts of a million, if they are trusted.
    pub clock_drift: Option<u32>,
    /// How many entries a new voter may lack.
    pub promotion_lag: Option<u32>,
    /// Whether an idle group falls silent.
    pub rests: bool,
    /// Bounds.
    pub limits: Limits,
    /// Seeds the members' generators.
    pub seed: u64,
}

impl Setup {
    /// A group of `count` voters with the timeouts of a local network, at board size.
    pub fn of(count: u8) -> Self {
        Self {
            voters: Members::first(usize::from(count)),
            since: Index::ZERO,
            election_timeout: Span::millis(150),
            heartbeat: Span::millis(30),
            clock_drift: None,
            promotion_lag: None,
            rests: false,
            limits: quorate::limits::BOARD,
            seed: 1,
        }
    }

    /// One member's configuration.
    pub fn config(&self, me: Slot, life: u64) -> Config {
        Config {
            me,
            voters: self.voters,
            since: if self.voters.contains(me) { Index::ZERO } else { self.since },
            boot: life,
            seed: self.seed ^ (u64::from(me.number()) << 32) ^ life,
            election_timeout: self.election_timeout,
            heartbeat: self.heartbeat,
            clock_drift: self.clock_drift,
            promotion_lag: self.promotion_lag,
            rests: self.rests,
            limits: self.limits,
        }
    }
}

/// A message that can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet(pub Message);

/// One write, or the image that a rebase stands for.
#[derive(Clone, Debug)]
pub struct Record(pub Vec<Write>);

impl Subject for Raft {
    type Setup = Setup;
    type Ask = Input;
    type Packet = Packet;
    type Record = Record;
    type Receipt = Receipt;
    type Told = Output;

    fn boot(setup: &Setup, me: Slot, life: u64, disk: &Disk<Self>) -> Self {
        let configuration = Configuration::of(setup.voters);
        let base =
            disk.snapshot.as_ref().map(|(snapshot, _)| Base { snapshot: *snapshot, configuration });
        let mut raft = Self::recover(setup.config(me, life), base).expect("a sound setup");
        disk.records.iter().flat_map(|record| &record.0).for_each(|write| raft.replay(write));
        raft
    }

    fn step(
        &mut self,
        now: Now,
        input: Stimulus<Self>,
        effects: &mut Vec<Effect<Self>>,
    ) -> Result<(), Refused> {
        let input = match input {
            Stimulus::Tick => Input::Tick,
            Stimulus::Packet(from, Packet(message)) => Input::Message { from, message },
            Stimulus::Persisted(receipt) => Input::Persisted(receipt),
            Stimulus::PersistFailed => Input::PersistFailed,
            Stimulus::Stored(snapshot) => {
                // Who tells stories of snapshots here does not change the configuration.
                let configuration = *self.log().configuration_at(snapshot.boundary.index);
                Input::Stored(Base { snapshot, configuration })
            }
            Stimulus::Ask(input) => input,
        };
        let outputs = step_vec(self, now, input)?;
        effects.extend(outputs.into_iter().map(|output| match output {
            Output::Persist { receipt, write } => {
                let rebase = matches!(write, Write::Rebase { .. });
                let record = Record(if rebase { self.image().collect() } else { vec![write] });
                Effect::Persist { receipt, record, rebase }
            }
            Output::Send { to, message } => Effect::Send(to, Packet(message)),
            Output::SnapshotReceived { snapshot } => Effect::Store(snapshot, Vec::new()),
            told => Effect::Tell(told),
        }));
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        Machine::deadline(self)
    }

    fn in_words(told: &Output) -> String {
        match told {
            Output::Committed { index } => format!("has all up to {index} committed"),
            Output::Leading { barrier } => format!("leads from {barrier} on"),
            Output::Following { term, leader: Some(leader) } => {
                format!("follows n{leader}, t{term}")
            }
            Output::Following { term, leader: None } => format!("follows nobody, t{term}"),
            Output::Reading { read } => format!("takes read {}@{}", read.round, read.term),
            Output::Readable { read, index } => {
                format!("may serve read {}@{} from {index} on", read.round, read.term)
            }
            told => format!("says {told:?}"),
        }
    }
}

/// One step with its outputs in a `Vec`, whatever the backend.
///
/// # Errors
/// [`Refused`], and nothing has happened.
pub fn step_vec<M: Machine>(
    machine: &mut M,
    now: Now,
    input: M::Input<'_>,
) -> Result<Vec<M::Output>, Refused> {
    let mut out = Outputs::with_room(machine.max_outputs());
    machine.step(now, input, &mut out)?;
    Ok(out.outputs)
}

/// An outbox with exactly the room that a machine says it needs, and an ear for events.
#[derive(Debug)]
pub struct Outputs<O> {
    /// What the machine has said.
    pub outputs: Vec<O>,
    /// What happened inside.
    pub events: Vec<Event>,
    most: usize,
}

impl<O> Outputs<O> {
    /// An outbox with room for so many outputs.
    pub const fn with_room(most: usize) -> Self {
        Self { outputs: Vec::new(), events: Vec::new(), most }
    }
}

impl<O> quorate::Outbox<O> for Outputs<O> {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
    fn room(&self) -> usize {
        self.most - self.outputs.len()
    }
    fn push(&mut self, output: O) {
        assert!(self.outputs.len() < self.most, "more outputs than max_outputs says");
        self.outputs.push(output);
    }
    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// The entry of `term` at `index`.
pub const fn entry(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), Index::new(index))
}

/// What stories about Raft say often.
impl Cluster<Raft> {
    /// A group of `count` voters at board size.
    pub fn of(count: u8) -> Self {
        Self::new(count, Setup::of(count))
    }

    /// Has a member campaign and lead: an election timeout passes in silence, and it is the first
    /// to notice.
    ///
    /// # Panics
    /// If it is not elected: the test is wrong.
    pub fn elect(&mut self, slot: u8) {
        self.silence();
        for _ in 0..3 {
            self.ring(slot);
            self.settle();
            if self.machine(slot).leads() {
                return;
            }
        }
        panic!("n{slot} is not elected:\n{}", self.story());
    }

    /// Lets an election timeout pass without a word, so that nobody is bound by a promise. It begins
    /// at a member's first step, for a former life may have promised.
    pub fn silence(&mut self) {
        for slot in self.living() {
            if Machine::deadline(self.machine(slot.number())) == Some(Instant::ORIGIN) {
                self.tick(slot.number());
            }
        }
        self.jump(self.setup.election_timeout);
    }

    /// Has a member elected by those that hear it, but loses everything else that is said.
    ///
    /// # Panics
    /// If it is not elected: the test is wrong.
    pub fn elect_unheard(&mut self, slot: u8) {
        self.silence();
        for _ in 0..3 {
            self.ring(slot);
            while let Some(place) = self.flights.iter().position(|flight| {
                let Packet(message) = flight.packet;
                matches!(
                    message,
                    Message::PreVote { .. }
                        | Message::PreVoteReply { .. }
                        | Message::Vote { .. }
                        | Message::VoteReply { .. }
                )
            }) {
                self.deliver_at(place);
            }
            self.flights.clear();
            if self.machine(slot).leads() {
                return;
            }
        }
        panic!("n{slot} is not elected:\n{}", self.story());
    }

    /// Proposes entries.
    ///
    /// # Panics
    /// If they are refused: the test is wrong.
    pub fn propose(&mut self, slot: u8, count: u32) {
        self.ask(slot, Input::Propose { count }).expect("it leads and has room");
    }

    /// Tells a member something, whatever else is on its way to it.
    pub fn say(&mut self, from: u8, to: u8, message: Message) {
        let packet = Packet(message);
        self.note(&format!("n{to} hears n{from} {packet}"));
        let _ = self.step(Slot::new(to), Stimulus::Packet(Slot::new(from), packet));
    }

    /// The newest message on its way over a link.
    pub fn newest(&self, from: u8, to: u8) -> Option<Message> {
        let link = (Slot::new(from), Slot::new(to));
        let newest = self.flights.iter().rev().find(|flight| (flight.from, flight.to) == link);
        newest.map(|flight| flight.packet.0)
    }

    /// Up to where each living member knows entries to be committed.
    pub fn commits(&self) -> Vec<u64> {
        let commit = |slot: Slot| self.machine(slot.number()).commit().number();
        self.living().into_iter().map(commit).collect()
    }

    /// The last entry of a member's log.
    pub fn last(&self, slot: u8) -> EntryId {
        self.machine(slot).log().last()
    }

    /// Up to where a member's host was told in this life that entries are committed.
    pub fn told_commit(&self, slot: u8) -> u64 {
        self.nodes[usize::from(slot)].told.iter().rev().find_map(committed).unwrap_or(0)
    }

    /// The newest read of a member that may be served, with what must be applied first.
    pub fn readable(&self, slot: u8) -> Option<(quorate::raft::Read, u64)> {
        self.nodes[usize::from(slot)].told.iter().rev().find_map(|told| match told {
            Output::Readable { read, index } => Some((*read, index.number())),
            _ => None,
        })
    }

    /// A member's host stores a snapshot of everything that it was told is committed.
    pub fn compact(&mut self, slot: u8) {
        let (log, index) = (self.machine(slot).log(), Index::new(self.told_commit(slot)));
        let newest = self.nodes[usize::from(slot)].disk.newest_snapshot();
        let Some(term) = log.term_at(index).filter(|_| index > newest) else { return };
        let boundary = EntryId::new(term, index);
        let snapshot = Snapshot { boundary, size: 600, digest: index.number() };
        self.perform(Slot::new(slot), Effect::Store(snapshot, Vec::new()));
        if self.nodes[usize::from(slot)].disk_is_fast {
            self.notice(Slot::new(slot));
        }
    }
}

fn committed(told: &Output) -> Option<u64> {
    if let Output::Committed { index } = told { Some(index.number()) } else { None }
}

impl Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Message::PreVote { term, last } => write!(f, "t{term} would you vote? last {last}"),
            Message::PreVoteReply { term, proposed, granted } => {
                write!(f, "t{term} {} in t{proposed}", if granted { "would" } else { "would not" })
            }
            Message::Vote { term, last, asked_to } => {
                let why = if asked_to { " as the leader asks" } else { "" };
                write!(f, "t{term} vote{why}! last {last}")
            }
            Message::Campaign { term, last } => write!(f, "t{term} campaign! last {last}"),
            Message::VoteReply { term, granted } => {
                write!(f, "t{term} {}", if granted { "voted" } else { "not voted" })
            }
            Message::Append { term, prev, entries, count, commit, round } => {
                write!(f, "t{term} append {count} of t{entries} after {prev}")?;
                write!(f, ", commit {commit}, round {round}")
            }
            Message::Configure { term, prev, of, configuration, committed } => {
                let news = if committed { ", committed" } else { "" };
                write!(f, "t{term} configure {configuration} of t{of} after {prev}{news}")
            }
            Message::Matched { term, matched, round } => {
                write!(f, "t{term} matched {matched}, round {round}")
            }
            Message::Conflict { term, rejected, hint, round } => {
                write!(f, "t{term} conflict at {rejected}, hint {hint}, round {round}")
            }
            Message::Chunk { term, boundary, size, offset, length, round, .. } => {
                write!(f, "t{term} snapshot {boundary}: {offset}+{length} of {size}")?;
                write!(f, ", round {round}")
            }
            Message::Received { term, received, round, .. } => {
                write!(f, "t{term} received {received}, round {round}")
            }
            Message::Stale { term } => write!(f, "t{term} is now"),
            Message::ReadIndex { term, number, .. } => write!(f, "t{term} read {number}?"),
            Message::ReadIndexReply { term, number, index, .. } => {
                write!(f, "t{term} read {number} at {index}")
            }
            Message::Rest { term, last } => write!(f, "t{term} rest at {last}"),
        }
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, write) in self.0.iter().enumerate() {
            f.write_str(if n > 0 { "; " } else { "" })?;
            match *write {
                Write::Ballot { term, vote: Some(vote) } => write!(f, "ballot t{term} for n{vote}"),
                Write::Ballot { term, vote: None } => write!(f, "ballot t{term}"),
                Write::Append { term, first, last } => write!(f, "t{term} {first}..={last}"),
                Write::Configure { entry, configuration } => write!(f, "{entry} {configuration}"),
                Write::Rebase { base, .. } => write!(f, "rebase on {}", base.snapshot.boundary),
            }?;
        }
        Ok(())
    }
}
