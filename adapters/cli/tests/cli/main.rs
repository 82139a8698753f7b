//! The program as people and scripts meet it: exit codes, one clear line for everything that is
//! wrong, and real nodes in processes of their own.

mod council;
mod explore;
mod group;
mod histories;
mod leases;
mod members;
mod planted;
mod program;
mod recordings;
mod scripts;
mod simulations;
mod strangers;
mod wrong_input;
