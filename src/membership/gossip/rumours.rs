//! What is passed on beside messages: for each node at most one piece of news, for a while
//! (SWIM, section 4.1).
//!
//! A rumour is only a node's name: what is said of it is what is known when it is said, so no rumour is
//! ever older than the table.

use super::message::Updates;
use super::{Gossip, Kind, Message, Out, Output, Update};
use crate::bounded::List;
use crate::id::NodeId;
use crate::limits::NODES;
use crate::membership::Address;

/// News, in the order in which it is sent: the newest first, and what was sent behind what was not.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Rumours {
    // Of all that are known, and of this node: how often each was sent.
    queue: List<(NodeId, u8), { NODES.saturating_add(1) }>,
}

impl Rumours {
    /// There is news of a node: it takes the place of any older news.
    pub(super) fn spread(&mut self, node: NodeId) {
        self.forget(node);
        // There is room for as many as are known.
        let _ = self.queue.insert(0, (node, 0));
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.drop_first(|(other, _)| *other == node);
    }

    fn drop_first(&mut self, which: impl Fn(&(NodeId, u8)) -> bool) -> bool {
        let at = self.queue.iter().position(which);
        at.is_some_and(|at| self.queue.remove(at).is_some())
    }

    /// Shows rumours to `take` until it has no room, and drops what was sent `most` times.
    fn send(&mut self, most: u8, mut take: impl FnMut(NodeId) -> bool) {
        let mut count = 0_usize;
        for (_, sent) in self.queue.iter_mut().take_while(|(node, _)| take(*node)) {
            *sent = sent.saturating_add(1);
            count = count.saturating_add(1);
        }
        self.queue.rotate_left(count);
        while self.drop_first(|(_, sent)| *sent >= most) {}
    }
}

impl Gossip {
    /// Sends a message with what there is room for beside it: what its receiver must hear, then the rest of
    /// the page that it is, or rumours.
    pub(super) fn send<X: Out + ?Sized>(
        &mut self,
        to: Address,
        mut kind: Kind,
        first: &[Update],
        out: &mut X,
    ) {
        let mut updates = Updates::new();
        for update in first {
            let _ = updates.push(*update);
        }
        if let Kind::Page { next } = &mut kind {
            *next = self.add_page(*next, &mut updates);
        } else if kind != Kind::News && !self.rumours.queue.is_empty() {
            self.add_rumours(&mut updates);
        }
        let message = Message { sender: self.config.me, incarnation: self.me.incarnation, kind };
        out.push(Output::Send { to, message, updates });
    }

    fn add_rumours(&mut self, updates: &mut Updates) {
        let count = self.those_present().count().saturating_add(2);
        let rounds = usize::BITS.saturating_sub(count.saturating_sub(1).leading_zeros());
        let most = u8::try_from(rounds).unwrap_or(u8::MAX).saturating_mul(self.config.multiplier);
        let (me, mine, room) = (self.config.me, self.me, self.config.updates);
        let (members, except) = (&self.members, updates.first().map(|first| first.node));
        self.rumours.send(most.max(1), |node| {
            let has_room = updates.len() < room;
            let known = members.get(&node).map(|member| member.record);
            let known = if node == me { Some(mine) } else { known };
            if let Some(record) = known.filter(|_| has_room && except != Some(node)) {
                let _ = updates.push(Update { node, record });
            }
            has_room
        });
    }

    /// Tells the two that come after this node in the graph.
    pub(super) fn tell_at_once<X: Out + ?Sized>(&mut self, out: &mut X) {
        let count = self.those_present().count();
        let place = self.those_present().take_while(|one| one.node < self.config.me).count();
        // Both hear the same: the newest.
        let mut updates = Updates::new();
        self.add_rumours(&mut updates);
        for nth in 0..Self::MOST_TOLD {
            let other = place.saturating_mul(Self::MOST_TOLD).saturating_add(nth);
            // This node has a place too, but is not in the table.
            let other = other.checked_rem(count.saturating_add(1)).unwrap_or(0);
            let other = if other > place { other.saturating_sub(1) } else { other };
            let other = other.checked_rem(count).and_then(|other| self.those_present().nth(other));
            if let Some(other) = other {
                self.send(other.record.address, Kind::News, &updates, out);
            }
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
        let mut rumours = Rumours::default();
        (1..=3).for_each(|node| rumours.spread(NodeId::new(node)));
        assert_eq!(sent(&mut rumours, 2), [3, 2]);
        assert_eq!(sent(&mut rumours, 2), [1, 3]);
        rumours.spread(NodeId::new(2));
        assert_eq!(sent(&mut rumours, 9), [2, 1], "3 was sent as often as it may");
        assert_eq!(sent(&mut rumours, 9), [2]);
        assert!(rumours.queue.is_empty());
    }
}
