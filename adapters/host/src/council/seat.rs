//! The machine, and what a host keeps beside it: signatures, the bytes that were signed, and states.

use super::store::{Entry, Proof, Task};
use super::wire::{Heard, Packet, Payload, Understood, understand};
use super::{Answered, Asked};
use crate::protocol::Service;
use crate::signing::{
    Accusation, Kept, Reply, Request, Signer, Vault, Verifier, payload_digest, state_digest,
};
use quorate::council::{Council, Input, Output};
use quorate::id::{ClientId, Digest, Members, Slot, View};
use quorate::machine::Machine;
use quorate::pbft::{self, Checkpoint, Message, Phase, Receipt, Vote, Write};
use quorate::time::{Instant, Now};
use quorate::{Event, Refused};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slotted;
use std::sync::Arc;

/// About how many bytes a request takes beside its command.
const ABOUT_EACH: usize = 128;

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
    /// The bytes of what the machine knows by digests.
    payloads: BTreeMap<Digest, Vec<u8>>,
    requests: BTreeMap<Digest, Request>,
    /// What each client asked last, if it was a read; and what it was last told.
    queries: BTreeMap<ClientId, (u64, S::Query)>,
    replies: BTreeMap<ClientId, Reply>,
    /// The newest state, durable or on its way there, for those who lack it.
    state: Option<(Checkpoint, Vec<u8>)>,
    /// A payload that the machine asked for.
    wanted: Option<Digest>,
    /// What is lacked, to be asked for again.
    lacks_payload: Option<Digest>,
    lacks_state: Option<Checkpoint>,
    asked_at: Instant,
    /// What happened inside, since it was last taken.
    pub events: Vec<Event>,
}

impl<S: Service> std::fmt::Debug for Seat<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({:?}, view {})", self.me, self.council.pbft().view())
    }
}

struct Out<'a> {
    outputs: Vec<Output>,
    events: &'a mut Vec<Event>,
}

