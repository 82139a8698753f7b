//! Names of things: every number that could be taken for another has a type of its own.

use core::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name(u64);

        impl $name {
            /// The number zero, which names nothing that exists.
            pub const ZERO: Self = Self(0);

            /// Makes one from its number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number itself.
            #[must_use]
            pub const fn number(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A machine in the world, the same in every group it belongs to.
    NodeId
}
number! {
    /// A consensus group. Frames carry it, so that no group hears another's messages.
    GroupId
}
number! {
    /// A client, as it names itself: a random number that no other client has drawn.
    ClientId
}
number! {
    /// One life of a node, from its start, or from a doubt that it refutes, to its end: higher than every
    /// earlier one. A count of starts that is kept on disk, or the civil second of the start.
    Incarnation
}
number! {
    /// A position in the log; the first entry stands at 1.
    Index
}
number! {
    /// A leader's reign: `epoch << 32 | count`. Within one epoch the count rises from 1; a switch
    /// of protocol opens the next epoch, so an identity never repeats across one.
    Term
}

number! {
    /// A primary's reign in a Byzantine group; the first is 0.
    View
}

impl View {
    /// The view that follows; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a strong hash of the host's makes of bytes; the machines only compare it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of nothing: no bytes have it, for a hash that made it would be broken.
    pub const NULL: Self = Self([0; 32]);

    /// The digest of those bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Incarnation {
    /// The highest incarnation, above which nothing can be refuted.
    pub const MAX: Self = Self(u64::MAX);

    /// The furthest that an incarnation is believed to lie ahead of the one before: room for 136 years of
    /// seconds. One damaged number must not put all later lives in the past (memberlist#358).
    pub const FURTHEST: u64 = 1 << 32;

    /// Whether it is believed of a node that was last known in another life; after zero, any is.
    #[must_use]
    pub const fn may_follow(self, known: Self) -> bool {
        known.0 == 0 || self.0.saturating_sub(known.0) <= Self::FURTHEST
    }

    /// The incarnation that follows; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Index {
    /// The highest position, where no entry stands.
    pub const MAX: Self = Self(u64::MAX);

    /// The position that follows; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position before; zero has none and stays.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The position `count` further on; saturates.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// How many entries lie above `floor`, up to and with this one.
    #[must_use]
    pub const fn above(self, floor: Self) -> u64 {
        self.0.saturating_sub(floor.0)
    }
}

impl Term {
    /// The epoch that this term belongs to.
    #[must_use]
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The term that follows within the epoch, or none when the epoch's terms are used up.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        if self.0 & 0xffff_ffff == 0xffff_ffff { None } else { Some(Self(self.0.wrapping_add(1))) }
    }
}

/// The identity of a log entry. Two entries with one identity are the same entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct EntryId {
    /// The term of the leader that made the entry.
    pub term: Term,
    /// Where the entry stands.
    pub index: Index,
}

impl EntryId {
    /// What comes before the first entry.
    pub const ZERO: Self = Self { term: Term::ZERO, index: Index::ZERO };

    /// The identity of the entry of `term` at `index`.
    #[must_use]
    pub const fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// A member's place in its group: a small number allotted by the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Slot(u8);

impl Slot {
    /// The slot of that number; a group has those below [`Members::MOST`].
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The slot's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The slot's number as a position in a list.
    #[must_use]
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of slots, in one word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Members(u32);

impl Members {
    /// The set without members.
    pub const NONE: Self = Self(0);

    /// The most members a set holds; slots from here on are in no set.
    pub const MOST: usize = 32;

    const fn bit(slot: Slot) -> u32 {
        match 1_u32.checked_shl(slot.0 as u32) {
            Some(bit) => bit,
            None => 0,
        }
    }

    /// The set of one slot.
    #[must_use]
    pub const fn only(slot: Slot) -> Self {
        Self(Self::bit(slot))
    }

    /// The first `count` slots.
    #[must_use]
    pub const fn first(count: usize) -> Self {
        if count >= Self::MOST { Self(u32::MAX) } else { Self((1_u32 << count).wrapping_sub(1)) }
    }

    /// Whether the slot is in the set.
    #[must_use]
    pub const fn contains(self, slot: Slot) -> bool {
        self.0 & Self::bit(slot) != 0
    }

    /// The set with the slot.
    #[must_use]
    pub const fn with(self, slot: Slot) -> Self {
        Self(self.0 | Self::bit(slot))
    }

    /// The set without the slot.
    #[must_use]
    pub const fn without(self, slot: Slot) -> Self {
        Self(self.0 & !Self::bit(slot))
    }

    /// What is in either set.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn shared(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The set as a number: slot n is the bit of value 2^n.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set that the number stands for.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// How many slots are in the set.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether no slot is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The slots, lowest first.
    pub fn iter(self) -> impl Iterator<Item = Slot> + Clone {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let lowest = u8::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)?;
            rest &= rest.wrapping_sub(1);
            Some(Slot(lowest))
        })
    }
}

impl FromIterator<Slot> for Members {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        slots.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|slot| slot.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_from_outside_is_in_no_set() {
        for number in 32..=u8::MAX {
            assert!(Members::only(Slot::new(number)).is_empty());
            assert!(!Members::first(32).contains(Slot::new(number)));
        }
    }

    #[test]
    fn sets_list_their_slots_in_order() {
        let set: Members = [31, 0, 7].into_iter().map(Slot::new).collect();
        let listed: [u8; 3] = core::array::from_fn(|i| set.iter().nth(i).unwrap().number());
        assert_eq!(listed, [0, 7, 31]);
        assert_eq!(std::format!("{set:?}"), "{0, 7, 31}");
        assert_eq!(set.with(Slot::new(7)), set, "a slot is in it once, however often it is put in");
        assert_eq!(set.without(Slot::new(7)).len(), 2);
        assert_eq!(Members::first(3).iter().count(), 3);
    }

    #[test]
    fn the_last_term_of_an_epoch_has_no_successor() {
        let last = Term::new((3 << 32) | 0xffff_ffff);
        assert_eq!(last.next(), None);
        assert_eq!(Term::new(3 << 32).next(), Some(Term::new((3 << 32) | 1)));
        assert_eq!(last.epoch(), 3);
    }
}
