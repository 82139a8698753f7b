//! The address book: who the other members are, in which of their lives, and where.
//!
//! What it says comes from the roster, as this node's log has it, committed or not: so does the
//! configuration that says which slots vote, and the two must speak of the same members, or a slot that was
//! given again would be heard in its former member's words. Before there is a roster, it comes from the
//! configuration file of a founder, or from whoever let this node join. Addresses that the configuration
//! file gives come before those of the roster: it may know a way that others do not have.
//!
//! It decides who may speak for whom ([`Book::meet`]). A node is known by its *life*: who lost its disk
//! and comes back under its old name is told so, and not listened to, for it has forgotten its promises.

use crate::protocol::{Hello, Welcome};
use quorate::StateMachine;
use quorate::id::{Incarnation, Index, Members, NodeId, Slot};
use quorate::membership::roster::{Life, Roster};
use quorate::membership::{Address, roster};
use quorate::replica::Replica;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Another member, or this one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The node.
    pub node: NodeId,
    /// Which of its lives; none of a founder that was not heard of yet.
    pub incarnation: Option<Incarnation>,
    /// The entry that gave it its seat; zero if it has none yet.
    pub since: Index,
    /// Where it is reached, as `HOST:PORT`.
    pub address: String,
    /// It leaves the group, or has left it.
    pub leaves: bool,
}

/// What a book knows at one time: what is kept on disk of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Page {
    /// The entry of the log that it is of.
    pub as_of: Index,
    /// Who belongs to the group, or did when it was last heard.
    pub belong: Members,
    /// The members, by slot.
    pub members: BTreeMap<Slot, Entry>,
}

/// The address book of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Book {
    me: Life,
    slot: Slot,
    since: Index,
    address: Address,
    /// Addresses from the configuration file.
    given: BTreeMap<NodeId, String>,
    page: Page,
    /// The roster and the configuration that the page was made of.
    seen: Option<(Index, Members)>,
}

impl Book {
    /// The book of a node that starts: with what it knew before, or was told.
    pub fn new(
        (me, slot, since): (Life, Slot, Index),
        address: Address,
        given: BTreeMap<NodeId, String>,
        page: Page,
    ) -> Self {
        Self { me, slot, since, address, given, page, seen: None }
    }

    /// This node.
    pub fn me(&self) -> Life {
        self.me
    }

    /// This node's slot.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Where others reach this node.
    pub fn address(&self) -> Address {
        self.address
    }

