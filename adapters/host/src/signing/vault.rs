//! The signatures that certificates and accusations consist of.
//!
//! # What it may hold
//!
//! Each member has a share of its own, and what does not fit its share is refused, to it and to nobody
//! else. Of `m` members, a window of `w` positions and a checkpoint every `i` of them, there are at most
//!
//! ```text
//! m · (2w + ⌈2w/i⌉ + 1)       votes, checkpoints, and one statement that contradicts another
//! m · 2 · (1 + m(w + 1))      view changes with their proofs: one, and one that contradicts it
//! mw + 2m                     certificates that the machine holds: of claims, of two checkpoints
//! 1 + m · (1 + m(w + 1))      what the present view began with
//! ```
//!
//! signatures, which is [`Vault::most`]: 15 465 for four members and a window of 256, a megabyte.

use super::accusation::Accusation;
use super::checked::Checked;
use super::share::{Change, Share, put, weigh};
use super::wire::{
    Certificate, Proofs, Signature, Signed, SignedNewView, SignedPrepared, SignedStable,
};
use quorate::id::{Index, Members, Slot, View};
use quorate::pbft::{Config, Evidence, Message, Phase, Prepared, Stable, ViewChange, Vote};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What has become of something that was to be kept.
#[must_use = "the machine must not be told what was refused"]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kept {
    /// It is kept.
    New,
    /// The same was kept before, perhaps with another signature; or nobody will ask for it.
    Before,
    /// Its signer has said something else before, which is kept too: the machine will accuse it.
    Contradiction,
    /// It is of no use now, or its signer's share is full. The machine must not be told: it could
    /// come to name a signer whose signature is gone.
    Refused,
}

/// The store of signatures. It follows the machine: the window by [`hold_stable`](Self::hold_stable),
/// the view by [`enter`](Self::enter).
#[derive(Clone, Debug)]
pub struct Vault {
    slots: usize,
    checkpoints: usize,
    view: View,
    low: Index,
    shares: BTreeMap<Slot, Share>,
    claims: BTreeMap<Index, SignedPrepared>,
    stable: Option<SignedStable>,
    /// The newest proof of a checkpoint that the machine was told of and may not have got to yet.
    ahead: Option<SignedStable>,
    new_view: Option<Arc<Checked<SignedNewView>>>,
}

