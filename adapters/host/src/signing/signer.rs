//! What this member says, signed.

use super::checked::Checked;
use super::hash::{result_digest, signed_bytes};
use super::keys::Keys;
use super::roll::Roll;
use super::verifier::named;
use super::wire::{Proofs, Reply, Signature, Signed, SignedNewView, SignedViewChange};
use quorate::bounded::List;
use quorate::id::{ClientId, Slot, View};
use quorate::pbft::{Message, Scope, Statement, ViewChange};
use quorate::state_machine::Position;
use std::fmt;

/// A member that signs.
#[derive(Debug)]
pub struct Signer {
    keys: Keys,
    scope: Scope,
    me: Slot,
}

/// The roll has another key for this member than the one in its folder: with it, whatever the member
/// says is taken for a forgery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotMine;

impl fmt::Display for NotMine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key in this node's folder is not the one that its group knows it by")
    }
}

impl std::error::Error for NotMine {}

impl Signer {
    /// The member of that slot.
    ///
    /// # Errors
    /// [`NotMine`].
    pub fn new(keys: Keys, roll: &Roll, scope: Scope, me: Slot) -> Result<Self, NotMine> {
        let is_mine = |known: &[u8; 32]| known == keys.public().bytes();
        match roll.member(me) {
            Some(known) if is_mine(known.as_bytes()) => Ok(Self { keys, scope, me }),
            _ => Err(NotMine),
        }
    }

    fn sign(&self, statement: &Statement<'_>) -> Signature {
        self.keys.sign(&signed_bytes(statement, &self.scope, self.me))
    }

    /// Signs a message.
    #[must_use]
    pub fn message(&self, what: Message) -> Checked<Signed<Message>> {
        Checked(Signed { from: self.me, what, signature: self.sign(&what.into()) })
    }

    /// Signs a view change, whose proofs a [`Vault`](super::Vault) has.
    #[must_use]
    pub fn view_change(&self, what: ViewChange, proofs: Proofs) -> Checked<SignedViewChange> {
        let signature = self.sign(&Statement::ViewChange(&what));
        Checked(SignedViewChange { change: Signed { from: self.me, what, signature }, proofs })
    }

    /// Signs what a view begins with. There is none of more view changes than there can be members.
    #[must_use]
    pub fn new_view<'a>(
        &self,
        view: View,
        changes: impl IntoIterator<Item = &'a Checked<SignedViewChange>>,
    ) -> Option<Checked<SignedNewView>> {
        let (mut bodies, mut proofs) = (List::new(), List::new());
        for it in changes {
            bodies.push((it.change.from, it.change.what.clone())).ok()?;
            proofs.push((it.change.signature, it.proofs.clone())).ok()?;
        }
        let named = named(&bodies, &self.scope);
        let signature = self.sign(&Statement::NewView { view, changes: &named });
        Some(Checked(SignedNewView { from: self.me, view, changes: bodies, proofs, signature }))
    }

    /// Signs an answer to a client. There is none longer than what a frame may carry.
    #[must_use]
    pub fn reply(
        &self,
        client: ClientId,
        sequence: u64,
        at: Position,
        result: &[u8],
        is_stale: bool,
    ) -> Option<Reply> {
        let said =
            Statement::Reply { client, sequence, at, result: result_digest(result), is_stale };
        let signature = self.sign(&said);
        let mut bytes = List::new();
        bytes.extend(result).ok()?;
        let Position { entry, stamp } = at;
        let from = self.me;
        Some(Reply { from, client, sequence, entry, stamp, result: bytes, is_stale, signature })
    }
}
