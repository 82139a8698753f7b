//! `quorate sim run`: seeds, with every oracle on.

use clap::{Args, ValueEnum};
use quorate_sim::swarm::Shrunk;
use quorate_sim::swarm::counts::Counts;
use quorate_sim::swarm::marks::{Mark, Marks};
use quorate_sim::swarm::options;
use quorate_sim::swarm::run::{self, Plan, Report};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Which seeds, as FIRST..END; END itself is left out.
    #[arg(long, value_name = "A..B", default_value = "0..200", value_parser = range)]
    seeds: (u64, u64),
    /// Which machine.
    #[arg(long, value_enum, default_value = "replica")]
    machine: Machine,
    /// After how many events the faults of a run end.
    #[arg(long, value_name = "N", default_value = "20000")]
    events: u64,
    /// How many seeds to run at a time; as many as there are processors unless told.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Where the story and the picture of a failure are written.
    #[arg(long, value_name = "FOLDER", default_value = "sim-failures")]
    out: std::path::PathBuf,
    /// Leave a failing run as long as it is.
    #[arg(long)]
    no_shrink: bool,
    /// Let members come back with empty disks under their own names: promises must be seen to break.
    #[arg(long)]
    amnesia: bool,
    /// What lies between the members; drawn from the seed unless told.
    #[arg(long, value_enum)]
    network: Option<Network>,
    /// Tell the story of the run: for one seed.
    #[arg(long)]
    story: bool,
    /// How many members of a Byzantine group lie; as many as it tolerates unless told.
    #[arg(long, value_name = "N")]
    liars: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Machine {
    Raft,
    Replica,
    /// Byzantine groups, some of whose members lie.
    Pbft,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Network {
    /// One building, and timeouts of 150 milliseconds.
    Lan,
    /// 40 to 250 milliseconds one way, one message in a hundred lost, and timeouts of a second.
    Wan,
}

impl Network {
    const fn of(self) -> options::Network {
        match self {
            Self::Lan => options::Network::Lan,
            Self::Wan => options::Network::Wan,
        }
    }

    const fn flag(self) -> &'static str {
        match self {
            Self::Lan => " --network lan",
            Self::Wan => " --network wan",
        }
    }
}

impl Machine {
    /// The machine of a crash-fault run, if it is one.
    const fn of(self) -> Option<run::Machine> {
        match self {
            Self::Raft => Some(run::Machine::Raft),
            Self::Replica => Some(run::Machine::Replica),
            Self::Pbft => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Replica => "replica",
            Self::Pbft => "pbft",
        }
    }
}

pub(super) fn range(text: &str) -> Result<(u64, u64), String> {
    let advice = "write FIRST..END, such as 0..2000";
    let (first, end) = text.split_once("..").ok_or(advice)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| advice.to_owned());
    let (first, end) = (number(first)?, number(end)?);
    if first < end { Ok((first, end)) } else { Err(advice.to_owned()) }
}

/// What all runs came to.
#[derive(Default)]
struct Totals {
    seeds: u64,
    counts: Counts,
    marks: Marks,
    span: u64,
    hash: u64,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.counts.add(&report.counts);
        self.marks.add(&report.marks);
        self.span += report.span;
        // In any order: seeds end when they end.
        self.hash = self.hash.wrapping_add(report.hash);
    }
}

impl Run {
    pub(crate) fn run(self) -> ExitCode {
        let Some(machine) = self.machine.of() else { return self.lying() };
        let plan = Plan {
            machine,
            events: self.events,
            amnesia: self.amnesia,
            network: self.network.map(Network::of),
            is_told: self.story,
        };
        let start = Instant::now();
        let (totals, failed) = self.run_all(&plan);
        let seconds = start.elapsed().as_secs_f64();
        if let Some(report) = &failed {
            return self.tell_failure(&plan, report);
        }
        self.tell_totals(machine, &totals, seconds);
        let Totals { seeds, counts, hash, .. } = totals;
        println!("sim: ok seeds={seeds} events={} hash={hash:016x}", counts.events);
        ExitCode::SUCCESS
    }

    /// Byzantine groups, of which nothing but the seeds and the liars can be chosen.
    fn lying(&self) -> ExitCode {
        super::byzantine::run(self.seeds, self.liars, self.jobs, self.story, &self.out)
    }

