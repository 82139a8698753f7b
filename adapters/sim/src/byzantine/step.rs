//! A step of a seat: what it hears, what it says, and every oracle.

use super::marks::Mark;
use super::oracle::{Broken, Oracle, Verdict, broken};
use super::world::{Flight, World, gone};
use crate::cluster::{Effect, Stimulus, Subject};
use crate::pbft::{Peer, Record, What};
use crate::swarm::hash::fold;
use quorate::event::ViewLeft;
use quorate::id::{Digest, Index, Slot, View};
use quorate::pbft::{Evidence, Output, Pbft, Value, ViewChange, Write};
use quorate::time::Instant;
use quorate::{Event, Machine};
use std::rc::Rc;

impl World {
    pub(super) fn arrive(&mut self) -> Verdict {
        let Some((key, flight)) = self.flights.pop_first() else { return Ok(()) };
        let sleeps = self.seats[flight.to].sleeps;
        if sleeps > self.now {
            self.flights.insert((sleeps, key.1), flight);
            return Ok(());
        }
        let Flight { from, to, packet } = flight;
        let slot = self.seats[to].slot;
        if self.seats[to].peer.is_none() {
            return Ok(());
        }
        self.tell(|| format!("n{slot} hears n{from} (n{}) {packet}", packet.by));
        let is_signed = self.book.bears_out_what(packet.by, &packet.what);
        if !self.is_correct(to) {
            return self.step(to, Stimulus::Packet(from, (*packet).clone()));
        }
        // Whoever has just been started reads its disk first, whatever comes.
        let is_up = self.machine(to)?.deadline() != Some(Instant::ORIGIN);
        let before = if is_signed || !is_up { None } else { Some(self.machine(to)?.clone()) };
        let must_accuse = is_signed && {
            let seat = &mut self.seats[to];
            let machine = &seat.peer.as_ref().ok_or_else(gone)?.machine;
            seat.heard.contradicts(machine, packet.by, &packet.what)
        };
        let words = must_accuse.then(|| packet.to_string());
        self.step(to, Stimulus::Packet(from, (*packet).clone()))?;
        let Some(machine) = self.seats[to].peer.as_ref().map(|it| &it.machine) else {
            return Ok(());
        };
        if let Some(before) = before {
            Oracle::unmoved(slot, &before, machine)?;
            self.marks.hit(Mark::Forged);
        } else if let Some(words) = words.filter(|_| !machine.accused().contains(packet.by)) {
            return broken("B7", format!("{slot} does not see that {} lies: {words}", packet.by));
        }
        Ok(())
    }

    /// One step of a seat, with every oracle.
    pub(super) fn step(&mut self, at: usize, input: Stimulus<Peer>) -> Verdict {
        self.events += 1;
        let now = self.time_of(at);
        let is_correct = self.is_correct(at);
        let seat = &mut self.seats[at];
        let Some(peer) = seat.peer.as_mut() else { return Ok(()) };
        let low = peer.machine.stable().checkpoint.index;
        let mut effects = Vec::new();
        peer.events.clear();
        let _ = peer.step(now, input, &mut effects);
        if is_correct {
            let slot = self.seats[at].slot;
            for effect in &effects {
                if let Effect::Tell(Output::Committed { index, value }) = effect {
                    self.oracle.decides(slot, *index, *value)?;
                }
            }
            self.look(at)?;
        }
        let doomed = self.seats[at].doomed.filter(|_| !effects.is_empty());
        let count = doomed.unwrap_or(effects.len());
        for effect in effects.into_iter().take(count) {
            self.perform(at, effect, low)?;
        }
        if doomed.is_some() {
            self.marks.hit(Mark::TornStep);
            self.crash(at);
        }
        Ok(())
    }

