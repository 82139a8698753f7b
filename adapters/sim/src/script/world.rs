//! The world that a script drives: nodes with their disks and clocks, and one network.
//!
//! A step's outputs wait until the node is *processed*: then its writes are durable, the machine hears of
//! it, and messages are on the network, where they wait until they are delivered. A crash loses what
//! waits. Each node has a clock of its own, which moves only by commands, as a count of ticks would.
//!
//! Raft sees identities and never what entries carry. What they carry is kept here, by identity, once for
//! all nodes: two entries of one identity are one entry.

use super::language::{Command, MOST_NODES, Messages, Node, Transition};
use super::print;
use crate::raft::{Outputs, Setup};
use quorate::Machine;
use quorate::event::{Event, Ignored};
use quorate::id::{EntryId, Index, Members, Slot, Term};
use quorate::limits::Limits;
use quorate::raft::{
    Base, Change, Configuration, Input, Message, Output, Raft, Receipt, Snapshot, Write,
};
use quorate::time::{Instant, Now, Span};
use std::collections::BTreeMap;

/// Three heartbeats are an election timeout, as in etcd's tests.
const ELECTION_TIMEOUT: Span = Span::millis(150);
const HEARTBEAT: Span = Span::millis(50);

/// A group that is not quiet after so many rounds will never be.
const MOST_ROUNDS: usize = 10_000;

/// The most messages on their way; what is sent beyond that is lost.
const MOST_PARCELS: usize = 10_000;

/// The most messages that `status` lists.
const MOST_SHOWN: usize = 100;

/// All nodes and the network.
pub(super) struct World {
    pub(super) nodes: BTreeMap<Node, Member>,
    /// What is on its way, oldest first.
    pub(super) network: Vec<Parcel>,
    /// What entries carry, by identity; a leader's first entry carries nothing.
    pub(super) texts: BTreeMap<EntryId, String>,
    /// The parts of the network; a node that is in none talks to all that are in none.
    parts: Vec<Vec<Node>>,
    /// The snapshots that were ever taken: what two members take at one entry is the same.
    snapshots: BTreeMap<EntryId, Base>,
    /// Nobody else's time passes when one campaigns.
    is_loyal: bool,
    /// Who campaigns asks first whether it would be elected.
    asks: bool,
}

/// A message on its way.
#[derive(Clone, Copy)]
pub(super) struct Parcel {
    pub(super) from: Node,
    pub(super) to: Node,
    pub(super) message: Message,
}

/// A node: its machine while it lives, and what outlives that.
pub(super) struct Member {
    me: Node,
    pub(super) machine: Option<Raft>,
    /// What its disk says, while it is down.
    remains: Option<Raft>,
    /// Who votes in a log that has just begun.
    voters: Members,
    limits: Limits,
    disk: Disk,
    now: Instant,
    lives: u64,
    /// What the machine wants done and is not done yet.
    pub(super) wanted: Vec<Wanted>,
    /// Up to where its host was told that entries are committed.
    pub(super) applied: Index,
}

#[derive(Default)]
struct Disk {
    base: Option<Base>,
    writes: Vec<Write>,
}

/// An output as it is encoded: what a rebase stands for is taken when it is said.
pub(super) enum Wanted {
    Write { receipt: Receipt, writes: Vec<Write>, takes_all: bool },
    Send { to: Members, message: Message },
    Store(Snapshot),
    Tell(Output),
}

impl World {
    pub(super) const fn new() -> Self {
        Self {
            nodes: BTreeMap::new(),
            network: Vec::new(),
            texts: BTreeMap::new(),
            parts: Vec::new(),
            snapshots: BTreeMap::new(),
            is_loyal: false,
            asks: true,
        }
    }

