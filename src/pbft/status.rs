//! What is lost is said again: each member says now and then how far it has got, and whoever has got
//! further answers with what it lacks, the same as it was said before.

use super::message::{Message, Phase, Status, Vote};
use super::{Output, Pbft, Reign};
use crate::event::Ignored;
use crate::id::{Members, Slot, View};
use crate::machine::Outbox;
use crate::time::Instant;

/// For how many positions one status is answered.
pub(super) const BURST: usize = 16;

/// While nothing waits, how many times as long until the next status.
const AT_REST: u64 = 8;

impl Pbft {
    /// Says how far this member has got, and what it said when it left the last view.
    pub(super) fn resend<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if let Some(stable) = self.ahead {
            // What it lacks has not come meanwhile, and the others have let go of it.
            self.adopt(stable, out);
        }
        // The payload that is lacked is asked for again.
        self.told.wanted = self.window.low();
        let to = self.others();
        if self.reign == Reign::Awaited && self.told.view {
            out.push(Output::SendViewChange { to });
        }
        out.push(Output::Send { to, message: Message::Status(self.status()) });
        let is_done = self.is_active() && self.committed >= self.voted.max(self.proposed);
        let times = if is_done && self.requests.is_empty() { AT_REST } else { 1 };
        self.resend_at = Some(self.now.after(self.config.resend.times(times)));
    }

    fn status(&self) -> Status {
        let here = self.changes.iter().filter(|it| it.1.view == self.view).map(|it| it.0);
        Status {
            view: self.view,
            is_active: self.is_active(),
            changes: here.collect(),
            stable: self.window.low(),
            committed: self.committed,
            prepared: self.prepared,
        }
    }

    /// Answers a member with what it lacks, not more often than anything is said again.
    pub(super) fn on_status<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        status: Status,
        out: &mut X,
    ) -> Result<(), Ignored> {
        if !self.may_answer(from) {
            return Err(Ignored::NoRoom);
        }
        let to = Members::only(from);
        if status.stable < self.window.low() {
            out.push(Output::SendStable { to, stable: self.stable });
        }
        let is_here = |it: &&(Slot, super::Checkpoint)| it.0 == self.config.me;
        if let Some((_, mine)) = self.checkpoints.iter().find(is_here) {
            out.push(Output::Send { to, message: Message::Checkpoint(*mine) });
        }
        let is_behind = status.view < self.view || (status.view == self.view && !status.is_active);
        let is_written = self.disk.has(self.turned_at);
        match self.reign {
            Reign::Active if is_behind && is_written && self.view > View::ZERO => {
                out.push(Output::SendNewView { to });
            }
            Reign::Awaited
                if is_behind
                    && is_written
                    && !(status.view == self.view && status.changes.contains(self.config.me)) =>
            {
                out.push(Output::SendViewChange { to });
            }
            Reign::Active if status.view == self.view => self.repeat_votes(to, &status, out),
            _ => {}
        }
        Ok(())
    }

    fn may_answer(&mut self, from: Slot) -> bool {
        let (now, pause) = (self.now, self.config.resend.divided(2));
        match self.answered.iter_mut().find(|it| it.0 == from) {
            Some((_, last)) if now < last.after(pause) => false,
            Some((_, last)) => {
                *last = now;
                true
            }
            None => self.answered.push((from, now)).is_ok(),
        }
    }

    /// Says the votes again that a member of this view may lack.
    fn repeat_votes<X: Outbox<Output> + ?Sized>(&self, to: Members, status: &Status, out: &mut X) {
        let first = status.committed.min(status.prepared).max(self.window.low());
        for (index, instance) in self.window.iter_from(first).take(BURST) {
            let Some(value) = instance.proposal.filter(|_| index <= self.told.voted) else { break };
            let vote = Vote { phase: Phase::Prepare, view: self.view, index, value };
            out.push(Output::Send { to, message: Message::Vote(vote) });
            if index <= self.told.prepared {
                let vote = Vote { phase: Phase::Commit, ..vote };
                out.push(Output::Send { to, message: Message::Vote(vote) });
            }
        }
    }

    /// Whether a message could change anything: ask before checking its signature, which costs more than
    /// all else. What a quorum has said already, or belongs to another time, need not be checked.
    #[must_use]
    pub fn wants(&self, from: Slot, message: &Message) -> bool {
        if self.stopped.is_some() || !self.others().contains(from) {
            return false;
        }
        let Message::Vote(Vote { phase, view, index, value }) = *message else {
            return match message {
                Message::Checkpoint(it) => it.index > self.window.low(),
                Message::Vote(_) | Message::Status(_) => true,
            };
        };
        let is_nothing = value.is_null() && index > self.opened;
        if view != self.view || !self.is_active() || index <= self.window.low() || is_nothing {
            return false;
        }
        let Some(instance) = self.window.at(index) else { return index <= self.window.high() };
        let me = self.config.me;
        let first = instance.votes.first(phase, from, instance.proposal);
        if let Some(first) = first {
            return first != value && !self.told.accused.contains(from);
        }
        let has_own = match phase {
            Phase::Prepare => index <= self.voted,
            Phase::Commit => index <= self.voted && instance.proposal == Some(value),
        };
        let is_done = match phase {
            Phase::Prepare => index <= self.prepared,
            Phase::Commit => index <= self.committed,
        };
        let voters = instance.votes.for_value(phase, value, instance.proposal).without(me);
        !is_done && voters.len().saturating_add(usize::from(has_own)) < self.config.quorum()
    }

    /// How many statements of members it holds, whatever was sent: never more than
    /// [`Config::most_held`](super::Config::most_held).
    #[must_use]
    pub fn held(&self) -> usize {
        let votes = self.window.iter_from(self.window.low()).map(|it| it.1.votes.count()).sum();
        let claims: usize = self.changes.iter().map(|it| it.1.claims.len()).sum();
        let lists = [self.changes.len(), self.checkpoints.len(), self.answered.len()];
        lists.into_iter().fold(claims.saturating_add(votes), usize::saturating_add)
    }

    /// The protocol state without time, for exploration: two members that come out equal take equal
    /// steps, as long as each is ticked when it is to ring and not before.
    #[must_use]
    pub fn without_time(mut self) -> Self {
        (self.now, self.wall, self.fruitless) = (Instant::ORIGIN, None, 0);
        self.requests.begin_at(Instant::ORIGIN);
        self.begins_by = self.begins_by.map(|_| Instant::ORIGIN);
        self.resend_at = self.resend_at.map(|_| Instant::ORIGIN);
        self.answered.clear();
        self
    }
}
