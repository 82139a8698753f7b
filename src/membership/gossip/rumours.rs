//! What is passed on beside messages: for each node at most one piece of news, for a while
//! (SWIM, section 4.1).
//!
//! A rumour is only a node's name: what is said of it is what is known when it is said, so no rumour is
//! ever older than the table.

use super::message::Updates;
use super::{Gossip, Kind, Message, Output, Update};
use crate::bounded::List;
use crate::id::NodeId;
use crate::limits::NODES;
use crate::machine::Outbox;
use crate::membership::Address;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Rumour {
    node: NodeId,
    sent: u8,
}

/// News, in the order in which it is sent: the newest first, and what was sent behind what was not.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Rumours {
    // Of all that are known, and of this node.
    queue: List<Rumour, { NODES.saturating_add(1) }>,
}

impl Rumours {
    pub(super) const fn new() -> Self {
        Self { queue: List::new() }
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// There is news of a node: it takes the place of any older news.
    pub(super) fn spread(&mut self, node: NodeId) {
        self.forget(node);
        // There is room for as many as are known.
        let _ = self.queue.insert(0, Rumour { node, sent: 0 });
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.drop_first(|rumour| rumour.node == node);
    }

    fn drop_first(&mut self, which: impl Fn(&Rumour) -> bool) -> bool {
        let at = self.queue.iter().position(which);
        at.is_some_and(|at| self.queue.remove(at).is_some())
    }

    /// Shows rumours to `take` until it has no room, and drops what was sent `most` times.
    fn send(&mut self, most: u8, mut take: impl FnMut(NodeId) -> bool) {
        let mut sent = 0_usize;
        for rumour in self.queue.iter_mut().take_while(|rumour| take(rumour.node)) {
            rumour.sent = rumour.sent.saturating_add(1);
            sent = sent.saturating_add(1);
        }
        self.queue.rotate_left(sent);
        while self.drop_first(|rumour| rumour.sent >= most) {}
    }
}

impl Gossip {
    /// Sends a message with what there is room for beside it, first what its receiver must hear.
    pub(super) fn send<X: Outbox<Output> + ?Sized>(
        &mut self,
        to: Address,
        kind: Kind,
        first: Option<Update>,
        out: &mut X,
    ) {
        let mut updates = Updates::new();
        if let Some(update) = first {
            let _ = updates.push(update);
        }
        if !self.rumours.is_empty() {
            self.add_rumours(first.map(|update| update.node), &mut updates);
        }
        let message = Message { sender: self.config.me, incarnation: self.incarnation, kind };
        out.push(Output::Send { to, message, updates });
    }

    fn add_rumours(&mut self, except: Option<NodeId>, updates: &mut Updates) {
        let count = self.members.active().saturating_add(2);
        let rounds = usize::BITS.saturating_sub(count.saturating_sub(1).leading_zeros());
        let most = u8::try_from(rounds).unwrap_or(u8::MAX).saturating_mul(self.config.multiplier);
        let (me, mine, room) = (self.config.me, self.me(), self.config.updates);
        let members = &self.members;
        self.rumours.send(most.max(1), |node| {
            if updates.len() >= room {
                return false;
            }
            let known = members.get(node).map(|member| member.record);
            let known = if node == me { Some(mine) } else { known };
            if let Some(record) = known.filter(|_| except != Some(node)) {
                let _ = updates.push(Update { node, record });
            }
            true
        });
    }

    /// Tells the two that come after this node in the graph.
    pub(super) fn tell_at_once<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let count = self.members.active();
        let place = self.members.present().take_while(|(node, _)| *node < self.config.me).count();
        let doubled = place.saturating_mul(2).checked_rem(count.saturating_add(1)).unwrap_or(0);
        let others = [doubled, doubled.saturating_add(1)].map(|other| {
            // This node has a place too, but is not in the table.
            let other = if other > place { other.saturating_sub(1) } else { other };
            let other = other.checked_rem(count)?;
            self.members.present().nth(other).map(|(_, record)| record.address)
        });
        for to in others.into_iter().flatten() {
            self.send(to, Kind::News, None, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn sent(rumours: &mut Rumours, count: usize) -> Vec<u64> {
        let mut told = Vec::new();
        rumours.send(2, |node| {
            let has_room = told.len() < count;
            if has_room {
                told.push(node.number());
            }
            has_room
        });
        told
    }

    #[test]
    fn what_was_sent_least_goes_first_and_the_newest_of_that() {
        let mut rumours = Rumours::new();
        (1..=3).for_each(|node| rumours.spread(NodeId::new(node)));
        assert_eq!(sent(&mut rumours, 2), [3, 2]);
        assert_eq!(sent(&mut rumours, 2), [1, 3]);
        rumours.spread(NodeId::new(2));
        assert_eq!(sent(&mut rumours, 9), [2, 1], "3 was sent as often as it may");
        assert_eq!(sent(&mut rumours, 9), [2]);
        assert!(rumours.is_empty());
    }
}
