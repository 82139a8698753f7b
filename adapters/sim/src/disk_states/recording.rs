//! A disk that writes down what is done to it.

use super::Folder;
use super::crash::Crash;
use crate::disk::put;
use quorate_host::disk::{Disk, Error};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One thing done to a disk that a crash may undo, or that keeps a crash from it.
#[derive(Clone)]
pub(super) enum Operation {
    /// Bytes were written to a file.
    Write { file: u64, offset: usize, bytes: Arc<[u8]> },
    /// A file was synced.
    Sync { file: u64 },
    /// A sync of a file failed.
    FailedSync { file: u64 },
    /// A name was removed, or added, or both at once: it was moved.
    Name { removed: Option<String>, added: Option<(String, u64)> },
    /// The folder was synced.
    SyncFolder,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Write { file, offset, bytes } => {
                write!(f, "write {} bytes at {offset} of file {file}", bytes.len())
            }
            Operation::Sync { file } => write!(f, "sync file {file}"),
            Operation::FailedSync { file } => write!(f, "fail to sync file {file}"),
            Operation::Name { removed, added } => write!(f, "rename {removed:?} to {added:?}"),
            Operation::SyncFolder => write!(f, "sync the folder"),
        }
    }
}

/// What was done to a disk, and what was promised meanwhile.
#[derive(Clone, Debug)]
pub struct Recording<P> {
    /// What was durable at first. Its files have the numbers from 0 on, in the order of names.
    pub(super) start: Folder,
    pub(super) operations: Vec<Operation>,
    /// Each with the number of operations before it.
    promises: Vec<(usize, P)>,
}

impl<P: Clone> Recording<P> {
    /// How many operations there are. A crash after the first `n` of them is point `n`.
    pub fn length(&self) -> usize {
        self.operations.len()
    }

    /// What was promised last before point `n`.
    pub fn promised(&self, n: usize) -> &P {
        let later = self.promises.partition_point(|(at, _)| *at <= n);
        &self.promises[later - 1].1
    }

    /// The folder that a crash at the end leaves if it takes all it may.
    pub fn durable(&self) -> Folder {
        let mut crash = Crash::new(&self.start);
        self.operations.iter().for_each(|operation| crash.after(operation));
        crash.least()
    }

    /// The disk as it is when its user is killed at point `n` and no power is lost: all that was
    /// done is seen, and what was not synced is still to be lost. It goes on recording from there.
    pub fn killed_at(&self, n: usize) -> RecordingDisk<P> {
        let disk = RecordingDisk::holding(&self.start, self.promised(n).clone());
        let mut tape = disk.tape();
        tape.recording.promises = self.promises.clone();
        tape.recording.promises.retain(|(at, _)| *at <= n);
        for operation in &self.operations[..n] {
            tape.perform(operation.clone());
        }
        drop(tape);
        disk
    }
}

/// A folder in memory that records. A clone is the same folder.
#[derive(Debug)]
pub struct RecordingDisk<P> {
    tape: Arc<Mutex<Tape<P>>>,
}

/// An open file of a [`RecordingDisk`].
#[derive(Clone, Debug)]
pub struct RecordedFile {
    name: String,
    number: u64,
}

#[derive(Debug)]
struct Tape<P> {
    recording: Recording<P>,
    /// What is seen: contents by number, and the names that point to them.
    contents: BTreeMap<u64, Vec<u8>>,
    names: BTreeMap<String, u64>,
    made: u64,
    /// Syncs until one fails.
    syncs: Option<u64>,
}

impl<P> Clone for RecordingDisk<P> {
    fn clone(&self) -> Self {
        RecordingDisk { tape: Arc::clone(&self.tape) }
    }
}

impl<P: Clone> RecordingDisk<P> {
    /// A folder in which all of this is durable, and what its user has promised so far.
    pub fn holding(folder: &Folder, promised: P) -> Self {
        let start = folder.clone();
        let names = start.keys().cloned().zip(0..).collect();
        let contents = (0..).zip(start.values().cloned()).collect();
        let made = start.len() as u64;
        let recording = Recording { start, operations: Vec::new(), promises: vec![(0, promised)] };
        let tape = Tape { recording, contents, names, made, syncs: None };
        RecordingDisk { tape: Arc::new(Mutex::new(tape)) }
    }

