//! Raft alone, under a host that keeps the payloads itself: a number for each entry, and a state
//! that is a fold of all of them in order.

use super::hash::fold;
use super::hosted::{Answer, Hosted, Input, Said, Setup, Work};
use super::vault::{Command, Found, Query};
use quorate::client::{Reply, What};
use quorate::codec::{Codec, NoRoom, Sink, digest};
use quorate::hlc::Stamp;
use quorate::id::{ClientId, EntryId, Index, Slot};
use quorate::raft::{self, Base, Configuration, Message, Raft, Read, Snapshot, Write};
use quorate::replica::{Entry, Header, Output};
use quorate::time::{Instant, Now};
use quorate::{Event, Machine, Outbox, Refused};
use std::collections::VecDeque;

/// A member that is Raft and little else.
#[derive(Clone, Debug)]
pub struct Bare {
    raft: Raft,
    /// The payloads above the floor of the log.
    window: VecDeque<u64>,
    floor: Index,
    applied: EntryId,
    state: u64,
    committed: Index,
    /// Reads that wait for an index to be applied.
    confirmed: VecDeque<(Read, Index)>,
    /// The durable snapshot, and one that is being received or stored.
    held: Option<(Snapshot, Vec<u8>)>,
    next: Option<(Snapshot, Vec<u8>)>,
    /// All bytes of it are here.
    received: Option<Snapshot>,
}

/// What a barrier carries.
const BARRIER: u64 = 0;

/// Bytes of a snapshot beside the state: enough for several chunks.
const PADDING: usize = 600;

impl Bare {
    fn snapshot_bytes(&self) -> Vec<u8> {
        let mut bytes = self.state.to_le_bytes().to_vec();
        bytes.extend(self.applied.term.number().to_le_bytes());
        let configuration = self.raft.log().configuration_at(self.applied.index);
        let _ = configuration.encode(&mut Bytes(&mut bytes));
        bytes.extend((0..PADDING).map(|n| n as u8));
        bytes
    }

    fn restore(&mut self, snapshot: Snapshot, bytes: &[u8]) {
        let mut state = [0; 8];
        state.copy_from_slice(&bytes[..8]);
        (self.state, self.applied) = (u64::from_le_bytes(state), snapshot.boundary);
    }

    fn payload(&self, index: Index) -> Option<u64> {
        let place = index.number().checked_sub(self.floor.number() + 1)?;
        self.window.get(place as usize).copied()
    }

    fn last(&self) -> Index {
        self.floor.plus(self.window.len() as u64)
    }

    /// Steps the machine, binds the payloads of what it takes, and passes on what it says.
    fn below(
        &mut self,
        now: Now,
        input: raft::Input,
        source: Option<(Index, &[u64])>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        let mut told =
            Told { outputs: Vec::new(), events: Vec::new(), most: self.raft.max_outputs() };
        self.raft.step(now, input, &mut told)?;
        told.events.into_iter().for_each(|event| Outbox::<Output>::event(said, event));
        for output in told.outputs {
            match output {
                raft::Output::Persist { receipt, write } => {
                    if let Some((first, last)) = write.entries() {
                        self.bind(first, last, source);
                    }
                    said.push(Output::Persist { receipt, write });
                }
                raft::Output::Send { to, message } => {
                    said.push(Output::Send {
                        to,
                        header: Header { message, early: false, bare: false },
                    });
                }
                raft::Output::Committed { index } => self.committed = index,
                raft::Output::Leading { .. } => said.push(Output::Leading),
                raft::Output::NotTransferred { to } => said.push(Output::NotTransferred { to }),
                raft::Output::Following { leader, .. } => {
                    self.confirmed.clear();
                    said.push(Output::Following { leader });
                }
                raft::Output::Unreadable { read } => said.push(Output::Unreadable { read }),
                raft::Output::Reading { read } => said.push(Output::Reading { read }),
                raft::Output::Readable { read, index } => self.confirmed.push_back((read, index)),
                raft::Output::SnapshotReceived { snapshot } => self.received = Some(snapshot),
            }
        }
        let (floor, last) = (self.raft.log().floor().index, self.raft.log().last().index);
        self.window.truncate(last.above(self.floor) as usize);
        let gone = floor.above(self.floor).min(self.window.len() as u64);
        self.window.drain(..gone as usize);
        self.floor = self.floor.max(floor);
        Ok(())
    }

