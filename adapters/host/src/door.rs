//! The open connections of a node: how many there may be, and how each of them ends.

use crate::book::Book;
use quorate::id::Slot;
use quorate::membership::roster::Life;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections open at once, and how many of them may be clients': a member always finds room.
pub const CONNECTIONS: usize = 1_024;
/// See [`CONNECTIONS`].
pub const CLIENTS: usize = 896;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guest {
    /// Nobody has said hello yet.
    Stranger,
    /// A client.
    Client,
    /// A member, in one of its lives.
    Member(Slot, Life),
}

impl Guest {
    /// Whether there is room for only one of the two.
    fn displaces(self, other: Self) -> bool {
        matches!((self, other), (Self::Member(slot, _), Self::Member(known, _)) if slot == known)
    }
}

/// How a connection is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// At once, whatever is still to be written.
    AtOnce,
    /// It is not heard any more, and has the replies that wait.
    Politely,
}

/// Ends a connection. It must not wait, nor come back to the [`Door`].
pub type End = Box<dyn Fn(Ending) + Send>;

/// Every open connection, by number, with what ends it.
pub struct Door(Mutex<Option<BTreeMap<u64, (Guest, End)>>>);

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Default for Door {
    fn default() -> Self {
        Self(Mutex::new(Some(BTreeMap::new())))
    }
}

impl Door {
    fn guests(&self) -> MutexGuard<'_, Option<BTreeMap<u64, (Guest, End)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the node has ended.
    pub fn is_closed(&self) -> bool {
        self.guests().is_none()
    }

    /// Whether one more may come in.
    pub fn has_room(&self) -> bool {
        self.guests().as_ref().is_some_and(|guests| guests.len() < CONNECTIONS)
    }

    /// Lets a connection in, if there is room. What it begins cannot be introduced before it is in.
    pub fn enter(&self, number: u64, begin: impl FnOnce() -> End) -> bool {
        let mut guests = self.guests();
        let Some(guests) = guests.as_mut().filter(|guests| guests.len() < CONNECTIONS) else {
            return false;
        };
        guests.insert(number, (Guest::Stranger, begin()));
        true
    }

    /// Notes who it is, if there is room for one more such. A member has one connection: the one
    /// before, which is ended, is of its former life, or its machine has lost power since.
    pub fn introduce(&self, number: u64, guest: Guest) -> bool {
        let mut guests = self.guests();
        let Some(guests) = guests.as_mut() else { return false };
        let clients = guests.values().filter(|(other, _)| *other == Guest::Client);
        if guest == Guest::Client && clients.count() >= CLIENTS {
            return false;
        }
        for (_, end) in guests.values().filter(|(other, _)| guest.displaces(*other)) {
            end(Ending::AtOnce);
        }
        if let Some((known, _)) = guests.get_mut(&number) {
            *known = guest;
        }
        true
    }

    /// Ends the connections of members that others took the place of, or nobody.
    pub fn keep(&self, book: &Book) {
        for (guest, end) in self.guests().iter().flat_map(BTreeMap::values) {
            if matches!(guest, Guest::Member(slot, life) if !book.counts(*slot, *life)) {
                end(Ending::AtOnce);
            }
        }
    }

    /// A connection has ended.
    pub fn leave(&self, number: u64) {
        self.guests().as_mut().and_then(|guests| guests.remove(&number));
    }

    /// Ends a connection at once.
    pub fn turn_out(&self, number: u64) {
        if let Some((_, end)) = self.guests().as_mut().and_then(|guests| guests.remove(&number)) {
            end(Ending::AtOnce);
        }
    }

    /// Ends every connection, and lets nobody in any more.
    pub fn close(&self) {
        for (guest, end) in self.guests().take().into_iter().flat_map(BTreeMap::into_values) {
            end(if guest == Guest::Client { Ending::Politely } else { Ending::AtOnce });
        }
    }
}

