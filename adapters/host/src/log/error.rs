//! Why a log refuses.

use crate::disk;
use std::fmt;

/// Why a log could not be opened, or did not take a record.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file is not as it was when it was durable. The log is not opened and nothing is changed:
    /// what is gone may have been promised to someone.
    Corrupt {
        /// The file's name.
        file: String,
        /// The first byte that is not as expected.
        offset: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// The disk failed, or is full. The log takes nothing from now on; what it called durable is.
    Disk(disk::Error),
    /// The disk failed before, so nothing was done.
    Poisoned,
    /// The payload is longer than a record can say. The log is unchanged.
    TooLarge {
        /// The payload's length in bytes.
        length: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Corrupt { file, offset, why } => {
                write!(f, "{file} is damaged at byte {offset}: {why}")
            }
            Error::Disk(error) => error.fmt(f),
            Error::Poisoned => write!(f, "the log stopped at an earlier disk error"),
            Error::TooLarge { length } => write!(f, "{length} bytes do not fit into a record"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Disk(error) => Some(error),
            Error::Corrupt { .. } | Error::Poisoned | Error::TooLarge { .. } => None,
        }
    }
}

impl From<disk::Error> for Error {
    fn from(error: disk::Error) -> Self {
        Error::Disk(error)
    }
}
