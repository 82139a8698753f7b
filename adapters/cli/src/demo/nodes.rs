//! The nodes: separate processes of this very program, on loopback, each with a disk of its own.

use super::relay::Link;
use crate::arguments::Runtime;
use quorate::id::GroupId;
use quorate_host::protocol::Status;
use quorate_std::client;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many nodes there are.
pub(super) const COUNT: usize = 5;

/// The group that they form.
pub(super) const GROUP: GroupId = GroupId::new(1);

/// A group of processes and the links between them.
pub(super) struct Nodes {
    folder: PathBuf,
    runtime: Runtime,
    addresses: Vec<SocketAddr>,
    /// From each node (row) to each other (column).
    links: Vec<Vec<Option<Link>>>,
    processes: Mutex<Vec<Option<Child>>>,
}

impl Nodes {
    /// Lays out folders, links and configurations, and starts every node.
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
        let nodes = Self { folder: folder.to_path_buf(), runtime, addresses, links, processes };
        for node in 0..COUNT {
            fs::write(nodes.config_of(node), nodes.configuration(node))?;
            nodes.spawn(node)?;
        }
        Ok(nodes)
    }

    fn config_of(&self, node: usize) -> PathBuf {
        self.folder.join(format!("node{}.toml", node + 1))
    }

    /// A node knows itself by its own port and each other by the link that leads there.
    fn configuration(&self, node: usize) -> String {
        let mut text = format!(
            "[node]\nid = {}\nlisten = \"{}\"\ndata = \"data{}\"\n\n\
             [consensus_group]\nreplication_factor = {COUNT}\npreset = \"lan\"\n",
            node + 1,
            self.addresses[node],
            node + 1
        );
        for other in 0..COUNT {
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
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)[node] = Some(child);
        Ok(())
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
        for link in out.chain(back).flatten() {
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
            client::status(&address.to_string(), GROUP, Duration::from_millis(300)).ok()
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
