//! What the simulator can host: a machine with its payloads, as any host sees it.

use super::vault::{Found, Query, Response, Vault};
use quorate::client::{Reply, What};
use quorate::hlc::{self, Stamp};
use quorate::id::{ClientId, EntryId, Incarnation, Index, Members, Slot};
use quorate::limits::Limits;
use quorate::membership::Address;
use quorate::membership::roster::{self, Life, Roster};
use quorate::raft::{self, Configuration, Raft, Receipt, Snapshot, Write};
use quorate::replica::{self, Body, Entry, Header, Outcome, Output, Replica, Request};
use quorate::time::{Instant, Now, Span};
use quorate::{Event, Machine, Outbox, Refused, StateMachine};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::hash::Hash;

/// How the members of a group are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many members there can be.
    pub members: u8,
    /// How many of them found the group, from the first slot on. The others join it or never do.
    pub founders: u8,
    /// The least time without a leader after which a member campaigns.
    pub election_timeout: Span,
    /// How often a leader is heard.
    pub heartbeat: Span,
    /// Bounds.
    pub limits: Limits,
    /// How far clocks may be apart.
    pub max_offset: Span,
    /// How far monotonic clocks drift apart, if they are trusted.
    pub clock_drift: Option<u32>,
    /// How many entries a new voter may lack.
    pub promotion_lag: Option<u32>,
    /// Whether an idle group falls silent.
    pub rests: bool,
    /// Whether those who join know who founded the group.
    pub informed: bool,
    /// What the group should look like, if it keeps a roster.
    pub roster: Option<roster::Config>,
    /// Seeds the members' generators.
    pub seed: u64,
}

impl Setup {
    /// Who votes in a log that has just begun.
    pub const fn founders(&self) -> Members {
        Members::first(self.founders as usize)
    }

    /// One member's Raft configuration.
    pub fn raft(&self, me: Slot, life: u64) -> raft::Config {
        raft::Config {
            me,
            voters: if self.informed || me.number() < self.founders {
                self.founders()
            } else {
                Members::NONE
            },
            // A process ends here when its slot is given to another, so nobody is taken for it.
            since: quorate::id::Index::ZERO,
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

/// What a host tells a member.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a, H: Hosted> {
    /// The deadline has passed.
    Tick,
    /// A message came in.
    Message {
        /// Who sent it.
        from: Slot,
        /// What it says.
        header: Header,
        /// The entries that travelled with it.
        entries: &'a [H::Entry],
        /// The part of a snapshot that travelled with it.
        chunk: &'a [u8],
    },
    /// Requests of clients.
    Submit(&'a [H::Request]),
    /// When the state may be read.
    Read,
    /// A write and all before it are durable.
    Persisted(Receipt),
    /// A write failed.
    PersistFailed,
    /// A snapshot is durable.
    Stored(Snapshot),
    /// A member may be gone.
    Suspect(Slot),
    /// Stop leading.
    StepDown,
    /// Hand leadership over.
    Transfer(Slot),
    /// Change the configuration.
    Reconfigure(Configuration),
    /// Give a life a seat.
    Admit {
        /// Whom.
        life: Life,
        /// Where it is reached.
        address: Address,
        /// The slot at which it founded the group.
        founder: Option<Slot>,
        /// The life of the same node that it replaces.
        replaces: Option<Incarnation>,
    },
    /// Let a life leave.
    Dismiss(Life),
}

/// What a client wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Work {
    /// To change the state, once.
    Command(super::vault::Command),
    /// To learn of it.
    Query(Query),
}

/// What a client is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To a command.
    Response(Response),
    /// To a query.
    Found(Found),
}

/// A machine with its payloads.
pub trait Hosted: Sized + Debug {
    /// What the log holds.
    type Entry: Clone + Eq + Hash + Debug + Serialize + DeserializeOwned;
    /// What a host submits.
    type Request: Clone + Debug;

    /// Starts a member from what was found on its disk.
    ///
    /// # Errors
    /// Why it cannot be started, in words.
    fn boot(
        setup: &Setup,
        me: Slot,
        life: u64,
        snapshot: Option<(Snapshot, &[u8])>,
        writes: &[(Write, Vec<Self::Entry>)],
    ) -> Result<Self, String>;

