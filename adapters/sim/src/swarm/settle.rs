//! The second half of a run: the faults end, and what was promised for such times must come true
//! within a bound (Ongaro 2014, 3.9: elections end when messages are faster than timeouts).
//!
//! A *core* is everybody who belongs to the group, by the configuration of its leader, whose disk
//! works and who hears the others. One member may stay outside of it, hearing nothing or heard by
//! nobody, and must not disturb it; nor must those who do not belong to the group any more.

use super::action::Act;
use super::edit::Edit;
use super::hash::fold;
use super::hosted::Hosted;
use super::marks::Mark;
use super::oracle::{Verdict, ensure};
use super::schedule::Schedule;
use super::store::Kept;
use super::story::EVERYBODY;
use super::world::World;
use crate::trace::What as Shape;
use quorate::id::{Members, Slot};
use quorate::rng::Rng;

/// Bounds, in election timeouts. A member that led in vain doubles its timeout five times at most,
/// and a draw may double it once more: that is 64 of them, several times over until one is lucky.
const LEADER: u64 = 400;
const DECIDED: u64 = 400;
const EQUAL: u64 = 200;
const LEFT: u64 = 200;
const QUIET: u64 = 30;

/// And in events: no wait needs more, however long it is.
const STORM: u64 = 200_000;

impl<H: Hosted> Schedule<H> {
    /// Ends the faults and sees the group settle.
    ///
    /// # Errors
    /// V1 to V9, or any other promise.
    pub fn settle(&mut self) -> Verdict {
        // Drawn anew, so that a run that was made short settles as the long one did.
        self.rng = Rng::new(fold(self.seed, &"settle"));
        self.heal()?;
        // A leader may still step down for what it did not hear in time while there were faults.
        let aftermath = self.last_arrival() + 2 * self.options.timeout;
        let outsider = self.choose_outsider();
        let rest = outsider.map_or(self.world.alive(), |slot| self.world.alive().without(slot));
        let settled = self.settle_among(rest, outsider, aftermath);
        // What was on its way may still have taken the last chance, or the end of a change has.
        if settled.is_err() && !self.world.recoverable(rest) {
            self.world.marks.hit(Mark::Unrecoverable);
            return Ok(());
        }
        settled
    }

    /// Sees these members settle, as far as they belong to the group; one more may be half connected.
    fn settle_among(&mut self, rest: Members, outsider: Option<Slot>, aftermath: u64) -> Verdict {
        if !self.world.recoverable(rest) {
            self.world.marks.hit(Mark::Unrecoverable);
            return Ok(());
        }
        if !self.find_leader(rest)? {
            return Ok(());
        }
        self.leave_joint(rest)?;
        let rest = if self.options.roster > 0 {
            self.come_and_go()?;
            self.world.alive()
        } else {
            rest
        };
        if self.options.interrupt > 0 && !self.interrupt(rest)? {
            return Ok(());
        }
        if self.options.lag > 0 {
            self.fall_behind(rest)?;
        }
        self.decide(rest)?;
        if self.now < aftermath {
            self.run(aftermath, u64::MAX, |_| false)?;
            self.wait_until(aftermath);
        }
        self.become_equal(rest)?;
        self.stay_quiet(rest, outsider)
    }

    /// Every fault ends, and everyone who can starts again.
    fn heal(&mut self) -> Verdict {
        self.is_safety = false;
        self.world.tell(EVERYBODY, Shape::Healed, || "everything is mended".to_owned());
        self.cuts.fill(0);
        self.slow.fill(0);
        self.mending.fill(super::chaos::Mend::Nothing);
        self.asleep.fill(0);
        (0..self.lanes()).for_each(|lane| self.wake(lane));
        self.unstick();
        for lane in 0..self.lanes() as u8 {
            self.act(Act::Freeze(lane, false), None, lane)?;
            self.act(Act::Step(lane, 0), None, lane)?;
            self.act(Act::Rate(lane, 1_000_000), None, lane)?;
        }
        for slot in 0..self.world.members.len() as u8 {
            let machine = self.world.members[usize::from(slot)].machine.as_ref();
            if machine.is_some_and(|machine| machine.raft().stopped().is_some()) {
                self.act(Act::Crash(slot, Kept::All), None, slot)?;
            }
            self.act(Act::Start(slot), None, slot)?;
        }
        // Whoever rests in the service of one who does not come back learns of it.
        for lane in 0..self.world.members.len() as u8 {
            self.doubt(lane, lane)?;
        }
        Ok(())
    }

