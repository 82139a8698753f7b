//! Doubt: what the detector is told, and what its verdicts mean for groups that rest.

use super::groups::{Hosted, Place};
use super::{Node, Output, Through};
use crate::id::Slot;
use crate::machine::{Machine, Outbox};
use crate::membership::detector::{self, Verdict};
use crate::state_machine::StateMachine;
use crate::time::{Instant, Now};

/// Which groups are still to be looked at, because a node is doubted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sweep {
    /// The place of the next, and how many are left, round and round.
    pub(super) next: usize,
    pub(super) left: usize,
    /// When it last went on.
    pub(super) at: Instant,
}

impl<S: StateMachine> Node<S> {
    /// At how many groups a sweep looks in one step.
    const STRIDE: usize = 256;

    /// Tells the detector something, and sweeps if it begins to doubt somebody.
    pub(super) fn sense<X: Outbox<Output> + ?Sized>(
        &mut self,
        input: detector::Input<'_>,
        out: &mut X,
    ) {
        let mut doubts = false;
        let name = |output| {
            if let detector::Output::Verdict { verdict, .. } = output {
                doubts |= verdict != Verdict::Alive;
            }
            Output::Detector(output)
        };
        let now = Now { mono: self.now, wall: None };
        // Only too many peers are refused, and there never are.
        let _ = self.detector.step(now, input, &mut Through { out, name });
        if doubts {
            (self.sweep.left, self.sweep.at) = (self.groups.len(), self.now);
        }
    }

    /// Looks at the next groups: whoever rests in the service of a node that is doubted is due.
    pub(super) fn sweep(&mut self) {
        self.sweep.at = self.now;
        for _ in 0..Self::STRIDE.min(self.sweep.left) {
            self.sweep.left = self.sweep.left.saturating_sub(1);
            let is_here = self.sweep.next < self.groups.len();
            let position = if is_here { self.sweep.next } else { 0 };
            self.sweep.next = position.saturating_add(1);
            if let Some(place) = Place::at(position) {
                self.rearm(place);
            }
        }
    }

    /// The leader of a group that rests, if its node is doubted.
    pub(super) fn doubted(&self, hosted: &Hosted<S>) -> Option<Slot> {
        let raft = hosted.replica.raft();
        let leader = raft.leader().filter(|_| raft.is_resting() && !raft.leads())?;
        let node = self.peers.node_in(&hosted.seats, leader)?;
        let verdict = self.detector.verdict(node)?;
        (verdict != Verdict::Alive).then_some(leader)
    }

    /// Sets the timer of a group by what is due for it now.
    pub(super) fn rearm(&mut self, place: Place) {
        let Some(hosted) = self.groups.get(place) else { return };
        let due = match self.doubted(hosted) {
            // Since when it was first seen, or it would be put off for as long as there is more to say.
            Some(_) => Some(self.timers.at(place).map_or(self.now, |at| at.min(self.now))),
            None => hosted.replica.deadline(),
        };
        self.timers.set(place, due);
    }
}
