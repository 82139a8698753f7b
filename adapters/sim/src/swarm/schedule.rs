//! What happens next: a queue of moments, a network, and chance.
//!
//! The schedule draws every number of a run from its seed, and makes of it [`Action`]s; what they
//! come to is the [`World`]'s.

use super::action::{Act, Action};
use super::hash::fold;
use super::hosted::Hosted;
use super::marks::Mark;
use super::options::Options;
use super::oracle::Verdict;
use super::process::{Call, scope_of};
use super::store::Trouble;
use super::world::{Packet, World};
use quorate::lease::holder;
use quorate::rng::Rng;
use quorate::time::Span;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that is due at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// A packet, by its place among those on their way; or a damaged copy of it.
    Packet(u32),
    Corrupt(u32),
    /// A tick that a lane wanted when it was last asked.
    Tick(u8),
    /// A disk's turn, and its completions.
    Disk(u8),
    Confirm(u8),
    Mark(u8),
    /// A member's next life; the end of one whose machine has stopped.
    Start(u8),
    End(u8),
    /// A client's next call, or a proposal that no client makes.
    Load(u8),
    /// The end of somebody's sleep.
    Wake(u8),
    /// The next fault of a kind, and the end of one.
    Fault(u8),
    Mend(u32),
    Unreachable(u8, u8),
    /// Somebody who is no client asks a member for a read, or proposes so many commands.
    Asked(u8, u8),
}

/// When something is due: the earliest first, and of two at once the one that was planned first.
#[derive(Clone, Copy, Debug)]
struct Planned {
    /// The moment, and below it the number of the plan.
    key: u128,
    due: Due,
}

