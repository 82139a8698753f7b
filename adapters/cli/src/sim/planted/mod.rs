//! `quorate sim planted`: historical bugs, put back in and hunted.
//!
//! A simulator that finds nothing may be blind. Each patch of `tests/planted` puts one bug back
//! into a copy of the sources; the copy is built, and its simulator must see what is wrong with it,
//! from several starting seeds and within a minute of CPU time.

mod build;
mod checkout;
mod hunt;
mod patch;
mod process;

use crate::output::{show, table, tell};
use crate::verdict::{Failure, conclude};
use build::Workshop;
use clap::Args;
use hunt::{Catch, Hunt, Trail};
use patch::Patch;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

#[derive(Args, Debug)]
pub(crate) struct Planted {
    /// Hunt only this bug; may be given again.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// See that every patch applies and compiles, and hunt nothing.
    #[arg(long)]
    build_only: bool,
    /// From how many starting seeds each bug is hunted.
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=99))]
    seeds_each: u32,
    /// How many hunts go on at a time; as many as there are processors unless told.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=999))]
    jobs: Option<u32>,
}

/// What has become of a patch.
#[derive(Debug)]
enum Fate {
    Built,
    /// What the hunts came to, and how many events are left of the median run, made short.
    Hunted(Catch, Option<u64>),
    /// It does not apply, or not compile: why.
    Broken(String),
}

impl Fate {
    const fn is_good(&self) -> bool {
        match self {
            Self::Built => true,
            Self::Hunted(catch, _) => catch.is_good(),
            Self::Broken(_) => false,
        }
    }
}

/// The highest seed at which a bug was seen, of each machine and hunt: the control runs as far.
type Reach = BTreeMap<(String, u32), u64>;

