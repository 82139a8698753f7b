//! Reads the records of a recording, and says where it is damaged.

use super::MAGIC;
use quorate::replica::RecoverError;
use std::fmt;
use std::io::{self, Read};

/// Why a recording cannot be replayed, or not further than this.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    Read(io::Error),
    /// It is no recording.
    NotARecording,
    /// It has another version.
    OtherVersion {
        /// The version's character.
        found: char,
    },
    /// It is of another kind of state machine.
    OtherKind {
        /// Of which.
        found: String,
        /// What it was to be.
        wanted: &'static str,
    },
    /// It ends before the node began to serve.
    NoBeginning,
    /// A record is not as it was written.
    Damaged {
        /// Where the record begins.
        at: u64,
        /// What is wrong with it.
        why: &'static str,
        /// How many steps before it are sound.
        steps: u64,
    },
    /// What was on the node's disk makes no replica, though it did then.
    Recover(RecoverError),
    /// What was on the node's disk makes another replica than it did then.
    OtherReplica,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot be read ({error})"),
            Self::NotARecording => f.write_str("is no recording"),
            Self::OtherVersion { found } => {
                write!(f, "is a recording of version {found}; this program reads version 1")
            }
            Self::OtherKind { found, wanted } => {
                write!(f, "is a recording of `{found}`, not of `{wanted}`")
            }
            Self::NoBeginning => f.write_str("ends before the node began to serve"),
            Self::Damaged { at, why, steps } => {
                write!(f, "is damaged at byte {at}, after step {steps}: {why}")
            }
            Self::Recover(error) => write!(f, "does not make a replica any more: {error}"),
            Self::OtherReplica => {
                f.write_str("makes another replica than it did, before the first step")
            }
        }
    }
}

impl std::error::Error for Error {}

/// What comes next in a recording.
pub(super) enum Found {
    /// The content of a record, and where it begins.
    Content(u64, Vec<u8>),
    /// Nothing: it ends with a whole record.
    End,
    /// It ends within the record that begins here.
    Cut(u64),
}

pub(super) struct Reader<R> {
    from: R,
    /// How many bytes are read.
    at: u64,
}

impl<R: Read> Reader<R> {
    /// Looks at the first bytes.
    pub(super) fn new(from: R) -> Result<Self, Error> {
        let mut reader = Self { from, at: 0 };
        let magic = reader.take(MAGIC.len() as u64)?;
        match (magic.strip_prefix(&MAGIC[..7]), magic == MAGIC) {
            (_, true) => Ok(reader),
            (Some([version]), false) => Err(Error::OtherVersion {
                found: char::from(*version).escape_default().next().unwrap_or('?'),
            }),
            _ => Err(Error::NotARecording),
        }
    }

    pub(super) fn next(&mut self) -> Result<Found, Error> {
        let from = self.at;
        let damaged = |why| Err(Error::Damaged { at: from, why, steps: 0 });
        let head = self.take(8)?;
        let Some((length, check)) = head.split_first_chunk::<4>() else {
            return Ok(if head.is_empty() { Found::End } else { Found::Cut(from) });
        };
        let Ok(check) = <[u8; 4]>::try_from(check) else { return Ok(Found::Cut(from)) };
        let checked = crc32c::crc32c(length);
        if checked.to_le_bytes() != check {
            return damaged("its length has a wrong checksum");
        }
        let length = u64::from(u32::from_le_bytes(*length));
        let mut content = self.take(length.saturating_add(4))?;
        let Some((end, check)) = content.split_last_chunk::<4>() else {
            return Ok(Found::Cut(from));
        };
        if end.len() as u64 != length {
            return Ok(Found::Cut(from));
        }
        if crc32c::crc32c_append(checked, end).to_le_bytes() != *check {
            return damaged("its content has a wrong checksum");
        }
        content.truncate(content.len().saturating_sub(4));
        Ok(Found::Content(from, content))
    }

    /// So many bytes, or as many as there are. Only what is there is given room.
    fn take(&mut self, count: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.from.by_ref().take(count).read_to_end(&mut bytes).map_err(Error::Read)?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(bytes)
    }
}
