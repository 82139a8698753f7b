//! `quorate sim explore`: every state of a small group.

use clap::Args;
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(crate) struct Explore {
    /// Which group: `raft-3`.
    pub(crate) model: String,
}

impl Explore {
    pub(crate) fn run(self) -> ExitCode {
        ExitCode::from(2)
    }
}
