//! `quorate sim check-history`: is this history linearizable?

use clap::Args;
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(crate) struct CheckHistory {
    /// The history, one JSON object per line.
    pub(crate) file: std::path::PathBuf,
}

impl CheckHistory {
    pub(crate) fn run(self) -> ExitCode {
        ExitCode::from(2)
    }
}