    /// Does what a command says. Returns what happened, a line each.
    pub(super) fn obey(&mut self, command: &Command) -> Vec<String> {
        let mut tale = Vec::new();
        match command {
            Command::AddNodes { count, voters, learners, index, inflight, is_loyal, asks } => {
                self.is_loyal |= is_loyal;
                self.asks = asks.unwrap_or(self.asks);
                self.add_nodes(*count, voters, learners, *index, *inflight);
            }
            Command::Campaign { node, asks } => {
                self.campaign(*node, asks.unwrap_or(self.asks), &mut tale);
            }
            Command::Propose { node, text } => self.propose(*node, text, &mut tale),
            Command::Change { node, transition, changes, is_named } => {
                self.change(*node, *transition, changes, *is_named, &mut tale);
            }
            Command::Deliver { which, lost_to } => {
                let lost = Messages { to: lost_to.clone(), ..Messages::default() };
                if !lost_to.is_empty() {
                    self.lose(&lost, &mut tale);
                }
                if let Some(which) = which {
                    self.deliver(which, &mut tale);
                }
            }
            Command::Drop(which) => self.lose(which, &mut tale),
            Command::ProcessReady(nodes) => {
                for node in self.these(nodes) {
                    self.process(node, &mut tale);
                }
            }
            Command::Stabilize(nodes) => self.stabilize(&self.these(nodes), &mut tale),
            Command::TickElection(nodes) => {
                nodes.iter().for_each(|node| self.tick_election(*node, &mut tale));
            }
            Command::TickHeartbeat(nodes) => {
                nodes.iter().for_each(|node| self.tick_heartbeat(*node, &mut tale));
            }
            Command::Transfer { from, to } => {
                if self.ask(*from, Input::Transfer(Slot::new(*to)), &mut tale) {
                    tale.push(format!(". {from} hands over to {to}"));
                }
            }
            Command::Compact { node, index } => self.compact(*node, *index, &mut tale),
            Command::Crash(nodes) => nodes.iter().for_each(|node| self.crash(*node, &mut tale)),
            Command::Restart(nodes) => nodes.iter().for_each(|node| self.restart(*node, &mut tale)),
            Command::Partition(parts) => {
                self.parts.clone_from(parts);
                tale.push(format!(". network {}", self.parts_in_words()));
            }
            Command::Heal => self.parts.clear(),
            Command::Status(nodes) => {
                for node in self.these(nodes) {
                    print::status(self, node, &mut tale);
                }
                let shown = self.network.iter().take(MOST_SHOWN);
                tale.extend(shown.map(|it| format!(". on its way {}", self.tell(it))));
                let more = self.network.len().saturating_sub(MOST_SHOWN);
                tale.extend((more > 0).then(|| format!(". on its way {more} more")));
            }
            Command::RaftLog(nodes) => {
                for node in self.these(nodes) {
                    print::log(self, node, &mut tale);
                }
            }
            Command::LogLevel { .. } => {}
        }
        tale
    }

    /// These nodes, or all if none is named.
    fn these(&self, nodes: &[Node]) -> Vec<Node> {
        if nodes.is_empty() { self.nodes.keys().copied().collect() } else { nodes.to_vec() }
    }

    fn add_nodes(
        &mut self,
        count: u8,
        voters: &[Node],
        learners: &[Node],
        index: Option<u64>,
        inflight: Option<usize>,
    ) {
        let of = |nodes: &[Node]| nodes.iter().map(|node| Slot::new(*node)).collect::<Members>();
        let (voters, learners) = (of(voters), of(learners));
        let learn: Vec<_> = learners.iter().map(Change::AddLearner).collect();
        let founded = Configuration::of(voters);
        let base = index.map(|index| {
            // Who is not to vote is no voter, so this is no more than one simple change.
            let configuration = founded.simple(&learn).unwrap_or(founded);
            base_at(EntryId::new(Term::new(1), Index::new(index)), configuration)
        });
        if let Some(base) = base {
            self.snapshots.insert(base.snapshot.boundary, base);
        }
        let window = inflight.unwrap_or(Limits::default().window);
        for _ in 0..count {
            let me = self.nodes.keys().next_back().map_or(1, |last| last + 1);
            let rebase =
                |base: Base| Write::Rebase { term: base.snapshot.boundary.term, vote: None, base };
            let disk = Disk { base, writes: base.map(rebase).into_iter().collect() };
            let mut member = Member {
                me,
                machine: None,
                remains: None,
                voters,
                limits: Limits { window, ..Limits::default() },
                disk,
                now: Instant::ORIGIN,
                lives: 0,
                wanted: Vec::new(),
                applied: Index::ZERO,
            };
            member.start();
            // A member that starts keeps the promise of a former life for an election timeout.
            member.now = member.now.after(ELECTION_TIMEOUT);
            self.nodes.insert(me, member);
        }
    }

