//! What travels between a client and a node, beside the work and its answer.

use crate::id::ClientId;

/// What is sent to a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum What {
    /// Open a session.
    Open {
        /// Its name.
        client: ClientId,
    },
    /// Apply [`Client::work`](super::Client::work), once.
    Command {
        /// The session.
        client: ClientId,
        /// The number in the session.
        sequence: u64,
    },
    /// Answer [`Client::work`](super::Client::work) from a state that holds everything that was
    /// done before it was asked.
    Query,
}

/// What a node answers to an attempt.
///
/// `NotLeader`, `Busy`, `NoSession` and `Rejected` are refusals: *this attempt has no effect and
/// never will*. A node that is not certain of that says `Unknown`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Reply<R> {
    /// The session is open.
    Opened,
    /// It took effect, or was read, and this is the answer.
    Done(R),
    /// The session has seen a higher number; whether this one took effect is forgotten.
    Superseded,
    /// The session is not known, or no longer.
    NoSession,
    /// The node does not lead.
    NotLeader {
        /// The node that does, if it is known: its place in the client's own list.
        leader: Option<u8>,
    },
    /// A limit is reached, or the clock permits no stamp: try again later.
    Busy,
    /// The request cannot be meant.
    Rejected,
    /// The node took the request and then lost the lead: it may or may not come to pass.
    Unknown,
}
