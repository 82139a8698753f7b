//! `quorate sim replay`: a recorded node, run again.

use clap::Args;
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// The recording.
    pub(crate) file: std::path::PathBuf,
}

impl Replay {
    pub(crate) fn run(self) -> ExitCode {
        ExitCode::from(2)
    }
}
