//! The machine, and what a host keeps beside it: signatures, the bytes that were signed, and states.

mod hearing;
mod saying;

use super::store::Task;
use super::wire::Packet;
use crate::protocol::Service;
use crate::signing::{
    Accusation, Reply, Request, Signer, Vault, Verifier, payload_digest, state_digest,
};
use quorate::council::{Council, Input, Output};
use quorate::id::{ClientId, Digest, Index, Members, Slot};
use quorate::machine::Machine;
use quorate::pbft::{self, Checkpoint, Receipt};
use quorate::time::{Instant, Now};
use quorate::{Event, Refused};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a host must do. The tasks for the disk keep their order among themselves; all else in any.
#[derive(Debug)]
pub enum Effect {
    /// Send to each of these members; losing it does no harm.
    Send(Members, Arc<Packet>),
    /// Send to a client, if it is connected.
    Reply(Box<Reply>),
    /// Hand to the disk.
    Disk(Task),
    /// A member is proved to lie.
    Accuse(Box<Accusation>),
    /// Something that those who run the group want to know.
    Told(pbft::Output),
    /// Something that happened inside, to be counted or looked at.
    Event(Event),
}

/// What the disk has done.
#[derive(Clone, Copy, Debug)]
pub enum Done {
    /// This write and all before it are durable.
    Persisted(Receipt),
    /// This state is durable.
    Stored(Checkpoint),
}

/// A member of a Byzantine group, without IO.
pub struct Seat<S: Service> {
    council: Council<S>,
    me: Slot,
    signer: Signer,
    verifier: Arc<Verifier>,
    vault: Vault,
    /// The bytes of what the machine knows by digests, and the position that each was proposed at.
    payloads: BTreeMap<Digest, (Index, Vec<u8>)>,
    /// Each client's newest request that waited, and what the machine knows it by.
    requests: BTreeMap<ClientId, (Digest, Request)>,
    /// What each client asked last, if it was a read; and what it was last told.
    queries: BTreeMap<ClientId, (u64, S::Query)>,
    replies: BTreeMap<ClientId, Reply>,
    /// The states from the stable checkpoint on, durable or on their way there, for those who lack one.
    states: BTreeMap<Index, (Checkpoint, Vec<u8>)>,
    /// The payloads that the machine has asked for since the last step.
    wanted: Vec<Digest>,
    /// What is lacked, to be asked for again.
    lacks: BTreeSet<Digest>,
    lacks_state: Option<Checkpoint>,
    asked_at: Instant,
    /// When each member was last sent a state.
    served: BTreeMap<Slot, Instant>,
}

impl<S: Service> std::fmt::Debug for Seat<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({:?}, view {})", self.me, self.council.pbft().view())
    }
}

#[derive(Default)]
struct Out {
    outputs: Vec<Output>,
    events: Vec<Event>,
}

