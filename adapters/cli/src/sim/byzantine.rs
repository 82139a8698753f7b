//! `quorate sim run --machine pbft`: Byzantine groups, from seeds.

use super::run::cpu_seconds;
use quorate_sim::byzantine::marks::Marks;
use quorate_sim::byzantine::{self, Report};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Runs the seeds, several at a time. Its last line is the verdict.
pub(super) fn run(
    seeds: (u64, u64),
    liars: Option<usize>,
    jobs: Option<usize>,
    story: bool,
    out: &Path,
) -> ExitCode {
    let start = Instant::now();
    let (next, stop) = (AtomicU64::new(seeds.0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.1 {
                break;
            }
            let report = byzantine::run(seed, liars, story);
            stop.fetch_or(report.broken.is_some(), Ordering::Relaxed);
            done.push(report);
        }
        done
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.unwrap_or(processors).clamp(1, 64);
    let mut all: Vec<Report> = thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    all.sort_by_key(|report| report.seed);
    if let Some(report) = all.iter().find(|report| report.broken.is_some()) {
        return tell_failure(report, liars, out);
    }
    tell_totals(&all, start.elapsed().as_secs_f64())
}

fn tell_totals(all: &[Report], seconds: f64) -> ExitCode {
    let (mut events, mut hash, mut span, mut marks) = (0, 0_u64, 0, Marks::default());
    for report in all {
        if let Some(story) = &report.story {
            println!("{story}");
        }
        events += report.events;
        hash = hash.wrapping_add(report.hash);
        span += report.span;
        marks.add(&report.marks);
    }
    let cpu = cpu_seconds().unwrap_or(seconds);
    println!("machine     pbft");
    println!("simulated   {:.1} hours", span as f64 / 3.6e9);
    println!("events      {events} ({:.0} per CPU-second)", events as f64 / cpu);
    println!("cpu={cpu:.2} seconds, {seconds:.2} by the clock");
    println!("{marks}");
    println!("sim: ok seeds={} events={events} hash={hash:016x}", all.len());
    ExitCode::SUCCESS
}

/// Tells of a broken promise, and writes the story of that run.
fn tell_failure(report: &Report, liars: Option<usize>, out: &Path) -> ExitCode {
    let Some(broken) = &report.broken else { return ExitCode::SUCCESS };
    let seed = report.seed;
    println!("seed {seed}: {broken}");
    println!("options     {:?}", report.options);
    let story = byzantine::run(seed, liars, true).story.unwrap_or_default();
    let path = out.join(format!("pbft-{seed}.txt"));
    let written = std::fs::create_dir_all(out).and_then(|()| std::fs::write(&path, story));
    match written {
        Ok(()) => println!("written     {}", path.display()),
        Err(error) => println!("the story could not be written: {error}"),
    }
    let flag = liars.map_or(String::new(), |liars| format!(" --liars {liars}"));
    let end = seed + 1;
    let replay = format!("quorate sim run --machine pbft --seeds {seed}..{end}{flag}");
    println!("sim: failed seed={seed} oracle={} replay: {replay}", broken.promise);
    ExitCode::from(1)
}