    fn bind(&mut self, first: Index, last: Index, source: Option<(Index, &[u64])>) {
        self.window.truncate(first.previous().above(self.floor) as usize);
        while self.last() < last {
            let index = self.last().next();
            let payload = source.and_then(|(from, payloads)| {
                payloads.get(index.number().checked_sub(from.number())? as usize).copied()
            });
            self.window.push_back(payload.unwrap_or(BARRIER));
        }
    }

    /// Keeps the part of a snapshot that Raft has accepted, and checks the whole.
    fn stage(
        &mut self,
        now: Now,
        before: Option<raft::Incoming>,
        chunk: &[u8],
        said: &mut Said,
    ) -> Result<(), Refused> {
        let incoming = self.raft.incoming();
        if before.is_some() && incoming.is_none() {
            self.next.take_if(|(next, _)| before.is_some_and(|before| before.snapshot == *next));
        }
        let Some(incoming) = incoming.filter(|_| incoming != before) else { return Ok(()) };
        let (snapshot, received) = (incoming.snapshot, incoming.received as usize);
        if self.next.as_ref().is_none_or(|(next, _)| *next != snapshot) {
            self.next = Some((snapshot, Vec::new()));
        }
        let Some((_, bytes)) = &mut self.next else { return Ok(()) };
        bytes.extend(chunk);
        let is_complete = self.received.take() == Some(snapshot);
        if bytes.len() != received || (is_complete && digest(bytes) != snapshot.digest) {
            self.next = None;
            return self.below(now, raft::Input::Discard, None, said);
        }
        if is_complete {
            said.push(Output::Store { snapshot });
        }
        Ok(())
    }

    fn settle(&mut self, said: &mut Said) {
        let before = self.applied;
        while self.applied.index < self.committed {
            let index = self.applied.index.next();
            let (Some(payload), Some(term)) = (self.payload(index), self.raft.log().term_at(index))
            else {
                break;
            };
            self.state = fold(self.state, &payload);
            self.applied = EntryId::new(term, index);
        }
        if self.applied != before {
            said.push(Output::Applied { index: self.applied.index });
        }
        let mut readable = None;
        while let Some((read, _)) =
            self.confirmed.front().filter(|(_, index)| *index <= self.applied.index)
        {
            readable = Some(*read);
            self.confirmed.pop_front();
        }
        if let Some(read) = readable {
            said.push(Output::Readable { read });
        }
        let held = self.applied.index.above(self.raft.log().floor().index) as usize;
        let runs = self.raft.log().runs();
        let limits = self.raft.config().limits;
        let is_motley = runs.len() >= limits.runs / 2
            && runs.first().is_some_and(|run| run.last <= self.applied.index);
        let changes = self.raft.log().configurations().skip(1);
        let is_changed = changes.clone().count() >= limits.configurations / 2
            && changes.clone().any(|change| change.at <= self.applied.index);
        let is_full = self.window.len() + limits.runs > limits.entries && held > 0;
        // One that a leader began to send, and that the log has overtaken, will not be finished.
        let applied = self.applied.index;
        self.next.take_if(|(next, bytes)| {
            bytes.len() < next.size as usize && next.boundary.index <= applied
        });
        let is_crowded = self.window.len() >= limits.entries - limits.entries / 4;
        // A member that joins does not know yet who belongs to the group where its log ends.
        let knows = !self.raft.log().configuration_at(applied).voters().is_empty();
        if !knows || self.raft.is_sending() && !is_crowded {
            return;
        }
        if (held >= limits.entries / 2 || is_motley || is_changed || is_full) && self.next.is_none()
        {
            let bytes = self.snapshot_bytes();
            let (size, digest) = (bytes.len() as u32, digest(&bytes));
            let snapshot = Snapshot { boundary: self.applied, size, digest };
            self.next = Some((snapshot, bytes));
            said.push(Output::Store { snapshot });
        }
    }

