//! Who has voted for what at one position, in the present view.
//!
//! The votes for the value that was proposed are two sets of members. A vote that comes before the
//! proposal, or is for another value, is kept beside them: one a member and phase, the first. So what a
//! liar can fill is its own two places, and a second, different vote of a member is always seen.

use super::message::{Phase, Value};
use crate::bounded::List;
use crate::id::{Members, Slot};
use crate::limits::MOST;

/// A place for each member and phase.
const PLACES: usize = MOST.members.saturating_mul(2);

/// The votes at one position.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Votes {
    prepares: Members,
    commits: Members,
    others: List<(Phase, Slot, Value), PLACES>,
}

impl Votes {
    /// Who has voted for the value proposed.
    pub(super) const fn of(&self, phase: Phase) -> Members {
        match phase {
            Phase::Prepare => self.prepares,
            Phase::Commit => self.commits,
        }
    }

    fn of_mut(&mut self, phase: Phase) -> &mut Members {
        match phase {
            Phase::Prepare => &mut self.prepares,
            Phase::Commit => &mut self.commits,
        }
    }

    /// Who has voted for a value, proposed or not.
    pub(super) fn for_value(&self, phase: Phase, value: Value, proposal: Option<Value>) -> Members {
        if proposal == Some(value) {
            return self.of(phase);
        }
        let is_it = |it: &&(Phase, Slot, Value)| it.0 == phase && it.2 == value;
        self.others.iter().filter(is_it).map(|it| it.1).collect()
    }

    /// What a member has voted for.
    pub(super) fn first(&self, phase: Phase, by: Slot, proposal: Option<Value>) -> Option<Value> {
        if self.of(phase).contains(by) {
            return proposal;
        }
        let is_it = |it: &&(Phase, Slot, Value)| (it.0, it.1) == (phase, by);
        self.others.iter().find(is_it).map(|it| it.2)
    }

    /// How many votes there are.
    pub(super) fn count(&self) -> usize {
        let counted = self.prepares.len().saturating_add(self.commits.len());
        counted.saturating_add(self.others.len())
    }

    /// Takes a member's first vote. A later one changes nothing.
    pub(super) fn take(&mut self, phase: Phase, by: Slot, value: Value, proposal: Option<Value>) {
        if self.first(phase, by, proposal).is_some() {
            return;
        }
        if proposal == Some(value) {
            let voters = self.of_mut(phase);
            *voters = voters.with(by);
        } else {
            // There is a place for each member and phase, and each has one vote.
            let _ = self.others.push((phase, by, value));
        }
    }

    /// The value is proposed: the votes for it that came before count from now on.
    pub(super) fn propose(&mut self, value: Value) {
        let mut at = 0;
        while let Some((phase, by, of)) = self.others.get(at).copied() {
            if of == value {
                let voters = self.of_mut(phase);
                *voters = voters.with(by);
                self.others.remove(at);
            } else {
                at = at.saturating_add(1);
            }
        }
    }

    /// Forgets all votes: another view begins.
    pub(super) fn clear(&mut self) {
        (self.prepares, self.commits) = (Members::NONE, Members::NONE);
        self.others.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Stamp;
    use crate::id::Digest;

    fn value(of: u8) -> Value {
        Value { digest: Digest::new([of; 32]), stamp: Stamp::ZERO }
    }

    #[test]
    fn votes_that_came_before_the_proposal_count_once_it_is_there() {
        let mut votes = Votes::default();
        for (by, of) in [(1, 7), (2, 8), (3, 7)] {
            votes.take(Phase::Prepare, Slot::new(by), value(of), None);
        }
        votes.take(Phase::Commit, Slot::new(1), value(7), None);
        votes.propose(value(7));
        let sevens: Members = [1, 3].into_iter().map(Slot::new).collect();
        assert_eq!(votes.of(Phase::Prepare), sevens);
        assert_eq!(votes.of(Phase::Commit), Members::only(Slot::new(1)));
        assert_eq!(votes.first(Phase::Prepare, Slot::new(2), Some(value(7))), Some(value(8)));
    }

    #[test]
    fn a_member_has_one_vote_whatever_it_says_and_however_often() {
        let mut votes = Votes::default();
        let liar = Slot::new(1);
        for of in 0..=255 {
            votes.take(Phase::Commit, liar, value(of), None);
        }
        assert_eq!(votes.others.len(), 1);
        assert_eq!(votes.first(Phase::Commit, liar, None), Some(value(0)));
        assert_eq!(votes.for_value(Phase::Commit, value(3), None), Members::NONE);
    }
}
