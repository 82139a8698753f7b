//! What a member tells its host to do.

#[cfg(doc)]
use super::Input;
use super::{Message, Read, Receipt, Snapshot, Write};
use crate::id::{EntryId, Index, Members, Slot, Term};

/// What a host must do. All of it in any order, once encoded, except that writes keep their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// Make durable, then echo the receipt.
    Persist {
        /// What to echo.
        receipt: Receipt,
        /// What to write.
        write: Write,
    },
    /// Send to each of these members; losing it does no harm.
    Send {
        /// The receivers.
        to: Members,
        /// What to send.
        message: Message,
    },
    /// Entries up to here are committed, and on this disk.
    Committed {
        /// The last of them.
        index: Index,
    },
    /// This member leads.
    Leading {
        /// The first entry of its term; the payload floor gives it an empty payload.
        barrier: EntryId,
    },
    /// This member does not lead. Whatever it was asked for as a leader and has not answered may
    /// or may not come to pass: ask the leader.
    Following {
        /// The term.
        term: Term,
        /// The leader of that term, once it is known.
        leader: Option<Slot>,
    },
    /// A read was taken; [`Output::Readable`], [`Output::Unreadable`] or [`Output::Following`] ends it.
    Reading {
        /// Its name.
        read: Read,
    },
    /// Every read up to and with this one may be served once `index` is applied.
    Readable {
        /// The newest of them.
        read: Read,
        /// What must be applied first.
        index: Index,
    },
    /// For an election timeout the leader has not answered, or what its answer asks for has not come: no
    /// read up to and with this one that was not told to be readable will be. Ask elsewhere.
    Unreadable {
        /// The newest of them.
        read: Read,
    },
    /// Leadership was not handed over in time, and this member takes requests again.
    NotTransferred {
        /// Who should have taken it.
        to: Slot,
    },
    /// All bytes of a snapshot are here: check and store them, then say [`Input::Stored`].
    SnapshotReceived {
        /// The snapshot.
        snapshot: Snapshot,
    },
}
