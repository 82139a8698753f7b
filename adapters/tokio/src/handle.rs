//! What a service asks its group with.

use crate::session::{Session, status};
use quorate::id::GroupId;
use quorate_host::asking::{Failure, SaidOf, Work, WorkOf};
use quorate_host::protocol::{Service, Status};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Requests of one handle, and of all its clones, that are under way at once; more wait for one of
/// these. It is the number of its sessions too, and the group remembers some thousands of those.
pub const SESSIONS: usize = 16;

/// Asks a group, and finds who leads it. Clones share sessions and connections.
///
/// A request takes a session out of a pool, and a task of its own carries it to its end and puts the
/// session back. So a future may be dropped at any time: before its turn has come nothing happens, and
/// after that what was asked happens, at most once. The session goes on in either case.
pub struct Handle<S: Service>(Arc<Pool<S>>);

struct Pool<S: Service> {
    nodes: Vec<String>,
    group: GroupId,
    within: Duration,
    turns: Arc<Semaphore>,
    /// Those that wait; the one that was used last is used next, so that a quiet handle has one.
    idle: Mutex<Vec<Session<S>>>,
}

impl<S: Service> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Service> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("nodes", &self.0.nodes).finish_non_exhaustive()
    }
}

impl<S: Service> Handle<S> {
    /// A handle on a group of which some nodes are known. Each request ends `within` that time from
    /// when its turn has come. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Failure::Refused`] if there are no nodes, or more than a group has, or there is no time.
    pub fn new(nodes: &[String], group: GroupId, within: Duration) -> Result<Self, Failure> {
        let first = Session::new(nodes, group, within)?;
        let turns = Arc::new(Semaphore::new(SESSIONS));
        let idle = Mutex::new(vec![first]);
        Ok(Self(Arc::new(Pool { nodes: nodes.to_vec(), group, within, turns, idle })))
    }

    /// Has a command applied, once, and returns the response.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn propose(&self, command: S::Command) -> Result<S::Response, Failure> {
        self.ask(Work::Command(command)).await?.response()
    }

    /// Asks about the state as it is now or later, but not as it was before.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn read(&self, query: S::Query) -> Result<S::Answer, Failure> {
        self.ask(Work::Query(query)).await?.answer()
    }

    /// How each of the nodes is that this handle was given, by its address, in their order.
    pub async fn status(&self) -> Vec<(String, Result<Status, Failure>)> {
        let (group, within) = (self.0.group, self.0.within);
        let mut asked = JoinSet::new();
        for (place, address) in self.0.nodes.iter().cloned().enumerate() {
            asked.spawn(async move {
                let found = status(&address, group, within).await;
                (place, (address, found))
            });
        }
        let mut rows = asked.join_all().await;
        rows.sort_by_key(|(place, _)| *place);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    async fn ask(&self, work: WorkOf<S>) -> Result<SaidOf<S>, Failure> {
        let pool = Arc::clone(&self.0);
        let turn = Arc::clone(&pool.turns).acquire_owned().await;
        let asking = tokio::spawn(async move {
            let mut session = pool.session()?;
            let outcome = session.ask(work).await;
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
            drop(turn);
            outcome
        });
        // The runtime ends, and the task with it.
        asking.await.unwrap_or(Err(Failure::Unknown { within: self.0.within }))
    }
}

impl<S: Service> Pool<S> {
    fn session(&self) -> Result<Session<S>, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| Session::new(&self.nodes, self.group, self.within), Ok)
    }
}
