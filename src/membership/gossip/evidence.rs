//! What is said of nodes: which of it counts, and what follows.

use super::members::{Doubters, Member};
use super::{Gossip, Output, Record, State, Update};
use crate::event::Ignored;
use crate::id::{Incarnation, NodeId};
use crate::machine::Outbox;
use crate::time::{Instant, Span};

impl Gossip {
    /// Takes in what is said of a node.
    pub(super) fn learn<X: Outbox<Output> + ?Sized>(
        &mut self,
        update: Update,
        out: &mut X,
    ) -> Result<(), Ignored> {
        let Update { node, record, by } = update;
        if node == self.config.me {
            return self.hear_of_me(record, out);
        }
        let Some(member) = self.members.get_mut(node) else {
            // One that is gone is no news, or what everybody forgets at another time would go round
            // for ever.
            let is_news = node != NodeId::ZERO && !record.state.is_departed();
            return if is_news {
                self.note(update, Doubters::only(by), out)
            } else {
                Err(Ignored::Stranger)
            };
        };
        let known = member.record;
        if !record.incarnation.may_follow(known.incarnation) {
            return Err(Ignored::Implausible);
        }
        // Whoever convicts has waited as long as anyone must; but it may have been cut off alone.
        let is_verdict = record.state == State::Down && !known.state.is_departed();
        let evidence = if is_verdict { Record { state: State::Suspect, ..record } } else { record };
        let doubters = if is_verdict { Doubters::ENOUGH } else { Doubters::only(by) };
        let merged = known.merge(evidence).map_err(|_| Ignored::Impossible)?;
        if merged != known {
            self.note(Update { node, record: merged, by }, doubters, out)?;
            if is_verdict && known.state == State::Alive {
                // Nobody else may tell it in time.
                self.ping(node, 0, out);
            }
        } else if evidence == known && known.state == State::Suspect {
            let all = member.doubters.with(doubters);
            if all != member.doubters {
                (member.doubters, member.by) = (all, by);
                let member = *member;
                self.hasten(&member);
                self.rumours.spread(node);
            }
        }
        Ok(())
    }

    /// Writes down what is new, tells the host what has become true by it, and passes it on.
    fn note<X: Outbox<Output> + ?Sized>(
        &mut self,
        update: Update,
        doubters: Doubters,
        out: &mut X,
    ) -> Result<(), Ignored> {
        let Update { node, record, by } = update;
        if self.members.is_full() && self.members.get(node).is_none() {
            let forgotten = self.members.longest_departed().ok_or(Ignored::NoRoom)?;
            self.members.remove(forgotten);
            self.rumours.forget(forgotten);
        }
        let is_suspect = record.state == State::Suspect;
        let doubters = if is_suspect { doubters } else { Doubters::NONE };
        let member = Member { record, since: self.now, doubters, by };
        let was = self.members.write(node, member).map_err(|_| Ignored::NoRoom)?;
        let was_there = was.filter(|was| !was.state.is_departed());
        let is_told = was_there.is_some_and(|was| was.address == record.address);
        match record.state {
            State::Alive | State::Suspect if !is_told => out.push(Output::Up { node, record }),
            State::Down if was_there.is_some() => out.push(Output::Down { node, record }),
            State::Left if was_there.is_some() => out.push(Output::Left { node, record }),
            _ => {}
        }
        if is_suspect {
            self.hasten(&member);
        }
        self.is_urgent |= matches!(
            (was.map(|was| was.state), record.state),
            (Some(_), State::Suspect | State::Left) | (Some(State::Suspect), State::Alive)
        );
        self.rumours.spread(node);
        Ok(())
    }

    /// What is said of this node. Doubt is refuted by a higher incarnation (SWIM, section 4.2); so is
    /// the memory of a former life at this address.
    pub(super) fn hear_of_me<X: Outbox<Output> + ?Sized>(
        &mut self,
        said: Record,
        out: &mut X,
    ) -> Result<(), Ignored> {
        if said.incarnation < self.incarnation || said == self.me() {
            return Ok(());
        }
        if !said.incarnation.may_follow(self.incarnation) {
            return Err(Ignored::Implausible);
        }
        let is_elsewhere = said.address != self.config.address;
        if said.incarnation == Incarnation::MAX || (said.state == State::Alive && is_elsewhere) {
            let above = said.incarnation;
            if self.needs_told.replace(above) != Some(above) {
                out.push(Output::NeedsIncarnation { above });
            }
            return Ok(());
        }
        if said.state != State::Alive {
            self.worsen();
        }
        self.renew(said.incarnation.next());
        Ok(())
    }

    pub(super) fn renew(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
        self.rumours.spread(self.config.me);
        self.is_urgent = true;
    }

    /// When a suspicion becomes a verdict: the earlier, the more share it (Lifeguard, section IV.B).
    fn verdict_at(&self, member: &Member) -> Instant {
        // log(confirmations + 1) / log(4), in hundredths.
        let share = match member.doubters.confirmations() {
            0 => 0,
            1 => 50,
            2 => 79,
            _ => 100,
        };
        let (least, most) = (self.config.suspicion_least, self.config.suspicion_most);
        let credit: Span = most.minus(least).times(share).divided(100);
        member.since.after(self.stretched(most.minus(credit)))
    }

    /// There is a verdict to come, perhaps before all others.
    fn hasten(&mut self, member: &Member) {
        let at = self.verdict_at(member);
        self.next_verdict = self.next_verdict.min(at);
    }

    /// Convicts whoever was suspect for too long.
    pub(super) fn convict<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.now < self.next_verdict {
            return;
        }
        // Of many the others are due in the next tick, at once.
        for _ in 0..Self::MOST_CHANGES {
            let overdue = self.members.suspects().find(|(_, m)| self.verdict_at(m) <= self.now);
            let Some((node, member)) = overdue else { break };
            let record = Record { state: State::Down, ..member.record };
            // It is known, so there is room for it.
            let _ = self.note(Update { node, record, by: self.config.me }, Doubters::NONE, out);
        }
        let verdicts = self.members.suspects().map(|(_, m)| self.verdict_at(m));
        self.next_verdict = verdicts.min().unwrap_or(Self::NEVER);
    }
}
