//! The network: honest members say what they say, liars twist it, and some of it arrives.

use super::SECOND;
use super::marks::Mark;
use super::oracle::Verdict;
use super::world::{Flight, Seat, World};
use crate::pbft::Packet;
use quorate::id::{Members, Slot};
use quorate::pbft::statement::CLIENT;
use std::rc::Rc;

/// How much of what was ever said a liar remembers.
const MEMORY: usize = 512;

impl World {
    pub(super) fn remember(&mut self, packet: &Rc<Packet>) {
        if self.past.len() < MEMORY {
            self.past.push(packet.clone());
        } else {
            let place = self.rng.below(MEMORY as u64) as usize;
            self.past[place] = packet.clone();
        }
    }

    /// A liar signs something and sends it; what another has not signed stays unsigned.
    pub(super) fn utter(&mut self, at: usize, to: Members, packet: Packet, delay: u64) -> Verdict {
        let slot = self.seats[at].slot;
        if packet.by == slot {
            self.book.sign_what(slot, &packet.what);
            self.oracle.says(slot, &packet.what)?;
        }
        let packet = Rc::new(packet);
        if self.book.bears_out_what(packet.by, &packet.what) {
            self.remember(&packet);
        }
        self.carry(slot, to, &packet, delay);
        Ok(())
    }

    /// What an honest machine would say, as a liar says it.
    pub(super) fn lie(&mut self, at: usize, to: Members, packet: &Packet) -> Verdict {
        let slot = self.seats[at].slot;
        if packet.by == slot {
            // Its machine has signed it, whether it is sent or not.
            self.oracle.says(slot, &packet.what)?;
        }
        for to in to.shared(self.seats[at].mask.with(slot)).iter() {
            // Liars know each other, and tell each other the first story.
            let is_fooled = self.fooled.contains(to) && !self.liars.contains_key(&to);
            let Some(liar) = self.liars.get(&slot) else { continue };
            let twisted = liar.twist(packet, to, is_fooled, &mut self.rng);
            if twisted.as_ref().is_none_or(|it| it.0 > 0 || it.1 != *packet) {
                self.marks.hit(Mark::Lied);
            }
            if let Some((delay, packet)) = twisted {
                self.utter(at, Members::only(to), packet, delay)?;
            }
        }
        Ok(())
    }

    /// Carries a packet to every seat of its receivers, if the network does.
    pub(super) fn carry(&mut self, from: Slot, to: Members, packet: &Rc<Packet>, delay: u64) {
        for at in 0..self.seats.len() {
            let Seat { slot, mask, .. } = self.seats[at];
            if !to.contains(slot) {
                continue;
            }
            let is_own = slot == from;
            let is_side = |slot: Slot| self.island.contains(slot);
            let is_cut = from != CLIENT && is_side(from) != is_side(slot);
            let is_heard = from == CLIENT || mask.contains(from);
            if !is_own && (is_cut || !is_heard || self.rng.below(1_000) < self.options.lost) {
                continue;
            }
            let copies = if self.rng.below(1_000) < self.options.doubled { 2 } else { 1 };
            for _ in 0..copies {
                let late = if self.rng.below(1_000) < self.options.late { 3 * SECOND } else { 0 };
                let way = self.options.latency + self.rng.below(self.options.jitter) + late;
                let arrives = self.now + delay + if is_own { 1 } else { way };
                self.sent += 1;
                let flight = Flight { from, to: at, packet: packet.clone() };
                self.flights.insert((arrives, self.sent), flight);
            }
        }
    }
}
