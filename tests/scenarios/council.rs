//! The words that the stories about PBFT share.

pub(crate) use crate::alone::{Alone, TODAY};
pub(crate) use quorate::event::{Event, Ignored};
pub(crate) use quorate::hlc::Stamp;
pub(crate) use quorate::id::{Digest, Index, Members, Slot, View};
pub(crate) use quorate::pbft::{
    Checkpoint, Claims, Config, Evidence, Input, Message, NewView, Output, Pbft, Phase, Prepared,
    Stable, Status, Value, Verified, ViewChange, Vote, Write,
};
pub(crate) use quorate::time::{Instant, Now, Span, Wall};
pub(crate) use quorate::{Machine, Refused};
pub(crate) use quorate_sim::pbft::{Ask, Group, Setup, What, payload};

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

/// Everyone is asked for the payloads of these numbers, a few at a time if a board has no room for all.
pub(crate) fn request(c: &mut Group, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        for slot in c.living() {
            if c.ask(slot.number(), Ask::Request(payload(number))).is_err() {
                c.settle();
                let _ = c.ask(slot.number(), Ask::Request(payload(number)));
            }
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

/// A checkpoint proved by these members.
pub(crate) fn stable<const N: usize>(index: u64, state: u8, signers: [u8; N]) -> Stable {
    Stable { checkpoint: checkpoint(index, state), signers: members(signers) }
}

/// A state.
pub(crate) fn checkpoint(index: u64, state: u8) -> Checkpoint {
    Checkpoint {
        index: Index::new(index),
        state: Digest::new([state; 32]),
        stamp: Stamp::at_millis(TODAY),
    }
}

/// What was prepared.
pub(crate) fn prepared<const N: usize>(
    view: u64,
    index: u64,
    value: Value,
    signers: [u8; N],
) -> Prepared {
    let (view, index) = (View::new(view), Index::new(index));
    Prepared { view, index, value, signers: members(signers) }
}

/// A view change of a group that begins with nothing.
pub(crate) fn change(view: u64, claims: impl IntoIterator<Item = Prepared>) -> ViewChange {
    let stable = Stable { checkpoint: Setup::of(4).config.floor, signers: Members::NONE };
    let mut change = ViewChange { view: View::new(view), stable, claims: Claims::new() };
    claims.into_iter().for_each(|it| change.claims.push(it).expect("as many as fit"));
    change
}
