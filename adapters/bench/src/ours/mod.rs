//! Our groups, driven in one thread as a lean host would: messages move between queues in memory,
//! buffers are used again, and a write is durable as soon as it is said.
//!
//! An entry counts when it is committed and applied on every member.

mod command;
pub(crate) mod clock;
pub(crate) mod core;
pub(crate) mod replica;

use quorate::id::Members;
use quorate::limits::Limits;
use quorate::raft;
use quorate::time::Span;

/// How many nodes, entries in a batch, and batches under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    pub(crate) batch: u64,
    pub(crate) depth: u64,
}

/// A host's tick, where a peer counts in ticks: raft-rs beats every second one, and so do we.
const TICK: Span = Span::millis(15);
const HEARTBEAT: Span = Span::millis(30);
const ELECTION_TIMEOUT: Span = Span::millis(150);

fn raft_config(me: usize, nodes: usize) -> raft::Config {
    raft::Config {
        me: core::slot(me),
        voters: Members::first(nodes),
        boot: 1,
        seed: me as u64,
        election_timeout: ELECTION_TIMEOUT,
        heartbeat: HEARTBEAT,
        limits: Limits::default(),
    }
}
