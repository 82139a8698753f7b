//! The `quorate` program. Results go to standard output, progress to standard error, and the exit
//! code says how it ended: see [`verdict`].

mod arguments;
mod council;
mod demo;
mod join;
mod lease;
mod members;
mod output;
mod serve;
mod sim;
mod status;
mod verdict;

use arguments::Command;
use std::process::ExitCode;
use verdict::conclude;

fn main() -> ExitCode {
    let line = match arguments::read(std::env::args_os()) {
        Ok(Some(line)) => line,
        Ok(None) => return ExitCode::SUCCESS,
        Err(failure) => return conclude(Err(failure)),
    };
    match line.command {
        Command::Serve { config, record, hosted, join } => {
            conclude(serve::run(&config, record.as_deref(), &join, hosted.runtime))
        }
        Command::Leave { node, group } => conclude(members::leave(node, &group)),
        Command::Members { group, json } => conclude(members::show_members(&group, json)),
        Command::Replace { config, join, timeout } => {
            conclude(join::replace(&config, &join, timeout))
        }
        Command::Lease(command) => conclude(lease::run(command)),
        Command::Status { group, json } => conclude(status::run(&group, json)),
        Command::Council(command) => conclude(council::run(command)),
        Command::Demo { kills, bft: true, .. } => demo::byzantine::run(kills),
        Command::Demo { kills, hosted, .. } => demo::run(kills, hosted.runtime),
        Command::Sim(command) => sim::run(command),
    }
}
