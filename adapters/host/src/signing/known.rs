//! Signatures that were checked and found right, so that none is checked twice.
//!
//! Each signer has a share of its own: whoever signs more than anybody needs has its own signatures
//! forgotten, oldest first, and nobody else's.

use super::hash::{context, digest};
use super::wire::Signature;
use quorate::id::{Digest, Slot};
use quorate::limits::SLOTS;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The signatures remembered of one signer: its votes in two windows, and its checkpoints and view
/// changes among them.
pub(super) const SHARE: usize = 3 * SLOTS;

/// Signatures that were found right.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<Slot, Share>);

#[derive(Debug, Default)]
struct Share {
    known: BTreeSet<Digest>,
    order: VecDeque<Digest>,
}

/// What a signature is known by: itself, and all bytes that it is of, with signer and scope.
pub(super) fn name_of(bytes: &[u8], signature: &Signature) -> Digest {
    let (r, s) = signature.halves();
    digest(context::SIGNATURE, &[r, s, bytes])
}

impl Known {
    pub(super) fn contains(&self, signer: Slot, name: &Digest) -> bool {
        self.0.get(&signer).is_some_and(|share| share.known.contains(name))
    }

    /// Only of a member, or there would be a share for everybody.
    pub(super) fn insert(&mut self, signer: Slot, name: Digest) {
        let share = self.0.entry(signer).or_default();
        if !share.known.insert(name) {
            return;
        }
        share.order.push_back(name);
        if share.order.len() > SHARE
            && let Some(oldest) = share.order.pop_front()
        {
            share.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(of: u64) -> Digest {
        digest(context::SIGNATURE, &[&of.to_le_bytes()])
    }

    #[test]
    fn a_signer_that_floods_makes_its_own_signatures_forgotten_and_no_others() {
        let (liar, honest) = (Slot::new(1), Slot::new(2));
        let mut known = Known::default();
        known.insert(honest, name(1));
        known.insert(liar, name(1));
        known.insert(liar, name(1));
        for of in 2..=SHARE as u64 {
            known.insert(liar, name(of));
        }
        assert!(known.contains(liar, &name(1)), "one said twice takes one place");
        known.insert(liar, name(0));
        assert!(!known.contains(liar, &name(1)), "the oldest is forgotten");
        assert!(known.contains(liar, &name(0)) && known.contains(honest, &name(1)));
        let share = &known.0[&liar];
        assert_eq!((share.known.len(), share.order.len()), (SHARE, SHARE));
    }

    #[test]
    fn a_signature_is_known_for_what_it_signs_alone() {
        let signature = Signature::from_bytes(&[7; 64]);
        assert_ne!(name_of(b"one", &signature), name_of(b"other", &signature));
        for at in 0..64 {
            let mut bytes = [7; 64];
            bytes[at] ^= 1;
            assert_ne!(
                name_of(b"one", &signature),
                name_of(b"one", &Signature::from_bytes(&bytes))
            );
        }
    }
}
