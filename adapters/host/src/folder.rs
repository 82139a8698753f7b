//! A node's data folder: in use by one process, and by the node it was made for.
//!
//! ```text
//! lock        held, with an exclusive lock, for as long as the folder is open
//! identity    a few lines: the format, the group, the node, which of its lives this is, its seat in the
//!             group once it has one, and a checksum of these
//! members     where the others were when the node last knew: hints, and no loss if lost
//! <name>/     one subfolder for each disk that the node asks for
//! ```
//!
//! The identity is written at the first opening, under a temporary name, synced and renamed,
//! before any subfolder is made. So a folder with files but no identity is not a new one: it is
//! someone else's, or its identity was lost, and opening it would forget what this node promised.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::disk::{self, Disk, RealDisk};
use std::fmt::{self, Write as _};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The format of everything in a data folder.
pub const FORMAT: u32 = 2;

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
const TEMPORARY: &str = "identity.tmp";
const MEMBERS: &str = "members";
const MEMBERS_TEMPORARY: &str = "members.tmp";
/// More than the hints about the members of a full group take.
const MOST_MEMBERS: usize = 64 << 10;
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

/// What a node is in its group for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// Its slot.
    pub slot: u8,
    /// The entry of the log that gave it; zero for a founder.
    pub since: u64,
    /// The slots of those who founded the group, as a set.
    pub founders: u32,
    /// How many members are to vote, as it was told when it joined.
    pub replication_factor: u32,
    /// The heartbeat timeout in milliseconds, as it was told when it joined.
    pub heartbeat_timeout_ms: u64,
}

/// A data folder that is this process's own until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    disk: RealDisk,
    identity: Identity,
    incarnation: u64,
    seat: Option<Seat>,
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
    /// Opens a node's folder, or makes it if it does not exist or is empty: then a life of the node
    /// begins, whose incarnation is the civil time in seconds, and after it a number that was drawn: two
    /// lives that begin in one second, or where the clock starts anew at each boot, are not one.
    ///
    /// # Errors
    /// Every refusal says what was found and what to do, and leaves what is in the folder alone.
    pub fn open(path: impl AsRef<Path>, identity: Identity) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        let folder = path.display().to_string();
        let disk = RealDisk::open(&path)?;
        let lock = lock(&path, &folder)?;
        let names = disk.list()?;
        let (incarnation, seat) = if names.iter().any(|name| name == IDENTITY) {
            check(&disk, &folder, identity)?
        } else if let Some(file) = names.into_iter().find(|name| !is_ours_or_empty(name)) {
            return Err(Error::NotOurs { folder, file });
        } else {
            let incarnation = seconds().saturating_mul(DRAWN).saturating_add(drawn());
            write(&disk, &Whole { format: FORMAT, identity, incarnation, seat: None })?;
            (incarnation, None)
        };
        // An identity that is seen may not be durable yet: it is now.
        disk.sync_folder()?;
        Ok(Folder { path, disk, identity, incarnation, seat, _lock: lock })
    }

    /// Which life of the node this folder is.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// What the node is in its group, once that is settled.
    pub fn seat(&self) -> Option<Seat> {
        self.seat
    }

    /// Settles what the node is in its group, for as long as this folder lasts.
    ///
    /// # Errors
    /// The disk failed; what was there before is there.
    pub fn settle(&mut self, seat: Seat) -> Result<(), Error> {
        self.rewrite(self.incarnation, Some(seat))
    }

    /// Makes this folder a later life than `incarnation`, as long as it has no seat: of two lives of one
    /// node the later must be known by its number, whatever the clocks said.
    ///
    /// # Errors
    /// As [`settle`](Folder::settle).
    pub fn outlive(&mut self, incarnation: u64) -> Result<(), Error> {
        if self.seat.is_some() || self.incarnation > incarnation {
            return Ok(());
        }
        self.rewrite(incarnation.saturating_add(1).saturating_add(drawn()), None)
    }

    fn rewrite(&mut self, incarnation: u64, seat: Option<Seat>) -> Result<(), Error> {
        let whole = Whole { format: FORMAT, identity: self.identity, incarnation, seat };
        write(&self.disk, &whole)?;
        self.disk.sync_folder()?;
        (self.incarnation, self.seat) = (incarnation, seat);
        Ok(())
    }

    /// Keeps the hints about other members that the node starts with next time.
    ///
    /// # Errors
    /// The disk failed; what was there before is there.
    pub fn keep_members(&self, bytes: &[u8]) -> Result<(), disk::Error> {
        let file = self.disk.create(MEMBERS_TEMPORARY, 0)?;
        self.disk.write_at(&file, 0, &crc32c::crc32c(bytes).to_le_bytes())?;
        self.disk.write_at(&file, 4, bytes)?;
        self.disk.sync(&file)?;
        self.disk.rename(MEMBERS_TEMPORARY, MEMBERS)?;
        self.disk.sync_folder()
    }

    /// The hints about other members that were kept, if they are there and whole.
    pub fn members(&self) -> Option<Vec<u8>> {
        let file = self.disk.open(MEMBERS).ok()?;
        let length = usize::try_from(self.disk.length(&file).ok()?).ok()?;
        let mut bytes = vec![0; length.min(MOST_MEMBERS)];
        self.disk.read_at(&file, 0, &mut bytes).ok()?;
        let (sum, bytes) = bytes.split_at_checked(4)?;
        (sum == crc32c::crc32c(bytes).to_le_bytes()).then(|| bytes.to_vec())
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

/// How many numbers there are to draw from. With the seconds they are exact in every reader of JSON.
const DRAWN: u64 = 1 << 20;

/// A number that another life hardly has as well.
fn drawn() -> u64 {
    crate::store::chance() % DRAWN
}

/// The civil time in seconds, and one at least.
fn seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    now.map_or(1, |since| since.as_secs().max(1))
}

