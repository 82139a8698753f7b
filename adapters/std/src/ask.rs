//! What is asked of a group about itself: how its nodes are, who its members are, to join and to leave.

use crate::client::{Failure, ask_node};
use quorate::id::{GroupId, NodeId};
use quorate_host::asking::status_in;
use quorate_host::protocol::{Ask, Member, ReplyBody, Status};
use std::thread;
use std::time::{Duration, Instant};

/// The pause before the nodes are asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one node may take before another is asked.
const ATTEMPT: Duration = Duration::from_secs(1);

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
    match any(nodes, group, timeout, &Ask::Members)? {
        ReplyBody::Members(members) => Ok(members),
        _ => Err(Failure::nonsense()),
    }
}

/// Asks one node after the other until one answers, or names the leader, who then does. It must do no harm
/// to be asked twice.
///
/// # Errors
/// [`Failure`].
pub fn any(
    nodes: &[String],
    group: GroupId,
    timeout: Duration,
    ask: &Ask<(), ()>,
) -> Result<ReplyBody<(), ()>, Failure> {
    let began = Instant::now();
    let mut known = nodes.to_vec();
    let mut said = vec!["was not asked".to_owned(); known.len()];
    let mut is_lost = vec![false; known.len()];
    let mut place = 0;
    while let Some(left) = timeout.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        let Some(address) = known.get(place) else { break };
        let mut next = place.saturating_add(1) % known.len();
        let (why, lost) = match ask_node(address, group, left.min(ATTEMPT), ask.clone()) {
            Ok(ReplyBody::NotLeader { leader: Some((id, address)) }) => {
                next = known.iter().position(|it| *it == address).unwrap_or(known.len());
                if next == known.len() {
                    known.push(address);
                    said.push("was not asked".to_owned());
                    is_lost.push(false);
                }
                (format!("says that node {id} leads"), false)
            }
            Ok(ReplyBody::NotLeader { leader: None }) => ("knows no leader".to_owned(), false),
            Ok(ReplyBody::Unknown) => ("lost the lead".to_owned(), false),
            Ok(ReplyBody::Busy(text)) => (format!("is busy: {text}"), false),
            Ok(ReplyBody::Rejected(text)) => return Err(Failure::Refused(text)),
            Ok(answer) => return Ok(answer),
            Err(Failure::NoAnswer { nodes, .. }) => {
                (nodes.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join(", "), false)
            }
            Err(failure) => (failure.to_string(), true),
        };
        if let (Some(said), Some(is_lost)) = (said.get_mut(place), is_lost.get_mut(place)) {
            (*said, *is_lost) = (why, lost);
        }
        if is_lost.iter().all(|lost| *lost) {
            return Err(Failure::Refused(said.join("; ")));
        }
        if next <= place || next >= nodes.len() {
            thread::sleep(PAUSE.min(timeout.saturating_sub(began.elapsed())));
        }
        place = next;
    }
    Err(Failure::NoAnswer { within: timeout, nodes: known.into_iter().zip(said).collect() })
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
    let began = Instant::now();
    let mut was_told = false;
    while let Some(left) = timeout.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        match any(nodes, group, left, &Ask::Leave { node }) {
            Ok(ReplyBody::Leaving) => was_told = true,
            Ok(ReplyBody::Left) => return Ok(()),
            Ok(_) => return Err(Failure::nonsense()),
            // It is not known any more: it has left, and everybody knows.
            Err(Failure::Refused(_)) if was_told => return Ok(()),
            Err(Failure::NoAnswer { .. }) if was_told => break,
            Err(failure) => return Err(failure),
        }
        thread::sleep(PAUSE.min(left));
    }
    Err(Failure::Unknown { within: timeout })
}
