//! A group in one process: virtual time, a network that does what it is told, disks that lose what
//! was not synced.
//!
//! Everything can be driven by hand, one message and one write at a time, and is told in a
//! transcript that reads as a story; [`Cluster::settle`] and [`Cluster::pass`] do the obvious in
//! bulk, and [`Cluster::shuffle`] does anything at all, by seed. The machines are the shipped ones.

use quorate::id::{Index, Members, Slot};
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Span, Wall};
use quorate::{Refused, raft};
use std::fmt::{self, Debug, Display, Write as _};

/// A machine that the simulator can host.
pub trait Subject: Sized + Clone {
    /// How all members are set up.
    type Setup: Clone;
    /// What a host may ask of it.
    type Ask: Clone + Debug;
    /// A message with its payload, as it travels.
    type Packet: Clone + Display;
    /// A write with its payload, as it is stored.
    type Record: Clone + Display;
    /// What confirms a write.
    type Receipt: Copy;
    /// What it tells its host.
    type Told: Clone + Debug;

    /// Starts a member from what is on its disk.
    fn boot(setup: &Self::Setup, me: Slot, life: u64, disk: &Disk<Self>) -> Self;

    /// Takes one step and encodes its outputs.
    ///
    /// # Errors
    /// [`Refused`], and nothing has happened.
    fn step(
        &mut self,
        now: Now,
        input: Stimulus<Self>,
        effects: &mut Vec<Effect<Self>>,
    ) -> Result<(), Refused>;

    /// When it wants a tick.
    fn deadline(&self) -> Option<Instant>;

    /// What its host was told, in a story's words.
    fn in_words(told: &Self::Told) -> String {
        format!("says {told:?}")
    }
}

/// What the simulator tells a machine.
#[derive(Clone, Debug)]
pub enum Stimulus<S: Subject> {
    /// A deadline has passed.
    Tick,
    /// A message came in.
    Packet(Slot, S::Packet),
    /// A write, and all before it, are durable.
    Persisted(S::Receipt),
    /// A write failed.
    PersistFailed,
    /// A snapshot is durable.
    Stored(raft::Snapshot),
    /// The host asks for something.
    Ask(S::Ask),
}

/// What a machine wants done, encoded.
#[derive(Clone, Debug)]
pub enum Effect<S: Subject> {
    /// Write a record; one that replaces all others is a rebase.
    Persist {
        /// Confirms it.
        receipt: S::Receipt,
        /// The record.
        record: S::Record,
        /// Whether it takes the place of everything before it.
        rebase: bool,
    },
    /// Send a packet.
    Send(Members, S::Packet),
    /// Store a snapshot's bytes.
    Store(raft::Snapshot, Vec<u8>),
    /// The host is told something.
    Tell(S::Told),
}

/// What a disk holds, and what is on its way to it.
#[derive(Clone, Debug)]
pub struct Disk<S: Subject> {
    /// Durable records, in order.
    pub records: Vec<S::Record>,
    /// The newest durable snapshot.
    pub snapshot: Option<(raft::Snapshot, Vec<u8>)>,
    pending: Vec<(S::Receipt, S::Record, bool)>,
    /// Durable snapshots that the machine was not told of.
    unsaid: Vec<raft::Snapshot>,
}

impl<S: Subject> Disk<S> {
    /// A disk that holds these records.
    pub const fn of(records: Vec<S::Record>) -> Self {
        Self { records, snapshot: None, pending: Vec::new(), unsaid: Vec::new() }
    }