    /// Takes a step.
    ///
    /// # Errors
    /// [`Refused`], and nothing has happened.
    fn step(&mut self, now: Now, input: Input<'_, Self>, said: &mut Said) -> Result<(), Refused>;

    /// The most outputs of a step.
    fn max_outputs(&self) -> usize;
    /// When it wants a tick.
    fn deadline(&self) -> Option<Instant>;
    /// The Raft machine in it.
    fn raft(&self) -> &Raft;
    /// Who sits where, if it knows what that is.
    fn roster(&self) -> Option<&Roster> {
        None
    }
    /// The last entry applied.
    fn applied(&self) -> EntryId;
    /// The entries from `first` to `last`.
    fn entries(&self, first: Index, last: Index) -> Vec<Self::Entry>;
    /// The entries that travel with a message.
    fn entries_of(&self, header: &Header) -> Vec<Self::Entry>;
    /// The part of a snapshot that travels with a message.
    fn chunk_of(&self, header: &Header) -> &[u8];
    /// The bytes of a snapshot that is to be stored.
    fn bytes_of(&self, snapshot: &Snapshot) -> &[u8];
    /// What a rebase stands for.
    fn image(&self) -> Vec<Write>;
    /// The state as bytes: equal states have equal ones.
    fn state(&self) -> Vec<u8>;
    /// An entry's time, if it has one.
    fn stamp(entry: &Self::Entry) -> Option<Stamp>;
    /// The highest stamp that the member made or heard, if it has a clock.
    fn clock(&self) -> Option<Stamp>;
    /// An entry as the group's promise about leases and registers sees it.
    fn body(entry: &Self::Entry) -> Option<&Entry<super::vault::Command>>;
    /// The request that a client's attempt makes.
    fn request(what: What, work: Option<&Work>) -> Option<Self::Request>;
    /// What became of a client's request.
    fn reply(&self, client: ClientId, sequence: u64) -> Reply<Answer>;
    /// What the state answers to a query.
    fn find(&self, query: &Query) -> Found;
    /// A request that no client made, told apart by a number.
    fn numbered(number: u64) -> Option<Self::Request>;
}

/// An outbox that holds no more than a machine says it needs, and an ear for events.
#[derive(Debug, Default)]
pub struct Said {
    /// What the machine has said.
    pub outputs: Vec<Output>,
    /// What happened inside.
    pub events: Vec<Event>,
    /// How many outputs there may be.
    pub most: usize,
    /// Whether there were more.
    pub overflowed: bool,
}

impl<O: Into<Output>> Outbox<O> for Said {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
    fn room(&self) -> usize {
        self.most.saturating_sub(self.outputs.len())
    }
    fn push(&mut self, output: O) {
        self.overflowed |= self.outputs.len() >= self.most;
        self.outputs.push(output.into());
    }
    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl Hosted for Replica<Vault> {
    type Entry = Entry<super::vault::Command>;
    type Request = Request<super::vault::Command>;

    fn boot(
        setup: &Setup,
        me: Slot,
        life: u64,
        snapshot: Option<(Snapshot, &[u8])>,
        writes: &[(Write, Vec<Self::Entry>)],
    ) -> Result<Self, String> {
        let clock = hlc::Config { max_offset: setup.max_offset, reserve: None };
        let config = replica::Config {
            raft: setup.raft(me, life),
            clock,
            roster: setup.roster.unwrap_or_default(),
        };
        let mut replica = Self::recover(config, Vault::new(setup.limits), snapshot)
            .map_err(|error| error.to_string())?;
        for (write, entries) in writes {
            replica.replay(write, entries).map_err(|error| error.to_string())?;
        }
        Ok(replica)
    }

    fn step(&mut self, now: Now, input: Input<'_, Self>, said: &mut Said) -> Result<(), Refused> {
        let input = match input {
            Input::Tick => replica::Input::Tick,
            Input::Message { from, header, entries, chunk } => {
                replica::Input::Message { from, header, entries, chunk }
            }
            Input::Submit(requests) => replica::Input::Submit { requests },
            Input::Read => replica::Input::Read,
            Input::Persisted(receipt) => replica::Input::Persisted(receipt),
            Input::PersistFailed => replica::Input::PersistFailed,
            Input::Stored(snapshot) => replica::Input::Stored(snapshot),
            Input::Suspect(slot) => replica::Input::Suspect(slot),
            Input::StepDown => replica::Input::StepDown,
            Input::Transfer(to) => replica::Input::Transfer(to),
            Input::Reconfigure(to) => replica::Input::Reconfigure(to),
            Input::Admit { life, address, founder, replaces } => {
                replica::Input::Admit { life, address, founder, replaces }
            }
            Input::Dismiss(life) => replica::Input::Dismiss(life),
        };
        Machine::step(self, now, input, said)
    }

    fn max_outputs(&self) -> usize {
        Machine::max_outputs(self)
    }
    fn deadline(&self) -> Option<Instant> {
        Machine::deadline(self)
    }
    fn raft(&self) -> &Raft {
        self.raft()
    }
    fn roster(&self) -> Option<&Roster> {
        Some(self.roster())
    }
    fn applied(&self) -> EntryId {
        self.applied().entry
    }
    fn entries(&self, first: Index, last: Index) -> Vec<Self::Entry> {
        self.entries(first, last).cloned().collect()
    }
    fn entries_of(&self, header: &Header) -> Vec<Self::Entry> {
        self.entries_of(header).cloned().collect()
    }
    fn chunk_of(&self, header: &Header) -> &[u8] {
        self.chunk_of(header)
    }
    fn bytes_of(&self, snapshot: &Snapshot) -> &[u8] {
        self.bytes_of(snapshot)
    }
    fn image(&self) -> Vec<Write> {
        self.image().collect()
    }
    fn state(&self) -> Vec<u8> {
        let mut bytes = Bytes(Vec::new());
        // It has room for everything.
        let _ = StateMachine::snapshot(self.state(), &mut bytes);
        bytes.0
    }
    fn stamp(entry: &Self::Entry) -> Option<Stamp> {
        Some(entry.stamp)
    }
    fn clock(&self) -> Option<Stamp> {
        Some(self.clock().last())
    }
    fn body(entry: &Self::Entry) -> Option<&Entry<super::vault::Command>> {
        Some(entry)
    }
    fn request(what: What, work: Option<&Work>) -> Option<Self::Request> {
        match (what, work) {
            (What::Open { client }, _) => Some(Request::Open { client }),
            (What::Command { client, sequence }, Some(Work::Command(command))) => {
                Some(Request::Command { client, sequence, command: command.clone() })
            }
            _ => None,
        }
    }
    fn reply(&self, client: ClientId, sequence: u64) -> Reply<Answer> {
        match self.outcome(client, sequence) {
            Outcome::Opened => Reply::Opened,
            Outcome::Done(response) => Reply::Done(Answer::Response(response.clone())),
            Outcome::Superseded => Reply::Superseded,
            Outcome::NoSession => Reply::NoSession,
        }
    }
    fn find(&self, query: &Query) -> Found {
        self.state().find(query)
    }
    fn numbered(_: u64) -> Option<Self::Request> {
        None
    }
}

/// Who stands behind an entry: a session with a number, or nobody.
pub fn session_of<C>(entry: &Entry<C>) -> Option<(ClientId, u64)> {
    match &entry.body {
        Body::Request(Request::Open { client }) => Some((*client, 0)),
        Body::Request(Request::Command { client, sequence, .. }) => Some((*client, *sequence)),
        Body::Barrier | Body::Change | Body::Due(_) | Body::Roster(_) => None,
    }
}

/// Bytes without end.
#[derive(Debug, Default)]
pub struct Bytes(pub Vec<u8>);

impl quorate::codec::Sink for Bytes {
    fn put(&mut self, bytes: &[u8]) -> Result<(), quorate::codec::NoRoom> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
