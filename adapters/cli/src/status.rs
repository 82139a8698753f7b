//! `quorate status`: how each node is.

use crate::arguments::Group;
use crate::output::{Waiting, plain, show, show_json, table};
use crate::verdict::{Failure, Verdict};
use quorate::id::GroupId;
use quorate_host::protocol::Status;
use quorate_std::ask;
use quorate_std::client::Failure as NoStatus;
use serde::Serialize;
use std::thread;

/// One node's row: how it is, or why that is not known.
struct Row {
    address: String,
    found: Result<Status, NoStatus>,
}

/// Asks all nodes at once, so that the dead ones cost the timeout once and not each.
pub(crate) fn run(group: &Group, json: bool) -> Verdict {
    let waiting = Waiting::show(&format!("asking {} nodes", group.nodes.len()));
    let rows = ask(group);
    drop(waiting);
    if json {
        rows.iter().try_for_each(show_row)?;
    } else {
        let cells: Vec<_> = rows.iter().map(cells).collect();
        table(&HEAD, &cells).iter().try_for_each(|line| show(line))?;
    }
    let answered: Vec<_> = rows.iter().filter_map(|row| row.found.as_ref().ok()).collect();
    let (count, all) = (answered.len(), rows.len());
    if count > 0 {
        let leader = answered.iter().find(|status| status.role == "leader");
        let leader = leader.map_or("none of them leads".to_owned(), |status| {
            format!("node {} leads in term {}", status.node, status.term)
        });
        return if json {
            Ok(())
        } else {
            show(&format!("{count} of {all} nodes answer; {leader}"))
        };
    }
    let refused = rows.iter().find_map(|row| match &row.found {
        Err(NoStatus::Refused(why)) => Some(why),
        _ => None,
    });
    Err(match refused {
        Some(why) => Failure::Refused(format!("{why}; check --nodes and --group")),
        None => Failure::NoAnswer(format!(
            "0 of {all} nodes answer within {:?}; check that they run, and their addresses",
            group.timeout
        )),
    })
}

fn ask(group: &Group) -> Vec<Row> {
    let number = GroupId::new(group.number);
    let ask = |address: &String| ask::status(address, number, group.timeout);
    thread::scope(|scope| {
        let asked: Vec<_> = group
            .nodes
            .iter()
            .map(|address| (address, scope.spawn(move || ask(address))))
            .collect();
        asked
            .into_iter()
            .map(|(address, thread)| {
                let found = thread.join().unwrap_or_else(|_| ask(address));
                Row { address: address.clone(), found }
            })
            .collect()
    })
}

const HEAD: [&str; 11] = [
    "NODE", "GROUP", "ROLE", "TERM", "LEADER", "FIRST", "LAST", "DURABLE", "COMMIT", "APPLIED",
    "LAG",
];

/// A row for people.
fn cells(row: &Row) -> Vec<String> {
    let status = match &row.found {
        Ok(status) => status,
        Err(why) => return vec![row.address.clone(), plain(&reason(why))],
    };
    let leader = status.leader.map_or("-".to_owned(), |leader| leader.to_string());
    let Status { node, group, role, term, first, last, durable, commit, applied, lag, .. } = status;
    let mut cells =
        vec![node.to_string(), group.to_string(), plain(role), term.to_string(), leader];
    cells.extend([first, last, durable, commit, applied, lag].map(u64::to_string));
    cells
}

/// The row of a node that did not say how it is.
#[derive(Serialize)]
struct Silent<'a> {
    node: &'a str,
    error: String,
}

fn show_row(row: &Row) -> Verdict {
    match &row.found {
        Ok(status) => show_json(status),
        Err(why) => show_json(&Silent { node: &row.address, error: reason(why) }),
    }
}

/// What the one node that was asked did, without the advice for a whole group.
fn reason(why: &NoStatus) -> String {
    match why {
        NoStatus::NoAnswer { nodes, .. } => {
            nodes.first().map_or_else(|| why.to_string(), |(_, did)| did.clone())
        }
        _ => why.to_string(),
    }
}