    /// Up to where the newest durable snapshot reaches.
    pub fn newest_snapshot(&self) -> Index {
        self.snapshot.as_ref().map_or(Index::ZERO, |(snapshot, _)| snapshot.boundary.index)
    }
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub struct Flight<P> {
    /// Who sent it.
    pub from: Slot,
    /// Who is to get it.
    pub to: Slot,
    /// What it is.
    pub packet: P,
}

/// A member: a machine while it lives, and its disk, which outlives it.
#[derive(Clone)]
pub struct Node<S: Subject> {
    /// The machine, unless it has crashed.
    pub machine: Option<S>,
    /// Its disk.
    pub disk: Disk<S>,
    /// Everything the host was told in this life.
    pub told: Vec<S::Told>,
    /// Writes reach the disk, and the machine hears of it, as soon as they are made.
    pub disk_is_fast: bool,
    /// How far its civil clock is ahead of the true time, in microseconds; none if it has no clock.
    pub wall_ahead_micros: Option<i64>,
    /// How often it was started.
    pub lives: u64,
}

/// A group of members, one network and one clock.
#[derive(Clone)]
pub struct Cluster<S: Subject> {
    /// The members, by slot.
    pub nodes: Vec<Node<S>>,
    /// What is on its way, oldest first.
    pub flights: Vec<Flight<S::Packet>>,
    /// How the members are set up.
    pub setup: S::Setup,
    /// The outputs of each step are performed in an order drawn from this, if it is there.
    pub disorder: Option<Rng>,
    /// How many packets were ever sent; the newest stand last in `flights`.
    pub sent: usize,
    now: Instant,
    cut: Vec<(Slot, Slot)>,
    story: String,
    is_told: bool,
}

/// Where civil time stands when the simulation begins: an arbitrary day in 2026.
const EPOCH_MICROS: u64 = 1_790_000_000_000_000;

impl<S: Subject> Cluster<S> {
    /// A group of `count` members that have never lived before.
    pub fn new(count: u8, setup: S::Setup) -> Self {
        let mut cluster = Self {
            nodes: Vec::new(),
            flights: Vec::new(),
            setup,
            disorder: None,
            sent: 0,
            now: Instant::from_micros(1_000_000),
            cut: Vec::new(),
            story: String::new(),
            is_told: true,
        };
        for slot in (0..count).map(Slot::new) {
            let disk = Disk::of(Vec::new());
            cluster.nodes.push(Node {
                machine: None,
                disk,
                told: Vec::new(),
                disk_is_fast: true,
                wall_ahead_micros: Some(0),
                lives: 0,
            });
            cluster.start(slot);
        }
        cluster
    }

    /// Everything that has happened, a line each.
    pub fn story(&self) -> &str {
        &self.story
    }

    /// Tells the story from here on, or tells nothing: a long run is several times faster so.
    pub fn is_told(&mut self, is_told: bool) {
        self.is_told = is_told;
    }

    /// Adds a line to the story.
    pub fn note(&mut self, line: &str) {
        self.tell(format_args!("{line}"));
    }

    fn tell(&mut self, line: fmt::Arguments<'_>) {
        if self.is_told {
            let since_start = self.now.since(Instant::from_micros(1_000_000)).as_micros();
            let _ = writeln!(self.story, "{:>9.3} {line}", since_start as f64 / 1_000.0);
        }
    }

    /// The true time.
    pub fn now(&self) -> Now {
        Now::both(self.now, Wall::from_micros(EPOCH_MICROS + self.now.as_micros()))
    }

    /// What time a member believes that it is.
    pub fn now_of(&self, slot: Slot) -> Now {
        let true_time = EPOCH_MICROS + self.now.as_micros();
        let ahead = self.nodes[slot.position()].wall_ahead_micros;
        let wall = ahead.map(|ahead| Wall::from_micros(true_time.saturating_add_signed(ahead)));
        Now { mono: self.now, wall }
    }

    /// The machine of a living member.
    ///
    /// # Panics
    /// If it has crashed: the test is wrong.
    pub fn machine(&self, slot: u8) -> &S {
        self.nodes[usize::from(slot)].machine.as_ref().expect("the member lives")
    }

    /// All living members.
    pub fn living(&self) -> Vec<Slot> {
        (0..self.nodes.len() as u8)
            .map(Slot::new)
            .filter(|slot| self.nodes[slot.position()].machine.is_some())
            .collect()
    }

