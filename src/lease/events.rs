//! The last changes of a table, for those who watch it.

use super::{Name, Token};
use crate::bounded::Ring;
use crate::id::Index;
use crate::limits::MOST;
use core::fmt;

/// A change of one scope.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Event {
    /// The entry that made the change; one entry may make several.
    pub index: Index,
    /// What happened.
    pub change: Change,
    /// The scope that it happened to.
    pub scope: Name,
    /// The lease that it happened to.
    pub token: Token,
    /// Whose lease it is, or was.
    pub holder: Name,
}

/// What happened to a lease.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Change {
    /// It was granted.
    Granted,
    /// Its holder renewed it.
    Renewed,
    /// Its holder gave it up.
    Released,
    /// It ran out, and the guard after it has passed too.
    Expired,
}

/// Some of the changes asked for are forgotten: list the table, and watch from where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Compacted {
    /// Changes up to here may be forgotten; those after it are all remembered.
    pub floor: Index,
}

impl fmt::Display for Compacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "changes up to entry {} are forgotten; list the table again", self.floor)
    }
}

impl core::error::Error for Compacted {}

/// The changes after a floor, oldest first.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Events {
    recent: Ring<Event, { MOST.lease_events }>,
    room: usize,
    floor: Index,
}

impl Events {
    pub(super) const fn new(room: usize) -> Self {
        Self { recent: Ring::new(), room, floor: Index::ZERO }
    }

    pub(super) fn record(&mut self, event: Event) {
        if self.recent.len() >= self.room {
            // The entry may have made more changes; with the floor at its index, those that are
            // left of it are told to nobody, and so nobody hears half of an entry.
            self.floor = self.recent.pop_front().map_or(self.floor, |oldest| oldest.index);
        }
        // There is room now, since no table is set up for more than the ring can hold.
        let _ = self.recent.push(event);
    }

    /// The entry of the last change.
    pub(super) fn newest(&self) -> Index {
        self.recent.last().map_or(self.floor, |event| event.index)
    }

    pub(super) fn after(&self, index: Index) -> Result<impl Iterator<Item = &Event>, Compacted> {
        if index < self.floor {
            return Err(Compacted { floor: self.floor });
        }
        Ok(self.recent.iter().skip_while(move |event| event.index <= index))
    }

    /// Forgets all changes, the last of which was made by the entry at `floor`.
    pub(super) fn forget(&mut self, floor: Index) {
        self.recent.truncate(0);
        self.floor = floor;
    }
}
