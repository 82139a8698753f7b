//! The positions above the stable checkpoint that are worked on.

use super::message::{Claims, Phase, Value, is_quorum};
use super::votes::Votes;
use crate::bounded::List;
use crate::id::{Digest, Index, Members, Slot, View};
use crate::limits::SLOTS;

/// One position.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Instance {
    /// What the primary of the present view has proposed, or the view has begun with.
    pub(super) proposal: Option<Value>,
    /// Whether its payload is here, makes sense, and is durable.
    pub(super) is_here: bool,
    /// The votes of the present view.
    pub(super) votes: Votes,
    /// The newest value prepared here, the view in which it was, and who voted.
    pub(super) claim: Option<(View, Value, Members)>,
    /// What is decided here.
    pub(super) committed: Option<Value>,
    /// The write of this member's vote, and of the proof that the value is prepared.
    pub(super) voted_at: u64,
    pub(super) prepared_at: u64,
}

impl Instance {
    /// Another view begins: only what is proved stays.
    pub(super) fn clear(&mut self) {
        (self.proposal, self.is_here) = (None, false);
        (self.voted_at, self.prepared_at) = (0, 0);
        self.votes.clear();
    }

    /// The value is proposed; what stood here for this very payload still does.
    pub(super) fn propose(&mut self, value: Value, is_here: bool) {
        self.proposal = Some(value);
        self.is_here |= is_here || value.is_null();
        self.votes.propose(value);
    }

    /// Takes a member's first vote. What a quorum would commit is decided, in whatever order the votes
    /// came and whoever of them was this member.
    pub(super) fn take(&mut self, phase: Phase, by: Slot, value: Value, members: Members) {
        self.votes.take(phase, by, value, self.proposal);
        let voters = self.votes.for_value(phase, value, self.proposal);
        if phase == Phase::Commit && is_quorum(voters, members) {
            self.committed.get_or_insert(value);
        }
    }
}

/// The positions above `low`, up to `most` of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Window {
    low: Index,
    most: u64,
    instances: List<Instance, SLOTS>,
}

impl Window {
    pub(super) const fn new(low: Index, most: u32) -> Self {
        Self { low, most: most as u64, instances: List::new() }
    }

    /// The stable checkpoint's position.
    pub(super) const fn low(&self) -> Index {
        self.low
    }

    /// The highest position worked on.
    pub(super) const fn high(&self) -> Index {
        self.low.plus(self.most)
    }

    fn position(&self, index: Index) -> Option<usize> {
        if index > self.high() {
            return None;
        }
        usize::try_from(index.above(self.low).checked_sub(1)?).ok()
    }

    /// What is known of a position.
    pub(super) fn at(&self, index: Index) -> Option<&Instance> {
        self.instances.get(self.position(index)?)
    }

    /// Likewise, to change; none if it lies outside.
    pub(super) fn at_mut(&mut self, index: Index) -> Option<&mut Instance> {
        let position = self.position(index)?;
        while self.instances.len() <= position {
            self.instances.push(Instance::default()).ok()?;
        }
        self.instances.get_mut(position)
    }

    /// The positions known of above `from`, lowest first.
    pub(super) fn iter_from(
        &self,
        from: Index,
    ) -> impl Iterator<Item = (Index, &Instance)> + Clone {
        let low = self.low;
        let all = self.instances.iter().enumerate();
        let named = all.map(move |(at, it)| (low.plus(at as u64).next(), it));
        named.skip(usize::try_from(from.above(low)).unwrap_or(usize::MAX))
    }

    /// Lets go of everything up to a stable checkpoint.
    pub(super) fn rise_to(&mut self, low: Index) {
        let count = usize::try_from(low.above(self.low)).unwrap_or(usize::MAX);
        self.instances.drop_front(count);
        self.low = self.low.max(low);
    }

    /// A payload has come.
    pub(super) fn arrived(&mut self, digest: Digest) {
        let wants = |it: &&mut Instance| it.proposal.is_some_and(|it| it.digest == digest);
        self.instances.iter_mut().filter(wants).for_each(|it| it.is_here = true);
    }

    /// Another view begins.
    pub(super) fn clear(&mut self) {
        self.instances.iter_mut().for_each(Instance::clear);
    }

    /// Everything prepared, in order.
    pub(super) fn claims(&self) -> Claims {
        let mut claims = Claims::new();
        for (index, instance) in self.iter_from(self.low) {
            if let Some(claim) = instance.claim_at(index) {
                // The window has no more positions than claims have places.
                let _ = claims.push(claim);
            }
        }
        claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_window_takes_room() {
        let mut window = Window::new(Index::new(10), 4);
        for index in [0, 10, 15, u64::MAX] {
            assert!(window.at_mut(Index::new(index)).is_none(), "{index}");
        }
        assert!(window.at_mut(Index::new(14)).is_some());
        assert_eq!(window.instances.len(), 4);
    }

    #[test]
    fn positions_keep_their_names_when_the_window_rises() {
        let mut window = Window::new(Index::ZERO, 8);
        let value = |of| Value { stamp: crate::hlc::Stamp::at_millis(of), ..Value::NULL };
        for index in 1..=8 {
            window.at_mut(Index::new(index)).unwrap().proposal = Some(value(index));
        }
        window.rise_to(Index::new(5));
        assert_eq!(window.at(Index::new(5)), None);
        assert_eq!(window.at(Index::new(6)).unwrap().proposal, Some(value(6)));
        let named = window.iter_from(Index::new(6)).map(|it| it.0.number());
        assert!(named.eq(7..=8));
        window.rise_to(Index::new(3));
        assert_eq!(window.high(), Index::new(13), "it never falls");
    }
}
