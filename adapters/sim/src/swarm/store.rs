//! A member's disk: the real log and the real snapshot files, on a disk that may do anything that a
//! disk may do.

use super::oracle::Change;
use crate::disk::SimDisk;
use quorate::id::{EntryId, Index, Term};
use quorate::raft::{Receipt, Snapshot, Write};
use quorate::rng::Rng;
use quorate_host::disk::Disk as _;
use quorate_host::log::{Log, Options, Record};
use quorate_host::snapshot::{Key, Snapshots};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;

/// Something for the disk to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// Append a record, or begin again with it.
    Write {
        /// What to tell the machine then.
        receipt: Receipt,
        /// The record.
        record: Vec<u8>,
        /// Whether nothing before it is needed any more.
        rebase: bool,
        /// What it changes, as the oracles see it.
        change: Change,
    },
    /// Keep a snapshot.
    Snapshot(Snapshot, Vec<u8>),
}

/// Something that the disk has done.
#[derive(Clone, Copy, Debug)]
pub enum Done {
    /// This write and all before it are durable.
    Persisted(Receipt),
    /// This snapshot is durable.
    Stored(Snapshot),
    /// A write failed.
    Failed,
}

/// What goes wrong while a disk works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The power goes at the n-th change.
    Power(u64),
    /// The n-th sync fails.
    Sync(u64),
    /// So many bytes are left.
    Room(u64),
}

/// What a crash leaves of what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// All that was written: the process died, and not the machine.
    All,
    /// Anything, as a seed decides.
    Some(u64),
    /// Nothing.
    None,
}

/// A member's log and snapshots.
#[derive(Debug)]
pub struct Store {
    log_disk: SimDisk,
    snapshot_disk: SimDisk,
    log: Option<Log<SimDisk>>,
    snapshots: Option<Snapshots<SimDisk>>,
    options: Options,
    /// What waits to be done, and what was done and not said.
    pub tasks: VecDeque<Task>,
    /// Completions that the machine has not heard.
    pub done: VecDeque<Done>,
    /// Changes that were begun and are not known to be durable.
    attempted: Vec<Change>,
    /// Everything that is on the disk is known by the log to be there.
    is_marked: bool,
    /// A bit of it has rotted: it may be refused.
    is_rotten: bool,
    failed: bool,
    /// It was a snapshot that could not be stored.
    failed_to_keep: bool,
}

/// What a disk gave back.
#[derive(Debug)]
pub struct Found<E> {
    /// How often the log was opened.
    pub boots: u64,
    /// The newest snapshot.
    pub snapshot: Option<(Snapshot, Vec<u8>)>,
    /// The writes above it.
    pub writes: Vec<(Write, Vec<E>)>,
    /// What may have been written beside what was durable.
    pub attempted: Vec<Change>,
}

impl Store {
    /// An empty disk; the log's files have this many bytes.
    pub fn new(segment_bytes: u64, salt: u64) -> Self {
        Self {
            log_disk: SimDisk::new(),
            snapshot_disk: SimDisk::new(),
            log: None,
            snapshots: None,
            options: Options { segment_bytes, salt },
            tasks: VecDeque::new(),
            done: VecDeque::new(),
            attempted: Vec::new(),
            is_marked: false,
            is_rotten: false,
            failed: false,
            failed_to_keep: false,
        }
    }

