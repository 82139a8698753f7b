//! Who belongs to the group, and how that changes (Ongaro's dissertation, chapter 4).
//!
//! **State** a [`Configuration`]: who votes, who voted before and still does while the group changes
//! (*outgoing*), who learns, who will learn once the change is over, who of the voters keeps no
//! payload.
//!
//! **Transitions** [`simple`](Configuration::simple) changes one voter at most, in one step;
//! [`enter_joint`](Configuration::enter_joint) begins a change of any size, in which old and new
//! majorities must both agree, and [`leave_joint`](Configuration::leave_joint) ends it. They are pure,
//! and refuse what would leave two majorities that do not meet.
//!
//! **Invariants** of every configuration that comes of them ([`is_coherent`](Configuration::is_coherent)):
//! there is a voter; nobody who votes learns, or will; who keeps no payload votes and will not learn;
//! without an outgoing half nothing is left by itself. Whoever is to learn and votes in the outgoing
//! half learns when that half is gone: one set holds both kinds.
//!
//! This is the algebra only. When a configuration may be proposed, and that it counts from the moment
//! it stands in a log, is the business of the machine that keeps the log.

use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::id::{Index, Members, Slot};
use crate::quorum::{self, Vote};
use core::fmt;

/// Who belongs to the group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Configuration {
    voters: Members,
    outgoing: Members,
    /// Who learns, and who of the outgoing half will.
    learning: Members,
    witnesses: Members,
    auto_leave: bool,
}

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Change {
    /// Votes from now on, whatever it did before.
    AddVoter(Slot),
    /// Learns from now on; a voter is demoted.
    AddLearner(Slot),
    /// Votes from now on, and keeps no payload.
    AddWitness(Slot),
    /// Belongs to the group no more. Whoever does not belong to it stays as it is.
    Remove(Slot),
}

impl Change {
    /// Whom it is about.
    #[must_use]
    pub const fn slot(self) -> Slot {
        match self {
            Self::AddVoter(slot)
            | Self::AddLearner(slot)
            | Self::AddWitness(slot)
            | Self::Remove(slot) => slot,
        }
    }
}

/// Why a configuration cannot change so. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Unchangeable {
    /// It is joint: leave that first.
    Joint,
    /// It is not joint, so there is nothing to leave.
    NotJoint,
    /// Nobody votes in it, so two majorities would not have to meet: begin with a simple change.
    NobodyVotes,
    /// Nobody would vote.
    NobodyWouldVote,
    /// More than one voter would change at once: enter a joint configuration.
    SeveralVoters,
    /// No set holds this slot: take one below [`Members::MOST`].
    NoSuchSlot(Slot),
    /// It keeps no payload, and cannot begin to: remove it first.
    Witness(Slot),
    /// It keeps payloads that others count on, and cannot cease to: remove it first.
    NoWitness(Slot),
}

impl fmt::Display for Unchangeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joint => f.write_str("the configuration is joint already; leave that first"),
            Self::NotJoint => {
                f.write_str("the configuration is not joint; there is nothing to leave")
            }
            Self::NobodyVotes => {
                f.write_str("nobody votes yet; add a voter by a simple change first")
            }
            Self::NobodyWouldVote => f.write_str("nobody would vote any more; keep a voter"),
            Self::SeveralVoters => {
                f.write_str("more than one voter would change; enter a joint configuration")
            }
            Self::NoSuchSlot(slot) => {
                write!(f, "there is no slot {slot}; take one below {}", Members::MOST)
            }
            Self::Witness(slot) => {
                write!(f, "slot {slot} is a witness and has no payloads; remove it first")
            }
            Self::NoWitness(slot) => {
                write!(f, "slot {slot} keeps payloads that others count on; remove it first")
            }
        }
    }
}

impl core::error::Error for Unchangeable {}

