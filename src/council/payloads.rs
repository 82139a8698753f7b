//! The payloads of the positions that are worked on.

use super::request::{Batch, Request};
use crate::bounded::Map;
use crate::id::{Digest, Index};
use crate::limits::SLOTS;

/// How many payloads are held: those of two views.
const MOST: usize = SLOTS.saturating_mul(2);

/// Payloads by digest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Payloads<C> {
    payloads: Map<Digest, (Index, Batch<C>), MOST>,
}

impl<C: Clone> Payloads<C> {
    pub(super) const fn new() -> Self {
        Self { payloads: Map::new() }
    }

    pub(super) fn get(&self, digest: Digest) -> Option<&Batch<C>> {
        self.payloads.get(&digest).map(|(_, batch)| batch)
    }

    #[cfg(all(test, feature = "alloc"))]
    pub(super) fn len(&self) -> usize {
        self.payloads.len()
    }

    /// Keeps a payload that is wanted at a position. Tells whether it is here.
    pub(super) fn keep(&mut self, digest: Digest, at: Index, requests: &[Request<C>]) -> bool {
        if let Some((known, _)) = self.payloads.get_mut(&digest) {
            *known = (*known).max(at);
            return true;
        }
        let mut batch = Batch::new();
        let fits = batch.extend(requests).is_ok();
        fits && self.payloads.insert(digest, (at, batch)).is_ok()
    }

    /// Lets go of one.
    pub(super) fn forget(&mut self, digest: Digest) {
        self.payloads.remove(&digest);
    }

    /// Lets go of what nobody needs any more: positions at or below a checkpoint, and what the caller
    /// does not want.
    pub(super) fn keep_only(&mut self, low: Index, wants: impl Fn(Digest) -> bool) {
        let mut gone = self.first_but(low, &wants);
        while let Some(digest) = gone {
            self.payloads.remove(&digest);
            gone = self.first_but(low, &wants);
        }
    }

    fn first_but(&self, low: Index, wants: &impl Fn(Digest) -> bool) -> Option<Digest> {
        let mut all = self.payloads.iter();
        all.find(|(digest, (at, _))| *at <= low || !wants(**digest)).map(|(digest, _)| *digest)
    }
}
