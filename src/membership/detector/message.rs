//! What detectors say to each other, and what a detector and its host do.

use crate::id::{Incarnation, NodeId};

/// What one detector says to another. Hosts say as much with all other traffic, see [`Input::Heard`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Message {
    /// "Are you there?"
    Ping {
        /// The sender's incarnation.
        incarnation: Incarnation,
        /// The ping's number: it rises with time within an incarnation.
        number: u64,
        /// The incarnation of the receiver's that the sender doubts, if it doubts any: whoever is
        /// doubted is told (Lifeguard's buddy system).
        doubts: Option<Incarnation>,
    },
    /// "I am." It answers a ping.
    Pong {
        /// The sender's incarnation.
        incarnation: Incarnation,
        /// The number of the ping.
        number: u64,
    },
}

/// What a node thinks of another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Verdict {
    /// It was heard lately, or there was no time yet to miss it.
    Alive,
    /// It was asked, and has been silent for a timeout. Act only where being wrong costs little.
    Suspect,
    /// It has been silent for another timeout. It may still be alive, and cut off.
    Down,
}

/// What a host tells a detector.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input<'a> {
    /// The deadline has passed (early and late ticks do no harm).
    Tick,
    /// Anything but a [`Message`] came in from a peer. The host vouches for the sender.
    Heard {
        /// Who sent it.
        from: NodeId,
        /// In which of its lives; a connection may have told this once for all that it carries.
        incarnation: Incarnation,
    },
    /// A message came in. The host vouches for the sender.
    Message {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// From now on watch these nodes, in place of all others. Those that were watched before are thought of
    /// as before; new ones have a timeout to be heard in. Repetitions and this node itself do not count.
    /// Refused as [`Full`](crate::Refused::Full) if there are more than
    /// [`Config::peers`](super::Config::peers).
    Peers(&'a [NodeId]),
}

/// What a detector tells its host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// Send a message. It may be lost, doubled or late.
    Send {
        /// To whom.
        to: NodeId,
        /// What to send.
        message: Message,
    },
    /// The detector now thinks this of a peer: told once, when it has become true. All new peers are alive
    /// until told otherwise.
    Verdict {
        /// Of whom.
        peer: NodeId,
        /// In which of its lives; zero if it was never heard.
        incarnation: Incarnation,
        /// What it thinks.
        verdict: Verdict,
    },
    /// The detector now doubts itself so much: 0 is in good health, [`Detector::WORST`](super::Detector::WORST)
    /// the worst. Timeouts are `1 + score` times as long.
    Health {
        /// How much.
        score: u8,
    },
    /// A peer has known a later incarnation of this node, and ignores this one: restart with a later
    /// one. The host has lost count, or two processes share an identity.
    Outlived {
        /// The latest incarnation that a peer knows.
        by: Incarnation,
    },
}
