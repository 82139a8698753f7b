//! What a group replicates.

use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::hlc::Stamp;
use crate::id::EntryId;
use core::fmt::Debug;
use core::hash::Hash;

/// Where in the one order a command stands, and when: all that `apply` may know of time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Position {
    /// The entry's identity. Its index rises by one with every entry and never repeats.
    pub entry: EntryId,
    /// The leader's time when it made the entry. It rises with every entry.
    pub stamp: Stamp,
}

/// A replicated state machine: equal states given equal commands become equal states.
///
/// There is no clock in reach, and none may be brought in: a replica that applies an entry later
/// must reach the same state. Time is [`Position::stamp`].
pub trait StateMachine {
    /// What clients ask for.
    type Command: Clone + Eq + Hash + Debug + 'static;
    /// What they are told. It is remembered per client, and so is part of snapshots.
    type Response: Clone + Eq + Hash + Debug + Codec;

    /// Applies a committed command. A command that makes no sense is answered, never refused:
    /// it is in the log of every replica.
    fn apply(&mut self, at: Position, command: &Self::Command) -> Self::Response;

    /// How many bytes a command takes in a message, roughly: what limits in bytes count. Said here for
    /// commands that own no memory of their own.
    #[must_use]
    fn weight(_: &Self::Command) -> u64 {
        size_of::<Self::Command>() as u64
    }

    /// A new leader's first entry has been committed; what was in flight may have been delayed.
    fn leader_changed(&mut self, _: Position) {}

    /// A command that the leader should propose by itself once its clock has passed the stamp.
    fn due(&self) -> Option<(Stamp, Self::Command)> {
        None
    }

    /// Writes the state. Equal states write equal bytes.
    ///
    /// # Errors
    /// [`NoRoom`] if it does not fit.
    fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom>;

    /// Takes on the state that `bytes` describe.
    ///
    /// # Errors
    /// [`Malformed`] if they describe none; the state is unchanged.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), Malformed>;
}