impl Vault {
    /// The vault of a member that is set up like that, and has no signatures yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            slots: config.slots as usize,
            checkpoints: checkpoints(config),
            view: View::ZERO,
            low: config.floor.index,
            shares: config.members.iter().map(|slot| (slot, Share::default())).collect(),
            claims: BTreeMap::new(),
            stable: None,
            ahead: None,
            new_view: None,
        }
    }

    /// The most signatures that a vault of this configuration ever holds.
    #[must_use]
    pub fn most(config: &Config) -> usize {
        let (members, slots) = (config.members.len(), config.slots as usize);
        let votes = slots.saturating_mul(2);
        let small = votes.saturating_add(checkpoints(config)).saturating_add(1);
        let change = members.saturating_mul(slots.saturating_add(1)).saturating_add(1);
        let shares = small.saturating_add(change.saturating_mul(3));
        let held = slots.saturating_add(2);
        members.saturating_mul(shares.saturating_add(held)).saturating_add(1)
    }

    /// Keeps what a member has signed, this one too.
    pub fn keep(&mut self, message: &Checked<Signed<Message>>) -> Kept {
        let Signed { from, what, signature } = **message;
        let (low, high) = (self.low, self.low.plus(self.slots as u64));
        let Some(share) = self.shares.get_mut(&from) else { return Kept::Refused };
        let kept = match what {
            Message::Vote(Vote { phase, view, index, value }) => {
                if view < self.view || index <= low || high < index {
                    return Kept::Refused;
                }
                let most = self.slots.saturating_mul(2);
                put(&mut share.votes, most, (view, index, phase), (value, signature))
            }
            Message::Checkpoint(it) if low < it.index => {
                put(&mut share.checkpoints, self.checkpoints, it.index, (it, signature))
            }
            Message::Checkpoint(_) => Kept::Refused,
            Message::Status(_) => Kept::Before,
        };
        if kept == Kept::Contradiction {
            share.odd = Some(**message);
        }
        kept
    }

    /// Keeps a member's view change, the newest that it has sent; this one's too.
    pub fn keep_view_change(&mut self, it: &Change) -> Kept {
        let Some(share) = self.shares.get_mut(&it.change.from) else { return Kept::Refused };
        let view = it.change.what.view;
        match &share.change {
            _ if view < self.view => Kept::Refused,
            Some(known) if known.change.what == it.change.what => Kept::Before,
            Some(known) if known.change.what.view == view => {
                share.odd_change = Some(Arc::clone(it));
                Kept::Contradiction
            }
            Some(known) if known.change.what.view > view => Kept::Refused,
            _ => {
                (share.change, share.odd_change) = (Some(Arc::clone(it)), None);
                // The machine takes note of its checkpoint, and outlives it.
                self.keep_ahead(it.stable());
                Kept::New
            }
        }
    }

    /// Keeps what a view begins with, as it was signed, unless a later one's is kept. A primary keeps
    /// what it begins a view with when it writes it to the disk: the senders may send other view changes
    /// before it is durable.
    pub fn keep_new_view(&mut self, it: Arc<Checked<SignedNewView>>) -> Kept {
        match &self.new_view {
            Some(known) if known.view > it.view => Kept::Refused,
            Some(known) if known.view == it.view => Kept::Before,
            _ => {
                self.new_view = Some(it);
                Kept::New
            }
        }
    }

    /// Keeps a certificate that was read from the disk.
    pub fn keep_prepared(&mut self, it: Checked<SignedPrepared>) -> Kept {
        let Prepared { index, view, signers, .. } = it.prepared;
        let is_newer = self.claims.get(&index).is_none_or(|SignedPrepared { prepared, .. }| {
            let is_part = prepared.signers.minus(signers).is_empty();
            prepared.view < view || (prepared.view == view && is_part)
        });
        if index <= self.low || self.low.plus(self.slots as u64) < index || !is_newer {
            return Kept::Refused;
        }
        self.claims.insert(index, it.0);
        Kept::New
    }

    /// Keeps the proof of a checkpoint that was read from the disk: it is stable.
    pub fn keep_stable(&mut self, it: Checked<SignedStable>) -> Kept {
        if it.stable.checkpoint.index <= self.low {
            return Kept::Refused;
        }
        self.rest_on(it.0);
        Kept::New
    }

    /// Keeps the proof of a checkpoint that the machine is about to be told of, and goes on from when it
    /// sees fit.
    pub fn keep_ahead(&mut self, it: Checked<SignedStable>) {
        let newest = self.ahead.as_ref().map_or(self.low, |it| it.stable.checkpoint.index);
        if it.stable.checkpoint.index > newest.max(self.low) {
            self.ahead = Some(it.0);
        }
    }

    /// The signatures of those who prepared a value, if all are here.
    #[must_use]
    pub fn certificate(&self, prepared: &Prepared) -> Option<Certificate> {
        let Prepared { view, index, value, signers } = *prepared;
        collect(signers, |signer| {
            let vote = self.shares.get(&signer)?.votes.get(&(view, index, Phase::Prepare));
            let heard = vote.filter(|(of, _)| *of == value).map(|(_, signature)| *signature);
            let is_it = |(it, _): &(&Prepared, _)| it.vote() == prepared.vote();
            let mut proofs = self.claim_proofs(index).filter(is_it);
            heard.or_else(|| proofs.find_map(|(it, proof)| of(proof, it.signers, signer)))
        })
    }

    /// Every proof of a claim to a position. A member that has left a view, and waits for the next, may
    /// have to say again what a stable checkpoint has made its vault let go of: its own view change has it.
    fn claim_proofs(&self, index: Index) -> impl Iterator<Item = (&Prepared, &Certificate)> {
        let held = self.claims.get(&index).map(|it| (&it.prepared, &it.certificate));
        let changes = self.shares.values().filter_map(|share| share.change.as_ref());
        let claims =
            changes.flat_map(|it| it.change.what.claims.iter().zip(it.proofs.claims.iter()));
        held.into_iter().chain(claims)
    }

    /// The same, kept from now on: the machine has prepared it, and will claim it in view changes until a
    /// checkpoint is stable there, or it prepares another value in a later view.
    pub fn hold(&mut self, prepared: &Prepared) -> Option<SignedPrepared> {
        let certificate = self.certificate(prepared)?;
        let held = SignedPrepared { prepared: *prepared, certificate };
        // Or it is held already, or needed no longer.
        let _ = self.keep_prepared(Checked(held.clone()));
        Some(held)
    }

    /// The signatures of those who have a checkpoint, if all are here.
    #[must_use]
    pub fn stable_certificate(&self, stable: &Stable) -> Option<Certificate> {
        let Stable { checkpoint, signers } = stable;
        collect(*signers, |signer| {
            let known = self.shares.get(&signer)?.checkpoints.get(&checkpoint.index);
            let heard = known.filter(|(it, _)| it == checkpoint).map(|(_, signature)| *signature);
            let mut proofs = self.stable_proofs().filter(|(it, _)| it.checkpoint == *checkpoint);
            heard.or_else(|| proofs.find_map(|(it, proof)| of(proof, it.signers, signer)))
        })
    }

    /// Every proof of a checkpoint that came in whole.
    fn stable_proofs(&self) -> impl Iterator<Item = (&Stable, &Certificate)> {
        let own = self.stable.iter().chain(&self.ahead).map(|it| (&it.stable, &it.certificate));
        let changes = self.shares.values().filter_map(|share| share.change.as_ref());
        let changes = changes.map(|it| (&it.change.what.stable, &it.proofs.stable));
        let begun = self.new_view.iter().flat_map(|it| it.changes.iter().zip(it.proofs.iter()));
        own.chain(changes).chain(begun.map(|((_, it), (_, proofs))| (&it.stable, &proofs.stable)))
    }

    /// The same, kept from now on: it is stable, and what was needed only up to it is let go.
    pub fn hold_stable(&mut self, stable: &Stable) -> Option<SignedStable> {
        let certificate = self.stable_certificate(stable)?;
        let it = SignedStable { stable: *stable, certificate };
        if self.low <= it.stable.checkpoint.index {
            self.rest_on(it.clone());
        }
        Some(it)
    }

    fn rest_on(&mut self, it: SignedStable) {
        let low = it.stable.checkpoint.index;
        self.low = low;
        self.stable = Some(it);
        self.ahead = self.ahead.take().filter(|it| low < it.stable.checkpoint.index);
        self.claims.retain(|index, _| low < *index);
        for share in self.shares.values_mut() {
            share.votes.retain(|(_, index, _), _| low < *index);
            share.checkpoints.retain(|index, _| low < *index);
        }
    }

    /// All views before this one were left: votes in them are of no use any more, beyond those that are
    /// held.
    pub fn enter(&mut self, view: View) {
        self.view = self.view.max(view);
        for share in self.shares.values_mut() {
            share.votes.retain(|(of, ..), _| view <= *of);
        }
    }

    /// What stands behind a view change of this member, which the machine has just made.
    #[must_use]
    pub fn proofs(&self, change: &ViewChange) -> Option<Proofs> {
        let stable = self.stable_certificate(&change.stable)?;
        let mut proofs = Proofs { stable, ..Proofs::default() };
        for claim in change.claims.iter() {
            proofs.claims.push(self.certificate(claim)?).ok()?;
        }
        Some(proofs)
    }

    /// The newest view change of a member.
    #[must_use]
    pub fn view_change(&self, from: Slot) -> Option<&Change> {
        self.shares.get(&from)?.change.as_ref()
    }

    /// What the newest view of which that is known began with.
    #[must_use]
    pub fn new_view(&self) -> Option<&Arc<Checked<SignedNewView>>> {
        self.new_view.as_ref()
    }

    /// The proof of the newest stable checkpoint; none for what the group began with.
    #[must_use]
    pub fn stable(&self) -> Option<&SignedStable> {
        self.stable.as_ref()
    }

    /// The two statements by which a member has convicted itself. To be asked for when the machine accuses
    /// it, before anything more is kept.
    #[must_use]
    pub fn accusation(&self, evidence: &Evidence) -> Option<Accusation> {
        let share = self.shares.get(&evidence.by())?;
        let said = |what: Message| share.said(evidence.by(), what);
        let accusation = match *evidence {
            Evidence::Votes { first, second, .. } => {
                Accusation::Messages(said(Message::Vote(first))?, said(Message::Vote(second))?)
            }
            Evidence::Checkpoints { first, second, .. } => {
                let [first, second] = [first, second].map(Message::Checkpoint);
                Accusation::Messages(said(first)?, said(second)?)
            }
            Evidence::ViewChanges { view, .. } => {
                let changes = [&share.change, &share.odd_change];
                let [first, second] = changes.map(|it| it.as_ref().map(|it| it.change.clone()));
                let (first, second) = first.zip(second).filter(|(it, _)| it.what.view == view)?;
                Accusation::ViewChanges(first, second)
            }
        };
        Some(accusation).filter(Accusation::is_sound)
    }

    /// How many signatures are held.
    #[must_use]
    pub fn len(&self) -> usize {
        let shares = self.shares.values().map(Share::len);
        let claims = self.claims.values().map(|it| it.certificate.signatures.len());
        let stable =
            self.stable.iter().chain(&self.ahead).map(|it| it.certificate.signatures.len());
        let new_view = self.new_view.iter().map(|it| {
            let changes = it.proofs.iter().map(|(_, proofs)| weigh(proofs).saturating_add(1));
            changes.sum::<usize>().saturating_add(1)
        });
        shares.chain(claims).chain(stable).chain(new_view).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How many checkpoints of one member are kept: those of its window, and of the next.
fn checkpoints(config: &Config) -> usize {
    (config.slots as usize).saturating_mul(2).div_ceil(config.interval.max(1) as usize)
}

/// A certificate of those signers, if each one's signature is found.
fn collect(
    signers: Members,
    mut find: impl FnMut(Slot) -> Option<Signature>,
) -> Option<Certificate> {
    let mut certificate = Certificate::default();
    for signer in signers.iter() {
        certificate.signatures.push(find(signer)?).ok()?;
    }
    Some(certificate)
}

/// One signer's signature in a certificate.
fn of(certificate: &Certificate, signers: Members, signer: Slot) -> Option<Signature> {
    certificate.of(signers)?.find(|(it, _)| *it == signer).map(|(_, signature)| signature)
}
