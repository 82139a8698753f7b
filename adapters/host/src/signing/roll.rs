//! Whom a host believes: the public keys of members and clients.

use super::hash::{context, digest};
use super::keys::PublicKey;
use ed25519_dalek::VerifyingKey;
use quorate::id::{ClientId, Digest, GroupId, Members, Slot};
use quorate::limits;
use quorate::pbft::Scope;
use quorate::quorum;
use std::collections::BTreeMap;
use std::fmt;

/// The most clients whose keys are known.
const CLIENTS: usize = limits::MOST.sessions;

/// The public keys of a group's members, and of its clients.
///
/// What the members are is part of every signature, by [`configuration`](Self::configuration). Who
/// the clients are is not: they come and go.
#[derive(Clone, Debug, Default)]
pub struct Roll {
    members: BTreeMap<Slot, VerifyingKey>,
    clients: BTreeMap<ClientId, VerifyingKey>,
}

impl Roll {
    /// The roll of those members.
    ///
    /// # Errors
    /// [`RollError`].
    pub fn new(members: &[(Slot, PublicKey)]) -> Result<Self, RollError> {
        let mut roll = Self::default();
        for &(slot, key) in members {
            let checked = usable(key)?;
            if slot.position() >= limits::MOST.members {
                return Err(RollError::NoSuchSlot(slot));
            }
            if roll.members.values().any(|known| *known == checked) {
                return Err(RollError::Shared);
            }
            if roll.members.insert(slot, checked).is_some() {
                return Err(RollError::Twice(slot));
            }
        }
        Ok(roll)
    }

    /// The roll with a client more, or with another key of one that it has.
    ///
    /// # Errors
    /// [`RollError`].
    pub fn with_client(mut self, client: ClientId, key: PublicKey) -> Result<Self, RollError> {
        let key = usable(key)?;
        if self.clients.len() >= CLIENTS && !self.clients.contains_key(&client) {
            return Err(RollError::TooManyClients);
        }
        self.clients.insert(client, key);
        Ok(self)
    }

    /// Who the members are.
    #[must_use]
    pub fn members(&self) -> Members {
        self.members.keys().copied().collect()
    }

    pub(super) fn member(&self, slot: Slot) -> Option<&VerifyingKey> {
        self.members.get(&slot)
    }

    pub(super) fn client(&self, client: ClientId) -> Option<&VerifyingKey> {
        self.clients.get(&client)
    }

    /// The digest of who the members are, by which keys, how many of them may lie, and how many must
    /// agree. Two hosts that count differently do not believe each other's signatures.
    #[must_use]
    pub fn configuration(&self) -> Digest {
        let count = self.members.len();
        let numbers = [count, quorum::liars(count), quorum::byzantine(count)];
        let mut bytes = Vec::new();
        for number in numbers {
            bytes.extend_from_slice(&u64::try_from(number).unwrap_or(u64::MAX).to_le_bytes());
        }
        for (slot, key) in &self.members {
            bytes.push(slot.number());
            bytes.extend_from_slice(key.as_bytes());
        }
        digest(context::CONFIGURATION, &[&bytes])
    }

    /// What all signatures of these members are bound to.
    #[must_use]
    pub fn scope(&self, group: GroupId, epoch: u32, attempt: u32) -> Scope {
        Scope { group, configuration: self.configuration(), epoch, attempt }
    }
}

/// A key that somebody can have: a weak one has signatures that fit any words, and one that is not
/// written in its only form would be two.
fn usable(key: PublicKey) -> Result<VerifyingKey, RollError> {
    let known = VerifyingKey::from_bytes(key.bytes()).map_err(|_| RollError::NotAKey)?;
    if known.is_weak() || !is_canonical(key.bytes()) { Err(RollError::NotAKey) } else { Ok(known) }
}

/// Whether the number, beside the sign in its highest bit, is below 2^255 - 19.
fn is_canonical(key: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = key;
    *lowest < 0xed || highest & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// Why a roll was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RollError {
    /// The bytes are no key, or one with which anything could be signed.
    NotAKey,
    /// A slot is higher than the limits permit.
    NoSuchSlot(Slot),
    /// A slot has two keys.
    Twice(Slot),
    /// Two members have one key: one signer would count for both.
    Shared,
    /// More clients than there are sessions.
    TooManyClients,
}

