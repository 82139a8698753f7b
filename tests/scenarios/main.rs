//! One short test for each published bug that this code could have had, named for its claim.

mod client;
mod hlc;
mod lease;
mod replica;
mod sum;
