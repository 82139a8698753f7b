//! What comes in: what others say, what clients ask, and the bytes that the machine knows by digests.

use super::{Effect, Seat};
use crate::council::store::{Entry, Task};
use crate::council::wire::{Heard, Packet, Payload, Understood, understand};
use crate::council::{Answered, Asked};
use crate::protocol::Service;
use crate::signing::{Kept, payload_digest};
use quorate::council::Input;
use quorate::id::{ClientId, Digest, Index, Members, Slot};
use quorate::limits::SLOTS;
use quorate::pbft::{self, Checkpoint, Message, Phase, Vote};
use quorate::time::Now;
use std::sync::Arc;

/// About how many bytes a request takes beside its command.
const ABOUT_EACH: usize = 128;

/// Payloads held beyond those that the machine works on: they were voted for in views that were left, and
/// may be claimed again.
const MOST_PAYLOADS: usize = 4 * SLOTS;

impl<S: Service> Seat<S> {
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
    pub(super) fn propose(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
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
    pub(super) fn bring_back(&mut self, now: Now, digest: Digest, effects: &mut Vec<Effect>) {
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

    pub(super) fn ask_for_what_is_lacked(&mut self, now: Now, effects: &mut Vec<Effect>) {
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
}

/// The position that a vote is about.
const fn index_of(message: &Message) -> Option<Index> {
    match message {
        Message::Vote(vote) => Some(vote.index),
        Message::Checkpoint(_) | Message::Status(_) => None,
    }
}
