//! The roster: which node sits in which slot, and how nodes come and go.
//!
//! Raft knows members by slot. The roster says whose slots they are. It is replicated with the state:
//! its [`Command`]s stand in the log, every replica applies them, and snapshots carry it.
//!
//! **State** a [`Seat`] for each slot that was given to a node: which life of the node has it, where that is
//! reached, since which entry, and whether it is to leave. **Invariants** a life has one seat at most; a
//! slot is given again only after its seat was vacated; a life that was told to leave does not stay.
//!
//! A join or a leave is not a conversation but an *aim*, and aims are replicated. The roster says who is to
//! belong to the group, Raft's [`Configuration`](crate::raft::Configuration) who does, and whichever member
//! leads takes, at each heartbeat, the one next step from this to that (its *plan*). So every step may be
//! repeated, lost, or left to the next leader, and nothing else remembers how far things have come.
//!
//! **To join** 1. ask any member, and it names the leader; 2. the leader gives a seat ([`Command::Admit`]);
//! 3. whoever has a seat learns; 4. the log, or a snapshot and the log, is sent to it; 5. when it keeps up,
//! and fewer vote than are wanted, it votes. Who is not needed to vote goes on learning: a *spare*.
//!
//! **To leave** 1. ask ([`Command::Dismiss`]); 2. a leader that is to leave hands over first; 3. if a
//! spare keeps up, it takes the place of the leaver in one joint change, so the group is never smaller;
//! otherwise the leaver is removed once those who stay are a quorum without it; 4. when all who stay hold
//! that change on disk, the seat is vacated ([`Command::Vacate`]).
//!
//! **To replace** a node that lost its disk is a new *life* of it, with an incarnation of its own. It is
//! admitted in place of the old life, which leaves; it is never taken for it, for it has forgotten what that
//! one had promised (consul#405 is what becomes of a node that is known by its address alone).

mod plan;
#[cfg(test)]
mod tests;

pub use plan::Config;
pub(crate) use plan::{Sight, Step};

use super::Address;
use crate::bounded::Map;
use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::id::{Incarnation, Index, Members, NodeId, Slot};
use crate::limits::MOST;
use core::fmt;

/// One life of a node: from the moment it got its disk to the moment it loses it. (A detector's
/// incarnations count starts, and are others.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Life {
    /// The node.
    pub node: NodeId,
    /// Which of its lives: higher than every earlier one.
    pub incarnation: Incarnation,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} in its life {}", self.node, self.incarnation)
    }
}

/// What is known of whoever has a slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seat {
    /// Whose it is.
    pub life: Life,
    /// Where that is reached.
    pub address: Address,
    /// The entry that gave it. With the slot it names this member, and no other that ever was or will be.
    pub since: Index,
    /// It is to leave the group, or has left it.
    pub leaves: bool,
}

/// A change of the roster, as it stands in the log. What makes no sense, or no longer, changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Command {
    /// Give a life a seat. If it has one, take note of where it is now.
    Admit {
        /// Whose seat.
        life: Life,
        /// Where it is reached.
        address: Address,
        /// Which slot.
        slot: Slot,
        /// The incarnation of the same node that is to leave.
        replaces: Option<Incarnation>,
    },
    /// Let a life leave.
    Dismiss(Life),
    /// The seat given at this slot by this entry is free: who had it has left, and all know.
    Vacate {
        /// The slot.
        slot: Slot,
        /// The entry that gave it.
        since: Index,
    },
}

/// Why a change of the roster makes no sense. It changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Unfit {
    /// The node is a member in an earlier life, which nobody said is to be replaced.
    OtherLife {
        /// That life's incarnation.
        known: Incarnation,
    },
    /// A later life of the node is a member.
    Outlived {
        /// That life's incarnation.
        by: Incarnation,
    },
    /// This life leaves the group.
    Leaves,
    /// There is no free slot, or not this one.
    NoSeat,
    /// This life is no member.
    NotHere,
    /// Nobody else stays.
    LastMember,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherLife { known } => write!(
                f,
                "the node is a member in another life ({known}); choose another id, or replace it if \
                 its disk is lost"
            ),
            Self::Outlived { by } => write!(
                f,
                "a later life of the node ({by}) is a member; this one is out of date and must not be used"
            ),
            Self::Leaves => {
                f.write_str("this life of the node leaves the group; join again with an empty disk")
            }
            Self::NoSeat => f.write_str("no slot is free; let a member leave first"),
            Self::NotHere => f.write_str("the node is no member; ask for the list of members"),
            Self::LastMember => f.write_str(
                "the node is the last member; stop it instead, or let another join first",
            ),
        }
    }
}

impl core::error::Error for Unfit {}

/// Who sits where.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Roster {
    seats: Map<Slot, Seat, { MOST.members }>,
    /// The entry that last changed it.
    changed: Index,
}

