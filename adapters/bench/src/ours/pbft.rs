//! A Byzantine group of four, all in one thread: digests ordered one after the other, a write durable as
//! soon as it is said, and what a machine does not want not delivered to it. With null signatures, or with
//! real ones.

use crate::load::Measured;
use quorate::Machine;
use quorate::hlc::Stamp;
use quorate::id::{Digest, Index, Members, Slot};
use quorate::pbft::{
    Checkpoint, Config, Input, Message, Output, Pbft, Receipt, Value, Verified, Write,
};
use quorate::time::Now;
use quorate_host::signing::{Keys, Roll, Signed, Signer, Verifier};
use std::collections::VecDeque;

const COUNT: u8 = 4;

/// What checks signatures, if anything does.
pub(super) trait Signatures {
    type Said: Copy;
    fn sign(&self, by: Slot, message: Message) -> Self::Said;
    fn message(said: &Self::Said) -> (Slot, Message);
    fn check(&self, at: Slot, said: Self::Said);
}

/// Nobody signs.
pub(super) struct Null;

impl Signatures for Null {
    type Said = (Slot, Message);
    fn sign(&self, by: Slot, message: Message) -> Self::Said {
        (by, message)
    }
    fn message(said: &Self::Said) -> (Slot, Message) {
        *said
    }
    fn check(&self, _: Slot, _: Self::Said) {}
}

/// Ed25519, checked one by one, strictly.
pub(super) struct Real(Vec<(Signer, Verifier)>);

impl Real {
    pub(super) fn new() -> Self {
        let keys = |slot: u8| Keys::from_seed(&[slot + 1; 32]);
        let publics: Vec<_> =
            (0..COUNT).map(|slot| (Slot::new(slot), keys(slot).public())).collect();
        let roll = Roll::new(&publics).expect("four keys");
        let scope = roll.scope(quorate::id::GroupId::new(1), 1, 0);
        let member = |slot| {
            let me = Slot::new(slot);
            let signer = Signer::new(keys(slot), &roll, scope, me).expect("its own key");
            (signer, Verifier::new(roll.clone(), scope, &config(me)))
        };
        Self((0..COUNT).map(member).collect())
    }
}

impl Signatures for Real {
    type Said = Signed<Message>;
    fn sign(&self, by: Slot, message: Message) -> Self::Said {
        *self.0[by.position()].0.message(message)
    }
    fn message(said: &Self::Said) -> (Slot, Message) {
        (said.from, said.what)
    }
    fn check(&self, at: Slot, said: Self::Said) {
        self.0[at.position()].1.message(said, true).expect("nobody lies");
    }
}

fn config(me: Slot) -> Config {
    Config::lan(me, Members::first(usize::from(COUNT)), 1)
}

/// Orders so many values; tells how many signatures had to be checked.
pub(super) fn run<S: Signatures>(signatures: &S, slots: u64) -> Measured {
    let mut group: Vec<Pbft> =
        (0..COUNT).map(|slot| Pbft::new(config(Slot::new(slot))).expect("sound")).collect();
    let mut flights: VecDeque<(Slot, S::Said)> = VecDeque::new();
    let mut out: Vec<Output> = Vec::new();
    let mut receipts: Vec<(Slot, Receipt)> = Vec::new();
    let (mut checks, mut decided) = (0_u64, 0_u64);
    let now = Now::mono(1);
    for slot in 1..=slots {
        let mut digest = [1; 32];
        digest[..8].copy_from_slice(&slot.to_le_bytes());
        let value = Value { digest: Digest::new(digest), stamp: Stamp::ZERO.plus(slot) };
        let primary = &mut group[0];
        primary.step(now, Input::Propose(value), &mut out).expect("it leads");
        perform(signatures, Slot::new(0), &mut out, &mut flights, &mut receipts, &mut decided);
        loop {
            if let Some((at, receipt)) = receipts.pop() {
                // The newest stands for all before it.
                receipts.retain(|it| it.0 != at);
                let machine = &mut group[at.position()];
                machine.step(now, Input::Persisted(receipt), &mut out).expect("it runs");
                perform(signatures, at, &mut out, &mut flights, &mut receipts, &mut decided);
                continue;
            }
            let Some((at, said)) = flights.pop_front() else { break };
            let (from, message) = S::message(&said);
            let machine = &mut group[at.position()];
            if !machine.wants(from, &message) {
                continue;
            }
            checks += 1;
            signatures.check(at, said);
            let message = Verified::attest(from, message);
            machine.step(now, Input::Message { message, is_here: true }, &mut out).expect("runs");
            perform(signatures, at, &mut out, &mut flights, &mut receipts, &mut decided);
        }
        let interval = u64::from(group[0].config().interval);
        if slot % interval == 0 {
            for at in (0..COUNT).map(Slot::new) {
                let state = Digest::new(digest);
                let checkpoint = Checkpoint { index: Index::new(slot), state, stamp: value.stamp };
                let machine = &mut group[at.position()];
                machine.step(now, Input::Checkpointed(checkpoint), &mut out).expect("it runs");
                perform(signatures, at, &mut out, &mut flights, &mut receipts, &mut decided);
            }
        }
    }
    assert_eq!(decided, slots * u64::from(COUNT), "all have decided all");
    Measured { messages: checks, bytes: 0 }
}

fn perform<S: Signatures>(
    signatures: &S,
    at: Slot,
    out: &mut Vec<Output>,
    flights: &mut VecDeque<(Slot, S::Said)>,
    receipts: &mut Vec<(Slot, Receipt)>,
    decided: &mut u64,
) {
    for output in out.drain(..) {
        match output {
            Output::Persist { receipt, write } => {
                std::hint::black_box::<Write>(write);
                receipts.push((at, receipt));
            }
            Output::Send { to, message } => {
                let said = signatures.sign(at, message);
                flights.extend(to.iter().map(|to| (to, said)));
            }
            Output::Committed { .. } => *decided += 1,
            _ => {}
        }
    }
}
