//! Who is connected to a node, and who may be: what is decided about a connection, on any runtime.

use crate::book::Book;
use crate::protocol::{Hello, Welcome};
use crate::work::Gone;
use quorate::id::{GroupId, Members, NodeId, Slot};
use quorate::membership::Address;
use quorate::membership::roster::Life;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// Connections open at once, and how many of them may be clients': a member always finds room.
pub const CONNECTIONS: usize = 1_024;
/// See [`CONNECTIONS`].
pub const CLIENTS: usize = 896;
/// Replies that may wait for a client that does not read them; then it is dropped.
pub const REPLIES: usize = 4_096;
/// How long either side waits for the first frame of the other, and a node for a client to take a
/// reply.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// A client that has asked nothing for so long is taken for gone: its machine may have lost power.
pub const IDLE: Duration = Duration::from_secs(600);
/// The pause after the operating system gave no connection, for want of files perhaps.
pub const PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guest {
    /// Nobody has said hello yet.
    Stranger,
    /// A client.
    Client,
    /// A member.
    Member(Slot),
}

/// The open connections, by number, each with what ends it.
#[derive(Debug)]
pub struct Guests<End>(BTreeMap<u64, (Guest, End)>);

impl<End> Default for Guests<End> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<End> Guests<End> {
    /// Whether one more may come in.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.len() < CONNECTIONS
    }

    /// Lets a connection in, if there is room.
    pub fn enter(&mut self, number: u64, end: End) -> bool {
        self.has_room() && self.0.insert(number, (Guest::Stranger, end)).is_none()
    }

    /// Notes who it is, if there is room for one more such. A member has one connection: the one
    /// before, which is ended, is of its former life, or its machine has lost power since.
    pub fn introduce(&mut self, number: u64, guest: Guest, mut end: impl FnMut(&End)) -> bool {
        let alike = self.0.values().filter(|(other, _)| *other == guest);
        if guest == Guest::Client && alike.clone().count() >= CLIENTS {
            return false;
        }
        alike.filter(|_| guest != Guest::Client).for_each(|(_, former)| end(former));
        if let Some((known, _)) = self.0.get_mut(&number) {
            *known = guest;
        }
        true
    }

    /// Ends the connections of members that others took the place of, or nobody.
    pub fn keep(&self, members: Members, end: impl Fn(&End)) {
        for (guest, connection) in self.0.values() {
            if matches!(guest, Guest::Member(slot) if !members.contains(*slot)) {
                end(connection);
            }
        }
    }

    /// A connection has ended.
    pub fn leave(&mut self, number: u64) -> Option<End> {
        self.0.remove(&number).map(|(_, end)| end)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Guest, &End)> {
        self.0.values().map(|(guest, end)| (*guest, end))
    }
}

/// The address book as the work last left it.
#[derive(Clone, Debug)]
pub struct SharedBook(Arc<RwLock<Book>>);

impl SharedBook {
    /// A book that is read elsewhere too.
    #[must_use]
    pub fn new(book: Book) -> Self {
        Self(Arc::new(RwLock::new(book)))
    }

    /// The book.
    pub fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn replace(&self, book: &Book) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clone_from(book);
    }
}

/// What a node must know to receive somebody.
#[derive(Clone, Debug)]
pub struct House {
    /// The group that it serves.
    pub group: GroupId,
    /// Who belongs to it.
    pub book: SharedBook,
}

impl House {
    /// Who says hello, if it may come in, and what a member says of itself; else what it is answered.
    ///
    /// # Errors
    /// The answer.
    pub fn receive(&self, hello: &Hello) -> Result<(Guest, Option<(Life, Address)>), Welcome> {
        match *hello {
            Hello::Client => Ok((Guest::Client, None)),
            Hello::Member { from, since, address, to, incarnation } => {
                let slot = self.book.read().meet(from, since, (to, incarnation))?;
                Ok((Guest::Member(slot), Some((from, address))))
            }
        }
    }

    /// The answer to whoever may come in.
    #[must_use]
    pub fn here(&self) -> Welcome {
        Welcome::Here { node: self.book.read().me().node }
    }
}

/// What a link to another member needs to know.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The group.
    pub group: GroupId,
    /// What this node says of itself.
    pub hello: Hello,
    /// The other.
    pub to: NodeId,
    /// Where it is.
    pub address: String,
}

/// Why there is no link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoLink {
    /// The node does not answer, or is busy.
    Silent,
    /// It answers what waiting may not mend.
    Misfit(String),
    /// This node is a member no more, and need not try again.
    Over(Gone),
}

/// What a member's answer means to the one that calls it.
///
/// # Errors
/// [`NoLink`], if it is no welcome.
pub fn linked(welcome: &Welcome) -> Result<(), NoLink> {
    Err(NoLink::Misfit(match welcome {
        Welcome::Here { .. } => return Ok(()),
        Welcome::Departed => return Err(NoLink::Over(Gone::Left)),
        Welcome::Outlived { by } => return Err(NoLink::Over(Gone::Outlived(*by))),
        Welcome::NotThatNode { life } => format!("it is {life}"),
        Welcome::NotAMember => "it does not count this node as a member".to_owned(),
        Welcome::OtherLife { known } => format!(
            "it knows this node in an earlier life ({known}); if its data was lost, give it an \
             empty data folder and say `quorate replace`"
        ),
        Welcome::Full => "it has no room for a connection".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_room_for_members() {
        let mut guests = Guests::default();
        let clients = (0..CONNECTIONS as u64)
            .filter(|&n| guests.enter(n, ()) && guests.introduce(n, Guest::Client, |()| {}));
        assert_eq!(clients.count(), CLIENTS);
        assert!(guests.leave(CONNECTIONS as u64 - 1).is_some());
        let member = CONNECTIONS as u64;
        assert!(guests.enter(member, ()));
        assert!(guests.introduce(member, Guest::Member(Slot::new(1)), |()| {}));
        assert!(!guests.enter(member + 1, ()), "but not for more than there is room for");
    }

    #[test]
    fn a_member_that_comes_again_takes_the_place_of_its_former_connection() {
        let (mut guests, mut ended) = (Guests::default(), Vec::new());
        let guest = Guest::Member(Slot::new(1));
        for number in [1, 2] {
            assert!(guests.enter(number, number));
            assert!(guests.introduce(number, guest, |former| ended.push(*former)));
        }
        assert_eq!(ended, [1]);
    }
}
