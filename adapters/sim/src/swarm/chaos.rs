//! The faults of the world around the members: networks that part, members that die or sleep, disks
//! that stick, clocks that are wrong.

use super::action::Act;
use super::hosted::Hosted;
use super::marks::Mark;
use super::options::Options;
use super::oracle::Verdict;
use super::schedule::{Due, Schedule};
use super::store::Kept;
use super::story::EVERYBODY;
use crate::trace::What as Shape;

/// What ends a fault.
#[derive(Clone, Debug)]
pub(super) enum Mend {
    /// These directions work again.
    Cuts(Vec<usize>),
    /// This direction is faster again by so much.
    Slow(usize, u64),
    /// This civil clock goes on.
    Freeze(u8),
    /// This monotonic clock is right again.
    Rate(u8),
    /// This member is cut off now, until that moment.
    Isolate(usize, u64),
    /// A link works again, or is cut again if the number of turns that are left is even.
    Flap(usize, usize, u8),
    /// It was mended.
    Nothing,
}

/// The kinds of faults, each with its rate.
type Kind = (fn(&Options) -> u64, Fault);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Crash,
    Outage,
    Partition,
    OneWay,
    Isolate,
    Bridge,
    Flap,
    Clog,
    Swizzle,
    Pause,
    Sick,
    Civil,
    Monotonic,
    StepDown,
    Transfer,
    Churn,
    Doubt,
    Tick,
    Roster,
}

const KINDS: [Kind; 19] = [
    (|o| o.crash, Fault::Crash),
    (|o| o.outage, Fault::Outage),
    (|o| o.partition, Fault::Partition),
    (|o| o.one_way, Fault::OneWay),
    (|o| o.isolate, Fault::Isolate),
    (|o| o.bridge, Fault::Bridge),
    (|o| o.flap, Fault::Flap),
    (|o| o.clog, Fault::Clog),
    (|o| o.swizzle, Fault::Swizzle),
    (|o| o.pause, Fault::Pause),
    (|o| o.sick, Fault::Sick),
    (|o| o.civil, Fault::Civil),
    (|o| o.monotonic, Fault::Monotonic),
    (|o| o.step_down, Fault::StepDown),
    (|o| o.transfer, Fault::Transfer),
    (|o| o.churn, Fault::Churn),
    (|o| o.doubt, Fault::Doubt),
    (|o| o.tick, Fault::Tick),
    (|o| o.roster, Fault::Roster),
];

impl<H: Hosted> Schedule<H> {
    /// Puts the first fault of each kind in the queue.
    pub(super) fn plan_faults(&mut self) {
        for (kind, (rate, _)) in KINDS.iter().enumerate() {
            let rate = rate(&self.options);
            if rate > 0 {
                let at = self.mean(rate);
                self.push(at, Due::Fault(kind as u8));
            }
        }
    }

    /// A fault is due: it happens, and the next is put in the queue.
    pub(super) fn fault(&mut self, kind: u8) -> Verdict {
        if !self.is_safety {
            return Ok(());
        }
        let (rate, fault) = KINDS[usize::from(kind)];
        let wait = self.mean(rate(&self.options));
        self.push(self.now + wait + 1, Due::Fault(kind));
        let members = self.world.members.len();
        let slot = self.pick(members);
        let lane = slot as u8;
        match fault {
            Fault::Crash => self.crash(lane)?,
            Fault::Outage => {
                for slot in 0..members as u8 {
                    self.crash(slot)?;
                }
            }
            Fault::Partition => self.part_in_two(),
            Fault::OneWay => self.cut_one_way(slot),
            Fault::Isolate => self.isolate(slot),
            Fault::Bridge => self.bridge(slot),
            Fault::Flap => self.flap(slot),
            Fault::Clog => self.clog(slot),
            Fault::Swizzle => self.swizzle(),
            Fault::Pause => {
                let lane = self.pick(self.lanes());
                let until = self.now + self.rng.below(self.options.timeout * 12);
                self.asleep[lane] = self.asleep[lane].max(until);
                self.push(self.asleep[lane], Due::Wake(lane as u8));
                self.world.marks.hit(Mark::Paused);
                let words = format!("sleeps until {} ms", until / 1_000);
                self.world.tell(lane as u8, Shape::Fault, || words);
            }
            Fault::Sick => {
                let slot = self.world.leader().filter(|_| self.rng.below(2) > 0).unwrap_or(slot);
                self.stuck[slot] = self.now + self.rng.below(self.options.timeout * 20);
                self.world.marks.hit(Mark::SickLeader);
                self.world.tell(slot as u8, Shape::Fault, || "its disk is stuck".to_owned());
            }
            Fault::Civil => self.set_civil()?,
            Fault::Monotonic => self.set_monotonic()?,
            Fault::StepDown if self.asleep[slot] > self.now => {}
            Fault::StepDown => self.act(Act::StepDown(lane), None, lane)?,
            Fault::Transfer => self.transfer()?,
            Fault::Churn => self.change()?,
            Fault::Roster => self.tend_roster()?,
            Fault::Doubt if self.asleep[slot] > self.now => {}
            Fault::Doubt => {
                let other = self.pick(members) as u8;
                self.doubt(lane, other)?;
            }
            Fault::Tick => {
                let lane = self.pick(self.lanes());
                if self.asleep[lane] <= self.now {
                    self.act(Act::Tick(lane as u8), None, lane as u8)?;
                }
            }
        }
        Ok(())
    }

