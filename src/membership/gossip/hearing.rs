//! A message: what it tells of its sender, what travels beside it, and what is answered.

use super::{Gossip, Kind, Message, Output, Presence, Record, State, Update};
use crate::event::{Event, Ignored};
use crate::id::NodeId;
use crate::limits::UPDATES;
use crate::machine::Outbox;
use crate::membership::Address;

impl Gossip {
    pub(super) fn hear<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Address,
        message: Message,
        updates: &[Update],
        out: &mut X,
    ) -> Result<(), Ignored> {
        let Message { sender, incarnation, kind } = message;
        let said = Record { incarnation, state: State::Alive, address: from };
        self.admit(sender, said, updates, out)?;
        let is_known = self.members.get(sender).is_some_and(|member| member.record == said);
        if !is_known {
            self.hear_itself(sender, said, out)?;
        }
        for update in updates {
            if let Err(why) = self.learn(*update, out) {
                out.event(Event::Unheeded { from: sender, why });
            }
        }
        let is_news = !is_known || !updates.is_empty();
        let retort = if is_news { self.retort(sender, said) } else { None };
        if let Some(kind) = self.answer(sender, kind, out)? {
            self.send(from, kind, retort, out);
        }
        Ok(())
    }

    /// Whether a message means anything here.
    fn admit<X: Outbox<Output> + ?Sized>(
        &mut self,
        sender: NodeId,
        said: Record,
        updates: &[Update],
        out: &mut X,
    ) -> Result<(), Ignored> {
        if self.presence != Presence::Here {
            return Err(Ignored::Stopped);
        }
        if updates.len() > UPDATES {
            return Err(Ignored::Malformed);
        }
        if sender == self.config.me {
            self.hear_of_me(said, out)?;
        }
        if sender == self.config.me || sender == NodeId::ZERO {
            return Err(Ignored::Stranger);
        }
        Ok(())
    }

    /// What a node says of itself. Nobody falls so far behind itself that it could not catch up: what was
    /// heard of it then was never its own.
    fn hear_itself<X: Outbox<Output> + ?Sized>(
        &mut self,
        sender: NodeId,
        said: Record,
        out: &mut X,
    ) -> Result<(), Ignored> {
        let known = self.members.get(sender).map(|member| member.record.incarnation);
        if known.is_some_and(|known| !known.may_follow(said.incarnation)) {
            self.members.remove(sender);
        }
        match self.learn(Update { node: sender, record: said }, out) {
            Err(Ignored::Implausible) => return Err(Ignored::Implausible),
            Err(why) => out.event(Event::Unheeded { from: sender, why }),
            Ok(()) => {}
        }
        Ok(())
    }

    /// What a node must hear that takes itself for what it is not.
    fn retort(&self, node: NodeId, said: Record) -> Option<Update> {
        let record = self.members.get(node)?.record;
        (record != said).then_some(Update { node, record })
    }

    /// What is to be said to the sender of a message, if anything.
    fn answer<X: Outbox<Output> + ?Sized>(
        &mut self,
        sender: NodeId,
        kind: Kind,
        out: &mut X,
    ) -> Result<Option<Kind>, Ignored> {
        match kind {
            Kind::Ping { probe, origin } => return Ok(Some(Kind::Ack { probe, origin })),
            Kind::Ack { probe, origin } if origin == self.config.me => {
                self.acknowledged(sender, probe)?;
            }
            Kind::Ack { probe, origin } => {
                let to = self.present(origin).ok_or(Ignored::Stranger)?.address;
                self.send(to, Kind::ForwardedAck { probe, target: sender }, None, out);
            }
            Kind::PingReq { probe, target } => {
                // Only one that is known: nobody is made to send to strangers.
                let to = self.present(target).ok_or(Ignored::Stranger)?.address;
                self.send(to, Kind::Ping { probe, origin: sender }, None, out);
                return Ok(Some(Kind::Ack { probe, origin: sender }));
            }
            Kind::ForwardedAck { probe, target } => self.acknowledged(target, probe)?,
            Kind::News => {}
            Kind::Sync { after } => self.send_page(sender, after, out),
            Kind::Page { next } => return self.turn_page(next),
        }
        Ok(None)
    }

    /// A node that is there, as far as is known.
    pub(super) fn present(&self, node: NodeId) -> Option<Record> {
        let record = self.members.get(node)?.record;
        (!record.state.is_departed()).then_some(record)
    }
}