    fn campaign(&mut self, node: Node, asks: bool, tale: &mut Vec<String>) {
        let Some(member) = self.living(node, tale) else { return };
        if member.leads() {
            return tale.push(format!("! {node} leads already"));
        }
        if !self.is_loyal {
            let others = self.nodes.values_mut().filter(|member| member.me != node);
            for other in others.filter(|member| !member.leads()) {
                other.now = other.now.after(ELECTION_TIMEOUT);
            }
        }
        self.ring(node, tale);
        if !asks {
            self.spare_the_question(node, tale);
        }
        let Some(machine) = self.machine(node) else { return };
        if machine.role() == "follower" {
            let configuration = machine.configuration();
            let electable = configuration.electorate().minus(configuration.witnesses());
            let why = match electable.contains(Slot::new(node)) {
                false => "it does not vote, as far as it knows",
                true => "its last ballot is not on disk, or its log has no room",
            };
            tale.push(format!("! {node} cannot campaign: {why}"));
        }
    }

    /// Has a node hear that it would be elected, before it asks. Such an answer promises nothing, so this
    /// breaks no promise; it is how a group without pre-vote behaves.
    fn spare_the_question(&mut self, node: Node, tale: &mut Vec<String>) {
        let Some(machine) = self.machine(node).filter(|it| it.role() == "canvasser") else {
            return;
        };
        let (term, electorate) = (machine.term(), machine.configuration().electorate());
        let Some(proposed) = term.next() else { return };
        if let Some(member) = self.nodes.get_mut(&node) {
            let is_question = |wanted: &Wanted| {
                matches!(wanted, Wanted::Send { message: Message::PreVote { .. }, .. })
            };
            member.wanted.retain(|wanted| !is_question(wanted));
        }
        let message = Message::PreVoteReply { term, proposed, granted: true };
        for from in electorate.without(Slot::new(node)).iter() {
            if self.machine(node).is_some_and(|machine| machine.role() == "canvasser") {
                self.step(node, Input::Message { from, message }, tale);
            }
        }
    }

    /// Lets a node's time pass up to its alarm. One that has slept through it sets it anew.
    fn ring(&mut self, node: Node, tale: &mut Vec<String>) {
        for _ in 0..2 {
            let Some(member) = self.nodes.get_mut(&node) else { return };
            let Some(alarm) = member.machine.as_ref().and_then(Machine::deadline) else { return };
            let has_overslept = member.now.since(alarm) > ELECTION_TIMEOUT;
            member.now = member.now.max(alarm);
            self.step(node, Input::Tick, tale);
            if !has_overslept {
                return;
            }
        }
    }

    fn tick_election(&mut self, node: Node, tale: &mut Vec<String>) {
        let Some(member) = self.living(node, tale) else { return };
        if !member.leads() {
            self.ring(node, tale);
            if !self.asks {
                self.spare_the_question(node, tale);
            }
            return;
        }
        // A leader's timers all ring in that time, each when it is due.
        let end = member.now.after(ELECTION_TIMEOUT);
        while let Some(member) = self.nodes.get_mut(&node).filter(|member| member.leads()) {
            let due = member.machine.as_ref().and_then(Machine::deadline);
            let Some(due) = due.filter(|due| *due <= end) else { break };
            member.now = member.now.max(due);
            self.step(node, Input::Tick, tale);
        }
        if let Some(member) = self.nodes.get_mut(&node) {
            member.now = member.now.max(end);
        }
    }

    fn tick_heartbeat(&mut self, node: Node, tale: &mut Vec<String>) {
        if let Some(member) = self.living(node, tale) {
            member.now = member.now.after(HEARTBEAT);
            self.step(node, Input::Tick, tale);
        }
    }

    fn propose(&mut self, node: Node, text: &str, tale: &mut Vec<String>) {
        if self.ask(node, Input::Propose { count: 1 }, tale) {
            self.appended(node, Some(text), tale);
        }
    }

    fn change(
        &mut self,
        node: Node,
        transition: Transition,
        changes: &[Change],
        is_named: bool,
        tale: &mut Vec<String>,
    ) {
        let Some(machine) = self.machine(node) else { return tale.push(is_down(node)) };
        let now = machine.configuration();
        let next = match transition {
            Transition::Simple | Transition::Auto if !is_named => now.leave_joint(),
            Transition::Simple => now.simple(changes),
            Transition::Auto if changes.len() < 2 => now.simple(changes),
            Transition::Auto | Transition::Implicit => now.enter_joint(true, changes),
            Transition::Explicit => now.enter_joint(false, changes),
        };
        match next {
            Err(why) => tale.push(format!("! {node} refuses: {why}")),
            Ok(next) => {
                if self.ask(node, Input::Reconfigure(next), tale) {
                    self.appended(node, None, tale);
                }
            }
        }
    }