    fn choose_outsider(&mut self) -> Option<Slot> {
        let alive = self.world.alive();
        let can_be_missed = |slot: &Slot| self.world.recoverable(alive.without(*slot));
        let candidates: Vec<_> = alive.iter().filter(can_be_missed).collect();
        if self.options.outsider == 0 || candidates.is_empty() {
            return None;
        }
        let slot = candidates[self.pick(candidates.len())];
        let outsider = slot.position();
        let is_deaf = self.rng.below(2) == 0;
        for other in (0..self.lanes()).filter(|other| *other != outsider) {
            let (from, to) = if is_deaf { (other, outsider) } else { (outsider, other) };
            let link = from * self.lanes() + to;
            self.cuts[link] += 1;
        }
        self.world.marks.hit(Mark::Outsider);
        self.world.tell(outsider as u8, Shape::Fault, || "stays half connected".to_owned());
        Some(slot)
    }

    fn timeouts(&self, count: u64) -> u64 {
        self.now + count * self.options.timeout
    }

    /// Goes on until it is so, at the latest until some timeouts have passed.
    pub(super) fn until(
        &mut self,
        timeouts: u64,
        is_so: impl Fn(&World<H>) -> bool,
    ) -> Result<bool, super::oracle::Violation> {
        let until = self.timeouts(timeouts);
        let most = self.world.counts.events + STORM;
        self.run(until, most, &is_so)?;
        ensure(self.world.counts.events < most, "V6", || {
            let waited = timeouts - (until.saturating_sub(self.now)) / self.options.timeout;
            format!("{STORM} events in {waited} timeouts of waiting")
        })?;
        let holds = is_so(&self.world);
        if !holds {
            self.wait_until(until);
        }
        Ok(holds)
    }

    /// Waits for a leader; tells whether there can be one.
    fn find_leader(&mut self, rest: Members) -> Result<bool, super::oracle::Violation> {
        let found = self.until(LEADER, |world| led_by(world, rest).is_some())?;
        let out_of_room = self.world.out_of_runs(rest) || self.world.uninformed(rest);
        ensure(found || out_of_room, "V1", || {
            let roles = roles(&self.world, rest);
            format!("no leader that its core follows after {LEADER} timeouts: {roles:?}")
        })?;
        if !found {
            self.world.marks.hit(Mark::OutOfRoom);
        }
        Ok(found)
    }

    /// A change that is under way comes to its end: by itself, or because somebody sees to it.
    fn leave_joint(&mut self, rest: Members) -> Verdict {
        let until = self.timeouts(LEFT);
        let mut is_left = false;
        while !is_left && self.now < until {
            if let Some(leader) = led_by(&self.world, rest)
                && waits_to_be_left(&self.world, leader)
            {
                let lane = leader as u8;
                self.act(Act::Change(lane, Edit::Leave), None, lane)?;
            }
            is_left = self.until(1, |world| {
                led_by(world, rest).is_some_and(|leader| has_changed(world, leader))
            })?;
        }
        ensure(is_left, "V8", || {
            let roles = roles(&self.world, rest);
            format!("a change has not come to its end after {LEFT} timeouts: {roles:?}")
        })
    }

    /// A leader dies soon after it has entered a joint configuration that leaves itself; tells whether
    /// there can be another leader.
    fn interrupt(&mut self, rest: Members) -> Result<bool, super::oracle::Violation> {
        let Some(leader) = led_by(&self.world, rest) else { return Ok(true) };
        let now = self.world.books.in_force(leader);
        let Some(edit) = self.draw_joint(&now) else { return Ok(true) };
        let lane = leader as u8;
        self.act(Act::Change(lane, edit), None, lane)?;
        let soon = 4 * (self.options.latency + self.options.disk);
        let until = self.now + self.rng.below(soon);
        self.run(until, u64::MAX, |_| false)?;
        self.wait_until(until);
        self.world.marks.hit(Mark::Interrupted);
        self.act(Act::Crash(lane, Kept::All), None, lane)?;
        let found = self.find_leader(rest)?;
        if found {
            self.leave_joint(rest)?;
        }
        Ok(found)
    }