    fn stored(&mut self, now: Now, snapshot: Snapshot, said: &mut Said) -> Result<(), Refused> {
        let is_meant = |(next, bytes): &mut (Snapshot, Vec<u8>)| {
            *next == snapshot && bytes.len() == snapshot.size as usize
        };
        let Some(held) = self.next.take_if(is_meant) else { return Ok(()) };
        self.below(now, raft::Input::Stored(base_of(snapshot, &held.1)), None, said)?;
        if self.raft.log().floor() == snapshot.boundary {
            if self.applied.index < snapshot.boundary.index {
                self.restore(snapshot, &held.1);
                self.committed = self.committed.max(snapshot.boundary.index);
                said.push(Output::Applied { index: snapshot.boundary.index });
            }
            self.held = Some(held);
        }
        Ok(())
    }
}

/// What a log goes on from after a snapshot: its bytes tell the configuration behind the state.
fn base_of(snapshot: Snapshot, bytes: &[u8]) -> Base {
    let configuration = bytes.get(16..).and_then(|mut rest| Configuration::decode(&mut rest).ok());
    Base { snapshot, configuration: configuration.unwrap_or_default() }
}

/// A vector that the core writes into.
struct Bytes<'a>(&'a mut Vec<u8>);

impl Sink for Bytes<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What Raft says in one step.
struct Told {
    outputs: Vec<raft::Output>,
    events: Vec<Event>,
    most: usize,
}

