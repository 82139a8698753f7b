//! The normal case (section 4.2 of the paper): three fronts that move through the window.

use super::message::{Message, Phase, Prepared, Value, Vote, is_quorum};
use super::{Output, Pbft, Write};
use crate::event::{Event, Ignored, ViewLeft};
use crate::hlc::Stamp;
use crate::id::{Digest, Index, Slot};
use crate::machine::Outbox;

impl Pbft {
    /// The primary gives a value the next position. Its vote for it is the proposal.
    pub(super) fn propose(&mut self, value: Value) {
        self.proposed = self.proposed.next();
        self.stamped = value.stamp;
        if let Some(instance) = self.window.at_mut(self.proposed) {
            instance.propose(value, true);
        }
    }

    /// Takes a vote of another member.
    pub(super) fn on_vote<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        vote: Vote,
        is_here: bool,
        out: &mut X,
    ) -> Result<(), Ignored> {
        if vote.view != self.view || !self.is_active() || vote.index <= self.window.low() {
            return Err(Ignored::Stale);
        }
        let Vote { phase, index, value, .. } = vote;
        // Nothing is ordered only where a view began so.
        if value.is_null() && index > self.opened {
            return Err(Ignored::Malformed);
        }
        let is_proposal = phase == Phase::Prepare && from == self.primary() && index > self.opened;
        let instance = self.window.at_mut(index).ok_or(Ignored::NoRoom)?;
        let known = instance.votes.first(phase, from, instance.proposal);
        if let Some(first) = known.filter(|first| *first != value) {
            let first = Vote { value: first, ..vote };
            return self.on_contradiction(from, first, vote, is_proposal, out);
        }
        if is_proposal && instance.proposal.is_none() {
            instance.propose(value, is_here);
        }
        instance.take(phase, from, value, self.config.members);
        Ok(())
    }

    /// The first vote counts, and the two are proof. A primary that has made two proposals is not waited
    /// for.
    fn on_contradiction<X: Outbox<Output> + ?Sized>(
        &mut self,
        by: Slot,
        first: Vote,
        second: Vote,
        is_proposal: bool,
        out: &mut X,
    ) -> Result<(), Ignored> {
        self.accuse(super::Evidence::Votes { by, first, second }, out);
        if is_proposal {
            self.leave(self.view.next(), ViewLeft::Equivocation, out);
        }
        Err(Ignored::Impossible)
    }

    /// A payload is here that was not.
    pub(super) fn on_available(&mut self, digest: Digest) {
        self.window.arrived(digest);
    }

    /// Votes for what is proposed, in order of positions, and tells the votes that are on disk.
    ///
    /// A payload that is not here could be nowhere; a stamp that this clock does not allow would let the
    /// primary choose the time.
    pub(super) fn vote<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        while let Some((index, value)) = self.next_vote(out) {
            let write = Write::Accepted { view: self.view, index, value };
            let number = self.write(write, out);
            if let Some(instance) = self.window.at_mut(index) {
                instance.voted_at = number;
            }
            (self.voted, self.stamped) = (index, self.stamped.max(value.stamp));
        }
        while self.told.voted < self.voted {
            let (me, others, index) = (self.config.me, self.others(), self.told.voted.next());
            let members = self.config.members;
            let Some(instance) = self.window.at_mut(index) else { break };
            let Some(value) = instance.proposal.filter(|_| self.disk.has(instance.voted_at)) else {
                break;
            };
            instance.take(Phase::Prepare, me, value, members);
            self.told.voted = index;
            let vote = Vote { phase: Phase::Prepare, view: self.view, index, value };
            out.push(Output::Send { to: others, message: Message::Vote(vote) });
        }
    }

    /// What is to be voted for next, if everything that a vote needs is there.
    fn next_vote<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) -> Option<(Index, Value)> {
        let index = self.voted.next();
        let instance = self.window.at(index)?;
        let value = instance.proposal?;
        if !instance.is_here {
            if self.told.wanted < index {
                self.told.wanted = index;
                out.push(Output::Want { index, value });
            }
            return None;
        }
        // What is decided is voted for late, by whoever lagged, for the sake of what follows.
        let is_settled = index <= self.opened.max(self.committed);
        let is_allowed = is_settled || self.allows(value.stamp);
        if !is_allowed {
            out.event(Event::StampTooEarly { index });
        }
        is_allowed.then_some((index, value))
    }

    /// Whether a fresh value may have this stamp: above all before it, and near this member's clock.
    fn allows(&self, stamp: Stamp) -> bool {
        if self.primary() == self.config.me {
            return true;
        }
        if stamp <= self.stamped {
            return false;
        }
        let Some(wall) = self.wall else { return true };
        let now = Stamp::at_millis(wall.as_millis());
        let (ahead, behind) = (stamp.since(now), now.since(stamp));
        let most = self.config.max_offset;
        ahead <= most && behind <= most.plus(self.timeout())
    }

    /// Writes down what is prepared, in order of positions, and says so once that is on disk.
    pub(super) fn prepare<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        while self.prepared < self.voted {
            let index = self.prepared.next();
            let Some(instance) = self.window.at_mut(index) else { break };
            let signers = instance.votes.of(Phase::Prepare);
            let Some(value) = instance.proposal else { break };
            if !is_quorum(signers, self.config.members) {
                break;
            }
            instance.claim = Some((self.view, value, signers));
            self.prepared = index;
            let claim = Prepared { view: self.view, index, value, signers };
            let number = self.write(Write::Prepared(claim), out);
            if let Some(instance) = self.window.at_mut(index) {
                instance.prepared_at = number;
            }
        }
        while self.told.prepared < self.prepared {
            let (me, others, index) = (self.config.me, self.others(), self.told.prepared.next());
            let members = self.config.members;
            let Some(instance) = self.window.at_mut(index) else { break };
            let Some(value) = instance.proposal.filter(|_| self.disk.has(instance.prepared_at))
            else {
                break;
            };
            instance.take(Phase::Commit, me, value, members);
            self.told.prepared = index;
            let vote = Vote { phase: Phase::Commit, view: self.view, index, value };
            out.push(Output::Send { to: others, message: Message::Vote(vote) });
        }
    }

    /// Tells what is decided, in order of positions.
    pub(super) fn commit<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        loop {
            let index = self.committed.next();
            let decided = self.window.at(index).and_then(|it| it.committed);
            let Some(value) = decided else { break };
            self.committed = index;
            if !value.is_null() {
                self.fruitless = 0;
            }
            out.push(Output::Committed { index, value });
        }
    }
}
