//! The members, their disks and clocks, and the network between them. What happens when is drawn here
//! only as far as packets and disks go; faults are ordered from outside.

use super::liar::Liar;
use super::marks::{Mark, Marks};
use super::options::{Lie, Options};
use super::oracle::{Broken, Heard, Oracle, Verdict, broken};
use super::{Report, SECOND};
use crate::cluster::{Disk, Effect, Stimulus, Subject};
use crate::pbft::{Book, Kept, Packet, Peer, Record, Setup, What, payload};
use crate::swarm::hash::fold;
use quorate::event::ViewLeft;
use quorate::hlc::Stamp;
use quorate::id::{Digest, Index, Members, Slot};
use quorate::pbft::statement::CLIENT;
use quorate::pbft::{Evidence, Message, Output, Pbft, Value, Write};
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Wall};
use quorate::{Event, Machine};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::rc::Rc;

/// Where civil time stands when a run begins: an arbitrary day in 2026.
const EPOCH: u64 = 1_790_000_000 * SECOND;

/// How much of what was ever said a liar remembers.
const MEMORY: usize = 512;

/// What is on its way to a disk: records, and whether they take the place of all others.
type Pending = (u64, Option<Kept>, Vec<Record>, bool);

/// One machine on one computer. A liar may have several, all with one key.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) slot: Slot,
    pub(super) peer: Option<Peer>,
    pub(super) disk: Vec<Record>,
    pending: VecDeque<Pending>,
    lives: u64,
    ahead: i64,
    drift: u64,
    /// With whom it speaks.
    pub(super) mask: Members,
    /// How much of what it has executed was looked at.
    seen: usize,
    heard: Heard,
    /// After how many effects of its next step it crashes.
    doomed: Option<usize>,
    /// Until when it does nothing.
    sleeps: u64,
}

