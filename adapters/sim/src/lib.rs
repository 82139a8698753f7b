//! The host that is a simulator: everything a real host gets from an operating system, in memory,
//! from a seed.

#[cfg(feature = "swarm")]
pub mod byzantine;
pub mod cluster;
pub mod disk;
pub mod disk_states;
#[cfg(feature = "swarm")]
pub mod explore;
#[cfg(feature = "swarm")]
pub mod history;
pub mod pbft;
#[cfg(feature = "swarm")]
pub mod picture;
pub mod raft;
pub mod replica;
#[cfg(feature = "swarm")]
pub mod script;
#[cfg(feature = "swarm")]
pub mod sensing;
#[cfg(feature = "swarm")]
pub mod swarm;
#[cfg(feature = "swarm")]
pub mod trace;
