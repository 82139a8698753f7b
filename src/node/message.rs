//! What a node and its host tell each other, and how it is set up.

use crate::id::{GroupId, Incarnation, NodeId};
use crate::membership::detector;
use crate::replica::{self, Entry, Header};
use crate::time::Span;

/// How a node is set up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// Who this node is, and how it watches the others.
    pub detector: detector::Config,
    /// What is due for a group is done at the next multiple of this, so that the heartbeats of all groups
    /// led here fall due together; they come so much later at most. At a third of a heartbeat all of
    /// them make two or three wake-ups a heartbeat. Zero: each is done when it is due.
    pub grain: Span,
}

/// What a host tells a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input<'a, C> {
    /// The deadline has passed (early and late ticks do no harm). One thing that is due is done; while
    /// more is, the deadline stays in the past.
    Tick,
    /// Something for a group by its host: all that a replica takes but a message. Refused as
    /// [`Meaningless`](crate::Refused::Meaningless) if it is one, or if the group is not here.
    Group {
        /// The group.
        group: GroupId,
        /// What its replica is told.
        input: replica::Input<'a, C>,
    },
    /// A message for a group came in from another node. The host vouches for the sender.
    Message {
        /// Who sent it.
        from: NodeId,
        /// In which of its lives; a connection may have told this once for all that it carries.
        incarnation: Incarnation,
        /// The group.
        group: GroupId,
        /// What it says.
        header: Header,
        /// The entries that travelled with it.
        entries: &'a [Entry<C>],
        /// The part of a snapshot that travelled with it.
        chunk: &'a [u8],
    },
    /// A message for the detector came in from another node. The host vouches for the sender.
    Detector {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: detector::Message,
    },
}

/// What a host must do, or may want to know.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// What a group's replica says. Whom a slot stands for says [`Node::node_in`](super::Node::node_in);
    /// what goes to one node until the next deadline may share a frame.
    Group {
        /// The group.
        group: GroupId,
        /// What is to be done.
        output: replica::Output,
    },
    /// What the detector says: its messages, and its verdicts, of which the groups know already.
    Detector(detector::Output),
}
