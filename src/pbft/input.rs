//! What a host tells a member.

use super::durability::Receipt;
use super::message::{Checkpoint, Message, NewView, Stable, Value, Verified, ViewChange};
#[cfg(doc)]
use super::{Config, Output};
use crate::id::{Digest, Slot};

/// What a host tells a member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input<'a> {
    /// The deadline has passed (early and late ticks do no harm).
    Tick,
    /// A message came in, and its signature is its sender's. Ask [`Pbft::wants`](super::Pbft::wants)
    /// before checking that.
    Message {
        /// The message.
        message: Verified<Message>,
        /// Whether the payload that it speaks of, if any, is here and makes sense.
        is_here: bool,
    },
    /// A member's view change came in, and every signature in its certificates is whose it says.
    ViewChange(Verified<&'a ViewChange>),
    /// The beginning of a view came in, likewise.
    NewView(Verified<NewView<'a>>),
    /// The proof of a checkpoint came in, from whomever: each signature is whose it says.
    Stable(Stable),
    /// Order this: refused unless this member is the primary of a view that has begun. It takes the
    /// position after the last one proposed. The payload is durable here.
    Propose(Value),
    /// A client's request is here, its signature is the client's, and it is to be executed: the view is
    /// left if it is not in time.
    Request(Digest),
    /// These requests were executed, or never will be.
    Executed(&'a [Digest]),
    /// A payload that was asked for is here, makes sense, and is durable.
    Available(Digest),
    /// Everything up to a checkpoint was executed, and the state is durable: due after every
    /// [`Config::interval`] positions.
    Checkpointed(Checkpoint),
    /// The write of this receipt, and every write before it, are durable.
    Persisted(Receipt),
    /// A write failed. The machine stops for good; a failed write is never tried again.
    PersistFailed,
    /// The host doubts that this member lives. If it is the primary, and something waits for it, the
    /// view is left.
    Suspect(Slot),
}