    /// What a correct member holds and has executed, and what happened inside.
    fn look(&mut self, at: usize) -> Verdict {
        let seat = &mut self.seats[at];
        let Some(peer) = &mut seat.peer else { return Ok(()) };
        let machine = &peer.machine;
        if let Some(why) = machine.stopped() {
            return broken("B1", format!("{} has stopped: {why:?}", seat.slot));
        }
        Oracle::holds(seat.slot, machine.held(), machine.config().most_held())?;
        let from = if seat.seen > peer.executed.len() { 0 } else { seat.seen };
        for value in &peer.executed[from..] {
            if *value == Value::NULL {
                self.marks.hit(Mark::Null);
            } else if value.digest == Digest::NULL {
                self.marks.hit(Mark::Again);
            }
        }
        self.oracle.executes(seat.slot, from, &peer.executed[from..])?;
        seat.seen = peer.executed.len();
        for event in &peer.events {
            self.marks.hit(match event {
                Event::ViewLeft { why: ViewLeft::RequestOverdue, .. } => Mark::Overdue,
                Event::ViewLeft { why: ViewLeft::Fruitless, .. } => Mark::Fruitless,
                Event::ViewLeft { why: ViewLeft::Overtaken, .. } => Mark::Overtaken,
                Event::ViewLeft { why: ViewLeft::Equivocation, .. } => Mark::Equivocation,
                Event::Overslept { .. } => Mark::Overslept,
                Event::StampTooEarly { .. } => Mark::StampTooEarly,
                _ => continue,
            });
        }
        Ok(())
    }

    fn perform(&mut self, at: usize, effect: Effect<Peer>, low: Index) -> Verdict {
        let (slot, is_correct) = (self.seats[at].slot, self.is_correct(at));
        match effect {
            Effect::Persist { receipt, record, rebase } => {
                if let Record::Write(write, beside) = &record {
                    self.tell(|| format!("n{slot} writes {write:?}"));
                    if is_correct {
                        self.writes(slot, write, beside.as_ref())?;
                    }
                }
                self.write(at, Some(receipt), vec![record], rebase);
            }
            Effect::Send(to, packet) if is_correct => {
                if packet.by == slot {
                    let machine = self.machine(at)?;
                    let high =
                        machine.stable().checkpoint.index.plus(u64::from(self.options.slots));
                    Oracle::stays_within(slot, &packet.what, low, high)?;
                    self.oracle.says(slot, &packet.what)?;
                } else if matches!(packet.what, What::NewView(..)) {
                    self.marks.hit(Mark::Relayed);
                }
                let packet = Rc::new(packet);
                self.remember(&packet);
                self.carry(slot, to, &packet, 0);
            }
            Effect::Send(to, packet) => self.lie(at, to, &packet)?,
            Effect::Store(..) => {}
            Effect::Tell(output) => {
                self.hash = fold(self.hash, &(self.now, slot, &output));
                self.tell(|| format!("n{slot} says {output:?}"));
                if is_correct {
                    self.told(slot, &output)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn machine(&self, at: usize) -> Result<&Pbft, Broken> {
        self.seats[at].peer.as_ref().map(|it| &it.machine).ok_or_else(gone)
    }

    fn writes(
        &mut self,
        slot: Slot,
        write: &Write,
        beside: Option<&(View, Vec<(Slot, ViewChange)>)>,
    ) -> Verdict {
        match (write, beside) {
            (Write::Prepared(proof), _) => self.oracle.proves(slot, proof),
            (Write::Entered { view, .. }, Some((of, changes))) if of == view => {
                if self.oracle.begins(slot, *view, changes)? {
                    self.marks.hit(Mark::TwoBeginnings);
                }
                if self.oracle.carried(slot) > 0 {
                    self.marks.hit(Mark::Carried);
                }
                Ok(())
            }
            (Write::Entered { view, .. }, _) => {
                broken("B5", format!("{slot} enters v{view} without what it begins with"))
            }
            _ => Ok(()),
        }
    }

    fn told(&mut self, slot: Slot, output: &Output) -> Verdict {
        self.marks.hit(match output {
            Output::Committed { .. } => Mark::Committed,
            Output::Accuse(evidence) => {
                self.oracle.accuses(slot, evidence)?;
                match evidence {
                    Evidence::Votes { .. } => Mark::TwoVotes,
                    Evidence::Checkpoints { .. } => Mark::TwoStates,
                    Evidence::ViewChanges { .. } => Mark::TwoChanges,
                }
            }
            Output::Stable(_) => Mark::Stable,
            Output::Entered { .. } => Mark::ViewEntered,
            Output::Fetch(_) => Mark::Fetch,
            Output::Want { .. } => Mark::Want,
            Output::Forward { .. } => Mark::Forward,
            _ => return Ok(()),
        });
        Ok(())
    }
}
