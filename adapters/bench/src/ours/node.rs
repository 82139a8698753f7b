//! Three nodes of many groups in one thread: what they hold and do when nobody asks for anything, and how a
//! busy one shares its time out.

use super::command::{Command, SIZE, Tally};
use super::core::slot;
use super::{HEARTBEAT, clock, raft_config};
use crate::load::Measured;
use quorate::id::{ClientId, GroupId, Incarnation, NodeId};
use quorate::membership::detector;
use quorate::node::{Config, Input, Node, Output, Turns};
use quorate::replica::{self, Entry, Header, Replica, Request};
use quorate::time::Span;
use quorate::{Machine, raft};
use std::collections::VecDeque;

/// How many groups there are, where that is not what is counted.
const IDLE: u64 = 10_000;
const BUSY: u64 = 500;
const NODES: usize = 3;
/// How long after the first step everybody has long been at rest.
const SETTLED: Span = Span::secs(5);

/// One node of three, with so many groups at rest; what is in use at exit is its own.
pub(super) fn hold(groups: u64) -> Measured {
    let mut world = World::new(groups);
    world.pass(SETTLED);
    assert!(world.is_at_rest(groups));
    let node = world.nodes.swap_remove(0);
    drop(world);
    Box::leak(Box::new(node));
    Measured::default()
}

/// Three nodes whose groups are at rest, for so many seconds.
pub(super) fn rest(seconds: u64) -> Measured {
    let mut world = World::new(IDLE);
    world.pass(SETTLED);
    assert!(world.is_at_rest(IDLE));
    world.pass(Span::secs(seconds));
    assert!(world.is_at_rest(IDLE));
    Measured { messages: world.messages, bytes: 0 }
}

/// Groups that always have work, in batches of one to 64 commands, of which their one leader can do so many
/// in all: Jain's index of what each has had applied, in millionths.
pub(super) fn share(commands: u64) -> Measured {
    let mut world = World::new(BUSY);
    world.pass(SETTLED);
    world.give_all_to_the_first();
    let (mut turns, mut sequences) = (Turns::new(64), vec![0; BUSY as usize]);
    for number in 0..BUSY {
        let group = GroupId::new(number);
        world.submit(group, &[Request::Open { client: ClientId::new(1) }]);
        turns.wait(group).expect("has room");
    }
    let mut left = commands;
    while left > 0 {
        let (group, may_spend) = turns.turn().expect("all wait");
        let batch = 1 + group.number() % 64;
        let sequence = &mut sequences[group.number() as usize];
        let mut cost = 0;
        while cost + batch <= may_spend && left > 0 {
            let next = |n| Request::Command {
                client: ClientId::new(1),
                sequence: *sequence + n,
                command: Command([7; SIZE]),
            };
            let requests: Vec<_> = (1..=batch).map(next).collect();
            *sequence += batch;
            cost += batch;
            left = left.saturating_sub(batch);
            world.submit(group, &requests);
        }
        turns.spent(group, cost, true);
    }
    world.pass(Span::secs(1));
    let applied = |node: &Node<Tally>, number| {
        node.group(GroupId::new(number)).expect("is open").state().count as f64
    };
    let shares: Vec<f64> = (0..BUSY).map(|number| applied(&world.nodes[1], number)).collect();
    let (sum, squares) =
        shares.iter().fold((0.0, 0.0), |(sum, squares), it| (sum + it, squares + it * it));
    let index = sum * sum / (BUSY as f64 * squares);
    Measured { messages: (index * 1e6) as u64, bytes: 0 }
}

/// What travels; everything else is as in a real host.
enum Packet {
    Group(GroupId, Header, Vec<Entry<Command>>),
    Detector(detector::Message),
}

/// Three nodes, and a network that takes no time.
struct World {
    nodes: Vec<Node<Tally>>,
    network: VecDeque<(usize, NodeId, Packet)>,
    outbox: Vec<Output>,
    micros: u64,
    messages: u64,
}

fn id(node: usize) -> NodeId {
    NodeId::new(node as u64 + 1)
}

impl World {
    fn new(groups: u64) -> Self {
        let nodes = (0..NODES).map(|node| open(node, groups)).collect();
        Self { nodes, network: VecDeque::new(), outbox: Vec::new(), micros: 0, messages: 0 }
    }

