//! What must be on disk before what may be said.
//!
//! Writes leave as [`Write`]s, each with a [`Receipt`], and the host echoes the newest receipt
//! whose write, and all before it, are durable. There is no table of writes in flight: the receipt
//! itself says what it confirms. It carries
//!
//! - the **boot**, so that a completion from a former life confirms nothing;
//! - the count of **ballots** (term and vote) written, so that it confirms those up to it;
//! - the count of **cuts** and the last index written: entries are confirmed only if the log has
//!   not been cut since, for an index that was cut and written again is another entry.
//!
//! A write takes the place of everything at and above its first index: a cut needs no record of
//! its own.

use super::{Base, Configuration, Log, Raft};
use crate::event::Stopped;
use crate::id::{EntryId, Index, Slot, Term};
use crate::time::Instant;

/// What a host must make durable, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Write {
    /// The term, and the vote given in it.
    Ballot {
        /// The term.
        term: Term,
        /// Who has this member's vote in it.
        vote: Option<Slot>,
    },
    /// Entries of one term; they take the place of whatever stood from `first` on.
    Append {
        /// The term of all entries.
        term: Term,
        /// Where the first stands.
        first: Index,
        /// Where the last stands.
        last: Index,
    },
    /// One entry, which changes the configuration; it takes the place of whatever stood from it on.
    Configure {
        /// The entry.
        entry: EntryId,
        /// Who belongs to the group from it on.
        configuration: Configuration,
    },
    /// The whole state anew: this, then what follows it in [`Raft::image`]. Nothing written before it
    /// is needed any more.
    Rebase {
        /// The term.
        term: Term,
        /// Who has this member's vote in it.
        vote: Option<Slot>,
        /// What the log goes on from.
        base: Base,
    },
}

impl Write {
    /// The entries that are written: the first and the last.
    #[must_use]
    pub const fn entries(&self) -> Option<(Index, Index)> {
        match *self {
            Self::Append { first, last, .. } => Some((first, last)),
            Self::Configure { entry, .. } => Some((entry.index, entry.index)),
            Self::Ballot { .. } | Self::Rebase { .. } => None,
        }
    }
}

/// Proof of a write, opaque to the host: echo the newest one in
/// [`Input::Persisted`](super::Input::Persisted).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Receipt {
    boot: u64,
    ballot: u64,
    cut: u64,
    last: Index,
}

/// How much has been handed to the disk, and how much of that it has confirmed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Disk {
    boot: u64,
    /// Ballots cast in this life; handed over; confirmed.
    ballots: u64,
    ballots_written: u64,
    ballots_durable: u64,
    /// How often the log was cut in this life.
    cuts: u64,
    /// The last index handed over.
    written: Index,
    /// The last index confirmed.
    durable: Index,
    /// When the disk last confirmed something, or was given something after it had confirmed all.
    heard: Instant,
    base: Standing,
}

/// How what is on disk stands to the durable snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Standing {
    /// It goes on from the snapshot.
    Current,
    /// It begins below the snapshot: the state is to be written whole.
    Older,
    /// Likewise, and it holds another entry where the snapshot's last belongs, so what it holds
    /// above that does not belong either.
    Contradicted,
}

impl Disk {
    pub(super) const fn new(boot: u64, last: Index) -> Self {
        Self {
            boot,
            ballots: 0,
            ballots_written: 0,
            ballots_durable: 0,
            cuts: 0,
            written: last,
            durable: last,
            heard: Instant::ORIGIN,
            base: Standing::Older,
        }
    }

    /// Up to where entries are on disk.
    pub(super) const fn durable(&self) -> Index {
        self.durable
    }

    /// Whether the present term and vote are on disk.
    pub(super) const fn has_ballot(&self) -> bool {
        self.ballots_durable == self.ballots
    }

    /// Whether the ballot, and the whole log up to `last`, are on disk.
    pub(super) fn has_all(&self, last: Index) -> bool {
        self.has_ballot() && self.durable >= last
    }

    /// The term or the vote has changed.
    pub(super) const fn ballot_cast(&mut self) {
        self.ballots = self.ballots.saturating_add(1);
    }

    /// The log was cut from `from` on.
    pub(super) fn cut(&mut self, from: Index) {
        self.cuts = self.cuts.saturating_add(1);
        self.written = self.written.min(from.previous());
        self.durable = self.durable.min(from.previous());
    }

    /// A durable snapshot covers the log up to `boundary`.
    pub(super) fn covered(&mut self, boundary: Index) {
        self.written = self.written.max(boundary);
        self.durable = self.durable.max(boundary);
        self.base = Standing::Older;
    }

    /// Since when the disk owes word of a write: `now` if it owes none.
    pub(super) fn heard(&self, now: Instant) -> Instant {
        if self.is_idle() { now } else { self.heard }
    }

    /// Takes the disk as heard at `now`.
    pub(super) const fn begin_at(&mut self, now: Instant) {
        self.heard = now;
    }

    fn is_idle(&self) -> bool {
        self.ballots_durable == self.ballots_written && self.durable == self.written
    }

    /// The host says that a write, and all before it, are durable.
    pub(super) fn confirm(&mut self, receipt: Receipt, now: Instant) {
        if receipt.boot != self.boot {
            return;
        }
        self.heard = now;
        let ballot = receipt.ballot.min(self.ballots_written);
        self.ballots_durable = self.ballots_durable.max(ballot);
        if receipt.cut == self.cuts {
            self.durable = self.durable.max(receipt.last.min(self.written));
        }
    }