impl Planted {
    pub(crate) fn run(self) -> ExitCode {
        match self.hunt() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(failure) => conclude(Err(failure)),
        }
    }

    fn hunt(self) -> Result<bool, Failure> {
        let here = std::env::current_dir().ok();
        let root = here.and_then(|here| checkout::root_above(&here)).ok_or_else(|| {
            let advice = "this is no checkout of quorate's sources; go to where tests/planted is";
            Failure::Usage(advice.to_owned())
        })?;
        let patches =
            self.chosen(patch::read_all(&checkout::patches(&root)).map_err(Failure::Usage)?)?;
        let workshop = Workshop::open(&root).map_err(Failure::Refused)?;
        let mut reach = Reach::new();
        let mut fates = Vec::new();
        for (n, patch) in patches.iter().enumerate() {
            let place = format!("{} of {}", n.saturating_add(1), patches.len());
            let fate = self.fate_of(patch, &workshop, &mut reach);
            tell(&format!("{place}: {}", row_of(patch, &fate).join("  ")));
            fates.push(fate);
        }
        let rows: Vec<_> =
            patches.iter().zip(&fates).map(|(patch, fate)| row_of(patch, fate)).collect();
        let head = ["bug", "oracle", "seen by", "seed", "cpu s", "events", "hunts", "verdict"];
        table(&head, &rows).iter().try_for_each(|line| show(line))?;

        let is_clean = self.build_only || self.control(&patches, &workshop, &reach)?;
        let failed: Vec<_> = patches
            .iter()
            .zip(&fates)
            .filter(|(_, fate)| !fate.is_good())
            .map(|(patch, _)| patch.name.as_str())
            .chain((!is_clean).then_some("control"))
            .collect();
        let count = patches.len();
        match failed.len() {
            0 => show(&format!("planted: ok {count}/{count}"))?,
            bad => show(&format!("planted: failed {bad}/{count}: {}", failed.join(", ")))?,
        }
        Ok(failed.is_empty())
    }

    fn chosen(&self, mut patches: Vec<Patch>) -> Result<Vec<Patch>, Failure> {
        let is_known = |name: &&String| !patches.iter().any(|patch| patch.name == **name);
        if let Some(name) = self.only.iter().find(is_known) {
            let advice = format!("`{name}` is no planted bug; see tests/planted");
            return Err(Failure::Usage(advice));
        }
        patches.retain(|patch| self.only.is_empty() || self.only.contains(&patch.name));
        if patches.is_empty() {
            return Err(Failure::Usage("tests/planted holds no patch; add one".to_owned()));
        }
        Ok(patches)
    }

    fn fate_of(&self, patch: &Patch, workshop: &Workshop, reach: &mut Reach) -> Fate {
        let mut fate = || -> Result<Fate, String> {
            workshop.plant(Some(patch))?;
            if self.build_only {
                return workshop.check().map(|()| Fate::Built);
            }
            let none = || "there was no hunt".to_owned();
            if let Some(script) = &patch.script {
                let test = workshop.build_test(script)?;
                let hunt = hunt::run_test(&test, &script.test, &workshop.log(0));
                return Catch::of(vec![hunt])
                    .map(|catch| Fate::Hunted(catch, None))
                    .ok_or_else(none);
            }
            let program = workshop.build()?;
            let hunter = |nth| hunt::Hunter { program: program.clone(), log: workshop.log(nth) };
            let hunts = (0..self.seeds_each).map(|nth| (nth, hunt::seeds(nth)));
            let hunts = self.at_once(hunts.collect(), |nth, seeds| {
                hunter(nth).run(&patch.machine, &seeds, hunt::LIMIT)
            });
            for (nth, hunt) in (0..).zip(&hunts) {
                if let Trail::Seen(hunt::Sight { seed: Some(seed), .. }) = &hunt.trail {
                    let farthest = reach.entry((patch.machine.clone(), nth)).or_default();
                    *farthest = (*farthest).max(*seed);
                }
            }
            let catch = Catch::of(hunts).ok_or_else(none)?;
            let Trail::Seen(hunt::Sight { seed: Some(seed), .. }) = catch.median.trail else {
                return Ok(Fate::Hunted(catch, None));
            };
            let events = hunter(0).shrink(&patch.machine, seed, &workshop.stories(&patch.name));
            Ok(Fate::Hunted(catch, events))
        };
        fate().unwrap_or_else(Fate::Broken)
    }

    /// Runs without any bug every seed that was tried with one, and every script: nothing may be
    /// seen.
    fn control(
        &self,
        patches: &[Patch],
        workshop: &Workshop,
        reach: &Reach,
    ) -> Result<bool, Failure> {
        tell("control: the sources as they are");
        workshop.plant(None).map_err(Failure::Refused)?;
        let mut hunts = Vec::new();
        for script in patches.iter().filter_map(|patch| patch.script.as_ref()) {
            let test = workshop.build_test(script).map_err(Failure::Refused)?;
            hunts.push(hunt::run_test(&test, &script.test, &workshop.log(0)));
        }
        if !reach.is_empty() {
            let program = workshop.build().map_err(Failure::Refused)?;
            let tried = reach.iter().map(|((machine, nth), seed)| {
                (*nth, (machine.clone(), hunt::seeds(*nth).start..seed.saturating_add(1)))
            });
            hunts.extend(self.at_once(tried.collect(), |nth, (machine, seeds)| {
                let log = workshop.log_of(&machine, nth);
                let hunter = hunt::Hunter { program: program.clone(), log };
                // With the bug some of these seeds ended early.
                hunter.run(&machine, &seeds, hunt::LIMIT.saturating_mul(10))
            }));
        }
        let seeds: u64 =
            reach.iter().map(|((_, nth), seed)| seed + 1 - hunt::seeds(*nth).start).sum();
        let complaint = |hunt: &Hunt| match &hunt.trail {
            Trail::Seen(sight) => {
                let seed = sight.seed.map_or_else(String::new, |seed| format!(" at seed {seed}"));
                Some(format!("{}{seed}", sight.oracle))
            }
            Trail::Lost(why) => Some(why.clone()),
            Trail::Cold => None,
        };
        let bad: Vec<_> = hunts.iter().filter_map(complaint).collect();
        let verdict = if bad.is_empty() { "clean".to_owned() } else { bad.join("; ") };
        show(&format!(
            "control: {seeds} seeds and {} in all without a bug: {verdict}",
            hunts.len()
        ))?;
        Ok(bad.is_empty())
    }

    /// Does things a few at a time, and gives back what comes of them in their order.
    fn at_once<T: Send>(
        &self,
        things: Vec<(u32, T)>,
        act: impl Fn(u32, T) -> Hunt + Sync,
    ) -> Vec<Hunt> {
        let processors = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let jobs = self.jobs.map_or_else(processors, |jobs| jobs as usize);
        let (queue, done) =
            (Mutex::new(things.into_iter().enumerate()), Mutex::new(BTreeMap::new()));
        let next = || queue.lock().ok()?.next();
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    while let Some((place, (nth, thing))) = next() {
                        let hunt = act(nth, thing);
                        if let Ok(mut done) = done.lock() {
                            done.insert(place, hunt);
                        }
                    }
                });
            }
        });
        done.into_inner().map(|done| done.into_values().collect()).unwrap_or_default()
    }
}

fn row_of(patch: &Patch, fate: &Fate) -> Vec<String> {
    let mut row = vec![patch.name.clone(), patch.oracle.clone()];
    match fate {
        Fate::Built => {
            row.extend(std::iter::repeat_n(String::new(), 5));
            row.push("built".to_owned());
        }
        Fate::Broken(why) => row.push(format!("FAILED: {why}")),
        Fate::Hunted(Catch { median, seen, hunts }, events) => {
            let number = |number: Option<u64>| number.map_or_else(|| "-".into(), |n| n.to_string());
            let (oracle, seed) = match &median.trail {
                Trail::Seen(sight) => (sight.oracle.clone(), sight.seed),
                Trail::Cold | Trail::Lost(_) => ("-".to_owned(), None),
            };
            let verdict = match &median.trail {
                Trail::Seen(_) => "ok".to_owned(),
                Trail::Cold => "NOT SEEN".to_owned(),
                Trail::Lost(why) => format!("FAILED: {why}"),
            };
            let cpu = format!("{:.1}", median.cpu.as_secs_f64());
            let hunts = format!("{seen}/{hunts}");
            row.extend([oracle, number(seed), cpu, number(*events), hunts, verdict]);
        }
    }
    row
}
