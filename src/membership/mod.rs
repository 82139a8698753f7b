//! Membership: who is there, and who belongs.
//!
//! Two different questions, with two different kinds of answer. *Who is there* is sensed: every node
//! answers it for itself, at once, without a quorum, and may be wrong. *Who belongs* is decided: it is an
//! entry in the log (see [`raft::Configuration`](crate::raft::Configuration)), and all agree on it.
//!
//! > **Sensing advises and never decides.** No verdict edits a configuration. Detectors that were wired to
//! > one have removed live members one by one until a minority was a quorum (consul#5922).
//!
//! [`Detector`] senses, among the nodes that a node talks to anyway: it is told whom to watch, watches
//! all of them, and believes only what it hears of each itself.
//!
//! [`Gossip`] discovers, among nodes of which most never talk: from a few addresses it finds all the
//! others, watches a few at a time, and passes on what it finds.

mod address;
pub mod detector;
pub mod gossip;
pub mod roster;

pub use address::Address;
pub use detector::Detector;
pub use gossip::Gossip;
pub use roster::Roster;
