//! openraft 0.9.25 on a current-thread runtime: vector log, calls instead of a network, no log lines
//! compiled in, no heartbeats under load. What it does beside that is its own.

use crate::load::Measured;
use openraft::error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    BasicNode, Config, Entry, EntryPayload, LogId, LogState, OptionalSend, Raft, RaftLogReader,
    RaftNetwork, RaftNetworkFactory, RaftSnapshotBuilder, Snapshot, SnapshotMeta, SnapshotPolicy,
    StorageError, StoredMembership, Vote,
};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

openraft::declare_raft_types!(pub(crate) Types: D = Vec<u8>, R = (), SnapshotData = Vec<u8>);

type Id = u64;
type Stored<T> = Result<T, StorageError<Id>>;
type Called<T> = Result<T, RPCError<Id, BasicNode, RaftError<Id>>>;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    first: u64,
    entries: Vec<Entry<Types>>,
    purged: Option<LogId<Id>>,
    vote: Option<Vote<Id>>,
}

impl Log {
    fn held<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        act(&mut self.0.lock().expect("nobody panics with it"))
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: B,
    ) -> Stored<Vec<Entry<Types>>> {
        Ok(self.held(|log| {
            let end = log.first + log.entries.len() as u64;
            let from = match range.start_bound() {
                Bound::Included(at) => *at,
                Bound::Excluded(at) => *at + 1,
                Bound::Unbounded => 0,
            };
            let to = match range.end_bound() {
                Bound::Included(at) => *at + 1,
                Bound::Excluded(at) => *at,
                Bound::Unbounded => end,
            };
            let place =
                |at: u64| usize::try_from(at.clamp(log.first, end) - log.first).unwrap_or(0);
            log.entries.get(place(from)..place(to)).unwrap_or_default().to_vec()
        }))
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Stored<LogState<Types>> {
        Ok(self.held(|log| LogState {
            last_purged_log_id: log.purged,
            last_log_id: log.entries.last().map(|entry| entry.log_id).or(log.purged),
        }))
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<Id>) -> Stored<()> {
        self.held(|log| log.vote = Some(*vote));
        Ok(())
    }

    async fn read_vote(&mut self) -> Stored<Option<Vote<Id>>> {
        Ok(self.held(|log| log.vote))
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Stored<()>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.held(|log| log.entries.extend(entries));
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<Id>) -> Stored<()> {
        self.held(|log| {
            log.entries.truncate(usize::try_from(from.index - log.first).unwrap_or(0));
        });
        Ok(())
    }

    async fn purge(&mut self, up_to: LogId<Id>) -> Stored<()> {
        self.held(|log| {
            log.entries.drain(..usize::try_from(up_to.index + 1 - log.first).unwrap_or(0));
            (log.first, log.purged) = (up_to.index + 1, Some(up_to));
        });
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Counter {
    last: Option<LogId<Id>>,
    membership: StoredMembership<Id, BasicNode>,
    count: Arc<AtomicU64>,
}

impl RaftSnapshotBuilder<Types> for Counter {
    async fn build_snapshot(&mut self) -> Stored<Snapshot<Types>> {
        let meta = SnapshotMeta {
            last_log_id: self.last,
            last_membership: self.membership.clone(),
            snapshot_id: String::new(),
        };
        Ok(Snapshot { meta, snapshot: Box::default() })
    }
}

impl RaftStateMachine<Types> for Counter {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Stored<(Option<LogId<Id>>, StoredMembership<Id, BasicNode>)> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<()>>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let apply = |entry: Entry<Types>| {
            self.last = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Normal(_) => {
                    self.count.fetch_add(1, Relaxed);
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
                EntryPayload::Blank => {}
            }
        };
        Ok(entries.into_iter().map(apply).collect())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<Vec<u8>>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        _: &SnapshotMeta<Id, BasicNode>,
        _: Box<Vec<u8>>,
    ) -> Stored<()> {
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot<Types>>> {
        Ok(None)
    }
}

/// The way to every node.
#[derive(Clone, Default)]
struct Router {
    nodes: Arc<RwLock<BTreeMap<Id, Raft<Types>>>>,
    calls: Arc<AtomicU64>,
}

/// The way to one node.
struct Line(Router, Id);

impl Line {
    fn node(&self) -> Raft<Types> {
        self.0.calls.fetch_add(1, Relaxed);
        self.0.nodes.read().expect("nobody panics with it")[&self.1].clone()
    }
}

impl RaftNetworkFactory<Types> for Router {
    type Network = Line;

    async fn new_client(&mut self, to: Id, _: &BasicNode) -> Line {
        Line(self.clone(), to)
    }
}

impl RaftNetwork<Types> for Line {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Called<AppendEntriesResponse<Id>> {
        Ok(self.node().append_entries(request).await.expect("nobody stops"))
    }

    async fn vote(&mut self, request: VoteRequest<Id>, _: RPCOption) -> Called<VoteResponse<Id>> {
        Ok(self.node().vote(request).await.expect("nobody stops"))
    }

    async fn full_snapshot(
        &mut self,
        _: Vote<Id>,
        _: Snapshot<Types>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Id>, StreamingError<Types, Fatal<Id>>> {
        unreachable!("nobody lags so far")
    }
}

/// Commits entries, each of so many clients one at a time, and applies them on every node.
pub(crate) fn commit(nodes: usize, clients: u64, count: u64) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("has a runtime").block_on(async {
        let (router, nodes, counts) = group(nodes as u64).await;
        let before = router.calls.load(Relaxed);
        let next = Arc::new(AtomicU64::new(0));
        let client = |_| {
            let (leader, next) = (nodes[0].clone(), next.clone());
            tokio::spawn(async move {
                while next.fetch_add(1, Relaxed) < count {
                    leader.client_write(vec![7; 64]).await.expect("leads");
                }
            })
        };
        for client in (0..clients).map(client).collect::<Vec<_>>() {
            client.await.expect("is done");
        }
        // Word of the last commits only travels with the next message, which nobody sends: what is
        // missing is at most a batch.
        let is_applied = |it: &Arc<AtomicU64>| it.load(Relaxed) + 4_096 >= count;
        while !counts.iter().all(is_applied) {
            tokio::task::yield_now().await;
        }
        Measured { messages: 2 * (router.calls.load(Relaxed) - before), bytes: 0 }
    })
}

async fn group(count: u64) -> (Router, Vec<Raft<Types>>, Vec<Arc<AtomicU64>>) {
    let config = Config {
        snapshot_policy: SnapshotPolicy::Never,
        max_payload_entries: 4_096,
        heartbeat_interval: 60_000,
        election_timeout_min: 300_000,
        election_timeout_max: 400_000,
        ..Config::default()
    };
    let config = Arc::new(config.validate().expect("the configuration is sound"));
    let (router, mut nodes, mut counts) = (Router::default(), Vec::new(), Vec::new());
    for id in 0..count {
        let state = Counter::default();
        counts.push(state.count.clone());
        let node = Raft::new(id, config.clone(), router.clone(), Log::default(), state).await;
        let node = node.expect("starts");
        router.nodes.write().expect("nobody panics with it").insert(id, node.clone());
        nodes.push(node);
    }
    let members: BTreeMap<Id, BasicNode> =
        (0..count).map(|id| (id, BasicNode::default())).collect();
    nodes[0].initialize(members).await.expect("is new");
    let patience = Some(Duration::from_secs(20));
    nodes[0].wait(patience).current_leader(0, "elected").await.expect("is elected");
    (router, nodes, counts)
}
