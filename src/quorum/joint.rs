//! What majorities of two sets have both done. A set without members imposes nothing, so with one
//! such set this is [`majority`] of the other.

use super::{Vote, majority};
use crate::id::{Index, Members, Slot};

/// The highest value that a majority of each of the two sets has reached: the minimum of both. None
/// without voters.
#[must_use]
pub fn reached<T: Copy + Ord>(halves: [Members; 2], value: impl Fn(Slot) -> T) -> Option<T> {
    // With both halves empty, none is left to take the least of.
    halves.into_iter().filter_map(|voters| majority::reached(voters, &value)).min()
}

/// Up to where a majority of each of the two sets holds the log: the minimum of both.
#[must_use]
pub fn committed(halves: [Members; 2], acked: impl Fn(Slot) -> Option<Index>) -> Index {
    let [one, other] = halves.map(|voters| majority::committed(voters, &acked));
    one.min(other)
}

/// What has become of a vote that each of the two sets must win.
#[must_use]
pub fn vote(halves: [Members; 2], says: impl Fn(Slot) -> Option<bool>) -> Vote {
    match halves.map(|voters| majority::vote(voters, &says)) {
        [Vote::Lost, _] | [_, Vote::Lost] => Vote::Lost,
        [Vote::Won, Vote::Won] => Vote::Won,
        _ => Vote::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(slots: &[u8]) -> Members {
        slots.iter().copied().map(Slot::new).collect()
    }

    #[test]
    fn what_one_half_lacks_is_not_committed() {
        let acked = |slot: Slot| [Some(9), Some(9), None, Some(4), Some(3)][slot.position()];
        let of = |one: &[u8], other: &[u8]| {
            committed([set(one), set(other)], |slot| acked(slot).map(Index::new)).number()
        };
        assert_eq!(of(&[0, 1, 2], &[]), 9);
        assert_eq!(of(&[], &[0, 1, 2]), 9);
        assert_eq!(of(&[0, 1, 2], &[2, 3, 4]), 3);
        assert_eq!(of(&[0, 1], &[2]), 0);
        assert_eq!(of(&[], &[]), u64::MAX);
        let none: [Members; 2] = [Members::NONE; 2];
        assert_eq!(reached(none, |_| 0), None);
    }

    #[test]
    fn one_half_that_says_no_is_enough() {
        let says =
            |slot: Slot| [Some(true), Some(true), Some(false), Some(false), None][slot.position()];
        let of = |one: &[u8], other: &[u8]| vote([set(one), set(other)], says);
        assert_eq!(of(&[0, 1, 2], &[]), Vote::Won);
        assert_eq!(of(&[0, 1, 2], &[2, 3, 4]), Vote::Lost);
        assert_eq!(of(&[2, 3], &[4]), Vote::Lost, "whatever the other half comes to");
        assert_eq!(of(&[0, 1, 2], &[0, 4]), Vote::Pending);
        assert_eq!(of(&[], &[]), Vote::Won);
    }

    #[test]
    fn for_all_pairs_of_sets_it_is_the_lower_of_both_and_the_order_does_not_matter() {
        let at = |slot: Slot| Some(Index::new([3, 1, 4, 1][slot.position()]));
        let sets =
            |code: u32| (0..4).filter(|bit| code >> bit & 1 == 1).collect::<std::vec::Vec<_>>();
        for one in 0..16 {
            for other in 0..16 {
                let (one, other) = (set(&sets(one)), set(&sets(other)));
                let both = committed([one, other], at);
                assert_eq!(both, committed([other, one], at));
                let each = [one, other].map(|voters| majority::committed(voters, at));
                assert_eq!(both, each[0].min(each[1]));
                assert_eq!(
                    reached([one, other], |slot| at(slot).unwrap()).unwrap_or(Index::MAX),
                    both
                );
            }
        }
    }
}
