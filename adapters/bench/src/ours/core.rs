//! A group of payload-free machines in one thread: the order alone.

use super::{ELECTION_TIMEOUT, Shape, TICK, raft_config};
use quorate::Machine;
use quorate::id::{EntryId, Index, Members, Slot};
use quorate::raft::{Base, Input, Message, Output, Raft, Snapshot};
use quorate::time::Now;
use std::collections::VecDeque;

/// How many entries a member holds before it lets them go; raft-rs is measured with the same.
const COMPACT_EVERY: u64 = 16_384;

/// A group and the network between its members.
pub(crate) struct Group {
    members: Vec<Raft>,
    committed: Vec<Index>,
    compacted: Vec<Index>,
    /// Who sent what to whom. Messages are `Copy`, so no buffer is behind them.
    network: VecDeque<(Slot, Members, Message)>,
    outbox: Vec<Output>,
    micros: u64,
    /// How many messages were delivered.
    pub(crate) messages: u64,
}

impl Group {
    /// A group whose leader has committed its first entry on every member.
    pub(crate) fn new(nodes: usize) -> Self {
        let mut group = Self {
            members: (0..nodes).map(|n| Raft::new(raft_config(n, nodes)).unwrap()).collect(),
            committed: vec![Index::ZERO; nodes],
            compacted: vec![Index::ZERO; nodes],
            network: VecDeque::new(),
            outbox: Vec::new(),
            micros: 0,
            messages: 0,
        };
        (0..nodes).for_each(|n| group.step(slot(n), Input::Tick));
        group.elect();
        group
    }

    fn now(&self) -> Now {
        Now::mono(self.micros)
    }

    /// Takes one step and does what it says; the disk is memory, so a write is durable at once.
    fn step(&mut self, at: Slot, input: Input) {
        let now = self.now();
        let mut input = Some(input);
        while let Some(next) = input.take() {
            self.members[at.position()].step(now, next, &mut self.outbox).expect("is taken");
            for output in self.outbox.drain(..) {
                match output {
                    Output::Persist { receipt, .. } => input = Some(Input::Persisted(receipt)),
                    Output::Send { to, message } => self.network.push_back((at, to, message)),
                    Output::Committed { index } => self.committed[at.position()] = index,
                    _ => {}
                }
            }
        }
        if self.committed[at.position()].above(self.compacted[at.position()]) >= COMPACT_EVERY {
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

    fn leader(&self) -> Option<usize> {
        self.members.iter().position(Raft::leads)
    }

    /// The leader falls silent, and another is elected; its first entry is committed everywhere.
    pub(crate) fn elect(&mut self) {
        let others = (0..self.members.len()).filter(|n| Some(*n) != self.leader());
        let first = others.min_by_key(|n| self.members[*n].deadline()).expect("has members");
        self.micros = self.members[first].deadline().expect("is alive").as_micros();
        self.step(slot(first), Input::Tick);
        while self.deliver() {}
        let last = self.members[first].log().last().index;
        assert!(self.members[first].leads() && self.committed.iter().all(|it| *it == last));
    }

    /// Commits entries on every member.
    pub(crate) fn commit(&mut self, Shape { batch, depth, .. }: Shape, count: u64) {
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

    /// Nothing happens but time: so many ticks of all members.
    pub(crate) fn idle(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.micros += TICK.as_micros();
            self.tick();
            while self.deliver() {}
        }
    }
}

/// A follower that has heard its leader once, and now has nothing to do.
pub(crate) fn idle_follower() -> Raft {
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
pub(crate) const fn heartbeat() -> Message {
    let (term, prev, commit) = (quorate::id::Term::new(1), EntryId::ZERO, Index::ZERO);
    Message::Append { term, prev, entries: term, count: 0, commit, round: 1 }
}

pub(crate) fn slot(n: usize) -> Slot {
    Slot::new(u8::try_from(n).expect("groups are small"))
}
