//! What nodes say to each other, and what a node and its host do.

use super::Update;
use crate::bounded::List;
use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::id::{Incarnation, NodeId};
use crate::limits::UPDATES;
use crate::membership::Address;

/// The updates beside a message, at most [`UPDATES`].
pub type Updates = List<Update, UPDATES>;

/// A message, with who says it: that alone is news of the sender.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Message {
    /// Who sends it.
    pub sender: NodeId,
    /// The sender's incarnation.
    pub incarnation: Incarnation,
    /// What it says.
    pub kind: Kind,
}

/// What a message says. Sections are those of SWIM (Das, Gupta, Motivala, DSN 2002). A probe's number
/// rises with each probe of one node, from one drawn by lot; zero is nobody's and its acknowledgement is
/// waited for by nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Kind {
    /// "Are you there?" (3.1)
    Ping {
        /// The probe's number.
        probe: u32,
        /// Whoever wants to know: the sender, or somebody for whom it asks.
        origin: NodeId,
    },
    /// "I am." From one that was asked for help it is what Lifeguard's nack tells: that it is not the
    /// asker who is cut off.
    Ack {
        /// The number that was asked with.
        probe: u32,
        /// Whoever wants to know.
        origin: NodeId,
    },
    /// "Ask that node for me" (3.1: ping-req).
    PingReq {
        /// The probe's number.
        probe: u32,
        /// The node that did not answer.
        target: NodeId,
    },
    /// "It is there."
    ForwardedAck {
        /// The number that was asked with.
        probe: u32,
        /// The node that answered.
        target: NodeId,
    },
    /// Nothing but what travels beside it.
    News,
    /// "Tell me of the nodes after this one."
    Sync {
        /// The last one known; zero at first.
        after: NodeId,
    },
    /// Some nodes that are there.
    Page {
        /// Where to go on; zero if these were the last.
        next: NodeId,
    },
}

/// What a node is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input<'a> {
    /// Take part, and look for others at these addresses. Again, and it looks for them anew.
    Join {
        /// At most [`SEEDS`](crate::limits::SEEDS); none for the first node.
        seeds: &'a [Address],
    },
    /// Say farewell, and take part no longer.
    Leave,
    /// A message came.
    Message {
        /// The sender's address.
        from: Address,
        /// What it says.
        message: Message,
        /// What travelled beside it.
        updates: &'a [Update],
    },
    /// The [deadline](crate::Machine::deadline) has come.
    Tick,
}

/// What a node tells its host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::large_enum_variant, reason = "without an allocator, updates have no other place")]
pub enum Output {
    /// Send this.
    Send {
        /// Where to.
        to: Address,
        /// The message.
        message: Message,
        /// What travels beside it.
        updates: Updates,
    },
    /// A node is there that was not, or not at this address.
    Up(Update),
    /// A node does not answer, and has not refuted that.
    Down(Update),
    /// A node has left; told of this node, it may stop.
    Left(Update),
    /// This node cannot speak for itself: another goes by its name, or it was declared down in the highest
    /// incarnation there is. Restart it with a later one if it was the same node in a former life; give it
    /// another name if not, or if there is none later.
    Outlived {
        /// The incarnation to pass.
        by: Incarnation,
    },
}

impl Kind {
    /// Its number, the probe's, and the node that it names; zero for what it has not.
    const fn parts(self) -> (u8, u32, NodeId) {
        match self {
            Self::Ping { probe, origin } => (0, probe, origin),
            Self::Ack { probe, origin } => (1, probe, origin),
            Self::PingReq { probe, target } => (2, probe, target),
            Self::ForwardedAck { probe, target } => (3, probe, target),
            Self::News => (4, 0, NodeId::ZERO),
            Self::Sync { after } => (5, 0, after),
            Self::Page { next } => (6, 0, next),
        }
    }
}

/// Of one length, whatever it says.
impl Codec for Message {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        let (code, probe, node) = self.kind.parts();
        self.sender.encode(sink)?;
        self.incarnation.encode(sink)?;
        code.encode(sink)?;
        probe.encode(sink)?;
        node.encode(sink)
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let (sender, incarnation) = (Codec::decode(bytes)?, Codec::decode(bytes)?);
        let parts = (u8::decode(bytes)?, u32::decode(bytes)?, NodeId::decode(bytes)?);
        let (_, probe, node) = parts;
        let kinds = [
            Kind::Ping { probe, origin: node },
            Kind::Ack { probe, origin: node },
            Kind::PingReq { probe, target: node },
            Kind::ForwardedAck { probe, target: node },
            Kind::News,
            Kind::Sync { after: node },
            Kind::Page { next: node },
        ];
        // What it has not is zero: one message has one form.
        let kind = kinds.into_iter().find(|kind| kind.parts() == parts).ok_or(Malformed)?;
        Ok(Self { sender, incarnation, kind })
    }
}

/// A count, then so many updates; more than a message may carry are malformed, whatever follows.
impl Codec for Updates {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        u8::try_from(self.len()).map_err(|_| NoRoom)?.encode(sink)?;
        self.iter().try_for_each(|update| update.encode(sink))
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let count = u8::decode(bytes)?;
        let mut updates = Self::new();
        for _ in 0..count {
            updates.push(Update::decode(bytes)?).map_err(|_| Malformed)?;
        }
        Ok(updates)
    }
}
