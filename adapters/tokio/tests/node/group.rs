//! Groups in this process. Each node has a runtime of its own, so that it can be killed.

use quorate::id::GroupId;
use quorate_host::config::Config;
use quorate_host::protocol::{Service, Status};
use quorate_tokio::{Handle, Node, Stopped};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

pub(crate) const GROUP: GroupId = GroupId::new(1);
/// How long anything may take that is not supposed to take long, on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A node as some runtime hosts it.
enum Host<S: Service> {
    Tokio(Runtime, Node<S>),
    Threads(quorate_std::node::Node),
}

/// Nodes numbered from 1.
pub(crate) struct Group<S: Service> {
    folder: TempDir,
    timeout_ms: u64,
    ports: Vec<u16>,
    hosts: Vec<Option<Host<S>>>,
}

impl<S: Service + Clone> Group<S> {
    /// A group on tokio alone, with that election timeout.
    pub(crate) async fn start(count: usize, timeout_ms: u64, state: &S) -> Self {
        let mut group = Self::rest(count, timeout_ms);
        for node in 1..=count {
            group.spawn(node, state).await;
        }
        group
    }

    /// A group on threads alone.
    pub(crate) fn start_on_threads(count: usize, timeout_ms: u64, state: &S) -> Self {
        let mut group = Self::rest(count, timeout_ms);
        (1..=count).for_each(|node| group.spawn_on_threads(node, state));
        group
    }

    /// A group of which no node runs yet.
    pub(crate) fn rest(count: usize, timeout_ms: u64) -> Self {
        let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
        let held: Vec<_> = (0..count).map(bind).collect();
        let ports = held.iter().map(|port| port.local_addr().unwrap().port()).collect();
        let hosts = (0..count).map(|_| None).collect();
        Self { folder: tempfile::tempdir().unwrap(), timeout_ms, ports, hosts }
    }

    pub(crate) fn config(&self, node: usize) -> Config {
        let mut text = format!(
            "[node]\nid = {node}\nlisten = \"{}\"\ndata = \"data/{node}\"\n\
             [consensus_group]\nheartbeat_timeout_ms = {}\n",
            self.address(node),
            self.timeout_ms
        );
        for id in 1..=self.ports.len() {
            let _ = write!(text, "[[member]]\nid = {id}\naddress = \"{}\"\n", self.address(id));
        }
        Config::parse("node.toml", &text, self.folder.path()).unwrap()
    }

    pub(crate) async fn spawn(&mut self, node: usize, state: &S) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (config, state, began) = (self.config(node), state.clone(), Instant::now());
        let starting = runtime.spawn(async move {
            loop {
                // The threads of one that was killed let go of its port and folder in their own time.
                match Node::start(&config, state.clone()).await {
                    Err(error) => assert!(began.elapsed() < LONG, "{error}"),
                    started => return started,
                }
            }
        });
        let started = starting.await.unwrap().expect("it starts");
        self.hosts[node - 1] = Some(Host::Tokio(runtime, started));
    }

    pub(crate) fn spawn_on_threads(&mut self, node: usize, state: &S) {
        let started = quorate_std::node::Node::start(&self.config(node), state.clone());
        self.hosts[node - 1] = Some(Host::Threads(started.expect("it starts")));
    }

    pub(crate) fn address(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.ports[node - 1])
    }

    /// A handle that knows every node.
    pub(crate) fn handle(&self) -> Handle<S> {
        let nodes: Vec<_> = (1..=self.ports.len()).map(|node| self.address(node)).collect();
        Handle::new(&nodes, GROUP, LONG).unwrap()
    }

    /// The handle of a node itself.
    pub(crate) fn handle_of(&self, node: usize) -> Handle<S> {
        match &self.hosts[node - 1] {
            Some(Host::Tokio(_, node)) => node.handle(),
            _ => panic!("node {node} does not run here"),
        }
    }

    /// Ends a node as a power cut would: nobody is told. One on threads cannot be killed.
    pub(crate) fn kill(&mut self, node: usize) {
        match self.hosts[node - 1].take() {
            Some(Host::Tokio(runtime, _)) => runtime.shutdown_background(),
            Some(Host::Threads(node)) => {
                node.stop();
                node.wait().unwrap();
            }
            None => {}
        }
    }

    /// Ends a node as it should be, and says how long that took.
    pub(crate) async fn shut_down(&mut self, node: usize) -> (Result<(), Stopped>, Duration) {
        let (host, began) = (self.hosts[node - 1].take(), Instant::now());
        let (ended, runtime) = match host.expect("it runs") {
            Host::Tokio(runtime, node) => (runtime.spawn(node.shutdown()), Some(runtime)),
            Host::Threads(node) => {
                node.stop();
                (spawn_blocking(|| node.wait()), None)
            }
        };
        let outcome = (ended.await.unwrap(), began.elapsed());
        runtime.into_iter().for_each(Runtime::shutdown_background);
        outcome
    }

    /// Asks all nodes how they are until what they say is as it should be.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        mut is_so: impl FnMut(&[Status]) -> Option<T>,
    ) -> T {
        let (handle, began) = (self.handle(), Instant::now());
        loop {
            let rows = handle.status().await;
            let rows: Vec<_> = rows.into_iter().filter_map(|(_, row)| row.ok()).collect();
            if let Some(found) = is_so(&rows) {
                return found;
            }
            assert!(began.elapsed() < LONG, "waited in vain for {what}");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn leader(&self) -> usize {
        let leads = |rows: &[Status]| {
            let newest = rows.iter().filter(|row| row.role == "leader").max_by_key(|row| row.term);
            newest.map(|row| usize::try_from(row.node).unwrap())
        };
        self.until("a leader", leads).await
    }

    /// Waits until so many nodes run and have applied the same.
    pub(crate) async fn agreement_of(&self, count: usize) {
        let agree = |rows: &[Status]| {
            let first = rows.first()?;
            let same = |row: &Status| row.applied == first.applied && row.lag == 0;
            (rows.len() == count && rows.iter().all(same)).then_some(())
        };
        self.until("agreement", agree).await;
    }
}

impl<S: Service> Drop for Group<S> {
    fn drop(&mut self) {
        for host in self.hosts.drain(..).flatten() {
            match host {
                Host::Tokio(runtime, _) => runtime.shutdown_background(),
                Host::Threads(node) => {
                    node.stop();
                    let _ = node.wait();
                }
            }
        }
    }
}
