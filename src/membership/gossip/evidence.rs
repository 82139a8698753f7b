//! What is said of nodes: which of it counts, and what follows.

use super::{Config, Gossip, Heard, Member, Out, Output, Record, State, Update};
use crate::event::Ignored;
use crate::id::{Incarnation, NodeId};
use crate::time::Instant;

impl Gossip {
    /// Takes in what another says of a node. That cannot be further ahead than what may follow what is
    /// known of it; of a stranger, than what may follow this node's own incarnation.
    pub(super) fn learn<X: Out + ?Sized>(&mut self, update: Update, out: &mut X) -> Heard {
        let Update { node, record } = update;
        if node == self.config.me {
            return self.hear_of_me(record, out);
        }
        let known = self.known(node).map_or(self.me.incarnation, |known| known.incarnation);
        if record.incarnation.may_follow(known) {
            self.believe(update, out)
        } else {
            Err(Ignored::Implausible)
        }
    }

    /// Takes in what is said of a node in an incarnation that can be.
    pub(super) fn believe<X: Out + ?Sized>(&mut self, update: Update, out: &mut X) -> Heard {
        let Update { node, record } = update;
        let Config { suspicion_least, suspicion_most, .. } = self.config;
        let Some(known) = self.known(node) else {
            // One that is gone is no news, or what everybody forgets at another time would go round
            // for ever.
            let is_nobody = node == NodeId::ZERO || record.incarnation == Incarnation::ZERO;
            if is_nobody || record.state.is_departed() {
                return Err(Ignored::Stranger);
            }
            return self.note(update, self.after(suspicion_most), out);
        };
        // Whoever convicts has waited as long as anyone must; but it may have been cut off alone.
        let is_verdict = record.state == State::Down && !known.state.is_departed();
        let state = if is_verdict { State::Suspect } else { record.state };
        let at = self.after(if is_verdict { suspicion_least } else { suspicion_most });
        let merged = known.merge(Record { state, ..record }).ok_or(Ignored::Impossible)?;
        if merged != known {
            self.note(Update { node, record: merged }, at, out)?;
            if is_verdict && known.state == State::Alive {
                // Nobody else may tell it in time.
                self.ping(node, 0, out);
            }
        } else if is_verdict && record.incarnation == known.incarnation {
            // It is suspect already: its time is no longer than this.
            if let Some(member) = self.members.get_mut(&node) {
                member.at = member.at.min(at);
                self.next_verdict = self.next_verdict.min(at);
            }
        }
        Ok(())
    }

    /// Writes down what is new, tells the host what has become true by it, and passes it on. A doubt
    /// becomes a verdict at this time.
    fn note<X: Out + ?Sized>(&mut self, update: Update, at: Instant, out: &mut X) -> Heard {
        let Update { node, record } = update;
        let was = self.known(node);
        if was.is_none() && self.members.len() >= self.config.nodes {
            let forgotten = self.longest_departed().ok_or(Ignored::NoRoom)?;
            self.members.remove(&forgotten);
            self.rumours.forget(forgotten);
        }
        let is_suspect = record.state == State::Suspect;
        let at = if is_suspect { at } else { self.now };
        self.members.insert(node, Member { record, at }).map_err(|_| Ignored::NoRoom)?;
        let was_there = was.filter(|was| !was.state.is_departed());
        let is_told = was_there.is_some_and(|was| was.address == record.address);
        match record.state {
            State::Alive | State::Suspect if !is_told => out.push(Output::Up(update)),
            State::Down if was_there.is_some() => out.push(Output::Down(update)),
            State::Left if was_there.is_some() => out.push(Output::Left(update)),
            _ => {}
        }
        if is_suspect {
            self.next_verdict = self.next_verdict.min(at);
        }
        // Whoever has not heard a doubt yet must pass on what refutes it, or others never hear that.
        self.is_urgent |= was.is_some() && record.state != State::Down;
        self.rumours.spread(node);
        Ok(())
    }

    /// What is said of this node. Doubt is refuted by a higher incarnation (SWIM, section 4.2); so is
    /// the memory of a former life at this address.
    pub(super) fn hear_of_me<X: Out + ?Sized>(&mut self, said: Record, out: &mut X) -> Heard {
        if said.incarnation < self.me.incarnation || said == self.me {
            return Ok(());
        }
        if !said.incarnation.may_follow(self.me.incarnation) {
            return Err(Ignored::Implausible);
        }
        let is_elsewhere = said.address != self.me.address;
        if said.incarnation == Incarnation::MAX || (said.state == State::Alive && is_elsewhere) {
            if said.incarnation > self.outlived_by {
                self.outlived_by = said.incarnation;
                out.push(Output::Outlived { by: said.incarnation });
            }
            return Ok(());
        }
        if said.state != State::Alive {
            self.worsen();
        }
        self.me.incarnation = said.incarnation.next();
        self.rumours.spread(self.config.me);
        self.is_urgent = true;
        Ok(())
    }

    /// Begins all suspicions anew.
    pub(super) fn excuse(&mut self) {
        let at = self.after(self.config.suspicion_most);
        let members = self.members.iter_mut().map(|(_, member)| member);
        members.filter(|m| m.record.state == State::Suspect).for_each(|m| m.at = at);
    }

    /// Convicts whoever was suspect for too long.
    pub(super) fn convict<X: Out + ?Sized>(&mut self, out: &mut X) {
        if self.now < self.next_verdict {
            return;
        }
        // Of many the others are due in the next tick, at once.
        for _ in 0..Self::MOST_CHANGES {
            let overdue = self.suspects().find(|(_, member)| member.at <= self.now);
            let Some((node, member)) = overdue else { break };
            let record = Record { state: State::Down, ..member.record };
            // It is known, so there is room for it.
            let _ = self.note(Update { node, record }, self.now, out);
        }
        let verdicts = self.suspects().map(|(_, member)| member.at);
        self.next_verdict = verdicts.min().unwrap_or(Self::NEVER);
    }
}
