//! `quorate sim explore`: every state of a small group.

use crate::output::{show, spoken, tell};
use crate::verdict::{Failure, Verdict, conclude};
use clap::Args;
use quorate_sim::explore::raft::{Group, Shape};
use quorate_sim::explore::{End, Model, Progress, search};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Args, Debug)]
pub(crate) struct Explore {
    /// Which group: `raft-3`, or one of the others that an unknown name lists.
    pub(crate) model: String,
    /// Give up when this many states are found; a hundred million take about six gigabytes.
    #[arg(long, default_value_t = 100_000_000)]
    pub(crate) most: usize,
}

/// How often it says how far it is.
const BEAT: Duration = Duration::from_secs(5);

impl Explore {
    pub(crate) fn run(self) -> ExitCode {
        let Some(shape) = Shape::named(&self.model) else {
            let names: Vec<_> = Shape::NAMED.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            let line = format!("there is no model `{}`; the models are {names}", self.model);
            return conclude(Err(Failure::Usage(line)));
        };
        conclude(explore(&mut Group::new(shape), self.most))
    }
}

fn explore<M: Model>(model: &mut M, most: usize) -> Verdict {
    let began = Instant::now();
    let mut told = began;
    let (progress, end) = search(model, most, |progress, model| {
        if told.elapsed() >= BEAT {
            told = Instant::now();
            tell(&so_far(progress, model, began));
        }
    });
    tell(&so_far(&progress, model, began));
    let Progress { states, frontier, .. } = progress;
    match end {
        End::Whole => show(&format!("explore: ok states={states} frontier={frontier}")),
        End::Full => {
            show(&format!("explore: unfinished states={states} frontier={frontier}"))?;
            Err(Failure::Refused(format!("there are more than {most} states; permit more")))
        }
        End::Broken { from, path, broken } => {
            show(model.story(&from, &path).trim_end())?;
            show(&format!("explore: broken states={states} frontier={frontier} {broken}"))?;
            Err(Failure::Refused(format!("a law is broken after {} steps", path.len())))
        }
    }
}

fn so_far(progress: &Progress, model: &impl Model, began: Instant) -> String {
    let &Progress { states, depth, frontier, bytes, .. } = progress;
    let (time, mebibytes) = (spoken(began.elapsed()), (bytes + model.bytes()) >> 20);
    format!("{states} states, depth {depth}, frontier {frontier}, {time}, {mebibytes} MiB")
}
