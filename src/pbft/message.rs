//! What members of a Byzantine group say to each other.
//!
//! Every message is a *statement* that its sender signs; the bytes that it signs are in
//! [`statement`](super::statement). Payloads travel beside, and so do the signatures that a
//! certificate consists of: a certificate here is what its signers said, and who they are.

use crate::bounded::List;
use crate::hlc::Stamp;
use crate::id::{Digest, Index, Members, Slot, View};
use crate::limits::SLOTS;
use crate::quorum;

/// What is ordered at an index: a payload by its digest, and the time at which it takes effect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Value {
    /// The digest of the payload.
    pub digest: Digest,
    /// The primary's stamp.
    pub stamp: Stamp,
}

impl Value {
    /// Nothing: what a new view puts where nothing was prepared. It is executed as no operation.
    pub const NULL: Self = Self { digest: Digest::NULL, stamp: Stamp::ZERO };

    /// Whether nothing is ordered, at whatever time.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.digest == Digest::NULL
    }
}

/// Which vote it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Phase {
    /// "In this view I accept no other value here." The primary's own is its proposal, and no member
    /// has a second one.
    Prepare,
    /// "A quorum accepts no other value here, and I hold the proof."
    Commit,
}

/// A vote of one member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Vote {
    /// Which vote.
    pub phase: Phase,
    /// The view in which it is given.
    pub view: View,
    /// The position that is voted on.
    pub index: Index,
    /// What is voted for.
    pub value: Value,
}

/// A state that a member has made durable: what it has after executing everything up to `index`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Checkpoint {
    /// The last position executed.
    pub index: Index,
    /// The digest of the state.
    pub state: Digest,
    /// The highest stamp executed.
    pub stamp: Stamp,
}

/// A [`Checkpoint`] that a quorum has signed: no correct member's state differs from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Stable {
    /// What they signed.
    pub checkpoint: Checkpoint,
    /// Who. Nobody signs what a group begins with.
    pub signers: Members,
}

/// A value for which a quorum gave its [`Phase::Prepare`] votes in one view.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Prepared {
    /// The view.
    pub view: View,
    /// Where.
    pub index: Index,
    /// What.
    pub value: Value,
    /// Who voted.
    pub signers: Members,
}

impl Prepared {
    /// The vote that each of the signers gave.
    #[must_use]
    pub const fn vote(&self) -> Vote {
        let Self { view, index, value, .. } = *self;
        Vote { phase: Phase::Prepare, view, index, value }
    }
}

/// The values that were prepared, in order of their positions.
pub type Claims = List<Prepared, SLOTS>;

/// "I have left all views below this one; this is what I was sure of." It is made when a member leaves
/// a view, and never again for the same one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ViewChange {
    /// The view that the sender wants to enter.
    pub view: View,
    /// The newest stable checkpoint that it knows.
    pub stable: Stable,
    /// What was prepared above that: the newest of each position, in order of the positions.
    pub claims: Claims,
}

impl ViewChange {
    /// Whether it can be true of a member of the group: what it claims stands in the window above its
    /// checkpoint, in order, each from an earlier view, and each with a quorum of members behind it.
    ///
    /// That they signed it the host has verified before.
    #[must_use]
    pub fn is_sound(&self, members: Members, floor: &Checkpoint, slots: usize) -> bool {
        let low = self.stable.checkpoint.index;
        let high = low.plus(slots as u64);
        let follows = self.claims.iter().zip(self.claims.iter().skip(1));
        self.stable.is_sound(members, floor)
            && self.claims.iter().all(|it| {
                low < it.index
                    && it.index <= high
                    && it.view < self.view
                    && is_quorum(it.signers, members)
            })
            && follows.clone().all(|(one, next)| one.index < next.index)
    }
}

impl Stable {
    /// Whether a quorum of members stands behind it, or it is what the group began with.
    #[must_use]
    pub fn is_sound(&self, members: Members, floor: &Checkpoint) -> bool {
        self.checkpoint == *floor
            || (self.checkpoint.index > floor.index && is_quorum(self.signers, members))
    }
}

/// Whether enough of the members are in the set. Who is no member does not count, and who is named
/// twice is in a set once.
#[must_use]
pub const fn is_quorum(signers: Members, members: Members) -> bool {
    signers.shared(members).len() >= quorum::byzantine(members.len())
}

/// What a new view begins with: the view changes of a quorum. What follows from them is not said: each
/// member finds it by [`select`](super::select) itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NewView<'a> {
    /// The view.
    pub view: View,
    /// The view changes, each with its sender.
    pub changes: &'a [(Slot, ViewChange)],
}

/// How far a member has got: it is answered with what it lacks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Status {
    /// The view that it is in or wants to enter.
    pub view: View,
    /// Whether it knows what that view began with.
    pub is_active: bool,
    /// Whose view changes for that view it holds.
    pub changes: Members,
    /// Its stable checkpoint.
    pub stable: Index,
    /// Up to where it knows everything to be committed.
    pub committed: Index,
    /// Up to where it holds proof that everything is prepared in this view: it may be less, for what was
    /// committed in an earlier one is prepared anew.
    pub prepared: Index,
}

/// A message that is small and fixed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Message {
    /// A vote.
    Vote(Vote),
    /// A state that is durable.
    Checkpoint(Checkpoint),
    /// How far the sender has got.
    Status(Status),
}

/// A message whose signature is the sender's, and so are all those in its certificates.
///
/// The machine has no keys: this is the host's promise that it has checked. A wrong promise costs what
/// a liar more costs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Verified<M> {
    from: Slot,
    message: M,
}

impl<M> Verified<M> {
    /// The host vouches: `from` has signed the bytes of the message, of this group, configuration and
    /// epoch, and whoever the message names as a signer has signed what it says.
    pub const fn attest(from: Slot, message: M) -> Self {
        Self { from, message }
    }

    /// Who signed it.
    #[must_use]
    pub const fn from(&self) -> Slot {
        self.from
    }

    /// What it says.
    pub const fn message(&self) -> &M {
        &self.message
    }
}
