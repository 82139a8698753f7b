//! `quorate serve`: a node of a group that keeps leases.

use crate::join;
use crate::output::tell;
use crate::verdict::{Failure, Verdict};
use quorate_host::config::Config;
use quorate_host::lease;
use quorate_std::node::Node;
use std::path::Path;

/// Serves until the node stops by itself. A signal ends the process at once, and that is all right:
/// what was acknowledged is on the disk.
pub(crate) fn run(file: &Path, record: Option<&Path>, join: &[String]) -> Verdict {
    let config = Config::load(file).map_err(|error| Failure::Usage(error.to_string()))?;
    if !join.is_empty() {
        join::join(&config, join)?;
    }
    let node = Node::start_recorded(&config, lease::table(), record).map_err(|error| {
        let line = error.to_string();
        if error.is_usage() { Failure::Usage(line) } else { Failure::Refused(line) }
    })?;
    let (id, group) = (config.node.id, config.group.id);
    tell(&format!("node {id} of group {group} listens on {}", node.address()));
    node.wait().map_err(|stopped| Failure::Refused(stopped.to_string()))?;
    tell(&format!("node {id} has left group {group} and stops"));
    Ok(())
}
