//! Coming, going, and finding those who are lost.

use super::message::Updates;
use super::{Gossip, Kind, Message, Output, Presence, Update};
use crate::event::Ignored;
use crate::id::NodeId;
use crate::machine::Outbox;
use crate::membership::Address;
use crate::time::Span;

impl Gossip {
    pub(super) fn join(&mut self, seeds: &[Address]) {
        if self.presence == Presence::Left {
            self.incarnation = self.incarnation.next();
            self.excuse();
        }
        self.presence = Presence::Here;
        self.seeds.clear();
        // The step has refused more than fit.
        let _ = self.seeds.extend(seeds);
        self.seed = 0;
        self.joining = Some(NodeId::ZERO);
        let offset = self.rng.below(self.config.probe_interval.as_micros());
        self.next_probe = self.now.after(Span::micros(offset));
        self.next_heal = self.now;
        self.rumours.spread(self.config.me);
    }

    /// Says farewell to some, who pass it on at once.
    pub(super) fn leave<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        self.presence = Presence::Left;
        self.probe = None;
        self.rumours.spread(self.config.me);
        for to in self.some_present(Self::MOST_RELAYS, NodeId::ZERO).iter() {
            self.send(*to, Kind::News, None, out);
        }
        out.push(Output::Left { node: self.config.me, record: self.me() });
    }

    /// Looks for those who are gone: for one of those down and for one at a seed, by turns.
    pub(super) fn heal<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.now < self.next_heal {
            return;
        }
        let is_alone = self.members.active() == 0;
        let (short, long) = (self.config.probe_interval, self.config.heal_interval);
        self.next_heal = self.now.after(if is_alone { short } else { long });
        let down = self.members.down_after(self.healed);
        self.has_sought = (down.is_none() || !self.has_sought) && self.seek(out);
        if let Some(node) = down.filter(|_| !self.has_sought) {
            self.healed = node;
            self.ping(node, 0, out);
        }
    }

    /// Asks the next seed at which nobody is known to be, or any until one has told of all nodes that it
    /// knows.
    fn seek<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) -> bool {
        for _ in 0..self.seeds.len() {
            let Some(seed) = self.seeds.get(self.seed).copied() else { return false };
            let next = self.seed.saturating_add(1);
            self.seed = if next < self.seeds.len() { next } else { 0 };
            let is_there = self.members.present().any(|(_, record)| record.address == seed);
            if seed == self.config.address || (is_there && self.joining.is_none()) {
                continue;
            }
            let after = *self.joining.get_or_insert(NodeId::ZERO);
            self.send(seed, Kind::Sync { after }, None, out);
            return true;
        }
        false
    }

    /// Tells a newcomer of the nodes after one, as many as a message holds.
    pub(super) fn send_page<X: Outbox<Output> + ?Sized>(
        &mut self,
        to: NodeId,
        after: NodeId,
        out: &mut X,
    ) {
        let Some(address) = self.members.get(to).map(|member| member.record.address) else {
            return;
        };
        let mut updates = Updates::new();
        let mut next = NodeId::ZERO;
        for (node, record) in self.members.present_after(after).filter(|(node, _)| *node != to) {
            if updates.len() >= self.config.updates {
                next = updates.last().map_or(NodeId::ZERO, |last| last.node);
                break;
            }
            let _ = updates.push(Update { node, record: *record });
        }
        let kind = Kind::Page { next };
        let message = Message { sender: self.config.me, incarnation: self.incarnation, kind };
        out.push(Output::Send { to: address, message, updates });
    }

    /// A page was told: asks for the next one.
    pub(super) fn turn_page(&mut self, next: NodeId) -> Result<Option<Kind>, Ignored> {
        let cursor = self.joining.ok_or(Ignored::Stale)?;
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
