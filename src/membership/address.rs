//! Where a node is reached.

use crate::codec::{Codec, Malformed, NoRoom, Sink, take};
use core::fmt;

/// Where a node is reached: bytes that mean something to hosts alone, padded with zeros.
///
/// 24 of them hold an IPv6 address with its port and scope, or a place on a bus. A host name does not
/// fit and is not meant to: every receiver would have to ask for its meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Address([u8; Self::BYTES]);

impl Address {
    /// How many bytes an address has.
    pub const BYTES: usize = 24;

    /// The address of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for Address {
    /// Hexadecimal, without the zeros at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.wrapping_add(1));
        self.0.iter().take(end).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Codec for Address {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        sink.put(&self.0)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        take(bytes, Self::BYTES)?.try_into().map(Self).map_err(|_| Malformed)
    }
}