    /// Starts a member from its disk; one that lives is left alone.
    pub fn start(&mut self, slot: Slot) {
        let node = &mut self.nodes[slot.position()];
        if node.machine.is_none() {
            node.lives += 1;
            node.told.clear();
            node.machine = Some(S::boot(&self.setup, slot, node.lives, &node.disk));
            self.tell(format_args!("n{slot} starts"));
        }
    }

    /// Ends a member; what was not durable is lost, but the first `kept` pending writes.
    pub fn crash(&mut self, slot: Slot, kept: usize) {
        let node = &mut self.nodes[slot.position()];
        if node.machine.take().is_some() {
            node.disk.unsaid.clear();
            let pending = std::mem::take(&mut node.disk.pending);
            pending.into_iter().take(kept).for_each(|(_, record, rebase)| {
                store(&mut node.disk, record, rebase);
            });
            self.tell(format_args!("n{slot} crashes"));
        }
    }

    /// Crashes a member and starts it again.
    pub fn restart(&mut self, slot: u8) {
        self.crash(Slot::new(slot), 0);
        self.start(Slot::new(slot));
    }

    /// Gives a member one input and performs what it says.
    ///
    /// # Errors
    /// [`Refused`], and nothing has happened.
    pub fn step(&mut self, slot: Slot, input: Stimulus<S>) -> Result<(), Refused> {
        let mut effects = self.encode(slot, input)?;
        if let Some(rng) = &mut self.disorder {
            shuffle_but_writes(&mut effects, rng);
        }
        effects.into_iter().for_each(|effect| self.perform(slot, effect));
        if self.nodes[slot.position()].disk_is_fast {
            self.persist(slot, usize::MAX);
        }
        Ok(())
    }

    /// Gives a member one input, and leaves it to the caller to perform what it says.
    ///
    /// # Errors
    /// [`Refused`], and nothing has happened.
    pub fn encode(&mut self, slot: Slot, input: Stimulus<S>) -> Result<Vec<Effect<S>>, Refused> {
        let (now, mut effects) = (self.now_of(slot), Vec::new());
        if let Some(machine) = self.nodes[slot.position()].machine.as_mut() {
            machine.step(now, input, &mut effects)?;
        }
        Ok(effects)
    }

    /// Does one thing that a member wants done.
    pub fn perform(&mut self, slot: Slot, effect: Effect<S>) {
        match effect {
            Effect::Persist { receipt, record, rebase } => {
                self.tell(format_args!("n{slot} writes {record}"));
                self.nodes[slot.position()].disk.pending.push((receipt, record, rebase));
            }
            Effect::Send(to, packet) => {
                for to in to.iter() {
                    self.tell(format_args!("n{slot} → n{to} {packet}"));
                    self.flights.push(Flight { from: slot, to, packet: packet.clone() });
                    self.sent += 1;
                }
            }
            Effect::Store(snapshot, bytes) => {
                self.tell(format_args!("n{slot} stores snapshot {}", snapshot.boundary));
                let disk = &mut self.nodes[slot.position()].disk;
                if disk.newest_snapshot() < snapshot.boundary.index {
                    disk.snapshot = Some((snapshot, bytes));
                }
                disk.unsaid.push(snapshot);
            }
            Effect::Tell(told) => {
                if self.is_told {
                    self.note(&format!("n{slot} {}", S::in_words(&told)));
                }
                self.nodes[slot.position()].told.push(told);
            }
        }
    }

    /// Tells a member which snapshots have become durable.
    pub fn notice(&mut self, slot: Slot) {
        for snapshot in std::mem::take(&mut self.nodes[slot.position()].disk.unsaid) {
            let _ = self.step(slot, Stimulus::Stored(snapshot));
        }
    }

