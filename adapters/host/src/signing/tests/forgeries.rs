//! Small messages, requests, replies and accusations that are not what they seem.

use super::*;
use quorate::id::{ClientId, EntryId, Term};
use quorate::pbft::Status;
use quorate::pbft::statement::CLIENT;
use quorate::state_machine::Position;

#[test]
fn what_a_member_says_is_told_the_machine_as_it_was_said() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let status = Status {
        view: View::new(1),
        is_active: true,
        changes: set(&[2]),
        stable: Index::new(4),
        committed: Index::new(5),
        prepared: Index::new(5),
    };
    for what in [
        Message::Vote(prepare(1, 5, 5)),
        Message::Vote(Vote { phase: Phase::Commit, ..prepare(1, 5, 5) }),
        Message::Checkpoint(checkpoint(4, 4)),
        Message::Status(status),
    ] {
        let said = verifier.message(*group.signers[3].message(what), true).unwrap();
        assert_eq!((said.verified().from(), *said.verified().message()), (slot(3), what));
    }
}

#[test]
fn every_flipped_bit_of_a_signed_message_is_noticed() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let message = *group.vote(3, prepare(1, 5, 5));
    verifier.message(message, true).unwrap();
    let bytes = postcard::to_stdvec(&message).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(forged) = postcard::from_bytes(&flipped) {
            let taken = verifier.message(forged, true);
            assert!(taken.is_err(), "bit {bit}: {:?}", forged.what);
        }
    }
}

#[test]
fn a_vote_counts_for_its_signer_and_phase_alone() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let honest = *group.vote(3, prepare(1, 5, 5));
    for (from, expected) in [
        (slot(2), Rejected::Forged(slot(2))),
        (slot(4), Rejected::NoSuchSigner),
        (slot(31), Rejected::NoSuchSigner),
        (CLIENT, Rejected::NoSuchSigner),
    ] {
        assert_eq!(verifier.message(Signed { from, ..honest }, true), Err(expected), "{from}");
    }
    let what = Message::Vote(Vote { phase: Phase::Commit, ..prepare(1, 5, 5) });
    let forged = verifier.message(Signed { what, ..honest }, true);
    assert_eq!(forged, Err(Rejected::Forged(slot(3))));
}

#[test]
fn a_vote_counts_in_its_group_configuration_epoch_and_attempt_alone() {
    let group = Group::of(4);
    let honest = *group.vote(3, prepare(1, 5, 5));
    let scope = group.scope;
    for other in [
        Scope { group: GroupId::new(8), ..scope },
        Scope { configuration: Group::of(5).scope.configuration, ..scope },
        Scope { epoch: 3, ..scope },
        Scope { attempt: 2, ..scope },
    ] {
        let verifier = Verifier::new(group.roll.clone(), other, &group.config);
        assert_eq!(verifier.message(honest, true), Err(Rejected::Forged(slot(3))), "{other:?}");
    }
}

#[test]
fn what_nobody_wants_costs_no_check() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let message = *group.vote(3, prepare(1, 5, 5));
    assert_eq!(verifier.message(message, false), Err(Rejected::Unwanted));
    assert_eq!(verifier.view_change(group.view_change(1), false), Err(Rejected::Unwanted));
    assert_eq!(verifier.new_view(group.new_view(&[0, 1, 3]), false), Err(Rejected::Unwanted));
    assert_eq!(verifier.checks(), Checks::default());
}

#[test]
fn a_key_that_the_group_does_not_know_is_not_signed_with() {
    let group = Group::of(4);
    let sign = |of, at| Signer::new(keys(of), &group.roll, group.scope, slot(at)).map(|_| ());
    assert_eq!(sign(1, 0), Ok(()));
    assert_eq!(sign(2, 0), Err(NotMine));
    assert_eq!(sign(1, 9), Err(NotMine));
}

