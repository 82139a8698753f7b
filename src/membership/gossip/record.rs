//! What is known of a node, and which of two records of it counts.

use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::id::{Incarnation, NodeId};
use crate::membership::Address;
use core::cmp::Ordering;

/// What is said of a node in one of its incarnations; the later of two in this order counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum State {
    /// It answers.
    Alive,
    /// It did not answer somebody, and has a while to refute that.
    Suspect,
    /// It did not refute it.
    Down,
    /// It said that it leaves.
    Left,
}

impl State {
    /// Whether the node is not there any more.
    #[must_use]
    pub const fn is_departed(self) -> bool {
        matches!(self, Self::Down | Self::Left)
    }
}

/// What is known of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Record {
    /// The incarnation spoken of.
    pub incarnation: Incarnation,
    /// What is said of it.
    pub state: State,
    /// Where it is, or was.
    pub address: Address,
}

impl Record {
    /// The join of two records: the higher incarnation, and in one incarnation the later state (SWIM,
    /// section 4.2). A verdict on an earlier incarnation than the one known says nothing. None if they
    /// place one incarnation at two addresses: two nodes go by one name, and neither record counts.
    #[must_use]
    pub fn merge(self, other: Self) -> Option<Self> {
        match self.incarnation.cmp(&other.incarnation) {
            Ordering::Less => Some(other),
            Ordering::Greater => Some(self),
            Ordering::Equal if self.address != other.address => None,
            Ordering::Equal => Some(Self { state: self.state.max(other.state), ..self }),
        }
    }
}

/// What one node tells another of a third. Travels beside messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Update {
    /// The node that is told of.
    pub node: NodeId,
    /// What is said of it.
    pub record: Record,
}

impl Codec for State {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        (*self as u8).encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let code = usize::from(u8::decode(bytes)?);
        let states = [Self::Alive, Self::Suspect, Self::Down, Self::Left];
        states.get(code).copied().ok_or(Malformed)
    }
}

impl Codec for Update {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.node.encode(sink)?;
        self.record.incarnation.encode(sink)?;
        self.record.state.encode(sink)?;
        self.record.address.encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let (node, incarnation) = (Codec::decode(bytes)?, Codec::decode(bytes)?);
        let (state, address) = (Codec::decode(bytes)?, Codec::decode(bytes)?);
        Ok(Self { node, record: Record { incarnation, state, address } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Every state of three incarnations, each at the address that it has for good.
    fn honest() -> Vec<Record> {
        let states = [State::Alive, State::Suspect, State::Down, State::Left];
        let of = |number: u64, state| Record {
            incarnation: Incarnation::new(number),
            state,
            address: Address::new([u8::try_from(number).unwrap(); 24]),
        };
        (0..3).flat_map(|number| states.map(|state| of(number, state))).collect()
    }

    #[test]
    fn records_join_in_any_order_and_any_number_of_times() {
        let all = honest();
        for a in &all {
            assert_eq!(a.merge(*a), Some(*a));
            for b in &all {
                let both = a.merge(*b).unwrap();
                assert_eq!(b.merge(*a), Some(both));
                assert!(both == *a || both == *b, "the order is total");
                for c in &all {
                    assert_eq!(both.merge(*c), a.merge(b.merge(*c).unwrap()));
                }
            }
        }
    }

    #[test]
    fn a_conflict_is_one_whichever_record_comes_first() {
        let elsewhere = |record: Record| Record { address: Address::new([9; 24]), ..record };
        for a in honest() {
            for b in honest().into_iter().map(elsewhere) {
                assert_eq!(a.merge(b), b.merge(a));
                assert_eq!(a.merge(b).is_none(), a.incarnation == b.incarnation);
            }
        }
    }
}
