//! Our groups, driven in one thread as a lean host would: messages move between queues in memory,
//! buffers are used again, and a write is durable as soon as it is said.
//!
//! An entry counts when it is committed and applied on every member.

mod clock;
mod command;
mod core;
pub(crate) mod gossip;
mod node;
mod pbft;
mod replica;

use crate::load::{self, Measured, Shape};
use quorate::id::Members;
use quorate::limits::Limits;
use quorate::raft;
use quorate::time::Span;

/// Does our work: see [`load::run`](crate::load::run). `after` so many commits a log has that length.
pub(crate) fn run(words: &[&str], units: u64) -> Option<Measured> {
    match words {
        [kind, nodes, batch, depth, rest @ ..] => {
            let shape = Shape::parse(&[nodes, batch, depth])?;
            let grown = match rest {
                [] => 0,
                ["after", length] => length.parse().ok()?,
                _ => return None,
            };
            match *kind {
                "core" => Some(core::run(shape, grown, units)),
                "replica" => Some(replica::run(shape, shape.batch, false, grown, units)),
                "wire" => Some(replica::run(shape, shape.batch, true, grown, units)),
                "wire-one" => Some(replica::run(shape, 1, true, grown, units)),
                _ => None,
            }
        }
        ["elect"] => Some(core::elect(units)),
        ["idle"] => Some(core::idle(units)),
        ["rest"] => Some(core::rest(units)),
        ["hold-core"] => Some(load::hold(units, core::idle_follower)),
        ["hold-replica"] => Some(load::hold(units, replica::idle_follower)),
        ["hold-node"] => Some(node::hold(units)),
        ["rest-node"] => Some(node::rest(units)),
        ["share-node"] => Some(node::share(units)),
        ["pbft"] => Some(pbft::run(&pbft::Null, units)),
        ["pbft-signed"] => Some(pbft::run(&pbft::Real::new(), units)),
        ["stamp"] => Some(load::silently(|| clock::stamp(units))),
        ["answer"] => Some(load::silently(|| gossip::answer(units))),
        ["update"] => Some(load::silently(|| clock::update(units))),
        _ => None,
    }
}

/// A host's tick, where a peer counts in ticks: raft-rs beats every second one, and so do we.
const TICK: Span = Span::millis(15);
const HEARTBEAT: Span = Span::millis(30);
const ELECTION_TIMEOUT: Span = Span::millis(150);

fn raft_config(me: usize, nodes: usize) -> raft::Config {
    raft::Config {
        me: core::slot(me),
        voters: Members::first(nodes),
        since: quorate::id::Index::ZERO,
        boot: 1,
        seed: me as u64,
        election_timeout: ELECTION_TIMEOUT,
        heartbeat: HEARTBEAT,
        clock_drift: None,
        promotion_lag: None,
        rests: false,
        limits: Limits::default(),
    }
}