/// A connection for as long as it is served, however that ends.
#[derive(Debug)]
pub struct Visit {
    /// Where it came in.
    pub door: Arc<Door>,
    /// Which it is.
    pub number: u64,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.door.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{Entry, Page};
    use quorate::id::{Incarnation, Index, NodeId};

    fn member(slot: u8, node: u64) -> Guest {
        let (node, incarnation) = (NodeId::new(node), Incarnation::new(7));
        Guest::Member(Slot::new(slot), Life { node, incarnation })
    }

    // A node that is given the slot of one that has left may come while that one's word is still heard.
    #[test]
    fn whoever_has_left_is_seen_out_although_another_has_its_slot() {
        let (door, ended) = (Door::default(), Ended::default());
        for (number, guest) in [(1, member(1, 2)), (2, member(2, 3))] {
            assert!(door.enter(number, ended.of(number)) && door.introduce(number, guest));
        }
        let entry = |node| Entry {
            node: NodeId::new(node),
            incarnation: Some(Incarnation::new(7)),
            since: Index::new(node),
            address: String::new(),
            leaves: false,
        };
        let me = Life { node: NodeId::new(1), incarnation: Incarnation::new(7) };
        let members = [(Slot::new(1), entry(9)), (Slot::new(2), entry(3))].into();
        let page = Page { members, ..Page::default() };
        let book = Book::new((me, Slot::new(0), Index::ZERO), Default::default(), [].into(), page);
        door.keep(&book);
        assert_eq!(ended.all(), [(1, Ending::AtOnce)], "node 2 is not listened to any more");
    }

    /// Notes how connections end, by number.
    #[derive(Clone, Default)]
    struct Ended(Arc<Mutex<Vec<(u64, Ending)>>>);

    impl Ended {
        fn of(&self, number: u64) -> impl FnOnce() -> End {
            let ended = self.clone();
            move || Box::new(move |how| ended.0.lock().unwrap().push((number, how)))
        }

        fn all(&self) -> Vec<(u64, Ending)> {
            self.0.lock().unwrap().clone()
        }
    }

    #[test]
    fn clients_leave_room_for_members() {
        let (door, ended) = (Door::default(), Ended::default());
        let clients = (0..CONNECTIONS as u64)
            .filter(|&n| door.enter(n, ended.of(n)) && door.introduce(n, Guest::Client));
        assert_eq!(clients.count(), CLIENTS);
        assert!(!door.has_room());
        door.leave(CONNECTIONS as u64 - 1);
        let number = CONNECTIONS as u64;
        assert!(door.enter(number, ended.of(number)));
        assert!(door.introduce(number, member(1, 2)));
        let more = number + 1;
        assert!(!door.enter(more, || unreachable!()), "but not for more than there is room for");
        assert_eq!(ended.all(), []);
    }

    #[test]
    fn a_member_that_comes_again_takes_the_place_of_its_former_connection() {
        let (door, ended) = (Door::default(), Ended::default());
        for number in [1, 2] {
            assert!(door.enter(number, ended.of(number)));
            assert!(door.introduce(number, member(1, 2)));
        }
        assert_eq!(ended.all(), [(1, Ending::AtOnce)]);
    }

    #[test]
    fn a_door_that_closes_lets_clients_have_their_replies_and_nobody_in() {
        let (door, ended) = (Door::default(), Ended::default());
        for (number, guest) in [(1, Guest::Client), (2, member(1, 2))] {
            assert!(door.enter(number, ended.of(number)) && door.introduce(number, guest));
        }
        door.close();
        assert_eq!(ended.all(), [(1, Ending::Politely), (2, Ending::AtOnce)]);
        assert!(door.is_closed() && !door.has_room() && !door.enter(3, || unreachable!()));
        assert!(!door.introduce(1, Guest::Client));
        door.turn_out(1);
        assert_eq!(ended.all().len(), 2, "once each");
    }
}
