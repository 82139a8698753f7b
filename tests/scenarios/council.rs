//! The words that the stories about PBFT share.

pub(crate) use quorate::hlc::Stamp;
pub(crate) use quorate::id::{Digest, Index, Members, Slot, View};
pub(crate) use quorate::pbft::{
    Checkpoint, Evidence, Message, Output, Phase, Prepared, Stable, Value, ViewChange, Vote,
};
pub(crate) use quorate::time::Span;
pub(crate) use quorate_sim::pbft::{Ask, Group, Packet, Setup, What, payload, state_of};

/// A group of `count` members.
pub(crate) fn group(count: u8) -> Group {
    Group::new(count, Setup::of(count))
}

/// A value as a liar proposes it: the payload of that number, at the present time.
pub(crate) fn value(c: &Group, number: u64) -> Value {
    let wall = c.now().wall.expect("the simulation has one");
    Value { digest: payload(number), stamp: Stamp::at_millis(wall.as_millis()).plus(number) }
}

/// A vote.
pub(crate) fn vote(phase: Phase, view: u64, index: u64, value: Value) -> What {
    let (view, index) = (View::new(view), Index::new(index));
    What::Message(Message::Vote(Vote { phase, view, index, value }), true)
}

/// Those members.
pub(crate) fn members<const N: usize>(slots: [u8; N]) -> Members {
    slots.into_iter().map(Slot::new).collect()
}

/// Everyone is asked for the payloads of these numbers.
pub(crate) fn request(c: &mut Group, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        for slot in c.living() {
            let _ = c.ask(slot.number(), Ask::Request(payload(number)));
        }
    }
}

/// The payloads of these numbers.
pub(crate) fn payloads(numbers: impl IntoIterator<Item = u64>) -> Vec<Digest> {
    numbers.into_iter().map(payload).collect()
}

/// Whom a member accuses.
pub(crate) fn accused(c: &Group, slot: u8) -> Members {
    c.machine(slot).machine.accused()
}
