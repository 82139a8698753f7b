//! A group of replicas in one thread: commands of 64 bytes are bound, carried and applied.
//!
//! With *wire*, every message is a frame, encoded once for all its receivers and decoded by each of
//! them, with the code that real hosts use. Without, it is copied from queue to queue.

use super::command::{Command, SIZE, Tally};
use super::core::{heartbeat, slot};
use super::{ELECTION_TIMEOUT, clock, raft_config};
use crate::load::{Measured, Shape};
use quorate::id::{ClientId, GroupId, Members, Slot};
use quorate::replica::{Config, Header, Input, Output, Replica, Request};
use quorate::time::Now;
use quorate::{Machine, hlc};
use quorate_host::frame::{self, Kind};
use quorate_host::protocol::{MemberMessage, Outgoing};
use std::collections::VecDeque;

const GROUP: GroupId = GroupId::new(1);

/// Commits commands of so many clients, in turn, in a group whose log has `grown` already.
pub(super) fn run(shape: Shape, clients: u64, wire: bool, grown: u64, units: u64) -> Measured {
    let mut group = Group::new(shape.nodes, clients, wire);
    group.commit(Shape { batch: 1_000, depth: 1, ..shape }, grown);
    group.commit(shape, units);
    Measured { messages: group.host.messages, bytes: group.host.bytes }
}

/// A group and what hosts it.
struct Group {
    members: Vec<Replica<Tally>>,
    host: Host,
    /// Where a message is decoded.
    heard: MemberMessage<Command>,
    /// How many clients have a session, and how many commands they have sent together.
    clients: u64,
    sent: u64,
    /// The next requests.
    requests: Vec<Request<Command>>,
}

/// One thread that is the host of all members, and the network between them.
struct Host {
    wire: bool,
    network: VecDeque<(Slot, Members, Parcel)>,
    /// Parcels that were delivered, to be used again.
    empties: Vec<Parcel>,
    outbox: Vec<Output>,
    micros: u64,
    messages: u64,
    bytes: u64,
}

/// A message under way.
enum Parcel {
    Frame(Vec<u8>),
    Message(Box<MemberMessage<Command>>),
}

impl Host {
    /// Takes one step and does what it says; the disk is memory, so a write is durable at once.
    fn step(&mut self, replica: &mut Replica<Tally>, input: Input<'_, Command>) {
        replica.step(clock::at(self.micros), input, &mut self.outbox).expect("is taken");
        let mut done = None;
        for output in &self.outbox {
            match *output {
                Output::Persist { receipt, .. } => done = Some(Input::Persisted(receipt)),
                Output::Send { to, header } => {
                    let mut parcel = self.empties.pop().unwrap_or_else(|| Parcel::new(self.wire));
                    parcel.pack(header, replica);
                    self.network.push_back((replica.raft().config().me, to, parcel));
                }
                Output::Store { snapshot } => done = Some(Input::Stored(snapshot)),
                _ => {}
            }
        }
        self.outbox.clear();
        if let Some(done) = done {
            self.step(replica, done);
        }
    }
}

impl Parcel {
    fn new(wire: bool) -> Self {
        if wire { Self::Frame(Vec::new()) } else { Self::Message(Box::new(nothing())) }
    }

    /// Takes a message in, while the replica still knows what travels with it.
    fn pack(&mut self, header: Header, replica: &Replica<Tally>) {
        match self {
            Self::Frame(bytes) => {
                let (entries, chunk) = (replica.entries_of(&header), replica.chunk_of(&header));
                let message = Outgoing { header, entries, chunk };
                frame::encode_into(Kind::Member, GROUP, &message, bytes).expect("fits");
            }
            Self::Message(message) => {
                message.header = header;
                message.entries.clear();
                message.entries.extend(replica.entries_of(&header).cloned());
            }
        }
    }
}

