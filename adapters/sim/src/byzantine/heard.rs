//! What a correct member has heard: whoever contradicts that must be accused (B7).

use crate::pbft::What;
use quorate::id::{Index, Slot, View};
use quorate::pbft::{Checkpoint, Message, Pbft, Phase, Value, ViewChange};
use std::collections::BTreeMap;

/// What a correct member has heard and still holds in one life, for B7.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    votes: BTreeMap<(Slot, Phase, View, Index), Value>,
    checkpoints: BTreeMap<Slot, Checkpoint>,
    changes: BTreeMap<Slot, ViewChange>,
}

impl Heard {
    /// Whether `by` contradicts with this what the machine, which has not heard it yet, holds of it: then
    /// the machine must accuse it.
    pub(super) fn contradicts(&mut self, machine: &Pbft, by: Slot, what: &What) -> bool {
        let config = machine.config();
        let low = machine.stable().checkpoint.index;
        let high = low.plus(u64::from(config.slots));
        if by == config.me || !config.members.contains(by) {
            return false;
        }
        match what {
            What::Message(message @ Message::Vote(vote), _) => {
                let cares = vote.view == machine.view() && machine.is_active();
                if !cares || vote.index <= low || vote.index > high || vote.value.is_null() {
                    return false;
                }
                let place = (by, vote.phase, vote.view, vote.index);
                if let Some(first) = self.votes.get(&place) {
                    return *first != vote.value;
                }
                if machine.wants(by, message) {
                    self.votes.insert(place, vote.value);
                }
                false
            }
            What::Message(Message::Checkpoint(second), _) if second.index > low => {
                let first = self.checkpoints.get(&by).copied().filter(|it| it.index > low);
                let is_newer = first.is_none_or(|it| it.index < second.index);
                if is_newer {
                    self.checkpoints.insert(by, *second);
                }
                first.is_some_and(|it| it.index == second.index && it != *second)
            }
            What::ViewChange(second) if second.view >= machine.view() => {
                let slots = config.slots as usize;
                if !second.is_sound(config.members, &config.floor, slots) {
                    return false;
                }
                let first = self.changes.get(&by);
                if let Some(first) = first.filter(|it| it.view >= second.view) {
                    return first.view == second.view && first != second;
                }
                // What comes after the view has begun is not kept.
                if second.view > machine.view() || !machine.is_active() {
                    self.changes.insert(by, second.clone());
                }
                false
            }
            _ => false,
        }
    }
}
