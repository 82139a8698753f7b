//! A member that lies, with the right key: for some time it keeps to the protocol, then it tells one member
//! one thing and the others another, tells one of them both, and falls silent. As the primary it proposes
//! so; if it is not (on a machine so busy that its view was left before), it votes so.

use crate::verdict::Failure;
use quorate::id::{Members, Slot};
use quorate::pbft::{Message, Phase, Value, Vote};
use quorate_host::council::Packet;
use quorate_host::council::config::Config;
use quorate_host::signing::{Keys, Request, Signer, payload_digest};
use quorate_std::council::Tongue;
use std::sync::Arc;

/// What it says, after so many votes that were in order.
pub(super) fn tongue(config: &Config, mut after: u32) -> Result<Tongue, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let keys = Keys::open(&config.data.join("key")).map_err(|error| usage(&error))?;
    let roll = config.roll().map_err(|error| usage(&error))?;
    let scope = config.scope(&roll);
    let signer = Signer::new(keys, &roll, scope, config.me).map_err(|error| usage(&error))?;
    let mut is_silent = false;
    Ok(Box::new(move |to, packet| {
        if is_silent {
            return Vec::new();
        }
        let Some(other) = other_than(&packet, &signer) else { return vec![(to, packet)] };
        if after > 0 {
            after -= 1;
            return vec![(to, packet)];
        }
        is_silent = true;
        let other = Arc::new(other);
        let first: Members = to.iter().take(1).collect();
        let both: Members = to.iter().skip(1).take(1).collect();
        let rest: Vec<Slot> = to.iter().skip(1).collect();
        let rest: Members = rest.into_iter().collect();
        vec![(first, Arc::clone(&packet)), (rest, other), (both, packet)]
    }))
}

/// Another vote for the same position; of a proposal, for the same requests with the first of them twice.
fn other_than(packet: &Packet, signer: &Signer) -> Option<Packet> {
    let Packet::Message(signed, payload) = packet else { return None };
    let Message::Vote(vote) = signed.what else { return None };
    if vote.phase != Phase::Prepare {
        return None;
    }
    let twice = |payload: &Vec<u8>| {
        let mut requests = Request::read_all(payload)?;
        requests.push(requests.first()?.clone());
        Request::write_all(&requests)
    };
    let payload = payload.as_ref().and_then(twice);
    let digest = payload_digest(payload.as_deref().unwrap_or_default());
    let value = Value { digest, ..vote.value };
    let signed = signer.message(Message::Vote(Vote { value, ..vote }));
    Some(Packet::Message(*signed, payload))
}
