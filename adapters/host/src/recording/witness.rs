//! What came of a step, in one number: the recorder and the replay both make it, in the same way.

use super::Input as Form;
use crate::protocol::{Service, session_of};
use quorate::codec::digest;
use quorate::id::Index;
use quorate::raft::{Receipt, Write};
use quorate::replica::{Body, Input, Outcome, Output, Replica};
use quorate::{Machine, Refused};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What came of a step, and of all before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sum {
    /// How many outputs it made.
    pub outputs: u32,
    /// A digest of what came of it, and of the sum before.
    #[serde(with = "postcard::fixint::le")]
    pub hash: u64,
}

/// Sees every step of a replica.
#[derive(Debug, Default)]
pub(super) struct Witness {
    hash: u64,
    applied: Index,
    /// How many writes there were; and those that may still be confirmed.
    writes: u64,
    receipts: VecDeque<(u64, Receipt)>,
    /// What is digested, kept for its room.
    bytes: Vec<u8>,
}

impl Witness {
    /// Sees the replica before its first step.
    pub(super) fn begin<S: Service>(&mut self, replica: &Replica<S>) -> Sum {
        self.applied = replica.applied().entry.index;
        let log = replica.raft().log();
        self.put(&(log.floor(), log.last(), replica.raft().vote(), replica.clock().last()));
        self.conclude(0, replica)
    }

    /// Sees what came of a step, before the next.
    pub(super) fn see<S: Service>(
        &mut self,
        stepped: Result<(), Refused>,
        outputs: &[Output],
        replica: &Replica<S>,
    ) -> Sum {
        self.put(&stepped.err());
        outputs.iter().for_each(|output| self.see_output(output, replica));
        self.conclude(u32::try_from(outputs.len()).unwrap_or(u32::MAX), replica)
    }

    fn see_output<S: Service>(&mut self, output: &Output, replica: &Replica<S>) {
        match output {
            Output::Persist { receipt, write } => {
                self.writes = self.writes.saturating_add(1);
                self.receipts.push_back((self.writes, *receipt));
                self.put(&0_u8);
                match write {
                    Write::Rebase { .. } => {
                        replica.image().for_each(|write| self.see_write(&write, replica));
                    }
                    write => self.see_write(write, replica),
                }
            }
            Output::Send { to, header } => {
                self.put(&(1_u8, to, header));
                replica.entries_of(header).for_each(|entry| self.put(entry));
                let chunk = replica.chunk_of(header);
                self.put(&(chunk.len(), digest(chunk)));
            }
            Output::Store { snapshot } => {
                self.put(&(2_u8, snapshot, digest(replica.bytes_of(snapshot))));
            }
            Output::Submitted { first, count } => self.put(&(3_u8, first, count)),
            Output::Applied { index } => {
                self.put(&(4_u8, index));
                self.see_answers(*index, replica);
            }
            Output::Leading => self.put(&5_u8),
            Output::Following { leader } => self.put(&(6_u8, leader)),
            Output::Reading { read } => self.put(&(7_u8, read.term, read.round, read.number)),
            Output::Readable { read } => self.put(&(8_u8, read.term, read.round, read.number)),
            Output::Unreadable { read } => self.put(&(10_u8, read.term, read.round, read.number)),
            Output::NotTransferred { to } => self.put(&(9_u8, to)),
        }
    }

    fn see_write<S: Service>(&mut self, write: &Write, replica: &Replica<S>) {
        self.put(write);
        if let Some((first, last)) = write.entries() {
            replica.entries(first, last).for_each(|entry| self.put(entry));
        }
    }

    /// What the clients of newly applied entries are told, whether or not they ask this node.
    fn see_answers<S: Service>(&mut self, applied: Index, replica: &Replica<S>) {
        let first = self.applied.next();
        self.applied = applied;
        for entry in replica.entries(first, applied) {
            let Body::Request(request) = &entry.body else { continue };
            let (client, sequence) = session_of(request);
            match replica.outcome(client, sequence) {
                Outcome::Opened => self.put(&0_u8),
                Outcome::Done(response) => self.put(&(1_u8, response)),
                Outcome::Superseded => self.put(&2_u8),
                Outcome::NoSession => self.put(&3_u8),
            }
        }
    }

    /// Adds how the replica is now, and makes the sum.
    fn conclude<S: Service>(&mut self, outputs: u32, replica: &Replica<S>) -> Sum {
        let (raft, applied) = (replica.raft(), replica.applied());
        self.put(&(raft.term(), raft.role(), raft.commit(), raft.durable(), applied.entry));
        self.put(&(applied.stamp, replica.deadline().map(quorate::time::Instant::as_micros)));
        self.bytes.extend_from_slice(&self.hash.to_le_bytes());
        self.hash = digest(&self.bytes);
        self.bytes.clear();
        Sum { outputs, hash: self.hash }
    }

    fn put(&mut self, value: &impl Serialize) {
        // Every type that comes here has a form in bytes, so this cannot fail; if it did, it would
        // in the replay too.
        self.bytes =
            postcard::to_extend(value, std::mem::take(&mut self.bytes)).unwrap_or_default();
    }

    /// The number of the write that a receipt is of. Those before it need no number any more.
    fn number_of(&mut self, receipt: Receipt) -> Option<u64> {
        let place = self.receipts.iter().position(|(_, handed)| *handed == receipt)?;
        self.receipts.drain(..place);
        self.receipts.front().map(|(number, _)| *number)
    }

    /// The receipt of the write of a number.
    pub(super) fn receipt_of(&mut self, number: u64) -> Option<Receipt> {
        let place = self.receipts.iter().position(|(handed, _)| *handed == number)?;
        self.receipts.drain(..place);
        self.receipts.front().map(|(_, receipt)| *receipt)
    }

    /// An input as it is written down; none if it confirms what was never written.
    pub(super) fn form<'a, C: Clone>(&mut self, input: &Input<'a, C>) -> Option<Form<'a, C>> {
        Some(match *input {
            Input::Tick => Form::Tick,
            Input::Message { from, header, entries, chunk } => {
                Form::Message { from, header, entries: entries.into(), chunk: chunk.into() }
            }
            Input::Submit { requests } => Form::Submit { requests: requests.into() },
            Input::Read => Form::Read,
            Input::Persisted(receipt) => Form::Persisted(self.number_of(receipt)?),
            Input::PersistFailed => Form::PersistFailed,
            Input::Stored(snapshot) => Form::Stored(snapshot),
            Input::Suspect(slot) => Form::Suspect(slot),
            Input::StepDown => Form::StepDown,
            Input::Reconfigure(to) => Form::Reconfigure(to),
            Input::Transfer(to) => Form::Transfer(to),
            Input::Admit { life, address, founder, replaces } => {
                Form::Admit { life, address, founder, replaces }
            }
            Input::Dismiss(life) => Form::Dismiss(life),
        })
    }
}
