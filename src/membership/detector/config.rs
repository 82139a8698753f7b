//! How a detector is set up, and what can be wrong with that.

use crate::id::{Incarnation, NodeId};
use crate::limits::PEERS;
use crate::time::Span;
use core::fmt;

/// How a detector is set up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// This life of it: higher than every earlier one's.
    pub incarnation: Incarnation,
    /// The least silence that makes a peer suspect; at least 1 ms. Best two round trips or more: a peer is
    /// asked after a quarter of it.
    pub timeout: Span,
    /// What a peer's timeout grows to if it answers slowly, while this detector is in good health.
    pub longest: Span,
    /// How many others it watches; more than [`PEERS`] change nothing.
    pub peers: usize,
}

impl Config {
    /// Nodes on a local network: 150 ms, and 1.2 s for the slowest.
    #[must_use]
    pub const fn lan(me: NodeId, incarnation: Incarnation) -> Self {
        let (timeout, longest) = (Span::millis(150), Span::millis(1_200));
        Self { me, incarnation, timeout, longest, peers: PEERS }
    }

    /// Nodes that are far apart: 1 s, and 8 s for the slowest.
    #[must_use]
    pub const fn wan(me: NodeId, incarnation: Incarnation) -> Self {
        let (timeout, longest) = (Span::secs(1), Span::secs(8));
        Self { me, incarnation, timeout, longest, peers: PEERS }
    }

    /// Whether a detector can go by it.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_sound = Span::millis(1) <= self.timeout && self.timeout <= self.longest;
        if is_sound { Ok(()) } else { Err(ConfigError::Timeouts) }
    }
}

/// What is wrong with a [`Config`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// `timeout` is below a millisecond, or `longest` is below it.
    Timeouts,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeouts => "the timeout must be a millisecond at least, and at most the longest",
        })
    }
}

impl core::error::Error for ConfigError {}
