//! Which life has which slot, in a group that keeps a roster.
//!
//! A lane is a slot, and in a run several may have it one after the other. As soon as any member has
//! applied that a slot is given, whoever had it ends for good, and the new one is there with an empty
//! disk. Hosts have an address book: a packet says how many had the slots at its two ends before, as
//! far as its sender knows. What is for another is dropped, and so is what comes from one who is known
//! to have had a successor.

use super::action::{Action, Admission};
use super::hosted::{Hosted, Input};
use super::marks::Mark;
use super::oracle::{Register, Verdict, ensure, founder_at};
use super::store::Store;
use super::world::{Packet, World};
use quorate::id::{Members, Slot, Term};
use quorate::membership::Address;
use quorate::membership::roster::Life;
use quorate::raft::Configured;
use std::collections::BTreeSet;

/// Who has which slot.
#[derive(Debug)]
pub(super) struct Seats {
    /// How many had each slot before who has it; and what each member knows of that.
    sittings: Vec<u32>,
    known: Vec<Vec<u32>>,
    /// Who was given a slot just now, and is to be started.
    pub(super) arrived: Vec<u8>,
    /// Who was told to leave, or replaced; and of those, who led then.
    told: BTreeSet<Life>,
    led: BTreeSet<Life>,
    /// Every roster there ever was.
    pub(super) register: Register,
}

impl Seats {
    pub(super) fn new(members: u8, founders: Members) -> Self {
        Self {
            sittings: vec![0; usize::from(members)],
            known: vec![vec![0; usize::from(members)]; usize::from(members)],
            arrived: Vec::new(),
            told: BTreeSet::new(),
            led: BTreeSet::new(),
            register: Register::new(founders),
        }
    }

    /// What a packet says of its two ends.
    pub(super) fn ends(&self, from: u8, to: u8) -> (u32, u32) {
        let (from, to) = (usize::from(from), usize::from(to));
        let known = self.known.get(from).and_then(|known| known.get(to));
        (self.sittings.get(from).copied().unwrap_or(0), known.copied().unwrap_or(0))
    }

    /// Whether a member knows who has a slot now.
    pub(super) fn reaches(&self, from: u8, to: u8) -> bool {
        self.ends(from, to).1 == self.sittings[usize::from(to)]
    }

    /// Whether a member's host takes a packet; if so it knows whose it is.
    pub(super) fn takes<E>(&mut self, packet: &Packet<E>) -> bool {
        let (from, to) = (usize::from(packet.from), usize::from(packet.id.to));
        let known = &mut self.known[to][from];
        let takes = packet.sittings.1 == self.sittings[to] && packet.sittings.0 >= *known;
        if takes {
            *known = packet.sittings.0;
        }
        takes
    }

    /// A slot is another's, who is told what this member knows.
    fn give(&mut self, slot: usize, by: usize) {
        self.sittings[slot] += 1;
        self.known[by][slot] = self.sittings[slot];
        self.known[slot] = self.known[by].clone();
        self.arrived.push(slot as u8);
    }
}

impl<H: Hosted> World<H> {
    pub(super) fn admit(&mut self, action: &Action, slot: u8, admission: Admission) -> Verdict {
        let Admission { life, founder, replaces, place } = admission;
        let address = Address::new([place; Address::BYTES]);
        let input = Input::Admit { life, address, founder, replaces };
        if self.step(action, slot, input, None)?.is_ok() {
            self.fault(slot, &format!("is asked to admit {life}, {admission:?}"));
            if founder.is_some() {
                self.marks.hit(Mark::Introduced);
            }
            let others = self.seats.register.latest();
            self.seats.told.extend(others.get(&life.node).filter(|other| **other < life));
        }
        Ok(())
    }

    pub(super) fn dismiss(&mut self, action: &Action, slot: u8, life: Life) -> Verdict {
        if self.step(action, slot, Input::Dismiss(life), None)?.is_ok() {
            self.fault(slot, &format!("is asked to let {life} leave"));
            self.seats.told.insert(life);
            let machine = self.members[usize::from(slot)].machine.as_ref();
            let sits = machine.and_then(H::roster).and_then(|roster| roster.seat_of(life));
            if sits.is_some_and(|(of, _)| of == Slot::new(slot)) {
                self.seats.led.insert(life);
            }
        }
        Ok(())
    }

    /// What a member has applied may have given somebody a seat, or taken one.
    pub(super) fn see_roster(&mut self, slot: u8) -> Verdict {
        let me = usize::from(slot);
        let Some(machine) = self.members[me].machine.as_ref() else { return Ok(()) };
        let Some(roster) = machine.roster().filter(|_| self.setup.roster.is_some()) else {
            return Ok(());
        };
        let applied = machine.applied().index.number();
        let roster = roster.clone();
        let sat = self.seats.register.seated().len();
        let new = self.seats.register.seen(me, applied, &roster)?;
        if self.seats.register.seated().len() < sat {
            self.marks.hit(Mark::Vacated);
        }
        for at in new.iter() {
            self.settle_in(at, me)?;
        }
        for (at, seat) in roster.seats() {
            let sitting = self.seats.register.since(at);
            let place = sitting.iter().position(|(since, _)| *since == seat.since.number());
            let founded = at.number() < self.setup.founders;
            // Of the lives that had a slot, a founder is the one before the first that was given it.
            let sits = place.unwrap_or(0) as u32 + u32::from(!founded);
            let known = &mut self.seats.known[me][at.position()];
            *known = sits.max(*known);
            if seat.leaves && self.seats.told.insert(seat.life) {
                self.marks.hit(Mark::Evicted);
            }
        }
        Ok(())
    }

