//! Proof that a member lies: two statements of its own that no correct member makes both.

use super::message::{Checkpoint, Vote};
use crate::id::{Slot, View};

/// Proof that a member lies, once the two signatures are put beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Evidence {
    /// It gave two votes of one phase, at one position, in one view.
    Votes {
        /// Who.
        by: Slot,
        /// The vote that counts.
        first: Vote,
        /// The other.
        second: Vote,
    },
    /// It signed two states at one position.
    Checkpoints {
        /// Who.
        by: Slot,
        /// The one that counts.
        first: Checkpoint,
        /// The other.
        second: Checkpoint,
    },
    /// It left for one view with two different accounts.
    ViewChanges {
        /// Who.
        by: Slot,
        /// The view.
        view: View,
    },
}

impl Evidence {
    /// Who lies.
    #[must_use]
    pub const fn by(&self) -> Slot {
        match self {
            Self::Votes { by, .. }
            | Self::Checkpoints { by, .. }
            | Self::ViewChanges { by, .. } => *by,
        }
    }

    /// Whether the two statements do contradict each other: anyone can ask before believing it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Votes { first, second, .. } => {
                let place = |vote: &Vote| (vote.phase, vote.view, vote.index);
                place(first) == place(second) && first.value != second.value
            }
            Self::Checkpoints { first, second, .. } => {
                first.index == second.index && first != second
            }
            // The two accounts travel beside it; whoever has both compares them.
            Self::ViewChanges { .. } => true,
        }
    }
}
