//! A state machine that remembers all it has seen: it adds numbers, and digests every command with
//! its place, so that two replicas that agree have applied the same.

use quorate::codec::{Codec, Malformed, NoRoom, Sink, digest};
use quorate::hlc::Stamp;
use quorate::replica::{Replica, Request};
use quorate::time::Span;
use quorate::{Position, StateMachine};
use quorate_sim::cluster::Cluster;
use quorate_sim::raft::Setup as RaftSetup;
use quorate_sim::replica::{Ask, Setup};

/// The sum, the digest, and a command that is due by itself if `due` says so.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) sum: u64,
    pub(crate) history: u64,
    pub(crate) applied: u64,
    pub(crate) due: Option<Stamp>,
}

/// The command that is due; it clears `due`.
pub(crate) const DUE: u64 = 1_000_000;

/// What a command begins with that says how much it weighs.
const HEAVY: u64 = 1;

impl StateMachine for Sum {
    type Command = u64;
    type Response = u64;

    fn apply(&mut self, at: Position, command: &u64) -> u64 {
        let index = at.entry.index.number();
        let seen = [self.history, *command, index, at.entry.term.number()];
        self.history = digest(seen.map(u64::to_le_bytes).as_flattened());
        self.sum = self.sum.saturating_add(*command);
        self.applied += 1;
        self.due = self.due.filter(|_| *command != DUE);
        self.sum
    }

    fn weight(command: &u64) -> u64 {
        if command >> 60 == HEAVY { command >> 32 & 0xffff } else { 8 }
    }

    fn due(&self) -> Option<(Stamp, u64)> {
        self.due.map(|stamp| (stamp, DUE))
    }

    fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.sum.encode(sink)?;
        self.history.encode(sink)?;
        self.applied.encode(sink)?;
        self.due.encode(sink)
    }

    fn restore(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        let bytes = &mut bytes;
        *self = Self {
            sum: u64::decode(bytes)?,
            history: u64::decode(bytes)?,
            applied: u64::decode(bytes)?,
            due: Option::decode(bytes)?,
        };
        if bytes.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

pub(crate) type Group = Cluster<Replica<Sum>>;

/// A group of replicas, at board size.
pub(crate) fn group(count: u8, seed: u64) -> Group {
    let raft = RaftSetup { seed, ..RaftSetup::of(count) };
    Cluster::new(count, setup(raft))
}

/// How its members are set up.
pub(crate) fn setup(raft: RaftSetup) -> Setup<Sum> {
    let (clock, roster) = Default::default();
    Setup { raft, clock, roster, state: Sum::default() }
}

/// A group with a leader, and who that is.
pub(crate) fn led_group(count: u8) -> (Group, u8) {
    let mut group = group(count, 1);
    group.pass(Span::millis(400));
    let leader = leader(&group);
    (group, leader)
}

/// The leader of the highest term.
pub(crate) fn leader(group: &Group) -> u8 {
    let leads = |slot: &u8| group.machine(*slot).raft().leads();
    let living = group.living().into_iter().map(|slot| slot.number());
    living.filter(leads).max_by_key(|slot| group.machine(*slot).raft().term()).expect("a leader")
}

/// A request to open a client's session.
pub(crate) fn open(client: u64) -> Request<u64> {
    Request::Open { client: quorate::id::ClientId::new(client) }
}

/// A client's request to add a number that weighs so many bytes.
pub(crate) fn heavy(client: u64, sequence: u64, bytes: u64) -> Request<u64> {
    add(client, sequence, HEAVY << 60 | bytes << 32)
}

/// A client's request to add a number.
pub(crate) fn add(client: u64, sequence: u64, command: u64) -> Request<u64> {
    Request::Command { client: quorate::id::ClientId::new(client), sequence, command }
}

/// Submits requests and lets everybody hear of them.
pub(crate) fn submit(group: &mut Group, slot: u8, requests: &[Request<u64>]) {
    group.ask(slot, Ask::Submit(requests.to_vec())).expect("it leads and has room");
    group.settle();
}
