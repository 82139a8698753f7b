//! One seed, one run: faults first, then none, and what came of it.

use super::action::Action;
use super::bare::Bare;
use super::counts::Counts;
use super::hosted::Hosted;
use super::marks::{Mark, Marks};
use super::options::{Network, Options};
use super::oracle::Violation;
use super::schedule::Schedule;
use super::shrink::{Shrunk, shrink as shrink_actions};
use super::vault::Vault;
use crate::trace::Trace;
use quorate::replica::Replica;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Which machine is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    /// Raft alone, under a host that keeps the payloads.
    Raft,
    /// The replica, with leases, registers and clients.
    Replica,
}

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Which machine.
    pub machine: Machine,
    /// After how many events the faults end.
    pub events: u64,
    /// Whether members come back under their own names with empty disks, which no group can bear:
    /// the oracles must see it.
    pub amnesia: bool,
    /// What lies between the members, if that is not drawn.
    pub network: Option<Network>,
    /// Whether every action is kept, and the story told.
    pub is_told: bool,
}

impl Default for Plan {
    /// A replica, as `quorate sim run` has it.
    fn default() -> Self {
        let (machine, network) = (Machine::Replica, None);
        Self { machine, events: 20_000, amnesia: false, network, is_told: false }
    }
}

impl Plan {
    /// What is drawn from a seed, and what the plan adds.
    fn options(&self, seed: u64) -> Options {
        let options = Options::on(seed, self.network).with_roster(self.machine == Machine::Replica);
        if !self.amnesia {
            return options;
        }
        Options { amnesia: 30, crash: 8 * options.timeout, ..options }
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// How it was set up.
    pub options: Options,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// How many of each thing happened.
    pub counts: Counts,
    /// What happened at all.
    pub marks: Marks,
    /// A fold of everything that machines were told and have said.
    pub hash: u64,
    /// How long it was in true time, in microseconds.
    pub span: u64,
    /// Every action, if they were kept.
    pub actions: Vec<Action>,
    /// How many of them happened before everything was mended.
    pub faulty: usize,
    /// The story, if it was told.
    pub trace: Option<Trace>,
}

/// Runs a seed.
///
/// One seed in so many is run twice, and must be the same both times.
pub fn run(seed: u64, plan: &Plan) -> Report {
    let once = || match plan.machine {
        Machine::Raft => run_hosted::<Bare>(seed, plan),
        Machine::Replica => run_hosted::<Replica<Vault>>(seed, plan),
    };
    let mut report = once();
    if seed.is_multiple_of(TWICE) && !plan.is_told && report.violation.is_none() {
        report.violation = same(&report, &once()).err();
    }
    report
}

/// One seed in so many is run twice.
const TWICE: u64 = 64;

/// Two runs of a seed are the same.
pub(super) fn same(one: &Report, other: &Report) -> super::oracle::Verdict {
    let (first, second) = ((one.hash, one.counts.events), (other.hash, other.counts.events));
    super::oracle::ensure(first == second, "Q5", || {
        format!("the seed was run twice, and was {first:x?} and then {second:x?}")
    })
}

/// Runs a seed of anything that can be hosted.
pub fn run_hosted<H: Hosted>(seed: u64, plan: &Plan) -> Report {
    run_with::<H>(seed, plan.options(seed), plan)
}

pub(super) fn run_with<H: Hosted>(seed: u64, options: Options, plan: &Plan) -> Report {
    let mut schedule = Schedule::<H>::new(seed, options.clone());
    if plan.is_told {
        schedule.actions = Some(Vec::new());
        schedule.world.trace = Some(Trace {
            title: format!("seed {seed}: {options}"),
            lanes: lanes_of(&schedule.world),
            moments: Vec::new(),
        });
    }
    let _quiet = super::quiet::Quiet::begin();
    let mut faulty = None;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        // A group that is gone makes no events.
        let is_gone = |world: &super::world::World<H>| world.members.iter().all(|m| m.is_lost);
        schedule.run(u64::MAX, plan.events, is_gone)?;
        faulty = schedule.actions.as_ref().map(Vec::len);
        schedule.settle()?;
        let undecided = super::linear::check(&schedule.world.processes)?;
        (0..undecided).for_each(|_| schedule.world.marks.hit(Mark::Undecided));
        Ok(())
    }));
    let violation = match ran {
        Ok(verdict) => verdict.err(),
        Err(panic) => Some(Violation { oracle: "Q4", what: words_of(&*panic) }),
    };
    let world = &mut schedule.world;
    Report {
        seed,
        options,
        violation,
        counts: world.counts,
        marks: world.marks(),
        hash: world.hash,
        span: world.now(),
        trace: world.trace.take(),
        faulty: faulty.or(schedule.actions.as_ref().map(Vec::len)).unwrap_or(0),
        actions: schedule.actions.take().unwrap_or_default(),
    }
}

