//! What the log holds, with the payload: the bytes that Raft never sees.

use crate::bounded::Ring;
use crate::hlc::Stamp;
use crate::id::{ClientId, Index};
use crate::limits;
use crate::membership::roster;
use core::hash::{Hash, Hasher};

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Request<C> {
    /// Open a session, or keep the one that is open.
    Open {
        /// Whose.
        client: ClientId,
    },
    /// Apply a command, once, however often this is asked.
    Command {
        /// Whose session it belongs to.
        client: ClientId,
        /// Its number in the session: each is higher than the one before, and the first above zero.
        sequence: u64,
        /// The command.
        command: C,
    },
}

/// What an entry is for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Body<C> {
    /// The first entry of a leader.
    Barrier,
    /// It changes the configuration, which Raft keeps.
    Change,
    /// A client's.
    Request(Request<C>),
    /// The leader's own, because the state machine said that it was due.
    Due(C),
    /// It changes the roster.
    Roster(roster::Command),
}

/// An entry of the log. Its identity is where it stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Entry<C> {
    /// The leader's time when it made the entry; above that of the entry before.
    pub stamp: Stamp,
    /// What it is for.
    pub body: Body<C>,
}

impl<C> Entry<C> {
    /// How many bytes it takes in a message, roughly, if its command takes what `command` says.
    pub(super) fn weight(&self, command: fn(&C) -> u64) -> u64 {
        let own = size_of::<Entry<()>>() as u64;
        match &self.body {
            Body::Barrier
            | Body::Change
            | Body::Roster(_)
            | Body::Request(Request::Open { .. }) => own,
            Body::Request(Request::Command { command: it, .. }) | Body::Due(it) => {
                own.saturating_add(command(it))
            }
        }
    }
}

/// An entry in its place.
#[derive(Clone, Debug)]
struct Placed<C> {
    entry: Entry<C>,
    /// The weight of all entries up to and with this one since this life began: a measure, and no part
    /// of the state.
    weight: u64,
}

impl<C: PartialEq> PartialEq for Placed<C> {
    fn eq(&self, other: &Self) -> bool {
        self.entry == other.entry
    }
}

impl<C: Eq> Eq for Placed<C> {}

impl<C: Hash> Hash for Placed<C> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.entry.hash(hasher);
    }
}

/// The entries from the floor to the end of the log. It always spans exactly what Raft's log does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Window<C> {
    floor: Index,
    entries: Ring<Placed<C>, { limits::MOST.entries }>,
}

impl<C> Window<C> {
    pub(super) const fn new(floor: Index) -> Self {
        Self { floor, entries: Ring::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn last(&self) -> Index {
        self.floor.plus(self.entries.len() as u64)
    }

    fn position(&self, index: Index) -> Option<usize> {
        usize::try_from(index.number().checked_sub(self.floor.next().number())?).ok()
    }

    pub(super) fn get(&self, index: Index) -> Option<&Entry<C>> {
        Some(&self.entries.get(self.position(index)?)?.entry)
    }

    /// What the entries from `first` to `last` weigh together, as far as they are here.
    pub(super) fn weight(&self, first: Index, last: Index) -> u64 {
        let up_to = |index: Index| {
            self.position(index).and_then(|at| self.entries.get(at)).map(|placed| placed.weight)
        };
        let Some(end) = up_to(last.min(self.last())) else { return 0 };
        // Of the first one here nobody knows what stood before it, so it counts for nothing.
        let begin = up_to(first.previous()).or_else(|| up_to(self.floor.next()));
        end.saturating_sub(begin.unwrap_or(end))
    }

    pub(super) fn range(
        &self,
        first: Index,
        last: Index,
    ) -> impl Iterator<Item = &Entry<C>> + Clone {
        let from = self.position(first.max(self.floor.next())).unwrap_or(usize::MAX);
        let to = self.position(last.next()).unwrap_or(0);
        self.entries.range(from, to).map(|placed| &placed.entry)
    }

    /// Appends the entry that follows the last one. Raft's limit is this window's, so it fits.
    pub(super) fn push(&mut self, entry: Entry<C>, weight: u64) -> Result<(), Entry<C>> {
        let before = self.entries.last().map_or(0, |last| last.weight);
        let placed = Placed { entry, weight: before.saturating_add(weight) };
        self.entries.push(placed).map_err(|placed| placed.entry)
    }

    /// Drops every entry from `from` on.
    pub(super) fn cut(&mut self, from: Index) {
        self.entries.truncate(self.position(from).unwrap_or(0));
    }

    /// Spans what lies above `floor` and no more; what was cut away beyond `last` goes too.
    pub(super) fn span(&mut self, floor: Index, last: Index) {
        if last < self.last() {
            self.cut(last.next());
        }
        if floor > self.floor {
            let gone = usize::try_from(floor.above(self.floor)).unwrap_or(usize::MAX);
            self.entries.drop_front(gone);
            self.floor = floor;
        }
    }
}
