//! How a member of a Byzantine group is set up, and what can be wrong with that.

use super::message::Checkpoint;
use crate::id::{Digest, Index, Members, Slot};
use crate::limits::{MOST, SLOTS};
use crate::quorum;
use crate::time::Span;
use core::fmt;

/// What a group is asked to tolerate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tolerance {
    /// At least one liar: four members or more.
    Liars,
    /// No liar, in a group of fewer than four: what is ordered is agreed on, as long as all members
    /// keep to the protocol.
    NoLiar,
}

/// How a member is set up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// This member.
    pub me: Slot,
    /// The members, the same for all of them.
    pub members: Members,
    /// What is expected of the group; it must fit the number of members.
    pub tolerance: Tolerance,
    /// A number that differs in each life of this member: receipts carry it.
    pub boot: u64,
    /// What the group begins with, the same for all members: the first position ordered is the next.
    pub floor: Checkpoint,
    /// How many positions are worked on above the stable checkpoint: at least two intervals.
    pub slots: u32,
    /// After how many positions a checkpoint follows the one before.
    pub interval: u32,
    /// How long a request may wait, first before it is forwarded to the primary, then before the view
    /// is left; and a view, before it begins. It doubles with every view without progress, up to 64
    /// times.
    pub timeout: Span,
    /// How often what is lost is said again.
    pub resend: Span,
    /// How far the primary's stamp may lie ahead of this member's clock; it may lie behind by the
    /// timeout more. A member without a civil clock believes every stamp.
    pub max_offset: Span,
}

impl Config {
    /// A member of a group on a local network, in its life of this number: a second for a request,
    /// again every 100 ms, a checkpoint every 64 positions where there is room.
    #[must_use]
    pub const fn lan(me: Slot, members: Members, boot: u64) -> Self {
        Self {
            me,
            members,
            tolerance: Tolerance::Liars,
            boot,
            floor: Checkpoint {
                index: Index::ZERO,
                state: Digest::NULL,
                stamp: crate::hlc::Stamp::ZERO,
            },
            slots: if SLOTS < 256 { 16 } else { 256 },
            interval: if SLOTS < 256 { 8 } else { 64 },
            timeout: Span::secs(1),
            resend: Span::millis(100),
            max_offset: Span::millis(250),
        }
    }

    /// How many members must agree.
    #[must_use]
    pub const fn quorum(&self) -> usize {
        quorum::byzantine(self.members.len())
    }

    /// How many members must agree that one of them is correct.
    #[must_use]
    pub const fn weak_quorum(&self) -> usize {
        quorum::liars(self.members.len()).saturating_add(1)
    }

    /// How many statements of members a member holds at most, whatever is sent: of each member two votes
    /// at each position, a view change with its claims, a checkpoint, and a status.
    #[must_use]
    pub const fn most_held(&self) -> usize {
        let of_each = (self.slots as usize).saturating_mul(3).saturating_add(3);
        self.members.len().saturating_mul(of_each)
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let is_known = |slot: Slot| slot.position() < MOST.members;
        let tolerates = quorum::liars(self.members.len()) > 0;
        if !self.members.contains(self.me) || !self.members.iter().all(is_known) {
            Err(ConfigError::NoSuchSlot)
        } else if tolerates != (self.tolerance == Tolerance::Liars) {
            Err(ConfigError::Tolerance)
        } else if self.slots as usize > SLOTS
            || self.interval == 0
            || self.interval > self.slots / 2
        {
            Err(ConfigError::Window)
        } else if self.resend == Span::ZERO || self.resend.times(2) > self.timeout {
            Err(ConfigError::Timeouts)
        } else {
            Ok(())
        }
    }
}

/// What is wrong with a [`Config`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// `me` is not among the members, or a slot is higher than the limits permit.
    NoSuchSlot,
    /// Fewer than four members tolerate no liar, and four or more do.
    Tolerance,
    /// The window is larger than [`SLOTS`], or holds fewer than two intervals.
    Window,
    /// `resend` is zero or more than half of `timeout`.
    Timeouts,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchSlot => "this member is not in the group, or a slot is beyond the limits",
            Self::Tolerance => {
                "fewer than four members tolerate no liar; say `NoLiar`, or add members"
            }
            Self::Window => "the window must hold two intervals and be within the limits",
            Self::Timeouts => "the resend time must be above zero and at most half the timeout",
        })
    }
}

impl core::error::Error for ConfigError {}
