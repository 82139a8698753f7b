//! A host whose machine is the real one, and which changes what it says.

use super::super::hosted::{Answer, Hosted, Input, Said, Setup, Work};
use super::super::vault::{Command, Found, Query};
use quorate::Refused;
use quorate::client::{Reply, What};
use quorate::hlc::Stamp;
use quorate::id::{ClientId, EntryId, Index, Slot};
use quorate::membership::Roster;
use quorate::raft::{Raft, Snapshot, Write};
use quorate::replica::{Entry, Header};
use quorate::time::{Instant, Now};
use std::fmt::Debug;

/// What is said instead of the truth. Whatever is left out is the truth.
pub(super) trait Lie: Debug + Default {
    /// Takes a step.
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        machine.step(now, input, said)
    }

    /// The most outputs of a step.
    fn max_outputs(honest: usize) -> usize {
        honest
    }

    /// How many of the writes on its disk it finds; none if it cannot start from that many.
    fn found(writes: usize) -> Option<usize> {
        Some(writes)
    }

    /// What it says that it has applied.
    fn applied<H: Hosted>(machine: &H) -> EntryId {
        machine.applied()
    }

    /// What it says that its state is.
    fn state<H: Hosted>(machine: &H) -> Vec<u8> {
        machine.state()
    }

    /// What it stores of a snapshot.
    fn bytes_of(honest: &[u8]) -> &[u8] {
        honest
    }

    /// What it answers to a command.
    fn reply(honest: Reply<Answer>) -> Reply<Answer> {
        honest
    }

    /// What it answers to a query.
    fn find(honest: Found) -> Found {
        honest
    }
}

/// A machine, and the lie that its host tells.
#[derive(Debug)]
pub(super) struct Liar<H, L> {
    machine: H,
    lie: L,
}

impl<H: Hosted, L: Lie> Hosted for Liar<H, L> {
    type Entry = H::Entry;
    type Request = H::Request;

    fn boot(
        setup: &Setup,
        me: Slot,
        life: u64,
        snapshot: Option<(Snapshot, &[u8])>,
        writes: &[(Write, Vec<H::Entry>)],
    ) -> Result<Self, String> {
        let found = L::found(writes.len()).ok_or("it does not want to")?;
        let machine = H::boot(setup, me, life, snapshot, &writes[..found])?;
        Ok(Self { machine, lie: L::default() })
    }

    fn step(&mut self, now: Now, input: Input<'_, Self>, said: &mut Said) -> Result<(), Refused> {
        let input = match input {
            Input::Tick => Input::Tick,
            Input::Message { from, header, entries, chunk } => {
                Input::Message { from, header, entries, chunk }
            }
            Input::Submit(requests) => Input::Submit(requests),
            Input::Read => Input::Read,
            Input::Persisted(receipt) => Input::Persisted(receipt),
            Input::PersistFailed => Input::PersistFailed,
            Input::Stored(snapshot) => Input::Stored(snapshot),
            Input::Suspect(slot) => Input::Suspect(slot),
            Input::StepDown => Input::StepDown,
            Input::Transfer(to) => Input::Transfer(to),
            Input::Reconfigure(to) => Input::Reconfigure(to),
            Input::Admit { life, address, founder, replaces } => {
                Input::Admit { life, address, founder, replaces }
            }
            Input::Dismiss(life) => Input::Dismiss(life),
        };
        self.lie.step(&mut self.machine, now, input, said)
    }

    fn max_outputs(&self) -> usize {
        L::max_outputs(self.machine.max_outputs())
    }
    fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }
    fn raft(&self) -> &Raft {
        self.machine.raft()
    }
    fn roster(&self) -> Option<&Roster> {
        self.machine.roster()
    }
    fn applied(&self) -> EntryId {
        L::applied(&self.machine)
    }
    fn entries(&self, first: Index, last: Index) -> Vec<H::Entry> {
        self.machine.entries(first, last)
    }
    fn entries_of(&self, header: &Header) -> Vec<H::Entry> {
        self.machine.entries_of(header)
    }
    fn chunk_of(&self, header: &Header) -> &[u8] {
        self.machine.chunk_of(header)
    }
    fn bytes_of(&self, snapshot: &Snapshot) -> &[u8] {
        L::bytes_of(self.machine.bytes_of(snapshot))
    }
    fn image(&self) -> Vec<Write> {
        self.machine.image()
    }
    fn state(&self) -> Vec<u8> {
        L::state(&self.machine)
    }
    fn stamp(entry: &H::Entry) -> Option<Stamp> {
        H::stamp(entry)
    }
    fn clock(&self) -> Option<Stamp> {
        self.machine.clock()
    }
    fn body(entry: &H::Entry) -> Option<&Entry<Command>> {
        H::body(entry)
    }
    fn request(what: What, work: Option<&Work>) -> Option<H::Request> {
        H::request(what, work)
    }
    fn reply(&self, client: ClientId, sequence: u64) -> Reply<Answer> {
        L::reply(self.machine.reply(client, sequence))
    }
    fn find(&self, query: &Query) -> Found {
        L::find(self.machine.find(query))
    }
    fn numbered(number: u64) -> Option<H::Request> {
        H::numbered(number)
    }
}
