//! OmniPaxos 0.2.4 in one thread, with its own memory storage. Its messages are never encoded.

use crate::load::{Measured, Shape};
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;
use std::collections::VecDeque;

const KEEP: usize = 1_024;
const TRIM_EVERY: usize = 16_384;

#[derive(Clone, Debug)]
struct Command(Vec<u8>);

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

type Node = OmniPaxos<Command, MemoryStorage<Command>>;

/// A group and the network between its members.
pub(crate) struct Group {
    nodes: Vec<Node>,
    inboxes: Vec<VecDeque<Message<Command>>>,
    outgoing: Vec<Message<Command>>,
    applied: Vec<usize>,
    sum: u64,
    trimmed: usize,
    messages: u64,
}

impl Group {
    /// A group with a leader. It is told to send as many entries together as a batch has.
    pub(crate) fn new(Shape { nodes, batch, .. }: Shape) -> Self {
        let batch = usize::try_from(batch).expect("batches are small");
        let mut group = Self {
            nodes: (1..=nodes as u64).map(|id| node(id, nodes as u64, batch)).collect(),
            inboxes: (0..nodes).map(|_| VecDeque::new()).collect(),
            outgoing: Vec::new(),
            applied: vec![0; nodes],
            sum: 0,
            trimmed: 0,
            messages: 0,
        };
        group.nodes[0].try_become_leader();
        let follows = |node: &Node| node.get_current_leader().is_some_and(|(_, accepted)| accepted);
        while !group.nodes.iter().all(follows) {
            group.nodes.iter_mut().for_each(OmniPaxos::tick);
            while group.turn() {}
        }
        group.messages = 0;
        group
    }

    pub(crate) fn measured(&self) -> Measured {
        Measured { messages: self.messages, bytes: 0 }
    }

    /// Steps every node with all that waits for it; whether anything was said.
    fn turn(&mut self) -> bool {
        let mut did = false;
        for i in 0..self.nodes.len() {
            let node = &mut self.nodes[i];
            while let Some(message) = self.inboxes[i].pop_front() {
                did = true;
                node.handle_incoming(message);
            }
            if node.get_decided_idx() > self.applied[i] {
                for entry in node.read_decided_suffix(self.applied[i]).unwrap_or_default() {
                    if let LogEntry::Decided(command) = entry {
                        self.sum = self.sum.wrapping_add(u64::from(command.0[0]));
                        self.applied[i] += 1;
                    }
                }
            }
            node.take_outgoing_messages(&mut self.outgoing);
            for message in self.outgoing.drain(..) {
                did = true;
                self.messages += 1;
                let to = usize::try_from(message.get_receiver() - 1).expect("groups are small");
                self.inboxes[to].push_back(message);
            }
        }
        did
    }

    /// Commits entries and applies them on every node.
    pub(crate) fn commit(&mut self, Shape { batch, depth, .. }: Shape, count: u64) {
        let (leader, _) = self.nodes[0].get_current_leader().expect("has a leader");
        let leader = usize::try_from(leader - 1).expect("groups are small");
        let base = self.applied[leader];
        let done = |applied: usize| (applied - base) as u64;
        let mut proposed = 0;
        while self.applied.iter().any(|applied| done(*applied) < count) {
            if proposed < count && proposed - done(self.applied[leader]) + batch <= depth * batch {
                let more = batch.min(count - proposed);
                for _ in 0..more {
                    self.nodes[leader].append(Command(vec![7; 64])).expect("is taken");
                }
                proposed += more;
            }
            self.turn();
            let lowest = self.applied.iter().copied().min().unwrap_or(0);
            if lowest >= self.trimmed + TRIM_EVERY + KEEP {
                self.trimmed = lowest - KEEP;
                let _ = self.nodes[leader].trim(Some(self.trimmed));
            }
        }
    }
}

fn node(pid: u64, nodes: u64, batch_size: usize) -> Node {
    let cluster =
        ClusterConfig { configuration_id: 1, nodes: (1..=nodes).collect(), flexible_quorum: None };
    let server = ServerConfig {
        pid,
        election_tick_timeout: 5,
        resend_message_tick_timeout: 1_000_000,
        batch_size,
        // Its default of 100,000 only costs memory.
        buffer_size: 1_000,
        ..ServerConfig::default()
    };
    cluster.build_for_server(server, MemoryStorage::default()).expect("the configuration is sound")
}
