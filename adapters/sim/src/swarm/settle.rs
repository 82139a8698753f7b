//! The second half of a run: the faults end, and what was promised for such times must come true
//! within a bound (Ongaro 2014, 3.9: elections end when messages are faster than timeouts).
//!
//! A *core* is a majority whose members hear each other and whose disks work. One member may stay
//! outside of it, hearing nothing or heard by nobody, and must not disturb it.

use super::action::Act;
use super::hash::fold;
use super::hosted::Hosted;
use super::marks::Mark;
use super::oracle::{Verdict, ensure};
use super::schedule::Schedule;
use super::store::Kept;
use super::story::EVERYBODY;
use super::world::World;
use crate::trace::What as Shape;
use quorate::rng::Rng;

/// Bounds, in election timeouts. A member that led in vain doubles its timeout five times at most,
/// and a draw may double it once more: that is 64 of them, several times over until one is lucky.
const LEADER: u64 = 400;
const DECIDED: u64 = 400;
const EQUAL: u64 = 200;
const QUIET: u64 = 30;

/// And in events: no wait needs more, however long it is.
const STORM: u64 = 200_000;

impl<H: Hosted> Schedule<H> {
    /// Ends the faults and sees the group settle.
    ///
    /// # Errors
    /// V1 to V7, or any other promise.
    pub fn settle(&mut self) -> Verdict {
        // Drawn anew, so that a run that was made short settles as the long one did.
        self.rng = Rng::new(fold(self.seed, &"settle"));
        self.heal()?;
        // A leader may still step down for what it did not hear in time while there were faults.
        let aftermath = self.last_arrival() + 2 * self.options.timeout;
        if !self.world.recoverable() {
            self.world.marks.hit(Mark::Unrecoverable);
            return Ok(());
        }
        let outsider = self.choose_outsider();
        let core: Vec<usize> = (0..self.world.members.len())
            .filter(|slot| !self.world.members[*slot].is_lost && Some(*slot) != outsider)
            .collect();
        if !self.find_leader(&core)? {
            return Ok(());
        }
        if self.options.lag > 0 && core.len() > self.world.members.len() / 2 + 1 {
            self.fall_behind(&core)?;
        }
        self.decide(&core)?;
        if self.now < aftermath {
            self.run(aftermath, u64::MAX, |_| false)?;
            self.wait_until(aftermath);
        }
        self.become_equal(&core)?;
        self.stay_quiet(&core, outsider)
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
        Ok(())
    }

    fn choose_outsider(&mut self) -> Option<usize> {
        let members = self.world.members.len();
        let lost = self.world.members.iter().filter(|member| member.is_lost).count();
        if self.options.outsider == 0 || members - lost <= members / 2 + 1 {
            return None;
        }
        let alive: Vec<_> =
            (0..members).filter(|slot| !self.world.members[*slot].is_lost).collect();
        let outsider = alive[self.pick(alive.len())];
        let is_deaf = self.rng.below(2) == 0;
        for other in (0..self.lanes()).filter(|other| *other != outsider) {
            let (from, to) = if is_deaf { (other, outsider) } else { (outsider, other) };
            let link = from * self.lanes() + to;
            self.cuts[link] += 1;
        }
        self.world.marks.hit(Mark::Outsider);
        self.world.tell(outsider as u8, Shape::Fault, || "stays half connected".to_owned());
        Some(outsider)
    }

    fn timeouts(&self, count: u64) -> u64 {
        self.now + count * self.options.timeout
    }

