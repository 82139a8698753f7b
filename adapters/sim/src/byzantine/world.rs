//! The members, their disks and clocks, and the network between them. What happens when is drawn here
//! only as far as packets and disks go; faults are ordered from outside.

use super::heard::Heard;
use super::liar::Liar;
use super::marks::{Mark, Marks};
use super::options::{Lie, Options};
use super::oracle::{Broken, Oracle, Verdict};
use super::{Report, SECOND};
use crate::cluster::{Disk, Stimulus, Subject};
use crate::pbft::{Book, Kept, Packet, Peer, Record, Setup, What, payload};
use quorate::hlc::Stamp;
use quorate::id::{Digest, Members, Slot};
use quorate::pbft::Message;
use quorate::pbft::statement::CLIENT;
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Wall};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::rc::Rc;

/// Where civil time stands when a run begins: an arbitrary day in 2026.
const EPOCH: u64 = 1_790_000_000 * SECOND;

/// What is on its way to a disk: records, and whether they take the place of all others.
pub(super) type Pending = (u64, Option<Kept>, Vec<Record>, bool);

/// One machine on one computer. A liar may have several, all with one key.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) slot: Slot,
    pub(super) peer: Option<Peer>,
    pub(super) disk: Vec<Record>,
    pub(super) pending: VecDeque<Pending>,
    lives: u64,
    ahead: i64,
    drift: u64,
    /// With whom it speaks.
    pub(super) mask: Members,
    /// How much of what it has executed was looked at.
    pub(super) seen: usize,
    pub(super) heard: Heard,
    /// After how many effects of its next step it crashes.
    pub(super) doomed: Option<usize>,
    /// Until when it does nothing.
    pub(super) sleeps: u64,
}

/// A packet on its way, to a seat.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) from: Slot,
    pub(super) to: usize,
    pub(super) packet: Rc<Packet>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) options: Options,
    pub(super) book: Book,
    pub(super) oracle: Oracle,
    pub(super) seats: Vec<Seat>,
    pub(super) liars: BTreeMap<Slot, Liar>,
    pub(super) marks: Marks,
    pub(super) rng: Rng,
    pub(super) events: u64,
    pub(super) is_calm: bool,
    /// Some of what was ever said, by whomever.
    pub(super) past: Vec<Rc<Packet>>,
    /// Before whom liars keep to their second story.
    pub(super) fooled: Members,
    setup: Setup,
    pub(super) hash: u64,
    pub(super) flights: BTreeMap<(u64, u64), Flight>,
    pub(super) sent: u64,
    pub(super) island: Members,
    pub(super) asked: Vec<Digest>,
    pub(super) story: Option<String>,
}

impl World {
    pub(super) fn new(seed: u64, options: Options, is_told: bool) -> Self {
        let mut setup = Setup::of(options.members);
        (setup.config.slots, setup.config.interval) = (options.slots, options.interval);
        setup.book.is_strict();
        let members = setup.config.members;
        let mut rng = Rng::new(seed);
        let liar = |(slot, lies): &(Slot, Vec<Lie>)| (*slot, Liar::new(*slot, lies.clone()));
        let mut world = Self {
            now: SECOND,
            oracle: Oracle::new(members, options.liars(), setup.book.clone()),
            book: setup.book.clone(),
            seats: Vec::new(),
            liars: options.liars.iter().map(liar).collect(),
            marks: Marks::default(),
            events: 0,
            is_calm: false,
            past: Vec::new(),
            fooled: Members::from_bits(rng.draw() as u32),
            rng,
            setup,
            hash: 0,
            flights: BTreeMap::new(),
            sent: 0,
            island: members,
            asked: Vec::new(),
            story: is_told.then(String::new),
            options,
        };
        for slot in members.iter() {
            let is_twin = world.liars.get(&slot).is_some_and(|it| it.tells(Lie::Twins));
            let copies = if is_twin { 2 + world.rng.below(2) } else { 1 };
            for _ in 0..copies {
                let (ahead, drift) = world.draw_clock();
                world.seats.push(Seat {
                    slot,
                    peer: None,
                    disk: Vec::new(),
                    pending: VecDeque::new(),
                    lives: 0,
                    ahead,
                    drift,
                    mask: members,
                    seen: 0,
                    heard: Heard::default(),
                    doomed: None,
                    sleeps: 0,
                });
                world.start(world.seats.len() - 1);
            }
        }
        world.redraw_twins();
        world
    }

