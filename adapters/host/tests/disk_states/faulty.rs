//! Disks that break their word, and logs that use them wrongly, as a layer between the two.

use quorate_host::disk::{Disk, Error};
use quorate_sim::disk_states::{RecordedFile, RecordingDisk};
use std::sync::{Arc, Mutex};

/// How a disk, or a log that uses it so, is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// None, to see that it is the fault that is caught.
    Nothing,
    /// Files are not synced.
    NoSync,
    /// The folder is not synced, so neither are names.
    NoFolderSync,
    /// A sync that failed is said to have done its work.
    SwallowedFailure,
    /// A sync that failed is tried again.
    RetriedSync,
    /// A file gets its final name before it is synced.
    RenameFirst,
    /// Files are synced when the next write comes: too late for what was said in between.
    LateSync,
}

/// A disk that records, below one that is wrong.
#[derive(Clone)]
pub(crate) struct Faulty<P> {
    disk: RecordingDisk<P>,
    fault: Fault,
    /// Before so many operations there is no fault.
    from: usize,
    /// What is still to be synced.
    waiting: Arc<Mutex<Vec<RecordedFile>>>,
}

impl<P: Clone> Faulty<P> {
    pub(crate) fn above(disk: &RecordingDisk<P>, fault: Fault, from: usize) -> Self {
        Faulty { disk: disk.clone(), fault, from, waiting: Arc::default() }
    }

    fn fault(&self) -> Fault {
        if self.disk.operations() < self.from { Fault::Nothing } else { self.fault }
    }

    fn sync_what_waits(&self) -> Result<(), Error> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        waiting.iter().try_for_each(|file| self.disk.sync(file))
    }
}

impl<P: Clone> Disk for Faulty<P> {
    type File = RecordedFile;

    fn list(&self) -> Result<Vec<String>, Error> {
        self.disk.list()
    }

    fn create(&self, name: &str, length: u64) -> Result<RecordedFile, Error> {
        self.disk.create(name, length)
    }

    fn open(&self, name: &str) -> Result<RecordedFile, Error> {
        self.disk.open(name)
    }

    fn length(&self, file: &RecordedFile) -> Result<u64, Error> {
        self.disk.length(file)
    }

    fn read_at(&self, file: &RecordedFile, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        self.disk.read_at(file, offset, into)
    }

    fn write_at(&self, file: &RecordedFile, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if self.fault() == Fault::LateSync {
            self.sync_what_waits()?;
        }
        self.disk.write_at(file, offset, bytes)
    }

    fn sync(&self, file: &RecordedFile) -> Result<(), Error> {
        match self.fault() {
            Fault::NoSync => Ok(()),
            Fault::SwallowedFailure => self.disk.sync(file).or(Ok(())),
            Fault::RetriedSync => self.disk.sync(file).or_else(|_| self.disk.sync(file)),
            Fault::LateSync => {
                self.waiting.lock().unwrap().push(file.clone());
                Ok(())
            }
            Fault::RenameFirst => {
                self.waiting.lock().unwrap().push(file.clone());
                let unfinished =
                    |name: &String| ["new.tmp", "snapshot.tmp"].contains(&name.as_str());
                if self.disk.list()?.iter().any(unfinished) {
                    Ok(())
                } else {
                    self.sync_what_waits()
                }
            }
            Fault::Nothing | Fault::NoFolderSync => self.disk.sync(file),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        self.disk.remove(name)
    }

    fn sync_folder(&self) -> Result<(), Error> {
        match self.fault() {
            Fault::NoFolderSync => Ok(()),
            Fault::RenameFirst => {
                self.disk.sync_folder()?;
                self.sync_what_waits()
            }
            _ => self.disk.sync_folder(),
        }
    }
}
