//! The host that is a simulator: everything a real host gets from an operating system, in memory,
//! from a seed.

pub mod cluster;
pub mod disk;
pub mod raft;
pub mod replica;
