//! How a node is set up.

use crate::id::{Incarnation, NodeId};
use crate::limits::{NODES, UPDATES};
use crate::membership::Address;
use crate::time::Span;

/// How a node is set up. Nodes of one cluster may differ in all of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// This node; not zero.
    pub me: NodeId,
    /// Where others reach it; and what its packets come from, as their hosts see it.
    pub address: Address,
    /// Its incarnation: higher than in any former life. A count kept on disk, or the seconds of the
    /// wall clock at boot; not less than a second apart, or a leap would look
    /// [implausible](crate::event::Ignored::Implausible) after some weeks. One that is too low is
    /// mended as soon as somebody remembers the former life. One that is implausible to other nodes, who
    /// count otherwise, is believed only when they hear this node itself.
    pub incarnation: Incarnation,
    /// Where the generator starts; best different for each node.
    pub seed: u64,
    /// From one probe to the next, of a node in good health; longer than four timeouts.
    pub probe_interval: Span,
    /// How long an acknowledgement is waited for: a few round trips. A node whose tick comes later than
    /// this takes itself for having slept.
    pub probe_timeout: Span,
    /// How many others are asked to probe a node that does not answer; at most four.
    pub relays: usize,
    /// How long a suspicion lasts after another's verdict, at least.
    pub suspicion_least: Span,
    /// How long a suspicion lasts otherwise: longer than a pause that is no crash.
    pub suspicion_most: Span,
    /// From one attempt to find a node that is down, or a seed, to the next.
    pub heal_interval: Span,
    /// How often news is sent: so many times the logarithm of the number of nodes.
    pub multiplier: u8,
    /// How many others it knows; more than [`NODES`] change nothing.
    pub nodes: usize,
    /// How many records travel beside one of its messages: two at least; more than [`UPDATES`] change
    /// nothing.
    pub updates: usize,
}

impl Config {
    /// A node on a local network: it sends 1.3 messages a second, and of 64 such a crash is known to all
    /// in about three seconds; see the scenario that measures both with 5 % loss.
    #[must_use]
    pub const fn lan(me: NodeId, address: Address, incarnation: Incarnation) -> Self {
        Self {
            me,
            address,
            incarnation,
            seed: me.number() << 32 ^ incarnation.number(),
            probe_interval: Span::millis(1_750),
            probe_timeout: Span::millis(100),
            relays: 3,
            suspicion_least: Span::millis(750),
            suspicion_most: Span::millis(1_500),
            heal_interval: Span::secs(10),
            multiplier: 3,
            nodes: NODES,
            updates: UPDATES,
        }
    }

    /// A node on a wide network, with round trips of up to 400 ms.
    #[must_use]
    pub const fn wan(me: NodeId, address: Address, incarnation: Incarnation) -> Self {
        Self {
            probe_interval: Span::secs(5),
            probe_timeout: Span::millis(800),
            suspicion_least: Span::secs(3),
            suspicion_most: Span::secs(6),
            heal_interval: Span::secs(30),
            ..Self::lan(me, address, incarnation)
        }
    }
}
