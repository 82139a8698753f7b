//! How a command ends: one line, and the exit code that scripts go by.

use crate::output::plain;
use quorate_std::client;
use std::fmt;
use std::process::ExitCode;

/// Why a command did not do what it was asked. The text is one line: what is wrong, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A check failed, or the request was refused: exit code 1.
    Refused(String),
    /// The command line, the configuration or an input file is wrong: exit code 2.
    Usage(String),
    /// There was no answer in time: exit code 3.
    NoAnswer(String),
    /// Whoever reads standard output has gone: nobody is left to be told, and nothing is wrong.
    Unheard,
}

/// What a command comes to.
pub(crate) type Verdict = Result<(), Failure>;

impl Failure {
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Unheard => 0,
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::NoAnswer(_) => 3,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(line) | Self::Usage(line) | Self::NoAnswer(line) => f.write_str(line),
            Self::Unheard => Ok(()),
        }
    }
}

impl From<client::Failure> for Failure {
    /// What nodes say is shown on a terminal, and so made plain.
    fn from(failure: client::Failure) -> Self {
        let line = plain(&failure.to_string());
        match failure {
            client::Failure::Refused(_) => Self::Refused(line),
            _ => Self::NoAnswer(line),
        }
    }
}

/// Says why, if there is something to say, and turns a verdict into an exit code.
pub(crate) fn conclude(verdict: Verdict) -> ExitCode {
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure != Failure::Unheard {
                crate::output::tell(&failure.to_string());
            }
            ExitCode::from(failure.code())
        }
    }
}