    /// Asks a member for something.
    ///
    /// # Errors
    /// [`Refused`], and nothing has happened.
    pub fn ask(&mut self, slot: u8, ask: S::Ask) -> Result<(), Refused> {
        self.step(Slot::new(slot), Stimulus::Ask(ask))
    }

    /// Makes the oldest `count` pending writes of a member durable, and says so once; and says
    /// which snapshots are.
    pub fn persist(&mut self, slot: Slot, count: usize) {
        if let Some(receipt) = self.sync(slot, count) {
            let _ = self.step(slot, Stimulus::Persisted(receipt));
        }
        self.notice(slot);
    }

    /// Makes the oldest `count` pending writes of a member durable without telling it.
    pub fn sync(&mut self, slot: Slot, count: usize) -> Option<S::Receipt> {
        let disk = &mut self.nodes[slot.position()].disk;
        let count = count.min(disk.pending.len());
        let mut newest = None;
        for (receipt, record, rebase) in disk.pending.drain(..count).collect::<Vec<_>>() {
            newest = Some(receipt);
            store(disk, record, rebase);
        }
        if newest.is_some() {
            self.tell(format_args!("n{slot} has {count} on disk"));
        }
        newest
    }

    /// How many writes of a member are not durable.
    pub fn pending(&self, slot: u8) -> usize {
        self.nodes[usize::from(slot)].disk.pending.len()
    }

    /// The receipt of a pending write, to be confirmed late or twice.
    pub fn receipt(&self, slot: u8, pending: usize) -> S::Receipt {
        self.nodes[usize::from(slot)].disk.pending[pending].0
    }

    /// Makes a member's disk answer at once, or only when told to.
    pub fn disk_is_fast(&mut self, slot: u8, fast: bool) {
        self.nodes[usize::from(slot)].disk_is_fast = fast;
        if fast {
            self.persist(Slot::new(slot), usize::MAX);
        }
    }

    /// Delivers the packet at a place in `flights`, unless its link is cut or its receiver dead.
    pub fn deliver_at(&mut self, place: usize) {
        let Flight { from, to, packet } = self.flights.remove(place);
        let is_lost = self.cut.contains(&(from, to)) || self.nodes[to.position()].machine.is_none();
        let fate = if is_lost { "loses" } else { "hears" };
        self.tell(format_args!("n{to} {fate} n{from} {packet}"));
        if !is_lost {
            let _ = self.step(to, Stimulus::Packet(from, packet));
        }
    }

    /// Delivers the oldest packet of a link; tells whether there was one.
    pub fn deliver(&mut self, from: u8, to: u8) -> bool {
        let place = self.place(from, to);
        place.map(|place| self.deliver_at(place)).is_some()
    }

    /// Loses the oldest packet of a link.
    pub fn lose(&mut self, from: u8, to: u8) {
        if let Some(place) = self.place(from, to) {
            let Flight { packet, .. } = self.flights.remove(place);
            self.tell(format_args!("n{to} loses n{from} {packet}"));
        }
    }

    /// Takes every packet of a link off the network, to be delivered later or again.
    pub fn hold(&mut self, from: u8, to: u8) -> Vec<Flight<S::Packet>> {
        let mut held = Vec::new();
        while let Some(place) = self.place(from, to) {
            held.push(self.flights.remove(place));
        }
        held
    }

    fn place(&self, from: u8, to: u8) -> Option<usize> {
        let link = (Slot::new(from), Slot::new(to));
        self.flights.iter().position(|flight| (flight.from, flight.to) == link)
    }

    /// Cuts the links between two sides, both ways.
    pub fn part(&mut self, one: &[u8], other: &[u8]) {
        self.tell(format_args!("network parts {one:?} from {other:?}"));
        for (&a, &b) in one.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
            self.cut_one_way(a, b);
            self.cut_one_way(b, a);
        }
    }

    /// Cuts one direction of a link.
    pub fn cut_one_way(&mut self, from: u8, to: u8) {
        self.cut.push((Slot::new(from), Slot::new(to)));
    }