    /// One member is cut off under load, and comes back: at times with a clock far behind that of the
    /// others, who have committed what it must take on all the same.
    fn fall_behind(&mut self, rest: Members) -> Verdict {
        let Some(leader) = led_by(&self.world, rest) else { return Ok(()) };
        let core = core_of(&self.world, leader, rest);
        let can_be_missed = |slot: &Slot| self.world.recoverable(rest.without(*slot));
        let behind: Vec<_> =
            core.iter().filter(|slot| slot.position() != leader).filter(can_be_missed).collect();
        if behind.is_empty() {
            return Ok(());
        }
        let lagging = behind[self.pick(behind.len())].position();
        self.world.marks.hit(Mark::Lagging);
        self.world.tell(lagging as u8, Shape::Fault, || "is cut off under load".to_owned());
        for other in (0..self.lanes()).filter(|other| *other != lagging) {
            let lanes = self.lanes();
            self.cuts[lagging * lanes + other] += 1;
            self.cuts[other * lanes + lagging] += 1;
        }
        let until = self.timeouts(20);
        self.run(until, u64::MAX, |_| false)?;
        self.wait_until(until);
        let lane = lagging as u8;
        if self.rng.below(2) == 0 {
            let behind = 20 * self.options.max_offset as i64;
            self.act(Act::Step(lane, -behind), None, lane)?;
        }
        for other in (0..self.lanes()).filter(|other| *other != lagging) {
            let lanes = self.lanes();
            self.cuts[lagging * lanes + other] -= 1;
            self.cuts[other * lanes + lagging] -= 1;
        }
        let goal = self.world.books.last_committed();
        // Whoever was silent before as well may have been evicted meanwhile.
        let caught_up = self.until(EQUAL, |world| {
            let belongs = world.books.agreed().members().contains(Slot::new(lane));
            !belongs || applied(world, lagging) >= goal
        })?;
        ensure(caught_up, "V7", || {
            let applied = applied(&self.world, lagging);
            format!("n{lagging} came back at {applied} and did not reach {goal} under load")
        })?;
        self.act(Act::Step(lane, 0), None, lane)
    }

    /// Everything that is asked is answered, and new things are decided.
    fn decide(&mut self, rest: Members) -> Verdict {
        let before = self.world.books.last_committed();
        let answered = self.world.counts.answered;
        let moves = self.until(DECIDED, |world| {
            let counts = &world.counts;
            world.books.last_committed() > before
                && (world.processes.is_empty() || counts.answered > answered)
        })?;
        ensure(moves, "V2", || {
            let roles = roles(&self.world, rest);
            format!("nothing is decided after {DECIDED} timeouts, at {before}: {roles:?}")
        })?;
        self.is_loaded = false;
        let over = self.until(DECIDED, |world| {
            world.processes.iter().all(super::process::Process::is_idle)
                && world.open_questions() == 0
        })?;
        ensure(over, "V2", || {
            format!("{} questions are open after {DECIDED} timeouts", self.world.open_questions())
        })
    }

    fn become_equal(&mut self, rest: Members) -> Verdict {
        let equal = self.until(EQUAL, |world| {
            let goal = world.books.last_committed();
            let has_all = |slot: Slot| applied(world, slot.position()) == goal;
            led_by(world, rest)
                .is_some_and(|leader| core_of(world, leader, rest).iter().all(has_all))
        })?;
        let goal = self.world.books.last_committed();
        ensure(equal, "V3", || {
            let applied: Vec<_> =
                rest.iter().map(|slot| applied(&self.world, slot.position())).collect();
            let roles = roles(&self.world, rest);
            format!("{applied:?} are applied, and {goal} is committed: {roles:?}")
        })?;
        let core = led_by(&self.world, rest).map(|leader| core_of(&self.world, leader, rest));
        let members = &self.world.members;
        let core = core.unwrap_or(Members::NONE);
        let mut states = core
            .iter()
            .filter_map(|slot| members[slot.position()].machine.as_ref().map(Hosted::state));
        let first = states.next();
        ensure(states.all(|state| Some(state) == first), "V3", || {
            format!("all have applied {goal}, and their states differ")
        })
    }