impl fmt::Display for RollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAKey => f.write_str("the bytes are not a usable public key"),
            Self::NoSuchSlot(slot) => write!(f, "slot {slot} is beyond the limits"),
            Self::Twice(slot) => write!(f, "slot {slot} is listed with two keys"),
            Self::Shared => f.write_str("two members are listed with the same key"),
            Self::TooManyClients => write!(f, "no more than {CLIENTS} clients can have a key"),
        }
    }
}

impl std::error::Error for RollError {}

#[cfg(test)]
mod tests {
    use super::super::keys::Keys;
    use super::*;

    fn key(of: u8) -> PublicKey {
        Keys::from_seed(&[of; 32]).public()
    }

    fn listed(members: &[(u8, u8)]) -> Result<Roll, RollError> {
        let members: Vec<_> = members.iter().map(|&(at, of)| (Slot::new(at), key(of))).collect();
        Roll::new(&members)
    }

    #[test]
    fn a_configuration_is_its_members_their_keys_and_how_many_must_agree() {
        let base = listed(&[(0, 1), (1, 2), (2, 3), (3, 4)]).unwrap();
        assert_eq!(base.members(), Members::first(4));
        let same = listed(&[(3, 4), (1, 2), (0, 1), (2, 3)]).unwrap();
        assert_eq!(base.configuration(), same.configuration(), "in whatever order they are listed");
        for other in [
            &[(0, 1), (1, 2), (2, 3), (3, 5)][..],
            &[(0, 1), (1, 2), (2, 3), (4, 4)],
            &[(0, 2), (1, 1), (2, 3), (3, 4)],
            &[(0, 1), (1, 2), (2, 3)],
            &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)],
        ] {
            assert_ne!(listed(other).unwrap().configuration(), base.configuration(), "{other:?}");
        }
        let with_client = base.clone().with_client(ClientId::new(1), key(9)).unwrap();
        assert_eq!(with_client.configuration(), base.configuration());
        // Put together by another program.
        let golden = "123f3acd96b885bb70c537c8c87f5cf29252770f252d0774d6310690e7015a4a";
        assert_eq!(PublicKey::new(*base.configuration().bytes()).to_string(), golden);
    }

    #[test]
    fn one_signer_has_one_slot_and_one_slot_one_signer() {
        assert_eq!(listed(&[(0, 1), (1, 1)]).unwrap_err(), RollError::Shared);
        assert_eq!(listed(&[(0, 1), (0, 2)]).unwrap_err(), RollError::Twice(Slot::new(0)));
        assert_eq!(listed(&[(32, 1)]).unwrap_err(), RollError::NoSuchSlot(Slot::new(32)));
        assert_eq!(listed(&[(255, 1)]).unwrap_err(), RollError::NoSuchSlot(Slot::new(255)));
    }

    #[test]
    fn a_key_with_which_anything_is_signed_is_nobodys() {
        // The point of order one, and one of order eight.
        let mut one = [0; 32];
        one[0] = 1;
        let eight = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
        let eight: PublicKey = eight.parse().unwrap();
        for weak in [PublicKey::new(one), eight, PublicKey::new([0xff; 32])] {
            let refused = Roll::new(&[(Slot::new(0), weak)]).unwrap_err();
            assert_eq!(refused, RollError::NotAKey, "{weak}");
            let refused = Roll::default().with_client(ClientId::new(1), weak).unwrap_err();
            assert_eq!(refused, RollError::NotAKey, "{weak}");
        }
    }

    #[test]
    fn there_are_no_more_clients_than_sessions() {
        let mut roll = Roll::default();
        for client in 0..CLIENTS as u64 {
            roll = roll.with_client(ClientId::new(client), key(1)).unwrap();
        }
        let again = roll.clone().with_client(ClientId::new(0), key(2));
        assert!(again.is_ok(), "one that is known may change its key");
        let more = roll.with_client(ClientId::new(CLIENTS as u64), key(1)).unwrap_err();
        assert_eq!(more, RollError::TooManyClients);
    }
}
