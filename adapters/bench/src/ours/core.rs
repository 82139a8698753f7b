//! A group of payload-free machines in one thread: the order alone.

use super::{ELECTION_TIMEOUT, TICK, raft_config};
use crate::load::{Measured, Shape};
use quorate::id::{EntryId, Index, Members, Slot};
use quorate::raft::{Base, Config, Input, Message, Output, Raft, Snapshot};
use quorate::time::Now;
use quorate::{Machine, limits};
use std::collections::VecDeque;

/// How many entries a member holds before it lets them go; raft-rs is measured with the same. (Or half
/// the runs that it may hold, as a replica does.)
const COMPACT_EVERY: u64 = 16_384;

/// Commits entries in a group whose log has `grown` already.
pub(super) fn run(shape: Shape, grown: u64, units: u64) -> Measured {
    let mut group = Group::new(shape.nodes);
    group.commit(Shape { batch: 1_000, depth: 1, ..shape }, grown);
    group.commit(shape, units);
    group.measured()
}

/// Elects one leader after another in a group of three.
pub(super) fn elect(units: u64) -> Measured {
    let mut group = Group::new(3);
    (0..units).for_each(|_| group.elect());
    group.measured()
}

/// Ticks a group of three that has nothing to do.
pub(super) fn idle(units: u64) -> Measured {
    let mut group = Group::new(3);
    group.idle(units);
    group.measured()
}

/// The same of a group that may rest and has had time to; what is counted is its steps.
pub(super) fn rest(units: u64) -> Measured {
    let mut group = Group::with(3, true);
    group.idle(100);
    let before = group.steps;
    group.idle(units);
    Measured { messages: group.steps - before, bytes: 0 }
}

/// A group and the network between its members.
struct Group {
    members: Vec<Raft>,
    committed: Vec<Index>,
    compacted: Vec<Index>,
    /// Who sent what to whom. Messages are `Copy`, so no buffer is behind them.
    network: VecDeque<(Slot, Members, Message)>,
    outbox: Vec<Output>,
    micros: u64,
    messages: u64,
    steps: u64,
}

impl Group {
    /// A group whose leader has committed its first entry on every member.
    fn new(nodes: usize) -> Self {
        Self::with(nodes, false)
    }

    /// The same; idle, it `rests`.
    fn with(nodes: usize, rests: bool) -> Self {
        let member = |n| Raft::new(Config { rests, ..raft_config(n, nodes) }).unwrap();
        let mut group = Self {
            members: (0..nodes).map(member).collect(),
            committed: vec![Index::ZERO; nodes],
            compacted: vec![Index::ZERO; nodes],
            network: VecDeque::new(),
            outbox: Vec::new(),
            micros: 0,
            messages: 0,
            steps: 0,
        };
        (0..nodes).for_each(|n| group.step(slot(n), Input::Tick));
        group.elect();
        group
    }

    const fn measured(&self) -> Measured {
        Measured { messages: self.messages, bytes: 0 }
    }

    /// Takes one step and does what it says; the disk is memory, so a write is durable at once.
    fn step(&mut self, at: Slot, input: Input) {
        self.steps += 1;
        let member = &mut self.members[at.position()];
        member.step(Now::mono(self.micros), input, &mut self.outbox).expect("is taken");
        let (mut durable, mut committed) = (None, None);
        for output in &self.outbox {
            match *output {
                Output::Persist { receipt, .. } => durable = Some(receipt),
                Output::Send { to, message } => self.network.push_back((at, to, message)),
                Output::Committed { index } => committed = Some(index),
                _ => {}
            }
        }
        self.outbox.clear();
        if let Some(index) = committed {
            self.commit_to(at, index);
        }
        if let Some(receipt) = durable {
            self.step(at, Input::Persisted(receipt));
        }
    }

