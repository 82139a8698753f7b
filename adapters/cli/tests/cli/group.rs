//! Groups of real nodes on loopback.

use crate::program::{Ran, await_some, command, quorate};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Runs tests on each runtime: they take its name.
macro_rules! on_each_runtime {
    ($($test:ident),* $(,)?) => {
        mod on_std {
            $(#[test] fn $test() { super::$test("std"); })*
        }
        mod on_tokio {
            $(#[test] fn $test() { super::$test("tokio"); })*
        }
    };
}
pub(crate) use on_each_runtime;

/// Nodes numbered from 1, each a process; they end with the value, and their data with them.
pub(crate) struct Group {
    folder: TempDir,
    runtime: &'static str,
    is_recorded: bool,
    /// How many of the nodes found the group, and how many are to vote.
    founders: usize,
    wanted: usize,
    ports: Vec<u16>,
    nodes: Vec<Option<Child>>,
}

impl Group {
    /// Starts a group of so many nodes, and waits until one of them leads.
    pub(crate) fn start(count: usize, runtime: &'static str) -> Self {
        Self::start_so(count, count, runtime, false)
    }

    /// Starts a group of so many founders that wants more voters.
    pub(crate) fn start_wanting(count: usize, wanted: usize, runtime: &'static str) -> Self {
        Self::start_so(count, wanted, runtime, false)
    }

    /// The same, and each node is recorded.
    pub(crate) fn start_recorded(count: usize, runtime: &'static str) -> Self {
        Self::start_so(count, count, runtime, true)
    }

    fn start_so(count: usize, wanted: usize, runtime: &'static str, is_recorded: bool) -> Self {
        // Another process may take a port between our choice and its use; then others are chosen.
        let group = await_some("a group with free ports", || {
            Self::try_start(count, wanted, runtime, is_recorded)
        });
        group.await_leader();
        group
    }

    fn try_start(
        count: usize,
        wanted: usize,
        runtime: &'static str,
        is_recorded: bool,
    ) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ports = free_ports(count);
        let (founders, nodes) = (count, Vec::new());
        let mut group = Self { folder, runtime, is_recorded, founders, wanted, ports, nodes };
        for node in 1..=count {
            fs::write(group.config(node), group.configuration(node)).expect("room for a file");
            group.nodes.push(None);
            group.spawn(node);
        }
        (1..=count).all(|node| group.is_listening(node)).then_some(group)
    }

    /// Whether a node has come to listen, once that is decided.
    fn is_listening(&mut self, node: usize) -> bool {
        await_some("a node that listens, or ends", || {
            let ended = self.nodes[node - 1].as_mut()?.try_wait().expect("a child").is_some();
            let listens = self.said(node).contains(" listens on ");
            (ended || listens).then_some(!ended)
        })
    }

    pub(crate) fn config(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("node{node}.toml"))
    }

    pub(crate) fn recording(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("node{node}.recording"))
    }

    pub(crate) fn configuration(&self, node: usize) -> String {
        let port = self.ports[node - 1];
        let mut text = format!(
            "[node]\nid = {node}\nlisten = \"127.0.0.1:{port}\"\ndata = \"data/{node}\"\n\
             [consensus_group]\nreplication_factor = {}\n",
            self.wanted
        );
        if node > self.founders {
            return text;
        }
        for (id, port) in (1..).zip(&self.ports).take(self.founders) {
            let _ = write!(text, "[[member]]\nid = {id}\naddress = \"127.0.0.1:{port}\"\n");
        }
        text
    }

    /// Starts another node, which joins the group through all the others. Returns its number.
    pub(crate) fn join(&mut self) -> usize {
        self.ports.extend(free_ports(1));
        let node = self.ports.len();
        fs::write(self.config(node), self.configuration(node)).expect("room for a file");
        self.nodes.push(None);
        self.spawn_with(node, &format!(" --join {}", self.addresses_without(node)));
        node
    }

    /// A node's data folder.
    pub(crate) fn data(&self, node: usize) -> PathBuf {
        self.folder.path().join("data").join(node.to_string())
    }

    /// Whether a node's process has ended by itself, and with success.
    pub(crate) fn has_ended(&mut self, node: usize) -> Option<bool> {
        let ended = self.nodes[node - 1].as_mut()?.try_wait().expect("a child");
        ended.map(|status| status.success())
    }

    /// Starts a node that does not run.
    pub(crate) fn spawn(&mut self, node: usize) {
        self.spawn_with(node, "");
    }

    fn spawn_with(&mut self, node: usize, more: &str) {
        let log = self.folder.path().join(format!("node{node}.log"));
        let log = File::options().create(true).append(true).open(log).expect("room for a log");
        let mut serve = command(&format!("serve --runtime {}{more} --config", self.runtime));
        serve.arg(self.config(node)).stdout(Stdio::null()).stderr(log);
        if self.is_recorded {
            serve.arg("--record").arg(self.recording(node));
        }
        self.nodes[node - 1] = Some(serve.spawn().expect("a process"));
    }

    /// Ends a node as a power cut would: SIGKILL.
    pub(crate) fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.nodes[node - 1].take() {
            child.kill().and_then(|()| child.wait()).expect("a child");
        }
    }

    /// Asks a node to end, and returns its exit code once it has.
    pub(crate) fn terminate(&mut self, node: usize) -> Option<i32> {
        let mut child = self.nodes[node - 1].take().expect("it runs");
        let asked = Command::new("kill").arg(child.id().to_string()).status();
        assert!(asked.expect("there is a kill").success());
        child.wait().expect("a child").code()
    }

    /// All that a node has written to its standard error.
    pub(crate) fn said(&self, node: usize) -> String {
        let log = self.folder.path().join(format!("node{node}.log"));
        fs::read_to_string(log).unwrap_or_default()
    }

    pub(crate) fn address(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.ports[node - 1])
    }

    /// The addresses of all nodes but one, which may be none of them.
    pub(crate) fn addresses_without(&self, node: usize) -> String {
        let others = (1..=self.ports.len()).filter(|other| *other != node);
        others.map(|other| self.address(other)).collect::<Vec<_>>().join(",")
    }

    /// Runs a command that asks the group, in time enough for any election.
    pub(crate) fn ask(&self, arguments: &str) -> Ran {
        self.ask_without(0, arguments)
    }

    /// The same, without one of the nodes.
    pub(crate) fn ask_without(&self, node: usize, arguments: &str) -> Ran {
        quorate(&format!("{arguments} --timeout 40s --nodes {}", self.addresses_without(node)))
    }

    /// What `status --json` says, a row for each node.
    pub(crate) fn status(&self) -> Vec<Value> {
        let all = self.addresses_without(0);
        let ran = quorate(&format!("status --json --timeout 5s --nodes {all}"));
        ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    pub(crate) fn await_leader(&self) -> usize {
        await_some("a leader", || {
            let rows = self.status();
            let leader = rows.iter().find(|row| row["role"] == "leader")?;
            usize::try_from(leader["node"].as_u64()?).ok()
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

/// Ports that nobody listens on. All are held until the last is chosen, so that they differ.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
    let held: Vec<_> = (0..count).map(bind).collect();
    held.iter().map(|listener| listener.local_addr().expect("it listens").port()).collect()
}