    fn stay_quiet(&mut self, rest: Members, outsider: Option<Slot>) -> Verdict {
        let leader = led_by(&self.world, rest);
        let core = leader.map_or(Members::NONE, |leader| core_of(&self.world, leader, rest));
        let super::counts::Counts { elections, messages, commits, .. } = self.world.counts;
        let until = self.timeouts(QUIET);
        self.run(until, u64::MAX, |_| false)?;
        self.wait_until(until);
        let now = led_by(&self.world, rest);
        let elections = self.world.counts.elections - elections;
        ensure(now.is_some() && now == leader && elections == 0, "V4", || {
            format!("after n{leader:?} n{now:?} leads; {elections} elections without a fault")
        })?;
        let members = self.world.members.len() as u64;
        let beats = QUIET * self.options.timeout / self.options.heartbeat + 2;
        let commits = self.world.counts.commits - commits;
        // A heartbeat and its answer; for what holders renew and what is due by itself, entries and
        // news of their commit, each answered; a quarter more for what comes at once. A member that
        // is half connected, or does not know that it was removed, asks all others once a timeout, and
        // is answered.
        let others = rest.minus(core).len() as u64 + u64::from(outsider.is_some());
        let outsiders = QUIET * members * 4 * others;
        let most = (beats * 2 + commits * 4) * (members - 1) * 5 / 4 + outsiders + 20 * members;
        let sent = self.world.counts.messages - messages;
        ensure(sent <= most, "V6", || {
            format!("{sent} messages in {QUIET} quiet timeouts, where {most} should be enough")
        })
    }
}

/// The member that leads and that its whole core follows, once its own entry is committed.
pub(super) fn led_by<H: Hosted>(world: &World<H>, rest: Members) -> Option<usize> {
    let leader = world.leader().filter(|leader| rest.contains(Slot::new(*leader as u8)))?;
    let raft = |slot: usize| world.members[slot].machine.as_ref().map(Hosted::raft);
    let term = raft(leader)?.term();
    let follows = |slot: Slot| {
        raft(slot.position()).is_some_and(|raft| {
            raft.term() == term && raft.leader() == Some(Slot::new(leader as u8))
        })
    };
    let is_confirmed = raft(leader)?.log().term_at(raft(leader)?.commit()) == Some(term);
    (is_confirmed && core_of(world, leader, rest).iter().all(follows)).then_some(leader)
}

/// Those of these who belong to the group, as its leader has it; and the leader.
fn core_of<H: Hosted>(world: &World<H>, leader: usize, rest: Members) -> Members {
    let members = world.books.in_force(leader).members();
    members.shared(rest).with(Slot::new(leader as u8))
}

/// Whether no change is under way, as the leader has it, and it votes.
fn has_changed<H: Hosted>(world: &World<H>, leader: usize) -> bool {
    let Some(raft) = world.members[leader].machine.as_ref().map(Hosted::raft) else { return false };
    let newest = raft.log().configured();
    !newest.configuration.is_joint()
        && newest.at <= raft.commit()
        && newest.configuration.voters().contains(Slot::new(leader as u8))
}

/// Whether nobody but an operator ends this leader's change.
fn waits_to_be_left<H: Hosted>(world: &World<H>, leader: usize) -> bool {
    let configuration = world.books.in_force(leader);
    configuration.is_joint() && !configuration.leaves_by_itself()
}

fn applied<H: Hosted>(world: &World<H>, slot: usize) -> u64 {
    world.members[slot].machine.as_ref().map_or(0, |machine| machine.applied().index.number())
}

pub(super) fn roles<H: Hosted>(world: &World<H>, rest: Members) -> Vec<String> {
    rest.iter().map(|slot| role(world, slot.position())).collect()
}

fn role<H: Hosted>(world: &World<H>, slot: usize) -> String {
    match &world.members[slot].machine {
        Some(machine) => {
            let raft = machine.raft();
            let (role, term, last) = (raft.role(), raft.term(), raft.log().last());
            let (runs, floor) = (raft.log().runs().len(), raft.log().floor());
            let commit = raft.commit();
            let configuration = raft.configuration();
            format!(
                "n{slot} {role} t{term} {runs} runs {floor} to {last} commit {commit} in {configuration}"
            )
        }
        None => format!("n{slot} down"),
    }
}
