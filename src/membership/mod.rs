//! Who is there. Whatever is sensed here is a hint: no configuration is ever changed by it.

pub mod gossip;
