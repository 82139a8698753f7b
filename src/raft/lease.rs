//! The time in which a leader answers reads by itself (dissertation 6.4.1).
//!
//! Whoever answers a round has promised, from when it heard it, to elect nobody else for an election
//! timeout (6.2), and after a restart keeps that promise whatever it was. A quorum's answers therefore
//! bind a quorum from when the round was *sent*: until an election timeout later, less what clocks can
//! drift apart meanwhile, no other leader can be elected, and what this one has committed is all there
//! is. One round is timed at a time, so two instants are all that is kept.
//!
//! **What ends it, each for a reason**
//! - the leader steps down: it is the leader's own;
//! - leadership is being handed over, or whoever was told to take it could still act on that: its voters
//!   skip the promise (etcd and raft-rs answered such reads);
//! - the configuration is joint;
//! - the host's clock went back: what was timed before says nothing, and nothing is timed until the
//!   clock is where it was;
//! - no round is answered any more. A leader whose disk is stuck steps down, so it loses the lease too
//!   (etcd#15247).

use super::{Raft, Role};
use crate::id::{Index, Members, Slot};
use crate::time::{Instant, Span};

/// What a leader knows of its lease.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Lease {
    /// The round that is timed, or zero, and when it began.
    timed: u64,
    began: Instant,
    /// When the newest timed round began that a quorum has answered.
    since: Option<Instant>,
    /// The clock went back here: it must pass this before anything is timed.
    clock_is_past: Instant,
    /// Who was told to campaign, and up to where at most their logs then reached. Whoever has
    /// acknowledged more will not act on it.
    heirs: Members,
    heirs_up_to: Index,
}

impl Lease {
    pub(super) const fn none() -> Self {
        Self {
            timed: 0,
            began: Instant::ORIGIN,
            since: None,
            clock_is_past: Instant::ORIGIN,
            heirs: Members::NONE,
            heirs_up_to: Index::ZERO,
        }
    }

    /// A round begins; it is timed unless another one is.
    pub(super) fn begins(&mut self, round: u64, now: Instant) {
        if self.timed == 0 && now > self.clock_is_past {
            (self.timed, self.began) = (round, now);
        }
    }

    /// Whether the answers to a round are waited for.
    pub(super) const fn is_timing(&self) -> bool {
        self.timed > 0
    }

    /// A quorum has answered a round.
    pub(super) fn confirmed(&mut self, round: u64) {
        if self.is_timing() && self.timed <= round {
            (self.timed, self.since) = (0, Some(self.began));
        }
    }

    /// The clock stands at `now` and should stand later.
    pub(super) const fn clock_went_back(&mut self, now: Instant) {
        self.end();
        self.clock_is_past = now;
    }

    /// Nothing is known of time.
    pub(super) const fn end(&mut self) {
        (self.timed, self.since, self.clock_is_past) = (0, None, Instant::ORIGIN);
        self.began = Instant::ORIGIN;
    }

    /// A member whose log ends where the leader's does, at `last`, is told to campaign.
    pub(super) fn named(&mut self, heir: Slot, last: Index) {
        self.heirs = self.heirs.with(heir);
        self.heirs_up_to = self.heirs_up_to.max(last);
    }

    /// A member has acknowledged the log up to `matched`.
    pub(super) fn acknowledged(&mut self, slot: Slot, matched: Index) {
        if matched > self.heirs_up_to {
            self.heirs = self.heirs.without(slot);
        }
    }

    fn covers(&self, now: Instant, length: Span) -> bool {
        let is_young = |since: Instant| now < since.after(length);
        self.heirs.is_empty() && self.since.is_some_and(is_young)
    }
}

impl Raft {
    /// The host's clock stands before `here`, where it stood.
    pub(crate) const fn clock_went_back(&mut self, here: Instant) {
        if let (Role::Leader(leading), Some(_)) = (&mut self.role, self.config.clock_drift) {
            leading.lease.clock_went_back(here);
        }
    }

    /// Whether no other leader can be elected now, as far as clocks can be trusted.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        let (Role::Leader(leading), Some(drift)) = (&self.role, self.config.clock_drift) else {
            return false;
        };
        let timeout = self.config.election_timeout;
        let slack = timeout.times(u64::from(drift)).divided(1_000_000).plus(Span::micros(1));
        leading.transfer.is_none()
            && !self.configuration().is_joint()
            && leading.lease.covers(self.now, timeout.minus(slack))
    }
}