impl Roster {
    /// A roster without seats.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { seats: Map::new(), changed: Index::ZERO }
    }

    /// The seats, by slot.
    pub fn seats(&self) -> impl Iterator<Item = (Slot, &Seat)> {
        self.seats.iter().map(|(slot, seat)| (*slot, seat))
    }

    /// Who sits at a slot.
    #[must_use]
    pub fn seat(&self, slot: Slot) -> Option<&Seat> {
        self.seats.get(&slot)
    }

    /// Where a life sits.
    #[must_use]
    pub fn seat_of(&self, life: Life) -> Option<(Slot, &Seat)> {
        self.seats().find(|(_, seat)| seat.life == life)
    }

    /// The latest life of a node that has a seat, and where it sits.
    #[must_use]
    pub fn latest(&self, node: NodeId) -> Option<(Slot, &Seat)> {
        self.seats().filter(|(_, seat)| seat.life.node == node).max_by_key(|(_, seat)| seat.life)
    }

    /// Whether nobody has a seat: then the roster has no say in who belongs to the group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// The entry that last changed it.
    #[must_use]
    pub const fn changed(&self) -> Index {
        self.changed
    }

    fn slots(&self, of: impl Fn(&Seat) -> bool) -> Members {
        self.seats().filter(|(_, seat)| of(seat)).map(|(slot, _)| slot).collect()
    }

    /// Whether a change makes sense now.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn check(&self, command: &Command) -> Result<(), Unfit> {
        match *command {
            Command::Admit { life, slot, replaces, .. } => {
                self.check_admission(life, slot, replaces)
            }
            Command::Dismiss(life) => {
                self.seat_of(life).ok_or(Unfit::NotHere)?;
                let stays = |other: &Seat| other.life != life && !other.leaves;
                let is_last = self.slots(stays).is_empty();
                if is_last { Err(Unfit::LastMember) } else { Ok(()) }
            }
            Command::Vacate { slot, since } => {
                let seat = self.seat(slot).filter(|seat| seat.since == since && seat.leaves);
                seat.map(|_| ()).ok_or(Unfit::NotHere)
            }
        }
    }

    fn check_admission(
        &self,
        life: Life,
        slot: Slot,
        replaces: Option<Incarnation>,
    ) -> Result<(), Unfit> {
        match self.latest(life.node).map(|(_, seat)| seat) {
            Some(seat) if seat.life == life && seat.leaves => return Err(Unfit::Leaves),
            Some(seat) if seat.life == life => return Ok(()),
            Some(seat) if seat.life > life => {
                return Err(Unfit::Outlived { by: seat.life.incarnation });
            }
            // Who leaves need not be named: it makes way already.
            Some(seat) if !seat.leaves && replaces != Some(seat.life.incarnation) => {
                return Err(Unfit::OtherLife { known: seat.life.incarnation });
            }
            _ => {}
        }
        let is_free = slot.position() < MOST.members && self.seat(slot).is_none();
        if is_free { Ok(()) } else { Err(Unfit::NoSeat) }
    }

    /// Applies a change that stands at `at`, if it makes sense. Tells whether it did.
    pub(crate) fn apply(&mut self, at: Index, command: &Command) -> bool {
        if self.check(command).is_err() {
            return false;
        }
        match *command {
            Command::Admit { life, address, slot, .. } => {
                let sits = self.seat_of(life).map(|(slot, _)| slot);
                if let Some(seat) = sits.and_then(|slot| self.seats.get_mut(&slot)) {
                    seat.address = address;
                } else {
                    self.dismiss(|seat| seat.life.node == life.node);
                    let seat = Seat { life, address, since: at, leaves: false };
                    // There are as many seats as slots, and this slot is free.
                    let _ = self.seats.insert(slot, seat);
                }
            }
            Command::Dismiss(life) => self.dismiss(|seat| seat.life == life),
            Command::Vacate { slot, .. } => {
                self.seats.remove(&slot);
            }
        }
        self.changed = at;
        true
    }

    fn dismiss(&mut self, who: impl Fn(&Seat) -> bool) {
        for slot in self.slots(who).iter() {
            if let Some(seat) = self.seats.get_mut(&slot) {
                seat.leaves = true;
            }
        }
    }
}

impl Codec for Roster {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.changed.encode(sink)?;
        self.slots(|_| true).encode(sink)?;
        self.seats().try_for_each(|(_, seat)| {
            seat.life.node.encode(sink)?;
            seat.life.incarnation.encode(sink)?;
            seat.address.encode(sink)?;
            seat.since.encode(sink)?;
            u8::from(seat.leaves).encode(sink)
        })
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let mut roster = Self { seats: Map::new(), changed: Index::decode(bytes)? };
        for slot in Members::decode(bytes)?.iter() {
            let life =
                Life { node: NodeId::decode(bytes)?, incarnation: Incarnation::decode(bytes)? };
            let (address, since) = (Address::decode(bytes)?, Index::decode(bytes)?);
            let leaves = match u8::decode(bytes)? {
                0 => false,
                1 => true,
                _ => return Err(Malformed),
            };
            if roster.seat_of(life).is_some() {
                return Err(Malformed);
            }
            let seat = Seat { life, address, since, leaves };
            roster.seats.insert(slot, seat).map_err(|_| Malformed)?;
        }
        Ok(roster)
    }
}
