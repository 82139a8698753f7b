//! Whole runs from a seed: a group, its clients, and everything that can go wrong.
//!
//! The machines are the shipped ones; so is the log under them, on a disk that may do anything that
//! a disk may do. The **schedule** draws everything that is left to chance and makes actions of it;
//! the **world** does what an action says and draws nothing; the **oracles** look at every step. So a
//! seed is a run, and so is a list of actions: a run that breaks a promise is made short by leaving
//! actions out.
//!
//! | room | concern |
//! |---|---|
//! | [`options`] | what may go wrong in a run, and how often |
//! | `schedule`, `chaos`, `churn`, `guests` | what happens next; the faults of networks, disks and clocks; who joins and who leaves, by hand or by the roster |
//! | `settle` | the second half of a run: everything is mended, and what was promised comes true |
//! | [`action`], [`edit`], [`world`], `host`, `front`, `clients` | one thing that happens, and what it does to whom |
//! | `reconfigure`, `seats`, `quorum` | changes of the configuration; which life has which slot; whether the group can go on |
//! | `store`, `clock`, `process` | a member's disk, anybody's clocks, a client |
//! | [`hosted`], [`vault`], `bare`, [`yours`] | what is run: the replica, Raft alone, or your state machine |
//! | [`oracle`], `linear` | what must hold |
//! | [`marks`], [`counts`] | what should happen in some run, and how often everything did |
//! | [`run`], `script`, `shrink`, `story` | a run from a seed, from a list, made short, and told |

pub mod action;
mod bare;
mod chaos;
mod churn;
mod clients;
mod clock;
pub mod counts;
pub mod edit;
mod front;
mod guests;
pub mod hash;
mod host;
pub mod hosted;
mod linear;
pub mod marks;
pub mod options;
pub mod oracle;
mod process;
mod quiet;
mod quorum;
mod reconfigure;
pub mod run;
mod schedule;
mod script;
mod seats;
mod settle;
mod shrink;
mod store;
mod story;
#[cfg(test)]
mod tests;
pub mod vault;
pub mod world;
pub mod yours;

pub use bare::Bare;
pub use schedule::Schedule;
pub use shrink::Shrunk;