    /// Goes on until it is so, at the latest until some timeouts have passed.
    fn until(
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
    fn find_leader(&mut self, core: &[usize]) -> Result<bool, super::oracle::Violation> {
        let slots = core.to_vec();
        let found = self.until(LEADER, |world| led_by(world, &slots).is_some())?;
        let out_of_runs = self.world.out_of_runs(core);
        ensure(found || out_of_runs, "V1", || {
            let roles: Vec<_> = core.iter().map(|slot| role(&self.world, *slot)).collect();
            format!("no leader that its core follows after {LEADER} timeouts: {roles:?}")
        })?;
        if !found {
            self.world.marks.hit(Mark::OutOfRuns);
        }
        Ok(found)
    }

    /// One member is cut off under load, and comes back: at times with a clock far behind that of the
    /// others, who have committed what it must take on all the same.
    fn fall_behind(&mut self, core: &[usize]) -> Verdict {
        let Some(leader) = led_by(&self.world, core) else { return Ok(()) };
        let behind: Vec<_> = core.iter().copied().filter(|slot| *slot != leader).collect();
        let lagging = behind[self.pick(behind.len())];
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
        let caught_up = self.until(EQUAL, |world| applied(world, lagging) >= goal)?;
        ensure(caught_up, "V7", || {
            let applied = applied(&self.world, lagging);
            format!("n{lagging} came back at {applied} and did not reach {goal} under load")
        })?;
        self.act(Act::Step(lane, 0), None, lane)
    }

    /// Everything that is asked is answered, and new things are decided.
    fn decide(&mut self, core: &[usize]) -> Verdict {
        let before = self.world.books.last_committed();
        let answered = self.world.counts.answered;
        let moves = self.until(DECIDED, |world| {
            let counts = &world.counts;
            world.books.last_committed() > before
                && (world.processes.is_empty() || counts.answered > answered)
        })?;
        ensure(moves, "V2", || {
            let roles: Vec<_> = core.iter().map(|slot| role(&self.world, *slot)).collect();
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

    fn become_equal(&mut self, core: &[usize]) -> Verdict {
        let slots = core.to_vec();
        let equal = self.until(EQUAL, |world| {
            let goal = world.books.last_committed();
            led_by(world, &slots).is_some()
                && slots.iter().all(|slot| applied(world, *slot) == goal)
        })?;
        let goal = self.world.books.last_committed();
        let applied: Vec<_> = core.iter().map(|slot| applied(&self.world, *slot)).collect();
        ensure(equal, "V3", || format!("{applied:?} are applied, and {goal} is committed"))?;
        let mut states = core
            .iter()
            .filter_map(|slot| self.world.members[*slot].machine.as_ref().map(Hosted::state));
        let first = states.next();
        ensure(states.all(|state| Some(state) == first), "V3", || {
            format!("all have applied {goal}, and their states differ")
        })
    }

    fn stay_quiet(&mut self, core: &[usize], outsider: Option<usize>) -> Verdict {
        let slots = core.to_vec();
        let leader = led_by(&self.world, core);
        let super::counts::Counts { elections, messages, commits, .. } = self.world.counts;
        let until = self.timeouts(QUIET);
        self.run(until, u64::MAX, |_| false)?;
        self.wait_until(until);
        let now = led_by(&self.world, &slots);
        let elections = self.world.counts.elections - elections;
        ensure(now.is_some() && now == leader && elections == 0, "V4", || {
            format!("after n{leader:?} n{now:?} leads; {elections} elections without a fault")
        })?;
        let members = self.world.members.len() as u64;
        let beats = QUIET * self.options.timeout / self.options.heartbeat + 2;
        let commits = self.world.counts.commits - commits;
        // A heartbeat and its answer; for what holders renew and what is due by itself, entries and
        // news of their commit, each answered; a quarter more for what comes at once. A member that
        // is half connected asks all others once a timeout, and is answered.
        let outsiders = if outsider.is_some() { QUIET * members * 4 } else { 0 };
        let most = (beats * 2 + commits * 4) * (members - 1) * 5 / 4 + outsiders + 20 * members;
        let sent = self.world.counts.messages - messages;
        ensure(sent <= most, "V6", || {
            format!("{sent} messages in {QUIET} quiet timeouts, where {most} should be enough")
        })
    }
}

/// The member that leads and that the whole core follows, once its own entry is committed.
fn led_by<H: Hosted>(world: &World<H>, core: &[usize]) -> Option<usize> {
    let leader = world.leader().filter(|leader| core.contains(leader))?;
    let raft = |slot: &usize| world.members[*slot].machine.as_ref().map(Hosted::raft);
    let term = raft(&leader)?.term();
    let follows = |slot: &usize| {
        raft(slot).is_some_and(|raft| {
            raft.term() == term
                && raft.leader().map(|slot| usize::from(slot.number())) == Some(leader)
        })
    };
    let is_confirmed = raft(&leader)?.log().term_at(raft(&leader)?.commit()) == Some(term);
    (is_confirmed && core.iter().all(follows)).then_some(leader)
}

fn applied<H: Hosted>(world: &World<H>, slot: usize) -> u64 {
    world.members[slot].machine.as_ref().map_or(0, |machine| machine.applied().index.number())
}

fn role<H: Hosted>(world: &World<H>, slot: usize) -> String {
    match &world.members[slot].machine {
        Some(machine) => {
            let raft = machine.raft();
            let (role, term, last) = (raft.role(), raft.term(), raft.log().last());
            let (runs, floor) = (raft.log().runs().len(), raft.log().floor());
            let commit = raft.commit();
            format!("n{slot} {role} t{term} {runs} runs {floor} to {last} commit {commit}")
        }
        None => format!("n{slot} down"),
    }
}
