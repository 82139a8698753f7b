//! A group of members that sign, and those who forge.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

mod council;
mod forgeries;
mod vaults;
mod view_changes;
mod wire;

use super::*;
use quorate::bounded::List;
use quorate::hlc::Stamp;
use quorate::id::{Digest, GroupId, Index, Members, Slot, View};
use quorate::pbft::{
    Checkpoint, Claims, Config, Message, Phase, Prepared, Scope, Stable, Value, ViewChange, Vote,
};
use std::sync::Arc;

/// The window of the group, and its checkpoints' distance.
const SLOTS: u32 = 8;
const INTERVAL: u32 = 4;

/// The group: its keys are the same in every test.
struct Group {
    roll: Roll,
    scope: Scope,
    config: Config,
    signers: Vec<Signer>,
}

fn keys(of: u8) -> Keys {
    Keys::from_seed(&[of; 32])
}

fn slot(of: u8) -> Slot {
    Slot::new(of)
}

fn set(slots: &[u8]) -> Members {
    slots.iter().copied().map(Slot::new).collect()
}

fn value(of: u8) -> Value {
    Value { digest: Digest::new([of; 32]), stamp: Stamp::at_millis(u64::from(of)) }
}

fn prepare(view: u64, index: u64, of: u8) -> Vote {
    let (view, index) = (View::new(view), Index::new(index));
    Vote { phase: Phase::Prepare, view, index, value: value(of) }
}

fn checkpoint(index: u64, of: u8) -> Checkpoint {
    let state = Digest::new([of; 32]);
    Checkpoint { index: Index::new(index), state, stamp: Stamp::at_millis(index) }
}

fn prepared(view: u64, index: u64, of: u8, signers: &[u8]) -> Prepared {
    let Vote { view, index, value, .. } = prepare(view, index, of);
    Prepared { view, index, value, signers: set(signers) }
}

fn list<T, const N: usize>(items: impl IntoIterator<Item = T>) -> List<T, N> {
    let mut list = List::new();
    items.into_iter().for_each(|item| list.push(item).ok().unwrap());
    list
}

impl Group {
    fn of(count: u8) -> Self {
        Self::with(count, SLOTS, INTERVAL)
    }

    fn with(count: u8, slots: u32, interval: u32) -> Self {
        let members: Vec<_> = (0..count).map(|at| (slot(at), keys(at + 1).public())).collect();
        let roll = Roll::new(&members).unwrap();
        let scope = roll.scope(GroupId::new(7), 2, 1);
        let config = Config { slots, interval, ..Config::lan(slot(0), roll.members(), 1) };
        let signer = |at| Signer::new(keys(at + 1), &roll, scope, slot(at)).unwrap();
        let signers = (0..count).map(signer).collect();
        Self { roll, scope, config, signers }
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(self.roll.clone(), self.scope, &self.config)
    }

    fn vault(&self) -> Vault {
        Vault::new(&self.config)
    }

    fn vote(&self, by: u8, vote: Vote) -> Checked<Signed<Message>> {
        self.signers[usize::from(by)].message(Message::Vote(vote))
    }

    fn checkpoint(&self, by: u8, of: Checkpoint) -> Checked<Signed<Message>> {
        self.signers[usize::from(by)].message(Message::Checkpoint(of))
    }

    fn certificate(&self, vote: Vote, signers: &[u8]) -> Certificate {
        let signatures = signers.iter().map(|&by| self.vote(by, vote).signature);
        Certificate { signatures: list(signatures) }
    }

    /// A vault in which a checkpoint at 4 is stable, 5 and 7 are prepared in view 1.
    fn busy_vault(&self) -> Vault {
        let mut vault = self.vault();
        for by in 0..3 {
            assert_eq!(vault.keep(&self.checkpoint(by, checkpoint(4, 4))), Kept::New);
        }
        vault.hold_stable(&self.stable()).unwrap();
        for claim in self.claims() {
            for by in claim.signers.iter() {
                assert_eq!(vault.keep(&self.vote(by.number(), claim.vote())), Kept::New);
            }
            vault.hold(&claim).unwrap();
        }
        vault.enter(View::new(2));
        vault
    }

    fn stable(&self) -> Stable {
        Stable { checkpoint: checkpoint(4, 4), signers: set(&[0, 1, 2]) }
    }

    fn claims(&self) -> [Prepared; 2] {
        [prepared(1, 5, 50, &[0, 1, 2]), prepared(1, 7, 70, &[1, 2, 3])]
    }

    /// What a member that knows all that says when it leaves for view 2.
    fn view_change(&self, by: u8) -> SignedViewChange {
        let claims: Claims = list(self.claims());
        let change = ViewChange { view: View::new(2), stable: self.stable(), claims };
        let proofs = self.busy_vault().proofs(&change).unwrap();
        (*self.signers[usize::from(by)].view_change(change, proofs)).clone()
    }

    /// The same with its body changed, signed again by its sender.
    fn signed_again(&self, it: &SignedViewChange) -> SignedViewChange {
        let signer = &self.signers[it.change.from.position()];
        (*signer.view_change(it.change.what.clone(), it.proofs.clone())).clone()
    }

    fn new_view(&self, senders: &[u8]) -> SignedNewView {
        let changes: Vec<_> = senders.iter().map(|&by| Checked(self.view_change(by))).collect();
        (*self.signers[2].new_view(View::new(2), &changes).unwrap()).clone()
    }
}
