//! The peers, each driven as ours are: one thread, messages between queues in memory, entries of 64
//! bytes, and an entry counts when it is applied on every node.

mod omnipaxos;
mod openraft;
mod raft_rs;
mod uhlc;

use crate::load::{Measured, Shape};
use raft_rs::{Group, Mode};

/// Does a peer's work: see [`load::run`](crate::load::run).
pub(crate) fn run(words: &[&str], units: u64) -> Option<Measured> {
    let commit = |words: &[&str], mode, wire| {
        let shape = Shape::parse(words)?;
        let mut group = Group::new(shape.nodes, mode, wire, false);
        group.commit(shape, units);
        Some(group.measured())
    };
    match words {
        ["raft-rs", "plain", shape @ ..] => commit(shape, Mode::Plain, false),
        ["raft-rs", "multi", shape @ ..] => commit(shape, Mode::Multi, false),
        ["raft-rs", "plain-wire", shape @ ..] => commit(shape, Mode::Plain, true),
        ["raft-rs", "multi-wire", shape @ ..] => commit(shape, Mode::Multi, true),
        ["raft-rs", "elect"] => {
            let mut group = Group::new(3, Mode::Plain, false, true);
            group.elect_in_turn(units);
            Some(group.measured())
        }
        ["raft-rs", "idle"] => {
            let mut group = Group::new(3, Mode::Plain, false, false);
            group.idle(units);
            Some(group.measured())
        }
        ["raft-rs", "hold"] => Some(crate::load::hold(units, raft_rs::idle_follower)),
        ["omnipaxos", shape @ ..] => {
            let shape = Shape::parse(shape)?;
            let mut group = omnipaxos::Group::new(shape);
            group.commit(shape, units);
            Some(group.measured())
        }
        ["openraft", nodes, clients] => {
            Some(openraft::commit(nodes.parse().ok()?, clients.parse().ok()?, units))
        }
        ["uhlc", "stamp"] => Some(crate::load::silently(|| uhlc::stamp(units))),
        ["uhlc", "update"] => Some(crate::load::silently(|| uhlc::update(units))),
        _ => None,
    }
}