    /// Opens the disk, as a host does when it starts.
    ///
    /// # Errors
    /// Why it cannot be opened, in words: the host then does not start.
    pub fn open<E: DeserializeOwned>(&mut self) -> Result<Found<E>, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let snapshots = Snapshots::open(self.snapshot_disk.clone()).map_err(|e| words(&e))?;
        let mut writes: Result<Vec<(Write, Vec<E>)>, postcard::Error> = Ok(Vec::new());
        let (log, _) = Log::open(self.log_disk.clone(), self.options, |record| {
            let (Record::Base(bytes) | Record::Batch(bytes)) = record;
            match (&mut writes, postcard::from_bytes::<Vec<(Write, Vec<E>)>>(bytes)) {
                (Ok(writes), Ok(more)) => writes.extend(more),
                (writes @ Ok(_), Err(error)) => *writes = Err(error),
                (Err(_), _) => {}
            }
        })
        .map_err(|e| words(&e))?;
        let newest = snapshots.newest().map_err(|e| words(&e))?;
        let snapshot = newest.map(|(key, bytes)| (name_of(&key, &bytes), bytes));
        let boots = log.boots();
        (self.log, self.snapshots) = (Some(log), Some(snapshots));
        (self.failed, self.failed_to_keep, self.is_marked) = (false, false, true);
        let writes = writes.map_err(|e| words(&e))?;
        let attempted = std::mem::take(&mut self.attempted);
        Ok(Found { boots, snapshot, writes, attempted })
    }

    /// Does the oldest `count` tasks together, and tells what became durable. After a failure the
    /// disk does nothing until it is opened again.
    pub fn perform(&mut self, count: usize, trouble: Trouble) -> Vec<Change> {
        for disk in [&self.log_disk, &self.snapshot_disk] {
            match trouble {
                Trouble::None => {}
                Trouble::Power(at) => disk.lose_power_at(at),
                Trouble::Sync(at) => disk.fail_sync_at(at),
                Trouble::Room(bytes) => disk.set_room(Some(bytes)),
            }
        }
        let (mut durable, mut newest) = (Vec::new(), None);
        for _ in 0..count {
            let Some(task) = self.tasks.pop_front().filter(|_| !self.failed) else { break };
            let is_done = match task {
                Task::Write { receipt, record, rebase, change } => {
                    newest = Some(receipt);
                    self.write(&record, rebase, change, &mut durable)
                }
                Task::Snapshot(snapshot, bytes) => {
                    let kept = self.keep(snapshot, &bytes);
                    if kept {
                        let index = snapshot.boundary.index.number();
                        durable.push(Change::Snapshot(index));
                    }
                    self.failed_to_keep = !kept;
                    kept
                }
            };
            self.failed |= !is_done;
        }
        if let Some(receipt) = newest.filter(|_| !self.failed) {
            let synced = self.log.as_mut().is_some_and(|log| log.sync().is_ok());
            if synced {
                durable.append(&mut self.attempted);
                self.done.push_back(Done::Persisted(receipt));
            }
            (self.failed, self.is_marked) = (!synced, false);
        }
        if self.failed {
            self.tasks.clear();
            self.done.push_back(Done::Failed);
        }
        // What did not go wrong now does not go wrong later.
        for disk in [&self.log_disk, &self.snapshot_disk] {
            disk.set_room(None);
            disk.mend_syncs();
            if trouble != Trouble::None && !self.failed {
                disk.restore_power();
            }
        }
        durable
    }

    fn write(
        &mut self,
        record: &[u8],
        rebase: bool,
        change: Change,
        durable: &mut Vec<Change>,
    ) -> bool {
        self.attempted.push(change);
        let Some(log) = &mut self.log else { return false };
        if rebase {
            let written = log.rebase(record).is_ok();
            if written {
                durable.append(&mut self.attempted);
            }
            written
        } else {
            log.append(record).is_ok()
        }
    }

    fn keep(&mut self, snapshot: Snapshot, bytes: &[u8]) -> bool {
        let EntryId { term, index } = snapshot.boundary;
        let key = Key { index: index.number(), term: term.number(), digest: snapshot.digest };
        let Some(snapshots) = &self.snapshots else { return false };
        let kept = snapshots.save(key, bytes).and_then(|()| snapshots.remove_older(key)).is_ok();
        if kept {
            self.done.push_back(Done::Stored(snapshot));
        }
        kept
    }

    /// Whether the power went while the disk was working, or it failed.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether it was storing a snapshot then.
    pub const fn has_failed_to_keep(&self) -> bool {
        self.failed_to_keep
    }

    /// Notes what is durable, as a host does when it has nothing else to do.
    pub fn mark(&mut self) {
        if let Some(log) = self.log.as_mut().filter(|_| !self.failed && self.tasks.is_empty()) {
            self.is_marked = log.mark().is_ok();
        }
    }

    /// The process is gone, and perhaps the power.
    pub fn crash(&mut self, kept: Kept) {
        (self.log, self.snapshots) = (None, None);
        self.tasks.clear();
        self.done.clear();
        match kept {
            Kept::All => {
                self.log_disk.restore_power();
                self.snapshot_disk.restore_power();
            }
            Kept::Some(seed) => {
                let mut rng = Rng::new(seed);
                self.log_disk.crash(&mut rng);
                self.snapshot_disk.crash(&mut rng);
                self.is_marked = false;
            }
            Kept::None => {
                self.log_disk.crash_losing_all();
                self.snapshot_disk.crash_losing_all();
                self.is_marked = false;
            }
        }
    }

    /// Replaces the disk of a member that is down by an empty one.
    pub fn empty(&mut self) {
        *self = Self::new(self.options.segment_bytes, self.options.salt);
    }

    /// Lets a bit rot in a file of a member that is down; tells whether there was one whose loss
    /// the log can tell: one where everything durable is known to be so.
    pub fn rot(&mut self, seed: u64) -> bool {
        let mut rng = Rng::new(seed);
        let disk = if rng.below(4) == 0 { &self.snapshot_disk } else { &self.log_disk };
        let mut names = disk.list().unwrap_or_default();
        names.retain(|name| !name.ends_with(".tmp"));
        if !self.is_marked || names.is_empty() {
            return false;
        }
        let name = &names[rng.below(names.len() as u64) as usize];
        let length = disk.durable(name).map_or(0, |bytes| bytes.len());
        if length == 0 {
            return false;
        }
        // Most of a file of the log is empty: aim at its beginning, where the records are.
        let reach = [64, 512, 4_096, length][rng.below(4) as usize].min(length) as u64;
        disk.flip(name, rng.below(reach * 8) as usize);
        self.is_rotten = true;
        true
    }

    /// Whether a bit of it has ever rotted. Only such a disk may be refused.
    pub const fn is_rotten(&self) -> bool {
        self.is_rotten
    }
}

fn name_of(key: &Key, bytes: &[u8]) -> Snapshot {
    Snapshot {
        boundary: EntryId::new(Term::new(key.term), Index::new(key.index)),
        size: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        digest: key.digest,
    }
}
