//! Who is asked whether it is there, and what follows if it does not answer.

use super::record::{Record, State, Update};
use super::{Gossip, Kind, Output};
use crate::bounded::List;
use crate::event::Ignored;
use crate::id::NodeId;
use crate::machine::Outbox;
use crate::membership::Address;
use crate::rng::Rng;
use crate::time::Instant;

/// How far a probe has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stage {
    /// Asked once.
    Direct,
    /// Asked again, since packets get lost.
    Again,
    /// Others were asked to ask, and none of them has answered that it does.
    Indirect { is_alone: bool },
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
    pub(super) fn go_on_probing<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        match self.probe.take() {
            Some(probe) if self.now < probe.due => self.probe = Some(probe),
            Some(probe) => self.probe = self.press(probe, out),
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
    pub(super) fn ping<X: Outbox<Output> + ?Sized>(
        &mut self,
        node: NodeId,
        probe: u32,
        out: &mut X,
    ) {
        let Some(member) = self.members.get(node) else { return };
        let record = member.record;
        let doubt = (record.state != State::Alive).then_some(Update { node, record });
        self.send(record.address, Kind::Ping { probe, origin: self.config.me }, doubt, out);
    }

    /// No answer came in time: asks again, then through others, then doubts.
    fn press<X: Outbox<Output> + ?Sized>(&mut self, probe: Probe, out: &mut X) -> Option<Probe> {
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
                for relay in relays.iter() {
                    self.send(*relay, Kind::PingReq { probe: number, target }, None, out);
                }
                let stage = Stage::Indirect { is_alone: !relays.is_empty() };
                Some(Probe { stage, due: self.due(2), ..probe })
            }
            Stage::Indirect { is_alone } => {
                if is_alone {
                    self.worsen();
                }
                let doubt = Record { state: State::Suspect, ..record };
                // It is known, and this is what can follow.
                let _ = self.learn(Update { node: target, record: doubt }, out);
                self.ping(target, 0, out);
                None
            }
        }
    }

    /// A node is there: the one that is probed, or one that was asked for help.
    pub(super) fn acknowledged(&mut self, node: NodeId, number: u32) -> Result<(), Ignored> {
        match &mut self.probe {
            Some(probe) if probe.number == number && probe.target == node => {
                self.probe = None;
                self.score = self.score.saturating_sub(1);
                Ok(())
            }
            Some(Probe { number: known, stage: Stage::Indirect { is_alone }, .. })
                if *known == number =>
            {
                *is_alone = false;
                Ok(())
            }
            // It has said so with its name already.
            _ if number == 0 => Ok(()),
            _ => Err(Ignored::Stale),
        }
    }

    /// The next one to probe: each once in a round, in the order of digests that no other round has. So a
    /// node that has come is probed at a place nobody can foretell (SWIM, section 4.3).
    fn next_of_round(&mut self) -> Option<NodeId> {
        let first_after = |last: (u64, NodeId), key: u64| {
            let place = |node: NodeId| (Rng::new(key ^ node.number()).draw(), node);
            let places = self.members.present().map(|(node, _)| place(node));
            places.filter(|place| *place > last).min()
        };
        let mut next = first_after(self.probed, self.round);
        if next.is_none() {
            self.round = self.rng.draw();
            next = first_after((0, NodeId::ZERO), self.round);
        }
        self.probed = next?;
        Some(self.probed.1)
    }

    fn place_below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap_or(0)
    }

    /// Up to so many nodes that are there, from a place drawn by lot on.
    pub(super) fn some_present(
        &mut self,
        count: usize,
        except: NodeId,
    ) -> List<Address, { Self::MOST_RELAYS }> {
        let start = self.place_below(self.members.active());
        let mut some = List::new();
        let around = self.members.present().chain(self.members.present()).skip(start);
        let around = around.take(self.members.active()).filter(|(node, _)| *node != except);
        for (_, record) in around.take(count) {
            let _ = some.push(record.address);
        }
        some
    }
}
