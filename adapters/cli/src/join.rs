//! Joining a group: a node with an empty data folder gets a seat, and writes down which.

use crate::output::{Waiting, show, tell};
use crate::verdict::{Failure, Verdict};
use quorate::id::{GroupId, Incarnation};
use quorate_host::config::Config;
use quorate_host::joining::{Joining, NotJoined};
use quorate_host::protocol::Member;
use quorate_host::store::OpenError;
use quorate_std::ask;
use std::path::Path;
use std::time::Duration;

/// How long a node that is started waits for a seat.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gets a seat for a node that has none yet.
pub(crate) fn join(config: &Config, nodes: &[String]) -> Verdict {
    if let Some(joining) = Joining::open(config)? {
        tell(&take_seat(config, joining, nodes, PATIENCE)?);
    }
    Ok(())
}

/// Gets a seat for a new life of a node, in place of the one that lost its data.
pub(crate) fn replace(file: &Path, nodes: &[String], timeout: Duration) -> Verdict {
    let config = Config::load(file).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut joining = Joining::open(&config)?.ok_or_else(|| {
        let (data, node) = (config.node.data.display(), config.node.id);
        let what = "serve it, or move it away if it is of no use";
        Failure::Usage(format!("{data} has the data of node {node}; {what}"))
    })?;
    joining.replace(latest_life(&config, nodes, timeout)?)?;
    show(&take_seat(&config, joining, nodes, timeout)?)
}

/// The newest life of this node that the group knows.
fn latest_life(
    config: &Config,
    nodes: &[String],
    timeout: Duration,
) -> Result<Incarnation, Failure> {
    let group = GroupId::new(config.group.id);
    let members = ask::members(nodes, group, timeout)?;
    let of_node = members.iter().filter(|it: &&Member| it.node == config.node.id);
    of_node.filter_map(|it| it.life).max().map(Incarnation::new).ok_or_else(|| {
        let node = config.node.id;
        let line = format!("node {node} is no member of group {group}; let it join: serve --join");
        Failure::Refused(line)
    })
}

/// Returns what has come of it, in words.
fn take_seat(
    config: &Config,
    joining: Joining,
    nodes: &[String],
    timeout: Duration,
) -> Result<String, Failure> {
    let waiting = Waiting::show("waiting for a seat");
    let slot = ask::join(joining, nodes, timeout)?;
    drop(waiting);
    Ok(format!("node {} has seat {slot} in group {}", config.node.id, config.group.id))
}

impl From<NotJoined> for Failure {
    fn from(error: NotJoined) -> Self {
        match error {
            NotJoined::Failed(failure) => failure.into(),
            NotJoined::Open(error @ OpenError::Address(_)) => Self::Usage(error.to_string()),
            other => Self::Refused(other.to_string()),
        }
    }
}
