//! The nodes: separate processes of this very program, on loopback, each with a disk of its own.

use super::relay::Link;
use crate::arguments::Runtime;
use quorate::id::{GroupId, NodeId};
use quorate_host::protocol::{Member, Status};
use quorate_std::ask;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many nodes there are at most, and how many of them found the group.
pub(super) const COUNT: usize = 5;
pub(super) const FOUNDERS: usize = 3;

/// The group that they form.
pub(super) const GROUP: GroupId = GroupId::new(1);

/// A group of processes and the links between them.
pub(super) struct Nodes {
    folder: PathBuf,
    runtime: Runtime,
    addresses: Vec<SocketAddr>,
    /// From each node (row) to each other (column).
    links: Vec<Vec<Option<Link>>>,
    /// The way by which a node that joins lets itself be reached.
    fronts: Vec<Link>,
    processes: Mutex<Vec<Option<Child>>>,
}

impl Nodes {
    /// Lays out folders, links and configurations, and starts the founders.
    pub(super) fn start(folder: &Path, runtime: Runtime) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // The ports stay taken until every one is chosen, so that no two are the same.
        let ports: Vec<_> =
            (0..COUNT).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
        let addresses: Vec<_> =
            ports.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        drop(ports);
        let mut links = Vec::new();
        for from in 0..COUNT {
            let to = |(to, &address): (usize, &SocketAddr)| {
                if from == to { Ok(None) } else { Link::open(address).map(Some) }
            };
            links.push(addresses.iter().enumerate().map(to).collect::<io::Result<Vec<_>>>()?);
        }
        let processes = Mutex::new((0..COUNT).map(|_| None).collect());
        let fronts = addresses.iter().copied().map(Link::open).collect::<io::Result<_>>()?;
        let nodes =
            Self { folder: folder.to_path_buf(), runtime, addresses, links, fronts, processes };
        for node in 0..COUNT {
            fs::write(nodes.config_of(node), nodes.configuration(node))?;
        }
        (0..FOUNDERS).try_for_each(|node| nodes.spawn(node))?;
        Ok(nodes)
    }

    fn config_of(&self, node: usize) -> PathBuf {
        self.folder.join(format!("node{}.toml", node + 1))
    }

    /// A node knows itself by its own port and each other by the link that leads there; founders know only
    /// each other.
    fn configuration(&self, node: usize) -> String {
        let mut text = format!(
            "[node]\nid = {}\nlisten = \"{}\"\nadvertise = \"{}\"\ndata = \"data{}\"\n\n\
             [consensus_group]\nreplication_factor = {COUNT}\npreset = \"lan\"\n",
            node + 1,
            self.addresses[node],
            self.fronts[node].address,
            node + 1
        );
        for other in 0..if node < FOUNDERS { FOUNDERS } else { COUNT } {
            let link = self.links[node][other].as_ref().map(|link| link.address);
            let address = link.unwrap_or(self.addresses[other]);
            let _ = write!(text, "\n[[member]]\nid = {}\naddress = \"{address}\"\n", other + 1);
        }
        text
    }

    /// Starts a node that does not run.
    pub(super) fn spawn(&self, node: usize) -> io::Result<()> {
        let log = self.folder.join(format!("node{}.log", node + 1));
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(std::env::current_exe()?)
            .args(["serve", "--runtime", self.runtime.name(), "--config"])
            .arg(self.config_of(node))
            .args(self.joins(node))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)[node] = Some(child);
        Ok(())
    }

    /// Whoever founds no group joins one.
    fn joins(&self, node: usize) -> Vec<String> {
        let founders = self.addresses.iter().take(FOUNDERS).map(ToString::to_string);
        let founders = founders.collect::<Vec<_>>().join(",");
        if node < FOUNDERS { Vec::new() } else { vec!["--join".to_owned(), founders] }
    }

    /// Whether a node runs; one that has ended by itself does not.
    pub(super) fn runs(&self, node: usize) -> bool {
        let child = &mut self.processes.lock().unwrap_or_else(PoisonError::into_inner)[node];
        if child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_)))) {
            *child = None;
        }
        child.is_some()
    }

    /// Which nodes vote, as the first that answers knows.
    pub(super) fn voters(&self) -> Vec<usize> {
        let all = ask::members(&self.addresses(), GROUP, Duration::from_secs(1));
        let votes = |it: &Member| it.role == "voter" || it.role == "leader";
        let voters = all.into_iter().flatten().filter(votes);
        voters.filter_map(|it| usize::try_from(it.node).ok()?.checked_sub(1)).collect()
    }

    /// Lets a node leave the group, and waits until it has.
    pub(super) fn leave(&self, node: usize, patience: Duration) -> Result<(), String> {
        let id = NodeId::new(node as u64 + 1);
        ask::leave(&self.addresses(), GROUP, patience, id).map_err(|failure| failure.to_string())
    }

    /// Kills a node as a power cut would: SIGKILL, no goodbye.
    pub(super) fn kill(&self, node: usize) -> io::Result<()> {
        let child = self.processes.lock().unwrap_or_else(PoisonError::into_inner)[node].take();
        let Some(mut child) = child else { return Ok(()) };
        child.kill()?;
        child.wait().map(|_| ())
    }

    /// Cuts every link of a node, in both directions, or mends them.
    pub(super) fn isolate(&self, node: usize, isolate: bool) {
        let out = self.links[node].iter();
        let back = self.links.iter().filter_map(|row| row.get(node));
        for link in out.chain(back).flatten().chain(self.fronts.get(node)) {
            if isolate { link.cut() } else { link.mend() }
        }
    }

    /// Where clients find the nodes.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.addresses.iter().map(ToString::to_string).collect()
    }

    /// What every node says of itself, if it answers.
    pub(super) fn statuses(&self) -> Vec<Option<Status>> {
        let ask = |address: &SocketAddr| {
            ask::status(&address.to_string(), GROUP, Duration::from_millis(300)).ok()
        };
        self.addresses.iter().map(ask).collect()
    }

    /// The node that leads and its term, the newest if several believe that they do; `other_than`
    /// is not looked at.
    pub(super) fn leader(&self, other_than: Option<usize>) -> Option<(usize, u64)> {
        let leads = |(node, status): (usize, Option<Status>)| {
            status.filter(|status| status.role == "leader").map(|status| (status.term, node))
        };
        let statuses = self.statuses().into_iter().enumerate();
        let others = statuses.filter(|(node, _)| Some(*node) != other_than);
        others.filter_map(leads).max().map(|(term, node)| (node, term))
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in 0..COUNT {
            let _ = self.kill(node);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