    /// Writes down what is promised from now on, in place of what was before.
    pub fn promise(&self, promised: P) {
        let mut tape = self.tape();
        let now = tape.recording.length();
        tape.recording.promises.push((now, promised));
    }

    /// Lets the n-th sync of a file from now fail, counted from 0. No later sync makes durable what
    /// this one should have.
    pub fn fail_sync_at(&self, n: u64) {
        self.tape().syncs = Some(n);
    }

    /// How many operations were recorded so far.
    pub fn operations(&self) -> usize {
        self.tape().recording.length()
    }

    /// All that was recorded so far.
    pub fn recording(&self) -> Recording<P> {
        self.tape().recording.clone()
    }

    /// The folder that is left if all that is not durable is lost now.
    pub fn durable(&self) -> Folder {
        self.tape().recording.durable()
    }

    fn tape(&self) -> MutexGuard<'_, Tape<P>> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Tape<P> {
    /// Does it to what is seen, and writes it down.
    fn perform(&mut self, operation: Operation) {
        match &operation {
            Operation::Write { file, offset, bytes } => {
                put(self.contents.entry(*file).or_default(), *offset, bytes);
            }
            Operation::Name { removed, added } => {
                if let Some(name) = removed {
                    self.names.remove(name);
                }
                if let Some((name, file)) = added {
                    self.made = self.made.max(file + 1);
                    self.contents.entry(*file).or_default();
                    self.names.insert(name.clone(), *file);
                }
            }
            Operation::Sync { .. } | Operation::FailedSync { .. } | Operation::SyncFolder => {}
        }
        self.recording.operations.push(operation);
    }

    fn find(&self, name: &str) -> Result<u64, Error> {
        let missing = || Error::Missing { file: name.to_string() };
        self.names.get(name).copied().ok_or_else(missing)
    }
}

fn failed(action: &'static str, file: &RecordedFile, why: &'static str) -> Error {
    Error::new(action, &file.name, io::Error::other(why))
}

impl<P: Clone> Disk for RecordingDisk<P> {
    type File = RecordedFile;

    fn list(&self) -> Result<Vec<String>, Error> {
        Ok(self.tape().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, length: u64) -> Result<RecordedFile, Error> {
        let number = self.tape().made;
        let added = Some((name.to_string(), number));
        self.tape().perform(Operation::Name { removed: None, added });
        let file = RecordedFile { name: name.to_string(), number };
        if length > 0 {
            self.write_at(&file, 0, &vec![0; length as usize])?;
        }
        Ok(file)
    }

    fn open(&self, name: &str) -> Result<RecordedFile, Error> {
        let number = self.tape().find(name)?;
        Ok(RecordedFile { name: name.to_string(), number })
    }

    fn length(&self, file: &RecordedFile) -> Result<u64, Error> {
        Ok(self.tape().contents[&file.number].len() as u64)
    }

    fn read_at(&self, file: &RecordedFile, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let tape = self.tape();
        let offset = offset as usize;
        match tape.contents[&file.number].get(offset..offset + into.len()) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => return Err(failed("read", file, "it ends before that")),
        }
        Ok(())
    }

    fn write_at(&self, file: &RecordedFile, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let (offset, bytes) = (offset as usize, bytes.into());
        self.tape().perform(Operation::Write { file: file.number, offset, bytes });
        Ok(())
    }

    fn sync(&self, file: &RecordedFile) -> Result<(), Error> {
        let mut tape = self.tape();
        let fails = tape.syncs == Some(0);
        tape.syncs = tape.syncs.and_then(|left| left.checked_sub(1));
        if fails {
            tape.perform(Operation::FailedSync { file: file.number });
            return Err(failed("sync", file, "the disk did not take it"));
        }
        tape.perform(Operation::Sync { file: file.number });
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let mut tape = self.tape();
        let added = Some((to.to_string(), tape.find(from)?));
        tape.perform(Operation::Name { removed: Some(from.to_string()), added });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let mut tape = self.tape();
        tape.find(name)?;
        tape.perform(Operation::Name { removed: Some(name.to_string()), added: None });
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), Error> {
        self.tape().perform(Operation::SyncFolder);
        Ok(())
    }
}
