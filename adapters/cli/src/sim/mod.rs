//! `quorate sim`: the simulator's commands, one file each.

mod byzantine;
mod explore;
mod history;
mod planted;
mod replay;
mod run;
mod script;
mod sense;
mod twins;

use crate::verdict::conclude;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Subcommand, Debug)]
pub(crate) enum Sim {
    /// Run seeds, and check every promise after every event.
    Run(run::Run),
    /// Run failure detectors and gossip under faults, and check what they promise once these end.
    Sense(sense::Sense),
    /// Run every schedule of four members of which one runs twice.
    Twins(twins::Twins),
    /// Build each planted bug and hunt it with the simulator.
    Planted(planted::Planted),
    /// Visit every reachable state of a small group.
    Explore(explore::Explore),
    /// Check whether a history of clients is linearizable.
    CheckHistory(history::CheckHistory),
    /// Run a recorded node again, bit for bit.
    Replay(replay::Replay),
    /// Drive a Raft group by hand, a command a line.
    Script(script::Script),
}

/// Runs a command of the simulator. Its last line is the verdict.
pub(crate) fn run(command: Sim) -> ExitCode {
    match command {
        Sim::Run(run) => run.run(),
        Sim::Sense(sense) => sense.run(),
        Sim::Twins(twins) => twins.run(),
        Sim::Planted(planted) => planted.run(),
        Sim::Explore(explore) => explore.run(),
        Sim::CheckHistory(check) => check.run(),
        Sim::Replay(replay) => replay.run(),
        Sim::Script(script) => conclude(script.run()),
    }
}