impl Planned {
    const fn at(self) -> u64 {
        (self.key >> 64) as u64
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

/// A run under way.
pub struct Schedule<H: Hosted> {
    /// What is run.
    pub world: World<H>,
    /// How it was set up.
    pub options: Options,
    /// Every action so far, if they are to be kept.
    pub actions: Option<Vec<Action>>,
    pub(super) rng: Rng,
    pub(super) now: u64,
    queue: BinaryHeap<Planned>,
    order: u64,
    actions_made: u64,
    flights: Vec<Option<Packet<H::Entry>>>,
    free: Vec<u32>,
    /// A tick is due for a lane at this moment.
    ticks: Vec<u64>,
    disk_is_due: Vec<bool>,
    confirm_is_due: Vec<bool>,
    start_is_due: Vec<bool>,
    end_is_due: Vec<bool>,
    /// Where everything that is drawn comes from.
    pub(super) seed: u64,
    /// Old packets, to come again.
    old: Vec<Packet<H::Entry>>,
    /// How many cuts there are in each direction between two lanes, and how slow it is.
    pub(super) cuts: Vec<u32>,
    pub(super) slow: Vec<u64>,
    /// Until when a lane sleeps, and a member's disk is stuck.
    pub(super) asleep: Vec<u64>,
    /// What was due to those who sleep.
    slept: Vec<(usize, Due)>,
    pub(super) stuck: Vec<u64>,
    pub(super) mending: Vec<super::chaos::Mend>,
    /// Faults go on.
    pub(super) is_safety: bool,
    /// Clients go on.
    pub(super) is_loaded: bool,
    value: u64,
}

impl<H: Hosted> Schedule<H> {
    /// The group and the clients of a seed, everybody just started.
    pub(super) fn world_of(seed: u64, options: &Options) -> World<H> {
        let setup = options.setup(seed);
        let guard = super::vault::LEASES.guard;
        let margin = holder::Config::beside(guard, Span::micros(options.max_offset));
        let clients = if H::numbered(0).is_some() { 0 } else { options.clients as u8 };
        let mut world = World::new(setup, clients, options.segment, margin);
        let right = world.members.len() - options.clockless as usize;
        world.members[right..].iter_mut().for_each(|member| member.clocks.has_wall = false);
        world.begin();
        world
    }

    /// The run of a seed, everybody just started.
    pub fn new(seed: u64, options: Options) -> Self {
        let world = Self::world_of(seed, &options);
        let mut schedule = Self::beside(world, seed, options);
        for slot in 0..schedule.world.members.len() as u8 {
            schedule.plan_tick(slot);
        }
        schedule.plan_load();
        schedule.plan_faults();
        schedule
    }

    /// What follows on a world in which something has happened: nothing is on its way.
    pub(super) fn going_on(world: World<H>, seed: u64, options: Options) -> Self {
        let mut schedule = Self::beside(world, seed, options);
        schedule.now = schedule.world.now();
        schedule.plan_load();
        for lane in 0..schedule.lanes() as u8 {
            schedule.follow(lane);
        }
        schedule
    }

    fn plan_load(&mut self) {
        for load in 0..self.world.processes.len().max(1) as u8 {
            let at = self.now + self.options.timeout + self.mean(self.options.load);
            self.push(at, Due::Load(load));
        }
    }

    fn beside(world: World<H>, seed: u64, options: Options) -> Self {
        let lanes = world.members.len() + world.processes.len();
        let members = world.members.len();
        Self {
            world,
            options,
            actions: None,
            rng: Rng::new(fold(seed, &"schedule")),
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            actions_made: 0,
            flights: Vec::new(),
            free: Vec::new(),
            ticks: vec![u64::MAX; lanes],
            disk_is_due: vec![false; members],
            confirm_is_due: vec![false; members],
            start_is_due: vec![false; members],
            end_is_due: vec![false; members],
            old: Vec::new(),
            seed,
            cuts: vec![0; lanes * lanes],
            slow: vec![0; lanes * lanes],
            asleep: vec![0; lanes],
            slept: Vec::new(),
            stuck: vec![0; members],
            mending: Vec::new(),
            is_safety: true,
            is_loaded: true,
            value: 0,
        }
    }

    pub(super) fn lanes(&self) -> usize {
        self.world.members.len() + self.world.processes.len()
    }

    pub(super) fn push(&mut self, at: u64, due: Due) {
        self.order += 1;
        let key = u128::from(at) << 64 | u128::from(self.order);
        self.queue.push(Planned { key, due });
    }

    /// A time whose mean is this: mostly less, at times much more.
    pub(super) fn mean(&mut self, mean: u64) -> u64 {
        let coarse = self.rng.below(mean + 1);
        match self.rng.below(8) {
            0 => coarse / 8,
            1 => coarse * 4,
            2 => coarse * 2,
            _ => coarse,
        }
    }

    pub(super) fn pick(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    /// Goes on until a moment, or until so many events have happened, or until it is `over`.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn run(
        &mut self,
        until: u64,
        events: u64,
        mut over: impl FnMut(&World<H>) -> bool,
    ) -> Verdict {
        while let Some(planned) = self.queue.peek().copied() {
            let (at, due) = (planned.at(), planned.due);
            if at > until || self.world.counts.events >= events || over(&self.world) {
                break;
            }
            self.queue.pop();
            self.now = self.now.max(at);
            // A tick that was planned before an earlier one is not meant any more.
            if let Due::Tick(lane) = due
                && self.ticks[usize::from(lane)] != at
            {
                continue;
            }
            self.happen(due)?;
        }
        Ok(())
    }

    /// When the last packet arrives of those that are on their way.
    pub(super) fn last_arrival(&self) -> u64 {
        let packets = self.queue.iter().filter(|planned| matches!(planned.due, Due::Packet(_)));
        packets.map(|planned| planned.at()).max().unwrap_or(0).max(self.now)
    }

    /// Lets time go by to a moment, at which nothing is due before.
    pub(super) fn wait_until(&mut self, at: u64) {
        self.now = self.now.max(at);
    }

    fn happen(&mut self, due: Due) -> Verdict {
        if let Some(lane) = self.lane_of(due)
            && self.asleep[lane] > self.now
        {
            self.slept.push((lane, due));
            return Ok(());
        }
        match due {
            Due::Packet(place) => self.arrive(place),
            Due::Corrupt(place) => self.corrupt(place),
            Due::Tick(lane) => self.tick(lane),
            Due::Disk(slot) => self.disk(slot),
            Due::Confirm(slot) => {
                self.confirm_is_due[usize::from(slot)] = false;
                self.act(Act::Confirm(slot), None, slot)
            }
            Due::Mark(slot) => self.act(Act::Mark(slot), None, slot),
            Due::Start(slot) => {
                self.set_back(slot)?;
                self.start_is_due[usize::from(slot)] = false;
                self.act(Act::Start(slot), None, slot)
            }
            Due::End(slot) => {
                self.end_is_due[usize::from(slot)] = false;
                self.act(Act::Crash(slot, super::store::Kept::All), None, slot)
            }
            Due::Load(load) => self.load(load),
            Due::Wake(lane) => {
                self.wake(usize::from(lane));
                Ok(())
            }
            Due::Fault(kind) => self.fault(kind),
            Due::Mend(place) => self.mend(place),
            Due::Unreachable(lane, node) => self.act(Act::Unreachable(lane, node), None, lane),
            Due::Asked(slot, 0) => self.act(Act::Read(slot), None, slot),
            Due::Asked(slot, count) => self.act(Act::Propose(slot, count), None, slot),
        }
    }

    /// Whoever has slept long enough finds everything that was due meanwhile. Which of those who
    /// talk to it is heard first nobody can tell.
    pub(super) fn wake(&mut self, lane: usize) {
        if self.asleep[lane] > self.now {
            return;
        }
        let mut slept = std::mem::take(&mut self.slept);
        let first = self.pick(self.lanes() + 1);
        slept.sort_by_key(|(_, due)| self.talker(*due) != Some(first));
        for (of, due) in slept {
            if of == lane {
                self.push(self.now, due);
                if let Due::Tick(_) = due {
                    self.ticks[lane] = self.now;
                }
            } else {
                self.slept.push((of, due))
            }
        }
    }

    /// Whatever waited for a stuck disk goes on.
    pub(super) fn unstick(&mut self) {
        self.stuck.fill(0);
        for slot in 0..self.world.members.len() {
            if self.disk_is_due[slot] {
                self.push(self.now, Due::Disk(slot as u8));
            }
        }
    }

    /// Who talks to somebody when this happens: a lane, or one beyond all lanes for who has none.
    fn talker(&self, due: Due) -> Option<usize> {
        match due {
            Due::Packet(place) => {
                self.flights.get(place as usize)?.as_ref().map(|packet| usize::from(packet.from))
            }
            Due::Asked(..) => Some(self.lanes()),
            _ => None,
        }
    }

    fn lane_of(&self, due: Due) -> Option<usize> {
        match due {
            Due::Packet(place) => {
                let packet = self.flights.get(place as usize)?.as_ref()?;
                Some(usize::from(packet.id.to))
            }
            Due::Tick(lane)
            | Due::Disk(lane)
            | Due::Confirm(lane)
            | Due::Mark(lane)
            | Due::Asked(lane, _)
            | Due::Unreachable(lane, _) => Some(usize::from(lane)),
            Due::Load(load) if !self.world.processes.is_empty() => {
                Some(self.world.members.len() + usize::from(load))
            }
            _ => None,
        }
    }

    /// Lets something happen, and sees to what came of it in a lane.
    pub(super) fn act(&mut self, act: Act, packet: Option<&Packet<H::Entry>>, lane: u8) -> Verdict {
        self.actions_made += 1;
        let order = self.rng.draw();
        let cut = (self.is_safety && self.rng.below(1_000_000) < self.options.cut)
            .then_some((order >> 8) as u8);
        let action = Action { number: self.actions_made, at: self.now, order, cut, act };
        if let Some(actions) = &mut self.actions {
            actions.push(action.clone());
        }
        let verdict = self.world.act(&action, packet);
        self.follow(lane);
        verdict
    }

    /// Sees to what a lane wants, and to what it has sent.
    pub(super) fn follow(&mut self, lane: u8) {
        let mut sent = std::mem::take(&mut self.world.sent);
        sent.drain(..).for_each(|packet| self.post(packet));
        self.world.sent = sent;
        for arrived in std::mem::take(&mut self.world.seats.arrived) {
            let after = self.down_time();
            self.push(self.now + after, Due::Start(arrived));
        }
        let place = usize::from(lane);
        if place < self.world.members.len() {
            let member = &self.world.members[place];
            if member.machine.is_none() {
                if !member.is_lost && !self.start_is_due[place] {
                    self.start_is_due[place] = true;
                    let down = self.down_time();
                    self.push(self.now + down, Due::Start(lane));
                }
                return;
            }
            let has_stopped = member.machine.as_ref().is_some_and(|m| m.raft().stopped().is_some());
            if has_stopped && !self.end_is_due[place] {
                self.end_is_due[place] = true;
                self.push(self.now + 1_000, Due::End(lane));
                return;
            }
            let (has_tasks, has_done) =
                (!member.store.tasks.is_empty(), !member.store.done.is_empty());
            if has_tasks && !self.disk_is_due[place] {
                self.disk_is_due[place] = true;
                let took = self.mean(self.options.disk);
                let at = (self.now + took).max(self.stuck[place] * u64::from(self.is_safety));
                self.push(at, Due::Disk(lane));
            }
            if has_done && !self.confirm_is_due[place] {
                self.confirm_is_due[place] = true;
                let took =
                    if self.order.is_multiple_of(4) { self.mean(self.options.disk) } else { 0 };
                self.push(self.now + took, Due::Confirm(lane));
            }
        }
        self.plan_tick(lane);
    }

    fn plan_tick(&mut self, lane: u8) {
        let place = usize::from(lane);
        if let Some(at) = self.world.deadline(lane)
            && at < self.ticks[place]
        {
            let at = at.max(self.now);
            self.ticks[place] = at;
            self.push(at, Due::Tick(lane));
        }
    }

    fn tick(&mut self, lane: u8) -> Verdict {
        // The deadline has moved since, more often than not.
        self.ticks[usize::from(lane)] = u64::MAX;
        match self.world.deadline(lane) {
            Some(at) if at <= self.now => self.act(Act::Tick(lane), None, lane),
            _ => {
                self.plan_tick(lane);
                Ok(())
            }
        }
    }

    fn down_time(&mut self) -> u64 {
        if !self.is_safety {
            return 1_000;
        }
        match self.rng.below(4) {
            0 => self.rng.below(self.options.timeout / 10),
            1 => self.rng.below(self.options.timeout * 30),
            _ => self.rng.below(self.options.timeout * 4),
        }
    }

    /// Puts a packet on its way, or loses it.
    fn post(&mut self, packet: Packet<H::Entry>) {
        let (from, to) = (usize::from(packet.from), usize::from(packet.id.to));
        let members = self.world.members.len();
        if self.is_safety {
            let is_frame = from < members && to < members;
            if is_frame && self.rng.below(1_000) < self.options.corrupted {
                let place = self.hold(packet.clone());
                self.push(self.now, Due::Corrupt(place));
            }
            // A client's attempt comes once at most, as its machine demands of hosts and as a
            // connection does: after a refusal it counts on it. It comes late instead.
            let is_attempt = from >= members;
            if self.rng.below(1_000) < self.options.replayed {
                if is_attempt {
                    self.world.marks.hit(Mark::LateAttempt);
                    self.remember(packet);
                    return;
                }
                self.remember(packet.clone());
            }
            if !is_attempt && self.rng.below(1_000) < self.options.twice {
                self.world.marks.hit(Mark::Duplicated);
                self.fly(packet.clone());
            }
            if self.rng.below(1_000) < self.options.lost {
                self.world.marks.hit(Mark::Lost);
                return;
            }
        }
        if self.cuts[from * self.lanes() + to] > 0 {
            return;
        }
        if to < members && from >= members && self.world.members[to].machine.is_none() {
            let took = self.latency(from, to);
            self.push(self.now + took, Due::Unreachable(packet.from, packet.id.to));
            return;
        }
        self.fly(packet);
    }

    fn fly(&mut self, packet: Packet<H::Entry>) {
        let took = self.latency(usize::from(packet.from), usize::from(packet.id.to));
        let place = self.hold(packet);
        self.push(self.now + took, Due::Packet(place));
    }

    /// Keeps a packet that is on its way.
    fn hold(&mut self, packet: Packet<H::Entry>) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.flights[place as usize] = Some(packet);
                place
            }
            None => {
                self.flights.push(Some(packet));
                self.flights.len() as u32 - 1
            }
        }
    }

    fn latency(&mut self, from: usize, to: usize) -> u64 {
        let Options { least, jitter, .. } = self.options;
        let took = match jitter {
            0 => self.options.latency / 2 + self.mean(self.options.latency),
            _ => least + self.rng.below(jitter + 1),
        };
        let took = took + self.slow[from * self.lanes() + to];
        if self.options.coarse > 0 { took.next_multiple_of(1_000) } else { took }
    }

    /// Lets a packet come again: some timeouts later, when others may have led in between, or as late
    /// as anything is remembered.
    fn remember(&mut self, packet: Packet<H::Entry>) {
        if self.rng.below(2) == 0 {
            let at = self.now + self.rng.below(12 * self.options.timeout);
            let place = self.hold(packet);
            self.world.marks.hit(Mark::Replayed);
            self.push(at, Due::Packet(place));
        } else if self.old.len() < 64 {
            self.old.push(packet);
        } else {
            let place = self.pick(64);
            // One that is forgotten comes again now.
            let again = std::mem::replace(&mut self.old[place], packet);
            self.world.marks.hit(Mark::Replayed);
            self.fly(again);
        }
    }

    fn arrive(&mut self, place: u32) -> Verdict {
        let Some(packet) = self.flights[place as usize].take() else { return Ok(()) };
        self.free.push(place);
        let (from, to) = (usize::from(packet.from), usize::from(packet.id.to));
        if self.cuts[from * self.lanes() + to] > 0 {
            return Ok(());
        }
        self.act(Act::Deliver(packet.id), Some(&packet), packet.id.to)
    }

    fn corrupt(&mut self, place: u32) -> Verdict {
        let Some(packet) = self.flights[place as usize].take() else { return Ok(()) };
        self.free.push(place);
        let seed = self.rng.draw();
        self.act(Act::Corrupt(packet.id, seed), Some(&packet), packet.id.to)
    }

    fn disk(&mut self, slot: u8) -> Verdict {
        let place = usize::from(slot);
        if self.stuck[place] > self.now && self.is_safety {
            self.push(self.stuck[place], Due::Disk(slot));
            return Ok(());
        }
        self.disk_is_due[place] = false;
        let count = if self.rng.below(4) == 0 { 1 + self.rng.below(3) as u8 } else { u8::MAX };
        let chance = self.rng.below(1_000);
        let Options { power, unsynced, full, .. } = self.options;
        let trouble = if !self.is_safety {
            Trouble::None
        } else if chance < power {
            Trouble::Power(self.rng.below(8))
        } else if chance < power + unsynced {
            Trouble::Sync(self.rng.below(2))
        } else if chance < power + unsynced + full {
            Trouble::Room(self.rng.below(400))
        } else {
            Trouble::None
        };
        if self.rng.below(8) == 0 {
            let wait = self.options.timeout / 8;
            self.push(self.now + wait, Due::Mark(slot));
        }
        self.act(Act::Disk(slot, count, trouble), None, slot)
    }

    /// Somebody wants something.
    fn load(&mut self, load: u8) -> Verdict {
        if !self.is_loaded {
            return Ok(());
        }
        let wait = self.mean(self.options.load);
        self.push(self.now + wait + 1, Due::Load(load));
        if self.world.processes.is_empty() {
            return self.propose();
        }
        let lane = load + self.world.members.len() as u8;
        let call = self.next_call(load);
        let is_idle = self.world.processes[usize::from(load)].is_idle();
        if is_idle || call == Call::Use {
            self.act(Act::Call(lane, call), None, lane)
        } else {
            Ok(())
        }
    }

    fn next_call(&mut self, load: u8) -> Call {
        self.value += 1;
        let value = self.value << 8 | u64::from(load) | 1 << 40;
        let key = self.rng.below(self.options.keys) as u8;
        if self.rng.below(100) >= self.options.leasing {
            return match self.rng.below(8) {
                0..3 => Call::Read(key),
                3..5 => Call::Write(key, value),
                5 => Call::Append(key, value),
                _ => Call::Cas(key, value),
            };
        }
        let scope = self.rng.below(self.options.scopes) as u8;
        let process = &self.world.processes[usize::from(load)];
        let holds = process.believes(self.now, scope_of(scope)) || process.token.is_some();
        let millis = [50, 100, 200, 500, 1_000, 3_000][self.pick(6)];
        match self.rng.below(8) {
            0 | 1 if holds => Call::Release,
            2 | 3 if holds => Call::Use,
            4 => Call::Ask(scope),
            _ => Call::Acquire(scope, millis),
        }
    }

    fn propose(&mut self) -> Verdict {
        let members = self.world.members.len();
        let count = match self.rng.below(4) {
            0 => 0,
            _ => 1 + self.rng.below(self.options.batch + 1) as u8,
        };
        // Followers read as well.
        let elsewhere = if count == 0 { 4 } else { 16 };
        let leader = self.world.leader().filter(|_| self.rng.below(elsewhere) > 0);
        let slot = leader.unwrap_or_else(|| self.pick(members)) as u8;
        self.happen(Due::Asked(slot, count))
    }
}
