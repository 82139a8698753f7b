//! The table: every other node that is known, and since when it is as it is.

use super::{Gossip, Record, State, Update};
use crate::bounded::List;
use crate::id::NodeId;
use crate::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Member {
    pub(super) record: Record,
    /// If it is suspect, when that becomes a verdict; since when it is gone, if it is.
    pub(super) at: Instant,
}

impl Gossip {
    /// What is known of another node.
    pub(super) fn known(&self, node: NodeId) -> Option<Record> {
        self.members.get(&node).map(|member| member.record)
    }

    /// A node that is there, as far as is known.
    pub(super) fn present(&self, node: NodeId) -> Option<Record> {
        self.known(node).filter(|record| !record.state.is_departed())
    }

    /// Those that are there after this one, in the order of their numbers.
    pub(super) fn those_after(&self, node: NodeId) -> impl Iterator<Item = Update> {
        let from = self.members.iter_from(&node);
        let from = from.map(|(node, member)| Update { node: *node, record: member.record });
        from.filter(move |one| one.node > node && !one.record.state.is_departed())
    }

    /// All that are there.
    pub(super) fn those_present(&self) -> impl Iterator<Item = Update> {
        self.those_after(NodeId::ZERO)
    }

    /// Those whose time to refute a doubt runs.
    pub(super) fn suspects(&self) -> impl Iterator<Item = (NodeId, Member)> {
        let all = self.members.iter().map(|(node, member)| (*node, *member));
        all.filter(|(_, member)| member.record.state == State::Suspect)
    }

    /// The node that departed first.
    pub(super) fn longest_departed(&self) -> Option<NodeId> {
        let departed = self.members.iter().filter(|(_, member)| member.record.state.is_departed());
        departed.min_by_key(|(_, member)| member.at).map(|(node, _)| *node)
    }

    /// Up to so many nodes of which this is so, from a place drawn by lot on.
    pub(super) fn some(
        &mut self,
        count: usize,
        is_so: impl Fn(&Update) -> bool,
    ) -> List<Update, { Self::MOST_RELAYS }> {
        let all = self.nodes().filter(&is_so).count();
        let start = usize::try_from(self.rng.below(all as u64)).unwrap_or(0);
        let (mut some, twice) = (List::new(), self.nodes().chain(self.nodes()));
        for one in twice.filter(is_so).skip(start).take(count.min(all)) {
            let _ = some.push(one);
        }
        some
    }
}