    /// A member's host doubts that its leader lives; if it has none, another.
    pub(super) fn doubt(&mut self, lane: u8, other: u8) -> Verdict {
        let machine = self.world.members[usize::from(lane)].machine.as_ref();
        let leader = machine.and_then(|machine| machine.raft().leader());
        let of = leader.map_or(other, |leader| leader.number());
        self.act(Act::Suspect(lane, of), None, lane)
    }

    fn crash(&mut self, slot: u8) -> Verdict {
        let kept = match self.rng.below(5) {
            0 | 1 => Kept::All,
            2 => Kept::None,
            _ => Kept::Some(self.rng.draw()),
        };
        if self.world.members[usize::from(slot)].machine.is_none() {
            return Ok(());
        }
        self.act(Act::Crash(slot, kept), None, slot)?;
        let chance = self.rng.below(100);
        let Options { rot, lose, amnesia, doom, .. } = self.options;
        if amnesia > 0 && chance < amnesia {
            return self.act(Act::Forget(slot), None, slot);
        }
        if doom == 0 && !self.world.can_spare(slot) {
            return Ok(()); // Only a minority may be destroyed.
        }
        if chance < rot {
            let seed = self.rng.draw();
            self.act(Act::Rot(slot, seed), None, slot)?;
        } else if chance < rot + lose {
            self.act(Act::Lose(slot), None, slot)?;
        }
        Ok(())
    }

    /// Cuts these directions for a while, if there are any.
    fn cut(&mut self, links: Vec<usize>, mark: Mark) {
        if links.is_empty() {
            return;
        }
        self.world.marks.hit(mark);
        for link in &links {
            self.cuts[*link] += 1;
        }
        self.mend_later(Mend::Cuts(links));
    }

    fn mend_later(&mut self, mend: Mend) {
        let wait = match self.rng.below(4) {
            0 => self.rng.below(self.options.timeout),
            1 => self.rng.below(self.options.timeout * 40),
            _ => self.rng.below(self.options.timeout * 8),
        };
        self.mend_at(self.now + wait, mend);
    }

    fn mend_at(&mut self, at: u64, mend: Mend) {
        self.mending.push(mend);
        self.push(at, Due::Mend(self.mending.len() as u32 - 1));
    }

    /// A fault is over.
    pub(super) fn mend(&mut self, place: u32) -> Verdict {
        match std::mem::replace(&mut self.mending[place as usize], Mend::Nothing) {
            Mend::Cuts(links) => links.iter().for_each(|link| self.cuts[*link] -= 1),
            Mend::Slow(link, by) => self.slow[link] -= by,
            Mend::Freeze(lane) => self.act(Act::Freeze(lane, false), None, lane)?,
            Mend::Rate(lane) => self.act(Act::Rate(lane, 1_000_000), None, lane)?,
            Mend::Isolate(slot, until) => {
                let links = self.around(slot);
                links.iter().for_each(|link| self.cuts[*link] += 1);
                self.mend_at(until, Mend::Cuts(links));
            }
            Mend::Flap(there, back, turns) => self.flap_again(there, back, turns),
            Mend::Nothing => {}
        }
        Ok(())
    }

