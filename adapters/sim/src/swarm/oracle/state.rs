//! What the committed entries come to, folded once more beside the members.

use super::super::hash::fold;
use super::super::hosted::{Bytes, Hosted, session_of};
use super::super::vault::{Found, Query, Response, Vault};
use super::{Leases, Verdict, ensure};
use quorate::id::{ClientId, EntryId};
use quorate::limits::Limits;
use quorate::raft::Snapshot;
use quorate::replica::{Body, Entry, Request};
use quorate::{Position, StateMachine};
use std::collections::BTreeMap;

/// A state and the sessions that it was reached by (Ongaro 2014, 6.3).
#[derive(Clone, Debug)]
struct Fold {
    at: u64,
    vault: Vault,
    /// The newest number of each session, and its last entry.
    sessions: BTreeMap<ClientId, (u64, u64)>,
    limit: usize,
}

impl Fold {
    /// Folds one entry in; tells whose command it was, if it took effect, and what it was answered.
    fn take(
        &mut self,
        id: EntryId,
        entry: &Entry<super::super::vault::Command>,
    ) -> Option<Response> {
        self.at = id.index.number();
        let at = Position { entry: id, stamp: entry.stamp };
        match &entry.body {
            Body::Barrier => {
                self.vault.leader_changed(at);
                None
            }
            Body::Change | Body::Roster(_) => None,
            Body::Due(command) => Some(self.vault.apply(at, command)),
            Body::Request(Request::Open { client }) => {
                self.open(*client);
                None
            }
            Body::Request(Request::Command { client, sequence, command }) => {
                let (last, used) = self.sessions.get_mut(client)?;
                if sequence <= last {
                    return None;
                }
                (*last, *used) = (*sequence, self.at);
                Some(self.vault.apply(at, command))
            }
        }
    }

    fn open(&mut self, client: ClientId) {
        let at = self.at;
        if let Some((_, used)) = self.sessions.get_mut(&client) {
            *used = at;
            return;
        }
        if self.sessions.len() >= self.limit {
            let oldest = self.sessions.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(client, _)| *client) {
                self.sessions.remove(&oldest);
            }
        }
        self.sessions.insert(client, (0, at));
    }
}

/// What the group's state must be.
#[derive(Clone, Debug)]
pub struct Reference {
    newest: Fold,
    /// After each entry that was folded in, from before the first on: how many bytes the state is,
    /// and their fold. Nothing if the entries are not of this state.
    states: Vec<(usize, u64)>,
    /// What each command was answered when it took effect.
    answers: BTreeMap<(ClientId, u64), Response>,
    leases: Leases,
}

impl Reference {
    /// Before the first entry.
    pub fn new(limits: Limits) -> Self {
        let (vault, limit) = (Vault::new(limits), limits.within().sessions);
        let newest = Fold { at: 0, vault, sessions: BTreeMap::new(), limit };
        let states = vec![named(&newest.vault)];
        Self {
            newest,
            states,
            answers: BTreeMap::new(),
            leases: Leases::new(limits.within().leases),
        }
    }

    /// Folds in what was committed since, and checks what becomes of the leases.
    ///
    /// # Errors
    /// LS1 or LS2.
    pub fn advance<H: Hosted>(&mut self, committed: &[(EntryId, H::Entry)]) -> Verdict {
        for (id, entry) in committed {
            let Some(entry) = H::body(entry) else {
                self.newest.at = id.index.number();
                continue;
            };
            let response = self.newest.take(*id, entry);
            self.states.push(named(&self.newest.vault));
            let at = Position { entry: *id, stamp: entry.stamp };
            if let (Some(session), Some(response)) = (session_of(entry), &response) {
                self.answers.insert(session, response.clone());
            }
            self.leases.applied(at, &entry.body, response.as_ref())?;
        }
        Ok(())
    }

    /// What became of the leases.
    pub const fn leases(&self) -> &Leases {
        &self.leases
    }

    /// The last entry folded in.
    pub fn at(&self) -> u64 {
        self.newest.at
    }

    /// A member answers a client's command.
    ///
    /// # Errors
    /// E1 if it is not what the command was answered when it took effect.
    pub fn answered(&self, client: ClientId, sequence: u64, response: &Response) -> Verdict {
        let answer = self.answers.get(&(client, sequence));
        ensure(answer == Some(response), "E1", || {
            format!("command {sequence} of {client} is answered {response:?}, and was {answer:?}")
        })
    }

    /// A member answers a query, in the state after an index. That this is no older than what was
    /// acknowledged before is R11; what a register holds, L asks.
    ///
    /// # Errors
    /// R11 if the log up to there says something else of a lease.
    pub fn found(&self, index: u64, query: &Query, found: &Found) -> Verdict {
        let (Query::Lease(scope), Found::Lease(held)) = (query, found) else { return Ok(()) };
        let is_held = self.leases.is_held(scope, index);
        ensure(*held == is_held, "R11", || {
            format!("a query at {index} finds {scope} held: {held}, and in the log it is {is_held}")
        })
    }

    /// A member has applied the log up to an index, and this is its state.
    ///
    /// # Errors
    /// R5 if it is not what the log comes to.
    pub fn applied(&self, index: u64, state: &[u8]) -> Verdict {
        let is_so = self.states.len() == 1 || self.is_state(index, state);
        ensure(is_so, "R5", || format!("a state at {index} is not what the log comes to"))
    }

    /// A member says that a snapshot of these bytes is the state at its boundary.
    ///
    /// # Errors
    /// R12 if it is not.
    pub fn snapshot(&self, snapshot: &Snapshot, bytes: &[u8]) -> Verdict {
        let index = snapshot.boundary.index.number();
        let size = self.states.get(index as usize).map_or(usize::MAX, |(size, _)| *size);
        // The position and the sessions stand before the state.
        let state = bytes.len().checked_sub(size).and_then(|start| bytes.get(start..));
        let is_so = state.is_some_and(|state| self.is_state(index, state));
        ensure(self.states.len() == 1 || is_so, "R12", || {
            format!("the snapshot at {} is not what the log comes to", snapshot.boundary)
        })
    }

    fn is_state(&self, index: u64, state: &[u8]) -> bool {
        self.states.get(index as usize) == Some(&(state.len(), fold(0, &state)))
    }
}

/// A state as its number of bytes and their fold.
fn named(vault: &Vault) -> (usize, u64) {
    let mut state = Bytes::default();
    // It has room for everything.
    let _ = vault.snapshot(&mut state);
    (state.0.len(), fold(0, &&state.0[..]))
}
