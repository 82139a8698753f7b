//! How large the machines are, on the backend under test. Run with `--nocapture` for the table that
//! the README shows.

use quorate::membership::{self, gossip};
use quorate::{bounded, client, council, hlc, lease, node, pbft, raft, replica};

/// Prints a row and checks the bound.
fn row(name: &str, size: usize, most_alloc: usize, most_heapless: usize) {
    let most = if bounded::BACKEND == "alloc" { most_alloc } else { most_heapless };
    println!("{:<10} {name:<32} {size:>7} bytes", bounded::BACKEND);
    assert!(size <= most, "{name} has grown to {size} bytes, more than {most}");
}

#[test]
fn machines_stay_as_small_as_we_say() {
    row("raft::Message", size_of::<raft::Message>(), 56, 56);
    row("raft::Raft", size_of::<raft::Raft>(), 720, 2_304);
    row(
        "replica::Replica<lease::Table>",
        size_of::<replica::Replica<lease::Table>>(),
        1_376,
        40_960,
    );
    row("lease::Table", size_of::<lease::Table>(), 256, 6_144);
    row("lease::Holder", size_of::<lease::Holder>(), 96, 96);
    row("lease::Fence", size_of::<lease::Fence>(), 16, 16);
    type Client = client::Client<lease::Command, lease::Response>;
    row("client::Client<lease::Command>", size_of::<Client>(), 512, 512);
    row("membership::Detector", size_of::<membership::Detector>(), 288, 1_280);
    row("gossip::Message", size_of::<gossip::Message>(), 32, 32);
    row("gossip::Gossip", size_of::<gossip::Gossip>(), 512, 3_072);
    row("node::Node<lease::Table>", size_of::<node::Node<lease::Table>>(), 512, 163_840);
    row("node::Turns", size_of::<node::Turns>(), 64, 128);
    row("hlc::Clock", size_of::<hlc::Clock>(), 64, 64);
    row("pbft::Message", size_of::<pbft::Message>(), 80, 80);
    row("pbft::ViewChange", size_of::<pbft::ViewChange>(), 96, 1_152);
    row("pbft::Pbft", size_of::<pbft::Pbft>(), 640, 28_672);
    row(
        "council::Council<lease::Table>",
        size_of::<council::Council<lease::Table>>(),
        1_536,
        81_920,
    );
}
