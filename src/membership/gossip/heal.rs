//! Coming, going, and finding those who are lost.

use super::message::Updates;
use super::{Gossip, Kind, Out, Output, Record, State, Update};
use crate::id::NodeId;
use crate::membership::Address;
use crate::time::Span;

impl Gossip {
    pub(super) fn join(&mut self, seeds: &[Address]) {
        if self.me.state == State::Left {
            let incarnation = self.me.incarnation.next();
            self.me = Record { incarnation, state: State::Alive, ..self.me };
            self.excuse();
        }
        self.seeds.clear();
        for seed in seeds.iter().filter(|seed| **seed != self.config.address) {
            // The step has refused more than fit.
            let _ = self.seeds.push(*seed);
        }
        self.joining = self.seeds.first().map(|_| NodeId::ZERO);
        self.next_heal = self.now;
        self.is_here = true;
        let offset = self.rng.below(self.config.probe_interval.as_micros());
        self.next_probe = self.now.after(Span::micros(offset));
        self.rumours.spread(self.config.me);
    }

    /// Says farewell to some, who pass it on at once.
    pub(super) fn leave<X: Out + ?Sized>(&mut self, out: &mut X) {
        (self.me.state, self.is_here, self.probe) = (State::Left, false, None);
        let me = Update { node: self.config.me, record: self.me };
        for one in self.some(Self::MOST_RELAYS, |one| !one.record.state.is_departed()).iter() {
            self.send(one.record.address, Kind::News, &[me], out);
        }
        out.push(Output::Left(me));
    }

    /// Looks for those who are gone: for one of those down, and for one at a seed.
    pub(super) fn heal<X: Out + ?Sized>(&mut self, out: &mut X) {
        if self.now < self.next_heal {
            return;
        }
        let is_alone = self.those_present().next().is_none();
        let is_amid_a_list = self.joining > Some(NodeId::ZERO);
        let (short, long) = (self.config.probe_interval, self.config.heal_interval);
        self.next_heal = self.now.after(if is_alone || is_amid_a_list { short } else { long });
        for down in self.some(1, |one| one.record.state == State::Down).iter() {
            self.ping(down.node, 0, out);
        }
        self.seek(out);
    }

    /// Asks the next seed at which nobody is known to be, or any until one has told of all nodes that it
    /// knows.
    fn seek<X: Out + ?Sized>(&mut self, out: &mut X) {
        let is_there = |seed| self.those_present().any(|one| one.record.address == seed);
        let is_next = |seed: &Address| self.joining.is_some() || !is_there(*seed);
        let Some(at) = self.seeds.iter().position(is_next) else { return };
        // The one that is asked is the last to be asked again.
        self.seeds.rotate_left(at.saturating_add(1));
        let Some(seed) = self.seeds.last().copied() else { return };
        self.send(seed, Kind::Sync { after: self.joining.unwrap_or_default() }, &[], out);
    }

    /// Tells of the nodes after one, as many as there is room for; where to go on, zero if nowhere.
    pub(super) fn add_page(&self, after: NodeId, updates: &mut Updates) -> NodeId {
        let room = self.config.updates.saturating_sub(updates.len());
        let mut those = self.those_after(after);
        for one in those.by_ref().take(room) {
            let _ = updates.push(one);
        }
        let last = updates.last().filter(|_| those.next().is_some());
        last.map_or(NodeId::ZERO, |last| last.node)
    }
}