    /// Tells of the entry that a node has just appended, and takes note of what it carries.
    fn appended(&mut self, node: Node, text: Option<&str>, tale: &mut Vec<String>) {
        let Some(machine) = self.machine(node) else { return };
        let entry = machine.log().last();
        if let Some(text) = text {
            self.texts.insert(entry, format!("{text:?}"));
        }
        let line = self.machine(node).map(|machine| print::entry(self, machine, entry));
        tale.extend(line.map(|line| format!(". {node} appends {line}")));
    }

    fn compact(&mut self, node: Node, index: Option<u64>, tale: &mut Vec<String>) {
        let applied = self.nodes.get(&node).map_or(Index::ZERO, |member| member.applied);
        let Some(machine) = self.machine(node) else { return tale.push(is_down(node)) };
        let (log, index) = (machine.log(), index.map_or(applied, Index::new));
        let term = match log.term_at(index) {
            _ if index <= log.floor().index => {
                return tale.push(format!("! {node} refuses: {index} is compacted already"));
            }
            Some(term) if index <= applied => term,
            _ => {
                let what = format!("{index} is not applied; what is applied ends at {applied}");
                return tale.push(format!("! {node} refuses: {what}"));
            }
        };
        let base = base_at(EntryId::new(term, index), *log.configuration_at(index));
        self.snapshots.insert(base.snapshot.boundary, base);
        self.store(node, base, tale);
    }

    /// A snapshot becomes durable, and the machine hears of it.
    fn store(&mut self, node: Node, base: Base, tale: &mut Vec<String>) {
        let boundary = base.snapshot.boundary;
        if let Some(member) = self.nodes.get_mut(&node) {
            let newest = member.disk.base.map_or(Index::ZERO, |base| base.snapshot.boundary.index);
            if boundary.index > newest {
                member.disk.base = Some(base);
            }
            member.applied = member.applied.max(boundary.index);
        }
        tale.push(format!(". {node} stores snapshot {}", print::id(boundary)));
        self.step(node, Input::Stored(base), tale);
    }

    fn crash(&mut self, node: Node, tale: &mut Vec<String>) {
        if let Some(member) = self.living(node, tale) {
            let lost = member.wanted.len();
            member.machine = None;
            member.remains = member.on_disk();
            member.wanted.clear();
            let loses = if lost > 0 { ", and loses what was not processed" } else { "" };
            tale.push(format!(". {node} crashes{loses}"));
        }
    }

    fn restart(&mut self, node: Node, tale: &mut Vec<String>) {
        let Some(member) = self.nodes.get_mut(&node) else { return };
        if member.machine.is_some() {
            self.crash(node, tale);
        }
        if let Some(member) = self.nodes.get_mut(&node) {
            member.start();
            tale.push(format!(". {node} starts from its disk"));
        }
    }

    /// Asks a node for something. Tells whether it was taken.
    fn ask(&mut self, node: Node, input: Input, tale: &mut Vec<String>) -> bool {
        if self.machine(node).is_none() {
            tale.push(is_down(node));
            return false;
        }
        self.step(node, input, tale)
    }

    /// Gives a living node an input, and keeps what it wants done. Tells whether it was taken.
    fn step(&mut self, node: Node, input: Input, tale: &mut Vec<String>) -> bool {
        let Some(member) = self.nodes.get_mut(&node) else { return false };
        match member.step(input) {
            Err(why) => {
                tale.push(why);
                false
            }
            Ok(events) => {
                tale.extend(events.into_iter().filter_map(|event| happened(node, event)));
                true
            }
        }
    }

