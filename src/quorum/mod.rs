//! How many members must agree.
//!
//! Two kinds of quorum exist. A *majority* survives crashes: any two majorities share a member. A
//! *Byzantine* quorum survives liars: any two share a member that is honest. Both are the smallest
//! that intersect as they must, and both can still be formed by the members that are left once all
//! tolerated faults have happened; a test proves it for every group of up to a hundred.
//!
//! The common rule "2f+1 of n" is right only when n = 3f+1. With five members it is unsafe: two
//! quorums of three can meet in the one liar. (Castro and Liskov 1999 fix n = 3f+1 throughout.)
//!
//! [`majority`] says what a majority of a set has done, and [`joint`] what majorities of two sets
//! have both done, while a group changes from one to the other (Ongaro's dissertation, 4.3). They
//! know nothing of logs or terms: anyone's test suite can be played against them.

pub mod joint;
pub mod majority;

/// What has become of a vote.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Vote {
    /// Enough have said yes.
    Won,
    /// So many have said no that enough can never say yes.
    Lost,
    /// Neither; it hangs on those who have said nothing.
    Pending,
}

/// How many liars a group of `n` members tolerates: `floor((n-1)/3)`.
#[must_use]
pub const fn liars(n: usize) -> usize {
    n.saturating_sub(1) / 3
}

/// The size of a Byzantine quorum of `n` members: `floor((n+f)/2) + 1`, where `f` is
/// [`liars`]`(n)`.
#[must_use]
pub const fn byzantine(n: usize) -> usize {
    (n.saturating_add(liars(n)) / 2).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_quorums_intersect_as_they_must_and_the_faultless_suffice() {
        for n in 1..=100 {
            let m = majority::size(n);
            assert!(2 * m > n, "two majorities of {n} share a member");
            assert!(2 * (m - 1) <= n, "no smaller number would do");
            assert!(m <= n - (n - 1) / 2, "a majority of {n} is left after (n-1)/2 crashes");

            let (f, q) = (liars(n), byzantine(n));
            assert!(n > 3 * f, "{f} liars are tolerable among {n}");
            assert!(n <= 3 * (f + 1), "and not one more");
            assert!(2 * q > n + f, "two quorums of {n} share an honest member");
            assert!(2 * (q - 1) <= n + f, "no smaller number would do");
            assert!(q <= n - f, "a quorum of {n} is left when all liars are silent");
        }
    }

    #[test]
    fn five_members_need_four_where_two_f_plus_one_says_three() {
        let sizes: [(usize, usize); 6] = [(4, 3), (5, 4), (6, 4), (7, 5), (10, 7), (13, 9)];
        assert!(sizes.iter().all(|&(n, q)| byzantine(n) == q));
        assert!(2 * (2 * liars(5) + 1) <= 5 + liars(5), "3 of 5 meet in the liar alone");
    }
}
