//! Joining a group: a node with an empty data folder gets a seat, and writes down which.

use crate::output::{Waiting, show, tell};
use crate::verdict::{Failure, Verdict};
use quorate::id::{GroupId, Incarnation, NodeId};
use quorate::membership::roster::Life;
use quorate_host::config::Config;
use quorate_host::folder::{Folder, Identity, Seat};
use quorate_host::protocol::{Ask, Member, ReplyBody};
use quorate_host::store::address_of;
use quorate_std::ask;
use std::path::Path;
use std::time::Duration;

/// How long a node that is started waits for a seat.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gets a seat for a node that has none yet.
pub(crate) fn join(config: &Config, nodes: &[String]) -> Verdict {
    let folder = open(config)?;
    if folder.seat().is_none() {
        tell(&take_seat(config, folder, nodes, None, PATIENCE)?);
    }
    Ok(())
}

/// Gets a seat for a new life of a node, in place of the one that lost its data.
pub(crate) fn replace(file: &Path, nodes: &[String], timeout: Duration) -> Verdict {
    let config = Config::load(file).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut folder = open(&config)?;
    let data = config.node.data.display().to_string();
    if folder.seat().is_some() {
        let line = format!(
            "{data} has the data of node {}; serve it, or move it away if it is of no use",
            config.node.id
        );
        return Err(Failure::Usage(line));
    }
    let lost = latest_life(&config, nodes, timeout)?;
    folder.outlive(lost).map_err(|error| Failure::Refused(error.to_string()))?;
    show(&take_seat(&config, folder, nodes, Some(lost), timeout)?)
}

fn open(config: &Config) -> Result<Folder, Failure> {
    let identity = Identity { group: config.group.id, node: config.node.id };
    Folder::open(&config.node.data, identity).map_err(|error| Failure::Refused(error.to_string()))
}

/// The newest life of this node that the group knows.
fn latest_life(config: &Config, nodes: &[String], timeout: Duration) -> Result<u64, Failure> {
    let group = GroupId::new(config.group.id);
    let members = ask::members(nodes, group, timeout)?;
    let of_node = members.iter().filter(|it: &&Member| it.node == config.node.id);
    of_node.filter_map(|it| it.life).max().ok_or_else(|| {
        let node = config.node.id;
        let line = format!("node {node} is no member of group {group}; let it join: serve --join");
        Failure::Refused(line)
    })
}

/// Returns what has come of it, in words.
fn take_seat(
    config: &Config,
    mut folder: Folder,
    nodes: &[String],
    replaces: Option<u64>,
    timeout: Duration,
) -> Result<String, Failure> {
    let address = address_of(&config.node).map_err(|error| Failure::Usage(error.to_string()))?;
    let (node, group) = (NodeId::new(config.node.id), GroupId::new(config.group.id));
    let life = Life { node, incarnation: Incarnation::new(folder.incarnation()) };
    let ask = Ask::Join { life, address, replaces: replaces.map(Incarnation::new) };
    let waiting = Waiting::show("waiting for a seat");
    let answer = ask::any(nodes, group, timeout, &ask)?;
    drop(waiting);
    let ReplyBody::Seated { slot, since, founders, replication_factor, heartbeat_timeout_ms, page } =
        answer
    else {
        let line = "a node answered something else; use the program of its version";
        return Err(Failure::Refused(line.to_owned()));
    };
    let kept = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
    let page = quorate_host::store::bytes_of_page(&page);
    // First where the others are, then who this is: with the second the node has joined.
    folder.keep_members(&page).map_err(|error| kept(&error))?;
    let seat = Seat {
        slot: slot.number(),
        since: since.number(),
        founders: founders.bits(),
        replication_factor,
        heartbeat_timeout_ms,
    };
    folder.settle(seat).map_err(|error| kept(&error))?;
    Ok(format!("node {node} has seat {slot} in group {group}"))
}
