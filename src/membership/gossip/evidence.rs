//! What is said of nodes: which of it counts, and what follows.

use super::members::Member;
use super::{Config, Gossip, Output, Record, State, Update};
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
        let Update { node, record } = update;
        if node == self.config.me {
            return self.hear_of_me(record, out);
        }
        let Some(known) = self.members.get(node).map(|member| member.record) else {
            // One that is gone is no news, or what everybody forgets at another time would go round
            // for ever.
            let is_news = node != NodeId::ZERO && !record.state.is_departed();
            return if is_news {
                self.note(update, self.config.suspicion_most, out)
            } else {
                Err(Ignored::Stranger)
            };
        };
        if !record.incarnation.may_follow(known.incarnation) {
            return Err(Ignored::Implausible);
        }
        // Whoever convicts has waited as long as anyone must; but it may have been cut off alone.
        let is_verdict = record.state == State::Down && !known.state.is_departed();
        let Config { suspicion_least, suspicion_most, .. } = self.config;
        let (state, span) = if is_verdict {
            (State::Suspect, suspicion_least)
        } else {
            (record.state, suspicion_most)
        };
        let merged = known.merge(Record { state, ..record }).map_err(|_| Ignored::Impossible)?;
        if merged != known {
            self.note(Update { node, record: merged }, span, out)?;
            if is_verdict && known.state == State::Alive {
                // Nobody else may tell it in time.
                self.ping(node, 0, out);
            }
        } else if is_verdict && record.incarnation == known.incarnation {
            self.hasten(node, self.now.after(self.stretched(span)));
        }
        Ok(())
    }

    /// Writes down what is new, tells the host what has become true by it, and passes it on. A doubt
    /// becomes a verdict after this span.
    fn note<X: Outbox<Output> + ?Sized>(
        &mut self,
        update: Update,
        span: Span,
        out: &mut X,
    ) -> Result<(), Ignored> {
        let Update { node, record } = update;
        if self.members.is_full() && self.members.get(node).is_none() {
            let forgotten = self.members.longest_departed().ok_or(Ignored::NoRoom)?;
            self.members.remove(forgotten);
            self.rumours.forget(forgotten);
        }
        let is_suspect = record.state == State::Suspect;
        let at = if is_suspect { self.now.after(self.stretched(span)) } else { self.now };
        let member = Member { record, at };
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
            self.next_verdict = self.next_verdict.min(at);
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
            let by = said.incarnation;
            if core::mem::replace(&mut self.outlived_by, by) != by {
                out.push(Output::Outlived { by });
            }
            return Ok(());
        }
        if said.state != State::Alive {
            self.worsen();
        }
        self.incarnation = said.incarnation.next();
        self.rumours.spread(self.config.me);
        self.is_urgent = true;
        Ok(())
    }

    /// A verdict on a node that is suspect comes no later.
    fn hasten(&mut self, node: NodeId, at: Instant) {
        if let Some(member) = self.members.get_mut(node) {
            member.at = member.at.min(at);
            self.next_verdict = self.next_verdict.min(at);
        }
    }

    /// Begins all suspicions anew.
    pub(super) fn excuse(&mut self) {
        self.members.excuse(self.now.after(self.stretched(self.config.suspicion_most)));
    }

    /// Convicts whoever was suspect for too long.
    pub(super) fn convict<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.now < self.next_verdict {
            return;
        }
        // Of many the others are due in the next tick, at once.
        for _ in 0..Self::MOST_CHANGES {
            let overdue = self.members.suspects().find(|(_, member)| member.at <= self.now);
            let Some((node, member)) = overdue else { break };
            let record = Record { state: State::Down, ..member.record };
            // It is known, so there is room for it.
            let _ = self.note(Update { node, record }, Span::ZERO, out);
        }
        let verdicts = self.members.suspects().map(|(_, member)| member.at);
        self.next_verdict = verdicts.min().unwrap_or(Self::NEVER);
    }
}
