//! What the group replicates: commands of 64 bytes, and a state machine that only counts them.

use quorate::codec::{Codec, Malformed, NoRoom, Sink};
use quorate::{Position, StateMachine};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// How many bytes a command has, as with every peer.
pub(crate) const SIZE: usize = 64;

/// A command, held inline.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Command(pub(crate) [u8; SIZE]);

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Command;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{SIZE} bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Command, E> {
                let length = || E::invalid_length(bytes.len(), &self);
                bytes.try_into().map(Command).map_err(|_| length())
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

/// Counts commands and adds their first bytes up, as the peers' state machines here do.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Tally {
    /// How many commands were applied.
    pub(crate) count: u64,
    sum: u64,
}

impl StateMachine for Tally {
    type Command = Command;
    type Response = u64;

    fn apply(&mut self, _: Position, command: &Command) -> u64 {
        self.count += 1;
        self.sum = self.sum.wrapping_add(u64::from(command.0[0]));
        self.count
    }

    fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.count.encode(sink)?;
        self.sum.encode(sink)
    }

    fn restore(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        *self = Self { count: Codec::decode(&mut bytes)?, sum: Codec::decode(&mut bytes)? };
        Ok(())
    }
}