    /// Does everything that a node wants done, and what it then wants.
    fn process(&mut self, node: Node, tale: &mut Vec<String>) {
        while let Some(member) = self.nodes.get_mut(&node).filter(|it| !it.wanted.is_empty()) {
            let wanted = std::mem::take(&mut member.wanted);
            let (mut newest, mut stored) = (None, Vec::new());
            for wanted in wanted {
                match wanted {
                    Wanted::Write { receipt, writes, takes_all } => {
                        tale.extend(writes.iter().map(|write| {
                            format!(". {node} writes {}", print::write(&self.texts, write))
                        }));
                        newest = Some(receipt);
                        if let Some(member) = self.nodes.get_mut(&node) {
                            if takes_all {
                                member.disk.writes.clear();
                            }
                            member.disk.writes.extend(writes);
                        }
                    }
                    Wanted::Send { to, message } => {
                        for to in to.iter().map(Slot::number) {
                            let parcel = Parcel { from: node, to, message };
                            if self.network.len() < MOST_PARCELS {
                                tale.push(format!(". sends {}", self.tell(&parcel)));
                                self.network.push(parcel);
                            } else {
                                let words = self.tell(&parcel);
                                tale.push(format!(". loses {words}: the network is full"));
                            }
                        }
                    }
                    Wanted::Store(snapshot) => {
                        stored.extend(self.snapshots.get(&snapshot.boundary).copied());
                    }
                    Wanted::Tell(output) => self.told(node, output, tale),
                }
            }
            for base in stored {
                self.store(node, base, tale);
            }
            if let Some(receipt) = newest {
                self.step(node, Input::Persisted(receipt), tale);
            }
        }
    }

    fn told(&mut self, node: Node, output: Output, tale: &mut Vec<String>) {
        match output {
            Output::Committed { index } => {
                let Some(member) = self.nodes.get_mut(&node) else { return };
                // What the snapshot covers came with it.
                let floor =
                    member.machine.as_ref().map_or(Index::ZERO, |it| it.log().floor().index);
                let first = member.applied.max(floor).next();
                member.applied = member.applied.max(index);
                if first <= index {
                    tale.push(format!(". {node} applies {}", print::span(first, index)));
                }
            }
            Output::NotTransferred { to } => {
                tale.push(format!(". {node} gives up handing over to {to}"));
            }
            _ => {}
        }
    }

    /// Delivers these messages, oldest first; what they cause waits.
    fn deliver(&mut self, which: &Messages, tale: &mut Vec<String>) {
        let waiting = std::mem::take(&mut self.network);
        let (now, later) = waiting.into_iter().partition(|it: &Parcel| is_meant(which, it));
        self.network = later;
        for parcel in now {
            self.arrive(&parcel, tale);
        }
    }

    fn arrive(&mut self, parcel: &Parcel, tale: &mut Vec<String>) {
        let Parcel { from, to, message } = *parcel;
        let why = match self.nodes.get(&to) {
            None => Some("no such node"),
            Some(member) if member.machine.is_none() => Some("it is down"),
            Some(_) if self.side_of(from) != self.side_of(to) => Some("the network is parted"),
            Some(_) => None,
        };
        if let Some(why) = why {
            return tale.push(format!(". loses {}: {why}", self.tell(parcel)));
        }
        tale.push(format!(". hears {}", self.tell(parcel)));
        self.step(to, Input::Message { from: Slot::new(from), message }, tale);
    }

    fn lose(&mut self, which: &Messages, tale: &mut Vec<String>) {
        let waiting = std::mem::take(&mut self.network);
        let (lost, kept): (Vec<_>, _) =
            waiting.into_iter().partition(|it: &Parcel| is_meant(which, it));
        tale.extend(lost.iter().map(|it| format!(". drops {}", self.tell(it))));
        self.network = kept;
    }

    /// Processes and delivers in turns, as long as there is something to do.
    fn stabilize(&mut self, nodes: &[Node], tale: &mut Vec<String>) {
        for _ in 0..MOST_ROUNDS {
            let before = tale.len();
            nodes.iter().for_each(|node| self.process(*node, tale));
            for node in nodes {
                self.deliver(&Messages { to: vec![*node], ..Messages::default() }, tale);
            }
            if tale.len() == before {
                // Nobody hears what was sent to nodes that are not there.
                if nodes.len() == self.nodes.len() {
                    self.deliver(&Messages::default(), tale);
                }
                return;
            }
        }
        tale.push("! it does not become quiet".to_owned());
    }

    /// The part of the network that a node is in.
    fn side_of(&self, node: Node) -> Option<usize> {
        self.parts.iter().position(|part| part.contains(&node))
    }

    fn parts_in_words(&self) -> String {
        let rest: Vec<Node> =
            self.nodes.keys().copied().filter(|node| self.side_of(*node).is_none()).collect();
        let parts = self.parts.iter().chain(Some(&rest)).filter(|part| !part.is_empty());
        parts.map(|part| print::nodes_in_words(part)).collect::<Vec<_>>().join(" ")
    }

    fn tell(&self, parcel: &Parcel) -> String {
        print::parcel(&self.texts, parcel)
    }

    pub(super) fn machine(&self, node: Node) -> Option<&Raft> {
        self.nodes.get(&node)?.machine.as_ref()
    }

