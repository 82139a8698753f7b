//! What must hold after every event, written down from the papers and not from the code.
//!
//! The oracles see what a host sees: each step's outputs, what is on the disks, what clients are
//! answered. They keep books of their own, in which every entry is a link of a chain, so that two
//! logs are equal up to an index if one number is.
//!
//! | name | promise |
//! |---|---|
//! | R1 | one leader in a term |
//! | R2 | a leader only appends to its log |
//! | R3 | two entries of one identity are the same, and so is all before them |
//! | R4 | a leader holds everything that was committed in earlier terms |
//! | R5 | no two members apply different entries at one index |
//! | R6 | commit and applied only rise, in their bounds |
//! | R7 | a leader commits by an entry of its own term that a quorum of each half of its configuration holds durably |
//! | R8 | one vote in a term, durable before it is given |
//! | R9 | an acknowledgement names what is durable and is the leader's |
//! | R10 | everybody goes by the newest configuration of its log; each follows a committed one, after an entry of the leader's own term, and their majorities meet |
//! | R11 | a read sees everything that was acknowledged before it was asked, and what the log says |
//! | R12 | a snapshot is the fold of the log below it |
//! | D1 | a disk gives back what was durable, and no more than what was written after it |
//! | LS1 | a scope has one holder at a time, in true time and in the log's |
//! | LS2 | tokens rise |
//! | LS3 | a fence refuses every token below one it has seen |
//! | LS4 | a holder stops in time |
//! | LS6 | a leader whose clock a quorum does not follow grants nothing |
//! | C1 | what comes later has a later stamp |
//! | C2 | a stamp is not behind the clock of who makes it |
//! | C3 | a stamp is not ahead of the clock of who accepts it by more than the offset |
//! | C5 | a clock goes on above its stamps after a restart |
//! | M3 | a seat is given to a life that is later than every one of its node; who left does not come back |
//! | M4 | rosters of one entry are the same; who belongs has a seat; a slot is free when all know it |
//! | M6 | whoever is known by all to be removed changes neither a term nor a leader, but by a term that a member has |
//! | Q1 | no collection is larger than its limit |
//! | Q2 | no step says more than it may |
//! | Q4 | nothing panics |
//! | Q5 | the same inputs make the same outputs |
//! | E1 | a command takes effect once, and every answer to it is the same |
//! | L | the history of the registers is linearizable |
//! | V1 | a core that hears each other has a leader soon |
//! | V2 | everything asked of it is answered |
//! | V3 | its members come to equal states |
//! | V4 | and then nobody else comes to lead |
//! | V6 | and nobody talks more than is needed |
//! | V7 | a member that lags catches up under load |
//! | V8 | a joint configuration is left, and whoever leads votes |
//! | V9 | whoever was admitted belongs, and votes if it is wanted; whoever was to leave is gone |
//!
//! What is not here: a counter of a clock that wraps (C4) shows as C1. A stamp is one number and so
//! totally ordered (C6); stamps of two members may be equal, for it is the log that orders. How much
//! work a step is (Q3) is counted in instructions, elsewhere.

mod configuration;
mod lease;
mod raft;
mod roster;
mod state;
mod trail;

#[cfg(test)]
mod tests;

pub use lease::Leases;
pub use raft::{Books, Glance};
pub use roster::Register;
pub(super) use roster::founder_at;
pub use state::Reference;
pub use trail::{Canon, Change, Disk, Trail};

use std::fmt;

/// What was seen that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise that was broken.
    pub oracle: &'static str,
    /// How, in one line.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.oracle, self.what)
    }
}

/// What an oracle says of something.
pub type Verdict = Result<(), Violation>;

/// A violation, or not.
pub fn ensure(holds: bool, oracle: &'static str, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation { oracle, what: what() }) }
}
