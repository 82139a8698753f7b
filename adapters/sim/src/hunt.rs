//! What hunts a planted bug: the simulator and nothing else, so that it is soon built again. It runs
//! seeds until one fails, and says so as `quorate sim run` does.
//!
//! `hunt raft|replica FIRST END` tries seeds; with a folder behind it, the failing run is made short
//! and its story written there.

use quorate_sim::swarm::run::{Machine, Plan, run, shrink};
use std::path::Path;
use std::process::ExitCode;

/// After how many events the faults of a run end: as in `quorate sim run`, unless told.
const EVENTS: u64 = 20_000;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (machine, first, end, folder) = match words[..] {
        [machine, first, end] => (machine, first, end, None),
        [machine, first, end, folder] => (machine, first, end, Some(Path::new(folder))),
        _ => return usage(),
    };
    let seeds = (first.parse::<u64>(), end.parse::<u64>());
    let (Some(machine), (Ok(first), Ok(end))) = (machine_of(machine), seeds) else {
        return usage();
    };
    let plan = Plan { machine, events: EVENTS, ..Plan::default() };
    for seed in first..end {
        let report = run(seed, &plan);
        let Some(violation) = report.violation else { continue };
        println!("seed {seed}: {violation}\noptions     {}", report.options);
        if let Some(folder) = folder {
            let shrunk = shrink(seed, &plan, &violation);
            let file = folder.join(format!("{seed}.txt"));
            let written = std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&file, shrunk.trace.to_string()));
            if let Err(error) = written {
                eprintln!("{}: cannot be written: {error}", file.display());
            }
            println!("sim: shrunk events={} actions={}", shrunk.events, shrunk.actions.len());
        }
        println!("sim: failed seed={seed} oracle={}", violation.oracle);
        return ExitCode::FAILURE;
    }
    println!("sim: ok seeds={}", end.saturating_sub(first));
    ExitCode::SUCCESS
}

fn machine_of(name: &str) -> Option<Machine> {
    match name {
        "raft" => Some(Machine::Raft),
        "replica" => Some(Machine::Replica),
        _ => None,
    }
}

fn usage() -> ExitCode {
    eprintln!("write hunt raft|replica FIRST END [FOLDER]");
    ExitCode::from(2)
}