    /// Mends every link.
    pub fn heal(&mut self) {
        self.note("network heals");
        self.cut.clear();
    }

    /// Delivers everything, and what comes of it, without time passing.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.flights.is_empty() {
                return;
            }
            self.deliver_at(0);
        }
        panic!("the network does not become quiet:\n{}", self.story);
    }

    /// Lets time pass, with every deadline kept and every packet delivered at once.
    ///
    /// # Panics
    /// If deadlines hold it up for ever: a tick must move them.
    pub fn pass(&mut self, span: Span) {
        let end = self.now.after(span);
        let mut at_once = 0;
        loop {
            let living = self.living();
            let deadline = |slot: &Slot| self.nodes[slot.position()].machine.as_ref()?.deadline();
            let first = living.iter().filter_map(|slot| deadline(slot).map(|at| (at, *slot))).min();
            let Some((at, slot)) = first.filter(|(at, _)| *at <= end) else { break };
            at_once = if at > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 1_000, "time does not pass:\n{}", self.story);
            self.now = self.now.max(at);
            let _ = self.step(slot, Stimulus::Tick);
            self.settle();
        }
        self.now = end;
    }

    /// Lets time jump, with nobody awake to see it.
    pub fn jump(&mut self, span: Span) {
        self.now = self.now.after(span);
    }

    /// Ticks a member now.
    pub fn tick(&mut self, slot: u8) {
        self.tell(format_args!("n{slot} ticks"));
        let _ = self.step(Slot::new(slot), Stimulus::Tick);
    }

    /// Lets time pass up to a member's deadline, with nobody else awake, and ticks it.
    pub fn ring(&mut self, slot: u8) {
        if let Some(at) = self.machine(slot).deadline() {
            self.now = self.now.max(at);
        }
        self.tick(slot);
    }

    /// Does one thing that could happen, drawn from `rng`: deliver, lose or repeat a packet, tick,
    /// persist, crash, start, cut, heal, or let a little time pass.
    pub fn shuffle(&mut self, rng: &mut Rng) {
        let slot = Slot::new(rng.below(self.nodes.len() as u64) as u8);
        let flights = self.flights.len() as u64;
        match rng.below(100) {
            0..55 if flights > 0 => self.deliver_at(rng.below(flights) as usize),
            55..58 if flights > 0 => {
                self.flights.remove(rng.below(flights) as usize);
            }
            58..61 if flights > 0 => {
                let again = self.flights[rng.below(flights) as usize].clone();
                self.flights.push(again);
            }
            61..72 => {
                let _ = self.step(slot, Stimulus::Tick);
            }
            72..88 => self.persist(slot, 1 + rng.below(3) as usize),
            88 => {
                let kept = rng.below(1 + self.nodes[slot.position()].disk.pending.len() as u64);
                self.crash(slot, kept as usize);
            }
            89..92 => self.start(slot),
            92 => self.cut_one_way(slot.number(), rng.below(self.nodes.len() as u64) as u8),
            93..95 => self.heal(),
            _ => self.jump(Span::micros(rng.below(40_000))),
        }
        // A network that only grows tells nothing new.
        if self.flights.len() > 200 {
            self.flights.drain(..100);
        }
    }
}

fn store<S: Subject>(disk: &mut Disk<S>, record: S::Record, rebase: bool) {
    if rebase {
        disk.records.clear();
    }
    disk.records.push(record);
}

/// Draws another order of the effects, in which writes keep theirs.
fn shuffle_but_writes<S: Subject>(effects: &mut [Effect<S>], rng: &mut Rng) {
    let is_write = |effect: &Effect<S>| matches!(effect, Effect::Persist { .. });
    for last in (1..effects.len()).rev() {
        let other = rng.below(last as u64 + 1) as usize;
        let crosses_a_write = effects[other..=last].iter().filter(|e| is_write(e)).count() > 1;
        if !crosses_a_write {
            effects.swap(other, last);
        }
    }
}