    /// A slot is given to a life for the first time.
    fn settle_in(&mut self, at: Slot, by: usize) -> Verdict {
        let Some((since, life)) = self.seats.register.since(at).last().copied() else {
            return Ok(());
        };
        if at.number() < self.setup.founders {
            return Ok(()); // It is there already.
        }
        let agreed = self.books.agreed();
        let late = agreed
            .members()
            .iter()
            .find(|member| self.books.in_force(member.position()).members().contains(at));
        ensure(late.is_none(), "M4", || {
            format!("{at} is given to {life} at {since}, and n{late:?} takes it for a member")
        })?;
        if self.seats.register.since(at).len() > 1 {
            self.marks.hit(Mark::SlotGivenTwice);
        }
        let told = self.seats.told.iter().rev();
        if let Some(earlier) = told.copied().find(|it| it.node == life.node && *it < life) {
            let was_lost = (0..self.members.len())
                .any(|slot| self.members[slot].is_lost && self.sits(slot) == Some(earlier));
            self.marks.hit(if was_lost { Mark::LifeReplaced } else { Mark::CameAgain });
        }
        let me = at.position();
        self.seats.give(me, by);
        let lives = self.members[me].lives;
        let store = Store::new(self.segment_bytes, self.setup.seed ^ (lives << 8) ^ me as u64);
        let member = &mut self.members[me];
        (member.machine, member.store, member.showed, member.is_lost) = (None, store, None, false);
        member.waiting.clear();
        member.reading.clear();
        self.books.reseated(me);
        self.fault(at.number(), &format!("is the seat of {life} from now on"));
        Ok(())
    }

    /// Who had a slot last, as far as anybody has applied; a founder from the first.
    pub(super) fn sits(&self, slot: usize) -> Option<Life> {
        let at = Slot::new(slot as u8);
        let last = self.seats.register.since(at).last().map(|(_, life)| *life);
        last.or_else(|| (at.number() < self.setup.founders).then(|| founder_at(at)))
    }

    /// Whether who has a slot was told to leave, though nobody may have applied it yet.
    pub(super) fn is_told(&self, slot: usize) -> bool {
        self.sits(slot).is_some_and(|life| self.seats.told.contains(&life))
    }

    /// M4, when a leader has appended a configuration; and what can be seen in it.
    pub(super) fn see_configured(&mut self, slot: u8, before: &Configured) -> Verdict {
        let me = usize::from(slot);
        let Some(machine) = self.members[me].machine.as_ref() else { return Ok(()) };
        let (raft, roster) = (machine.raft(), machine.roster());
        let Some(roster) = roster.filter(|_| self.setup.roster.is_some()) else { return Ok(()) };
        let (was, is) = (&before.configuration, *raft.configuration());
        if !raft.leads() || raft.log().configured().at <= before.at {
            return Ok(());
        }
        let applied = machine.applied().index.number();
        self.seats.register.configured((me, applied), roster, (was, &is))?;
        let joined = was.learners().shared(is.voters());
        let left = was.members().minus(is.members());
        let has_led = left.iter().any(|slot| {
            let seat = roster.seat(slot);
            seat.is_some_and(|seat| self.seats.led.contains(&seat.life))
        });
        let seen = [
            (!joined.is_empty(), Mark::NodeJoined),
            (is.is_joint() && !joined.is_empty(), Mark::Swapped),
            (has_led, Mark::LeaderLeft),
            (!was.is_joint() && is.learners().len() > 1, Mark::StandsBy),
        ];
        seen.iter().filter(|(is_so, _)| *is_so).for_each(|(_, mark)| self.marks.hit(*mark));
        Ok(())
    }

    /// Whether all who belong to the group know that a member does not.
    pub(super) fn is_out(&self, from: u8) -> bool {
        if self.setup.roster.is_none() || usize::from(from) >= self.members.len() {
            return false;
        }
        let agreed = self.books.agreed();
        !agreed.members().contains(Slot::new(from)) && self.books.all_know(&agreed)
    }

    /// A member's term, and whether it leads.
    pub(super) fn reign_of(&self, slot: u8) -> Option<(Term, bool)> {
        let raft = self.members[usize::from(slot)].machine.as_ref()?.raft();
        Some((raft.term(), raft.leads()))
    }

    /// M6: whoever is removed, and all know, changes nothing among those who belong; but it may pass on
    /// a term that another of them has, alive or on its disk.
    pub(super) fn disturbed(
        &self,
        packet: &Packet<H::Entry>,
        before: Option<(Term, bool)>,
    ) -> Verdict {
        let (from, to) = (packet.from, packet.id.to);
        let members = self.books.agreed().members();
        let after = self.reign_of(to).or(before);
        if !packet.is_out || !members.contains(Slot::new(to)) || after == before {
            return Ok(());
        }
        let term_of = |it: Slot| {
            let lives_in = self.reign_of(it.number()).map(|reign| reign.0);
            lives_in.max(Some(self.books.disk(it.position()).term))
        };
        let has_come_to = after.map(|reign| reign.0);
        let is_new = before.map(|reign| reign.0) < has_come_to;
        let mut others = members.without(Slot::new(to)).iter();
        ensure(is_new && others.any(|it| term_of(it) >= has_come_to), "M6", || {
            format!(
                "n{from} was removed, and with its word n{to} went from {before:?} to {after:?}"
            )
        })
    }
}
