//! The machine, and what a host keeps beside it: signatures, the bytes that were signed, and states.

use super::store::{Entry, Proof, Task};
use super::wire::{Heard, Packet, Payload, Understood, understand};
use super::{Answered, Asked};
use crate::protocol::Service;
use crate::signing::{
    Accusation, Kept, Reply, Request, Signer, Vault, Verifier, payload_digest, state_digest,
};
use quorate::council::{Council, Input, Output};
use quorate::id::{ClientId, Digest, Index, Members, Slot, View};
use quorate::limits::SLOTS;
use quorate::machine::Machine;
use quorate::pbft::{self, Checkpoint, Message, Phase, Receipt, Vote, Write};
use quorate::time::{Instant, Now};
use quorate::{Event, Refused};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// About how many bytes a request takes beside its command.
const ABOUT_EACH: usize = 128;

/// Payloads held beyond those that the machine works on: they were voted for in views that were left, and
/// may be claimed again.
const MOST_PAYLOADS: usize = 4 * SLOTS;

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

    /// A member, or a client through a connection of its own, has been heard.
    pub fn hear(&mut self, now: Now, from: Slot, heard: Heard<S>, effects: &mut Vec<Effect>) {
        match heard {
            Heard::Message(message, payload) => {
                if self.vault.keep(&message) == Kept::Refused {
                    return;
                }
                let payload = payload.filter(|it| self.is_proposed(from, &message.what, it.digest));
                self.message(now, message.verified(), payload, effects);
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
            Heard::Payload(payload) => self.payload(now, payload, effects),
            Heard::NeedPayload(digest) => {
                if let Some((_, bytes)) = self.payloads.get(&digest) {
                    let packet = Packet::Payload(bytes.clone());
                    effects.push(Effect::Send(Members::only(from), Arc::new(packet)));
                }
            }
            Heard::NeedState(checkpoint) => self.serve(now, from, checkpoint, effects),
            Heard::State(checkpoint, bytes) => {
                let input = Input::Restore { checkpoint, bytes: &bytes };
                if self.tell(now, input, effects) {
                    self.lacks_state = None;
                    self.keep_state(checkpoint, bytes, effects);
                }
            }
        }
    }

    /// Whether a payload is that of a proposal which the machine may take. Nobody else's is kept.
    fn is_proposed(&self, from: Slot, message: &Message, digest: Digest) -> bool {
        let pbft = self.council.pbft();
        let Message::Vote(Vote { phase: Phase::Prepare, view, index, value }) = *message else {
            return false;
        };
        (from, view) == (pbft.primary(), pbft.view())
            && value.digest == digest
            && pbft.is_in_window(index)
    }

    /// A message, and the payload of what it proposes, which is on its way to the disk before any vote for
    /// it.
    fn message(
        &mut self,
        now: Now,
        message: pbft::Verified<Message>,
        payload: Option<Payload<S>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some((payload, at)) = payload.zip(index_of(message.message())) else {
            self.tell(now, Input::Message { message, payload: None }, effects);
            return;
        };
        let Payload { digest, bytes, requests } = payload;
        requests.iter().for_each(|it| self.note_query(it));
        let requests: Vec<_> = requests.into_iter().map(|it| it.request).collect();
        let is_new = self.hold(digest, at, &bytes);
        let mark = effects.len();
        // Refused only by a machine that has stopped.
        let _ = self.step(now, Input::Message { message, payload: Some(&requests) }, effects);
        if is_new && self.council.pbft().works_on(digest) {
            effects.insert(mark, Effect::Disk(Task::write(&[Entry::Payload(at, bytes)])));
        } else if is_new {
            self.payloads.remove(&digest);
        }
        if self.council.payload(digest).is_some() {
            self.lacks.remove(&digest);
        }
        self.go_on(now, effects);
    }

    /// A payload that was asked for.
    fn payload(&mut self, now: Now, payload: Payload<S>, effects: &mut Vec<Effect>) {
        let Payload { digest, bytes, requests } = payload;
        let Some(at) = self.council.pbft().position_of(digest) else { return };
        requests.iter().for_each(|it| self.note_query(it));
        self.lacks.remove(&digest);
        if self.hold(digest, at, &bytes) {
            effects.push(Effect::Disk(Task::write(&[Entry::Payload(at, bytes)])));
        }
        let requests: Vec<_> = requests.into_iter().map(|it| it.request).collect();
        self.tell(now, Input::Payload { digest, requests: &requests }, effects);
    }

    /// Holds the bytes of a payload; tells whether it did not before.
    fn hold(&mut self, digest: Digest, at: Index, bytes: &[u8]) -> bool {
        if let Some((known, _)) = self.payloads.get_mut(&digest) {
            *known = (*known).max(at);
            return false;
        }
        let pbft = self.council.pbft();
        if self.payloads.len() >= MOST_PAYLOADS {
            self.payloads.retain(|digest, _| pbft.works_on(*digest));
        }
        self.payloads.insert(digest, (at, bytes.to_vec()));
        true
    }

    /// Sends a state to a member that lacks it, now and then: it may be large.
    fn serve(&mut self, now: Now, to: Slot, it: Checkpoint, effects: &mut Vec<Effect>) {
        let config = self.council.pbft().config();
        let (members, pause) = (config.members, config.resend.divided(2));
        let is_soon = self.served.get(&to).is_some_and(|last| now.mono < last.after(pause));
        let state = self.states.get(&it.index).filter(|known| known.0 == it);
        if let Some((_, bytes)) = state.filter(|_| members.contains(to) && !is_soon) {
            let packet = Packet::State(it, bytes.clone());
            effects.push(Effect::Send(Members::only(to), Arc::new(packet)));
            self.served.insert(to, now.mono);
        }
    }

    /// Keeps a state here and on the disk. Whoever lacks the stable one must find it somewhere, for the
    /// window may not move before it does.
    fn keep_state(&mut self, checkpoint: Checkpoint, bytes: Vec<u8>, effects: &mut Vec<Effect>) {
        let from = self.council.pbft().stable().checkpoint.index;
        effects.push(Effect::Disk(Task::State { checkpoint, bytes: bytes.clone(), from }));
        self.states.insert(checkpoint.index, (checkpoint, bytes));
    }

    fn note_query(&mut self, it: &Understood<S>) {
        let request = &it.request;
        // A liar may bring up what was asked long ago.
        let known = self.queries.get(&request.client);
        let is_newer = known.is_none_or(|known| known.0 < request.sequence);
        if let Some(query) = it.query.as_ref().filter(|_| is_newer) {
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
        let is_taken = self.step(now, input, effects).is_ok();
        if is_taken && self.council.is_waiting(it.name) {
            self.requests.insert(client, (it.name, it.signed));
        }
        self.go_on(now, effects);
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
            let known = self.requests.get(&request.client).filter(|it| it.0 == name);
            let Some((_, it)) = known else { continue };
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
        let (digest, at) = (payload_digest(&bytes), self.council.pbft().proposed().next());
        let is_new = self.hold(digest, at, &bytes);
        let mark = effects.len();
        let is_taken = self.step(now, Input::Propose { digest, requests: &requests }, effects);
        if is_new && is_taken.is_ok() {
            effects.insert(mark, Effect::Disk(Task::write(&[Entry::Payload(at, bytes)])));
        } else if is_new {
            // What is refused is proposed again, and must not fill the disk.
            self.payloads.remove(&digest);
        }
        is_taken.is_ok()
    }

    /// A payload that the machine lacks may be among those that a former life stored.
    fn bring_back(&mut self, now: Now, digest: Digest, effects: &mut Vec<Effect>) {
        let bytes = self.payloads.get(&digest).cloned();
        let payload = bytes.and_then(|(_, bytes)| understand::<S>(&self.verifier, bytes).ok());
        let Some(payload) = payload else {
            self.lacks.insert(digest);
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
        let council = &self.council;
        let is_lacked =
            |it: &Digest| council.payload(*it).is_none() && council.pbft().works_on(*it);
        self.lacks.retain(is_lacked);
        let payloads = self.lacks.iter().copied().map(Packet::NeedPayload);
        let asked = payloads.chain(self.lacks_state.map(Packet::NeedState));
        effects.extend(asked.map(|packet| Effect::Send(others, Arc::new(packet))));
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
                        self.payloads.get(&value.digest).map(|it| it.1.clone())
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
                if let Some((_, signed)) = self.requests.values().find(|it| it.0 == request) {
                    let packet = Packet::Request(Box::new(signed.clone()));
                    effects.push(send(Members::only(to), packet));
                }
            }
            pbft::Output::Want { value, .. } => self.wanted.push(value.digest),
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
        let low = self.council.pbft().stable().checkpoint.index;
        // What was voted for in a view that was left may be claimed by somebody, and be nowhere else.
        self.payloads.retain(|_, (at, _)| *at > low);
        self.requests.retain(|_, (name, _)| self.council.is_waiting(*name));
        self.states = self.states.split_off(&low);
    }

    /// All that must be on the disk.
    fn image(&mut self) -> Vec<Entry> {
        let writes: Vec<_> = self.council.pbft().image().collect();
        let payloads = self.payloads.values().cloned();
        let mut image: Vec<_> = payloads.map(|(at, bytes)| Entry::Payload(at, bytes)).collect();
        for write in writes {
            let proof = self.proof_of(&write);
            image.push(Entry::Write(write, proof));
        }
        image
    }
}

/// The position that a vote is about.
const fn index_of(message: &Message) -> Option<Index> {
    match message {
        Message::Vote(vote) => Some(vote.index),
        Message::Checkpoint(_) | Message::Status(_) => None,
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