/// The names of a world's lanes.
pub(super) fn lanes_of<H: Hosted>(world: &super::world::World<H>) -> Vec<String> {
    let members = (0..world.members.len()).map(|slot| format!("n{slot}"));
    let clients = (0..world.processes.len()).map(|client| format!("c{client}"));
    members.chain(clients).collect()
}

/// Finds a short run that breaks the same promise: it begins with the run of the seed, and with
/// others nearby that are short already, and leaves out what is not needed.
pub fn shrink(seed: u64, plan: &Plan, violation: &Violation) -> Shrunk {
    match plan.machine {
        Machine::Raft => shrink_hosted::<Bare>(seed, plan, violation),
        Machine::Replica => shrink_hosted::<Replica<Vault>>(seed, plan, violation),
    }
}

/// How many events of other runs are tried, after how many the faults of such a run end, and how
/// many runs that break the promise are enough.
const NEARBY: u64 = 20_000_000;
const LENGTHS: [u64; 4] = [60, 150, 500, 2_000];
const ENOUGH: usize = 30;

/// How many runs are made short, and how short one must be to be the last.
const CANDIDATES: usize = 4;
const SHORT: u64 = 20;

/// The same for anything that can be hosted.
pub fn shrink_hosted<H: Hosted>(seed: u64, plan: &Plan, violation: &Violation) -> Shrunk {
    let of_seed = plan.options(seed);
    let mut found = vec![run_with::<H>(seed, of_seed.clone(), &Plan { is_told: true, ..*plan })];
    let (mut near, mut events) = (seed, 0);
    while events < NEARBY && found.len() < ENOUGH {
        near = super::hash::fold(near, &seed);
        let drawn = if near & 16 == 0 { of_seed.clone() } else { plan.options(near) };
        let options = small_group(near, drawn);
        let length = LENGTHS[(near >> 5) as usize % LENGTHS.len()];
        let short = Plan { events: length.min(plan.events), is_told: false, ..*plan };
        let report = run_with::<H>(near, options.clone(), &short);
        events += report.counts.events;
        if report.violation.is_some_and(|other| other.oracle == violation.oracle) {
            found.push(run_with::<H>(near, options, &Plan { is_told: true, ..short }));
        }
    }
    found.sort_by_key(|report| report.faulty);
    let _quiet = super::quiet::Quiet::begin();
    let short = found.iter().filter_map(|Report { seed, options, actions, faulty, .. }| {
        shrink_actions::<H>((*seed, options), violation.oracle, (actions, *faulty))
    });
    let (mut best, mut tried) = (None::<Shrunk>, 0);
    for shrunk in short {
        tried += 1;
        best = best.filter(|best| best.events <= shrunk.events).or(Some(shrunk));
        if tried == CANDIDATES || best.as_ref().is_some_and(|best| best.events <= SHORT) {
            break;
        }
    }
    // If none can be told as a list, the run of the seed is as short as it gets.
    let whole = found.into_iter().find(|report| report.seed == seed);
    best.or_else(|| whole.map(Shrunk::whole)).unwrap_or_default()
}

/// These options for a group of three at most, whose clocks are right. One in two has little
/// room and large batches, so that everything comes about sooner.
fn small_group(seed: u64, drawn: Options) -> Options {
    let spare = drawn.spare.min(2);
    let members = 1 + seed % 3 + spare;
    let options = Options { members, spare, wild: 0, clockless: 0, ..drawn };
    if seed & 8 == 0 {
        return options;
    }
    Options { entries: 16, runs: 4, batch: 8, window: 16, chunk: 1_000, ..options }
}

/// What a panic says.
fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("without words"))
}