/// A packet on its way, to a seat.
#[derive(Debug)]
struct Flight {
    from: Slot,
    to: usize,
    packet: Rc<Packet>,
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
    hash: u64,
    flights: BTreeMap<(u64, u64), Flight>,
    sent: u64,
    island: Members,
    pub(super) asked: Vec<Digest>,
    story: Option<String>,
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
    fn time_of(&self, seat: usize) -> Now {
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

    fn write(&mut self, at: usize, kept: Option<Kept>, records: Vec<Record>, replaces: bool) {
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

    fn arrive(&mut self) -> Verdict {
        let Some((key, flight)) = self.flights.pop_first() else { return Ok(()) };
        let sleeps = self.seats[flight.to].sleeps;
        if sleeps > self.now {
            self.flights.insert((sleeps, key.1), flight);
            return Ok(());
        }
        let Flight { from, to, packet } = flight;
        let slot = self.seats[to].slot;
        if self.seats[to].peer.is_none() {
            return Ok(());
        }
        self.tell(|| format!("n{slot} hears n{from} (n{}) {packet}", packet.by));
        let is_signed = self.book.bears_out_what(packet.by, &packet.what);
        if !self.is_correct(to) {
            return self.step(to, Stimulus::Packet(from, (*packet).clone()));
        }
        // Whoever has just been started reads its disk first, whatever comes.
        let is_up = self.machine(to)?.deadline() != Some(Instant::ORIGIN);
        let before = if is_signed || !is_up { None } else { Some(self.machine(to)?.clone()) };
        let must_accuse = is_signed && {
            let seat = &mut self.seats[to];
            let machine = &seat.peer.as_ref().ok_or_else(gone)?.machine;
            seat.heard.contradicts(machine, packet.by, &packet.what)
        };
        let words = must_accuse.then(|| packet.to_string());
        self.step(to, Stimulus::Packet(from, (*packet).clone()))?;
        let Some(machine) = self.seats[to].peer.as_ref().map(|it| &it.machine) else {
            return Ok(());
        };
        if let Some(before) = before {
            Oracle::unmoved(slot, &before, machine)?;
            self.marks.hit(Mark::Forged);
        } else if let Some(words) = words.filter(|_| !machine.accused().contains(packet.by)) {
            return broken("B7", format!("{slot} does not see that {} lies: {words}", packet.by));
        }
        Ok(())
    }

    /// One step of a seat, with every oracle.
    pub(super) fn step(&mut self, at: usize, input: Stimulus<Peer>) -> Verdict {
        self.events += 1;
        let now = self.time_of(at);
        let is_correct = self.is_correct(at);
        let seat = &mut self.seats[at];
        let Some(peer) = seat.peer.as_mut() else { return Ok(()) };
        let low = peer.machine.stable().checkpoint.index;
        let mut effects = Vec::new();
        peer.events.clear();
        let _ = peer.step(now, input, &mut effects);
        if is_correct {
            let slot = self.seats[at].slot;
            for effect in &effects {
                if let Effect::Tell(Output::Committed { index, value }) = effect {
                    self.oracle.decides(slot, *index, *value)?;
                }
            }
            self.look(at)?;
        }
        let doomed = self.seats[at].doomed.filter(|_| !effects.is_empty());
        let count = doomed.unwrap_or(effects.len());
        for effect in effects.into_iter().take(count) {
            self.perform(at, effect, low)?;
        }
        if doomed.is_some() {
            self.marks.hit(Mark::TornStep);
            self.crash(at);
        }
        Ok(())
    }

    /// What a correct member holds and has executed, and what happened inside.
    fn look(&mut self, at: usize) -> Verdict {
        let seat = &mut self.seats[at];
        let Some(peer) = &mut seat.peer else { return Ok(()) };
        let machine = &peer.machine;
        if let Some(why) = machine.stopped() {
            return broken("B1", format!("{} has stopped: {why:?}", seat.slot));
        }
        Oracle::holds(seat.slot, machine.held(), machine.config().most_held())?;
        let from = if seat.seen > peer.executed.len() { 0 } else { seat.seen };
        for value in &peer.executed[from..] {
            if *value == Value::NULL {
                self.marks.hit(Mark::Null);
            } else if value.digest == Digest::NULL {
                self.marks.hit(Mark::Again);
            }
        }
        self.oracle.executes(seat.slot, from, &peer.executed[from..])?;
        seat.seen = peer.executed.len();
        for event in &peer.events {
            self.marks.hit(match event {
                Event::ViewLeft { why: ViewLeft::RequestOverdue, .. } => Mark::Overdue,
                Event::ViewLeft { why: ViewLeft::Fruitless, .. } => Mark::Fruitless,
                Event::ViewLeft { why: ViewLeft::Overtaken, .. } => Mark::Overtaken,
                Event::ViewLeft { why: ViewLeft::Equivocation, .. } => Mark::Equivocation,
                Event::Overslept { .. } => Mark::Overslept,
                Event::StampTooEarly { .. } => Mark::StampTooEarly,
                _ => continue,
            });
        }
        Ok(())
    }

    fn perform(&mut self, at: usize, effect: Effect<Peer>, low: Index) -> Verdict {
        let (slot, is_correct) = (self.seats[at].slot, self.is_correct(at));
        match effect {
            Effect::Persist { receipt, record, rebase } => {
                if let Record::Write(write, beside) = &record {
                    self.tell(|| format!("n{slot} writes {write:?}"));
                    if is_correct {
                        self.writes(slot, write, beside.as_ref())?;
                    }
                }
                self.write(at, Some(receipt), vec![record], rebase);
            }
            Effect::Send(to, packet) if is_correct => {
                if packet.by == slot {
                    let machine = self.machine(at)?;
                    let high =
                        machine.stable().checkpoint.index.plus(u64::from(self.options.slots));
                    Oracle::stays_within(slot, &packet.what, low, high)?;
                    self.oracle.says(slot, &packet.what)?;
                } else if matches!(packet.what, What::NewView(..)) {
                    self.marks.hit(Mark::Relayed);
                }
                let packet = Rc::new(packet);
                self.remember(&packet);
                self.carry(slot, to, &packet, 0);
            }
            Effect::Send(to, packet) => self.lie(at, to, &packet)?,
            Effect::Store(..) => {}
            Effect::Tell(output) => {
                self.hash = fold(self.hash, &(self.now, slot, &output));
                self.tell(|| format!("n{slot} says {output:?}"));
                if is_correct {
                    self.told(slot, &output)?;
                }
            }
        }
        Ok(())
    }

    fn machine(&self, at: usize) -> Result<&Pbft, Broken> {
        self.seats[at].peer.as_ref().map(|it| &it.machine).ok_or_else(gone)
    }

    fn writes(
        &mut self,
        slot: Slot,
        write: &Write,
        beside: Option<&(quorate::id::View, Vec<(Slot, quorate::pbft::ViewChange)>)>,
    ) -> Verdict {
        match (write, beside) {
            (Write::Prepared(proof), _) => self.oracle.proves(slot, proof),
            (Write::Entered { view, .. }, Some((of, changes))) if of == view => {
                if self.oracle.begins(slot, *view, changes)? {
                    self.marks.hit(Mark::TwoBeginnings);
                }
                if self.oracle.carried(slot) > 0 {
                    self.marks.hit(Mark::Carried);
                }
                Ok(())
            }
            (Write::Entered { view, .. }, _) => {
                broken("B5", format!("{slot} enters v{view} without what it begins with"))
            }
            _ => Ok(()),
        }
    }

    fn told(&mut self, slot: Slot, output: &Output) -> Verdict {
        self.marks.hit(match output {
            Output::Committed { .. } => Mark::Committed,
            Output::Accuse(evidence) => {
                self.oracle.accuses(slot, evidence)?;
                match evidence {
                    Evidence::Votes { .. } => Mark::TwoVotes,
                    Evidence::Checkpoints { .. } => Mark::TwoStates,
                    Evidence::ViewChanges { .. } => Mark::TwoChanges,
                }
            }
            Output::Stable(_) => Mark::Stable,
            Output::Entered { .. } => Mark::ViewEntered,
            Output::Fetch(_) => Mark::Fetch,
            Output::Want { .. } => Mark::Want,
            Output::Forward { .. } => Mark::Forward,
            _ => return Ok(()),
        });
        Ok(())
    }

    fn remember(&mut self, packet: &Rc<Packet>) {
        if self.past.len() < MEMORY {
            self.past.push(packet.clone());
        } else {
            let place = self.rng.below(MEMORY as u64) as usize;
            self.past[place] = packet.clone();
        }
    }

    /// A liar signs something and sends it; what another has not signed stays unsigned.
    pub(super) fn utter(&mut self, at: usize, to: Members, packet: Packet, delay: u64) -> Verdict {
        let slot = self.seats[at].slot;
        if packet.by == slot {
            self.book.sign_what(slot, &packet.what);
            self.oracle.says(slot, &packet.what)?;
        }
        let packet = Rc::new(packet);
        if self.book.bears_out_what(packet.by, &packet.what) {
            self.remember(&packet);
        }
        self.carry(slot, to, &packet, delay);
        Ok(())
    }

    /// What an honest machine would say, as a liar says it.
    fn lie(&mut self, at: usize, to: Members, packet: &Packet) -> Verdict {
        let slot = self.seats[at].slot;
        if packet.by == slot {
            // Its machine has signed it, whether it is sent or not.
            self.oracle.says(slot, &packet.what)?;
        }
        for to in to.shared(self.seats[at].mask.with(slot)).iter() {
            // Liars know each other, and tell each other the first story.
            let is_fooled = self.fooled.contains(to) && !self.liars.contains_key(&to);
            let Some(liar) = self.liars.get(&slot) else { continue };
            let twisted = liar.twist(packet, to, is_fooled, &mut self.rng);
            if twisted.as_ref().is_none_or(|it| it.0 > 0 || it.1 != *packet) {
                self.marks.hit(Mark::Lied);
            }
            if let Some((delay, packet)) = twisted {
                self.utter(at, Members::only(to), packet, delay)?;
            }
        }
        Ok(())
    }

    /// Carries a packet to every seat of its receivers, if the network does.
    fn carry(&mut self, from: Slot, to: Members, packet: &Rc<Packet>, delay: u64) {
        for at in 0..self.seats.len() {
            let Seat { slot, mask, .. } = self.seats[at];
            if !to.contains(slot) {
                continue;
            }
            let is_own = slot == from;
            let is_side = |slot: Slot| self.island.contains(slot);
            let is_cut = from != CLIENT && is_side(from) != is_side(slot);
            let is_heard = from == CLIENT || mask.contains(from);
            if !is_own && (is_cut || !is_heard || self.rng.below(1_000) < self.options.lost) {
                continue;
            }
            let copies = if self.rng.below(1_000) < self.options.doubled { 2 } else { 1 };
            for _ in 0..copies {
                let late = if self.rng.below(1_000) < self.options.late { 3 * SECOND } else { 0 };
                let way = self.options.latency + self.rng.below(self.options.jitter) + late;
                let arrives = self.now + delay + if is_own { 1 } else { way };
                self.sent += 1;
                let flight = Flight { from, to: at, packet: packet.clone() };
                self.flights.insert((arrives, self.sent), flight);
            }
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

fn gone() -> Broken {
    Broken { promise: "B8", what: "a member speaks that does not run".to_owned() }
}

/// Whether a packet is a message, for a liar that chooses.
pub(super) const fn is_vote(what: &What) -> bool {
    matches!(what, What::Message(Message::Vote(_), _))
}