    /// The directions from every lane of one side to every lane of the other.
    fn between(&self, one: &[usize], other: &[usize]) -> Vec<usize> {
        let lanes = self.lanes();
        one.iter().flat_map(|from| other.iter().map(move |to| from * lanes + to)).collect()
    }

    fn part_in_two(&mut self) {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for lane in 0..self.lanes() {
            if self.rng.below(2) == 0 { one.push(lane) } else { other.push(lane) }
        }
        self.story(&format!("the network parts: {one:?} and {other:?}"));
        let mut links = self.between(&one, &other);
        links.extend(self.between(&other, &one));
        // Clients by themselves are no part of the group.
        let has_members = |side: &[usize]| side.iter().any(|lane| *lane < self.world.members.len());
        let parts = has_members(&one) && has_members(&other);
        self.cut(links, if parts { Mark::Partitioned } else { Mark::ClientsApart });
    }

    fn cut_one_way(&mut self, slot: usize) {
        let others: Vec<_> = (0..self.world.members.len()).filter(|other| *other != slot).collect();
        let some: Vec<_> = others.iter().copied().filter(|_| self.rng.below(3) > 0).collect();
        let is_deaf = self.rng.below(2) == 0;
        let links =
            if is_deaf { self.between(&some, &[slot]) } else { self.between(&[slot], &some) };
        self.story(&format!(
            "n{slot} {} {some:?}",
            if is_deaf { "cannot hear" } else { "cannot reach" }
        ));
        self.cut(links, Mark::OneWay);
    }

    fn isolate(&mut self, slot: usize) {
        let slot = self.world.leader().filter(|_| self.rng.below(2) > 0).unwrap_or(slot);
        self.story(&format!("n{slot} is alone"));
        self.cut(self.around(slot), Mark::Isolated);
    }

    /// The directions between a member and all others.
    fn around(&self, slot: usize) -> Vec<usize> {
        let members: Vec<_> =
            (0..self.world.members.len()).filter(|other| *other != slot).collect();
        let mut links = self.between(&[slot], &members);
        links.extend(self.between(&members, &[slot]));
        links
    }

    /// Some members are cut off one after another, and come back in another order (the swizzles of
    /// FoundationDB).
    fn swizzle(&mut self) {
        let cut = self.in_any_order((0..self.world.members.len()).collect());
        let count = 1 + self.pick(cut.len());
        let cut = cut[..count].to_vec();
        let back = self.in_any_order(cut.clone());
        self.story(&format!("{cut:?} are cut off one by one, and come back as {back:?}"));
        if cut != back {
            self.world.marks.hit(Mark::Swizzled);
        }
        let pace = 1 + self.rng.below(4 * self.options.timeout);
        for (place, slot) in cut.iter().enumerate() {
            let comes_back = count + back.iter().position(|other| other == slot).unwrap_or(0);
            let [at, until] = [place, comes_back].map(|turn| self.now + turn as u64 * pace);
            self.mend_at(at, Mend::Isolate(*slot, until));
        }
    }

    fn in_any_order(&mut self, mut slots: Vec<usize>) -> Vec<usize> {
        for last in (1..slots.len()).rev() {
            let other = self.pick(last + 1);
            slots.swap(last, other);
        }
        slots
    }

    /// Two halves hear each other through one member only.
    fn bridge(&mut self, slot: usize) {
        let members = self.world.members.len();
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for member in (0..members).filter(|member| *member != slot) {
            if self.rng.below(2) == 0 { one.push(member) } else { other.push(member) }
        }
        let mut links = self.between(&one, &other);
        links.extend(self.between(&other, &one));
        self.story(&format!("{one:?} and {other:?} hear each other through n{slot} only"));
        self.cut(links, Mark::Bridged);
    }

    /// Somebody other than a member, of so many.
    fn other_than(&mut self, slot: usize, lanes: usize) -> Option<usize> {
        (lanes > 1).then(|| (slot + 1 + self.pick(lanes - 1)) % lanes)
    }

