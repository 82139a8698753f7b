//! What a member holds, as the oracles write it down: a chain of numbers, one for each entry, in
//! which each stands for its entry and everything before it.

use quorate::hlc::Stamp;
use quorate::id::{EntryId, Slot, Term};
use std::collections::VecDeque;

/// The entries of one log from its floor on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Trail {
    /// The last entry that is not in the log itself, and its link.
    floor: u64,
    base: u64,
    links: VecDeque<u64>,
}

impl Trail {
    /// A log that begins above an entry.
    pub const fn above(floor: u64, base: u64) -> Self {
        Self { floor, base, links: VecDeque::new() }
    }

    /// Where the log begins.
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// Where the last entry stands.
    pub fn last(&self) -> u64 {
        self.floor + self.links.len() as u64
    }

    /// The link at an index, from the floor on.
    pub fn at(&self, index: u64) -> Option<u64> {
        match index.checked_sub(self.floor)? {
            0 => Some(self.base),
            place => self.links.get(place as usize - 1).copied(),
        }
    }

    /// The link of the last entry.
    pub fn end(&self) -> u64 {
        self.links.back().copied().unwrap_or(self.base)
    }

    /// Adds the entry after the last.
    pub fn push(&mut self, link: u64) {
        self.links.push_back(link);
    }

    /// Drops everything from an index on.
    pub fn cut(&mut self, from: u64) {
        self.links.truncate(from.saturating_sub(self.floor + 1) as usize);
    }

    /// Lets go of everything up to an index that is in the log.
    pub fn raise(&mut self, floor: u64) {
        while self.floor < floor {
            let Some(link) = self.links.pop_front() else { return };
            (self.floor, self.base) = (self.floor + 1, link);
        }
    }
}

/// A change of what is on a disk.
#[derive(Clone, Debug)]
pub enum Change {
    /// Another ballot.
    Ballot(Term, Option<Slot>),
    /// Entries from an index on take the place of what stood there.
    Append(u64, Vec<u64>),
    /// Everything anew.
    Rebase(Term, Option<Slot>, Trail),
    /// A snapshot of everything up to an index.
    Snapshot(u64),
}

/// What is on a disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The term.
    pub term: Term,
    /// The vote in it.
    pub vote: Option<Slot>,
    /// The log.
    pub trail: Trail,
    /// Up to where the newest snapshot reaches.
    pub covered: u64,
}

impl Disk {
    /// Whether an entry, and all before it, are on the disk: in the log as they should be, or
    /// below what a snapshot or the log's floor covers.
    pub fn holds(&self, index: u64, link: Option<u64>) -> bool {
        index <= self.covered.max(self.trail.floor())
            || link.is_some() && self.trail.at(index) == link
    }

    /// A change is durable.
    pub fn take(&mut self, change: &Change) {
        match change {
            Change::Ballot(term, vote) => (self.term, self.vote) = (*term, *vote),
            Change::Append(first, links) => {
                self.trail.cut(*first);
                // What lies below the floor of this disk a snapshot covers already.
                for (place, link) in links.iter().enumerate() {
                    if *first + place as u64 == self.trail.last() + 1 {
                        self.trail.push(*link);
                    }
                }
            }
            Change::Rebase(term, vote, trail) => {
                (self.term, self.vote) = (*term, *vote);
                self.trail = trail.clone();
            }
            Change::Snapshot(index) => self.covered = self.covered.max(*index),
        }
    }
}

/// One entry that was ever made.
#[derive(Clone, Copy, Debug)]
struct Made {
    term: Term,
    link: u64,
    stamp: Option<Stamp>,
}

/// Every entry that was ever made, and which of them are committed.
#[derive(Clone, Debug, Default)]
pub struct Canon {
    /// By index, then in the order of making. Index zero is what comes before the first entry.
    made: Vec<Vec<Made>>,
    /// The committed links by index.
    committed: Vec<u64>,
}

impl Canon {
    /// The link of what comes before the first entry.
    pub const ROOT: u64 = 0;

    /// Nothing was made yet.
    pub fn new() -> Self {
        Self { made: vec![Vec::new()], committed: vec![Self::ROOT] }
    }

    /// Notes an entry; an error if another one of this identity was made before.
    ///
    /// # Errors
    /// The link of that one.
    pub fn note(&mut self, id: EntryId, link: u64, stamp: Option<Stamp>) -> Result<(), u64> {
        let index = id.index.number() as usize;
        if self.made.len() <= index {
            self.made.resize(index + 1, Vec::new());
        }
        match self.made[index].iter().find(|made| made.term == id.term) {
            Some(made) if made.link != link => Err(made.link),
            Some(_) => Ok(()),
            None => {
                self.made[index].push(Made { term: id.term, link, stamp });
                Ok(())
            }
        }
    }

    /// The link of an entry that was made.
    pub fn link(&self, id: EntryId) -> Option<u64> {
        if id == EntryId::ZERO {
            return Some(Self::ROOT);
        }
        let made = self.made.get(id.index.number() as usize)?;
        made.iter().find(|made| made.term == id.term).map(|made| made.link)
    }

    /// The time of the entry of this link.
    pub fn stamp(&self, index: u64, link: u64) -> Option<Stamp> {
        self.made.get(index as usize)?.iter().find(|made| made.link == link)?.stamp
    }

    /// The term of the entry of this link.
    pub fn term(&self, index: u64, link: u64) -> Option<Term> {
        self.made.get(index as usize)?.iter().find(|made| made.link == link).map(|made| made.term)
    }

    /// The committed link at an index, if it is committed.
    pub fn committed(&self, index: u64) -> Option<u64> {
        self.committed.get(index as usize).copied()
    }

    /// The last index that is committed.
    pub fn last_committed(&self) -> u64 {
        self.committed.len() as u64 - 1
    }

    /// The entry after the last committed one is committed.
    pub fn commit(&mut self, link: u64) {
        self.committed.push(link);
    }
}