    fn draw_clock(&mut self) -> (i64, u64) {
        let (offset, drift) = (self.options.offset, self.options.drift);
        let ahead = self.rng.below(2 * offset + 1) as i64 - offset as i64;
        (ahead, self.rng.below(drift + 1))
    }

    pub(super) fn members(&self) -> Members {
        self.setup.config.members
    }

    /// Whether a seat is that of a member that does not lie.
    pub(super) fn is_correct(&self, seat: usize) -> bool {
        !self.liars.contains_key(&self.seats[seat].slot)
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let _ = writeln!(story, "{:>12.3} {}", self.now as f64 / 1_000.0, line());
        }
    }

    /// What has come of it so far.
    pub(super) fn report(self, seed: u64, broken: Option<Broken>) -> Report {
        let Self { events, hash, marks, options, story, .. } = self;
        let span = self.now - SECOND;
        Report { seed, events, hash, marks, options, broken, story, span }
    }

    /// What a seat believes the time to be.
    pub(super) fn time_of(&self, seat: usize) -> Now {
        let seat = &self.seats[seat];
        let mono = self.now + self.now / 1_000 * seat.drift / 1_000;
        let wall = (EPOCH + self.now).saturating_add_signed(seat.ahead);
        Now::both(Instant::from_micros(mono), Wall::from_micros(wall))
    }

    /// When a seat's clock shows a deadline.
    fn due(&self, seat: usize) -> Option<u64> {
        let it = &self.seats[seat];
        let at = it.peer.as_ref()?.deadline()?.as_micros();
        let guess = (at / (1_000_000 + it.drift)) * 1_000_000;
        let mut guess = guess.max(self.now).max(it.sleeps);
        while guess + guess / 1_000 * it.drift / 1_000 < at {
            guess += (at - (guess + guess / 1_000 * it.drift / 1_000)).div_ceil(2).max(1);
        }
        Some(guess)
    }

    /// Starts a seat from its disk.
    pub(super) fn start(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        if seat.peer.is_some() {
            return;
        }
        seat.lives += 1;
        let disk = Disk::of(std::mem::take(&mut seat.disk));
        seat.peer = Some(Peer::boot(&self.setup, seat.slot, seat.lives, &disk));
        seat.disk = disk.records;
        (seat.seen, seat.heard) = (0, Heard::default());
        let slot = seat.slot;
        self.tell(|| format!("n{slot} starts (seat {at})"));
    }

    /// Ends a seat: of what was not durable, the first writes may be.
    pub(super) fn crash(&mut self, at: usize) {
        let keep = self.rng.below(self.seats[at].pending.len() as u64 + 1) as usize;
        let seat = &mut self.seats[at];
        if seat.peer.take().is_none() {
            return;
        }
        let is_lossy = keep < seat.pending.len();
        seat.pending.truncate(keep);
        while let Some((_, _, records, replaces)) = seat.pending.pop_front() {
            store(&mut seat.disk, records, replaces);
        }
        (seat.doomed, seat.pending) = (None, VecDeque::new());
        let slot = seat.slot;
        if self.is_correct(at) {
            self.marks.hit(Mark::Crash);
            if is_lossy {
                self.marks.hit(Mark::LostWrites);
            }
        }
        self.tell(|| format!("n{slot} crashes (seat {at})"));
    }

    /// Lets a seat crash in the midst of its next step that does anything.
    pub(super) fn doom(&mut self, at: usize) {
        self.seats[at].doomed = Some(self.rng.below(4) as usize);
    }

    /// Lets a seat do nothing for so long; what arrives meanwhile is there when it wakes.
    pub(super) fn pause(&mut self, at: usize, micros: u64) {
        self.marks.hit(Mark::Pause);
        self.seats[at].sleeps = self.now + micros;
    }

    /// Replaces what is on a seat's disk by what its state says must be.
    pub(super) fn compact(&mut self, at: usize) {
        let Some(records) = self.seats[at].peer.as_ref().map(Peer::image) else { return };
        self.marks.hit(Mark::Image);
        self.write(at, None, records, true);
    }

    pub(super) fn write(
        &mut self,
        at: usize,
        kept: Option<Kept>,
        records: Vec<Record>,
        replaces: bool,
    ) {
        let latency = self.options.disk / 2 + self.rng.below(self.options.disk);
        let pending = &mut self.seats[at].pending;
        let due = (self.now + latency).max(pending.back().map_or(0, |it| it.0));
        pending.push_back((due, kept, records, replaces));
    }

    /// Parts those from everybody else.
    pub(super) fn part(&mut self, island: Members) {
        self.marks.hit(Mark::Part);
        self.island = island;
        self.tell(|| format!("the network parts {island:?} from the others"));
    }

    pub(super) fn mend(&mut self) {
        self.island = self.members();
        self.tell(|| "the network is whole".to_owned());
    }

    /// Twins choose again with whom each of them speaks.
    pub(super) fn redraw_twins(&mut self) {
        for at in 0..self.seats.len() {
            let slot = self.seats[at].slot;
            if self.liars.get(&slot).is_some_and(|it| it.tells(Lie::Twins)) {
                self.seats[at].mask = Members::from_bits(self.rng.draw() as u32);
            }
        }
    }

    /// From now on only liars fail: everybody is up, and clocks are right enough.
    pub(super) fn calm(&mut self) {
        self.mend();
        self.is_calm = true;
        (self.options.lost, self.options.doubled, self.options.late) = (0, 0, 0);
        self.options.disk = self.options.disk.min(10_000);
        (self.options.latency, self.options.jitter) = (500, 2_000);
        for at in 0..self.seats.len() {
            (self.seats[at].doomed, self.seats[at].sleeps) = (None, 0);
            self.start(at);
        }
        let latest = self.now + SECOND;
        let flights = std::mem::take(&mut self.flights);
        self.flights =
            flights.into_iter().map(|(key, it)| ((key.0.min(latest), key.1), it)).collect();
        self.tell(|| "faults end".to_owned());
    }

    /// A client asks these members for something; whoever has lost it is asked again later.
    pub(super) fn request(&mut self, number: u64, to: Members) {
        let digest = payload(number);
        self.book.ask(digest);
        if !self.asked.contains(&digest) {
            self.asked.push(digest);
        }
        let packet = Rc::new(Packet { by: CLIENT, what: What::Request(digest) });
        self.carry(CLIENT, to, &packet, 0);
    }

    /// Everything that was asked and is not executed is asked again, of everybody.
    pub(super) fn ask_again(&mut self) {
        for digest in self.asked.clone() {
            if !self.oracle.is_executed(digest) {
                let packet = Rc::new(Packet { by: CLIENT, what: What::Request(digest) });
                self.carry(CLIENT, self.members(), &packet, 0);
            }
        }
    }

    /// Lets so much time pass.
    pub(super) fn run(&mut self, micros: u64) -> Verdict {
        let end = self.now + micros;
        loop {
            let flight = self.flights.keys().next().map(|(at, _)| (*at, 0, 0));
            let all = 0..self.seats.len();
            let disk = all.clone().filter_map(|at| {
                let seat = &self.seats[at];
                Some((seat.pending.front()?.0.max(seat.sleeps), 1, at))
            });
            let tick = all.filter_map(|at| Some((self.due(at)?, 2, at)));
            let next = flight.into_iter().chain(disk.min()).chain(tick.min()).min();
            let Some((at, kind, seat)) = next.filter(|it| it.0 <= end) else { break };
            self.now = self.now.max(at);
            match kind {
                0 => self.arrive()?,
                1 => self.sync(seat)?,
                _ => self.step(seat, Stimulus::Tick)?,
            }
        }
        self.now = end;
        Ok(())
    }

    fn sync(&mut self, at: usize) -> Verdict {
        let seat = &mut self.seats[at];
        let mut newest = None;
        while seat.pending.front().is_some_and(|it| it.0 <= self.now) {
            let Some((_, kept, records, replaces)) = seat.pending.pop_front() else { break };
            store(&mut seat.disk, records, replaces);
            newest = kept.or(newest);
        }
        match newest {
            Some(kept) => self.step(at, Stimulus::Persisted(kept)),
            None => Ok(()),
        }
    }

    /// The time as a primary would stamp it.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp::at_millis((EPOCH + self.now) / 1_000)
    }

    /// One of the numbers below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }
}

fn store(disk: &mut Vec<Record>, records: Vec<Record>, replaces: bool) {
    if replaces {
        disk.clear();
    }
    disk.extend(records);
}

pub(super) fn gone() -> Broken {
    Broken { promise: "B8", what: "a member speaks that does not run".to_owned() }
}

/// Whether a packet is a message, for a liar that chooses.
pub(super) const fn is_vote(what: &What) -> bool {
    matches!(what, What::Message(Message::Vote(_), _))
}