    fn is_at_rest(&self, groups: u64) -> bool {
        let rests = |node: &Node<Tally>, number| {
            node.group(GroupId::new(number)).is_some_and(|replica| replica.raft().is_resting())
        };
        self.nodes.iter().all(|node| (0..groups).all(|number| rests(node, number)))
    }

    /// Takes one step and does what it says; the disk is memory, so a write is durable at once.
    fn step(&mut self, at: usize, input: Input<'_, Command>) {
        let node = &mut self.nodes[at];
        node.step(clock::at(self.micros), input, &mut self.outbox).expect("is taken");
        let mut done = None;
        for output in self.outbox.drain(..) {
            match output {
                Output::Group { group, output: replica::Output::Persist { receipt, .. } } => {
                    done = Some((group, receipt));
                }
                Output::Group { group, output: replica::Output::Send { to, header } } => {
                    let replica = node.group(group).expect("is open");
                    for to in to.iter().filter_map(|slot| node.node_in(group, slot)) {
                        let entries = replica.entries_of(&header).cloned().collect();
                        self.network.push_back((at, to, Packet::Group(group, header, entries)));
                    }
                }
                Output::Detector(detector::Output::Send { to, message }) => {
                    self.network.push_back((at, to, Packet::Detector(message)));
                }
                _ => {}
            }
        }
        if let Some((group, receipt)) = done {
            self.step(at, Input::Group { group, input: replica::Input::Persisted(receipt) });
        }
    }

    /// Hands every group that another node leads over to the first.
    fn give_all_to_the_first(&mut self) {
        for (at, group) in (1..NODES).flat_map(|at| (0..BUSY).map(move |n| (at, GroupId::new(n)))) {
            if self.nodes[at].group(group).is_some_and(|replica| replica.raft().leads()) {
                let input = replica::Input::Transfer(slot(0));
                self.step(at, Input::Group { group, input });
                self.deliver();
            }
        }
    }

    fn deliver(&mut self) {
        while let Some((from, to, packet)) = self.network.pop_front() {
            self.messages += 1;
            let (to, from) = (to.number() as usize - 1, id(from));
            match packet {
                Packet::Group(group, header, entries) => {
                    let (incarnation, entries) = (Incarnation::new(1), &entries[..]);
                    let chunk = &[];
                    let input = Input::Message { from, incarnation, group, header, entries, chunk };
                    self.step(to, input);
                }
                Packet::Detector(message) => self.step(to, Input::Detector { from, message }),
            }
        }
    }

    fn submit(&mut self, group: GroupId, requests: &[Request<Command>]) {
        self.step(0, Input::Group { group, input: replica::Input::Submit { requests } });
        self.deliver();
    }

    /// Lets time pass.
    fn pass(&mut self, span: Span) {
        let end = self.micros + span.as_micros();
        loop {
            self.deliver();
            let due = |node: &Node<Tally>| node.deadline().map(|at| at.as_micros());
            let dues =
                self.nodes.iter().enumerate().filter_map(|(at, node)| Some((due(node)?, at)));
            let Some((micros, at)) = dues.min().filter(|(micros, _)| *micros <= end) else { break };
            self.micros = self.micros.max(micros);
            self.step(at, Input::Tick);
        }
        self.micros = end;
    }
}

/// A node with a member of every group.
fn open(at: usize, groups: u64) -> Node<Tally> {
    let detector = detector::Config::lan(id(at), Incarnation::new(1));
    let grain = HEARTBEAT.divided(3);
    let mut node = Node::new(Config { detector, grain }).expect("the configuration is sound");
    let nodes: [_; NODES] = std::array::from_fn(|node| Some(id(node)));
    for number in 0..groups {
        let (me, seed) = (slot(at), number << 8 | at as u64);
        let base = raft_config(at, NODES);
        let raft = raft::Config { me, seed, rests: true, ..base };
        let (clock, roster) = Default::default();
        let config = replica::Config { raft, clock, roster };
        let replica = Replica::new(config, Tally::default()).expect("the configuration is sound");
        node.open(GroupId::new(number), replica, &nodes).expect("there is room");
    }
    node
}
