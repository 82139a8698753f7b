//! What a view begins with: a function of the view changes of a quorum, and of nothing else
//! (Castro and Liskov 1999, section 4.4).
//!
//! The paper's primary sends the set of view changes *and* the pre-prepares that follow from it, and
//! backups must compare; implementations that did not lost committed operations (bcos-pbft FIB-124,
//! sawtooth-pbft). Here the second part is not sent: what cannot be said cannot be wrong.

use super::message::{NewView, Prepared, Stable, Value, ViewChange, is_quorum};
use crate::bounded::List;
use crate::id::{Index, Members, Slot, View};
use crate::limits::SLOTS;

/// What a view begins with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Beginning {
    /// The highest stable checkpoint of the view changes.
    pub stable: Stable,
    /// The values of the positions that follow it, as far as anything was prepared.
    pub values: List<Value, SLOTS>,
}

impl Beginning {
    /// The last position whose value is determined.
    #[must_use]
    pub fn last(&self) -> Index {
        self.stable.checkpoint.index.plus(self.values.len() as u64)
    }
}

/// Finds what a view begins with: for each position above the highest stable checkpoint, up to the last
/// that is claimed, the value prepared in the newest view, or nothing where none was. None without view
/// changes.
///
/// Whatever is committed is prepared at a quorum, so at a correct member of every other quorum, and no
/// other value can have been prepared there in a later view: it is found. All view changes must be
/// [sound](ViewChange::is_sound), for a forged claim would stand before a true one (concord-bft#50).
pub fn select<'a>(changes: impl Iterator<Item = &'a ViewChange> + Clone) -> Option<Beginning> {
    let stable = changes.clone().map(|it| it.stable).max_by_key(|it| it.checkpoint)?;
    let low = stable.checkpoint.index;
    let claims = changes.flat_map(|it| it.claims.iter()).filter(|it| it.index > low);
    let mut newest: List<(View, Value), SLOTS> = List::new();
    for Prepared { view, index, value, .. } in claims {
        let position = usize::try_from(index.above(low).checked_sub(1)?).ok()?;
        while newest.len() <= position {
            // No sound view change claims more positions above its own checkpoint than there are
            // places, and none has a higher checkpoint.
            newest.push((View::ZERO, Value::NULL)).ok()?;
        }
        let known = newest.get_mut(position)?;
        *known = (*known).max((*view, *value));
    }
    let mut values = List::new();
    newest.iter().try_for_each(|(_, value)| values.push(*value)).ok()?;
    Some(Beginning { stable, values })
}

impl NewView<'_> {
    /// Whether it can begin the view: the sound view changes of a quorum of members, all for this view.
    #[must_use]
    pub fn is_sound(
        &self,
        members: Members,
        floor: &super::message::Checkpoint,
        slots: usize,
    ) -> bool {
        let senders: Members = self.changes.iter().map(|it| it.0).collect();
        let is_one_each = senders.len() == self.changes.len();
        let is_meant = |it: &(Slot, ViewChange)| {
            members.contains(it.0) && it.1.view == self.view && it.1.is_sound(members, floor, slots)
        };
        is_one_each && is_quorum(senders, members) && self.changes.iter().all(is_meant)
    }
}
