//! Rosters: who sat where, and who may belong to the group because of it.
//!
//! Every roster that a member ever had is on file by the entry that made it, and the next one must be
//! one that can follow it. Nothing here repeats what the commands do.

use super::{Verdict, ensure};
use quorate::id::{Members, NodeId, Slot};
use quorate::membership::Roster;
use quorate::membership::roster::{Life, Seat};
use quorate::raft::Configuration;
use std::collections::BTreeMap;

/// The seats of a roster.
type Seats = BTreeMap<Slot, Seat>;

/// Every roster and every seat that there ever was.
#[derive(Clone, Debug)]
pub struct Register {
    founders: Members,
    /// By the entry that made it.
    rosters: BTreeMap<u64, Seats>,
    /// By slot, the lives that had it and the entries that gave it to them.
    given: BTreeMap<Slot, Vec<(u64, Life)>>,
}

/// The first life of the node that founded the group at a slot, as the simulator numbers them.
pub(in super::super) fn founder_at(slot: Slot) -> Life {
    let node = NodeId::new(u64::from(slot.number()) + 1);
    Life { node, incarnation: quorate::id::Incarnation::new(1) }
}

impl Register {
    /// Before anybody was introduced.
    pub const fn new(founders: Members) -> Self {
        Self { founders, rosters: BTreeMap::new(), given: BTreeMap::new() }
    }

    /// Founders that nobody has introduced up to an entry.
    pub fn strangers(&self, up_to: u64) -> Members {
        let has_sat = |slot: &Slot| self.since(*slot).first().is_some_and(|(at, _)| *at <= up_to);
        self.founders.iter().filter(|slot| !has_sat(slot)).collect()
    }

    /// The slots at which somebody sits, by the newest roster.
    pub fn seated(&self) -> Members {
        self.newest().map(|(slot, _)| *slot).collect()
    }

    /// Whoever has a seat and is not to leave, by the newest roster.
    pub fn staying(&self) -> Members {
        self.newest().filter(|(_, seat)| !seat.leaves).map(|(slot, _)| *slot).collect()
    }

    fn newest(&self) -> impl Iterator<Item = (&Slot, &Seat)> {
        self.rosters.values().next_back().into_iter().flatten()
    }

    /// Whoever had a slot, and since when, in order.
    pub fn since(&self, slot: Slot) -> &[(u64, Life)] {
        self.given.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// The latest life of each node that ever had a seat.
    pub fn latest(&self) -> BTreeMap<NodeId, Life> {
        let mut latest = BTreeMap::new();
        for (_, life) in self.given.values().flatten() {
            let known = latest.entry(life.node).or_insert(*life);
            *known = (*known).max(*life);
        }
        latest
    }

    /// A member has applied the log up to an entry, and this is its roster. Tells which slots were given
    /// to somebody, if it is the first to say so.
    ///
    /// # Errors
    /// M4 if another member had another roster there; M3 if it cannot follow the one before.
    pub fn seen(
        &mut self,
        slot: usize,
        applied: u64,
        roster: &Roster,
    ) -> Result<Members, super::Violation> {
        let changed = roster.changed().number();
        let later = self.rosters.range(changed + 1..).next().filter(|(at, _)| **at <= applied);
        ensure(later.is_none(), "M4", || {
            let at = later.map(|(at, _)| *at);
            format!(
                "n{slot} has applied {applied}, and its roster is that of {changed}, not of {at:?}"
            )
        })?;
        let seats: Seats = roster.seats().map(|(slot, seat)| (slot, *seat)).collect();
        if let Some(first) = self.rosters.get(&changed) {
            ensure(*first == seats, "M4", || {
                format!("at {changed} n{slot} has the roster {seats:?}, and another had {first:?}")
            })?;
            return Ok(Members::NONE);
        }
        let is_newest = self.rosters.range(changed..).next().is_none();
        let before = self.rosters.range(..changed).next_back();
        let (from, before) = before.map_or((0, Seats::new()), |(at, seats)| (*at, seats.clone()));
        let new = if is_newest {
            self.follows((from, &before), (changed, &seats))?
        } else {
            Members::NONE
        };
        self.rosters.insert(changed, seats);
        Ok(new)
    }

    /// M3: whether a roster can follow another.
    fn follows(
        &mut self,
        (from, before): (u64, &Seats),
        (changed, seats): (u64, &Seats),
    ) -> Result<Members, super::Violation> {
        let mut new = Members::NONE;
        for (slot, was) in before {
            let is = seats.get(slot).filter(|seat| seat.since == was.since);
            ensure(is.is_some() || was.leaves, "M3", || {
                format!("{} has lost its seat n{slot} at {changed}, and nobody let it go", was.life)
            })?;
            ensure(
                is.is_none_or(|is| is.life == was.life && is.leaves >= was.leaves),
                "M3",
                || format!("{} was to leave n{slot}, and at {changed} it is {is:?}", was.life),
            )?;
        }
        for (slot, seat) in seats {
            let (life, since) = (seat.life, seat.since.number());
            let other = seats.iter().find(|(other, it)| {
                *other != slot && it.life.node == life.node && !it.leaves && !seat.leaves
            });
            ensure(other.is_none(), "M3", || format!("{life} sits at n{slot}, and {other:?} too"))?;
            if before.get(slot).is_some_and(|was| was.since == seat.since) {
                continue;
            }
            let last = self.since(*slot).last().map_or(0, |(at, _)| *at);
            ensure(since > last.max(from) && since <= changed, "M3", || {
                format!(
                    "n{slot} is given to {life} by {since}, after {last}, in a roster of {changed}"
                )
            })?;
            let earlier = self.latest().get(&life.node).copied();
            ensure(earlier.is_none_or(|earlier| earlier < life), "M3", || {
                format!("{life} has a seat at {since}, and {earlier:?} had one before")
            })?;
            let is_own = *slot >= Slot::new(self.founders.len() as u8) || founder_at(*slot) == life;
            ensure(is_own, "M4", || format!("the slot n{slot} of a founder is given to {life}"))?;
            self.given.entry(*slot).or_default().push((since, life));
            new = new.with(*slot);
        }
        Ok(new)
    }

    /// A leader whose roster is this one appends a configuration.
    ///
    /// # Errors
    /// M4 if it brings somebody in who has no seat, or is to leave.
    pub fn configured(
        &self,
        (slot, applied): (usize, u64),
        roster: &Roster,
        (was, next): (&Configuration, &Configuration),
    ) -> Verdict {
        let of = |is_so: fn(&Seat) -> bool| -> Members {
            roster.seats().filter(|(_, seat)| is_so(seat)).map(|(slot, _)| slot).collect()
        };
        let seated = of(|_| true).and(self.strangers(applied));
        let new = next.members().minus(was.members());
        let nobody = next.members().minus(seated).and(new.minus(of(|seat| !seat.leaves)));
        ensure(nobody.is_empty(), "M4", || {
            format!("n{slot} changes {was} to {next}, and nobody sits at {nobody:?} who is to stay")
        })
    }
}
