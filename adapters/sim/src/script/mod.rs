//! A Raft group driven by hand, a command a line: what `quorate sim script` runs.
//!
//! The language is that of etcd/raft's interaction tests as far as it goes, so that who has written
//! such a test can write one here; `SCRIPT.md` beside this crate's manifest is its page. The members
//! are the shipped [`Raft`](quorate::raft::Raft) without change. Nothing happens unless a command says
//! so: no timer rings, no message arrives, no write reaches a disk.
//!
//! [`language`] reads a script, the `world` does what it says, and `print` shows what came of it.

pub mod language;
mod print;
mod world;

use language::{Command, Script};
use std::io::{self, Write};
use world::World;

/// The page that describes the language.
pub const PAGE: &str = include_str!("../../SCRIPT.md");

/// Runs a script, and writes what happens and how every node is after each command.
///
/// # Errors
/// That of the writer.
pub fn run(script: &Script, out: &mut dyn Write) -> io::Result<()> {
    let mut world = World::new();
    let mut is_shown = true;
    for step in &script.steps {
        if let Command::LogLevel { is_shown: from_now_on } = step.command {
            is_shown = from_now_on;
        }
        let happened = world.obey(&step.command);
        if is_shown {
            step.text.iter().try_for_each(|line| writeln!(out, "> {line}"))?;
            happened.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            print::nodes(&world, out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