impl Configuration {
    /// The configuration in which these vote and nobody else belongs to the group.
    #[must_use]
    pub const fn of(voters: Members) -> Self {
        Self {
            voters,
            outgoing: Members::NONE,
            learning: Members::NONE,
            witnesses: Members::NONE,
            auto_leave: false,
        }
    }

    /// Whose majority is needed.
    #[must_use]
    pub const fn voters(&self) -> Members {
        self.voters
    }

    /// Whose majority is needed as well, until the change is over: empty unless the configuration is
    /// joint.
    #[must_use]
    pub const fn outgoing(&self) -> Members {
        self.outgoing
    }

    /// Who is sent the log and is not counted.
    #[must_use]
    pub const fn learners(&self) -> Members {
        self.learning.minus(self.outgoing)
    }

    /// Outgoing voters who will learn once the change is over.
    #[must_use]
    pub const fn learners_next(&self) -> Members {
        self.learning.shared(self.outgoing)
    }

    /// Voters, of either half, who keep the log without its payloads and so never lead.
    #[must_use]
    pub const fn witnesses(&self) -> Members {
        self.witnesses
    }

    /// Whether a leader ends the change by itself as soon as it may.
    #[must_use]
    pub const fn leaves_by_itself(&self) -> bool {
        self.auto_leave
    }

    /// Whether two majorities are needed.
    #[must_use]
    pub const fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Everyone who is counted somewhere.
    #[must_use]
    pub const fn electorate(&self) -> Members {
        self.voters.and(self.outgoing)
    }

    /// Everyone who is sent the log.
    #[must_use]
    pub const fn members(&self) -> Members {
        self.electorate().and(self.learning)
    }

    const fn halves(&self) -> [Members; 2] {
        [self.voters, self.outgoing]
    }

    /// The highest value that the majorities which are needed have reached. None without voters.
    #[must_use]
    pub fn reached<T: Copy + Ord>(&self, value: impl Fn(Slot) -> T) -> Option<T> {
        quorum::joint::reached(self.halves(), value)
    }

    /// Up to where the majorities that are needed hold the log.
    #[must_use]
    pub fn committed(&self, acked: impl Fn(Slot) -> Option<Index>) -> Index {
        quorum::joint::committed(self.halves(), acked)
    }

    /// What has become of a vote.
    #[must_use]
    pub fn vote(&self, says: impl Fn(Slot) -> Option<bool>) -> Vote {
        quorum::joint::vote(self.halves(), says)
    }

    /// Whether every invariant holds: what came from outside is checked with this.
    #[must_use]
    pub const fn is_coherent(&self) -> bool {
        let Self { voters, outgoing, learning, witnesses, auto_leave } = *self;
        !voters.is_empty()
            && learning.shared(voters).is_empty()
            && witnesses.minus(voters.and(outgoing)).is_empty()
            && witnesses.shared(learning).is_empty()
            && (!auto_leave || !outgoing.is_empty())
    }

    /// Changes one voter at most, and any number of learners, in one step: old and new majorities
    /// meet in any case (dissertation 4.2).
    ///
    /// # Errors
    /// [`Unchangeable`].
    pub fn simple(&self, changes: &[Change]) -> Result<Self, Unchangeable> {
        if self.is_joint() {
            return Err(Unchangeable::Joint);
        }
        let next = self.changed(changes)?;
        let (gone, new) = (self.voters.minus(next.voters), next.voters.minus(self.voters));
        if gone.and(new).len() > 1 {
            return Err(Unchangeable::SeveralVoters);
        }
        Ok(next)
    }

    /// Begins a change of any size: until it is left, majorities of the voters before and after must
    /// both agree (dissertation 4.3).
    ///
    /// # Errors
    /// [`Unchangeable`].
    pub fn enter_joint(&self, auto_leave: bool, changes: &[Change]) -> Result<Self, Unchangeable> {
        if self.is_joint() {
            return Err(Unchangeable::Joint);
        }
        if self.voters.is_empty() {
            return Err(Unchangeable::NobodyVotes);
        }
        Self { outgoing: self.voters, auto_leave, ..*self }.changed(changes)
    }

