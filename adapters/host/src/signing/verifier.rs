//! What came in, checked: the only way from the wire to the machine.

use super::accusation::Accusation;
use super::checked::{Checked, Checks, Rejected};
use super::hash::{signed_bytes, statement_digest};
use super::known::{Known, name_of};
use super::roll::Roll;
use super::wire::{
    Certificate, Proofs, Reply, Request, Signature, Signed, SignedNewView, SignedPrepared,
    SignedStable, SignedViewChange,
};
use ed25519_dalek::VerifyingKey;
use quorate::id::{Digest, Members, Slot, View};
use quorate::pbft::statement::CLIENT;
use quorate::pbft::{
    Checkpoint, Config, Message, Phase, Prepared, Scope, Stable, Statement, ViewChange, Vote,
    is_quorum,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Checks what came in, on whatever thread; what it has found right it remembers, within bounds.
///
/// What the machine does not want costs nothing: whoever asks for a check says whether it does. Then the
/// form is looked at, then the sender's own signature, and only then those that it presents of others.
/// So only a member can make a host check certificates, and what is wrong with one is its sender's
/// lie: no correct member presents what it has not checked.
#[derive(Debug)]
pub struct Verifier {
    roll: Roll,
    scope: Scope,
    floor: Checkpoint,
    slots: usize,
    known: Mutex<Known>,
    made: AtomicU64,
    spared: AtomicU64,
}

impl Verifier {
    /// A verifier for a member that is set up like that. Its members must be those of the roll, or
    /// nothing is believed: [`Rejected::NoSuchSigner`].
    #[must_use]
    pub fn new(roll: Roll, scope: Scope, config: &Config) -> Self {
        Self {
            roll,
            scope,
            floor: config.floor,
            slots: config.slots as usize,
            known: Mutex::default(),
            made: AtomicU64::new(0),
            spared: AtomicU64::new(0),
        }
    }

    /// How much work it was.
    #[must_use]
    pub fn checks(&self) -> Checks {
        let [made, spared] = [&self.made, &self.spared].map(|it| it.load(Ordering::Relaxed));
        Checks { made, spared }
    }

    /// Checks a message.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn message(
        &self,
        message: Signed<Message>,
        wants: bool,
    ) -> Result<Checked<Signed<Message>>, Rejected> {
        wanted(wants)?;
        self.member(&message.what.into(), message.from, &message.signature)?;
        Ok(Checked(message))
    }

    /// Checks a view change, and everything that stands behind it.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn view_change(
        &self,
        it: SignedViewChange,
        wants: bool,
    ) -> Result<Checked<SignedViewChange>, Rejected> {
        wanted(wants)?;
        let Signed { from, what, signature } = &it.change;
        self.is_sound(what, &it.proofs)?;
        self.member(&Statement::ViewChange(what), *from, signature)?;
        self.proofs(what, &it.proofs)?;
        Ok(Checked(it))
    }

    /// Checks what a view is said to begin with, by its primary: whoever else says so is not believed.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn new_view(
        &self,
        it: SignedNewView,
        wants: bool,
    ) -> Result<Checked<SignedNewView>, Rejected> {
        wanted(wants)?;
        if self.primary_of(it.view) != Some(it.from) {
            return Err(Rejected::Unsound);
        }
        let mut senders = Members::NONE;
        for ((from, change), (_, proofs)) in it.changes.iter().zip(it.proofs.iter()) {
            let is_second = senders.contains(*from);
            senders = senders.with(*from);
            if is_second || change.view != it.view {
                return Err(Rejected::Unsound);
            }
            self.is_sound(change, proofs)?;
        }
        if it.proofs.len() != it.changes.len() {
            return Err(Rejected::Unsound);
        }
        self.are_enough(senders)?;
        let named = named(&it.changes, &self.scope);
        let statement = Statement::NewView { view: it.view, changes: &named };
        self.member(&statement, it.from, &it.signature)?;
        for ((from, change), (signature, proofs)) in it.changes.iter().zip(it.proofs.iter()) {
            self.member(&Statement::ViewChange(change), *from, signature)?;
            self.proofs(change, proofs)?;
        }
        Ok(Checked(it))
    }

    /// Checks the proof of a checkpoint. What the group began with has none, and needs none.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn stable(&self, it: SignedStable, wants: bool) -> Result<Checked<SignedStable>, Rejected> {
        wanted(wants)?;
        self.is_proved(&it.stable, &it.certificate)?;
        self.checkpoint(&it.stable, &it.certificate)?;
        Ok(Checked(it))
    }

    /// Checks a certificate that this member has written to its disk.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn prepared(&self, it: SignedPrepared) -> Result<Checked<SignedPrepared>, Rejected> {
        self.are_enough(it.prepared.signers)?;
        self.claim(&it.prepared, &it.certificate)?;
        Ok(Checked(it))
    }

    /// Checks a client's request.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn request(&self, request: Request, wants: bool) -> Result<Checked<Request>, Rejected> {
        wanted(wants)?;
        let key = self.roll.client(request.client).ok_or(Rejected::NoSuchSigner)?;
        let bytes = signed_bytes(&request.statement(), &self.scope, CLIENT);
        self.check(key, CLIENT, &bytes, &request.signature)?;
        Ok(Checked(request))
    }

    /// What the machine knows a request by: its client, number and command, and no signature.
    #[must_use]
    pub fn name_of(&self, request: &Request) -> Digest {
        statement_digest(&request.statement(), &self.scope, CLIENT)
    }

    /// Checks a member's answer, as the client that it is for. One answer is worth nothing yet: as many as
    /// may be liars, and one more, must agree in all but their signatures.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn reply(&self, reply: Reply, wants: bool) -> Result<Checked<Reply>, Rejected> {
        wanted(wants)?;
        self.member(&reply.statement(), reply.from, &reply.signature)?;
        Ok(Checked(reply))
    }

    /// Checks that a member has said two things of which no correct one says both. Whoever says so need not
    /// be believed.
    ///
    /// # Errors
    /// [`Rejected`]; then it accuses nobody.
    pub fn accusation(&self, it: Accusation, wants: bool) -> Result<Checked<Accusation>, Rejected> {
        wanted(wants)?;
        if !it.is_sound() {
            return Err(Rejected::Unsound);
        }
        match &it {
            Accusation::Messages(first, second) => {
                for said in [first, second] {
                    self.member(&said.what.into(), said.from, &said.signature)?;
                }
            }
            Accusation::ViewChanges(first, second) => {
                for said in [first, second] {
                    self.member(&Statement::ViewChange(&said.what), said.from, &said.signature)?;
                }
            }
        }
        Ok(Checked(it))
    }

    /// As the machine counts: the members take turns.
    pub(super) fn primary_of(&self, view: View) -> Option<Slot> {
        let members = self.roll.members();
        let turn = view.number().checked_rem(members.len() as u64)?;
        members.iter().nth(usize::try_from(turn).ok()?)
    }

    fn is_sound(&self, change: &ViewChange, proofs: &Proofs) -> Result<(), Rejected> {
        let is_sound = change.is_sound(self.roll.members(), &self.floor, self.slots)
            && proofs.claims.len() == change.claims.len();
        if !is_sound {
            return Err(Rejected::Unsound);
        }
        self.is_proved(&change.stable, &proofs.stable)?;
        let mut claims = change.claims.iter().zip(proofs.claims.iter());
        claims.try_for_each(|(claim, proof)| self.names_signers(claim.signers, proof))
    }

    fn is_proved(&self, stable: &Stable, proof: &Certificate) -> Result<(), Rejected> {
        if !stable.is_sound(self.roll.members(), &self.floor) {
            return Err(Rejected::Unsound);
        }
        self.names_signers(stable.signers, proof)
    }

    /// One signature for each signer, and no signer from elsewhere.
    fn names_signers(&self, signers: Members, proof: &Certificate) -> Result<(), Rejected> {
        if !signers.minus(self.roll.members()).is_empty() {
            Err(Rejected::NoSuchSigner)
        } else if proof.signatures.len() != signers.len() {
            Err(Rejected::Unsound)
        } else {
            Ok(())
        }
    }

    fn are_enough(&self, senders: Members) -> Result<(), Rejected> {
        let members = self.roll.members();
        if !senders.minus(members).is_empty() {
            Err(Rejected::NoSuchSigner)
        } else if !is_quorum(senders, members) {
            Err(Rejected::Unsound)
        } else {
            Ok(())
        }
    }

    fn proofs(&self, change: &ViewChange, proofs: &Proofs) -> Result<(), Rejected> {
        self.checkpoint(&change.stable, &proofs.stable)?;
        let mut claims = change.claims.iter().zip(proofs.claims.iter());
        claims.try_for_each(|(claim, proof)| self.claim(claim, proof))
    }

    fn checkpoint(&self, stable: &Stable, proof: &Certificate) -> Result<(), Rejected> {
        self.certificate(&Statement::Checkpoint(stable.checkpoint), stable.signers, proof)
    }

    fn claim(&self, claim: &Prepared, proof: &Certificate) -> Result<(), Rejected> {
        self.certificate(&Statement::Vote(claim.vote()), claim.signers, proof)
    }

    fn certificate(
        &self,
        statement: &Statement<'_>,
        signers: Members,
        proof: &Certificate,
    ) -> Result<(), Rejected> {
        let mut signed = proof.of(signers).ok_or(Rejected::Unsound)?;
        signed.try_for_each(|(signer, signature)| self.member(statement, signer, &signature))
    }

    /// Checks that a member has said it, unless that is known.
    fn member(
        &self,
        statement: &Statement<'_>,
        from: Slot,
        signature: &Signature,
    ) -> Result<(), Rejected> {
        let key = self.roll.member(from).ok_or(Rejected::NoSuchSigner)?;
        let bytes = signed_bytes(statement, &self.scope, from);
        if !is_repeated(statement) {
            return self.check(key, from, &bytes, signature);
        }
        let name = name_of(&bytes, signature);
        if self.known().contains(from, &name) {
            self.spared.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        self.check(key, from, &bytes, signature)?;
        self.known().insert(from, name);
        Ok(())
    }

    fn check(
        &self,
        key: &VerifyingKey,
        from: Slot,
        bytes: &[u8],
        signature: &Signature,
    ) -> Result<(), Rejected> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let (r, s) = signature.halves();
        let signature = ed25519_dalek::Signature::from_components(*r, *s);
        key.verify_strict(bytes, &signature).map_err(|_| Rejected::Forged(from))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is remembered is whole after every call, also if a thread broke down between two.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it may come again within something larger.
const fn is_repeated(statement: &Statement<'_>) -> bool {
    matches!(
        statement,
        Statement::Vote(Vote { phase: Phase::Prepare, .. })
            | Statement::Checkpoint(_)
            | Statement::ViewChange(_)
    )
}

/// What the primary of a new view signs of the view changes.
pub(super) fn named(changes: &[(Slot, ViewChange)], scope: &Scope) -> Vec<(Slot, Digest)> {
    let name = |(from, change): &(Slot, ViewChange)| {
        (*from, statement_digest(&Statement::ViewChange(change), scope, *from))
    };
    changes.iter().map(name).collect()
}

const fn wanted(wants: bool) -> Result<(), Rejected> {
    if wants { Ok(()) } else { Err(Rejected::Unwanted) }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Keys;
    use super::*;
    use ed25519_dalek::Verifier as _;

    // Signatures that the owner of the key can make, and that some ways of checking take: the first is
    // of the libraries' own making, the others were put together by hand, by a program of another author.
    #[test]
    fn a_signature_that_others_might_refuse_is_refused() {
        let key = Keys::from_seed(&[1; 32]).public();
        let roll = Roll::new(&[(Slot::new(0), key)]).unwrap();
        let config = Config::lan(Slot::new(0), Members::first(1), 1);
        let scope = roll.scope(quorate::id::GroupId::new(1), 0, 0);
        let verifier = Verifier::new(roll.clone(), scope, &config);
        let key = roll.member(Slot::new(0)).unwrap();
        let check = |r: &str, s: &str| {
            let halves =
                [r, s].map(|half| *half.parse::<super::super::PublicKey>().unwrap().bytes());
            let signature = Signature::from_bytes(halves.as_flattened().try_into().unwrap());
            let lax = ed25519_dalek::Signature::from_components(halves[0], halves[1]);
            let strict = verifier.check(key, Slot::new(0), b"words", &signature).is_ok();
            (key.verify(b"words", &lax).is_ok(), strict)
        };
        let r = "c55b052a5b5383d5b9382e91882ff0a5c777472fd26b5f9b7e613c82300a2641";
        let s = "89a09b9114a500b46e19cb32d7a0872e6a67e6ed7da01fa0ec96a34aeea29f0d";
        assert_eq!(check(r, s), (true, true), "as it should be");
        let larger = "767491ee2e08130c45b6c2d5b59a66436a67e6ed7da01fa0ec96a34aeea29f1d";
        assert_eq!(check(r, larger), (false, false), "S and the order of the group");
        let mixed = "f33212ced8f10e88b767eb3086525bbd9dd8bfad2bf6d408e9b2e24ee8e977b8";
        let s = "dec9534a19131bd5210234cff9d9019f730d0b468ac53f25c835c56a7f06e905";
        assert_eq!(check(mixed, s), (false, false), "R and a point of order eight: batches may");
        let one = "0100000000000000000000000000000000000000000000000000000000000000";
        let s = "18f040db5d6c1e780e61cf0c71495300240d4bd8b1649bd5b62ce5cfebfd1b07";
        assert_eq!(check(one, s), (true, false), "R of small order");
    }
}
