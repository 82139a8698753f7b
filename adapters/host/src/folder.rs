//! A node's data folder: in use by one process, and by the node it was made for.
//!
//! ```text
//! lock        held, with an exclusive lock, for as long as the folder is open
//! identity    four lines: the format, the group, the node, and a checksum of these
//! <name>/     one subfolder for each disk that the node asks for
//! ```
//!
//! The identity is written at the first opening, under a temporary name, synced and renamed,
//! before any subfolder is made. So a folder with files but no identity is not a new one: it is
//! someone else's, or its identity was lost, and opening it would forget what this node promised.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::disk::{self, Disk, RealDisk};
use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The format of everything in a data folder.
pub const FORMAT: u32 = 1;

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
const TEMPORARY: &str = "identity.tmp";
/// What an empty file system has in its root.
const LOST: &str = "lost+found";

/// Whose folder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The group's number.
    pub group: u64,
    /// The node's number in it.
    pub node: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of group {}", self.node, self.group)
    }
}

/// A data folder that is this process's own until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    disk: RealDisk,
    /// The operating system gives the lock up with the file, however the process ends.
    _lock: File,
}

/// Why a data folder was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Another process has it open.
    InUse {
        /// The folder.
        folder: String,
    },
    /// It belongs to another node.
    OtherIdentity {
        /// The folder.
        folder: String,
        /// Whose it is.
        found: Identity,
        /// Who asked.
        wanted: Identity,
    },
    /// It was written in another format.
    OtherFormat {
        /// The folder.
        folder: String,
        /// The format of the folder.
        found: u32,
        /// The format of this program.
        wanted: u32,
    },
    /// It has files in it, but no identity.
    NotOurs {
        /// The folder.
        folder: String,
        /// One of the files.
        file: String,
    },
    /// The identity cannot be read.
    Damaged {
        /// The folder.
        folder: String,
    },
    /// The disk failed, or is full.
    Disk(disk::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InUse { folder } => {
                write!(f, "{folder} is in use by another process: stop it, or use another folder")
            }
            Error::OtherIdentity { folder, found, wanted } => write!(
                f,
                "{folder} belongs to {found}, not to {wanted}: \
                 start {found} here, or give {wanted} a folder of its own"
            ),
            Error::OtherFormat { folder, found, wanted } => write!(
                f,
                "{folder} has format {found}, this program reads format {wanted}: \
                 use the program that wrote it, or an empty folder"
            ),
            Error::NotOurs { folder, file } => write!(
                f,
                "{folder} has {file} in it, but no {IDENTITY}: \
                 use an empty folder, or restore its {IDENTITY}"
            ),
            Error::Damaged { folder } => write!(
                f,
                "{folder}/{IDENTITY} is damaged: restore it if you are sure whose folder it is, \
                 or let the node join again with an empty one"
            ),
            Error::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Disk(error) => Some(error),
            _ => None,
        }
    }
}

impl From<disk::Error> for Error {
    fn from(error: disk::Error) -> Self {
        Error::Disk(error)
    }
}

impl Folder {
    /// Opens a node's folder, or makes it if it does not exist or is empty.
    ///
    /// # Errors
    /// Every refusal says what was found and what to do, and leaves what is in the folder alone.
    pub fn open(path: impl AsRef<Path>, identity: Identity) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        let folder = path.display().to_string();
        let disk = RealDisk::open(&path)?;
        let lock = lock(&path, &folder)?;
        let names = disk.list()?;
        if names.iter().any(|name| name == IDENTITY) {
            check(&disk, &folder, identity)?;
        } else if let Some(file) = names.into_iter().find(|name| !is_ours_or_empty(name)) {
            return Err(Error::NotOurs { folder, file });
        } else {
            write(&disk, identity)?;
        }
        // An identity that is seen may not be durable yet: it is now.
        disk.sync_folder()?;
        Ok(Folder { path, disk, _lock: lock })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A subfolder, made if it does not exist.
    pub fn disk(&self, name: &str) -> Result<RealDisk, disk::Error> {
        let disk = RealDisk::open(self.path.join(name))?;
        self.disk.sync_folder()?;
        Ok(disk)
    }
}

fn lock(path: &Path, folder: &str) -> Result<File, Error> {
    let path = path.join(LOCK);
    let failed = |e| disk::Error::new("lock", path.display().to_string(), e);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { folder: folder.to_string() }),
        Err(TryLockError::Error(error)) => Err(failed(error).into()),
    }
}

fn is_ours_or_empty(name: &str) -> bool {
    [LOCK, TEMPORARY, LOST].contains(&name)
}

fn write(disk: &RealDisk, identity: Identity) -> Result<(), disk::Error> {
    let file = disk.create(TEMPORARY, 0)?;
    disk.write_at(&file, 0, text(FORMAT, identity).as_bytes())?;
    disk.sync(&file)?;
    disk.rename(TEMPORARY, IDENTITY)
}

fn check(disk: &RealDisk, folder: &str, wanted: Identity) -> Result<(), Error> {
    let folder = folder.to_string();
    match read(disk)? {
        None => Err(Error::Damaged { folder }),
        Some((format, _)) if format != FORMAT => {
            Err(Error::OtherFormat { folder, found: format, wanted: FORMAT })
        }
        Some((_, found)) if found != wanted => Err(Error::OtherIdentity { folder, found, wanted }),
        Some(_) => Ok(()),
    }
}

/// The longest identity: what is longer is none.
const LONGEST: usize = 256;

fn read(disk: &RealDisk) -> Result<Option<(u32, Identity)>, disk::Error> {
    let file = disk.open(IDENTITY)?;
    let length = usize::try_from(disk.length(&file)?).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    disk.read_at(&file, 0, &mut bytes)?;
    Ok(str::from_utf8(&bytes).ok().and_then(parse))
}

/// What a person sees who looks into the file.
fn text(format: u32, Identity { group, node }: Identity) -> String {
    let lines = format!("quorate format {format}\ngroup {group}\nnode {node}\n");
    let checksum = crc32c::crc32c(lines.as_bytes());
    format!("{lines}checksum {checksum:08x}\n")
}

/// The format and the identity. Whatever another format says after its first line, its number is
/// what matters, so only this format's checksum is checked.
fn parse(found: &str) -> Option<(u32, Identity)> {
    let mut lines = found.lines();
    let mut number = |label| lines.next()?.strip_prefix(label)?.parse::<u64>().ok();
    let format = u32::try_from(number("quorate format ")?).ok()?;
    if format != FORMAT {
        return Some((format, Identity { group: 0, node: 0 }));
    }
    let identity = Identity { group: number("group ")?, node: number("node ")? };
    (text(format, identity) == found).then_some((format, identity))
}
