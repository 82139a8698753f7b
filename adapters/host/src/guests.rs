//! Who is connected to a node, and who may be: what is decided about a connection, on any runtime.

use crate::config::Config;
use crate::protocol::{Hello, Welcome};
use quorate::id::{GroupId, NodeId, Slot};
use std::collections::BTreeMap;
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

    /// A connection has ended.
    pub fn leave(&mut self, number: u64) -> Option<End> {
        self.0.remove(&number).map(|(_, end)| end)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Guest, &End)> {
        self.0.values().map(|(guest, end)| (*guest, end))
    }
}

/// What a node must know to receive somebody.
#[derive(Clone, Debug)]
pub struct House {
    /// The group that it serves.
    pub group: GroupId,
    /// The node.
    pub me: NodeId,
    /// By slot.
    pub members: Vec<NodeId>,
}

impl House {
    /// The house of the node that is configured so.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            group: GroupId::new(config.group.id),
            me: NodeId::new(config.node.id),
            members: config.member_ids().into_iter().map(NodeId::new).collect(),
        }
    }

    /// Who says hello, if he may come in; else what he is answered.
    ///
    /// # Errors
    /// The answer.
    pub fn receive(&self, hello: &Hello) -> Result<Guest, Welcome> {
        match hello {
            Hello::Client => Ok(Guest::Client),
            Hello::Member { to, .. } if *to != self.me => {
                Err(Welcome::NotThatNode { node: self.me })
            }
            Hello::Member { from, .. } => {
                let slot = self.members.iter().position(|member| member == from);
                let slot = slot.and_then(|slot| u8::try_from(slot).ok()).map(Slot::new);
                slot.map(Guest::Member).ok_or(Welcome::NotAMember)
            }
        }
    }
}

/// What is to be known of a link to another member.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The group.
    pub group: GroupId,
    /// This node.
    pub from: NodeId,
    /// The other.
    pub to: NodeId,
    /// Where it is.
    pub address: String,
}

impl Ends {
    /// The links of the node that is configured so, by slot; none to itself.
    pub fn of(config: &Config) -> impl Iterator<Item = Option<Self>> {
        let (group, from) = (GroupId::new(config.group.id), NodeId::new(config.node.id));
        config.member_ids().into_iter().map(move |id| {
            let member =
                config.members.iter().find(|member| member.id == id && id != from.number());
            let address = member?.address.clone();
            Some(Self { group, from, to: NodeId::new(id), address })
        })
    }

    /// What is said first.
    #[must_use]
    pub const fn hello(&self) -> Hello {
        Hello::Member { from: self.from, to: self.to }
    }
}

/// Why a member does not welcome another, if waiting will not mend it.
#[must_use]
pub fn complaint(welcome: &Welcome, from: NodeId) -> Option<String> {
    match welcome {
        Welcome::Here { .. } => None,
        Welcome::NotThatNode { node } => Some(format!("it is node {node}")),
        Welcome::NotAMember => Some(format!("it does not count node {from} as a member")),
        Welcome::Full => Some("it has no room for a connection".to_owned()),
    }
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
