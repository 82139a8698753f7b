//! Who is asked whether it is there, and what follows if it does not answer.

use super::record::{Record, State, Update};
use super::{Config, Gossip, Kind, Output, Turn};
use crate::bounded::List;
use crate::event::Ignored;
use crate::id::NodeId;
use crate::machine::Outbox;
use crate::time::Instant;

/// How far a probe has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stage {
    /// Asked once.
    Direct,
    /// Asked again, since packets get lost.
    Again,
    /// Others were asked to ask; so many of them answered that they do.
    Indirect { asked: usize, relaying: usize },
}

/// A probe under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Probe {
    target: NodeId,
    number: u32,
    stage: Stage,
    due: Instant,
}

impl Probe {
    pub(super) const fn due(&self) -> Instant {
        self.due
    }
}

impl Gossip {
    /// Goes on with the probe under way, or begins one.
    pub(super) fn go_on_probing<X: Outbox<Output> + ?Sized>(
        &mut self,
        turn: &mut Turn,
        out: &mut X,
    ) {
        match self.probe.take() {
            Some(probe) if self.now < probe.due => self.probe = Some(probe),
            Some(probe) => self.probe = self.press(probe, turn, out),
            None if self.now >= self.next_probe => self.probe = self.begin(out),
            None => {}
        }
    }

