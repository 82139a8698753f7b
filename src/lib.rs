// The page's example collects outputs in a `Vec`.
#![cfg_attr(feature = "alloc", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "alloc"), doc = "Consensus groups as pure state machines.")]
#![no_std]
#![warn(clippy::pedantic)]
#![allow(
    clippy::needless_for_each,
    reason = "what is done to each can stand where the each is named"
)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::disallowed_types
)]

#[cfg(feature = "alloc")]
extern crate alloc;
// The derive of `arbitrary` needs it, and so do unit tests.
#[cfg(any(test, feature = "arbitrary"))]
extern crate std;

#[cfg(not(any(feature = "alloc", feature = "heapless")))]
compile_error!(
    "choose where quorate keeps its collections: feature `alloc` (default) or `heapless`"
);

pub mod bounded;
pub mod client;
pub mod codec;
pub mod council;
pub mod event;
pub mod hlc;
pub mod id;
pub mod lease;
pub mod limits;
pub mod machine;
pub mod membership;
pub mod node;
pub mod pbft;
pub mod quorum;
pub mod raft;
pub mod replica;
pub mod rng;
pub mod state_machine;
pub mod time;

pub use event::Event;
pub use machine::{Machine, Outbox, Refused};
pub use state_machine::{Position, StateMachine};
