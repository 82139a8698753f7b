//! Whole runs from a seed: a group, its clients, and everything that can go wrong.

pub mod action;
mod bare;
mod chaos;
mod clients;
mod clock;
pub mod counts;
mod front;
pub mod hash;
mod host;
pub mod hosted;
mod linear;
pub mod marks;
pub mod options;
pub mod oracle;
mod process;
mod quiet;
pub mod run;
mod schedule;
mod script;
mod settle;
mod shrink;
mod store;
mod story;
pub mod vault;
pub mod world;

pub use bare::Bare;
pub use schedule::Schedule;
pub use shrink::Shrunk;
