//! Snapshot files: each is the whole of something at one place of the log.
//!
//! A snapshot is `INDEX-TERM-DIGEST.snapshot`, three times sixteen hexadecimal digits. It is
//! written under the name `snapshot.tmp`, synced, renamed, and the folder synced: a file with
//! a final name is whole, or was damaged later.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `QUORSNP1` |
//! | 8 | 8 | index |
//! | 16 | 8 | term |
//! | 24 | 8 | digest |
//! | 32 | 8 | length of the content |
//! | 40 | 4 | CRC-32C of the 40 bytes before and the content |
//! | 44 | | the content |
//!
//! The content is opaque, and so is the digest: whoever saved it knows how to check it.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::disk::{self, Disk};
use crc32c::{crc32c, crc32c_append};
use std::fmt;

const HEADER: usize = 44;
const MAGIC: &[u8; 8] = b"QUORSNP1";
const TEMPORARY: &str = "snapshot.tmp";

/// What a snapshot is of. Ordered by age: the index decides, then the term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The last log index it includes.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// The digest of the content, whichever the caller uses.
    pub digest: u64,
}

impl Key {
    fn name(&self) -> String {
        format!("{:016x}-{:016x}-{:016x}.snapshot", self.index, self.term, self.digest)
    }

    fn of(name: &str) -> Option<Key> {
        let mut parts = name.strip_suffix(".snapshot")?.split('-');
        let mut next = || u64::from_str_radix(parts.next()?, 16).ok();
        let key = Key { index: next()?, term: next()?, digest: next()? };
        (key.name() == name).then_some(key)
    }

    fn header(&self, content: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [self.index, self.term, self.digest, content.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32c_append(crc32c(&bytes), content);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// Why a snapshot was not saved or loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file is not as it was when it was durable.
    Corrupt {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The disk failed, or is full, or has no such snapshot. What was saved before is still there.
    Disk(disk::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Corrupt { file, why } => write!(f, "snapshot {file} is damaged: {why}"),
            Error::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Corrupt { .. } => None,
            Error::Disk(error) => Some(error),
        }
    }
}

impl From<disk::Error> for Error {
    fn from(error: disk::Error) -> Self {
        Error::Disk(error)
    }
}

/// The snapshots in a folder.
#[derive(Debug)]
pub struct Snapshots<D> {
    disk: D,
}

impl<D: Disk> Snapshots<D> {
    /// Opens the snapshots of a folder; its other files are left alone.
    pub fn open(disk: D) -> Result<Self, Error> {
        // A name that is seen may not be durable yet: it is now.
        disk.sync_folder()?;
        Ok(Snapshots { disk })
    }

    /// Saves a snapshot. When this returns it is durable; if it fails, nothing is in its place.
    pub fn save(&self, key: Key, content: &[u8]) -> Result<(), Error> {
        let file = self.disk.create(TEMPORARY, 0)?;
        self.disk.write_at(&file, 0, &key.header(content))?;
        self.disk.write_at(&file, HEADER as u64, content)?;
        self.disk.sync(&file)?;
        self.disk.rename(TEMPORARY, &key.name())?;
        self.disk.sync_folder()?;
        Ok(())
    }

    /// All snapshots, oldest first.
    pub fn list(&self) -> Result<Vec<Key>, Error> {
        let names = self.disk.list()?;
        let mut keys: Vec<Key> = names.iter().filter_map(|name| Key::of(name)).collect();
        keys.sort();
        Ok(keys)
    }

    /// The newest snapshot. A damaged one is an error, not a reason to take the one before: only
    /// the caller knows whether its log reaches back that far, and can [`Snapshots::load`] it.
    pub fn newest(&self) -> Result<Option<(Key, Vec<u8>)>, Error> {
        let Some(key) = self.list()?.pop() else { return Ok(None) };
        Ok(Some((key, self.load(key)?)))
    }

    /// A snapshot's content.
    pub fn load(&self, key: Key) -> Result<Vec<u8>, Error> {
        let corrupt = |why| Err(Error::Corrupt { file: key.name(), why });
        let file = self.disk.open(&key.name())?;
        let Some(length) = self.disk.length(&file)?.checked_sub(HEADER as u64) else {
            return corrupt("the file is shorter than a header");
        };
        let Ok(length) = usize::try_from(length) else {
            return corrupt("the file is larger than this machine's memory");
        };
        let mut header = [0; HEADER];
        self.disk.read_at(&file, 0, &mut header)?;
        let mut content = vec![0; length];
        self.disk.read_at(&file, HEADER as u64, &mut content)?;
        // What the header must be follows from the name and the content.
        if key.header(&content) == header {
            Ok(content)
        } else {
            corrupt("the header does not belong to this name and this content")
        }
    }

    /// Removes all snapshots older than this one.
    pub fn remove_older(&self, than: Key) -> Result<(), Error> {
        let mut older = self.list()?;
        older.retain(|key| (key.index, key.term) < (than.index, than.term));
        for key in older {
            self.disk.remove(&key.name())?;
        }
        Ok(self.disk.sync_folder()?)
    }
}