    /// A node that lives; if it does not, that is told.
    fn living(&mut self, node: Node, tale: &mut Vec<String>) -> Option<&mut Member> {
        let member = self.nodes.get_mut(&node).filter(|member| member.machine.is_some());
        if member.is_none() {
            tale.push(is_down(node));
        }
        member
    }
}

fn is_down(node: Node) -> String {
    format!("! {node} is down")
}

fn is_meant(which: &Messages, parcel: &Parcel) -> bool {
    which.from.is_none_or(|from| from == parcel.from)
        && (which.to.is_empty() || which.to.contains(&parcel.to))
        && which.kind.as_ref().is_none_or(|kind| print::is_kind(kind, &parcel.message))
}

/// What a log goes on from: here a snapshot is named by its last entry alone.
const fn base_at(boundary: EntryId, configuration: Configuration) -> Base {
    let digest = boundary.index.number();
    Base { snapshot: Snapshot { boundary, size: 1, digest }, configuration }
}

impl Member {
    fn leads(&self) -> bool {
        self.machine.as_ref().is_some_and(Raft::leads)
    }

    /// Its machine, or, while it is down, what its disk says.
    pub(super) fn shown(&self) -> Option<&Raft> {
        self.machine.as_ref().or(self.remains.as_ref())
    }

    /// What its disk says: a machine that has not taken a step.
    fn on_disk(&self) -> Option<Raft> {
        let (voters, limits) = (self.voters, self.limits);
        let setup = Setup {
            voters,
            limits,
            election_timeout: ELECTION_TIMEOUT,
            heartbeat: HEARTBEAT,
            ..Setup::of(1)
        };
        let config = setup.config(Slot::new(self.me), self.lives);
        let mut machine = Raft::recover(config, self.disk.base).ok()?;
        self.disk.writes.iter().for_each(|write| machine.replay(write));
        Some(machine)
    }

    /// Starts from the disk. A first tick sets the clock.
    fn start(&mut self) {
        self.lives += 1;
        (self.machine, self.remains) = (self.on_disk(), None);
        self.applied =
            self.machine.as_ref().map_or(Index::ZERO, |machine| machine.log().floor().index);
        // What the first step tells is what the state line shows.
        let _ = self.step(Input::Tick);
    }

    /// Takes a step. What it wants done waits.
    fn step(&mut self, input: Input) -> Result<Vec<Event>, String> {
        let Some(machine) = &mut self.machine else { return Err(is_down(self.me)) };
        let mut out = Outputs::with_room(machine.max_outputs());
        let now = Now { mono: self.now, wall: None };
        let taken = machine.step(now, input, &mut out);
        taken.map_err(|why| format!("! {} refuses: {why}", self.me))?;
        for output in out.outputs {
            self.wanted.push(match output {
                Output::Persist { receipt, write: Write::Rebase { .. } } => {
                    let writes = machine.image().collect();
                    Wanted::Write { receipt, writes, takes_all: true }
                }
                Output::Persist { receipt, write } => {
                    Wanted::Write { receipt, writes: vec![write], takes_all: false }
                }
                Output::Send { to, message } => Wanted::Send { to, message },
                Output::SnapshotReceived { snapshot } => Wanted::Store(snapshot),
                Output::Committed { .. } | Output::NotTransferred { .. } => Wanted::Tell(output),
                // The state line shows them.
                _ => continue,
            });
        }
        Ok(out.events)
    }
}

/// What happened inside a machine, if no other line says so.
fn happened(node: Node, event: Event) -> Option<String> {
    Some(match event {
        Event::Ignored { from, why: Ignored::Promised } => {
            format!(". {node} refuses its vote to {from}: it has promised it to its leader")
        }
        Event::Ignored { from, why } => format!(". {node} ignores {from}: {why:?}"),
        Event::SteppedDown { term, why } => format!(". {node} stops leading term {term}: {why:?}"),
        Event::Truncated { from } => format!(". {node} cuts its log from {from} on"),
        Event::LogLost { by, matched } => {
            format!(". {node} finds that {by} has lost what it acknowledged up to {matched}")
        }
        Event::Installed { boundary } => {
            format!(". {node} takes snapshot {} for its log", print::id(boundary))
        }
        Event::Stopped { why } => format!(". {node} stops for good: {why:?}"),
        _ => return None,
    })
}

const _: () = assert!((MOST_NODES as usize) < Members::MOST);
