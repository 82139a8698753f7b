//! What is heard: of others, of this node itself, and what is answered to it.

use super::members::{Doubters, Member, Told};
use super::message::Updates;
use super::{
    Address, Gossip, Kind, Message, Output, Presence, Record, State, Turn, Update, ignored,
};
use crate::event::{Event, Ignored};
use crate::id::{Incarnation, NodeId};
use crate::limits::Gossip as Limits;
use crate::machine::Outbox;
use crate::time::{Instant, Span};

impl Gossip {
    /// A message: what it tells of its sender, what travels beside it, and what it says.
    pub(super) fn hear<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Address,
        message: Message,
        updates: &[Update],
        turn: &mut Turn,
        out: &mut X,
    ) {
        let Message { sender, incarnation, kind } = message;
        let said = Record { incarnation, state: State::Alive, address: from };
        if let Err(why) = self.admit(sender, said, updates, turn) {
            return out.event(ignored(sender, why));
        }
        let is_known = self.members.get(sender).is_some_and(|member| member.record == said);
        if !is_known && !self.learn(Update { node: sender, record: said, by: sender }, turn, out) {
            return;
        }
        for update in updates {
            self.learn(*update, turn, out);
        }
        let is_news = !is_known || !updates.is_empty();
        let retort = if is_news { self.retort(sender, said) } else { None };
        match self.answer(sender, kind, out) {
            Ok(Some(kind)) => self.send(from, kind, retort, out),
            // Whoever told of the doubt hears at once that there is none.
            Ok(None) if turn.has_refuted => self.send(from, Kind::News, retort, out),
            Ok(None) => self.warn(sender, from, retort, out),
            Err(why) => {
                out.event(ignored(sender, why));
                self.warn(sender, from, retort, out);
            }
        }
    }

    /// Whether a message means anything here.
    fn admit(
        &mut self,
        sender: NodeId,
        said: Record,
        updates: &[Update],
        turn: &mut Turn,
    ) -> Result<(), Ignored> {
        if self.presence != Presence::Here {
            return Err(Ignored::Stopped);
        }
        if updates.len() > Limits::MOST.updates {
            return Err(Ignored::Malformed);
        }
        if sender == self.config.me && said.address != self.config.address {
            turn.needs = (said.incarnation >= self.incarnation).then_some(said.incarnation);
        }
        if sender == self.config.me || sender == NodeId::ZERO {
            return Err(Ignored::Stranger);
        }
        Ok(())
    }

    /// What is to be said to the sender of a message, if anything.
    fn answer<X: Outbox<Output> + ?Sized>(
        &mut self,
        sender: NodeId,
        kind: Kind,
        out: &mut X,
    ) -> Result<Option<Kind>, Ignored> {
        match kind {
            Kind::Ping { probe } => Ok(Some(Kind::Ack { probe })),
            Kind::Ack { probe } => self.acknowledged(sender, probe).map(|()| None),
            Kind::PingReq { probe, target } => self.relay(sender, probe, target, out).map(Some),
            Kind::Relaying { probe } => self.relayed(probe).map(|()| None),
            Kind::RelayedPing { probe, origin } => Ok(Some(Kind::RelayedAck { probe, origin })),
            Kind::RelayedAck { probe, origin } => {
                let record = self.present(origin).ok_or(Ignored::Stranger)?;
                let kind = Kind::ForwardedAck { probe, target: sender };
                self.send(record.address, kind, None, out);
                Ok(None)
            }
            Kind::ForwardedAck { probe, target } => self.acknowledged(target, probe).map(|()| None),
            Kind::News => Ok(None),
            Kind::Sync { after } => {
                self.send_page(sender, after, out);
                Ok(None)
            }
            Kind::Page { next } => self.turn_page(next),
        }
    }

    /// A node that is there, as far as is known.
    pub(super) fn present(&self, node: NodeId) -> Option<Record> {
        let record = self.members.get(node)?.record;
        (!record.state.is_departed()).then_some(record)
    }

    /// What a node must hear that takes itself for what it is not.
    fn retort(&self, node: NodeId, said: Record) -> Option<Update> {
        let member = self.members.get(node).filter(|member| member.record != said)?;
        Some(Update { node, record: member.record, by: member.by })
    }

    /// Tells a node what is said of it, at most once in an interval: two nodes that take each other for
    /// down must not do so for ever (foca#25).
    fn warn<X: Outbox<Output> + ?Sized>(
        &mut self,
        node: NodeId,
        to: Address,
        retort: Option<Update>,
        out: &mut X,
    ) {
        let (now, interval) = (self.now, self.config.probe_interval);
        let Some(update) = retort else { return };
        let Some(member) = self.members.get_mut(node).filter(|member| now >= member.warn_at) else {
            return;
        };
        member.warn_at = now.after(interval);
        self.send(to, Kind::News, Some(update), out);
    }

    /// Takes in what is said of a node; whether it can be so.
    pub(super) fn learn<X: Outbox<Output> + ?Sized>(
        &mut self,
        update: Update,
        turn: &mut Turn,
        out: &mut X,
    ) -> bool {
        let Update { node, record, by } = update;
        if node == self.config.me {
            return self.hear_of_me(record, turn, out);
        }
        let now = self.now;
        let Some(member) = self.members.get_mut(node) else {
            return self.meet(update, turn, out);
        };
        let known = member.record;
        if !record.incarnation.may_follow(known.incarnation) {
            out.event(ignored(node, Ignored::Implausible));
            return false;
        }
        // Whoever convicts has waited as long as anyone must; but it may have been cut off alone.
        let is_verdict = record.state == State::Down && !known.state.is_departed();
        let evidence = if is_verdict { Record { state: State::Suspect, ..record } } else { record };
        let Ok(merged) = known.merge(evidence) else {
            if member.conflict.replace(known.incarnation) != Some(known.incarnation) {
                out.push(Output::Conflict { node, known, other: record.address });
            }
            return true;
        };
        let doubters = if is_verdict { Doubters::ENOUGH } else { Doubters::only(by) };
        if merged == known {
            let all = member.doubters.with(doubters);
            if evidence == known && known.state == State::Suspect && all != member.doubters {
                (member.doubters, member.by) = (all, by);
                turn.reckon = true;
                self.rumours.spread(node);
            }
            return true;
        }
        member.doubters = if merged.state == State::Suspect { doubters } else { Doubters::NONE };
        (member.since, member.by) = (now, by);
        self.members.write(node, merged);
        if is_verdict && known.state == State::Alive {
            let _ = turn.accused.push(node);
        }
        turn.is_urgent |= merged.state == State::Suspect
            || merged.state == State::Left
            || known.state == State::Suspect;
        if known.state.is_departed() && !merged.state.is_departed() {
            self.join_round(node);
        }
        self.changed(node, turn, out);
        true
    }

    /// Something has become true of a node.
    pub(super) fn changed<X: Outbox<Output> + ?Sized>(
        &mut self,
        node: NodeId,
        turn: &mut Turn,
        out: &mut X,
    ) {
        self.rumours.spread(node);
        turn.reckon = true;
        // One step changes no more nodes than this holds.
        let _ = turn.changed.push(node);
        while self.members.is_crowded(false) {
            self.forget(out);
        }
    }

    fn forget<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if let Some(node) = self.members.forget_oldest() {
            self.rumours.forget(node);
            out.event(Event::NodeForgotten { node });
        }
    }

    /// A node that was not known. One that is gone is no news, or what everybody forgets at another
    /// time would go round for ever.
    fn meet<X: Outbox<Output> + ?Sized>(
        &mut self,
        update: Update,
        turn: &mut Turn,
        out: &mut X,
    ) -> bool {
        let Update { node, record, by } = update;
        if node == NodeId::ZERO || record.state.is_departed() {
            out.event(ignored(node, Ignored::Stranger));
            return true;
        }
        if self.members.is_crowded(true) {
            self.forget(out);
        }
        let is_suspect = record.state == State::Suspect;
        let member = Member {
            record,
            since: self.now,
            doubters: if is_suspect { Doubters::only(by) } else { Doubters::NONE },
            by,
            warn_at: Instant::ORIGIN,
            told: Told::Nothing,
            conflict: None,
        };
        if !self.members.insert(node, member) {
            out.event(ignored(node, Ignored::NoRoom));
            return true;
        }
        self.join_round(node);
        self.changed(node, turn, out);
        true
    }

    /// What is said of this node. Doubt is refuted by a higher incarnation (SWIM, section 4.2); so is
    /// the memory of a former life at this address.
    fn hear_of_me<X: Outbox<Output> + ?Sized>(
        &mut self,
        said: Record,
        turn: &mut Turn,
        out: &mut X,
    ) -> bool {
        if said.incarnation < self.incarnation || said == self.me() {
            return true;
        }
        if !said.incarnation.may_follow(self.incarnation) {
            out.event(ignored(self.config.me, Ignored::Implausible));
            return false;
        }
        let is_elsewhere = said.address != self.config.address;
        if said.incarnation == Incarnation::MAX || (said.state == State::Alive && is_elsewhere) {
            turn.needs = Some(said.incarnation);
            return true;
        }
        if said.state != State::Alive {
            self.worsen();
        }
        self.renew(said.incarnation.next(), turn);
        turn.has_refuted = true;
        true
    }

    pub(super) fn renew(&mut self, incarnation: Incarnation, turn: &mut Turn) {
        self.incarnation = incarnation;
        self.rumours.spread(self.config.me);
        turn.is_urgent = true;
    }

    /// When a suspicion becomes a verdict: the earlier, the more share it (Lifeguard, section IV.B).
    pub(super) fn verdict_at(&self, member: &Member) -> Instant {
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

    /// Convicts whoever was suspect for too long.
    pub(super) fn convict<X: Outbox<Output> + ?Sized>(&mut self, turn: &mut Turn, out: &mut X) {
        if self.next_verdict.is_none_or(|at| self.now < at) {
            return;
        }
        turn.reckon = true;
        while turn.changed.len() < Self::MOST_CHANGES {
            let Some((node, record)) = self.overdue() else { return };
            let (record, now) = (Record { state: State::Down, ..record }, self.now);
            self.members.write(node, record);
            if let Some(member) = self.members.get_mut(node) {
                (member.since, member.by) = (now, self.config.me);
                member.doubters = Doubters::NONE;
            }
            self.changed(node, turn, out);
        }
    }

    /// A node whose time to refute a suspicion is over.
    fn overdue(&self) -> Option<(NodeId, Record)> {
        let mut suspects =
            self.members.iter().filter(|(_, member)| member.record.state == State::Suspect);
        let (node, member) = suspects.find(|(_, member)| self.verdict_at(member) <= self.now)?;
        Some((node, member.record))
    }

    /// Tells a newcomer of the nodes after one, as many as a message holds.
    fn send_page<X: Outbox<Output> + ?Sized>(&mut self, to: NodeId, after: NodeId, out: &mut X) {
        let Some(address) = self.members.get(to).map(|member| member.record.address) else {
            return;
        };
        let mut updates = Updates::new();
        let mut next = NodeId::ZERO;
        for (node, record) in self.members.present_after(after).filter(|(node, _)| *node != to) {
            if updates.len() >= self.config.limits.updates {
                next = updates.last().map_or(NodeId::ZERO, |last| last.node);
                break;
            }
            let _ = updates.push(Update { node, record: *record, by: node });
        }
        let kind = Kind::Page { next };
        let message = Message { sender: self.config.me, incarnation: self.incarnation, kind };
        out.push(Output::Send { to: address, message, updates });
    }

    /// A page was told: asks for the next one.
    fn turn_page(&mut self, next: NodeId) -> Result<Option<Kind>, Ignored> {
        let Some(cursor) = self.joining else { return Err(Ignored::Stale) };
        if next == NodeId::ZERO {
            self.joining = None;
            return Ok(None);
        }
        if next <= cursor {
            return Err(Ignored::Stale);
        }
        self.joining = Some(next);
        Ok(Some(Kind::Sync { after: next }))
    }
}
