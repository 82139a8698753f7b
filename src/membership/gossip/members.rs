//! The table: every other node that is known, and since when it is as it is.

use super::record::{Record, State};
use crate::bounded::Map;
use crate::codec::digest;
use crate::id::{Incarnation, NodeId};
use crate::limits::Gossip as Limits;
use crate::time::Instant;

/// What the host believes of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Told {
    Nothing,
    Up,
    Gone,
}

/// Those who suspect a node, as a set of their digests: two that look alike count as one, which only
/// makes a suspicion last longer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Doubters(u32);

impl Doubters {
    pub(super) const NONE: Self = Self(0);
    /// As many as can make a difference.
    pub(super) const ENOUGH: Self = Self(u32::MAX);

    pub(super) fn only(node: NodeId) -> Self {
        let bit = digest(&node.number().to_le_bytes()) % 32;
        Self(u32::try_from(bit).ok().and_then(|bit| 1_u32.checked_shl(bit)).unwrap_or(1))
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many there are beside the first.
    pub(super) const fn confirmations(self) -> u32 {
        self.0.count_ones().saturating_sub(1)
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Member {
    pub(super) record: Record,
    // When it became suspect, or departed.
    pub(super) since: Instant,
    pub(super) doubters: Doubters,
    // Whoever told the news that the record holds.
    pub(super) by: NodeId,
    // It is told of its state no earlier.
    pub(super) warn_at: Instant,
    pub(super) told: Told,
    // The incarnation of which a conflict was told.
    pub(super) conflict: Option<Incarnation>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Members {
    map: Map<NodeId, Member, { Limits::MOST.nodes }>,
    departed: usize,
    limits: Limits,
}

impl Members {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { map: Map::new(), departed: 0, limits }
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Member> {
        self.map.get(&node)
    }

    pub(super) fn get_mut(&mut self, node: NodeId) -> Option<&mut Member> {
        self.map.get_mut(&node)
    }

    /// How many are there.
    pub(super) fn active(&self) -> usize {
        self.map.len().saturating_sub(self.departed)
    }

    pub(super) const fn departed(&self) -> usize {
        self.departed
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.map.iter().map(|(node, member)| (*node, member))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Member)> {
        self.map.iter_mut().map(|(node, member)| (*node, member))
    }

    pub(super) fn present(&self) -> impl Iterator<Item = (NodeId, &Record)> {
        self.present_after(NodeId::ZERO)
    }

    pub(super) fn present_after(&self, node: NodeId) -> impl Iterator<Item = (NodeId, &Record)> {
        let after = move |(other, _): &(&NodeId, &Member)| **other > node;
        let records = self.map.iter_from(&node).filter(after);
        let records = records.map(|(node, member)| (*node, &member.record));
        records.filter(|(_, record)| !record.state.is_departed())
    }

    /// The first node after this one that is down.
    pub(super) fn down_after(&self, node: NodeId) -> Option<NodeId> {
        let mut after = self.map.iter_from(&node).filter(|(other, _)| **other > node);
        after.find(|(_, member)| member.record.state == State::Down).map(|(down, _)| *down)
    }

    /// A record that comes after what was known.
    pub(super) fn write(&mut self, node: NodeId, record: Record) {
        let Some(member) = self.map.get_mut(&node) else { return };
        let was = core::mem::replace(&mut member.record, record);
        if was.address != record.address {
            member.told = if member.told == Told::Up { Told::Gone } else { member.told };
        }
        self.departed = self
            .departed
            .saturating_sub(usize::from(was.state.is_departed()))
            .saturating_add(usize::from(record.state.is_departed()));
    }

    /// Takes in a node that is there, if there is room.
    pub(super) fn insert(&mut self, node: NodeId, member: Member) -> bool {
        self.map.len() < self.limits.nodes && self.map.insert(node, member).is_ok()
    }

    /// Whether one that has departed must be forgotten before another can depart, or come.
    pub(super) fn is_crowded(&self, comes: bool) -> bool {
        let is_full = comes && self.map.len() >= self.limits.nodes;
        self.departed > self.limits.departed || (is_full && self.departed > 0)
    }

    /// Forgets the node that departed first.
    pub(super) fn forget_oldest(&mut self) -> Option<NodeId> {
        let departed = self.map.iter().filter(|(_, member)| member.record.state.is_departed());
        let (node, _) = departed.min_by_key(|(_, member)| member.since)?;
        let node = *node;
        self.map.remove(&node)?;
        self.departed = self.departed.saturating_sub(1);
        Some(node)
    }
}