impl Outbox<raft::Output> for Told {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
    fn room(&self) -> usize {
        self.most - self.outputs.len()
    }
    fn push(&mut self, output: raft::Output) {
        assert!(self.outputs.len() < self.most, "more outputs than max_outputs says");
        self.outputs.push(output);
    }
    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl Hosted for Bare {
    type Entry = u64;
    type Request = u64;

    fn boot(
        setup: &Setup,
        me: Slot,
        life: u64,
        snapshot: Option<(Snapshot, &[u8])>,
        writes: &[(Write, Vec<u64>)],
    ) -> Result<Self, String> {
        let base = snapshot.map(|(snapshot, bytes)| base_of(snapshot, bytes));
        let raft = Raft::recover(setup.raft(me, life), base).map_err(|error| error.to_string())?;
        let floor = raft.log().floor().index;
        let mut bare = Self {
            raft,
            window: VecDeque::new(),
            floor,
            applied: EntryId::ZERO,
            state: 0,
            committed: floor,
            confirmed: VecDeque::new(),
            held: None,
            next: None,
            received: None,
        };
        if let Some((snapshot, bytes)) = snapshot {
            bare.restore(snapshot, bytes);
            bare.held = Some((snapshot, bytes.to_vec()));
        }
        for (write, payloads) in writes {
            bare.raft.replay(write);
            if let Write::Rebase { base, .. } = write {
                if base.snapshot.boundary.index > bare.applied.index {
                    return Err("the snapshot of the log is missing".into());
                }
                bare.window.clear();
            }
            if let Some((first, last)) = write.entries() {
                let log = bare.raft.log();
                bare.window.truncate(first.previous().above(bare.floor) as usize);
                for (place, payload) in payloads.iter().enumerate() {
                    let index = first.plus(place as u64);
                    let is_next = index == bare.floor.plus(bare.window.len() as u64).next();
                    if is_next && index <= last && log.term_at(index).is_some() {
                        bare.window.push_back(*payload);
                    }
                }
            }
            let last = bare.raft.log().last().index;
            bare.window.truncate(last.above(bare.floor) as usize);
        }
        if bare.raft.stopped().is_some() || bare.last() != bare.raft.log().last().index {
            return Err("the log does not fit its writes".into());
        }
        Ok(bare)
    }

    fn step(&mut self, now: Now, input: Input<'_, Self>, said: &mut Said) -> Result<(), Refused> {
        match input {
            Input::Tick => self.below(now, raft::Input::Tick, None, said)?,
            Input::Message { from, header: Header { message, .. }, entries, chunk } => {
                let source = match message {
                    Message::Append { prev, count, .. } if count as usize == entries.len() => {
                        Some((prev.index.next(), entries))
                    }
                    Message::Configure { prev, .. } if entries.len() == 1 => {
                        Some((prev.index.next(), entries))
                    }
                    Message::Append { .. } | Message::Configure { .. } => return Ok(()),
                    _ => None,
                };
                let before = self.raft.incoming();
                self.below(now, raft::Input::Message { from, message }, source, said)?;
                self.stage(now, before, chunk, said)?;
            }
            Input::Submit(payloads) => {
                let (term, first) = (self.raft.term(), self.raft.log().last().index.next());
                let count = payloads.len() as u32;
                let propose = raft::Input::Propose { count };
                self.below(now, propose, Some((first, payloads)), said)?;
                said.push(Output::Submitted { first: EntryId::new(term, first), count });
            }
            Input::Read => self.below(now, raft::Input::Read, None, said)?,
            Input::Persisted(receipt) => {
                self.below(now, raft::Input::Persisted(receipt), None, said)?;
            }
            Input::PersistFailed => self.below(now, raft::Input::PersistFailed, None, said)?,
            Input::Stored(snapshot) => self.stored(now, snapshot, said)?,
            Input::Suspect(slot) => self.below(now, raft::Input::Suspect(slot), None, said)?,
            Input::StepDown => self.below(now, raft::Input::StepDown, None, said)?,
            Input::Transfer(to) => self.below(now, raft::Input::Transfer(to), None, said)?,
            Input::Admit { .. } | Input::Dismiss(_) => return Err(Refused::Meaningless),
            Input::Reconfigure(to) => self.below(now, raft::Input::Reconfigure(to), None, said)?,
        }
        self.settle(said);
        Ok(())
    }

    fn max_outputs(&self) -> usize {
        self.raft.max_outputs() * 2 + 7
    }
    fn deadline(&self) -> Option<Instant> {
        self.raft.deadline()
    }
    fn raft(&self) -> &Raft {
        &self.raft
    }
    fn applied(&self) -> EntryId {
        self.applied
    }
    fn entries(&self, first: Index, last: Index) -> Vec<u64> {
        (first.number()..=last.number()).filter_map(|at| self.payload(Index::new(at))).collect()
    }
    fn entries_of(&self, header: &Header) -> Vec<u64> {
        match header.message {
            Message::Append { prev, count, .. } => {
                self.entries(prev.index.next(), prev.index.plus(u64::from(count)))
            }
            Message::Configure { prev, .. } => self.entries(prev.index.next(), prev.index.next()),
            _ => Vec::new(),
        }
    }
    fn chunk_of(&self, header: &Header) -> &[u8] {
        let Message::Chunk { offset, length, digest, .. } = header.message else { return &[] };
        let held = self.held.as_ref().filter(|(held, _)| held.digest == digest);
        let part = offset as usize..(offset + length) as usize;
        held.and_then(|(_, bytes)| bytes.get(part)).unwrap_or(&[])
    }
    fn bytes_of(&self, snapshot: &Snapshot) -> &[u8] {
        let next = self.next.as_ref().filter(|(next, _)| next == snapshot);
        next.map_or(&[], |(_, bytes)| bytes)
    }
    fn image(&self) -> Vec<Write> {
        self.raft.image().collect()
    }
    fn state(&self) -> Vec<u8> {
        self.state.to_le_bytes().to_vec()
    }
    fn stamp(_: &u64) -> Option<Stamp> {
        None
    }
    fn clock(&self) -> Option<Stamp> {
        None
    }
    fn body(_: &u64) -> Option<&Entry<Command>> {
        None
    }
    fn request(_: What, _: Option<&Work>) -> Option<u64> {
        None
    }
    fn reply(&self, _: ClientId, _: u64) -> Reply<Answer> {
        Reply::Unknown
    }
    fn find(&self, _: &Query) -> Found {
        Found::Register(self.state)
    }
    fn numbered(number: u64) -> Option<u64> {
        Some(number)
    }
}
