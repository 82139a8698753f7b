//! What a member tells its host to do.

#[cfg(doc)]
use super::Input;
use super::durability::{Receipt, Write};
use super::evidence::Evidence;
use super::message::{Checkpoint, Message, Stable, Value};
use crate::id::{Digest, Index, Members, Slot, View};

/// What a host must do. All of it in any order, once encoded, except that writes keep their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// Make durable, with the signatures of all signers that it names; then echo the receipt.
    Persist {
        /// What to echo.
        receipt: Receipt,
        /// What to write.
        write: Write,
    },
    /// Sign and send to each of these members; losing it does no harm. A primary's proposal takes its
    /// payload along.
    Send {
        /// The receivers.
        to: Members,
        /// What to send.
        message: Message,
    },
    /// Send this member's own [`Pbft::view_change`](super::Pbft::view_change), with the signatures of its
    /// certificates.
    SendViewChange {
        /// The receivers.
        to: Members,
    },
    /// Send what the present view began with. The primary that begins it makes it of
    /// [`Pbft::chosen`](super::Pbft::chosen); all keep it as it was signed, and send that.
    SendNewView {
        /// The receivers.
        to: Members,
    },
    /// Send the stable checkpoint with its signatures.
    SendStable {
        /// The receivers.
        to: Members,
        /// The checkpoint.
        stable: Stable,
    },
    /// Send a client's request to the primary, which may not have it.
    Forward {
        /// The request.
        request: Digest,
        /// The primary.
        to: Slot,
    },
    /// A payload is lacked: fetch it from any member, then say [`Input::Available`].
    Want {
        /// Where it is proposed.
        index: Index,
        /// What it is.
        value: Value,
    },
    /// This is decided here, for good: execute it after everything before it.
    Committed {
        /// Where.
        index: Index,
        /// What.
        value: Value,
    },
    /// A checkpoint is proved: whatever is needed only below it may go.
    Stable(Stable),
    /// The others have let go of what this member lacks: fetch this state from any of them and go on from
    /// it.
    Fetch(Stable),
    /// So many others have another state at a checkpoint that one of them is correct: this member's is
    /// wrong. Fetch the state that comes to be proved.
    Diverged {
        /// What this member has.
        mine: Checkpoint,
        /// What the others have.
        theirs: Checkpoint,
    },
    /// A view has begun.
    Entered {
        /// The view.
        view: View,
        /// Its primary; if it is this member, it may propose.
        primary: Slot,
    },
    /// This member has left all views before this one, and takes no proposal until it begins.
    Left {
        /// The view that it wants to enter.
        next: View,
    },
    /// A member has signed two statements that contradict each other: with their signatures, proof for
    /// anyone.
    Accuse(Evidence),
}
