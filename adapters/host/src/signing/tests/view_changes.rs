//! View changes, new views and checkpoints whose certificates are not what they seem.

use super::*;
use quorate::pbft::is_quorum;

/// What a primary makes up, and what must come of it.
type Fiction = (&'static str, fn(&mut SignedNewView), Rejected);

/// A change that a liar makes, and what must come of it.
type Lie = (&'static str, fn(&mut SignedViewChange, &Group), Rejected);

#[test]
fn a_view_change_is_believed_with_its_certificates() {
    let group = Group::of(4);
    let it = group.view_change(1);
    let checked = group.verifier().view_change(it.clone(), true).unwrap();
    assert_eq!(checked.verified().from(), slot(1));
    assert_eq!(*checked.verified().message(), &it.change.what);
    assert_eq!(it.change.what.claims.len(), 2, "it has something to believe");
}

#[test]
fn a_liar_cannot_claim_what_no_quorum_signed() {
    let group = Group::of(4);
    let lies: [Lie; 14] = [
        ("f+1 signers", |it, _| two_signers(it), Rejected::Unsound),
        ("a signer twice", |it, _| twice(it), Rejected::Forged(slot(2))),
        ("signers in another order", |it, _| it.proofs.claims[0].signatures.swap(0, 1), forged(0)),
        ("fewer signatures than signers", |it, _| one_less(it), UNSOUND),
        ("more signatures than signers", |it, _| repeat_last(it), UNSOUND),
        ("a certificate too few", |it, _| drop(it.proofs.claims.pop()), UNSOUND),
        ("a certificate too many", |it, _| one_more(it), UNSOUND),
        ("a stranger among the signers", |it, _| stranger(it), Rejected::NoSuchSigner),
        ("another value", |it, _| it.change.what.claims[0].value = value(9), forged(0)),
        ("another position", |it, _| it.change.what.claims[0].index = Index::new(6), forged(0)),
        ("an earlier view", |it, _| it.change.what.claims[0].view = View::ZERO, forged(0)),
        ("commits", |it, group| commits(it, group), forged(0)),
        ("another state", |it, _| it.change.what.stable.checkpoint = checkpoint(4, 5), forged(0)),
        ("no proof of the state", |it, _| unproved(it), UNSOUND),
    ];
    for (name, lie, expected) in lies {
        let mut it = group.view_change(1);
        lie(&mut it, &group);
        let verifier = group.verifier();
        let taken = verifier.view_change(group.signed_again(&it), true).map(|_| ());
        assert_eq!(taken, Err(expected), "{name}");
        // Nor by one that has heard all there is to be heard.
        let knowing = group.verifier();
        knowing.view_change(group.view_change(1), true).unwrap();
        assert_eq!(knowing.view_change(group.signed_again(&it), true).map(|_| ()), Err(expected));
    }
}

const UNSOUND: Rejected = Rejected::Unsound;

const fn forged(by: u8) -> Rejected {
    Rejected::Forged(Slot::new(by))
}

fn two_signers(it: &mut SignedViewChange) {
    it.change.what.claims[0].signers = set(&[0, 1]);
    it.proofs.claims[0].signatures.pop();
}

fn twice(it: &mut SignedViewChange) {
    let signatures = &mut it.proofs.claims[0].signatures;
    signatures[2] = signatures[1];
}

fn one_less(it: &mut SignedViewChange) {
    it.proofs.claims[0].signatures.pop();
}

fn repeat_last(it: &mut SignedViewChange) {
    let last = it.proofs.claims[0].signatures[2];
    it.proofs.claims[0].signatures.push(last).unwrap();
}

fn one_more(it: &mut SignedViewChange) {
    let more = it.proofs.claims[0].clone();
    it.proofs.claims.push(more).unwrap();
}

fn stranger(it: &mut SignedViewChange) {
    it.change.what.claims[0].signers = set(&[0, 1, 2, 5]);
    repeat_last(it);
}

fn commits(it: &mut SignedViewChange, group: &Group) {
    let vote = Vote { phase: Phase::Commit, ..it.change.what.claims[0].vote() };
    it.proofs.claims[0] = group.certificate(vote, &[0, 1, 2]);
}

fn unproved(it: &mut SignedViewChange) {
    it.change.what.stable.signers = Members::NONE;
    it.proofs.stable = Certificate::default();
}

#[test]
fn every_flipped_bit_of_a_view_change_is_noticed() {
    let group = Group::of(4);
    let (verifier, it) = (group.verifier(), group.view_change(1));
    verifier.view_change(it.clone(), true).unwrap();
    let bytes = postcard::to_stdvec(&it).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = postcard::from_bytes::<SignedViewChange>(&flipped) {
            assert!(verifier.view_change(other, true).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_certificate_that_is_cut_short_is_nobodys() {
    let group = Group::of(4);
    let bytes = postcard::to_stdvec(&group.view_change(1)).unwrap();
    for length in 0..bytes.len() {
        assert!(postcard::from_bytes::<SignedViewChange>(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn what_was_checked_once_is_not_checked_again() {
    let group = Group::of(4);
    let verifier = group.verifier();
    verifier.view_change(group.view_change(1), true).unwrap();
    assert_eq!(verifier.checks().made, 1 + 3 + 2 * 3);
    verifier.view_change(group.view_change(1), true).unwrap();
    assert_eq!(verifier.checks().made, 10, "the same again");
    verifier.view_change(group.view_change(3), true).unwrap();
    assert_eq!(verifier.checks().made, 11, "another sender, the same certificates");
    verifier.new_view(group.new_view(&[0, 1, 3]), true).unwrap();
    assert_eq!(verifier.checks().made, 13, "a sender more, and the primary");
    assert_eq!(verifier.checks().spared, 10 + 9 + (9 + 10 + 10));
}

#[test]
fn a_view_change_of_votes_that_were_heard_costs_one_check() {
    let group = Group::of(4);
    let verifier = group.verifier();
    for claim in group.claims() {
        for by in claim.signers.iter() {
            verifier.message(*group.vote(by.number(), claim.vote()), true).unwrap();
        }
    }
    for by in 0..3 {
        verifier.message(*group.checkpoint(by, checkpoint(4, 4)), true).unwrap();
    }
    let before = verifier.checks().made;
    verifier.view_change(group.view_change(1), true).unwrap();
    assert_eq!(verifier.checks().made, before + 1);
}

#[test]
fn a_view_begins_with_the_view_changes_of_a_quorum() {
    let group = Group::of(4);
    let it = group.new_view(&[0, 1, 3]);
    let checked = group.verifier().new_view(it.clone(), true).unwrap();
    let said = checked.verified();
    assert_eq!((said.from(), said.message().view), (slot(2), View::new(2)));
    let senders: Members = said.message().changes.iter().map(|(from, _)| *from).collect();
    assert!(is_quorum(senders, group.roll.members()));
}

#[test]
fn a_view_does_not_begin_with_what_its_primary_made_up() {
    let group = Group::of(4);
    let sign = |it: &SignedNewView| {
        let signed =
            it.changes.iter().zip(it.proofs.iter()).map(|((from, what), (own, proofs))| {
                let change = Signed { from: *from, what: what.clone(), signature: *own };
                Checked(SignedViewChange { change, proofs: proofs.clone() })
            });
        let signed: Vec<_> = signed.collect();
        (*group.signers[2].new_view(it.view, &signed).unwrap()).clone()
    };
    let lies: [Fiction; 7] = [
        ("f+1 senders", |it| cut(it, 2), UNSOUND),
        ("a sender twice", |it| repeat_sender(it), UNSOUND),
        ("a sender twice beside a quorum", |it| add_sender(it), UNSOUND),
        ("a stranger", |it| it.changes[2].0 = slot(9), Rejected::NoSuchSigner),
        ("words of one under the name of another", |it| it.changes[2].0 = slot(2), forged(2)),
        ("a claim left out", |it| leave_out(it), forged(1)),
        ("a view change for another view", |it| it.changes[1].1.view = View::new(3), UNSOUND),
    ];
    for (name, lie, expected) in lies {
        let mut it = group.new_view(&[0, 1, 3]);
        lie(&mut it);
        assert_eq!(group.verifier().new_view(sign(&it), true).map(|_| ()), Err(expected), "{name}");
    }
}

fn cut(it: &mut SignedNewView, to: usize) {
    it.changes.truncate(to);
    it.proofs.truncate(to);
}

fn repeat_sender(it: &mut SignedNewView) {
    it.changes[2] = it.changes[1].clone();
    it.proofs[2] = it.proofs[1].clone();
}

fn add_sender(it: &mut SignedNewView) {
    it.changes.push(it.changes[1].clone()).unwrap();
    it.proofs.push(it.proofs[1].clone()).unwrap();
}

fn leave_out(it: &mut SignedNewView) {
    it.changes[1].1.claims.pop();
    it.proofs[1].1.claims.pop();
}

#[test]
fn what_the_primary_signed_is_not_changed_on_the_way() {
    let group = Group::of(4);
    let honest = group.new_view(&[0, 1, 3]);
    let lies: [Fiction; 6] = [
        ("another primary", |it| it.from = slot(3), UNSOUND),
        ("another order", |it| swap(it), forged(2)),
        ("a claim left out", |it| leave_out(it), forged(2)),
        ("a proof too few", |it| drop(it.proofs.pop()), UNSOUND),
        ("a proof too many", |it| one_proof_more(it), UNSOUND),
        ("proofs of one for another", |it| it.proofs.swap(0, 1), forged(0)),
    ];
    for (name, lie, expected) in lies {
        let mut it = honest.clone();
        lie(&mut it);
        assert_eq!(group.verifier().new_view(it, true).map(|_| ()), Err(expected), "{name}");
    }
}

fn swap(it: &mut SignedNewView) {
    it.changes.swap(0, 1);
    it.proofs.swap(0, 1);
}

fn one_proof_more(it: &mut SignedNewView) {
    it.proofs.push(it.proofs[0].clone()).unwrap();
}

// Two members may have learned of the same votes by other signatures: what the primary names must not
// depend on which of them it passes on.
#[test]
fn a_new_view_names_what_was_said_and_not_how_it_was_proved() {
    let group = Group::of(4);
    let honest = group.new_view(&[0, 1, 3]);
    let mut other = honest.clone();
    other.proofs[1].1 = other.proofs[0].1.clone();
    assert!(group.verifier().new_view(other, true).is_ok());
}

#[test]
fn a_checkpoint_needs_a_quorum_unless_the_group_began_with_it() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let stable = group.stable();
    let sign = |by: &[u8]| {
        let signatures = by.iter().map(|&by| group.checkpoint(by, stable.checkpoint).signature);
        Certificate { signatures: list(signatures) }
    };
    let honest = SignedStable { stable, certificate: sign(&[0, 1, 2]) };
    assert_eq!(verifier.stable(honest.clone(), true).unwrap().verified(), stable);
    let few = Stable { signers: set(&[0, 1]), ..stable };
    let lies = [
        (SignedStable { stable: few, certificate: sign(&[0, 1]) }, UNSOUND),
        (SignedStable { stable: few, ..honest.clone() }, UNSOUND),
        (SignedStable { certificate: sign(&[0, 1, 1]), ..honest.clone() }, forged(2)),
        (SignedStable { certificate: sign(&[0, 2, 1]), ..honest.clone() }, forged(1)),
        (SignedStable { certificate: sign(&[0, 1]), ..honest.clone() }, UNSOUND),
        (SignedStable { certificate: sign(&[0, 1, 2, 3]), ..honest.clone() }, UNSOUND),
    ];
    for (lie, expected) in lies {
        assert_eq!(verifier.stable(lie, true).map(|_| ()), Err(expected));
    }
    let floor = Stable { checkpoint: group.config.floor, signers: Members::NONE };
    let begun = SignedStable { stable: floor, certificate: Certificate::default() };
    assert!(verifier.stable(begun, true).is_ok());
}

#[test]
fn what_was_written_to_the_disk_is_checked_like_everything_else() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let prepared = group.claims()[0];
    let certificate = group.certificate(prepared.vote(), &[0, 1, 2]);
    let honest = SignedPrepared { prepared, certificate };
    assert!(verifier.prepared(honest.clone()).is_ok());
    let mut other = honest.clone();
    other.prepared.value = value(1);
    assert_eq!(verifier.prepared(other).map(|_| ()), Err(forged(0)));
    let mut few = honest;
    few.prepared.signers = set(&[0, 1]);
    few.certificate.signatures.pop();
    assert_eq!(verifier.prepared(few).map(|_| ()), Err(UNSOUND));
}

// Five members tolerate one liar, and need four: three, which is 2f+1, could be met by three others
// in the liar alone.
#[test]
fn five_members_need_four_signers() {
    let group = Group::of(5);
    for (signers, is_enough) in [(&[0, 1, 2][..], false), (&[0, 1, 2, 3], true)] {
        let prepared = prepared(1, 5, 5, signers);
        let it =
            SignedPrepared { prepared, certificate: group.certificate(prepared.vote(), signers) };
        assert_eq!(group.verifier().prepared(it).is_ok(), is_enough);
    }
}
