//! What members of a Byzantine group send each other, and how it becomes what the machine is told.

use super::Asked;
use crate::protocol::Service;
use crate::signing::{
    Checked, Rejected, Request, Signed, SignedNewView, SignedStable, SignedViewChange, Verifier,
    payload_digest, state_digest,
};
use quorate::council::{self, Work};
use quorate::id::Digest;
use quorate::pbft::{Checkpoint, Message};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What travels between members.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Packet {
    /// A small message; with a proposal, the payload that it is about.
    Message(Signed<Message>, Option<Vec<u8>>),
    /// A member has left a view.
    ViewChange(Box<SignedViewChange>),
    /// A view begins.
    NewView(Box<SignedNewView>),
    /// A checkpoint is proved.
    Stable(SignedStable),
    /// A client's request, passed on.
    Request(Box<Request>),
    /// A payload is asked for.
    NeedPayload(Digest),
    /// A payload.
    Payload(Vec<u8>),
    /// A state is asked for.
    NeedState(Checkpoint),
    /// A state.
    State(Checkpoint, Vec<u8>),
}

/// A client's request that was checked and understood.
pub struct Understood<S: Service> {
    /// What the machine knows it by.
    pub name: Digest,
    /// As it was signed.
    pub signed: Request,
    /// As the machine is told.
    pub request: council::Request<S::Command>,
    /// What is asked, if it is a read.
    pub query: Option<S::Query>,
}

/// A payload that was checked and understood.
pub struct Payload<S: Service> {
    /// Its digest.
    pub digest: Digest,
    /// As it travels and is stored.
    pub bytes: Vec<u8>,
    /// The requests in it.
    pub requests: Vec<Understood<S>>,
}

/// What came in, checked.
pub enum Heard<S: Service> {
    /// A message, with a payload that could be checked.
    Message(Checked<Signed<Message>>, Option<Payload<S>>),
    /// A view change.
    ViewChange(Arc<Checked<SignedViewChange>>),
    /// What a view begins with.
    NewView(Arc<Checked<SignedNewView>>),
    /// The proof of a checkpoint.
    Stable(Checked<SignedStable>),
    /// A client's request.
    Request(Box<Understood<S>>),
    /// A payload.
    Payload(Payload<S>),
    /// A payload is asked for.
    NeedPayload(Digest),
    /// A state is asked for.
    NeedState(Checkpoint),
    /// A state, whose digest is that of the checkpoint.
    State(Checkpoint, Vec<u8>),
}

/// Checks and understands what came in; on any thread. The machine was asked whether it wants it.
///
/// # Errors
/// [`Rejected`].
pub fn check<S: Service>(verifier: &Verifier, packet: Packet) -> Result<Heard<S>, Rejected> {
    Ok(match packet {
        Packet::Message(signed, payload) => {
            let message = verifier.message(signed, true)?;
            let payload = payload.and_then(|bytes| understand(verifier, bytes).ok());
            Heard::Message(message, payload)
        }
        Packet::ViewChange(it) => Heard::ViewChange(Arc::new(verifier.view_change(*it, true)?)),
        Packet::NewView(it) => Heard::NewView(Arc::new(verifier.new_view(*it, true)?)),
        Packet::Stable(it) => Heard::Stable(verifier.stable(it, true)?),
        Packet::Request(it) => Heard::Request(Box::new(request(verifier, *it)?)),
        Packet::Payload(bytes) => Heard::Payload(understand(verifier, bytes)?),
        Packet::NeedPayload(digest) => Heard::NeedPayload(digest),
        Packet::NeedState(checkpoint) => Heard::NeedState(checkpoint),
        Packet::State(checkpoint, bytes) => {
            if state_digest(&bytes) != checkpoint.state {
                return Err(Rejected::Unsound);
            }
            Heard::State(checkpoint, bytes)
        }
    })
}

/// Checks a client's signature, and reads what it asks.
///
/// # Errors
/// [`Rejected`].
pub fn request<S: Service>(
    verifier: &Verifier,
    signed: Request,
) -> Result<Understood<S>, Rejected> {
    let signed = (*verifier.request(signed, true)?).clone();
    let asked: Asked<S::Command, S::Query> =
        postcard::from_bytes(&signed.command).map_err(|_| Rejected::Unsound)?;
    let (work, query) = match asked {
        Asked::Command(command) => (Work::Command(command), None),
        Asked::Read(query) => (Work::Read, Some(query)),
        Asked::StaleRead(query) => (Work::Read, Some(query)),
    };
    let request = council::Request { client: signed.client, sequence: signed.sequence, work };
    Ok(Understood { name: verifier.name_of(&signed), signed, request, query })
}

/// Checks a payload: every request in it is its client's.
pub(super) fn understand<S: Service>(
    verifier: &Verifier,
    bytes: Vec<u8>,
) -> Result<Payload<S>, Rejected> {
    let signed: Vec<Request> = postcard::from_bytes(&bytes).map_err(|_| Rejected::Unsound)?;
    let most = quorate::limits::MOST.batch;
    if signed.is_empty() || signed.len() > most {
        return Err(Rejected::Unsound);
    }
    let requests = signed.into_iter().map(|it| request(verifier, it));
    let requests = requests.collect::<Result<_, _>>()?;
    Ok(Payload { digest: payload_digest(&bytes), bytes, requests })
}
