//! What is durable at one point of a recording, and what a crash there may keep or lose.

use super::Folder;
use super::enumerator::{Count, Limits};
use super::recording::Operation;
use crate::disk::{Rng, put};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A disk at one point: what is durable, and what is not yet.
pub(super) struct Crash {
    files: BTreeMap<u64, File>,
    names: Names,
    /// Changes of names since the last sync of the folder.
    changes: Vec<Change>,
}

/// Which file each name stands for.
pub(super) type Names = BTreeMap<String, u64>;

type Change = (Option<String>, Option<(String, u64)>);

/// A file's durable bytes, and the writes that a crash may still take.
#[derive(Clone, Default)]
pub(super) struct File {
    pub(super) durable: Vec<u8>,
    pub(super) writes: Vec<Write>,
}

/// A write that is not durable, or lies on top of one that is not.
#[derive(Clone)]
pub(super) struct Write {
    pub(super) offset: usize,
    pub(super) bytes: Arc<[u8]>,
    pub(super) fate: Fate,
}

/// What a crash may do with a write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Anything, until its file is synced.
    Open,
    /// Anything, for ever: a sync of it failed.
    Doubtful,
    /// Nothing: it was synced. It is still here because it lies on a doubtful one.
    Sure,
}

impl Write {
    pub(super) fn end(&self) -> usize {
        self.offset + self.bytes.len()
    }
}

impl Crash {
    pub(super) fn new(start: &Folder) -> Self {
        let file = |content: &Vec<u8>| File { durable: content.clone(), writes: Vec::new() };
        let files = (0..).zip(start.values().map(file)).collect();
        let names = start.keys().cloned().zip(0..).collect();
        Crash { files, names, changes: Vec::new() }
    }

    /// Moves on to the point after this operation.
    pub(super) fn after(&mut self, operation: &Operation) {
        match operation {
            Operation::Write { file, offset, bytes } => {
                let write = Write { offset: *offset, bytes: bytes.clone(), fate: Fate::Open };
                self.files.entry(*file).or_default().writes.push(write);
            }
            Operation::Sync { file } => self.files.entry(*file).or_default().sync(),
            Operation::FailedSync { file } => {
                self.files.entry(*file).or_default().settle(Fate::Doubtful);
            }
            Operation::Name { removed, added } => {
                if let Some((_, file)) = added {
                    self.files.entry(*file).or_default();
                }
                self.changes.push((removed.clone(), added.clone()));
            }
            Operation::SyncFolder => {
                for change in std::mem::take(&mut self.changes) {
                    apply(&change, &mut self.names);
                }
            }
        }
    }

    /// The folder if all is lost that may be.
    pub(super) fn least(&self) -> Folder {
        let content = |(name, file): (&String, &u64)| (name.clone(), self.files[file].least());
        self.names.iter().map(content).collect()
    }

    pub(super) fn file(&self, number: u64) -> &File {
        &self.files[&number]
    }

    /// What the names may be: every subset of the changes up to the bound; beyond it each beginning
    /// of them, each without one of them, and some drawn. First come none and all of them.
    pub(super) fn names(&self, limits: &Limits, rng: &mut Rng, count: &mut Count) -> Vec<Names> {
        let all = self.changes.len();
        if all == 0 {
            return vec![self.names.clone()];
        }
        let mut kept = vec![vec![false; all], vec![true; all]];
        if all <= limits.names {
            count.names_exhausted += 1;
            kept.extend((0..1_u32 << all).map(|set| (0..all).map(|i| set >> i & 1 == 1).collect()));
        } else {
            count.names_sampled += 1;
            kept.extend((0..all).map(|end| (0..all).map(|i| i < end).collect()));
            kept.extend((0..all).map(|lost| (0..all).map(|i| i != lost).collect()));
            let draw = |_| (0..all).map(|_| rng.below(2) == 0).collect();
            kept.extend((0..limits.samples).map(draw));
        }
        let mut seen = BTreeSet::new();
        let names = kept.iter().map(|kept: &Vec<bool>| {
            let mut names = self.names.clone();
            let changes = self.changes.iter().zip(kept);
            changes.filter(|(_, kept)| **kept).for_each(|(change, _)| apply(change, &mut names));
            names
        });
        names.filter(|names| seen.insert(names.clone())).collect()
    }
}

fn apply((removed, added): &Change, names: &mut Names) {
    if let Some(name) = removed {
        names.remove(name);
    }
    if let Some((name, file)) = added {
        names.insert(name.clone(), *file);
    }
}

impl File {
    fn sync(&mut self) {
        self.settle(Fate::Sure);
        if self.writes.iter().all(|write| write.fate == Fate::Sure) {
            self.durable = self.least();
            self.writes.clear();
        }
    }

    fn settle(&mut self, fate: Fate) {
        let open = self.writes.iter_mut().filter(|write| write.fate == Fate::Open);
        open.for_each(|write| write.fate = fate);
    }

    fn least(&self) -> Vec<u8> {
        let mut content = self.durable.clone();
        for write in self.writes.iter().filter(|write| write.fate == Fate::Sure) {
            put(&mut content, write.offset, &write.bytes);
        }
        content
    }
}
