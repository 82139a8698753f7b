//! That the exploration goes everywhere, sees what must not be, and leaves time out rightly.
#![cfg(feature = "swarm")]

mod counts;
mod laws;
mod pbft;
mod second;
mod time;
