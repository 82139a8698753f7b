//! One folder of a disk, seen through the few operations that durability is made of.
//!
//! [`Disk`] is what the log and the snapshots are written against; [`RealDisk`] is the operating
//! system's. The trait promises little, on purpose, so that a simulator can break all it does not:
//!
//! - a written byte survives a crash only once [`Disk::sync`] of its file has returned `Ok`;
//!   until then any part of any write may be on the disk, in any order;
//! - a name that was made, moved or removed survives only once [`Disk::sync_folder`] has returned
//!   `Ok`; until then any of these changes may be lost. A rename is atomic: never half of it;
//! - after a sync that failed nothing is known, and the next one may say `Ok` without having
//!   written anything: whoever sees one fail must stop.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A folder and the files in it. Names are plain file names, without a path.
pub trait Disk {
    /// An open file.
    type File;

    /// The names of all files, sorted.
    fn list(&self) -> Result<Vec<String>, Error>;

    /// Makes a file of `length` real zeros (written, not a hole), replacing one of this name.
    ///
    /// Zeros that are written once make every later sync cheaper: overwriting them changes
    /// no metadata.
    fn create(&self, name: &str, length: u64) -> Result<Self::File, Error>;

    /// Opens a file to read and write it.
    fn open(&self, name: &str) -> Result<Self::File, Error>;

    /// The file's length in bytes.
    fn length(&self, file: &Self::File) -> Result<u64, Error>;

    /// Fills `into` from `offset` on; an error if the file ends before that.
    fn read_at(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> Result<(), Error>;

    /// Writes all `bytes` at `offset`, growing the file if they reach past its end.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Makes everything written to the file, and its length, durable.
    fn sync(&self, file: &Self::File) -> Result<(), Error>;

    /// Gives a file another name, replacing one of that name, atomically.
    fn rename(&self, from: &str, to: &str) -> Result<(), Error>;

    /// Removes a file's name.
    fn remove(&self, name: &str) -> Result<(), Error>;

    /// Makes every name made, moved or removed so far durable.
    fn sync_folder(&self) -> Result<(), Error>;
}

/// Why a disk did not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No room, or no quota, is left.
    Full {
        /// The file that was being written.
        file: String,
    },
    /// There is no such file.
    Missing {
        /// Its name.
        file: String,
    },
    /// Anything else the operating system reports.
    Io {
        /// What was being done, such as `write`.
        action: &'static str,
        /// The file it was done to.
        file: String,
        /// What the operating system says.
        source: io::Error,
    },
}

impl Error {
    /// Sorts an operating system's error into the three kinds.
    pub fn new(action: &'static str, file: impl Into<String>, source: io::Error) -> Self {
        let file = file.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { file },
            io::ErrorKind::NotFound => Error::Missing { file },
            _ => Error::Io { action, file, source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Full { file } => {
                write!(f, "no space left on the disk for {file}: free some and start again")
            }
            Error::Missing { file } => write!(f, "{file} does not exist"),
            Error::Io { action, file, source } => write!(f, "cannot {action} {file}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Full { .. } | Error::Missing { .. } => None,
        }
    }
}

/// A folder of the operating system.
#[derive(Debug)]
pub struct RealDisk {
    path: PathBuf,
    /// Kept open: the folder that is synced is the one that was opened, whatever is renamed.
    folder: File,
}

/// An open file of a [`RealDisk`], with the name its errors tell.
#[derive(Debug)]
pub struct RealFile {
    path: PathBuf,
    file: File,
}

/// Zeros are written in pieces of this size.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl RealDisk {
    /// Opens a folder, making it and those above it durably if they do not exist.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        make_folder(&path)?;
        let folder = File::open(&path).map_err(|e| Error::new("open", show(&path), e))?;
        Ok(RealDisk { path, folder })
    }

    fn open_with(&self, name: &str, options: &OpenOptions) -> Result<RealFile, Error> {
        let path = self.path.join(name);
        match options.open(&path) {
            Ok(file) => Ok(RealFile { path, file }),
            Err(error) => Err(Error::new("open", show(&path), error)),
        }
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn list(&self) -> Result<Vec<String>, Error> {
        let failed = |e| Error::new("list", show(&self.path), e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            // A name that is not Unicode is none of ours.
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn create(&self, name: &str, length: u64) -> Result<RealFile, Error> {
        let mut options = OpenOptions::new();
        let new = options.read(true).write(true).create(true).truncate(true);
        let file = self.open_with(name, new)?;
        let mut filled: u64 = 0;
        while filled < length {
            let piece = usize::try_from(length.saturating_sub(filled)).unwrap_or(usize::MAX);
            let zeros = ZEROS.get(..piece).unwrap_or(&ZEROS);
            if let Err(error) = self.write_at(&file, filled, zeros) {
                // Half a file is of no use, and on a full disk its room is badly needed. If it
                // cannot be removed either, the first error is still the one to tell.
                let _ = self.remove(name);
                return Err(error);
            }
            filled = filled.saturating_add(zeros.len() as u64);
        }
        Ok(file)
    }

    fn open(&self, name: &str) -> Result<RealFile, Error> {
        self.open_with(name, OpenOptions::new().read(true).write(true))
    }

    fn length(&self, file: &RealFile) -> Result<u64, Error> {
        let metadata = file.file.metadata();
        metadata.map(|it| it.len()).map_err(|e| Error::new("measure", show(&file.path), e))
    }

    fn read_at(&self, file: &RealFile, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let read = file.file.read_exact_at(into, offset);
        read.map_err(|e| Error::new("read", show(&file.path), e))
    }

    fn write_at(&self, file: &RealFile, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let written = file.file.write_all_at(bytes, offset);
        written.map_err(|e| Error::new("write", show(&file.path), e))
    }

    fn sync(&self, file: &RealFile) -> Result<(), Error> {
        file.file.sync_data().map_err(|e| Error::new("sync", show(&file.path), e))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let path = self.path.join(from);
        let renamed = fs::rename(&path, self.path.join(to));
        renamed.map_err(|e| Error::new("rename", show(&path), e))
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        fs::remove_file(&path).map_err(|e| Error::new("remove", show(&path), e))
    }

    fn sync_folder(&self) -> Result<(), Error> {
        self.folder.sync_all().map_err(|e| Error::new("sync", show(&self.path), e))
    }
}

/// Makes a folder whose name is durable before anything is written into it.
fn make_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if above != Path::new("") => {
            make_folder(above)?;
            above
        }
        _ => Path::new("."),
    };
    let made = match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(above).and_then(|it| it.sync_all()),
    };
    made.map_err(|e| Error::new("make", show(path), e))
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
