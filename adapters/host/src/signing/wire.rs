//! What travels: statements with their signatures, and the signatures of those whom they name.
//!
//! Every list ends at its limit while it is read, whatever length it claims. Who stands behind a
//! certificate is said once, by the set of its signers in the statement itself: its signatures follow in
//! the order of that set, one for each, and their number is only compared with it.

use super::hash::{command_digest, result_digest, signed_bytes};
use super::keys::Keys;
use crate::frame::{self, MOST_REQUEST};
use quorate::bounded::List;
use quorate::hlc::Stamp;
use quorate::id::{ClientId, EntryId, Members, Slot, View};
use quorate::limits::{MOST, SLOTS};
use quorate::pbft::statement::CLIENT;
use quorate::pbft::{NewView, Prepared, Scope, Stable, Statement, ViewChange};
use quorate::state_machine::Position;
use serde::{Deserialize, Serialize};

/// The most members.
pub(super) const MEMBERS: usize = MOST.members;

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Signature {
    r: [u8; 32],
    s: [u8; 32],
}

impl Signature {
    /// The signature of those bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut signature = Self { r: [0; 32], s: [0; 32] };
        let halves = signature.r.iter_mut().chain(&mut signature.s);
        halves.zip(bytes).for_each(|(to, from)| *to = *from);
        signature
    }

    /// Its two halves.
    #[must_use]
    pub const fn halves(&self) -> (&[u8; 32], &[u8; 32]) {
        (&self.r, &self.s)
    }
}

/// What a member says, and its signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Signed<T> {
    /// Who says it.
    pub from: Slot,
    /// What.
    pub what: T,
    /// Its signature.
    pub signature: Signature,
}

/// The signatures of those whom a statement names, in order of their slots.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Certificate {
    /// One for each.
    pub signatures: List<Signature, MEMBERS>,
}

impl Certificate {
    /// Each signer with its signature, if there is one for each, and none over.
    #[must_use]
    pub fn of(&self, signers: Members) -> Option<impl Iterator<Item = (Slot, Signature)>> {
        let is_whole = self.signatures.len() == signers.len();
        is_whole.then(|| signers.iter().zip(self.signatures.iter().copied()))
    }
}

/// The proof that a value was prepared: what a member claims in its view changes, and writes to its disk.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SignedPrepared {
    /// What was prepared, and who voted for it.
    pub prepared: Prepared,
    /// Their signatures.
    pub certificate: Certificate,
}

/// The proof of a checkpoint; whoever sends it need not be believed.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SignedStable {
    /// The checkpoint, and who signed it.
    pub stable: Stable,
    /// Their signatures.
    pub certificate: Certificate,
}

/// The signatures of those whom a view change names.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Proofs {
    /// Of the checkpoint.
    pub stable: Certificate,
    /// Of each claim, in their order.
    pub claims: List<Certificate, SLOTS>,
}

/// A view change with everything that makes it believable.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SignedViewChange {
    /// The view change.
    pub change: Signed<ViewChange>,
    /// What stands behind it.
    pub proofs: Proofs,
}

/// What a view begins with. Its primary signs the digests of what the view changes say; which
/// signatures prove them is left open, for more than one set of them may.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SignedNewView {
    /// The primary.
    pub from: Slot,
    /// The view.
    pub view: View,
    /// The view changes, each with its sender.
    pub changes: List<(Slot, ViewChange), MEMBERS>,
    /// The senders' signatures, and what stands behind each view change, in the same order.
    pub proofs: List<(Signature, Proofs), MEMBERS>,
    /// The primary's signature.
    pub signature: Signature,
}

impl SignedNewView {
    /// What it says, for the machine.
    #[must_use]
    pub fn said(&self) -> NewView<'_> {
        NewView { view: self.view, changes: &self.changes }
    }
}

/// A client's request.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The client.
    pub client: ClientId,
    /// Its number among the client's requests.
    pub sequence: u64,
    /// What is asked for.
    pub command: List<u8, MOST_REQUEST>,
    /// The client's signature.
    pub signature: Signature,
}

impl Request {
    /// Signs a request, as its client. There is none whose command is longer than [`MOST_REQUEST`].
    #[must_use]
    pub fn sign(
        keys: &Keys,
        scope: &Scope,
        client: ClientId,
        sequence: u64,
        command: &[u8],
    ) -> Option<Self> {
        let mut bytes = List::new();
        bytes.extend(command).ok()?;
        let said = Statement::Request { client, sequence, command: command_digest(command) };
        let signature = keys.sign(&signed_bytes(&said, scope, CLIENT));
        Some(Self { client, sequence, command: bytes, signature })
    }

    /// The requests of a payload, unchecked; none if it is no payload.
    #[must_use]
    pub fn read_all(payload: &[u8]) -> Option<Vec<Self>> {
        postcard::from_bytes(payload).ok()
    }

    /// The payload of requests that are ordered together.
    #[must_use]
    pub fn write_all(requests: &[Self]) -> Option<Vec<u8>> {
        postcard::to_stdvec(requests).ok()
    }

    /// What the client signs.
    #[must_use]
    pub fn statement(&self) -> Statement<'static> {
        let Self { client, sequence, .. } = *self;
        Statement::Request { client, sequence, command: command_digest(&self.command) }
    }
}

/// A member's answer to a client.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// The member.
    pub from: Slot,
    /// The client.
    pub client: ClientId,
    /// The request that is answered.
    pub sequence: u64,
    /// Where it was executed.
    pub entry: EntryId,
    /// When.
    pub stamp: Stamp,
    /// The answer.
    pub result: List<u8, { frame::MOST }>,
    /// The answer is from the state as it was, and not ordered.
    pub is_stale: bool,
    /// The member's signature.
    pub signature: Signature,
}

impl Reply {
    /// What the member signs.
    #[must_use]
    pub fn statement(&self) -> Statement<'static> {
        let Self { client, sequence, entry, stamp, is_stale, .. } = *self;
        let (at, result) = (Position { entry, stamp }, result_digest(&self.result));
        Statement::Reply { client, sequence, at, result, is_stale }
    }
}
