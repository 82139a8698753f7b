//! `quorate members` and `quorate leave`: who belongs to a group, and who is to go.

use crate::arguments::Group;
use crate::output::{Waiting, plain, show, show_json, table};
use crate::verdict::{Failure, Verdict};
use quorate::id::{GroupId, NodeId};
use quorate_host::protocol::Member;
use quorate_std::ask;
use quorate_std::client::Failure as NoAnswer;

/// Lists the members, as the first node that answers knows them.
pub(crate) fn show_members(group: &Group, json: bool) -> Verdict {
    let waiting = Waiting::show("asking who the members are");
    let found = ask::members(&group.nodes, GroupId::new(group.number), group.timeout);
    drop(waiting);
    let members = found?;
    if json { members.iter().try_for_each(show_json) } else { list(&members) }
}

fn list(members: &[Member]) -> Verdict {
    let head = ["NODE", "LIFE", "SLOT", "ADDRESS", "ROLE", "LEAVES"];
    let rows: Vec<_> = members.iter().map(cells).collect();
    table(&head, &rows).iter().try_for_each(|line| show(line))?;
    let votes = members.iter().filter(|it| it.role == "leader" || it.role == "voter").count();
    show(&format!("{} members, {votes} of them vote", members.len()))
}

fn cells(member: &Member) -> Vec<String> {
    let Member { node, life, slot, address, role, leaves } = member;
    let life = life.map_or("-".to_owned(), |life| life.to_string());
    let leaves = if *leaves { "yes" } else { "no" };
    vec![node.to_string(), life, slot.to_string(), plain(address), plain(role), leaves.to_owned()]
}

/// Lets a node leave, and waits until it has.
pub(crate) fn leave(node: u64, group: &Group) -> Verdict {
    let waiting = Waiting::show(&format!("waiting for node {node} to leave"));
    let left =
        ask::leave(&group.nodes, GroupId::new(group.number), group.timeout, NodeId::new(node));
    drop(waiting);
    match left {
        Ok(()) => show(&format!("node {node} has left group {}", group.number)),
        Err(NoAnswer::Unknown { within }) => Err(Failure::NoAnswer(format!(
            "node {node} is told to leave and has not left within {within:?}; it will as soon as the \
             group can do without it: see quorate members"
        ))),
        Err(failure) => Err(failure.into()),
    }
}
