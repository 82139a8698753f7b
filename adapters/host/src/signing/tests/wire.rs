//! What is read from outside ends at its limits, and fits a frame.

use super::*;
use crate::frame::{self, Kind};
use quorate::limits;
use quorate::pbft::Evidence;
use quorate::quorum;
use quorate::rng::Rng;

#[test]
fn a_list_that_is_longer_than_its_limit_is_refused_while_it_is_read() {
    let signature = Signature::from_bytes(&[7; 64]);
    let whole = vec![signature; limits::MOST.members];
    let read = |of: &[Signature]| {
        postcard::from_bytes::<Certificate>(&postcard::to_stdvec(of).unwrap()).map(|_| ())
    };
    assert!(read(&whole).is_ok());
    assert!(read(&[&whole[..], &[signature]].concat()).is_err());
    let proofs = vec![Certificate::default(); limits::SLOTS + 1];
    let bytes = postcard::to_stdvec(&(Certificate::default(), proofs)).unwrap();
    assert!(postcard::from_bytes::<Proofs>(&bytes).is_err());
    let command = vec![0_u8; frame::MOST_REQUEST + 1];
    let bytes = postcard::to_stdvec(&(1_u64, 1_u64, command, signature)).unwrap();
    assert!(postcard::from_bytes::<Request>(&bytes).is_err());
}

#[test]
fn nothing_that_comes_in_breaks_a_verifier() {
    let group = Group::of(4);
    let verifier = group.verifier();
    let samples = [
        postcard::to_stdvec(&group.view_change(1)).unwrap(),
        postcard::to_stdvec(&group.new_view(&[0, 1, 3])).unwrap(),
        postcard::to_stdvec(&*group.vote(1, prepare(1, 5, 5))).unwrap(),
    ];
    let mut rng = Rng::new(7);
    for round in 0..3_000 {
        let mut bytes = samples[round % 3].clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.draw() as u8;
        }
        bytes.truncate(rng.below(bytes.len() as u64 * 4) as usize);
        if let Ok(it) = postcard::from_bytes(&bytes) {
            let _ = verifier.view_change(it, true);
        }
        if let Ok(it) = postcard::from_bytes(&bytes) {
            let _ = verifier.new_view(it, true);
        }
        if let Ok(it) = postcard::from_bytes(&bytes) {
            let _ = verifier.stable(it, true);
        }
        if let Ok(it) = postcard::from_bytes(&bytes) {
            let _ = verifier.accusation(it, true);
        }
    }
}

/// What a view begins with at its largest: from so many senders, with so many signers of each claim.
fn largest(senders: u8, signers: usize) -> SignedNewView {
    let signature = Signature::from_bytes(&[0xff; 64]);
    let certificate = Certificate { signatures: list(vec![signature; signers]) };
    let claim =
        |at| Prepared { signers: Members::first(signers), ..prepared(u64::MAX, at, 1, &[]) };
    let claims: Claims = list((0..limits::SLOTS as u64).map(|at| claim(u64::MAX - at)));
    let proofs =
        Proofs { stable: certificate.clone(), claims: list(vec![certificate; limits::SLOTS]) };
    let stable = Stable { checkpoint: checkpoint(u64::MAX, 1), signers: Members::first(signers) };
    let change = ViewChange { view: View::new(u64::MAX), stable, claims };
    SignedNewView {
        from: slot(31),
        view: View::new(u64::MAX),
        changes: list((0..senders).map(|from| (slot(from), change.clone()))),
        proofs: list((0..senders).map(|_| (signature, proofs.clone()))),
        signature,
    }
}

#[test]
fn what_a_view_begins_with_fits_a_frame_for_as_many_members_as_there_may_be() {
    let members = limits::SERVER.members;
    let quorum = quorum::byzantine(members);
    let senders = u8::try_from(quorum).unwrap();
    let whole = frame::encode(Kind::Member, GroupId::new(1), &largest(senders, quorum));
    assert!(whole.is_ok());
    // A quorum of senders, each with everybody's signatures, fits too.
    let whole = frame::encode(Kind::Member, GroupId::new(1), &largest(senders, members));
    assert!(whole.is_ok());
}

#[test]
fn an_accusation_says_what_the_machine_said() {
    let group = Group::of(4);
    let [first, second] = [5, 6].map(|of| prepare(1, 5, of));
    let accusation = Accusation::Messages(*group.vote(3, first), *group.vote(3, second));
    let bytes = postcard::to_stdvec(&accusation).unwrap();
    let read: Accusation = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(read.evidence(), Some(Evidence::Votes { by: slot(3), first, second }));
}
