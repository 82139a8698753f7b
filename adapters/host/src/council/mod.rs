//! A member of a Byzantine group as a host: the machine with its keys, its signatures and its disk, and no
//! IO. A runtime reads frames, checks them with [`check`] on whatever thread, and performs what [`Seat`]
//! says.
//!
//! What is signed by others is never asked of the machine before it is checked, and what the machine says
//! is signed here; so the machine's [`Verified`](quorate::pbft::Verified) is made in this folder and
//! nowhere else.

pub mod config;
mod seat;
mod store;
mod wire;

pub use seat::{Done, Effect, Seat};
pub use store::{OpenError, Store, Task, open};
pub use wire::{Heard, Packet, Payload, Understood, check, request};

use quorate::id::{ClientId, Slot};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first frame of a connection. It is believed for nothing but where answers go: what counts is
/// signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Greeting {
    /// A member.
    Member(Slot),
    /// A client.
    Client(ClientId),
}

/// What a client asks, inside what it signs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Asked<C, Q> {
    /// Apply a command, once.
    Command(C),
    /// Answer from the state at a place in the order.
    Read(Q),
    /// Answer from the state as it is.
    StaleRead(Q),
}

impl<C: Serialize, Q: Serialize> Asked<C, Q> {
    /// As it is signed; none if it has no form in bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(self).ok()
    }
}

/// What a client is answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answered<R, A> {
    /// To a command.
    Done(R),
    /// To a read.
    Read(A),
}

impl<R: DeserializeOwned, A: DeserializeOwned> Answered<R, A> {
    /// What the bytes of an answer say; none if they make no sense.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}
