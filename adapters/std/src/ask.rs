//! What is asked of a group about itself: how its nodes are, who its members are, to join and to leave.

use crate::client::{Failure, ask_node};
use quorate::id::{GroupId, NodeId, Slot};
use quorate_host::asking::status_in;
use quorate_host::errand::{self, Errand, Next, left_in, members_in};
use quorate_host::joining::{Joining, NotJoined};
use quorate_host::protocol::{Ask, Member, ReplyBody, Status};
use std::thread;
use std::time::{Duration, Instant};

/// Asks one node how it is, whether it leads or not.
///
/// # Errors
/// [`Failure`].
pub fn status(address: &str, group: GroupId, timeout: Duration) -> Result<Status, Failure> {
    status_in(ask_node(address, group, timeout, Ask::Status)?)
}

/// Asks who the members are, as far as the first node knows that answers.
///
/// # Errors
/// [`Failure`].
pub fn members(
    nodes: &[String],
    group: GroupId,
    timeout: Duration,
) -> Result<Vec<Member>, Failure> {
    members_in(run(errand::members(nodes, timeout), group)?)
}

/// Tells a node to leave, and waits until it has.
///
/// # Errors
/// [`Failure`]. [`Failure::Unknown`] if it has been told, and has not left in time.
pub fn leave(
    nodes: &[String],
    group: GroupId,
    timeout: Duration,
    node: NodeId,
) -> Result<(), Failure> {
    left_in(&run(errand::leave(nodes, node, timeout), group)?)
}

/// Gets a seat for a node that has none yet. Then it can be started.
///
/// # Errors
/// [`NotJoined`].
pub fn join(joining: Joining, nodes: &[String], timeout: Duration) -> Result<Slot, NotJoined> {
    let answer = run(joining.errand(nodes, timeout), joining.group())?;
    joining.settle(answer)
}

fn run(mut errand: Errand, group: GroupId) -> Result<ReplyBody<(), ()>, Failure> {
    let began = Instant::now();
    loop {
        match errand.next(began.elapsed()) {
            Next::Ask { address, ask, within } => {
                errand.hear(ask_node(&address, group, within, ask));
            }
            Next::Wait(pause) => thread::sleep(pause),
            Next::Done(outcome) => return outcome,
        }
    }
}
