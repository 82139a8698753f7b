//! A message: what it tells of its sender, what travels beside it, and what is answered.

use super::{Gossip, Heard, Kind, Message, Out, Record, State, Update};
use crate::event::{Event, Ignored};
use crate::id::{Incarnation, NodeId};
use crate::limits::UPDATES;
use crate::membership::Address;

impl Gossip {
    pub(super) fn hear<X: Out + ?Sized>(
        &mut self,
        from: Address,
        message: Message,
        updates: &[Update],
        out: &mut X,
    ) -> Heard {
        let Message { sender, incarnation, kind } = message;
        let said = Record { incarnation, state: State::Alive, address: from };
        if !self.is_here {
            return Err(Ignored::Stopped);
        }
        if updates.len() > UPDATES || incarnation == Incarnation::ZERO || sender == NodeId::ZERO {
            return Err(Ignored::Malformed);
        }
        let is_known = self.members.get(&sender).is_some_and(|member| member.record == said);
        if !is_known {
            self.hear_itself(sender, said, out)?;
        }
        for update in updates {
            if let Err(why) = self.learn(*update, out) {
                out.event(Event::Unheeded { from: sender, why });
            }
        }
        // What a node must hear that takes itself for what it is not.
        let is_news = !is_known || !updates.is_empty();
        let known = if is_news { self.known(sender).filter(|known| *known != said) } else { None };
        if let Some(kind) = self.answer(sender, kind, out)? {
            let retort = known.map(|record| Update { node: sender, record });
            self.send(from, kind, retort.as_slice(), out);
        }
        Ok(())
    }

    /// What a node says of itself. Nobody falls so far behind itself that it could not catch up: what was
    /// heard of it then was never its own.
    fn hear_itself<X: Out + ?Sized>(&mut self, node: NodeId, said: Record, out: &mut X) -> Heard {
        if node == self.config.me {
            return self.hear_of_me(said, out).and(Err(Ignored::Stranger));
        }
        if let Some(Record { incarnation: known, .. }) = self.known(node) {
            if !said.incarnation.may_follow(known) {
                return Err(Ignored::Implausible);
            }
            if !known.may_follow(said.incarnation) {
                self.members.remove(&node);
            }
        }
        if let Err(why) = self.believe(Update { node, record: said }, out) {
            out.event(Event::Unheeded { from: node, why });
        }
        Ok(())
    }

    /// What is to be said to the sender of a message, if anything.
    fn answer<X: Out + ?Sized>(
        &mut self,
        sender: NodeId,
        kind: Kind,
        out: &mut X,
    ) -> Heard<Option<Kind>> {
        let me = self.config.me;
        match kind {
            Kind::Ping { probe, origin } => return Ok(Some(Kind::Ack { probe, origin })),
            Kind::Ack { probe, origin } if origin == me => self.acknowledged(sender, probe)?,
            Kind::Ack { probe, origin } => {
                let to = self.present(origin).ok_or(Ignored::Stranger)?.address;
                self.send(to, Kind::ForwardedAck { probe, target: sender }, &[], out);
            }
            Kind::PingReq { probe, target } => {
                // Only one that is known: nobody is made to send to strangers.
                let to = self.present(target).ok_or(Ignored::Stranger)?.address;
                self.send(to, Kind::Ping { probe, origin: sender }, &[], out);
                return Ok(Some(Kind::Ack { probe, origin: sender }));
            }
            Kind::ForwardedAck { probe, target } => self.acknowledged(target, probe)?,
            Kind::News => {}
            Kind::Sync { after } => return Ok(Some(Kind::Page { next: after })),
            Kind::Page { next } => {
                let next = (next != NodeId::ZERO).then_some(next);
                if next.is_some() && next <= self.joining {
                    return Err(Ignored::Stale);
                }
                self.joining = next;
                self.next_heal = self.now.after(self.config.probe_interval);
                return Ok(self.joining.map(|after| Kind::Sync { after }));
            }
        }
        Ok(None)
    }
}
