//! Groups of real nodes on loopback, with real disks: what a service that holds a node relies on.

mod asking;
mod ending;
mod group;
mod leases;
mod tally;