#[test]
fn a_request_is_its_clients_number_and_command() {
    let group = Group::of(4);
    let client = ClientId::new(77);
    let roll = group.roll.clone().with_client(client, keys(9).public()).unwrap();
    let roll = roll.with_client(ClientId::new(78), keys(10).public()).unwrap();
    let verifier = Verifier::new(roll, group.scope, &group.config);
    let sign = |keys, client| Request::sign(&keys, &group.scope, client, 5, b"set").unwrap();
    let request = sign(keys(9), client);
    assert!(verifier.request(request.clone(), true).is_ok());
    assert_eq!(verifier.request(request.clone(), false), Err(Rejected::Unwanted));
    for forged in [
        Request { client: ClientId::new(78), ..request.clone() },
        Request { sequence: 6, ..request.clone() },
        Request { command: list(*b"get"), ..request.clone() },
        Request { command: list(*b"set\0"), ..request.clone() },
        sign(keys(1), client),
        sign(keys(10), client),
    ] {
        assert_eq!(verifier.request(forged, true), Err(Rejected::Forged(CLIENT)));
    }
    let stranger = sign(keys(9), ClientId::new(79));
    assert_eq!(verifier.request(stranger, true), Err(Rejected::NoSuchSigner));
    let same_words = sign(keys(10), ClientId::new(78));
    assert_ne!(verifier.name_of(&same_words), verifier.name_of(&request));
    let forged = Request { signature: same_words.signature, ..request.clone() };
    assert_eq!(verifier.name_of(&forged), verifier.name_of(&request), "whatever the signature");
    let long = vec![0; crate::frame::MOST_REQUEST + 1];
    assert!(Request::sign(&keys(9), &group.scope, client, 6, &long).is_none());
}

#[test]
fn a_reply_is_a_members_about_one_request_at_one_place() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let entry = EntryId::new(Term::new(1), Index::new(9));
    let at = Position { entry, stamp: Stamp::at_millis(3) };
    let reply = group.signers[1].reply(ClientId::new(77), 5, at, b"done", false).unwrap();
    assert!(verifier.reply(reply.clone(), true).is_ok());
    for forged in [
        Reply { from: slot(2), ..reply.clone() },
        Reply { client: ClientId::new(78), ..reply.clone() },
        Reply { sequence: 6, ..reply.clone() },
        Reply { entry: EntryId::new(Term::new(2), Index::new(9)), ..reply.clone() },
        Reply { entry: EntryId::new(Term::new(1), Index::new(8)), ..reply.clone() },
        Reply { stamp: Stamp::at_millis(4), ..reply.clone() },
        Reply { result: list(*b"lost"), ..reply.clone() },
        Reply { is_stale: true, ..reply.clone() },
    ] {
        let from = forged.from;
        assert_eq!(verifier.reply(forged, true), Err(Rejected::Forged(from)));
    }
}

#[test]
fn an_accusation_is_two_statements_that_one_member_signed() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let vote = |by, view, index, of| *group.vote(by, prepare(view, index, of));
    let accuse = |one, other| verifier.accusation(Accusation::Messages(one, other), true);
    let (one, other) = (vote(3, 1, 5, 5), vote(3, 1, 5, 6));
    assert_eq!(accuse(one, other).unwrap().by(), slot(3));
    let states = [4, 5].map(|of| *group.checkpoint(3, checkpoint(4, of)));
    assert!(accuse(states[0], states[1]).is_ok());
    let commit = Vote { phase: Phase::Commit, ..prepare(1, 5, 6) };
    for harmless in [
        one,
        vote(3, 2, 5, 6),
        vote(3, 1, 6, 6),
        vote(2, 1, 5, 6),
        *group.vote(3, commit),
        *group.checkpoint(3, checkpoint(5, 6)),
        Signed { signature: other.signature, ..one },
    ] {
        assert_eq!(accuse(one, harmless), Err(Rejected::Unsound), "{harmless:?}");
    }
    let framed = Signed { from: slot(3), ..vote(2, 1, 5, 6) };
    for (one, other) in [(one, framed), (framed, one)] {
        assert_eq!(accuse(one, other), Err(Rejected::Forged(slot(3))));
    }
}

#[test]
fn two_accounts_of_one_member_for_one_view_accuse_it() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let first = group.view_change(3);
    let mut other = first.clone();
    other.change.what.claims.pop();
    let other = group.signed_again(&other);
    let accuse = |one: &SignedViewChange, other: &SignedViewChange| {
        let [one, other] = [one, other].map(|it| it.change.clone());
        verifier.accusation(Accusation::ViewChanges(one, other), true).map(|it| it.by())
    };
    assert_eq!(accuse(&first, &other), Ok(slot(3)));
    assert_eq!(accuse(&first, &first), Err(Rejected::Unsound));
    assert_eq!(accuse(&first, &group.view_change(2)), Err(Rejected::Unsound));
    let mut later = other.clone();
    later.change.what.view = View::new(3);
    assert_eq!(accuse(&first, &group.signed_again(&later)), Err(Rejected::Unsound));
    let mut framed = other;
    framed.change.what.claims.pop();
    assert_eq!(accuse(&first, &framed), Err(Rejected::Forged(slot(3))));
}
