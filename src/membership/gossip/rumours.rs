//! What is passed on beside messages: for each node at most one piece of news, for a while
//! (SWIM, section 4.1).
//!
//! A rumour is only a node's name: what is said of it is what is known when it is said, so no rumour is
//! ever older than the table.

use crate::bounded::List;
use crate::id::NodeId;
use crate::limits::Gossip as Limits;
use core::cmp::Reverse;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Rumour {
    node: NodeId,
    sent: u8,
    // Rises with each piece of news.
    serial: u64,
}

/// News, in the order in which it is sent: what was sent least first, and of that the newest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Rumours {
    queue: List<Rumour, { Limits::MOST.rumours }>,
    room: usize,
    serial: u64,
}

impl Rumours {
    pub(super) const fn new(room: usize) -> Self {
        Self { queue: List::new(), room, serial: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// There is news of a node: it takes the place of any older news.
    pub(super) fn spread(&mut self, node: NodeId) {
        self.forget(node);
        self.queue.truncate(self.room.saturating_sub(1));
        self.serial = self.serial.saturating_add(1);
        // There is room now.
        let _ = self.queue.insert(0, Rumour { node, sent: 0, serial: self.serial });
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        if let Some(at) = self.queue.iter().position(|rumour| rumour.node == node) {
            self.queue.remove(at);
        }
    }

    /// Shows rumours to `take` until it has no room, and drops what was sent `most` times.
    pub(super) fn send(&mut self, most: u8, mut take: impl FnMut(NodeId) -> bool) {
        for rumour in self.queue.iter_mut() {
            if !take(rumour.node) {
                break;
            }
            rumour.sent = rumour.sent.saturating_add(1);
        }
        self.queue.sort_unstable_by_key(|rumour| (rumour.sent, Reverse(rumour.serial)));
        let told = self.queue.partition_point(|rumour| rumour.sent < most);
        self.queue.truncate(told);
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
        let mut rumours = Rumours::new(4);
        (1..=3).for_each(|node| rumours.spread(NodeId::new(node)));
        assert_eq!(sent(&mut rumours, 2), [3, 2]);
        assert_eq!(sent(&mut rumours, 2), [1, 3]);
        rumours.spread(NodeId::new(2));
        assert_eq!(sent(&mut rumours, 9), [2, 1], "3 was sent as often as it may");
        assert_eq!(sent(&mut rumours, 9), [2]);
        assert!(rumours.is_empty());
    }

    #[test]
    fn a_full_queue_drops_what_was_sent_most() {
        let mut rumours = Rumours::new(2);
        rumours.spread(NodeId::new(1));
        assert_eq!(sent(&mut rumours, 1), [1]);
        (2..=3).for_each(|node| rumours.spread(NodeId::new(node)));
        assert_eq!(sent(&mut rumours, 9), [3, 2]);
    }
}
