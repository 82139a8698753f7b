//! `quorate sim planted`: historical bugs, put back in and hunted.

use clap::Args;
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(crate) struct Planted {}

impl Planted {
    pub(crate) fn run(self) -> ExitCode {
        ExitCode::from(2)
    }
}