    const fn receipt(&self) -> Receipt {
        Receipt {
            boot: self.boot,
            ballot: self.ballots_written,
            cut: self.cuts,
            last: self.written,
        }
    }
}

/// What is to be written of a log from an entry on: a stretch of one term without a change of the
/// configuration, or one such change.
fn piece_at(log: &Log, first: Index) -> Option<Write> {
    let run = log.run_at(first)?;
    let term = run.term;
    let change = log.next_change(first).filter(|change| change.at <= run.last);
    Some(match change {
        Some(change) if change.at == first => {
            let entry = EntryId::new(term, first);
            Write::Configure { entry, configuration: change.configuration }
        }
        Some(change) => Write::Append { term, first, last: change.at.previous() },
        None => Write::Append { term, first, last: run.last },
    })
}

impl Raft {
    /// Whether the disk has been handed all that it must hold.
    pub(super) fn is_written(&self) -> bool {
        let disk = &self.disk;
        disk.ballots_written == disk.ballots
            && disk.written == self.log.last().index
            && (disk.base == Standing::Current || self.snapshot.is_none())
    }

    /// What the disk is to be handed next: the ballot before the entries made in it.
    pub(super) fn next_write(&mut self) -> Option<(Receipt, Write)> {
        let disk = &mut self.disk;
        let (term, vote) = (self.term, self.vote);
        let heard = disk.heard(self.now);
        let write = if let Some(snapshot) = self.snapshot.filter(|_| disk.base != Standing::Current)
        {
            disk.base = Standing::Current;
            disk.ballots_written = disk.ballots;
            // Entries of this very step follow in an append: there the payload floor binds them.
            let configuration = *self.log.configuration_at(snapshot.boundary.index);
            Write::Rebase { term, vote, base: Base { snapshot, configuration } }
        } else if disk.ballots_written < disk.ballots {
            disk.ballots_written = disk.ballots;
            Write::Ballot { term, vote }
        } else {
            let piece = piece_at(&self.log, disk.written.next())?;
            disk.written = piece.entries()?.1;
            piece
        };
        disk.heard = heard;
        Some((disk.receipt(), write))
    }

    /// All that must be on disk for this state, as writes: what a [`Write::Rebase`] stands for.
    pub fn image(&self) -> impl Iterator<Item = Write> {
        let (term, vote) = (self.term, self.vote);
        let head = match self.snapshot {
            Some(snapshot) => {
                let configuration = *self.log.configuration_at(snapshot.boundary.index);
                Write::Rebase { term, vote, base: Base { snapshot, configuration } }
            }
            None => Write::Ballot { term, vote },
        };
        let mut next = self.log.floor().index.next();
        let pieces = core::iter::from_fn(move || {
            let piece = piece_at(&self.log, next)?;
            next = piece.entries()?.1.next();
            Some(piece)
        });
        core::iter::once(head).chain(pieces)
    }

    /// Folds a write of a former life back in, in the order of writing, before the first step.
    ///
    /// Writes that the snapshot given to [`Raft::recover`] overtook are recognised: what lies below
    /// its boundary is passed over, and what contradicts it is dropped.
    pub fn replay(&mut self, write: &Write) {
        match *write {
            Write::Ballot { term, vote } => (self.term, self.vote) = (term, vote),
            Write::Append { term, first, last } => self.replay_append(term, first, last, None),
            Write::Configure { entry: EntryId { term, index }, configuration } => {
                self.replay_append(term, index, index, Some(configuration));
            }
            Write::Rebase { term, vote, base: Base { snapshot, configuration } } => {
                (self.term, self.vote) = (term, vote);
                if snapshot.boundary.index > self.log.floor().index {
                    self.snapshot = Some(snapshot);
                    self.log.reset(snapshot.boundary, configuration);
                    (self.commit, self.told.commit) =
                        (snapshot.boundary.index, snapshot.boundary.index);
                }
                self.log.cut(self.log.floor().index.next());
                let is_newest = snapshot.boundary == self.log.floor();
                self.disk.base = if is_newest { Standing::Current } else { Standing::Older };
            }
        }
        let last = self.log.last().index;
        (self.disk.written, self.disk.durable) = (last, last);
    }

    fn replay_append(
        &mut self,
        term: Term,
        first: Index,
        last: Index,
        configuration: Option<Configuration>,
    ) {
        let floor = self.log.floor();
        if first <= floor.index {
            let contradicts = floor.index <= last && term != floor.term;
            self.disk.base = if contradicts { Standing::Contradicted } else { Standing::Older };
        }
        self.log.cut(first.max(floor.index.next()));
        if last <= floor.index || self.disk.base == Standing::Contradicted {
            return;
        }
        let before = self.log.last();
        let goes_on = first <= before.index.next() && first <= last && before.term <= term;
        if goes_on && self.has_room_for(before.index, term, configuration.as_ref()) {
            self.log.append(term, last.above(before.index));
            if let Some(configuration) = configuration {
                self.log.configure(configuration);
            }
        } else {
            // What was acknowledged would be forgotten.
            self.stop(Stopped::Corrupt, |_| {});
        }
    }

    /// Whether the log can hold another run, if one begins, and another configuration, if it is one.
    pub(super) fn has_room_for(
        &self,
        before: Index,
        term: Term,
        configuration: Option<&Configuration>,
    ) -> bool {
        let limits = &self.config.limits;
        let is_full = || self.log.changes_up_to(before) >= limits.configurations;
        self.log.runs_with(before, term) <= limits.runs && !(configuration.is_some() && is_full())
    }
}
