//! The table: every other node that is known, and since when it is as it is.

use super::record::{Record, State};
use crate::bounded::Map;
use crate::id::NodeId;
use crate::limits::NODES;
use crate::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Member {
    pub(super) record: Record,
    /// If it is suspect, when that becomes a verdict; since when it is gone, if it is.
    pub(super) at: Instant,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Members {
    map: Map<NodeId, Member, NODES>,
    departed: usize,
    room: usize,
}

impl Members {
    pub(super) const fn new(room: usize) -> Self {
        Self { map: Map::new(), departed: 0, room }
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

    /// Those whose time to refute a doubt runs.
    pub(super) fn suspects(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.iter().filter(|(_, member)| member.record.state == State::Suspect)
    }

    /// Puts off all verdicts.
    pub(super) fn excuse(&mut self, at: Instant) {
        let members = self.map.iter_mut().map(|(_, member)| member);
        members.filter(|m| m.record.state == State::Suspect).for_each(|m| m.at = at);
    }

    /// Those that are there after this one, in the order of their numbers.
    pub(super) fn present_after(&self, node: NodeId) -> impl Iterator<Item = (NodeId, &Record)> {
        let after = self.map.iter_from(&node).filter(move |(other, _)| **other > node);
        let records = after.map(|(node, member)| (*node, &member.record));
        records.filter(|(_, record)| !record.state.is_departed())
    }

    pub(super) fn present(&self) -> impl Iterator<Item = (NodeId, &Record)> {
        self.present_after(NodeId::ZERO)
    }

    /// The first node after this one that is down, or else the first of all.
    pub(super) fn down_after(&self, node: NodeId) -> Option<NodeId> {
        let down = |(_, member): &(NodeId, &Member)| member.record.state == State::Down;
        let first = self.iter().find(down);
        let next = self.iter().filter(down).find(|(other, _)| *other > node);
        next.or(first).map(|(down, _)| down)
    }

    /// Whether a node can only come if another is forgotten.
    pub(super) fn is_full(&self) -> bool {
        self.map.len() >= self.room
    }

    /// Writes down what is known of a node, unless it is new and there is no room; what was known.
    pub(super) fn write(&mut self, node: NodeId, member: Member) -> Result<Option<Record>, Member> {
        let is_new = self.is_full() && self.get(node).is_none();
        if is_new {
            return Err(member);
        }
        let gone = usize::from(member.record.state.is_departed());
        let was = self.map.insert(node, member).map_err(|(_, member)| member)?;
        let was = was.map(|member| member.record);
        let was_gone = usize::from(was.is_some_and(|record| record.state.is_departed()));
        self.departed = self.departed.saturating_sub(was_gone).saturating_add(gone);
        Ok(was)
    }

    pub(super) fn remove(&mut self, node: NodeId) {
        let Some(member) = self.map.remove(&node) else { return };
        let gone = usize::from(member.record.state.is_departed());
        self.departed = self.departed.saturating_sub(gone);
    }

    /// The node that departed first.
    pub(super) fn longest_departed(&self) -> Option<NodeId> {
        let departed = self.iter().filter(|(_, member)| member.record.state.is_departed());
        departed.min_by_key(|(_, member)| member.at).map(|(node, _)| node)
    }
}
