//! The words that the stories about Raft share.

pub(crate) use quorate::Machine;
pub(crate) use quorate::event::{Event, Ignored};
pub(crate) use quorate::id::{EntryId, Index, Slot, Term};
pub(crate) use quorate::raft::{Input, Message, Output, Raft, Snapshot};
pub(crate) use quorate::time::Span;
pub(crate) use quorate_sim::cluster::{Cluster, Stimulus};
pub(crate) use quorate_sim::raft::{Outputs, Setup, entry};

/// A group of Raft members in one process.
pub(crate) type Group = Cluster<Raft>;

/// A leader's message with `count` entries of a term after `prev`.
pub(crate) fn append(
    term: u64,
    prev: EntryId,
    (entries, count): (u64, u32),
    commit: u64,
) -> Message {
    let (term, entries, commit) = (Term::new(term), Term::new(entries), Index::new(commit));
    Message::Append { term, prev, entries, count, commit, round: 0 }
}

/// The whole of a snapshot in one message.
pub(crate) fn chunk(term: u64, boundary: EntryId) -> Message {
    let Snapshot { boundary, size, digest } = snapshot(boundary);
    let (term, offset, length, round) = (Term::new(term), 0, size, 0);
    Message::Chunk { term, boundary, digest, size, offset, length, round }
}

/// A snapshot up to an entry.
pub(crate) fn snapshot(boundary: EntryId) -> Snapshot {
    Snapshot { boundary, size: 100, digest: boundary.index.number() }
}

/// An acknowledgement.
pub(crate) fn matched(term: u64, matched: u64) -> Message {
    Message::Matched { term: Term::new(term), matched: Index::new(matched), round: 0 }
}

/// What a member's host hears of the events of one message.
pub(crate) fn events(c: &Group, from: u8, to: u8, message: Message) -> Vec<Event> {
    let mut member = c.machine(to).clone();
    let mut out = Outputs::with_room(member.max_outputs());
    member.step(c.now(), Input::Message { from: Slot::new(from), message }, &mut out).unwrap();
    out.events
}