    /// Takes note of a commit; now and then the log is let go up to there.
    fn commit_to(&mut self, at: Slot, index: Index) {
        self.committed[at.position()] = index;
        let held = index.above(self.compacted[at.position()]);
        let runs = self.members[at.position()].log().runs().len();
        if held >= COMPACT_EVERY || runs >= limits::MOST.runs / 2 {
            self.compact(at);
        }
    }

    /// The payload floor would have made a snapshot of its state durable.
    fn compact(&mut self, at: Slot) {
        let (raft, index) = (&self.members[at.position()], self.committed[at.position()]);
        let term = raft.log().term_at(index).expect("what is committed is held");
        let snapshot = Snapshot { boundary: EntryId::new(term, index), size: 1, digest: 0 };
        let configuration = *raft.log().configuration_at(index);
        self.compacted[at.position()] = index;
        self.step(at, Input::Stored(Base { snapshot, configuration }));
    }

    /// Delivers what is under way now; whether there was anything.
    fn deliver(&mut self) -> bool {
        let under_way = self.network.len();
        for _ in 0..under_way {
            let Some((from, to, message)) = self.network.pop_front() else { break };
            for member in to.iter() {
                self.messages += 1;
                self.step(member, Input::Message { from, message });
            }
        }
        under_way > 0
    }

    /// Ticks every member whose deadline has passed.
    fn tick(&mut self) {
        for n in 0..self.members.len() {
            if self.members[n].deadline().is_some_and(|at| at.as_micros() <= self.micros) {
                self.step(slot(n), Input::Tick);
            }
        }
    }

    /// Lets so many ticks of the host pass.
    fn idle(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.micros += TICK.as_micros();
            self.tick();
            while self.deliver() {}
        }
    }

    fn leader(&self) -> Option<usize> {
        self.members.iter().position(Raft::leads)
    }

    /// The leader falls silent, and another is elected; its first entry is committed everywhere.
    fn elect(&mut self) {
        let others = (0..self.members.len()).filter(|n| Some(*n) != self.leader());
        let first = others.min_by_key(|n| self.members[*n].deadline()).expect("has members");
        self.micros = self.members[first].deadline().expect("is alive").as_micros();
        self.step(slot(first), Input::Tick);
        while self.deliver() {}
        let last = self.members[first].log().last().index;
        assert!(self.members[first].leads() && self.committed.iter().all(|it| *it == last));
    }

    /// Commits entries on every member.
    fn commit(&mut self, Shape { batch, depth, .. }: Shape, count: u64) {
        let leader = self.leader().expect("a leader was elected");
        let base = self.committed[leader];
        let mut proposed = 0;
        while self.committed.iter().any(|index| index.above(base) < count) {
            let open = proposed - self.committed[leader].above(base);
            if proposed < count && open + batch <= depth * batch {
                let more = batch.min(count - proposed);
                let count = u32::try_from(more).expect("a batch is small");
                self.step(slot(leader), Input::Propose { count });
                proposed += more;
            }
            self.deliver();
            self.micros += 1;
            self.tick();
        }
    }
}

/// A follower that has heard its leader once, and now has nothing to do.
pub(super) fn idle_follower() -> Raft {
    let mut raft = Raft::new(raft_config(0, 3)).unwrap();
    let mut outbox = Vec::new();
    let mut input = Some(Input::Message { from: slot(1), message: heartbeat() });
    while let Some(next) = input.take() {
        raft.step(Now::mono(ELECTION_TIMEOUT.as_micros()), next, &mut outbox).expect("is taken");
        for output in outbox.drain(..) {
            if let Output::Persist { receipt, .. } = output {
                input = Some(Input::Persisted(receipt));
            }
        }
    }
    raft
}

/// The first word of a leader whose log is empty.
pub(super) const fn heartbeat() -> Message {
    let (term, prev, commit) = (quorate::id::Term::new(1), EntryId::ZERO, Index::ZERO);
    Message::Append { term, prev, entries: term, count: 0, commit, round: 1 }
}

pub(super) fn slot(n: usize) -> Slot {
    Slot::new(u8::try_from(n).expect("groups are small"))
}