    /// Ends the change: whoever voted only before belongs to the group no more, or learns.
    ///
    /// # Errors
    /// [`Unchangeable::NotJoint`].
    pub fn leave_joint(&self) -> Result<Self, Unchangeable> {
        if !self.is_joint() {
            return Err(Unchangeable::NotJoint);
        }
        let (voters, learning) = (self.voters, self.learning);
        Ok(Self { learning, witnesses: self.witnesses.shared(voters), ..Self::of(voters) })
    }

    /// Whether one of the three changes leads from this configuration to the other.
    #[must_use]
    pub fn leads_to(&self, other: &Self) -> bool {
        if self.is_joint() {
            return self.leave_joint() == Ok(*other);
        }
        let (gone, new) = (self.voters.minus(other.voters), other.voters.minus(self.voters));
        let is_joint = other.outgoing == self.voters && !self.voters.is_empty();
        let is_simple = !other.is_joint() && gone.and(new).len() <= 1;
        (is_joint || is_simple) && other.is_coherent() && other.keeps_payloads_as(self).is_ok()
    }

    /// What comes of these changes, one after the other.
    fn changed(&self, changes: &[Change]) -> Result<Self, Unchangeable> {
        let mut next = *self;
        for change in changes {
            let slot = change.slot();
            if Members::only(slot).is_empty() {
                return Err(Unchangeable::NoSuchSlot(slot));
            }
            next.forget(slot);
            if !matches!(change, Change::Remove(_)) {
                next.witnesses = next.witnesses.without(slot);
            }
            match change {
                Change::AddVoter(_) => next.voters = next.voters.with(slot),
                Change::AddWitness(_) => {
                    next.voters = next.voters.with(slot);
                    next.witnesses = next.witnesses.with(slot);
                }
                Change::AddLearner(_) => next.learning = next.learning.with(slot),
                Change::Remove(_) => {}
            }
        }
        if next.voters.is_empty() {
            return Err(Unchangeable::NobodyWouldVote);
        }
        next.keeps_payloads_as(self)?;
        Ok(next)
    }

    /// Nobody begins or ceases to keep payloads while it belongs to the group.
    fn keeps_payloads_as(&self, before: &Self) -> Result<(), Unchangeable> {
        let stays = before.members().shared(self.members());
        let begins = before.witnesses.minus(self.witnesses).shared(stays);
        let ceases = self.witnesses.minus(before.witnesses).shared(stays);
        match (begins.iter().next(), ceases.iter().next()) {
            (Some(slot), _) => Err(Unchangeable::Witness(slot)),
            (_, Some(slot)) => Err(Unchangeable::NoWitness(slot)),
            (None, None) => Ok(()),
        }
    }

    /// Takes a slot out of everything but the outgoing half.
    const fn forget(&mut self, slot: Slot) {
        self.voters = self.voters.without(slot);
        self.learning = self.learning.without(slot);
        if !self.outgoing.contains(slot) {
            self.witnesses = self.witnesses.without(slot);
        }
    }
}

/// As `(1 2 3)&&(1 2) learners (4)`: the voters, those of the outgoing half, and who else there is.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, before: &str, set: Members| {
            for (place, slot) in set.iter().enumerate() {
                write!(f, "{}{slot}", if place == 0 { before } else { " " })?;
            }
            if set.is_empty() { Ok(()) } else { f.write_str(")") }
        };
        list(f, "(", self.voters)?;
        list(f, "&&(", self.outgoing)?;
        list(f, " learners (", self.learners())?;
        list(f, " learners next (", self.learners_next())?;
        list(f, " witnesses (", self.witnesses)?;
        f.write_str(if self.auto_leave { " autoleave" } else { "" })
    }
}

