//! What comes in over the wire of a Byzantine group is what a member or a client has signed, or is refused:
//! any bytes, and what was signed with some of its bytes changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate::bounded::List;
use quorate::hlc::Stamp;
use quorate::id::{ClientId, Digest, GroupId, Index, Members, Slot, View};
use quorate::lease::{Command, Name, Table, Token};
use quorate::pbft::{
    Checkpoint, Claims, Config, Message, Phase, Prepared, Stable, Status, Value, ViewChange, Vote,
};
use quorate_host::council::{Packet, check};
use quorate_host::signing::{
    Accusation, Certificate, Keys, Proofs, Reply, Request, Roll, Signed, SignedNewView,
    SignedPrepared, SignedStable, SignedViewChange, Signer, Verifier, payload_digest,
    state_digest,
};
use serde::de::DeserializeOwned;
use std::sync::OnceLock;

/// A group, everything that was ever signed in it, and a verifier that has seen all of that.
struct World {
    roll: Roll,
    scope: quorate::pbft::Scope,
    config: Config,
    signed: Vec<Packet>,
    experienced: Verifier,
}

fn list<T, const N: usize>(items: impl IntoIterator<Item = T>) -> List<T, N> {
    let mut list = List::new();
    items.into_iter().for_each(|item| list.push(item).ok().expect("it has room"));
    list
}

impl World {
    fn new() -> Self {
        let keys = |of: u8| Keys::from_seed(&[of; 32]);
        let members: Vec<_> = (0..4).map(|at| (Slot::new(at), keys(at + 1).public())).collect();
        let client = ClientId::new(7);
        let roll = Roll::new(&members).expect("sound members");
        let roll = roll.with_client(client, keys(9).public()).expect("a sound client");
        let scope = roll.scope(GroupId::new(7), 2, 1);
        let config =
            Config { slots: 8, interval: 4, ..Config::lan(Slot::new(0), roll.members(), 1) };
        let signers: Vec<_> = (0..4)
            .map(|at| Signer::new(keys(at + 1), &roll, scope, Slot::new(at)).expect("its own key"))
            .collect();

        let value = Value { digest: Digest::new([5; 32]), stamp: Stamp::at_millis(5) };
        let vote = Vote { phase: Phase::Prepare, view: View::new(1), index: Index::new(5), value };
        let state = vec![1, 2, 3];
        let (index, stamp) = (Index::new(4), Stamp::at_millis(4));
        let checkpoint = Checkpoint { index, state: state_digest(&state), stamp };
        let three = Members::first(3);
        let certificate = |what: Message| Certificate {
            signatures: list(signers[..3].iter().map(|it| it.message(what).signature)),
        };
        let stable = Stable { checkpoint, signers: three };
        let claim = Prepared { view: vote.view, index: vote.index, value, signers: three };
        let proofs = Proofs {
            stable: certificate(Message::Checkpoint(checkpoint)),
            claims: list([certificate(Message::Vote(vote))]),
        };
        let change = ViewChange { view: View::new(2), stable, claims: list::<_, 256>([claim]) };
        let _: &Claims = &change.claims;
        let changes: Vec<_> =
            signers[..3].iter().map(|it| it.view_change(change.clone(), proofs.clone())).collect();
        let new_view = signers[2].new_view(View::new(2), &changes).expect("they are few");

        let name = Name::new("a").expect("a short name");
        let request = |sequence| {
            let command = Command::Release { scope: name.clone(), token: Token::ZERO };
            let asked = quorate_host::council::Asked::<_, quorate_host::lease::Query>::Command(command);
            let bytes = asked.to_bytes().expect("it has a form");
            Request::sign(&keys(9), &scope, client, sequence, &bytes).expect("it is short")
        };
        let payload = Request::write_all(&[request(1), request(2)]).expect("it has a form");
        let proposal = Vote { value: Value { digest: payload_digest(&payload), ..value }, ..vote };
        let status = Status {
            view: vote.view,
            is_active: true,
            changes: three,
            stable: index,
            committed: vote.index,
            prepared: vote.index,
        };
        let signed = vec![
            Packet::Message(*signers[3].message(Message::Vote(vote)), None),
            Packet::Message(*signers[3].message(Message::Checkpoint(checkpoint)), None),
            Packet::Message(*signers[3].message(Message::Status(status)), None),
            Packet::Message(*signers[1].message(Message::Vote(proposal)), Some(payload.clone())),
            Packet::ViewChange(Box::new((*changes[0]).clone())),
            Packet::NewView(Box::new((*new_view).clone())),
            Packet::Stable(SignedStable { stable, certificate: proofs.stable }),
            Packet::Request(Box::new(request(1))),
            Packet::Request(Box::new(request(2))),
            Packet::Payload(payload),
            Packet::State(checkpoint, state),
        ];
        let experienced = Verifier::new(roll.clone(), scope, &config);
        for packet in &signed {
            check::<Table>(&experienced, packet.clone()).map(drop).expect("what was signed");
        }
        Self { roll, scope, config, signed, experienced }
    }

