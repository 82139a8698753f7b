//! Checkpoints: what a quorum has signed moves the window (section 4.3 of the paper).
//!
//! Each member's newest checkpoint is kept, and no other: the window holds two intervals, so the correct
//! members come to the same newest one before it is full.

use super::message::{Checkpoint, Message, Stable, is_quorum};
use super::{Evidence, Output, Pbft, Write};
use crate::event::{Event, Ignored};
use crate::id::{Members, Slot};
use crate::machine::Outbox;

impl Pbft {
    /// This member's own state is durable up to there.
    pub(super) fn on_own_checkpoint(&mut self, checkpoint: Checkpoint) {
        if checkpoint.index > self.window.low() {
            self.keep_checkpoint(self.config.me, checkpoint);
            // In a former life, if not in this one.
            self.committed = self.committed.max(checkpoint.index);
        }
    }

    /// Takes the checkpoint of another member.
    pub(super) fn on_checkpoint<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        second: Checkpoint,
        out: &mut X,
    ) -> Result<(), Ignored> {
        if second.index <= self.window.low() {
            return Err(Ignored::Stale);
        }
        let known = self.checkpoint_of(from);
        if let Some(first) = known.filter(|it| it.index == second.index && *it != second) {
            self.accuse(Evidence::Checkpoints { by: from, first, second }, out);
            return Err(Ignored::Impossible);
        }
        self.keep_checkpoint(from, second);
        Ok(())
    }

    fn checkpoint_of(&self, slot: Slot) -> Option<Checkpoint> {
        self.checkpoints.iter().find(|it| it.0 == slot).map(|it| it.1)
    }

    fn keep_checkpoint(&mut self, from: Slot, checkpoint: Checkpoint) {
        match self.checkpoints.iter_mut().find(|it| it.0 == from) {
            Some(known) if known.1.index < checkpoint.index => known.1 = checkpoint,
            Some(_) => {}
            // There is a place for each member.
            None => drop(self.checkpoints.push((from, checkpoint))),
        }
    }

    /// A proof of a checkpoint came in.
    pub(super) fn on_stable(&mut self, stable: Stable) {
        let is_sound = stable.is_sound(self.config.members, &self.config.floor);
        let index = stable.checkpoint.index;
        let known = self.ahead.map_or(self.window.low(), |it| it.checkpoint.index);
        if is_sound && index > known {
            self.ahead = Some(stable);
        }
    }

    /// Sees whether a checkpoint has become stable, and what others have where this member has something
    /// else. What this member has not got to yet it may still get to, as long as messages are under way.
    pub(super) fn count_checkpoints<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let who_has = |all: &[(Slot, Checkpoint)], it: Checkpoint| -> Members {
            all.iter().filter(|other| other.1 == it).map(|other| other.0).collect()
        };
        let mut at = 0;
        while let Some((_, checkpoint)) = self.checkpoints.get(at).copied() {
            let signers = who_has(&self.checkpoints, checkpoint);
            if is_quorum(signers, self.config.members) {
                self.on_stable(Stable { checkpoint, signers });
            }
            if signers.len() >= self.config.weak_quorum() {
                self.compare(checkpoint, out);
            }
            at = at.saturating_add(1);
        }
        if let Some(stable) = self.ahead.filter(|it| it.checkpoint.index <= self.committed) {
            self.adopt(stable, out);
        }
    }

    /// One correct member has this state: if this member has another there, it is wrong.
    fn compare<X: Outbox<Output> + ?Sized>(&mut self, theirs: Checkpoint, out: &mut X) {
        let mine = self.checkpoint_of(self.config.me);
        let differs = |mine: &Checkpoint| mine.index == theirs.index && *mine != theirs;
        if let Some(mine) = mine.filter(differs).filter(|it| it.index > self.told.diverged) {
            self.told.diverged = mine.index;
            out.push(Output::Diverged { mine, theirs });
        }
    }

    /// Moves the window above a checkpoint that is proved. Whoever lacks what lies below is told to fetch
    /// the state.
    pub(super) fn adopt<X: Outbox<Output> + ?Sized>(&mut self, stable: Stable, out: &mut X) {
        self.compare(stable.checkpoint, out);
        if self.committed < stable.checkpoint.index {
            out.push(Output::Fetch(stable));
        }
        self.rise_to(stable);
        self.write(Write::Stable(stable), out);
        out.push(Output::Stable(stable));
    }

    /// Lets go of everything up to a checkpoint.
    pub(super) fn rise_to(&mut self, stable: Stable) {
        let low = stable.checkpoint.index;
        self.stable = stable;
        self.window.rise_to(low);
        let fronts = [
            &mut self.proposed,
            &mut self.voted,
            &mut self.prepared,
            &mut self.committed,
            &mut self.told.voted,
            &mut self.told.prepared,
            &mut self.told.wanted,
            &mut self.opened,
        ];
        fronts.into_iter().for_each(|front| *front = (*front).max(low));
        self.stamped = self.stamped.max(stable.checkpoint.stamp);
        self.ahead = self.ahead.filter(|it| it.checkpoint.index > low);
        let mut at = 0;
        while let Some((_, checkpoint)) = self.checkpoints.get(at) {
            if checkpoint.index <= low {
                self.checkpoints.remove(at);
            } else {
                at = at.saturating_add(1);
            }
        }
    }

    /// Tells the others of this member's own checkpoint.
    pub(super) fn tell_checkpoint<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let mine = self.checkpoint_of(self.config.me);
        if let Some(mine) = mine.filter(|it| it.index > self.told.checkpoint) {
            self.told.checkpoint = mine.index;
            out.push(Output::Send { to: self.others(), message: Message::Checkpoint(mine) });
        }
    }

    /// Tells of a member that has signed what contradicts itself. One proof of each is enough.
    pub(super) fn accuse<X: Outbox<Output> + ?Sized>(&mut self, evidence: Evidence, out: &mut X) {
        let by = evidence.by();
        if !self.told.accused.contains(by) {
            self.told.accused = self.told.accused.with(by);
            out.event(Event::Equivocated { by });
            out.push(Output::Accuse(evidence));
        }
    }
}