/// All that an identity file says.
struct Whole {
    format: u32,
    identity: Identity,
    incarnation: u64,
    seat: Option<Seat>,
}

fn write(disk: &RealDisk, whole: &Whole) -> Result<(), disk::Error> {
    let file = disk.create(TEMPORARY, 0)?;
    disk.write_at(&file, 0, text(whole).as_bytes())?;
    disk.sync(&file)?;
    disk.rename(TEMPORARY, IDENTITY)
}

fn check(disk: &RealDisk, folder: &str, wanted: Identity) -> Result<(u64, Option<Seat>), Error> {
    let folder = folder.to_string();
    match read(disk)? {
        None => Err(Error::Damaged { folder }),
        Some(Whole { format, .. }) if format != FORMAT => {
            Err(Error::OtherFormat { folder, found: format, wanted: FORMAT })
        }
        Some(Whole { identity: found, .. }) if found != wanted => {
            Err(Error::OtherIdentity { folder, found, wanted })
        }
        Some(whole) => Ok((whole.incarnation, whole.seat)),
    }
}

/// The longest identity: what is longer is none.
const LONGEST: usize = 256;

fn read(disk: &RealDisk) -> Result<Option<Whole>, disk::Error> {
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
fn text(Whole { format, identity, incarnation, seat }: &Whole) -> String {
    let Identity { group, node } = identity;
    let mut lines =
        format!("quorate format {format}\ngroup {group}\nnode {node}\nlife {incarnation}\n");
    if let Some(Seat { slot, since, founders, replication_factor, heartbeat_timeout_ms }) = seat {
        let _ = write!(
            lines,
            "slot {slot}\nsince {since}\nfounders {founders}\n\
             replication_factor {replication_factor}\nheartbeat_timeout_ms {heartbeat_timeout_ms}\n"
        );
    }
    let checksum = crc32c::crc32c(lines.as_bytes());
    format!("{lines}checksum {checksum:08x}\n")
}

/// What the file says. Whatever another format says after its first line, its number is what matters, so
/// only this format's checksum is checked.
fn parse(found: &str) -> Option<Whole> {
    let mut lines = found.lines();
    let format = u32::try_from(number(lines.next()?, "quorate format ")?).ok()?;
    if format != FORMAT {
        let identity = Identity { group: 0, node: 0 };
        return Some(Whole { format, identity, incarnation: 0, seat: None });
    }
    let mut next = |label| number(lines.next()?, label);
    let identity = Identity { group: next("group ")?, node: next("node ")? };
    let incarnation = next("life ")?;
    let seat = match next("slot ") {
        None => None,
        Some(slot) => Some(Seat {
            slot: u8::try_from(slot).ok()?,
            since: next("since ")?,
            founders: u32::try_from(next("founders ")?).ok()?,
            replication_factor: u32::try_from(next("replication_factor ")?).ok()?,
            heartbeat_timeout_ms: next("heartbeat_timeout_ms ")?,
        }),
    };
    let whole = Whole { format, identity, incarnation, seat };
    (text(&whole) == found).then_some(whole)
}

fn number(line: &str, label: &str) -> Option<u64> {
    line.strip_prefix(label)?.parse().ok()
}
