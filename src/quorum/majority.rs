//! What a majority of a set has done.

use super::Vote;
use crate::id::{Index, Members, Slot};

/// The size of a majority of `n` members: `floor(n/2) + 1`.
#[must_use]
pub const fn size(n: usize) -> usize {
    (n / 2).saturating_add(1)
}

/// The highest value that a majority of `voters` has reached. None without voters: nobody holds
/// anything back.
///
/// It compares one voter after the other with all of them, until it has found the value that a
/// majority has reached and no majority has passed: for groups of this size that beats a sort and
/// has no order to get wrong.
#[must_use]
pub fn reached<T: Copy + Ord>(voters: Members, value: impl Fn(Slot) -> T) -> Option<T> {
    if voters.is_empty() {
        return None;
    }
    let needed = size(voters.len());
    let is_highest = |least: &T| {
        let (mut reached, mut passed) = (0_usize, 0_usize);
        for slot in voters.iter() {
            let order = value(slot).cmp(least);
            reached = reached.wrapping_add(usize::from(order.is_ge()));
            passed = passed.wrapping_add(usize::from(order.is_gt()));
        }
        reached >= needed && passed < needed
    };
    voters.iter().map(&value).find(is_highest)
}

/// Up to where a majority of `voters` holds the log, if `acked` says up to where each does; one of
/// whom nothing is known holds nothing. Without voters it is the highest index there is.
#[must_use]
pub fn committed(voters: Members, acked: impl Fn(Slot) -> Option<Index>) -> Index {
    reached(voters, |slot| acked(slot).unwrap_or(Index::ZERO)).unwrap_or(Index::MAX)
}

/// What has become of a vote among `voters`, if `says` tells what each has answered. Without voters
/// it is won.
#[must_use]
pub fn vote(voters: Members, says: impl Fn(Slot) -> Option<bool>) -> Vote {
    if voters.is_empty() {
        return Vote::Won;
    }
    let needed = size(voters.len());
    let count = |answer| voters.iter().filter(|slot| says(*slot) == answer).count();
    let yes = count(Some(true));
    if yes >= needed {
        Vote::Won
    } else if yes.saturating_add(count(None)) >= needed {
        Vote::Pending
    } else {
        Vote::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// openraft#1802: an optimised scan "committed" what two of five voters held.
    #[test]
    fn the_quorum_scan_agrees_with_sorting_for_every_order_of_progress() {
        for count in 1..=5_usize {
            let voters = Members::first(count);
            for code in 0..4_usize.pow(5) {
                let at: Vec<u64> = (0..5).map(|i| (code / 4_usize.pow(i) % 4) as u64).collect();
                let mut sorted = at[..count].to_vec();
                sorted.sort_unstable();
                let acked = |slot: Slot| (at[slot.position()] > 0).then(|| at[slot.position()]);
                let found = committed(voters, |slot| acked(slot).map(Index::new));
                assert_eq!(found, Index::new(sorted[count - size(count)]), "{at:?} of {count}");
            }
        }
    }

    #[test]
    fn a_vote_is_decided_as_soon_as_nothing_can_change_it() {
        for count in 1..=5_usize {
            for code in 0..3_usize.pow(5) {
                let says: Vec<Option<bool>> = (0..5)
                    .map(|i| [None, Some(false), Some(true)][code / 3_usize.pow(i) % 3])
                    .collect();
                let found = vote(Members::first(count), |slot| says[slot.position()]);
                let yes = says[..count].iter().filter(|it| **it == Some(true)).count();
                let open = says[..count].iter().filter(|it| it.is_none()).count();
                let (least, most) = (2 * yes > count, 2 * (yes + open) > count);
                let meant = match (least, most) {
                    (true, _) => Vote::Won,
                    (false, true) => Vote::Pending,
                    (false, false) => Vote::Lost,
                };
                assert_eq!(found, meant, "{says:?} of {count}");
            }
        }
    }

    #[test]
    fn without_voters_nothing_is_held_back() {
        assert_eq!(committed(Members::NONE, |_| None), Index::MAX);
        assert_eq!(vote(Members::NONE, |_| None), Vote::Won);
    }
}
