//! `quorate sim twins`: every way to part a group in which one member runs twice.

use crate::output::show;
use crate::verdict::{Failure, Verdict, conclude};
use clap::Args;
use quorate_sim::byzantine::twins::one_twin;
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(crate) struct Twins {
    /// How many rounds a schedule has: two are six thousand schedules, three are 297,216.
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u8).range(1..=4))]
    rounds: u8,
}

impl Twins {
    pub(crate) fn run(self) -> ExitCode {
        conclude(self.search())
    }

    fn search(&self) -> Verdict {
        let rounds = self.rounds;
        match one_twin(usize::from(rounds)) {
            Ok(found) => show(&format!(
                "{} steps, {} values decided, views up to {}\ntwins: ok schedules={} rounds={rounds}",
                found.steps, found.decided, found.view, found.schedules
            )),
            Err(fault) => {
                let (who, how) = (fault.twins, &fault.rounds);
                show(&format!(
                    "twins {who:?}, islands of each round {how:?}\ntwins: failed {}",
                    fault.broken
                ))?;
                Err(Failure::Refused("a promise is broken".to_owned()))
            }
        }
    }
}
