//! What a [`Vault`](super::Vault) keeps of one member.

use super::checked::Checked;
use super::vault::Kept;
use super::wire::{Proofs, Signature, Signed, SignedViewChange};
use quorate::id::{Index, Slot, View};
use quorate::pbft::{Checkpoint, Message, Phase, Value, Vote};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A view change that can be kept in two places at once.
pub(super) type Change = Arc<Checked<SignedViewChange>>;

/// What one member has signed.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    pub(super) votes: BTreeMap<(View, Index, Phase), (Value, Signature)>,
    pub(super) checkpoints: BTreeMap<Index, (Checkpoint, Signature)>,
    /// The newest that contradicts one of these.
    pub(super) odd: Option<Signed<Message>>,
    pub(super) change: Option<Change>,
    /// The newest that contradicts that.
    pub(super) odd_change: Option<Change>,
}

impl Share {
    /// What its owner has said, with its signature, if that is here.
    pub(super) fn said(&self, from: Slot, what: Message) -> Option<Signed<Message>> {
        let known = match what {
            Message::Vote(Vote { phase, view, index, value }) => {
                let vote = self.votes.get(&(view, index, phase));
                vote.filter(|(of, _)| *of == value).map(|(_, signature)| *signature)
            }
            Message::Checkpoint(it) => {
                let known = self.checkpoints.get(&it.index);
                known.filter(|(of, _)| *of == it).map(|(_, signature)| *signature)
            }
            Message::Status(_) => None,
        };
        let known = known.map(|signature| Signed { from, what, signature });
        known.or_else(|| self.odd.filter(|odd| odd.what == what))
    }

    pub(super) fn len(&self) -> usize {
        let changes = [&self.change, &self.odd_change].into_iter().flatten();
        let changes = changes.map(|it| weigh(&it.proofs).saturating_add(1)).sum::<usize>();
        let odd = usize::from(self.odd.is_some());
        [self.votes.len(), self.checkpoints.len(), odd, changes].iter().sum()
    }
}

/// Keeps the first of what one member says in one place.
pub(super) fn put<K: Ord, V: PartialEq>(
    kept: &mut BTreeMap<K, (V, Signature)>,
    most: usize,
    place: K,
    what: (V, Signature),
) -> Kept {
    match kept.get(&place) {
        Some(known) if known.0 == what.0 => Kept::Before,
        Some(_) => Kept::Contradiction,
        None if kept.len() >= most => Kept::Refused,
        None => {
            kept.insert(place, what);
            Kept::New
        }
    }
}

pub(super) fn weigh(proofs: &Proofs) -> usize {
    let claims = proofs.claims.iter().map(|it| it.signatures.len());
    claims.sum::<usize>().saturating_add(proofs.stable.signatures.len())
}
