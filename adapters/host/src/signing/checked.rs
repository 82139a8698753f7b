//! What may be told the machine, and why something else may not.

use super::wire::{Signed, SignedNewView, SignedStable, SignedViewChange};
use quorate::id::Slot;
use quorate::pbft::statement::CLIENT;
use quorate::pbft::{Message, NewView, Stable, Verified, ViewChange};
use std::fmt;
use std::ops::Deref;

/// Something whose signatures are right. Only a [`Verifier`](super::Verifier) makes one of what came in, and only a
/// [`Signer`](super::Signer) of what this host says itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Checked<T>(pub(super) T);

impl<T> Deref for Checked<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl Checked<Signed<Message>> {
    /// What the machine is told.
    #[must_use]
    pub const fn verified(&self) -> Verified<Message> {
        Verified::attest(self.0.from, self.0.what)
    }
}

impl Checked<SignedViewChange> {
    /// What the machine is told.
    #[must_use]
    pub const fn verified(&self) -> Verified<&ViewChange> {
        Verified::attest(self.0.change.from, &self.0.change.what)
    }

    /// The checkpoint that it stands on, with its proof.
    #[must_use]
    pub fn stable(&self) -> Checked<SignedStable> {
        let certificate = self.0.proofs.stable.clone();
        Checked(SignedStable { stable: self.0.change.what.stable, certificate })
    }
}

impl Checked<SignedNewView> {
    /// What the machine is told.
    #[must_use]
    pub fn verified(&self) -> Verified<NewView<'_>> {
        Verified::attest(self.0.from, self.0.said())
    }

    /// The checkpoints that its view changes stand on, with their proofs.
    pub fn stables(&self) -> impl Iterator<Item = Checked<SignedStable>> + '_ {
        let each = self.0.changes.iter().zip(self.0.proofs.iter());
        each.map(|((_, change), (_, proofs))| {
            let certificate = proofs.stable.clone();
            Checked(SignedStable { stable: change.stable, certificate })
        })
    }
}

impl Checked<SignedStable> {
    /// What the machine is told.
    #[must_use]
    pub const fn verified(&self) -> Stable {
        self.0.stable
    }
}

/// How many signatures a [`Verifier`](super::Verifier) has looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Checks {
    /// Those that were checked.
    pub made: u64,
    /// Those that were known to be right.
    pub spared: u64,
}

/// Why something that came in is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Rejected {
    /// The machine has no use for it. It may be true.
    Unwanted,
    /// Nobody of this name has a key here.
    NoSuchSigner,
    /// Its parts do not fit together, or a certificate in it has too few signers: no correct member
    /// says such a thing.
    Unsound,
    /// A signature is not that of the member whose it is said to be; a client's has slot
    /// [`CLIENT`]. Whoever sent it is to blame, and not this one.
    Forged(Slot),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwanted => f.write_str("nobody wants it now"),
            Self::NoSuchSigner => f.write_str("no key is known for a signer"),
            Self::Unsound => f.write_str("it contradicts itself, or proves too little"),
            Self::Forged(CLIENT) => f.write_str("a signature is not the client's"),
            Self::Forged(slot) => write!(f, "a signature is not that of member {slot}"),
        }
    }
}

impl std::error::Error for Rejected {}
