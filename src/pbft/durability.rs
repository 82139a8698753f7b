//! What must be on disk before what may be said.
//!
//! Every statement that another could later be contradicted by has a write of its own, and leaves once
//! that is durable: a vote, a view change, a new view. Writes are numbered, and the host echoes the
//! newest number up to which all are durable. So nothing depends on what a member said and forgot: after
//! a restart it says the same again, and never anything else.

use super::message::{Prepared, Stable, Value, ViewChange};
use super::window::Instance;
use super::{Pbft, Reign};
use crate::id::{Index, View};

/// What a host must make durable, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Write {
    /// The vote given to a value, the only one in this view.
    Accepted {
        /// The view.
        view: View,
        /// Where.
        index: Index,
        /// What.
        value: Value,
    },
    /// Proof that a value is prepared; with it the signatures of its signers.
    Prepared(Prepared),
    /// Proof of a checkpoint, likewise; what lies at or below it is no longer needed.
    Stable(Stable),
    /// All views before this one are left. What the member says of itself follows from what was written
    /// before.
    Left {
        /// The view that it wants to enter.
        view: View,
    },
    /// A view has begun; with it the signed message that says how.
    Entered {
        /// The view.
        view: View,
        /// The last position whose value follows from how the view began.
        opened: Index,
    },
}

/// Proof of a write, opaque to the host: echo the newest one in
/// [`Input::Persisted`](super::Input::Persisted).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Receipt {
    boot: u64,
    number: u64,
}

/// How much has been handed to the disk, and how much of that it has confirmed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Disk {
    boot: u64,
    written: u64,
    durable: u64,
}

impl Disk {
    pub(super) const fn new(boot: u64) -> Self {
        Self { boot, written: 0, durable: 0 }
    }

    /// Numbers the next write.
    pub(super) const fn write(&mut self) -> Receipt {
        self.written = self.written.saturating_add(1);
        Receipt { boot: self.boot, number: self.written }
    }

    /// The number of the last write.
    pub(super) const fn newest(&self) -> u64 {
        self.written
    }

    /// Whether a write, and all before it, are durable.
    pub(super) const fn has(&self, number: u64) -> bool {
        number <= self.durable
    }

    /// The host says that a write, and all before it, are durable.
    pub(super) fn confirm(&mut self, receipt: Receipt) {
        if receipt.boot == self.boot {
            self.durable = self.durable.max(receipt.number.min(self.written));
        }
    }
}

impl Pbft {
    /// All that must be on disk for this state, as writes: nothing written before them is needed any
    /// more. What a view change was made of comes before the word that the view was left.
    pub fn image(&self) -> impl Iterator<Item = Write> {
        let own = self.view_change().filter(|_| self.reign == Reign::Awaited);
        let stable = own.map_or(self.stable, |own| own.stable);
        let claims = own.into_iter().flat_map(|own| own.claims.iter().copied());
        let left = own.map(|own| Write::Left { view: own.view });
        let newer = Some(self.stable).filter(|newest| *newest != stable);

        let (view, opened, has_begun) = (self.view, self.opened, own.is_none());
        let entered = Write::Entered { view, opened };
        let entered = Some(entered).filter(|_| has_begun && view > View::ZERO);
        let low = self.stable.checkpoint.index;
        let kept = self.window.iter_from(low).filter(move |_| has_begun);
        let held = kept.clone().filter_map(|(index, it)| it.claim_at(index));
        let accepted = kept
            .take_while(|(index, _)| *index <= self.voted)
            .filter_map(|(index, it)| Some((index, it.proposal?)))
            .map(move |(index, value)| Write::Accepted { view, index, value });

        core::iter::once(Write::Stable(stable))
            .chain(claims.chain(held.clone().filter(move |it| it.view < view)).map(Write::Prepared))
            .chain(left)
            .chain(newer.map(Write::Stable))
            .chain(entered)
            .chain(accepted)
            .chain(held.filter(move |it| it.view == view).map(Write::Prepared))
    }

    /// Folds a write of a former life back in, in the order of writing, before the first step.
    pub fn replay(&mut self, write: &Write) {
        match *write {
            Write::Stable(stable) => self.rise_to(stable),
            Write::Prepared(claim) => {
                if let Some(instance) = self.window.at_mut(claim.index) {
                    instance.claim = Some((claim.view, claim.value, claim.signers));
                }
                if claim.view == self.view && self.reign != Reign::Awaited {
                    self.prepared = self.prepared.max(claim.index);
                }
            }
            Write::Accepted { view, index, value } => {
                if view == self.view {
                    if let Some(instance) = self.window.at_mut(index) {
                        (instance.proposal, instance.is_here) = (Some(value), true);
                    }
                    self.voted = self.voted.max(index);
                    self.proposed = self.proposed.max(index);
                    self.stamped = self.stamped.max(value.stamp);
                }
            }
            // A host may repeat what an image already stands for.
            Write::Left { view } if view <= self.view => {}
            Write::Entered { view, .. } if view == self.view && self.reign != Reign::Awaited => {}
            Write::Left { view } => self.abandon(view),
            Write::Entered { view, opened } => {
                self.begin(view, opened);
                self.reign = Reign::Unread;
            }
        }
    }
}

impl Instance {
    /// What is prepared here.
    pub(super) fn claim_at(&self, index: Index) -> Option<Prepared> {
        let (view, value, signers) = self.claim?;
        Some(Prepared { view, index, value, signers })
    }
}

impl Pbft {
    /// What this member said when it left the views before the present one, if it has.
    #[must_use]
    pub fn view_change(&self) -> Option<&ViewChange> {
        self.changes.iter().find(|it| it.0 == self.config.me).map(|it| &it.1)
    }
}
