//! Which lease runs out next.

use super::Name;
use crate::bounded::List;
use crate::hlc::Stamp;
use crate::limits::MOST;
use core::cmp::Reverse;

/// When each lease of a table runs out. It follows from the leases, and is in no snapshot.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Deadlines {
    // The latest first, so that the next to run out is taken from the end.
    falling: List<Reverse<(Stamp, Name)>, { MOST.leases }>,
}

impl Deadlines {
    pub(super) const fn new() -> Self {
        Self { falling: List::new() }
    }

    /// The lease that runs out next; of several at once, that of the lowest scope.
    pub(super) fn earliest(&self) -> Option<(Stamp, Name)> {
        self.falling.last().map(|Reverse(deadline)| *deadline)
    }

    pub(super) fn add(&mut self, expires_at: Stamp, scope: Name) {
        let deadline = Reverse((expires_at, scope));
        if let Err(position) = self.falling.binary_search(&deadline) {
            // There is one for each lease, and as much room as for leases.
            let _ = self.falling.insert(position, deadline);
        }
    }

    pub(super) fn remove(&mut self, expires_at: Stamp, scope: Name) {
        if let Ok(position) = self.falling.binary_search(&Reverse((expires_at, scope))) {
            self.falling.remove(position);
        }
    }

    /// Takes on the deadlines of all leases at once.
    pub(super) fn rebuild(&mut self, deadlines: impl Iterator<Item = (Stamp, Name)>) {
        self.falling.clear();
        for deadline in deadlines {
            let _ = self.falling.push(Reverse(deadline));
        }
        self.falling.sort_unstable();
    }
}
