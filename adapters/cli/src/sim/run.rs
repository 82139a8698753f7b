//! `quorate sim run`: seeds, with every oracle on.

use clap::Args;
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(crate) struct Run {}

impl Run {
    pub(crate) fn run(self) -> ExitCode {
        ExitCode::from(2)
    }
}