    /// A link of a member that is slow one way.
    fn clog(&mut self, slot: usize) {
        let Some(other) = self.other_than(slot, self.lanes()) else { return };
        let (from, to) = if self.rng.below(2) == 0 { (slot, other) } else { (other, slot) };
        let link = from * self.lanes() + to;
        let by = self.options.timeout * (1 + self.rng.below(4)) / 2;
        self.slow[link] += by;
        self.world.marks.hit(Mark::Clogged);
        self.mend_later(Mend::Slow(link, by));
    }

    /// A link that comes and goes.
    fn flap(&mut self, slot: usize) {
        let Some(other) = self.other_than(slot, self.world.members.len()) else { return };
        self.world.marks.hit(Mark::Flapped);
        let (there, back) = (slot * self.lanes() + other, other * self.lanes() + slot);
        self.story(&format!("the link between n{slot} and n{other} flaps"));
        self.cuts[there] += 1;
        self.cuts[back] += 1;
        self.mending.push(Mend::Flap(there, back, 1 + 2 * self.rng.below(4) as u8));
        let wait = self.rng.below(self.options.timeout / 2);
        self.push(self.now + wait, Due::Mend(self.mending.len() as u32 - 1));
    }

    /// A flapping link changes over, and soon again until its turns are over.
    fn flap_again(&mut self, there: usize, back: usize, turns: u8) {
        let cuts = turns.is_multiple_of(2);
        for link in [there, back] {
            self.cuts[link] = if cuts { self.cuts[link] + 1 } else { self.cuts[link] - 1 };
        }
        if turns > 1 {
            self.mending.push(Mend::Flap(there, back, turns - 1));
            let wait = self.rng.below(self.options.timeout / 2);
            self.push(self.now + wait, Due::Mend(self.mending.len() as u32 - 1));
        }
    }

    /// By how much somebody's civil clock may be wrong.
    fn most_ahead(&self, lane: usize) -> u64 {
        let slack = self.options.max_offset / 4;
        if (lane as u64) < self.options.wild { slack * 80 } else { slack }
    }

    /// While a member is down, its civil clock may be set back.
    pub(super) fn set_back(&mut self, slot: u8) -> Verdict {
        if !self.is_safety || self.options.civil == 0 || self.rng.below(3) > 0 {
            return Ok(());
        }
        let behind = self.rng.below(self.most_ahead(usize::from(slot)) + 1) as i64;
        self.act(Act::Step(slot, -behind), None, slot)
    }

    /// A civil clock steps or stands still: within what the group was set up for, or not.
    fn set_civil(&mut self) -> Verdict {
        let lane = self.pick(self.lanes());
        let slack = self.options.max_offset / 4;
        let is_wild = (lane as u64) < self.options.wild;
        let most = self.most_ahead(lane);
        let ahead = self.rng.below(2 * most + 1) as i64 - most as i64;
        self.act(Act::Step(lane as u8, ahead), None, lane as u8)?;
        if self.rng.below(3) == 0 {
            self.act(Act::Freeze(lane as u8, true), None, lane as u8)?;
            self.mending.push(Mend::Freeze(lane as u8));
            let wait = self.rng.below(if is_wild { slack * 40 } else { slack });
            self.push(self.now + wait, Due::Mend(self.mending.len() as u32 - 1));
        }
        Ok(())
    }

    /// A monotonic clock drifts, or stands still; a client's no more than its holder was told.
    fn set_monotonic(&mut self) -> Verdict {
        let lane = self.pick(self.lanes());
        let is_member = lane < self.world.members.len();
        let rate = match self.rng.below(4) {
            // A leader that reads by lease counts on clocks that run, and drift little.
            0 if is_member && self.options.drift == 0 => 0,
            1 if is_member && self.options.drift == 0 => 500_000 + self.rng.below(1_000_000),
            _ => 999_100 + self.rng.below(3_000),
        };
        self.act(Act::Rate(lane as u8, rate), None, lane as u8)?;
        self.mend_later(Mend::Rate(lane as u8));
        Ok(())
    }

    /// Tells of something that befalls everybody.
    pub(super) fn story(&mut self, words: &str) {
        self.world.tell(EVERYBODY, Shape::Fault, || words.to_owned());
    }
}
