//! Proof that a member lies, for anyone who knows the group's keys.

use super::wire::Signed;
use quorate::id::Slot;
use quorate::pbft::{Evidence, Message, ViewChange};
use serde::{Deserialize, Serialize};

/// Two complete statements of one member, each with its signature, of which no correct member makes
/// both. A [`Verifier`](super::Verifier) of the same group, configuration and epoch can check it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Accusation {
    /// Two votes, or two checkpoints.
    Messages(Signed<Message>, Signed<Message>),
    /// Two accounts of what it was sure of when it left for one view.
    ViewChanges(Signed<ViewChange>, Signed<ViewChange>),
}

impl Accusation {
    /// Who is accused.
    #[must_use]
    pub fn by(&self) -> Slot {
        match self {
            Self::Messages(first, _) => first.from,
            Self::ViewChanges(first, _) => first.from,
        }
    }

    /// Whether one member would have said both, and no correct one does; their signatures aside.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Messages(first, second) => {
                first.from == second.from && self.evidence().is_some_and(|it| it.is_sound())
            }
            Self::ViewChanges(first, second) => {
                first.from == second.from
                    && first.what.view == second.what.view
                    && first.what != second.what
            }
        }
    }

    /// What the machine says of it.
    #[must_use]
    pub fn evidence(&self) -> Option<Evidence> {
        let by = self.by();
        match self {
            Self::Messages(first, second) => match (first.what, second.what) {
                (Message::Vote(first), Message::Vote(second)) => {
                    Some(Evidence::Votes { by, first, second })
                }
                (Message::Checkpoint(first), Message::Checkpoint(second)) => {
                    Some(Evidence::Checkpoints { by, first, second })
                }
                _ => None,
            },
            Self::ViewChanges(first, _) => {
                Some(Evidence::ViewChanges { by, view: first.what.view })
            }
        }
    }
}
