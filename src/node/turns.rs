//! Whose turn it is, where a host has more work than time: deficit round robin (Shreedhar and Varghese
//! 1996) over groups.
//!
//! A group that waits has one turn a round, and on it may spend what it has saved and a quantum. So each
//! waiting group has the same share, however much waits behind it, and heavy pieces of work are saved for.
//! Only a host knows what work costs and what waits; all of that stays there.

use crate::bounded::Map;
use crate::id::GroupId;
use crate::limits::{GROUPS, Limit};

/// The groups that wait for their turn.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Turns {
    quantum: u64,
    /// What each may spend, without the quantum of its next turn.
    waiting: Map<GroupId, u64, GROUPS>,
    /// The first group of the rest of this round.
    next: GroupId,
}

impl Turns {
    /// Nobody waits. On a turn a group may spend `quantum` more, in whatever unit the host counts: best no
    /// less than the heaviest piece of work, or some turns are spent on saving for it.
    #[must_use]
    pub const fn new(quantum: u64) -> Self {
        Self { quantum, waiting: Map::new(), next: GroupId::ZERO }
    }

    /// A group has work. If it waits already, nothing changes.
    ///
    /// # Errors
    /// [`Limit::Groups`]: more groups wait than a node has.
    pub fn wait(&mut self, group: GroupId) -> Result<(), Limit> {
        if self.waiting.get(&group).is_some() {
            return Ok(());
        }
        self.waiting.insert(group, 0).map(|_| ()).map_err(|_| Limit::Groups)
    }

    /// Whose turn it is, and what it may spend. Say [`spent`](Self::spent) afterwards.
    #[must_use]
    pub fn turn(&self) -> Option<(GroupId, u64)> {
        let next = self.waiting.iter_from(&self.next).next().or_else(|| self.waiting.first());
        next.map(|(group, saved)| (*group, saved.saturating_add(self.quantum)))
    }

    /// A group has spent so much of what it may, and its turn is over. It waits for the next one if it
    /// `has_more` work than it could pay for; else what it has saved is lost.
    pub fn spent(&mut self, group: GroupId, cost: u64, has_more: bool) {
        self.next = GroupId::new(group.number().wrapping_add(1));
        match self.waiting.get_mut(&group) {
            Some(saved) if has_more => {
                *saved = saved.saturating_add(self.quantum).saturating_sub(cost);
            }
            _ => drop(self.waiting.remove(&group)),
        }
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
