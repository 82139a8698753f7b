//! What goes out: the machine's statements, signed, its writes with the signatures behind them, and answers.

use super::{Effect, Seat};
use crate::council::Answered;
use crate::council::store::{Entry, Proof, Task};
use crate::council::wire::Packet;
use crate::protocol::Service;
use quorate::id::{ClientId, Members, View};
use quorate::pbft::{self, Checkpoint, Message, Phase, Vote, Write};
use std::sync::Arc;

impl<S: Service> Seat<S> {
    pub(super) fn reply(&mut self, client: ClientId, effects: &mut Vec<Effect>) {
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
    pub(super) fn perform(&mut self, output: pbft::Output, effects: &mut Vec<Effect>) {
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

    /// What this member said when it left the last view, signed, with what stands behind it.
    pub(super) fn keep_own_change(&mut self) {
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

    /// Keeps a state here and on the disk. Whoever lacks the stable one must find it somewhere, for the
    /// window may not move before it does.
    pub(super) fn keep_state(
        &mut self,
        checkpoint: Checkpoint,
        bytes: Vec<u8>,
        effects: &mut Vec<Effect>,
    ) {
        let from = self.council.pbft().stable().checkpoint.index;
        effects.push(Effect::Disk(Task::State { checkpoint, bytes: bytes.clone(), from }));
        self.states.insert(checkpoint.index, (checkpoint, bytes));
    }
}
