//! Who is asked whether it is there, and what follows if it does not answer.

use super::{Gossip, Heard, Kind, Out, Record, State, Update};
use crate::event::Ignored;
use crate::id::NodeId;
use crate::rng::Rng;
use crate::time::Instant;

/// A probe under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Probe {
    target: NodeId,
    number: u32,
    // Once; again, since packets get lost; and a third time, while others ask too.
    times_asked: u8,
    // Others were asked to ask, and none of them has answered that it does.
    is_alone: bool,
    pub(super) due: Instant,
}

impl Gossip {
    /// Goes on with the probe under way, or begins one.
    pub(super) fn go_on_probing<X: Out + ?Sized>(&mut self, out: &mut X) {
        match self.probe.take() {
            Some(probe) if self.now < probe.due => self.probe = Some(probe),
            Some(probe) => self.probe = self.press(probe, out),
            None if self.now >= self.next_probe => self.probe = self.begin(out),
            None => {}
        }
    }

    fn begin<X: Out + ?Sized>(&mut self, out: &mut X) -> Option<Probe> {
        self.next_probe = self.after(self.config.probe_interval);
        self.urgent = Self::MOST_URGENT;
        let target = self.next_of_round()?;
        self.probes = self.probes.checked_add(1).unwrap_or(1);
        self.ping(target, self.probes, out);
        let due = self.after(self.config.probe_timeout);
        Some(Probe { target, number: self.probes, times_asked: 1, is_alone: false, due })
    }

    /// Asks a node, and tells it if it is suspected, so that it can refute that (memberlist#84).
    pub(super) fn ping<X: Out + ?Sized>(&mut self, node: NodeId, probe: u32, out: &mut X) {
        let Some(record) = self.known(node) else { return };
        let doubt = (record.state != State::Alive).then_some(Update { node, record });
        let ask = Kind::Ping { probe, origin: self.config.me };
        self.send(record.address, ask, doubt.as_slice(), out);
    }

    /// No answer came in time: asks again, then through others, then doubts.
    fn press<X: Out + ?Sized>(&mut self, probe: Probe, out: &mut X) -> Option<Probe> {
        let Probe { target, number, times_asked, is_alone, .. } = probe;
        let record = self.present(target)?;
        if times_asked > 2 {
            if is_alone {
                self.worsen();
            }
            let doubt = Record { state: State::Suspect, ..record };
            // It is known, and this is what can follow.
            let _ = self.believe(Update { node: target, record: doubt }, out);
            self.ping(target, 0, out);
            return None;
        }
        let count = if times_asked > 1 { self.config.relays } else { 0 };
        let is_other = |one: &Update| one.node != target && !one.record.state.is_departed();
        let relays = self.some(count, is_other);
        for relay in relays.iter() {
            let ask = Kind::PingReq { probe: number, target };
            self.send(relay.record.address, ask, &[], out);
        }
        self.ping(target, number, out);
        let due = self.after(self.config.probe_timeout.times(times_asked.into()));
        let (times_asked, is_alone) = (times_asked.saturating_add(1), !relays.is_empty());
        Some(Probe { times_asked, is_alone, due, ..probe })
    }

    /// A node is there: the one that is probed, or one that was asked for help.
    pub(super) fn acknowledged(&mut self, node: NodeId, number: u32) -> Heard {
        let Some(probe) = self.probe.as_mut().filter(|probe| probe.number == number) else {
            // Zero is nobody's number: with its name it has said all that there is to say.
            return if number == 0 { Ok(()) } else { Err(Ignored::Stale) };
        };
        probe.is_alone = false;
        if probe.target == node {
            self.probe = None;
            self.score = self.score.saturating_sub(1);
        }
        Ok(())
    }

    /// The next one to probe: each once in a round, in the order of digests that no other round has. So a
    /// node that has come is probed at a place nobody can foretell (SWIM, section 4.3).
    fn next_of_round(&mut self) -> Option<NodeId> {
        let next = self.first_after(self.probed);
        self.probed = next.or_else(|| {
            self.round = self.rng.draw();
            self.first_after((0, NodeId::ZERO))
        })?;
        Some(self.probed.1)
    }

    fn first_after(&self, last: (u64, NodeId)) -> Option<(u64, NodeId)> {
        let place = |one: Update| (Rng::new(self.round ^ one.node.number()).draw(), one.node);
        self.those_present().map(place).filter(|place| *place > last).min()
    }
}
