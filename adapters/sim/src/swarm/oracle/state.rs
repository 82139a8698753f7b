//! What the committed entries come to, folded once more beside the members.

use super::super::hosted::{Bytes, Hosted, session_of};
use super::super::vault::{Response, Vault};
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
            Body::Change => None,
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
    /// The same, at the boundary of the newest snapshot that was checked.
    behind: Fold,
    /// What each command was answered when it took effect.
    answers: BTreeMap<(ClientId, u64), Response>,
    leases: Leases,
}

impl Reference {
    /// Before the first entry.
    pub fn new(limits: Limits) -> Self {
        let (vault, limit) = (Vault::new(limits), limits.within().sessions);
        let newest = Fold { at: 0, vault, sessions: BTreeMap::new(), limit };
        Self { behind: newest.clone(), newest, answers: BTreeMap::new(), leases: Leases::default() }
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

    /// A member says that a snapshot of these bytes is the state at its boundary.
    ///
    /// # Errors
    /// R12 if it is not.
    pub fn snapshot<H: Hosted>(
        &mut self,
        snapshot: &Snapshot,
        bytes: &[u8],
        entries: &[(EntryId, H::Entry)],
    ) -> Verdict {
        let boundary = snapshot.boundary.index.number();
        if boundary <= self.behind.at {
            return Ok(()); // Its digest is compared with that of the one that was checked.
        }
        let due = entries.get(self.behind.at as usize..boundary as usize).unwrap_or(&[]);
        for (id, entry) in due {
            let Some(entry) = H::body(entry) else { return Ok(()) };
            self.behind.take(*id, entry);
        }
        let mut state = Bytes::default();
        // It has room for everything.
        let _ = self.behind.vault.snapshot(&mut state);
        ensure(self.behind.at == boundary && bytes.ends_with(&state.0), "R12", || {
            format!("the snapshot at {} is not what the log comes to", snapshot.boundary)
        })
    }
}
