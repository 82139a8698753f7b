//! What is asked of a table, and what it answers.

use super::{Name, Token};
use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::hlc::Stamp;
use crate::time::Span;

/// What clients, and the leader itself, ask of a table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Command {
    /// Grant a scope, if nobody holds it: not even the same holder.
    Acquire {
        /// What the lease is for.
        scope: Name,
        /// Who will hold it.
        holder: Name,
        /// For how long, from now and from each renewal on.
        duration: Span,
    },
    /// Let a live lease last its duration from now on.
    Renew {
        /// What the lease is for.
        scope: Name,
        /// The name of the grant.
        token: Token,
    },
    /// Give a lease up, so that the scope can be granted at once. Stop using it first.
    Release {
        /// What the lease is for.
        scope: Name,
        /// The name of the grant.
        token: Token,
    },
    /// Clear away leases that have run out. The leader proposes this when it is [due]; from anyone
    /// else and at any other time it does no harm, since the table looks for itself.
    ///
    /// [due]: crate::StateMachine::due
    Expire,
}

/// What they are told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Response {
    /// To an acquisition or a renewal: the lease is held. The holder counts `duration` from when
    /// it sent the request, as [`Holder`](super::Holder) does, and not from this answer.
    Granted {
        /// The name of the grant, for renewals and for [fences](super::Fence).
        token: Token,
        /// How long it lasts.
        duration: Span,
        /// When it runs out in the table's time, which no clock of the holder's shows.
        expires_at: Stamp,
    },
    /// The lease is given up.
    Released,
    /// Expired leases were cleared away.
    Swept {
        /// How many. If as many as [`Config::sweep`](super::Config::sweep), there may be more.
        count: u32,
    },
    /// Somebody holds the scope: watch for its release, or try again after it has run out.
    Held {
        /// Who holds it.
        holder: Name,
        /// The name of the grant.
        token: Token,
        /// When it runs out if it is not renewed.
        expires_at: Stamp,
    },
    /// The lease has run out: acquire it (again) once the guard has passed.
    Expired {
        /// From when on the scope is granted again.
        free_at: Stamp,
    },
    /// The scope has no lease of that token any more: acquire it again.
    NotHeld,
    /// The table is full: try again when a lease was released or cleared away.
    Full,
    /// The duration is out of bounds: ask for another.
    BadDuration {
        /// The shortest.
        least: Span,
        /// The longest.
        most: Span,
    },
}

impl Codec for Response {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        match *self {
            Self::Granted { token, duration, expires_at } => {
                0_u8.encode(sink)?;
                token.encode(sink)?;
                duration.as_micros().encode(sink)?;
                expires_at.encode(sink)
            }
            Self::Released => 1_u8.encode(sink),
            Self::Swept { count } => {
                2_u8.encode(sink)?;
                count.encode(sink)
            }
            Self::Held { holder, token, expires_at } => {
                3_u8.encode(sink)?;
                holder.encode(sink)?;
                token.encode(sink)?;
                expires_at.encode(sink)
            }
            Self::Expired { free_at } => {
                4_u8.encode(sink)?;
                free_at.encode(sink)
            }
            Self::NotHeld => 5_u8.encode(sink),
            Self::Full => 6_u8.encode(sink),
            Self::BadDuration { least, most } => {
                7_u8.encode(sink)?;
                least.as_micros().encode(sink)?;
                most.as_micros().encode(sink)
            }
        }
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(match u8::decode(bytes)? {
            0 => Self::Granted {
                token: Token::decode(bytes)?,
                duration: u64::decode(bytes).map(Span::micros)?,
                expires_at: Stamp::decode(bytes)?,
            },
            1 => Self::Released,
            2 => Self::Swept { count: u32::decode(bytes)? },
            3 => Self::Held {
                holder: Name::decode(bytes)?,
                token: Token::decode(bytes)?,
                expires_at: Stamp::decode(bytes)?,
            },
            4 => Self::Expired { free_at: Stamp::decode(bytes)? },
            5 => Self::NotHeld,
            6 => Self::Full,
            7 => Self::BadDuration {
                least: u64::decode(bytes).map(Span::micros)?,
                most: u64::decode(bytes).map(Span::micros)?,
            },
            _ => return Err(Malformed),
        })
    }
}