    /// Whether it was signed, or needs no signature.
    fn permits(&self, packet: &Packet) -> bool {
        match packet {
            // A payload that is wrong is left out, and the message stands by itself.
            Packet::Message(it, _) => {
                self.signed.iter().any(|known| matches!(known, Packet::Message(of, _) if of == it))
            }
            Packet::Payload(bytes) => {
                let requests = Request::read_all(bytes).expect("it was taken");
                let was_signed = |it: &Request| {
                    self.signed.iter().any(|known| matches!(known, Packet::Request(of) if **of == *it))
                };
                requests.iter().all(was_signed)
            }
            Packet::Stable(it) if it.stable.checkpoint == self.config.floor => true,
            Packet::NeedPayload(_) | Packet::NeedState(_) => true,
            Packet::State(checkpoint, bytes) => state_digest(bytes) == checkpoint.state,
            _ => self.signed.contains(packet),
        }
    }

    fn check(&self, packet: Packet) {
        let fresh = Verifier::new(self.roll.clone(), self.scope, &self.config);
        let taken = check::<Table>(&fresh, packet.clone()).map(drop);
        let again = check::<Table>(&self.experienced, packet.clone()).map(drop);
        assert_eq!(taken, again, "what a verifier remembers changes no verdict");
        assert!(taken.is_err() || self.permits(&packet), "nobody signed {packet:?}");
    }

    /// What a verifier is asked beside packets: nobody signed any of these.
    fn check_others(&self, bytes: &[u8]) {
        let fresh = Verifier::new(self.roll.clone(), self.scope, &self.config);
        if let Some(it) = read::<Reply>(bytes) {
            assert!(fresh.reply(it, true).is_err());
        }
        if let Some(it) = read::<Accusation>(bytes) {
            assert!(fresh.accusation(it, true).is_err());
        }
        if let Some(it) = read::<SignedPrepared>(bytes) {
            assert!(fresh.prepared(it).is_err());
        }
    }
}

fn read<T: DeserializeOwned + serde::Serialize>(bytes: &[u8]) -> Option<T> {
    let value: T = postcard::from_bytes(bytes).ok()?;
    let again = postcard::to_stdvec(&value).expect("what was read can be written");
    let twice: T = postcard::from_bytes(&again).expect("what was written can be read");
    assert_eq!(postcard::to_stdvec(&twice).expect("likewise"), again);
    Some(value)
}

/// Bytes with some of them changed, as the fuzzer chooses: an exclusive or, an insertion, a removal, or the
/// end of others.
fn edited(mut bytes: Vec<u8>, others: &[u8], edits: &[u8]) -> Vec<u8> {
    for edit in edits.chunks_exact(4) {
        let [how, low, high, with] = edit.try_into().expect("four of them");
        let at = usize::from(u16::from_le_bytes([low, high])) % bytes.len().max(1);
        match how % 8 {
            0 => bytes.insert(at, with),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => {
                bytes.truncate(at);
                bytes.extend(others.get(at..).unwrap_or(&[]));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= with;
                }
            }
        }
    }
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(World::new);
    let Some((how, rest)) = bytes.split_first() else { return };
    let named = |at: u8| &world.signed[usize::from(at) % world.signed.len()];
    let packet = match (how, rest) {
        (64.., [one, other, edits @ ..]) => {
            let form = |it: &Packet| postcard::to_stdvec(it).expect("it has a form");
            read(&edited(form(named(*one)), &form(named(*other)), edits))
        }
        _ => {
            world.check_others(rest);
            let _ = (read::<Signed<Message>>(rest), read::<SignedViewChange>(rest));
            let _ = read::<SignedNewView>(rest);
            read(rest)
        }
    };
    if let Some(packet) = packet {
        world.check(packet);
    }
});