    /// Runs the seeds, several at a time, until one fails: the lowest that does.
    fn run_all(&self, plan: &Plan) -> (Totals, Option<Report>) {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.unwrap_or(processors).clamp(1, 64);
        let (next, stop) = (AtomicU64::new(self.seeds.0), AtomicBool::new(false));
        let (mut totals, mut failed) = (Totals::default(), None::<Report>);
        std::thread::scope(|scope| {
            let (sender, reports) = mpsc::channel();
            for _ in 0..jobs {
                let (sender, next, stop) = (sender.clone(), &next, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.seeds.1 || sender.send(run::run(seed, plan)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for report in reports {
                totals.add(&report);
                if let Some(trace) = &report.trace {
                    println!("{trace}");
                }
                let is_first = failed.as_ref().is_none_or(|first| report.seed < first.seed);
                if report.violation.is_some() && is_first {
                    stop.store(true, Ordering::Relaxed);
                    failed = Some(report);
                }
            }
        });
        (totals, failed)
    }

    fn tell_totals(&self, machine: run::Machine, totals: &Totals, seconds: f64) {
        let Totals { counts, span, marks, .. } = totals;
        let cpu = cpu_seconds().unwrap_or(seconds);
        println!("machine     {}", self.machine.name());
        println!("simulated   {:.1} hours", *span as f64 / 3.6e9);
        println!(
            "events      {} ({:.0} per CPU-second)",
            counts.events,
            counts.events as f64 / cpu
        );
        println!("elections   {}", counts.elections);
        println!("crashes     {}", counts.crashes);
        println!("commits     {}", counts.commits);
        println!("syncs       {}", counts.syncs);
        println!("messages    {}", counts.messages);
        println!("answers     {}", counts.answered + counts.ended);
        println!("cpu={cpu:.2} seconds, {seconds:.2} by the clock");
        let (all, unhit) = (Mark::of(machine).count(), marks.unhit(machine).count());
        println!("marks       {} hit of {all}", all - unhit);
        for mark in Mark::of(machine) {
            println!("  {:>10}  {}", marks.count(mark), mark.words());
        }
    }

    fn tell_failure(&self, plan: &Plan, report: &Report) -> ExitCode {
        let Some(violation) = &report.violation else { return ExitCode::SUCCESS };
        let (seed, machine) = (report.seed, self.machine.name());
        println!("seed {seed}: {violation}");
        println!("options     {}", report.options);
        if let Some(cpu) = cpu_seconds() {
            println!("cpu={cpu:.2} seconds");
        }
        if !self.no_shrink {
            self.tell_shrunk(&run::shrink(seed, plan, violation), seed);
        }
        let events = plan.events;
        let replay = format!(
            "quorate sim run --machine {machine} --seeds {seed}..{} --events {events}{}{}",
            seed + 1,
            if plan.amnesia { " --amnesia" } else { "" },
            self.network.map_or("", Network::flag)
        );
        println!("sim: failed seed={seed} oracle={} replay: {replay}", violation.oracle);
        ExitCode::from(1)
    }
}

impl Run {
    /// Writes the story and the picture of a run that was made short.
    fn tell_shrunk(&self, shrunk: &Shrunk, seed: u64) {
        let name = format!("{}-{seed}", self.machine.name());
        let (story, picture) =
            (self.out.join(format!("{name}.txt")), self.out.join(format!("{name}.html")));
        let written = std::fs::create_dir_all(&self.out)
            .and_then(|()| std::fs::write(&story, shrunk.trace.to_string()))
            .and_then(|()| std::fs::write(&picture, quorate_sim::picture::draw(&shrunk.trace)));
        match written {
            Ok(()) => println!("written     {} and {}", story.display(), picture.display()),
            Err(error) => crate::output::tell(&format!("cannot write the story: {error}")),
        }
        println!("sim: shrunk events={} actions={}", shrunk.events, shrunk.actions.len());
    }
}

/// What this process has used of the processors, where the system tells.
pub(super) fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may hold anything: fields 14 and 15 of all, in hundredths of a second.
    let mut fields = text.rsplit(')').next()?.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}
