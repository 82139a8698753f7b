//! What clients ask a council for, and what waits to be ordered.

use crate::bounded::List;
use crate::id::{ClientId, Digest, View};
use crate::limits::{MOST, REQUESTS};

/// What a request is for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Work<C> {
    /// Apply a command, once.
    Command(C),
    /// Nothing but a place in the order: what the host reads of the state when it is told of the answer
    /// is linearizable.
    Read,
}

/// A client's request. Its signature was checked, and travels with its bytes, which are the host's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Request<C> {
    /// Who asks.
    pub client: ClientId,
    /// Its number among the client's requests: each is higher than the one before.
    pub sequence: u64,
    /// What for.
    pub work: Work<C>,
}

/// The requests that are ordered together.
pub type Batch<C> = List<Request<C>, { MOST.batch }>;

/// A request that waits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Waiting<C> {
    pub(super) digest: Digest,
    pub(super) request: Request<C>,
    /// The newest view in which this member, as primary, has proposed it.
    pub(super) proposed: Option<View>,
}

/// The requests that wait, one of each client: its newest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Pool<C> {
    waiting: List<Waiting<C>, REQUESTS>,
}

/// What became of a request that was to wait.
pub(super) enum Admitted {
    /// It waits, and takes the place of an older one of the same client, if that is told.
    New(Option<Digest>),
    /// It waits already, or a newer one of the same client does.
    Known,
    /// There is no room.
    Full,
}

impl<C: Clone + PartialEq> Pool<C> {
    pub(super) const fn new() -> Self {
        Self { waiting: List::new() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting<C>> + Clone {
        self.waiting.iter()
    }

    pub(super) fn admit(&mut self, digest: Digest, request: &Request<C>) -> Admitted {
        let waiting = Waiting { digest, request: request.clone(), proposed: None };
        let known = self.waiting.iter_mut().find(|it| it.request.client == request.client);
        match known {
            Some(known) if known.request.sequence >= request.sequence => Admitted::Known,
            Some(known) => Admitted::New(Some(core::mem::replace(known, waiting).digest)),
            None => match self.waiting.push(waiting) {
                Ok(()) => Admitted::New(None),
                Err(_) => Admitted::Full,
            },
        }
    }

    /// Forgets a client's requests up to one that was executed, and names what it forgot.
    pub(super) fn forget(&mut self, client: ClientId, sequence: u64) -> Option<Digest> {
        let is_done =
            |it: &Waiting<C>| it.request.client == client && it.request.sequence <= sequence;
        let position = self.waiting.iter().position(is_done)?;
        self.waiting.remove(position).map(|it| it.digest)
    }

    /// Takes note that what is in a batch was proposed in a view.
    pub(super) fn proposed(&mut self, batch: &[Request<C>], view: View) {
        for waiting in self.waiting.iter_mut() {
            if batch.contains(&waiting.request) {
                waiting.proposed = Some(view);
            }
        }
    }
}
