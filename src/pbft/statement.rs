//! The bytes that are signed: one form for each statement, never two statements of one form.
//!
//! All begin with what sets them apart from any other signed bytes, then the [`Scope`], then a byte for
//! the kind, then who says it. Numbers are little-endian and of fixed width, lists have their length
//! before them. So bytes of one kind, group, configuration, epoch or sender are no bytes of another
//! (Abadi and Needham, *Prudent engineering practice for cryptographic protocols*, 1996, principle 1).

use super::message::{
    Checkpoint, Message, Phase, Prepared, Stable, Status, Value, ViewChange, Vote,
};
use crate::codec::{Codec, NoRoom, Sink};
use crate::id::{ClientId, Digest, GroupId, Slot, View};

/// What every signature is bound to: it says nothing in another group, among other members, or in
/// another epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    /// The group.
    pub group: GroupId,
    /// The digest of the members, their keys, and how many liars are tolerated.
    pub configuration: Digest,
    /// The epoch.
    pub epoch: u32,
    /// The attempt within the epoch.
    pub attempt: u32,
}

/// What a member or a client says and signs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Statement<'a> {
    /// A vote.
    Vote(Vote),
    /// A state that is durable.
    Checkpoint(Checkpoint),
    /// How far it has got.
    Status(Status),
    /// It has left all earlier views.
    ViewChange(&'a ViewChange),
    /// What a view begins with: who wrote each view change, and the digest of what it signed.
    NewView {
        /// The view.
        view: View,
        /// The view changes, in the order in which they are sent.
        changes: &'a [(Slot, Digest)],
    },
    /// A client's request.
    Request {
        /// The client.
        client: ClientId,
        /// Its number among the client's requests.
        sequence: u64,
        /// The digest of the command.
        command: Digest,
    },
    /// A member's answer to a client.
    Reply {
        /// The client.
        client: ClientId,
        /// The request that is answered.
        sequence: u64,
        /// Where it was executed; for a stale read, up to where the state had got.
        at: crate::state_machine::Position,
        /// The digest of the answer.
        result: Digest,
        /// The answer is from the state as it was, and not ordered.
        is_stale: bool,
    },
}

impl From<Message> for Statement<'_> {
    fn from(message: Message) -> Self {
        match message {
            Message::Vote(vote) => Self::Vote(vote),
            Message::Checkpoint(checkpoint) => Self::Checkpoint(checkpoint),
            Message::Status(status) => Self::Status(status),
        }
    }
}

/// What stands before all bytes that are signed, with the version of their form.
const DOMAIN: &[u8] = b"quorate pbft 1\0";

impl Statement<'_> {
    /// Writes the bytes that `from` signs; a client signs with the slot that no member has, 255.
    ///
    /// # Errors
    /// [`NoRoom`] if the sink is full; then what is in it is of no use.
    pub fn signed_bytes<S: Sink + ?Sized>(
        &self,
        scope: &Scope,
        from: Slot,
        sink: &mut S,
    ) -> Result<(), NoRoom> {
        sink.put(DOMAIN)?;
        scope.group.encode(sink)?;
        scope.configuration.encode(sink)?;
        scope.epoch.encode(sink)?;
        scope.attempt.encode(sink)?;
        self.kind().encode(sink)?;
        from.encode(sink)?;
        match self {
            Self::Vote(Vote { view, index, value, .. }) => {
                view.encode(sink)?;
                index.encode(sink)?;
                value.encode(sink)
            }
            Self::Checkpoint(checkpoint) => checkpoint.encode(sink),
            Self::Status(Status { view, is_active, changes, stable, committed, prepared }) => {
                view.encode(sink)?;
                u8::from(*is_active).encode(sink)?;
                changes.encode(sink)?;
                stable.encode(sink)?;
                committed.encode(sink)?;
                prepared.encode(sink)
            }
            Self::ViewChange(change) => change.encode(sink),
            Self::NewView { view, changes } => {
                view.encode(sink)?;
                (changes.len() as u64).encode(sink)?;
                changes.iter().try_for_each(|(slot, digest)| {
                    slot.encode(sink)?;
                    digest.encode(sink)
                })
            }
            Self::Request { client, sequence, command } => {
                client.encode(sink)?;
                sequence.encode(sink)?;
                command.encode(sink)
            }
            Self::Reply { client, sequence, at, result, is_stale } => {
                client.encode(sink)?;
                sequence.encode(sink)?;
                at.entry.encode(sink)?;
                at.stamp.encode(sink)?;
                result.encode(sink)?;
                u8::from(*is_stale).encode(sink)
            }
        }
    }

    /// A number for the kind of statement that will never mean another.
    const fn kind(&self) -> u8 {
        match self {
            Self::Vote(Vote { phase: Phase::Prepare, .. }) => 1,
            Self::Vote(Vote { phase: Phase::Commit, .. }) => 2,
            Self::Checkpoint(_) => 3,
            Self::Status(_) => 4,
            Self::ViewChange(_) => 5,
            Self::NewView { .. } => 6,
            Self::Request { .. } => 7,
            Self::Reply { .. } => 8,
        }
    }
}

/// The slot with which a client signs: no member has it.
pub const CLIENT: Slot = Slot::new(u8::MAX);

impl Value {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.digest.encode(sink)?;
        self.stamp.encode(sink)
    }
}

impl Checkpoint {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.index.encode(sink)?;
        self.state.encode(sink)?;
        self.stamp.encode(sink)
    }
}

impl Stable {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.checkpoint.encode(sink)?;
        self.signers.encode(sink)
    }
}

impl Prepared {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.view.encode(sink)?;
        self.index.encode(sink)?;
        self.value.encode(sink)?;
        self.signers.encode(sink)
    }
}

impl ViewChange {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.view.encode(sink)?;
        self.stable.encode(sink)?;
        (self.claims.len() as u64).encode(sink)?;
        self.claims.iter().try_for_each(|claim| claim.encode(sink))
    }
}

#[cfg(test)]
mod tests;