    fn begin<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) -> Option<Probe> {
        self.next_probe = self.now.after(self.stretched(self.config.probe_interval));
        self.urgent = Self::MOST_URGENT;
        let target = self.next_of_round()?;
        self.probes = self.probes.checked_add(1).unwrap_or(1);
        let probe = Probe { target, number: self.probes, stage: Stage::Direct, due: self.due(1) };
        self.ping(target, probe.number, out);
        Some(probe)
    }

    fn due(&self, timeouts: u64) -> Instant {
        self.now.after(self.stretched(self.config.probe_timeout.times(timeouts)))
    }

    /// Asks a node, and tells it if it is suspected, so that it can refute that (memberlist#84).
    fn ping<X: Outbox<Output> + ?Sized>(&mut self, node: NodeId, probe: u32, out: &mut X) {
        let Some(member) = self.members.get(node) else { return };
        let (record, by) = (member.record, member.by);
        let doubt = (record.state != State::Alive).then_some(Update { node, record, by });
        self.send(record.address, Kind::Ping { probe }, doubt, out);
    }

    /// No answer came in time: asks again, then through others, then doubts.
    fn press<X: Outbox<Output> + ?Sized>(
        &mut self,
        probe: Probe,
        turn: &mut Turn,
        out: &mut X,
    ) -> Option<Probe> {
        let Probe { target, number, .. } = probe;
        let record = self.present(target)?;
        match probe.stage {
            Stage::Direct => {
                self.ping(target, number, out);
                Some(Probe { stage: Stage::Again, due: self.due(1), ..probe })
            }
            Stage::Again => {
                self.ping(target, number, out);
                let relays = self.some_present(self.config.relays, target);
                for (_, relay) in relays.iter() {
                    self.send(relay.address, Kind::PingReq { probe: number, target }, None, out);
                }
                let stage = Stage::Indirect { asked: relays.len(), relaying: 0 };
                Some(Probe { stage, due: self.due(2), ..probe })
            }
            Stage::Indirect { asked, relaying } => {
                if asked > 0 && relaying == 0 {
                    self.worsen();
                }
                let doubt = Record { state: State::Suspect, ..record };
                self.learn(Update { node: target, record: doubt, by: self.config.me }, turn, out);
                let _ = turn.accused.push(target);
                None
            }
        }
    }

    /// The node of the probe under way is there.
    pub(super) fn acknowledged(&mut self, node: NodeId, number: u32) -> Result<(), Ignored> {
        let is_it = |probe: &Probe| probe.target == node && probe.number == number;
        if self.probe.as_ref().is_some_and(is_it) {
            self.probe = None;
            self.score = self.score.saturating_sub(1);
            return Ok(());
        }
        // Who was found by healing has said so with its name already.
        if number == 0 { Ok(()) } else { Err(Ignored::Stale) }
    }

    /// One that was asked for help is there: so this node is not cut off.
    pub(super) fn relayed(&mut self, number: u32) -> Result<(), Ignored> {
        let probe = self.probe.as_mut().filter(|probe| probe.number == number);
        match probe.map(|probe| &mut probe.stage) {
            Some(Stage::Indirect { relaying, .. }) => {
                *relaying = relaying.saturating_add(1);
                Ok(())
            }
            _ => Err(Ignored::Stale),
        }
    }

    /// Asks a node for another. Only one that is known: nobody is made to send to strangers.
    pub(super) fn relay<X: Outbox<Output> + ?Sized>(
        &mut self,
        origin: NodeId,
        probe: u32,
        target: NodeId,
        out: &mut X,
    ) -> Result<Kind, Ignored> {
        let record = self.present(target).ok_or(Ignored::Stranger)?;
        self.send(record.address, Kind::RelayedPing { probe, origin }, None, out);
        Ok(Kind::Relaying { probe })
    }

    /// The next one to probe: each once in a round.
    fn next_of_round(&mut self) -> Option<NodeId> {
        loop {
            if let Some(node) = self.round.pop() {
                if self.present(node).is_some() {
                    return Some(node);
                }
                continue;
            }
            for (node, _) in self.members.present() {
                // There is room for as many as are known.
                let _ = self.round.push(node);
            }
            if self.round.is_empty() {
                return None;
            }
            // Fisher and Yates.
            for last in (1..self.round.len()).rev() {
                let other = self.place_below(last.saturating_add(1));
                self.round.swap(last, other);
            }
        }
    }

    fn place_below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap_or(0)
    }

    /// A node that has come is probed in this round, at a place nobody can foretell (SWIM, section 4.3).
    pub(super) fn join_round(&mut self, node: NodeId) {
        let place = self.place_below(self.round.len().saturating_add(1));
        // Without room it is probed in the next round.
        let _ = self.round.insert(place, node);
    }

    /// Up to so many nodes that are there, from a place drawn by lot on.
    pub(super) fn some_present(
        &mut self,
        count: usize,
        except: NodeId,
    ) -> List<(NodeId, Record), { Self::MOST_RELAYS }> {
        let start = self.place_below(self.members.active());
        let mut some = List::new();
        let present = self.members.present();
        let around = present.chain(self.members.present()).skip(start);
        let around = around.take(self.members.active()).filter(|(node, _)| *node != except);
        for (node, record) in around.take(count) {
            let _ = some.push((node, *record));
        }
        some
    }

    /// Tells a node that it is doubted here, so that it can refute that.
    pub(super) fn accuse<X: Outbox<Output> + ?Sized>(&mut self, node: NodeId, out: &mut X) {
        let Some(member) = self.members.get(node) else { return };
        if member.record.state == State::Suspect {
            let (record, by) = (member.record, member.by);
            self.send(record.address, Kind::News, Some(Update { node, record, by }), out);
        }
    }

    /// Tells the two that come after this node in the graph.
    pub(super) fn tell_at_once<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let count = self.members.active();
        let place = self.members.present().take_while(|(node, _)| *node < self.config.me).count();
        let doubled = place.saturating_mul(2).checked_rem(count.saturating_add(1)).unwrap_or(0);
        let others = [doubled, doubled.saturating_add(1)].map(|other| {
            // This node has a place too, but is not in the table.
            let other = if other > place { other.saturating_sub(1) } else { other };
            let other = other.checked_rem(count)?;
            self.members.present().nth(other).map(|(_, record)| *record)
        });
        for record in others.into_iter().flatten() {
            self.send(record.address, Kind::News, None, out);
        }
    }

    /// Looks for those who are gone: for the next of those down, or, after the last one, for a seed.
    pub(super) fn heal<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.now < self.next_heal {
            return;
        }
        let is_alone = self.members.active() == 0;
        let hurries = self.joining.is_some() && (is_alone || self.hurry > 0);
        self.hurry = self.hurry.saturating_sub(1);
        let Config { probe_interval, heal_interval, .. } = self.config;
        self.next_heal = self.now.after(if hurries { probe_interval } else { heal_interval });
        if let Some(node) = self.members.down_after(self.healed).filter(|_| !hurries) {
            self.healed = node;
            self.ping(node, 0, out);
        } else {
            self.healed = NodeId::ZERO;
            self.seek(hurries, out);
        }
    }

    /// Asks the next seed at which nobody is known to be for the nodes that it knows.
    fn seek<X: Outbox<Output> + ?Sized>(&mut self, hurries: bool, out: &mut X) {
        for _ in 0..self.seeds.len() {
            let Some(seed) = self.seeds.get(self.seed).copied() else {
                self.seed = 0;
                continue;
            };
            self.seed = self.seed.saturating_add(1);
            let is_there = self.members.present().any(|(_, record)| record.address == seed);
            if seed == self.config.address || (is_there && !hurries) {
                continue;
            }
            let after = *self.joining.get_or_insert(NodeId::ZERO);
            return self.send(seed, Kind::Sync { after }, None, out);
        }
    }
}
