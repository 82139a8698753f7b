//! `quorate sim sense`: detectors and gossip under faults, from seeds.

use crate::output::show;
use crate::verdict::{Failure, Verdict, conclude};
use clap::{Args, ValueEnum};
use quorate_sim::sensing::{Broken, Network, Report, run};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

#[derive(Args, Debug)]
pub(crate) struct Sense {
    /// Which seeds, as FIRST..END; END itself is left out.
    #[arg(long, value_name = "A..B", default_value = "0..200", value_parser = super::run::range)]
    seeds: (u64, u64),
    /// How far the nodes are apart.
    #[arg(long, value_enum, default_value = "lan")]
    network: Distance,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Distance {
    /// Milliseconds.
    Lan,
    /// 40 to 250 ms one way.
    Wan,
}

impl Sense {
    pub(crate) fn run(self) -> ExitCode {
        conclude(self.sense())
    }

    fn sense(&self) -> Verdict {
        let network = if self.network == Distance::Lan { Network::Lan } else { Network::Wan };
        let next = AtomicU64::new(self.seeds.0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.1 {
                    return done;
                }
                done.push((seed, run(seed, network)));
            }
        };
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let mut all: Vec<(u64, Result<Report, Broken>)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
        });
        all.sort_by_key(|(seed, _)| *seed);
        tell(&all)
    }
}

fn tell(all: &[(u64, Result<Report, Broken>)]) -> Verdict {
    let (mut events, mut hash, mut wronged, mut faults) = (0_u64, 0_u64, 0_u64, [0_u64; 5]);
    for (seed, came_to) in all {
        match came_to {
            Ok(report) => {
                events += report.events;
                hash = hash.wrapping_add(report.hash);
                wronged += report.wronged;
                faults.iter_mut().zip(report.faults).for_each(|(all, of)| *all += of);
            }
            Err(broken) => {
                show(&format!("sense: failed seed={seed} {broken}"))?;
                return Err(Failure::Refused(format!("a promise is broken with seed {seed}")));
            }
        }
    }
    let [crashes, sleeps, islands, flaps, forgotten] = faults;
    show(&format!(
        "{crashes} crashes, {sleeps} sleeps, {islands} islands, {flaps} flapping links, {forgotten} lost \
         incarnations; {wronged} verdicts on nodes that were there while it went on"
    ))?;
    show(&format!("sense: ok seeds={} events={events} hash={hash:016x}", all.len()))
}