impl Codec for Configuration {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        for set in [self.voters, self.outgoing, self.learning, self.witnesses] {
            set.encode(sink)?;
        }
        u8::from(self.auto_leave).encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let configuration = Self {
            voters: Codec::decode(bytes)?,
            outgoing: Codec::decode(bytes)?,
            learning: Codec::decode(bytes)?,
            witnesses: Codec::decode(bytes)?,
            auto_leave: match u8::decode(bytes)? {
                0 => false,
                1 => true,
                _ => return Err(Malformed),
            },
        };
        if configuration.is_coherent() { Ok(configuration) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn set(slots: &[u8]) -> Members {
        slots.iter().copied().map(Slot::new).collect()
    }

    fn voters(slots: &[u8]) -> Configuration {
        Configuration::of(set(slots))
    }

    const fn voter(slot: u8) -> Change {
        Change::AddVoter(Slot::new(slot))
    }

    const fn learner(slot: u8) -> Change {
        Change::AddLearner(Slot::new(slot))
    }

    const fn remove(slot: u8) -> Change {
        Change::Remove(Slot::new(slot))
    }

    #[test]
    fn one_voter_at_a_time_changes_without_a_joint_configuration() {
        let three = voters(&[1, 2, 3]);
        assert_eq!(three.simple(&[voter(4)]), Ok(voters(&[1, 2, 3, 4])));
        assert_eq!(three.simple(&[remove(3)]), Ok(voters(&[1, 2])));
        assert_eq!(three.simple(&[voter(1), remove(7)]), Ok(three), "what is so already");
        for several in [[voter(4), voter(5)], [voter(4), remove(1)], [remove(1), learner(2)]] {
            assert_eq!(three.simple(&several), Err(Unchangeable::SeveralVoters));
        }
        let changes = [voter(4), remove(4), learner(5), learner(6)];
        let after = Configuration { learning: set(&[5, 6]), ..three };
        assert_eq!(three.simple(&changes), Ok(after), "only what comes of it all counts");
        assert_eq!(after.simple(&[voter(5)]).map(|it| it.learners()), Ok(set(&[6])), "promoted");
    }

    #[test]
    fn a_group_begins_with_one_voter_and_never_loses_the_last() {
        let nobody = Configuration::default();
        assert_eq!(nobody.simple(&[voter(1)]), Ok(voters(&[1])));
        assert_eq!(nobody.simple(&[learner(1)]), Err(Unchangeable::NobodyWouldVote));
        assert_eq!(nobody.enter_joint(false, &[voter(1)]), Err(Unchangeable::NobodyVotes));
        assert_eq!(voters(&[1]).simple(&[remove(1)]), Err(Unchangeable::NobodyWouldVote));
        assert_eq!(
            voters(&[1]).enter_joint(true, &[learner(1)]),
            Err(Unchangeable::NobodyWouldVote)
        );
    }

    #[test]
    fn a_joint_configuration_is_entered_once_and_left_once() {
        let joint = voters(&[1, 2, 3]).enter_joint(true, &[remove(1), voter(4), voter(5)]).unwrap();
        let meant = Configuration {
            voters: set(&[2, 3, 4, 5]),
            outgoing: set(&[1, 2, 3]),
            auto_leave: true,
            ..Configuration::default()
        };
        assert_eq!(joint, meant);
        assert_eq!(joint.enter_joint(false, &[voter(6)]), Err(Unchangeable::Joint));
        assert_eq!(joint.simple(&[voter(6)]), Err(Unchangeable::Joint));
        assert_eq!(joint.leave_joint(), Ok(voters(&[2, 3, 4, 5])));
        assert_eq!(voters(&[1]).leave_joint(), Err(Unchangeable::NotJoint));
    }

    #[test]
    fn a_demoted_voter_learns_once_its_vote_is_no_longer_needed() {
        let joint = voters(&[1, 2, 3]).enter_joint(false, &[learner(3), learner(4)]).unwrap();
        assert_eq!((joint.learners(), joint.learners_next()), (set(&[4]), set(&[3])));
        assert_eq!(joint.leave_joint().map(|it| it.learners()), Ok(set(&[3, 4])));
        let back = voters(&[1, 2]).enter_joint(false, &[learner(2), voter(2)]).unwrap();
        assert_eq!((back.voters, back.learning), (set(&[1, 2]), Members::NONE));
    }

    #[test]
    fn who_keeps_no_payload_does_not_begin_to() {
        let witness = Change::AddWitness(Slot::new(3));
        let with = voters(&[1, 2]).simple(&[witness]).unwrap();
        assert_eq!((with.voters, with.witnesses), (set(&[1, 2, 3]), set(&[3])));
        let refused = Err(Unchangeable::Witness(Slot::new(3)));
        for changes in [vec![voter(3)], vec![learner(3)], vec![remove(3), voter(3)]] {
            assert_eq!(with.simple(&changes), refused);
            assert_eq!(with.enter_joint(false, &changes), refused);
        }
        let refused = Err(Unchangeable::NoWitness(Slot::new(3)));
        assert_eq!(voters(&[1, 2, 3]).simple(&[witness]), refused);
        assert_eq!(voters(&[1, 2, 3]).enter_joint(true, &[remove(3), witness]), refused);
        let gone = with.enter_joint(false, &[remove(3)]).unwrap();
        assert_eq!(gone.witnesses, set(&[3]), "it votes in the old half");
        assert_eq!(gone.leave_joint(), Ok(voters(&[1, 2])));
        assert_eq!(with.simple(&[witness]), Ok(with));
    }

    #[test]
    fn a_slot_from_outside_is_refused() {
        let refused = Err(Unchangeable::NoSuchSlot(Slot::new(32)));
        assert_eq!(voters(&[1]).simple(&[voter(32)]), refused);
        assert_eq!(voters(&[1]).enter_joint(false, &[remove(32)]), refused);
    }

    /// All sets that a majority of these is in.
    fn is_quorum(configuration: &Configuration, yes: Members) -> bool {
        configuration.vote(|slot| Some(yes.contains(slot))) == Vote::Won
    }

    fn subsets(count: u8) -> impl Iterator<Item = Members> {
        let slots = move |code: u32| (0..count).filter(move |bit| code >> bit & 1 == 1);
        (0..1_u32 << count).map(move |code| slots(code).map(Slot::new).collect())
    }

    /// Every configuration that can come about among four slots, and every step between two.
    #[test]
    fn whatever_changes_two_majorities_in_a_row_meet() {
        let mut known = vec![Configuration::default()];
        let mut seen = 0;
        let changes: Vec<Change> = (0..4)
            .map(Slot::new)
            .flat_map(|slot| {
                [
                    Change::AddVoter(slot),
                    Change::AddLearner(slot),
                    Change::AddWitness(slot),
                    Change::Remove(slot),
                ]
            })
            .collect();
        while let Some(from) = known.get(seen).copied() {
            seen += 1;
            let mut next: Vec<_> = from.leave_joint().into_iter().collect();
            for one in &changes {
                next.extend(from.simple(&[*one]));
                for other in &changes {
                    next.extend(from.simple(&[*one, *other]));
                    next.extend(from.enter_joint(true, &[*one, *other]));
                }
            }
            for to in next {
                assert!(to.is_coherent(), "{from:?} to {to:?}");
                assert!(from.leads_to(&to), "{from:?} to {to:?}");
                if from != Configuration::default() {
                    for yes in subsets(4).filter(|yes| is_quorum(&from, *yes)) {
                        let others = Members::first(4).minus(yes);
                        assert!(!is_quorum(&to, others), "{from:?} to {to:?}: {yes:?}, {others:?}");
                    }
                }
                if !known.contains(&to) {
                    known.push(to);
                }
            }
        }
        assert_eq!(known.len(), 3_689);
    }
}
