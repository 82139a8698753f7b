//! Tokens, and the check of them at the resource that a lease protects.

use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::id::Index;
use core::fmt;

/// The name of one grant: the log position of the entry that granted it. Every later grant, of any
/// scope of the table, has a higher one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Token(Index);

impl Token {
    /// Below every token.
    pub const ZERO: Self = Self(Index::ZERO);

    /// The token of what the entry at `index` granted.
    #[must_use]
    pub const fn new(index: Index) -> Self {
        Self(index)
    }

    /// Where the granting entry stands in the log.
    #[must_use]
    pub const fn index(self) -> Index {
        self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Codec for Token {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.0.encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Index::decode(bytes).map(Self)
    }
}

/// The guard at a resource: it admits nobody whose lease was granted before one it has seen.
///
/// A holder that was paused may act after its lease is over, whatever its clock said before; only
/// the resource can tell, by comparing. Keep one fence for each scope, ask it in the same critical
/// section (or transaction) as the change, and store it with what it protects.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fence {
    highest: Token,
}

impl Fence {
    /// A fence that has admitted nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: Token::ZERO }
    }

    /// The highest token admitted.
    #[must_use]
    pub const fn highest(&self) -> Token {
        self.highest
    }

    /// Admits the bearer of a token that is not below any admitted before.
    ///
    /// # Errors
    /// [`StaleToken`] if a later holder has been here; the fence is unchanged.
    pub fn admit(&mut self, token: Token) -> Result<(), StaleToken> {
        if token < self.highest {
            return Err(StaleToken { presented: token, highest: self.highest });
        }
        self.highest = token;
        Ok(())
    }
}

impl Codec for Fence {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.highest.encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Token::decode(bytes).map(|highest| Self { highest })
    }
}

/// The bearer's lease is over, and a later holder has been at the resource: stop, acquire again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StaleToken {
    /// The token that was refused.
    pub presented: Token,
    /// The later holder's.
    pub highest: Token,
}

impl fmt::Display for StaleToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token {} is stale: {} has been admitted", self.presented, self.highest)
    }
}

impl core::error::Error for StaleToken {}

const _: () = assert!(size_of::<Fence>() <= 16);