impl quorate::Outbox<Output> for Out {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
    fn room(&self) -> usize {
        usize::MAX
    }
    fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }
    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl<S: Service> Seat<S> {
    pub(super) fn new(
        council: Council<S>,
        signer: Signer,
        verifier: Arc<Verifier>,
        vault: Vault,
        payloads: BTreeMap<Digest, (Index, Vec<u8>)>,
        states: BTreeMap<Index, (Checkpoint, Vec<u8>)>,
    ) -> Self {
        Self {
            me: council.pbft().config().me,
            council,
            signer,
            verifier,
            vault,
            payloads,
            requests: BTreeMap::new(),
            queries: BTreeMap::new(),
            replies: BTreeMap::new(),
            states,
            wanted: Vec::new(),
            lacks: BTreeSet::new(),
            lacks_state: None,
            asked_at: Instant::ORIGIN,
            served: BTreeMap::new(),
        }
    }

    /// Says what a former life had begun, and takes the first step.
    pub fn wake(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.keep_own_change();
        self.tell(now, Input::Tick, effects);
        if let Some(new_view) = self.vault.new_view().cloned() {
            self.tell(now, Input::NewView(new_view.verified()), effects);
        }
        if let Some((checkpoint, _)) = self.states.last_key_value().map(|it| it.1) {
            let checkpoint = *checkpoint;
            self.tell(now, Input::Stored(checkpoint), effects);
        }
    }

    /// The machine.
    #[must_use]
    pub const fn council(&self) -> &Council<S> {
        &self.council
    }

    /// What checks for it, on whatever thread.
    #[must_use]
    pub fn verifier(&self) -> Arc<Verifier> {
        Arc::clone(&self.verifier)
    }

    /// Whether it is worth checking what came in.
    #[must_use]
    pub fn wants(&self, packet: &Packet) -> bool {
        let pbft = self.council.pbft();
        match packet {
            Packet::Message(signed, _) => pbft.wants(signed.from, &signed.what),
            Packet::ViewChange(it) => it.change.what.view >= pbft.view(),
            Packet::NewView(it) => {
                it.view > pbft.view() || (it.view == pbft.view() && !pbft.is_active())
            }
            Packet::Stable(it) => it.stable.checkpoint.index > pbft.stable().checkpoint.index,
            Packet::Request(it) => {
                let last = self.council.answer(it.client);
                last.is_none_or(|last| last.sequence <= it.sequence)
            }
            Packet::Payload(bytes) => {
                let digest = payload_digest(bytes);
                self.lacks.contains(&digest)
                    || (pbft.works_on(digest) && !self.payloads.contains_key(&digest))
            }
            Packet::State(checkpoint, _) => self.lacks_state == Some(*checkpoint),
            Packet::NeedPayload(_) | Packet::NeedState(_) => true,
        }
    }

    /// When it wants [`tick`](Self::tick) to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.council.deadline()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.tell(now, Input::Tick, effects);
        let pause = self.council.pbft().config().resend;
        if now.mono >= self.asked_at.after(pause) {
            self.ask_for_what_is_lacked(now, effects);
        }
    }

    /// The disk has done something.
    pub fn done(&mut self, now: Now, done: Done, effects: &mut Vec<Effect>) {
        let input = match done {
            Done::Persisted(receipt) => Input::Persisted(receipt),
            Done::Stored(checkpoint) => Input::Stored(checkpoint),
        };
        self.tell(now, input, effects);
    }

    /// The disk has failed: it stops for good.
    pub fn disk_failed(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.tell(now, Input::PersistFailed, effects);
    }

    /// Steps the machine, and goes on with what can be done at once; tells whether the input was taken.
    fn tell(&mut self, now: Now, input: Input<'_, S::Command>, effects: &mut Vec<Effect>) -> bool {
        let is_taken = self.step(now, input, effects).is_ok();
        self.go_on(now, effects);
        is_taken
    }

    fn go_on(&mut self, now: Now, effects: &mut Vec<Effect>) {
        loop {
            if self.council.has_more() {
                if self.step(now, Input::Tick, effects).is_err() {
                    return;
                }
            } else if let Some(digest) = self.wanted.pop() {
                self.bring_back(now, digest, effects);
            } else if !self.propose(now, effects) {
                return;
            }
        }
    }

    fn step(
        &mut self,
        now: Now,
        input: Input<'_, S::Command>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let mut out = Out::default();
        let is_taken = self.council.step(now, input, &mut out);
        effects.extend(out.events.into_iter().map(Effect::Event));
        is_taken?;
        for output in out.outputs {
            match output {
                Output::Pbft(output) => self.perform(output, effects),
                Output::Reply { client } => self.reply(client, effects),
                Output::Snapshot { index, stamp } => {
                    let mut bytes = Bytes(Vec::new());
                    if self.council.snapshot(&mut bytes).is_ok() {
                        let state = state_digest(&bytes.0);
                        let checkpoint = Checkpoint { index, state, stamp };
                        self.keep_state(checkpoint, bytes.0, effects);
                    }
                }
                Output::Payload { digest, .. } => self.wanted.push(digest),
                Output::Fetch(stable) => {
                    self.lacks_state = Some(stable.checkpoint);
                    self.ask_for_what_is_lacked(now, effects);
                }
            }
        }
        Ok(())
    }
}

/// Where a state is written before it is hashed.
struct Bytes(Vec<u8>);

impl quorate::codec::Sink for Bytes {
    fn put(&mut self, bytes: &[u8]) -> Result<(), quorate::codec::NoRoom> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
