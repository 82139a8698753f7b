//! What every Quorate host with an operating system needs, whatever its runtime: a disk behind a
//! trait, a write-ahead log on it, snapshot files, a data folder that belongs to one node, and frames
//! for what nodes and clients say to each other.

#[cfg(feature = "node")]
pub mod asking;
#[cfg(feature = "node")]
pub mod book;
#[cfg(feature = "node")]
pub mod config;
#[cfg(feature = "node")]
pub mod council;
pub mod disk;
#[cfg(feature = "node")]
pub mod door;
#[cfg(feature = "node")]
pub mod driver;
#[cfg(feature = "node")]
pub mod errand;
pub mod folder;
#[cfg(feature = "node")]
pub mod frame;
#[cfg(feature = "node")]
pub mod guests;
#[cfg(feature = "node")]
pub mod inbox;
#[cfg(feature = "node")]
pub mod joining;
#[cfg(feature = "node")]
pub mod lease;
#[cfg(feature = "node")]
pub mod life;
pub mod log;
#[cfg(feature = "node")]
pub mod protocol;
#[cfg(feature = "node")]
pub mod recording;
#[cfg(feature = "node")]
pub mod signing;
pub mod snapshot;
#[cfg(feature = "node")]
pub mod store;
#[cfg(feature = "node")]
pub mod work;
#[cfg(feature = "node")]
pub mod writing;
