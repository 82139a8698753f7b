//! How a member is set up, and what can be wrong with that.

use crate::id::{Index, Members, Slot};
use crate::limits::{Limits, MOST};
use crate::time::Span;
use core::fmt;

/// How a member is set up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// This member.
    pub me: Slot,
    /// The members that vote in a log that has just begun: the same for all of them. A member that joins
    /// a group is best told who founded it. None if it does not know: then it knows who belongs only from
    /// the first change or snapshot that it holds, can let go of nothing below that, and so must not be
    /// made a voter on whom commits depend before it has caught up (`promotion_lag`).
    pub voters: Members,
    /// The entry that gave this member its slot; zero for one that founded the group, or where no slot is
    /// given twice. Configurations before it speak of whoever had the slot then, and so this member does
    /// not campaign by them.
    pub since: Index,
    /// A number that differs in each life of this member: receipts carry it.
    pub boot: u64,
    /// Where the generator starts; best different for each member.
    pub seed: u64,
    /// The least time without a leader after which a member campaigns; it draws the actual one
    /// between this and twice this. At least ten round trips, and longer than a slow write.
    pub election_timeout: Span,
    /// How often a leader is heard at least. At most half the election timeout.
    pub heartbeat: Span,
    /// How far two members' monotonic clocks can drift apart while both run, in parts of a million
    /// (quartz: 200 at most). With it a leader answers reads by itself for nearly an election timeout
    /// after a quorum has heard of it; `election_timeout` must then be the same for all members. None:
    /// clocks are not trusted, and every read waits for a round of messages.
    pub clock_drift: Option<u32>,
    /// How many entries a slot may lack when it begins to vote; it must also have been sent its last
    /// stretch of entries within an election timeout (4.2.1). None: it may vote at once, and commits
    /// wait until it has caught up.
    pub promotion_lag: Option<u32>,
    /// Whether an idle group falls silent. All members must agree, and the host must say
    /// [`Input::Suspect`](super::Input::Suspect) when it doubts that the leader lives: nobody listens for
    /// it any more.
    pub rests: bool,
    /// Bounds, lowered to the backend's where they are higher.
    pub limits: Limits,
}

impl Config {
    /// A member of a group on a local network, in its life of this number: 150 ms, a heartbeat of 30,
    /// clocks not trusted, a new voter at most a thousand entries behind, never at rest.
    #[must_use]
    pub const fn lan(me: Slot, voters: Members, boot: u64) -> Self {
        Self {
            me,
            voters,
            since: Index::ZERO,
            boot,
            seed: (me.number() as u64) << 48 ^ boot,
            election_timeout: Span::millis(150),
            heartbeat: Span::millis(30),
            clock_drift: None,
            promotion_lag: Some(1_000),
            rests: false,
            limits: MOST,
        }
    }
}

/// What is wrong with a [`Config`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// `me` is a higher slot than [`Limits::members`] permits.
    NoSuchSlot,
    /// There are more voters, or higher slots, than [`Limits::members`] permits.
    TooManyVoters,
    /// `heartbeat` is zero or more than half of `election_timeout`.
    Timeouts,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchSlot => "this member's slot is beyond the limits; give it a lower one",
            Self::TooManyVoters => "too many voters for the limits; remove some",
            Self::Timeouts => "the heartbeat must be above zero and at most half the timeout",
        })
    }
}

impl core::error::Error for ConfigError {}
