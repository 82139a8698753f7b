//! Properties that every machine keeps, whatever is done to it.
//!
//! A machine is put under the laws of [`driver`] by an `impl` of [`driver::Lawful`] and a test of
//! one line. A group is under the laws of [`group`].

mod client;
mod council;
mod detector;
mod driver;
mod gossip;
mod group;
mod node;
mod pbft;
mod raft;
mod replica;
mod replicas;
#[path = "../scenarios/sum.rs"]
#[allow(dead_code, reason = "the scenarios use more of it")]
mod sum;

use quickcheck::{Gen, QuickCheck};

/// Finds choices that break a law, and then the fewest that do.
fn check(law: fn(Vec<u8>)) {
    QuickCheck::new().rng(Gen::from_size_and_seed(6_000, 1)).tests(1_500).quickcheck(law);
}

#[test]
fn raft_keeps_the_laws() {
    check(|choices| driver::drive::<quorate::raft::Raft>(&choices));
}

#[test]
fn a_replica_keeps_the_laws() {
    check(|choices| driver::drive::<quorate::replica::Replica<sum::Sum>>(&choices));
}

#[test]
fn a_client_keeps_the_laws() {
    check(|choices| driver::drive::<quorate::client::Client<u8, u8>>(&choices));
}

#[test]
fn a_detector_keeps_the_laws() {
    check(|choices| driver::drive::<quorate::membership::Detector>(&choices));
}

#[test]
fn a_holder_keeps_the_laws() {
    check(|choices| driver::drive::<quorate::lease::Holder>(&choices));
}

#[test]
fn a_node_keeps_the_laws() {
    check(|choices| driver::drive::<quorate::node::Node<sum::Sum>>(&choices));
}

#[test]
fn gossip_keeps_the_laws() {
    check(|choices| driver::drive::<quorate::membership::gossip::Gossip>(&choices));
}

#[test]
fn a_byzantine_member_keeps_the_laws() {
    check(|choices| driver::drive::<quorate::pbft::Pbft>(&choices));
}

#[test]
fn a_council_keeps_the_laws() {
    check(|choices| driver::drive::<quorate::council::Council<sum::Sum>>(&choices));
}

#[test]
fn a_byzantine_member_never_contradicts_itself_wherever_it_crashes() {
    check(|choices| pbft::lives(&choices));
}