    /// What it knows now.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// Who sits at a slot.
    pub fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.page.members.get(&slot)
    }

    /// The other members that this node has something to say to.
    pub fn others(&self) -> impl Iterator<Item = (Slot, &Entry)> {
        let members = self.page.members.iter().map(|(slot, entry)| (*slot, entry));
        members.filter(|(slot, entry)| *slot != self.slot && !self.has_left(*slot, entry))
    }

    fn has_left(&self, slot: Slot, entry: &Entry) -> bool {
        entry.leaves && !self.page.belong.contains(slot)
    }

    /// Whether this node has left the group, as far as it knows itself.
    pub fn have_left(&self) -> bool {
        match self.page.members.get(&self.slot) {
            Some(entry) => {
                entry.incarnation == Some(self.me.incarnation) && self.has_left(self.slot, entry)
            }
            None => self.page.as_of >= self.since && self.since > Index::ZERO,
        }
    }

    /// Whether this life is who sits at a slot, and has not left.
    pub fn counts(&self, slot: Slot, life: Life) -> bool {
        let is_it = |entry: &Entry| {
            entry.node == life.node && entry.incarnation.is_none_or(|it| it == life.incarnation)
        };
        self.others().any(|(other, entry)| other == slot && is_it(entry))
    }

    /// Takes over what a replica knows. Tells whether anything is new. If nothing was applied that concerns
    /// members, it looks into the log only if that has changed in what concerns them.
    pub fn follow<S: StateMachine>(&mut self, replica: &Replica<S>, log_has_changed: bool) -> bool {
        let (applied, belong) = belonging(replica);
        // Whoever has just joined may not have been sent yet what the book knows.
        if replica.raft().log().last().index < self.page.as_of {
            return false;
        }
        self.page.as_of = self.page.as_of.max(applied);
        let seen = (replica.roster().changed(), belong);
        if self.seen == Some(seen) && !log_has_changed {
            return false;
        }
        self.seen = Some(seen);
        let roster = replica.roster_of_log();
        let mut page = self.page_for_others(&roster, self.page.as_of, belong);
        for entry in page.members.values_mut() {
            if let Some(given) = self.given.get(&entry.node) {
                entry.address.clone_from(given);
            }
        }
        let is_new = page != self.page;
        self.page = page;
        is_new
    }

    /// What the roster says, with founders that were not introduced yet; without the ways that only this
    /// node was given.
    pub fn page_for_others(&self, roster: &Roster, applied: Index, belong: Members) -> Page {
        let entry = |seat: &roster::Seat| Entry {
            node: seat.life.node,
            incarnation: Some(seat.life.incarnation),
            since: seat.since,
            address: written(seat.address),
            leaves: seat.leaves,
        };
        let mut members: BTreeMap<_, _> =
            roster.seats().map(|(slot, seat)| (slot, entry(seat))).collect();
        for slot in belong.iter() {
            if let Some(known) = self.page.members.get(&slot) {
                members.entry(slot).or_insert_with(|| known.clone());
            }
        }
        Page { as_of: applied, belong, members }
    }

    /// What this node says when it calls a member.
    pub fn hello(&self, to: Slot) -> Option<Hello> {
        let entry = self.entry(to)?;
        Some(Hello::Member {
            from: self.me,
            since: self.since,
            address: self.address,
            to: entry.node,
            incarnation: entry.incarnation,
        })
    }

    /// Which slot a caller speaks for.
    ///
    /// # Errors
    /// What to tell it instead.
    pub fn meet(
        &self,
        from: Life,
        since: Index,
        (to, incarnation): (NodeId, Option<Incarnation>),
    ) -> Result<Slot, Welcome> {
        if to != self.me.node || incarnation.is_some_and(|it| it != self.me.incarnation) {
            return Err(Welcome::NotThatNode { life: self.me });
        }
        let of_node = self.page.members.iter().filter(|(_, entry)| entry.node == from.node);
        // An earlier life speaks for its slot as long as it belongs to the group: it may be needed.
        let is_here = |slot: Slot, entry: &Entry| {
            entry.incarnation == Some(from.incarnation) && !self.has_left(slot, entry)
        };
        let known = of_node.max_by_key(|(slot, entry)| (is_here(**slot, entry), entry.incarnation));
        match known {
            Some((slot, entry)) if entry.incarnation == Some(from.incarnation) => {
                if self.has_left(*slot, entry) { Err(Welcome::Departed) } else { Ok(*slot) }
            }
            // A founder is believed at its first word.
            Some((slot, Entry { incarnation: None, .. })) if since == Index::ZERO => Ok(*slot),
            Some((_, entry)) if entry.incarnation > Some(from.incarnation) => {
                Err(Welcome::Outlived { by: entry.incarnation.unwrap_or_default() })
            }
            // Either this node has not heard of the new life yet, or nobody has.
            Some((_, entry)) => {
                Err(Welcome::OtherLife { known: entry.incarnation.unwrap_or_default() })
            }
            // It had a seat, which was vacated since.
            None if since > Index::ZERO && self.page.as_of >= since => Err(Welcome::Departed),
            None if since == Index::ZERO && self.page.as_of > Index::ZERO => Err(Welcome::Departed),
            None => Err(Welcome::NotAMember),
        }
    }
}

/// Up to where a replica has applied, and who belongs to the group there or in a later configuration of its
/// log: whoever is not among them has left for certain.
pub fn belonging<S: StateMachine>(replica: &Replica<S>) -> (Index, Members) {
    let (applied, log) = (replica.applied().entry.index, replica.raft().log());
    let later = log.configurations().filter(|it| it.at > applied);
    let now = log.configuration_at(applied).members();
    (applied, later.fold(now, |all, it| all.and(it.configuration.members())))
}

/// Where a socket is, as the roster says it.
pub fn address_of(socket: SocketAddr) -> Address {
    let mut bytes = [0; Address::BYTES];
    let ip = match socket.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let scope = if let SocketAddr::V6(socket) = socket { socket.scope_id() } else { 0 };
    let all = ip.octets().into_iter().chain(socket.port().to_be_bytes()).chain(scope.to_be_bytes());
    bytes.iter_mut().zip(all).for_each(|(to, byte)| *to = byte);
    Address::new(bytes)
}

/// The socket that an address of the roster means.
pub fn socket_of(address: Address) -> SocketAddr {
    let [ip @ .., a, b, c, d, e, f, _, _] = *address.bytes();
    let (ip, port) = (Ipv6Addr::from(ip), u16::from_be_bytes([a, b]));
    match ip.to_ipv4_mapped() {
        Some(ip) => (ip, port).into(),
        None => std::net::SocketAddrV6::new(ip, port, 0, u32::from_be_bytes([c, d, e, f])).into(),
    }
}

