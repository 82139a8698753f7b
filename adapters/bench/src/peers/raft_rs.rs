//! raft-rs 0.7.0 in one thread: default features, protobuf 2, its own memory storage.

use crate::load::{Measured, Shape};
use protobuf::Message as _;
use raft::StateRole;
use raft::prelude::{Config, Entry, Message, MessageType, RawNode};
use raft::storage::MemStorage;
use slog::{Discard, Logger, o};
use std::collections::VecDeque;

const KEEP: u64 = 1_024;
const COMPACT_EVERY: u64 = 16_384;

/// How entries are proposed: the two differ by five times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `propose` for each entry, and the default configuration.
    Plain,
    /// One proposal with the whole batch, and `batch_append`: its best.
    Multi,
}

struct Node {
    raw: RawNode<MemStorage>,
    applied: u64,
    commands: u64,
    compacted: u64,
    sum: u64,
}

/// A group and the network between its members.
pub(crate) struct Group {
    nodes: Vec<Node>,
    inboxes: Vec<VecDeque<Message>>,
    mode: Mode,
    wire: bool,
    messages: u64,
    bytes: u64,
}

fn raw_node(id: u64, nodes: u64, mode: Mode, pre_vote: bool) -> RawNode<MemStorage> {
    let config = Config {
        id,
        batch_append: mode == Mode::Multi,
        election_tick: 10,
        heartbeat_tick: 2,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        pre_vote,
        ..Config::default()
    };
    let storage = MemStorage::new_with_conf_state(((1..=nodes).collect::<Vec<_>>(), vec![]));
    RawNode::new(&config, storage, &Logger::root(Discard, o!()))
        .expect("the configuration is sound")
}

impl Group {
    /// A group whose first node leads.
    pub(crate) fn new(nodes: usize, mode: Mode, wire: bool, pre_vote: bool) -> Self {
        let count = nodes as u64;
        let node = |id| Node {
            raw: raw_node(id, count, mode, pre_vote),
            applied: 0,
            commands: 0,
            compacted: 0,
            sum: 0,
        };
        let inboxes = (0..nodes).map(|_| VecDeque::new()).collect();
        let nodes = (1..=count).map(node).collect();
        let mut group = Self { nodes, inboxes, mode, wire, messages: 0, bytes: 0 };
        group.elect(0);
        (group.messages, group.bytes) = (0, 0);
        group
    }

    pub(crate) fn measured(&self) -> Measured {
        Measured { messages: self.messages, bytes: self.bytes }
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.messages += 1;
            let to = usize::try_from(message.to - 1).expect("groups are small");
            let heard = if self.wire {
                let bytes = message.write_to_bytes().expect("has a form in bytes");
                self.bytes += bytes.len() as u64;
                let mut heard = Message::default();
                heard.merge_from_bytes(&bytes).expect("makes sense");
                heard
            } else {
                message
            };
            self.inboxes[to].push_back(heard);
        }
    }

    /// Steps a node with all that waits for it, and does what it is ready for.
    fn drive(&mut self, i: usize) -> bool {
        let mut did = false;
        while let Some(message) = self.inboxes[i].pop_front() {
            did = true;
            let _ = self.nodes[i].raw.step(message);
        }
        if !self.nodes[i].raw.has_ready() {
            return did;
        }
        let mut ready = self.nodes[i].raw.ready();
        self.send(ready.take_messages());
        let node = &mut self.nodes[i];
        node.apply(ready.take_committed_entries());
        if !ready.entries().is_empty() {
            node.raw.mut_store().wl().append(ready.entries()).expect("goes on");
        }
        if let Some(state) = ready.hs() {
            node.raw.mut_store().wl().set_hardstate(state.clone());
        }
        self.send(ready.take_persisted_messages());
        let node = &mut self.nodes[i];
        let mut light = node.raw.advance(ready);
        if let Some(commit) = light.commit_index() {
            node.raw.mut_store().wl().mut_hard_state().set_commit(commit);
        }
        node.apply(light.take_committed_entries());
        node.raw.advance_apply();
        node.compact();
        self.send(light.take_messages());
        true
    }

    fn settle(&mut self) {
        while (0..self.nodes.len()).fold(false, |any, i| self.drive(i) || any) {}
    }

    fn elect(&mut self, i: usize) {
        self.nodes[i].raw.campaign().expect("may campaign");
        self.settle();
        assert_eq!(self.nodes[i].raw.raft.state, StateRole::Leader);
    }

    /// Elects the nodes in turn; each time the first entry is applied everywhere.
    pub(crate) fn elect_in_turn(&mut self, count: u64) {
        for n in 1..=count {
            self.elect(usize::try_from(n % self.nodes.len() as u64).expect("groups are small"));
        }
    }

    /// Nothing happens but time: so many ticks of all nodes.
    pub(crate) fn idle(&mut self, ticks: u64) {
        for _ in 0..ticks {
            for node in &mut self.nodes {
                node.raw.tick();
            }
            self.settle();
        }
    }

    /// Commits entries and applies them on every node.
    pub(crate) fn commit(&mut self, Shape { batch, depth, .. }: Shape, count: u64) {
        let mut proposed = 0;
        while self.nodes.iter().any(|node| node.commands < count) {
            if proposed < count && proposed - self.nodes[0].commands + batch <= depth * batch {
                let more = batch.min(count - proposed);
                self.propose(more);
                proposed += more;
            }
            (0..self.nodes.len()).for_each(|i| {
                self.drive(i);
            });
        }
    }

    fn propose(&mut self, count: u64) {
        let command = || vec![7; 64];
        let raw = &mut self.nodes[0].raw;
        if self.mode == Mode::Plain {
            (0..count).for_each(|_| raw.propose(vec![], command()).expect("leads"));
            return;
        }
        let entry = |_| Entry { data: command().into(), ..Entry::default() };
        let mut message = Message { from: 1, to: 1, ..Message::default() };
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries((0..count).map(entry).collect::<Vec<_>>().into());
        raw.step(message).expect("leads");
    }
}

impl Node {
    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.applied = entry.index;
            if let Some(first) = entry.data.first() {
                self.commands += 1;
                self.sum = self.sum.wrapping_add(u64::from(*first));
            }
        }
    }

    fn compact(&mut self) {
        if self.applied >= self.compacted + COMPACT_EVERY + KEEP {
            self.compacted = self.applied - KEEP;
            self.raw.mut_store().wl().compact(self.compacted).expect("is applied");
        }
    }
}

/// A follower that has heard its leader once, and now has nothing to do.
pub(crate) fn idle_follower() -> RawNode<MemStorage> {
    let mut raw = raw_node(1, 3, Mode::Plain, false);
    let mut message = Message { from: 2, to: 1, term: 1, ..Message::default() };
    message.set_msg_type(MessageType::MsgHeartbeat);
    raw.step(message).expect("is taken");
    while raw.has_ready() {
        let ready = raw.ready();
        if let Some(state) = ready.hs() {
            raw.mut_store().wl().set_hardstate(state.clone());
        }
        let _ = raw.advance(ready);
        raw.advance_apply();
    }
    raw
}