impl quorate::Outbox<Output> for Out<'_> {
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
        payloads: BTreeMap<Digest, Vec<u8>>,
        state: Option<(Checkpoint, Vec<u8>)>,
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
            state,
            wanted: None,
            lacks_payload: None,
            lacks_state: None,
            asked_at: Instant::ORIGIN,
            events: Vec::new(),
        }
    }

    /// Says what a former life had begun, and takes the first step.
    pub fn wake(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.keep_own_change();
        self.tell(now, Input::Tick, effects);
        if let Some(new_view) = self.vault.new_view().cloned() {
            self.tell(now, Input::NewView(new_view.verified()), effects);
        }
        if let Some((checkpoint, _)) = self.state {
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
                self.lacks_payload == Some(digest)
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

    /// A member, or a client through a connection of its own, has been heard.
    pub fn hear(&mut self, now: Now, from: Slot, heard: Heard<S>, effects: &mut Vec<Effect>) {
        match heard {
            Heard::Message(message, payload) => {
                if self.vault.keep(&message) == Kept::Refused {
                    return;
                }
                let payload = payload.filter(|it| self.is_about(&message.what, it.digest));
                if let Some(payload) = &payload {
                    self.keep_payload(payload, effects);
                }
                let requests: Option<Vec<_>> =
                    payload.map(|it| it.requests.into_iter().map(|it| it.request).collect());
                let payload = requests.as_deref();
                self.tell(now, Input::Message { message: message.verified(), payload }, effects);
            }
            Heard::ViewChange(change) => {
                if self.vault.keep_view_change(&change) != Kept::Refused {
                    self.tell(now, Input::ViewChange(change.verified()), effects);
                }
            }
            Heard::NewView(new_view) => {
                if self.vault.keep_new_view(Arc::clone(&new_view)) != Kept::Refused {
                    self.tell(now, Input::NewView(new_view.verified()), effects);
                }
            }
            Heard::Stable(stable) => {
                let told = stable.verified();
                self.vault.keep_ahead(stable);
                self.tell(now, Input::Stable(told), effects);
            }
            Heard::Request(it) => self.request(now, *it, effects),
            Heard::Payload(payload) => {
                self.keep_payload(&payload, effects);
                if self.lacks_payload == Some(payload.digest) {
                    self.lacks_payload = None;
                }
                let requests: Vec<_> = payload.requests.into_iter().map(|it| it.request).collect();
                let input = Input::Payload { digest: payload.digest, requests: &requests };
                self.tell(now, input, effects);
            }
            Heard::NeedPayload(digest) => {
                if let Some(bytes) = self.payloads.get(&digest) {
                    let packet = Packet::Payload(bytes.clone());
                    effects.push(Effect::Send(Members::only(from), Arc::new(packet)));
                }
            }
            Heard::NeedState(checkpoint) => {
                if let Some((known, bytes)) = self.state.as_ref().filter(|it| it.0 == checkpoint) {
                    let packet = Packet::State(*known, bytes.clone());
                    effects.push(Effect::Send(Members::only(from), Arc::new(packet)));
                }
            }
            Heard::State(checkpoint, bytes) => {
                let input = Input::Restore { checkpoint, bytes: &bytes };
                if self.tell(now, input, effects) {
                    self.lacks_state = None;
                    effects.push(Effect::Disk(Task::State(checkpoint, bytes.clone())));
                    self.state = Some((checkpoint, bytes));
                }
            }
        }
    }

    fn is_about(&self, message: &Message, digest: Digest) -> bool {
        matches!(message, Message::Vote(vote) if vote.value.digest == digest)
    }

    /// Keeps the bytes of a payload; it is on its way to the disk before any vote for it.
    fn keep_payload(&mut self, payload: &Payload<S>, effects: &mut Vec<Effect>) {
        for it in &payload.requests {
            self.note_query(it);
        }
        if let Slotted::Vacant(place) = self.payloads.entry(payload.digest) {
            place.insert(payload.bytes.clone());
            effects.push(Effect::Disk(Task::write(&[Entry::Payload(payload.bytes.clone())])));
        }
    }

    fn note_query(&mut self, it: &Understood<S>) {
        let request = &it.request;
        if let Some(query) = &it.query {
            self.queries.insert(request.client, (request.sequence, query.clone()));
        }
    }

    fn request(&mut self, now: Now, it: Understood<S>, effects: &mut Vec<Effect>) {
        let (client, sequence) = (it.request.client, it.request.sequence);
        if let Ok(Asked::<S::Command, S::Query>::StaleRead(query)) =
            postcard::from_bytes(&it.signed.command)
        {
            return self.answer_stale(client, sequence, &query, effects);
        }
        if let Some(reply) = self.replies.get(&client).filter(|it| it.sequence == sequence) {
            effects.push(Effect::Reply(Box::new(reply.clone())));
            return;
        }
        self.note_query(&it);
        let input = Input::Request { digest: it.name, request: &it.request };
        if self.tell(now, input, effects) {
            self.requests.insert(it.name, it.signed);
            while self.propose(now, effects) {}
        }
    }

    fn answer_stale(
        &self,
        client: ClientId,
        sequence: u64,
        query: &S::Query,
        effects: &mut Vec<Effect>,
    ) {
        let answer = Answered::<S::Response, S::Answer>::Read(self.council.state().answer(query));
        let bytes = postcard::to_stdvec(&answer).unwrap_or_default();
        let at = self.council.at();
        let reply = self.signer.reply(client, sequence, at, &bytes, true);
        effects.extend(reply.filter(|_| self.council.is_sound()).map(Box::new).map(Effect::Reply));
    }

    /// Proposes what waits, if this member may; tells whether it has.
    fn propose(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        let (mut signed, mut requests, mut length) = (Vec::new(), Vec::new(), 0_usize);
        for (name, request) in self.council.to_propose() {
            let Some(it) = self.requests.get(&name) else { continue };
            length = length.saturating_add(it.command.len()).saturating_add(ABOUT_EACH);
            if length > crate::frame::MOST / 2 {
                break;
            }
            signed.push(it.clone());
            requests.push(request.clone());
        }
        let Ok(bytes) = postcard::to_stdvec(&signed) else { return false };
        if requests.is_empty() {
            return false;
        }
        let digest = payload_digest(&bytes);
        effects.push(Effect::Disk(Task::write(&[Entry::Payload(bytes.clone())])));
        self.payloads.insert(digest, bytes);
        self.step(now, Input::Propose { digest, requests: &requests }, effects).is_ok()
    }

    /// A payload that the machine lacks may be among those that a former life stored.
    fn bring_back(&mut self, now: Now, digest: Digest, effects: &mut Vec<Effect>) {
        let bytes = self.payloads.get(&digest).cloned();
        let payload = bytes.and_then(|bytes| understand::<S>(&self.verifier, bytes).ok());
        let Some(payload) = payload else {
            self.lacks_payload = Some(digest);
            return self.ask_for_what_is_lacked(now, effects);
        };
        payload.requests.iter().for_each(|it| self.note_query(it));
        let requests: Vec<_> = payload.requests.into_iter().map(|it| it.request).collect();
        // Refused only by a machine that has stopped.
        let _ = self.step(now, Input::Payload { digest, requests: &requests }, effects);
    }

    fn ask_for_what_is_lacked(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.asked_at = now.mono;
        let others = self.council.pbft().config().members.without(self.me);
        let payload = self.lacks_payload.map(Packet::NeedPayload);
        let state = self.lacks_state.map(Packet::NeedState);
        let asked = payload.into_iter().chain(state);
        effects.extend(asked.map(|packet| Effect::Send(others, Arc::new(packet))));
    }

    /// Steps the machine, and goes on with what can be done at once; tells whether the input was taken.
    fn tell(&mut self, now: Now, input: Input<'_, S::Command>, effects: &mut Vec<Effect>) -> bool {
        let is_taken = self.step(now, input, effects).is_ok();
        loop {
            if self.council.has_more() {
                if self.step(now, Input::Tick, effects).is_err() {
                    return is_taken;
                }
            } else if let Some(digest) = self.wanted.take() {
                self.bring_back(now, digest, effects);
            } else if !self.propose(now, effects) {
                return is_taken;
            }
        }
    }

    fn step(
        &mut self,
        now: Now,
        input: Input<'_, S::Command>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let mut out = Out { outputs: Vec::new(), events: &mut self.events };
        self.council.step(now, input, &mut out)?;
        let outputs = out.outputs;
        for output in outputs {
            match output {
                Output::Pbft(output) => self.perform(output, effects),
                Output::Reply { client } => self.reply(client, effects),
                Output::Snapshot { index, stamp } => {
                    let mut bytes = Bytes(Vec::new());
                    if self.council.snapshot(&mut bytes).is_ok() {
                        let state = state_digest(&bytes.0);
                        let checkpoint = Checkpoint { index, state, stamp };
                        effects.push(Effect::Disk(Task::State(checkpoint, bytes.0.clone())));
                        self.state = Some((checkpoint, bytes.0));
                    }
                }
                Output::Payload { digest, .. } => self.wanted = Some(digest),
                Output::Fetch(stable) => {
                    self.lacks_state = Some(stable.checkpoint);
                    self.ask_for_what_is_lacked(now, effects);
                }
            }
        }
        Ok(())
    }

    fn reply(&mut self, client: ClientId, effects: &mut Vec<Effect>) {
        let Some(last) = self.council.answer(client) else { return };
        let (sequence, at) = (last.sequence, last.at);
        let answer: Answered<S::Response, S::Answer> = match &last.response {
            Some(response) => Answered::Done(response.clone()),
            None => {
                // A read is answered once, where it stands in the order, and then repeated.
                let asked = self.queries.get(&client).filter(|it| it.0 == sequence);
                let Some((_, query)) = asked else { return };
                Answered::Read(self.council.state().answer(query))
            }
        };
        let Ok(bytes) = postcard::to_stdvec(&answer) else { return };
        if let Some(reply) = self.signer.reply(client, sequence, at, &bytes, false) {
            self.replies.insert(client, reply.clone());
            effects.push(Effect::Reply(Box::new(reply)));
        }
    }

    /// Does what the protocol wants done.
    fn perform(&mut self, output: pbft::Output, effects: &mut Vec<Effect>) {
        let send = |to, packet| Effect::Send(to, Arc::new(packet));
        match output {
            pbft::Output::Persist { receipt, write } => {
                if let Write::Entered { view, .. } = write {
                    self.begin(view);
                }
                let proof = self.proof_of(&write);
                let is_stable = matches!(write, Write::Stable(_));
                let task = if is_stable {
                    self.let_go();
                    Task::rebase(receipt, &self.image())
                } else {
                    Task::write_for(receipt, &[Entry::Write(write, proof)])
                };
                effects.push(Effect::Disk(task));
            }
            pbft::Output::Send { to, message } => {
                let signed = self.signer.message(message);
                // What this member says is needed for its own certificates.
                let _ = self.vault.keep(&signed);
                let payload = match message {
                    Message::Vote(Vote { phase: Phase::Prepare, value, .. })
                        if self.council.pbft().primary() == self.me =>
                    {
                        self.payloads.get(&value.digest).cloned()
                    }
                    _ => None,
                };
                effects.push(send(to, Packet::Message(*signed, payload)));
            }
            pbft::Output::SendViewChange { to } => {
                if let Some(own) = self.vault.view_change(self.me) {
                    effects.push(send(to, Packet::ViewChange(Box::new((***own).clone()))));
                }
            }
            pbft::Output::SendNewView { to } => {
                if let Some(new_view) = self.vault.new_view() {
                    effects.push(send(to, Packet::NewView(Box::new((***new_view).clone()))));
                }
            }
            pbft::Output::SendStable { to, .. } => {
                if let Some(stable) = self.vault.stable() {
                    effects.push(send(to, Packet::Stable(stable.clone())));
                }
            }
            pbft::Output::Forward { request, to } => {
                if let Some(signed) = self.requests.get(&request) {
                    let packet = Packet::Request(Box::new(signed.clone()));
                    effects.push(send(Members::only(to), packet));
                }
            }
            pbft::Output::Want { value, .. } => self.wanted = Some(value.digest),
            pbft::Output::Accuse(evidence) => {
                let accusation = self.vault.accusation(&evidence).map(Box::new);
                effects.extend(accusation.map(Effect::Accuse));
            }
            pbft::Output::Left { next } => {
                self.keep_own_change();
                self.vault.enter(next);
                effects.push(Effect::Told(output));
            }
            pbft::Output::Entered { view, .. } => {
                self.vault.enter(view);
                effects.push(Effect::Told(output));
            }
            // Both are this floor's, and come as its own outputs.
            pbft::Output::Committed { .. } | pbft::Output::Fetch(_) => {}
            pbft::Output::Stable(_) | pbft::Output::Diverged { .. } => {
                effects.push(Effect::Told(output));
            }
        }
    }
}

impl<S: Service> Seat<S> {
    /// What this member said when it left the last view, signed, with what stands behind it.
    fn keep_own_change(&mut self) {
        let pbft = self.council.pbft();
        let Some(own) = pbft.view_change().filter(|it| it.view == pbft.view()) else { return };
        if let Some(proofs) = self.vault.proofs(own) {
            let signed = self.signer.view_change(own.clone(), proofs);
            // The machine makes one for each view, always the same.
            let _ = self.vault.keep_view_change(&Arc::new(signed));
        }
    }

    /// What a view begins with that this member begins, signed.
    fn begin(&mut self, view: View) {
        let pbft = self.council.pbft();
        if pbft.primary_of(view) != self.me {
            return;
        }
        let chosen = pbft.chosen().filter_map(|(slot, _)| self.vault.view_change(*slot));
        let chosen: Vec<_> = chosen.map(|it| &**it).collect();
        if let Some(signed) = self.signer.new_view(view, chosen) {
            // It is the newest: nobody else begins this view.
            let _ = self.vault.keep_new_view(Arc::new(signed));
        }
    }

    /// The signatures that are to be stored with a write.
    fn proof_of(&mut self, write: &Write) -> Proof {
        match write {
            Write::Prepared(prepared) => {
                self.vault.hold(prepared).map_or(Proof::None, |it| Proof::Some(it.certificate))
            }
            Write::Stable(stable) => {
                self.vault.hold_stable(stable).map_or(Proof::None, |it| Proof::Some(it.certificate))
            }
            Write::Entered { view, .. } => {
                let new_view = self.vault.new_view().filter(|it| it.view == *view);
                new_view.map_or(Proof::None, |it| Proof::NewView(Box::new((***it).clone())))
            }
            Write::Accepted { .. } | Write::Left { .. } => Proof::None,
        }
    }

    /// A checkpoint is stable: what was needed only below it may go.
    fn let_go(&mut self) {
        let council = &self.council;
        let is_needed = |digest: &Digest| {
            council.payload(*digest).is_some() || council.pbft().works_on(*digest)
        };
        self.payloads.retain(|digest, _| is_needed(digest));
        self.requests.retain(|digest, _| council.is_waiting(*digest));
    }

    /// All that must be on the disk.
    fn image(&mut self) -> Vec<Entry> {
        let writes: Vec<_> = self.council.pbft().image().collect();
        let payloads = self.payloads.values().cloned().map(Entry::Payload);
        let mut image: Vec<_> = payloads.collect();
        for write in writes {
            let proof = self.proof_of(&write);
            image.push(Entry::Write(write, proof));
        }
        image
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