/// An address of the roster as `HOST:PORT`.
pub fn written(address: Address) -> String {
    socket_of(address).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(node: u64, incarnation: u64) -> Life {
        Life { node: NodeId::new(node), incarnation: Incarnation::new(incarnation) }
    }

    fn entry(node: u64, incarnation: Option<u64>, since: u64) -> Entry {
        Entry {
            node: NodeId::new(node),
            incarnation: incarnation.map(Incarnation::new),
            since: Index::new(since),
            address: format!("10.0.0.{node}:7000"),
            leaves: false,
        }
    }

    /// Node 1, a founder, that knows founder 2 in its life 10, founder 3 by name, and node 4 since entry 20.
    fn book() -> Book {
        let entries = [
            entry(1, Some(10), 2),
            entry(2, Some(10), 3),
            entry(3, None, 0),
            entry(4, Some(50), 20),
        ];
        let slots = (0..).map(Slot::new);
        let page = Page {
            as_of: Index::new(30),
            belong: Members::first(4),
            members: slots.zip(entries).collect(),
        };
        let me = (life(1, 10), Slot::new(0), Index::ZERO);
        Book::new(me, Address::default(), BTreeMap::new(), page)
    }

    fn met(book: &Book, from: Life, since: u64) -> Result<Slot, Welcome> {
        book.meet(from, Index::new(since), (NodeId::new(1), Some(Incarnation::new(10))))
    }

    #[test]
    fn a_member_is_known_by_its_life() {
        let book = book();
        assert_eq!(met(&book, life(2, 10), 0), Ok(Slot::new(1)));
        assert_eq!(met(&book, life(4, 50), 20), Ok(Slot::new(3)));
        assert_eq!(met(&book, life(3, 77), 0), Ok(Slot::new(2)), "a founder at its first word");
        let known = |it| Err(Welcome::OtherLife { known: Incarnation::new(it) });
        assert_eq!(met(&book, life(2, 11), 0), known(10), "it has lost its disk");
        let by = Incarnation::new(50);
        assert_eq!(met(&book, life(4, 49), 20), Err(Welcome::Outlived { by }));
    }

    #[test]
    fn who_has_left_is_told_and_who_is_still_to_come_is_not() {
        let mut book = book();
        assert_eq!(
            met(&book, life(5, 60), 25),
            Err(Welcome::Departed),
            "its seat was given and taken"
        );
        assert_eq!(met(&book, life(5, 60), 31), Err(Welcome::NotAMember), "not heard of yet");
        assert_eq!(met(&book, life(9, 60), 0), Err(Welcome::Departed), "a founder once");
        let leaves = |entry: &mut Entry| entry.leaves = true;
        book.page.members.get_mut(&Slot::new(3)).into_iter().for_each(leaves);
        assert_eq!(met(&book, life(4, 50), 20), Ok(Slot::new(3)), "it still belongs to the group");
        book.page.belong = Members::first(3);
        assert_eq!(met(&book, life(4, 50), 20), Err(Welcome::Departed));
        assert_eq!(book.others().map(|(slot, _)| slot.number()).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_life_that_is_being_replaced_is_heard_until_it_has_left() {
        let mut book = book();
        book.page.members.get_mut(&Slot::new(3)).into_iter().for_each(|old| old.leaves = true);
        book.page.members.insert(Slot::new(4), entry(4, Some(60), 25));
        assert_eq!(met(&book, life(4, 50), 20), Ok(Slot::new(3)), "its vote may be needed");
        assert_eq!(met(&book, life(4, 60), 25), Ok(Slot::new(4)));
        book.page.belong = Members::first(3).with(Slot::new(4));
        let by = Incarnation::new(60);
        assert_eq!(met(&book, life(4, 50), 20), Err(Welcome::Outlived { by }));
    }

    #[test]
    fn a_call_for_another_life_of_this_node_is_not_for_this_one() {
        let (book, from) = (book(), life(2, 10));
        let other = Err(Welcome::NotThatNode { life: life(1, 10) });
        let meet = |node, it: Option<u64>| {
            book.meet(from, Index::ZERO, (NodeId::new(node), it.map(Incarnation::new)))
        };
        assert_eq!((meet(1, Some(9)), meet(2, None)), (other.clone(), other));
        assert_eq!(meet(1, None), Ok(Slot::new(1)));
    }

    #[test]
    fn a_socket_survives_the_roster() {
        for text in ["127.0.0.1:7001", "[::1]:80", "[fe80::1%3]:9", "10.1.2.3:65535"] {
            let socket: SocketAddr = text.parse().unwrap();
            assert_eq!(socket_of(address_of(socket)), socket);
        }
    }
}
