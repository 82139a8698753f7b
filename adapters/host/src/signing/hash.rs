//! Digests: BLAKE3, with a context of its own for each thing that is digested.

use quorate::codec::{NoRoom, Sink};
use quorate::id::{Digest, Slot};
use quorate::pbft::{Scope, Statement};

/// What a digest is of: bytes of one context have no digest of another.
pub(super) mod context {
    pub(in super::super) const COMMAND: &str = "quorate 2026-11-24 pbft command";
    pub(in super::super) const RESULT: &str = "quorate 2026-11-24 pbft result";
    pub(in super::super) const PAYLOAD: &str = "quorate 2026-11-24 pbft payload";
    pub(in super::super) const STATE: &str = "quorate 2026-11-24 pbft state";
    pub(in super::super) const STATEMENT: &str = "quorate 2026-11-24 pbft signed statement";
    pub(in super::super) const CONFIGURATION: &str = "quorate 2026-11-24 pbft configuration";
    pub(in super::super) const SIGNATURE: &str = "quorate 2026-11-24 pbft checked signature";
}

/// The digest of a client's command.
#[must_use]
pub fn command_digest(command: &[u8]) -> Digest {
    digest(context::COMMAND, &[command])
}

/// The digest of an answer to a client.
#[must_use]
pub fn result_digest(result: &[u8]) -> Digest {
    digest(context::RESULT, &[result])
}

/// The digest of a payload: requests that are ordered together, as they travel.
#[must_use]
pub fn payload_digest(payload: &[u8]) -> Digest {
    digest(context::PAYLOAD, &[payload])
}

/// The digest of a state.
#[must_use]
pub fn state_digest(state: &[u8]) -> Digest {
    digest(context::STATE, &[state])
}

/// The digest of what was signed: whoever else signs it, and with whatever signature, it is the same.
#[must_use]
pub fn statement_digest(statement: &Statement<'_>, scope: &Scope, from: Slot) -> Digest {
    digest(context::STATEMENT, &[&signed_bytes(statement, scope, from)])
}

pub(super) fn digest(context: &str, parts: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    Digest::new(*hasher.finalize().as_bytes())
}

/// The bytes that are signed.
pub(super) fn signed_bytes(statement: &Statement<'_>, scope: &Scope, from: Slot) -> Vec<u8> {
    let mut bytes = Bytes(Vec::with_capacity(192));
    // A vector has room.
    let _ = statement.signed_bytes(scope, from, &mut bytes);
    bytes.0
}

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
