//! Signatures: what a Byzantine group's machine must not know, and its host must.
//!
//! [`Keys`] is what a member signs with, and [`Roll`] whom it believes. A [`Signer`] makes what is sent
//! of what the machine says; a [`Verifier`] makes what the machine is told of what came in; between
//! them a [`Vault`] keeps the signatures that certificates and accusations consist of. A [`Pool`] does
//! the checking on other threads.
//!
//! # Why signatures, when authenticators are a hundred times as fast
//!
//! A message authenticator convinces one receiver, and tells it nothing of what another receiver sees.
//! So a client can send a request whose authenticator only the primary can check: the others refuse
//! what it proposes, the view is left, and the next one too; one client stops the group (the big-MAC
//! attack of Clement et al., *Making Byzantine Fault Tolerant Systems Tolerate Byzantine Faults*,
//! 2009, which is why Aardvark signs requests). A signature is valid for all or for none. And it
//! can be handed on: a view change carries the votes of others as certificates, a member that lags is
//! given a checkpoint that it need believe nobody for, and two votes that contradict each other convict
//! their signer before anyone. With authenticators each of the three needs a protocol of its own.
//!
//! # Why not in batches
//!
//! Ed25519 has signatures that some ways of checking accept and others do not. Whoever holds a key
//! can make `R` with a part of small order; then checking alone says no, while a batch, which adds up
//! the equations of many, says yes whenever the parts cancel, and whether they do depends on what else
//! is in the batch (Chalkias, Garillot and Nikolaenko, *Taming the Many EdDSAs*, 2020). Nobody else's
//! signature can be made that way, so no vote is forged; but correct members would disagree on what is
//! valid. A liar's vote that one member took in a batch would stand in that member's certificates, and
//! others would refuse its view change for it: the liar has silenced a correct member, and may do so in
//! every view. So each signature is checked alone, by `verify_strict`, on every path, a certificate's
//! too: the equation without cofactor, canonical `S`, no point of small order. It has one answer
//! everywhere. Time is saved by checking nothing twice instead, which saves more: a view change
//! consists of votes that its receiver has for the most part heard already, and what it has checked,
//! byte for byte, it remembers.
//!
//! # What a host does, in order
//!
//! So that whoever the machine names as a signer, the vault has the signature of:
//!
//! - What came in it has checked if the machine wants it, keeps in the vault, and only if it was kept
//!   there tells the machine.
//! - What this member says it keeps too, in the order of outputs: its vote before the certificate that
//!   counts it. Its own checkpoint it signs and keeps *before* it tells the machine, which counts it at
//!   once and may have no more reason to send it.
//! - What the machine writes it holds, and writes with the signatures: [`Vault::hold`] what is prepared,
//!   [`Vault::hold_stable`] what is stable.
//! - When the machine leaves a view, it moves the vault on ([`Vault::enter`]), and signs and keeps the view
//!   change at once: also while it reads the log again, for later records may let go of what proves it.
//! - When the machine writes that a view has begun, it moves the vault on, and the primary signs and keeps
//!   what it begins with from the view changes *then* chosen: the senders may send others before the
//!   write is durable.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod accusation;
mod checked;
mod hash;
mod keys;
mod known;
mod pool;
mod roll;
mod share;
mod signer;
mod vault;
mod verifier;
mod wire;

#[cfg(test)]
mod tests;

pub use accusation::Accusation;
pub use checked::{Checked, Checks, Rejected};
pub use hash::{command_digest, payload_digest, result_digest, state_digest, statement_digest};
pub use keys::{Keys, KeysError, PublicKey};
pub use pool::Pool;
pub use roll::{Roll, RollError};
pub use signer::{NotMine, Signer};
pub use vault::{Kept, Vault};
pub use verifier::Verifier;
pub use wire::{
    Certificate, Proofs, Reply, Request, Signature, Signed, SignedNewView, SignedPrepared,
    SignedStable, SignedViewChange,
};
