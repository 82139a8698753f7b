//! Who sits where: the nodes that this one shares groups with, and their slots in each group.
//!
//! A group keeps a byte for each slot, the number of a node in one table for all groups; the table counts
//! in how many groups each node sits. So the nodes that are to be watched are known without a look at any
//! group.

use crate::bounded::List;
use crate::id::{NodeId, Slot};
use crate::limits::{Limit, MOST, PEERS};
use crate::machine::Refused;

const NOBODY: u8 = u8::MAX;
const ME: u8 = NOBODY - 1;
const _: () = assert!(PEERS < ME as usize);

/// By slot: which node has it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Seats([u8; MOST.members]);

/// A node that this one shares groups with, or a free line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Peer {
    node: NodeId,
    /// In how many groups.
    groups: u32,
}

/// The nodes that this one shares groups with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Peers {
    me: NodeId,
    most: usize,
    lines: List<Peer, PEERS>,
    /// They are others than those who were last told.
    pub(super) are_news: bool,
}

impl Peers {
    pub(super) fn new(me: NodeId, most: usize) -> Self {
        Self { me, most: most.min(PEERS), lines: List::new(), are_news: false }
    }

    /// All of them.
    pub(super) fn nodes(&self) -> List<NodeId, PEERS> {
        let mut nodes = List::new();
        for peer in self.lines.iter().filter(|peer| peer.groups > 0) {
            let _ = nodes.push(peer.node); // As many as peers have room.
        }
        nodes
    }

    /// Gives the slots of a group to these nodes, of which this node has `mine`.
    pub(super) fn seat(&mut self, mine: Slot, nodes: &[Option<NodeId>]) -> Result<Seats, Refused> {
        let has_mine = nodes.get(mine.position()) == Some(&Some(self.me));
        if !has_mine || nodes.len() > MOST.members {
            return Err(Refused::Meaningless);
        }
        let mut seats = Seats([NOBODY; MOST.members]);
        for (position, (seat, node)) in seats.0.iter_mut().zip(nodes).enumerate() {
            let Some(node) = node else { continue };
            let is_twice = nodes.iter().take(position).any(|other| *other == Some(*node));
            if is_twice {
                return Err(Refused::Meaningless);
            }
            *seat = if *node == self.me { ME } else { self.join(*node)? };
        }
        Ok(seats)
    }

    /// The group is no longer here, or has other nodes.
    pub(super) fn leave(&mut self, seats: &Seats) {
        for seat in seats.0 {
            if let Some(peer) = self.lines.get_mut(usize::from(seat)) {
                peer.groups = peer.groups.saturating_sub(1);
                self.are_news |= peer.groups == 0;
            }
        }
    }

    /// A node sits in one more group; what it is called there.
    fn join(&mut self, node: NodeId) -> Result<u8, Refused> {
        let line = match self.line(node) {
            Some(line) => line,
            None => self.add(node)?,
        };
        if let Some(peer) = self.lines.get_mut(line) {
            peer.groups = peer.groups.saturating_add(1);
        }
        u8::try_from(line).map_err(|_| Limit::Peers.into())
    }

    fn add(&mut self, node: NodeId) -> Result<usize, Refused> {
        let is_free = |peer: &Peer| peer.groups == 0;
        let used = self.lines.iter().filter(|peer| !is_free(peer)).count();
        if used >= self.most {
            return Err(Limit::Peers.into());
        }
        self.are_news = true;
        let (peer, free) = (Peer { node, groups: 0 }, self.lines.iter().position(is_free));
        match free.and_then(|line| self.lines.get_mut(line)) {
            Some(line) => *line = peer,
            None => self.lines.push(peer).map_err(|_| Limit::Peers)?,
        }
        Ok(free.unwrap_or(self.lines.len().saturating_sub(1)))
    }

    fn line(&self, node: NodeId) -> Option<usize> {
        self.lines.iter().position(|peer| peer.groups > 0 && peer.node == node)
    }

    /// The slot of another node in a group.
    pub(super) fn slot_of(&self, seats: &Seats, node: NodeId) -> Option<Slot> {
        let line = self.line(node)?;
        let position = seats.0.iter().position(|seat| usize::from(*seat) == line)?;
        u8::try_from(position).ok().map(Slot::new)
    }

    /// The node that has a slot of a group.
    pub(super) fn node_in(&self, seats: &Seats, slot: Slot) -> Option<NodeId> {
        match *seats.0.get(slot.position())? {
            ME => Some(self.me),
            seat => self.lines.get(usize::from(seat)).map(|peer| peer.node),
        }
    }
}