impl Group {
    /// A group with a leader, and a session for each client.
    fn new(nodes: usize, clients: u64, wire: bool) -> Self {
        let mut group = Self {
            members: (0..nodes).map(|n| member(n, nodes)).collect(),
            host: Host {
                wire,
                network: VecDeque::new(),
                empties: Vec::new(),
                outbox: Vec::new(),
                micros: 0,
                messages: 0,
                bytes: 0,
            },
            heard: nothing(),
            clients,
            sent: 0,
            requests: Vec::new(),
        };
        group.members.iter_mut().for_each(|replica| group.host.step(replica, Input::Tick));
        while group.leader().is_none() {
            group.host.micros += 1_000;
            group.turn();
        }
        group.requests.extend((1..=clients).map(|n| Request::Open { client: ClientId::new(n) }));
        group.submit();
        (0..8).for_each(|_| group.turn());
        group
    }

    fn leader(&self) -> Option<usize> {
        self.members.iter().position(|replica| replica.raft().leads())
    }

    fn submit(&mut self) {
        let leader = self.leader().expect("has a leader");
        self.host.step(&mut self.members[leader], Input::Submit { requests: &self.requests });
    }

    /// Delivers what is under way now, then ticks every member whose deadline has passed.
    fn turn(&mut self) {
        let Self { members, host, heard, .. } = self;
        for _ in 0..host.network.len() {
            let Some((from, to, parcel)) = host.network.pop_front() else { break };
            for member in to.iter() {
                let heard = match &parcel {
                    Parcel::Message(message) => &**message,
                    Parcel::Frame(bytes) => {
                        host.bytes += bytes.len() as u64;
                        let body = frame::body_of(bytes, Kind::Member, GROUP).expect("is whole");
                        heard.read(body).expect("makes sense");
                        &*heard
                    }
                };
                host.messages += 1;
                let MemberMessage { header, ref entries, ref chunk } = *heard;
                let input = Input::Message { from, header, entries, chunk };
                host.step(&mut members[member.position()], input);
            }
            host.empties.push(parcel);
        }
        host.micros += 1;
        for replica in members {
            if replica.deadline().is_some_and(|at| at.as_micros() <= host.micros) {
                host.step(replica, Input::Tick);
            }
        }
    }

    /// Commits commands and applies them on every member.
    fn commit(&mut self, Shape { batch, depth, .. }: Shape, count: u64) {
        let leader = self.leader().expect("a leader was elected");
        let base = self.members[leader].state().count;
        let mut proposed = 0;
        while self.members.iter().any(|replica| replica.state().count - base < count) {
            let open = proposed - (self.members[leader].state().count - base);
            if proposed < count && open + batch <= depth * batch {
                let more = batch.min(count - proposed);
                self.requests.clear();
                for n in self.sent..self.sent + more {
                    let (client, sequence) = (n % self.clients + 1, n / self.clients + 1);
                    let (client, command) = (ClientId::new(client), Command([7; SIZE]));
                    self.requests.push(Request::Command { client, sequence, command });
                }
                self.sent += more;
                self.submit();
                proposed += more;
            }
            self.turn();
        }
    }
}

fn nothing() -> MemberMessage<Command> {
    let header = Header { message: heartbeat(), early: false, bare: false };
    MemberMessage { header, entries: Vec::new(), chunk: Vec::new() }
}

fn member(n: usize, nodes: usize) -> Replica<Tally> {
    let config = Config {
        raft: raft_config(n, nodes),
        clock: hlc::Config::default(),
        roster: quorate::membership::roster::Config::default(),
    };
    Replica::new(config, Tally::default()).expect("the configuration is sound")
}

/// A follower that has heard its leader once, and now has nothing to do.
pub(super) fn idle_follower() -> Replica<Tally> {
    let mut replica = member(0, 3);
    let now: Now = clock::at(ELECTION_TIMEOUT.as_micros());
    let header = Header { message: heartbeat(), early: false, bare: false };
    let mut input = Some(Input::Message { from: slot(1), header, entries: &[], chunk: &[] });
    let mut outbox = Vec::new();
    while let Some(next) = input.take() {
        replica.step(now, next, &mut outbox).expect("is taken");
        for output in outbox.drain(..) {
            if let Output::Persist { receipt, .. } = output {
                input = Some(Input::Persisted(receipt));
            }
        }
    }
    replica
}
