//! What a vault keeps, what it lets go, and what nobody can make it lose.

use super::*;
use quorate::pbft::{Evidence, Status};

#[test]
fn a_certificate_of_kept_votes_convinces_others() {
    let group = Group::of(4);
    let mut vault = group.vault();
    let claim = prepared(1, 5, 5, &[0, 2, 3]);
    for by in [0, 2] {
        assert_eq!(vault.keep(&group.vote(by, claim.vote())), Kept::New);
    }
    assert_eq!(vault.keep(&group.vote(3, prepare(1, 5, 6))), Kept::New);
    assert_eq!(vault.certificate(&claim), None, "member 3 has voted for another value");
    assert_eq!(vault.keep(&group.vote(1, claim.vote())), Kept::New);
    assert_eq!(vault.certificate(&claim), None, "and nobody stands in for it");
    let claim = prepared(1, 5, 5, &[0, 1, 2]);
    let certificate = vault.certificate(&claim).unwrap();
    let it = SignedPrepared { prepared: claim, certificate };
    assert!(group.verifier().prepared(it).is_ok());
    let commit = Vote { phase: Phase::Commit, ..prepare(1, 6, 5) };
    (0..3).for_each(|by| assert_eq!(vault.keep(&group.vote(by, commit)), Kept::New));
    assert_eq!(vault.certificate(&prepared(1, 6, 5, &[0, 1, 2])), None, "commits are no prepares");
}

#[test]
fn a_checkpoint_of_kept_signatures_convinces_others() {
    let group = Group::of(4);
    let mut vault = group.vault();
    for by in 0..2 {
        assert_eq!(vault.keep(&group.checkpoint(by, checkpoint(4, 4))), Kept::New);
    }
    assert_eq!(vault.keep(&group.checkpoint(2, checkpoint(4, 5))), Kept::New);
    assert_eq!(vault.hold_stable(&group.stable()), None, "member 2 has another state");
    assert_eq!(vault.keep(&group.checkpoint(3, checkpoint(4, 4))), Kept::New);
    let stable = Stable { signers: set(&[0, 1, 3]), ..group.stable() };
    let it = vault.hold_stable(&stable).unwrap();
    assert_eq!(vault.stable(), Some(&it));
    assert!(group.verifier().stable(it, true).is_ok());
    assert_eq!(vault.hold_stable(&stable), vault.stable().cloned(), "again, from what is held");
    let floor = Stable { checkpoint: group.config.floor, signers: Members::NONE };
    assert_eq!(group.vault().stable_certificate(&floor), Some(Certificate::default()));
}

#[test]
fn a_stable_checkpoint_from_elsewhere_takes_the_place_of_what_is_below_it() {
    let group = Group::of(4);
    let proof = group.busy_vault().stable().unwrap().clone();
    let checked = group.verifier().stable(proof.clone(), true).unwrap();
    let mut vault = group.vault();
    let vote = group.vote(1, prepare(0, 4, 1));
    assert_eq!(vault.keep(&vote), Kept::New);
    assert_eq!(vault.keep(&group.vote(1, prepare(0, 12, 1))), Kept::Refused);
    vault.keep_ahead(checked.clone());
    assert_eq!(vault.keep(&vote), Kept::Before, "the machine may still get there by itself");
    assert_eq!(vault.hold_stable(&proof.stable), Some(proof.clone()));
    assert_eq!(vault.stable(), Some(&proof));
    assert_eq!(vault.keep_stable(checked), Kept::Refused, "it is not newer than itself");
    assert_eq!((vault.len(), vault.keep(&vote)), (3, Kept::Refused));
    assert_eq!(vault.keep(&group.vote(1, prepare(0, 12, 1))), Kept::New, "the window has moved");
}

#[test]
fn the_proof_in_a_view_change_outlives_it() {
    let group = Group::of(4);
    let mut vault = group.vault();
    vault.enter(View::new(2));
    let mut later = group.view_change(1);
    let first = Arc::new(Checked(later.clone()));
    later.change.what.view = View::new(3);
    later.change.what.stable = Stable { checkpoint: group.config.floor, signers: Members::NONE };
    later.proofs.stable = Certificate::default();
    assert_eq!(vault.keep_view_change(&first), Kept::New);
    assert_eq!(vault.keep_view_change(&Arc::new(Checked(later))), Kept::New);
    assert_eq!(vault.stable_certificate(&group.stable()), Some(first.proofs.stable.clone()));
    let mut old = group.view_change(2);
    old.change.what.view = View::new(1);
    assert_eq!(
        vault.keep_view_change(&Arc::new(Checked(old))),
        Kept::Refused,
        "of a view that was left"
    );
}

#[test]
fn claims_outlive_their_view_until_a_checkpoint_or_a_later_claim() {
    let group = Group::of(4);
    let mut vault = group.busy_vault();
    let [five, seven] = group.claims();
    assert!(vault.certificate(&five).is_some() && vault.certificate(&seven).is_some());
    assert_eq!(
        vault.keep(&group.vote(0, seven.vote())),
        Kept::Refused,
        "votes of a view that was left"
    );
    let later = prepared(2, 5, 51, &[0, 1, 3]);
    for by in [0, 1, 3] {
        assert_eq!(vault.keep(&group.vote(by, later.vote())), Kept::New);
    }
    assert!(vault.certificate(&five).is_some(), "the later one is not prepared yet");
    vault.hold(&later).unwrap();
    assert_eq!(vault.certificate(&five), None);
    vault.enter(View::new(3));
    assert!(vault.certificate(&later).is_some() && vault.certificate(&seven).is_some());
    let old =
        SignedPrepared { prepared: five, certificate: group.certificate(five.vote(), &[0, 1, 2]) };
    assert_eq!(vault.keep_prepared(Checked(old)), Kept::Refused, "nor does an old one come back");
    for by in 0..3 {
        assert_eq!(vault.keep(&group.checkpoint(by, checkpoint(8, 8))), Kept::New);
    }
    let stable = Stable { checkpoint: checkpoint(8, 8), signers: set(&[0, 1, 2]) };
    vault.hold_stable(&stable).unwrap();
    assert_eq!((vault.certificate(&later), vault.certificate(&seven)), (None, None));
}

#[test]
fn a_view_change_can_be_proved_again_after_a_checkpoint_above_its_claims() {
    let group = Group::of(4);
    let (mut vault, own) = (group.busy_vault(), group.view_change(0));
    assert_eq!(vault.keep_view_change(&Arc::new(Checked(own.clone()))), Kept::New);
    for by in 0..3 {
        assert_eq!(vault.keep(&group.checkpoint(by, checkpoint(8, 8))), Kept::New);
    }
    vault.hold_stable(&Stable { checkpoint: checkpoint(8, 8), signers: set(&[0, 1, 2]) }).unwrap();
    assert_eq!(vault.proofs(&own.change.what), Some(own.proofs));
}

#[test]
fn a_vault_comes_back_from_the_disk() {
    let group = Group::of(4);
    let (vault, verifier) = (group.busy_vault(), group.verifier());
    let mut next = group.vault();
    let stable = verifier.stable(vault.stable().unwrap().clone(), true).unwrap();
    assert_eq!(next.keep_stable(stable), Kept::New);
    for prepared in group.claims() {
        let certificate = vault.certificate(&prepared).unwrap();
        let it = verifier.prepared(SignedPrepared { prepared, certificate }).unwrap();
        assert_eq!(next.keep_prepared(it), Kept::New);
    }
    let change = group.view_change(1);
    assert_eq!(next.proofs(&change.change.what), Some(change.proofs));
}

#[test]
fn two_votes_of_one_member_are_kept_as_two_signed_statements() {
    let group = Group::of(4);
    let (mut vault, verifier) = (group.vault(), group.verifier());
    let [first, second, third] = [5, 6, 7].map(|of| prepare(1, 5, of));
    assert_eq!(vault.keep(&group.vote(3, first)), Kept::New);
    assert_eq!(vault.keep(&group.vote(3, first)), Kept::Before);
    assert_eq!(vault.accusation(&Evidence::Votes { by: slot(3), first, second }), None);
    for second in [second, third] {
        assert_eq!(vault.keep(&group.vote(3, second)), Kept::Contradiction);
        let evidence = Evidence::Votes { by: slot(3), first, second };
        let accusation = vault.accusation(&evidence).unwrap();
        assert_eq!(accusation.evidence(), Some(evidence));
        assert!(verifier.accusation(accusation, true).is_ok());
        assert_eq!(vault.accusation(&Evidence::Votes { by: slot(2), first, second }), None);
    }
    let [first, second] = [4, 5].map(|of| checkpoint(4, of));
    assert_eq!(vault.keep(&group.checkpoint(3, first)), Kept::New);
    assert_eq!(vault.keep(&group.checkpoint(3, second)), Kept::Contradiction);
    let evidence = Evidence::Checkpoints { by: slot(3), first, second };
    assert!(verifier.accusation(vault.accusation(&evidence).unwrap(), true).is_ok());
}

#[test]
fn the_first_vote_of_a_member_stays_whatever_it_says_later() {
    let group = Group::of(4);
    let mut vault = group.vault();
    let claim = prepared(1, 5, 5, &[1, 2, 3]);
    for by in [1, 2, 3] {
        assert_eq!(vault.keep(&group.vote(by, claim.vote())), Kept::New);
    }
    assert_eq!(vault.keep(&group.vote(3, prepare(1, 5, 6))), Kept::Contradiction);
    assert!(vault.certificate(&claim).is_some());
}

#[test]
fn a_member_has_one_view_change_its_newest() {
    let group = Group::of(4);
    let mut vault = group.vault();
    let first = group.view_change(1);
    let mut other = first.clone();
    other.change.what.claims.pop();
    let other = Arc::new(Checked(group.signed_again(&other)));
    let mut later = first.clone();
    later.change.what.view = View::new(3);
    let later = Arc::new(Checked(group.signed_again(&later)));
    let first = Arc::new(Checked(first));
    assert_eq!(vault.keep_view_change(&first), Kept::New);
    assert_eq!(vault.keep_view_change(&first), Kept::Before);
    let evidence = |view| Evidence::ViewChanges { by: slot(1), view: View::new(view) };
    assert_eq!(vault.accusation(&evidence(2)), None);
    assert_eq!(vault.keep_view_change(&other), Kept::Contradiction);
    let accusation = vault.accusation(&evidence(2)).unwrap();
    assert!(group.verifier().accusation(accusation, true).is_ok());
    assert_eq!(vault.accusation(&evidence(3)), None);
    assert_eq!(vault.view_change(slot(1)), Some(&first), "the first counts");
    assert_eq!(vault.keep_view_change(&later), Kept::New);
    assert_eq!(vault.keep_view_change(&first), Kept::Refused);
    assert_eq!(vault.view_change(slot(1)), Some(&later));
    assert_eq!(vault.accusation(&evidence(3)), None, "what is left of an older lie accuses nobody");
}

#[test]
fn what_a_view_began_with_is_kept_as_it_was_signed() {
    let group = Group::of(4);
    let mut vault = group.vault();
    let first = Arc::new(Checked(group.new_view(&[0, 1, 3])));
    let other = Arc::new(Checked(group.new_view(&[0, 1, 2])));
    assert_eq!(vault.keep_new_view(Arc::clone(&first)), Kept::New);
    assert_eq!(vault.keep_new_view(other), Kept::Before);
    assert_eq!(vault.new_view(), Some(&first));
    let mut later = group.new_view(&[0, 1, 2]);
    later.view = View::new(6);
    assert_eq!(vault.keep_new_view(Arc::new(Checked(later))), Kept::New);
    assert_eq!(vault.keep_new_view(first), Kept::Refused);
}

#[test]
fn nothing_is_kept_of_who_is_no_member_or_of_what_nobody_will_ask_for() {
    let group = Group::of(4);
    let mut vault = group.vault();
    let stranger = Group::of(5).vote(4, prepare(0, 1, 1));
    assert_eq!(vault.keep(&stranger), Kept::Refused);
    let (view, committed, prepared) = (View::ZERO, Index::ZERO, Index::ZERO);
    let changes = Members::NONE;
    let status = Status { view, is_active: true, changes, stable: committed, committed, prepared };
    assert_eq!(vault.keep(&group.signers[1].message(Message::Status(status))), Kept::Before);
    for index in [0, u64::from(SLOTS) + 1, u64::MAX] {
        assert_eq!(vault.keep(&group.vote(1, prepare(0, index, 1))), Kept::Refused, "{index}");
    }
    assert_eq!(vault.keep(&group.checkpoint(1, checkpoint(0, 1))), Kept::Refused);
    assert!(vault.is_empty());
}

/// Everything that a member could say, without its key: only the number matters here.
fn flood(group: &Group, vault: &mut Vault, by: u8) {
    let signature = Signature::from_bytes(&[by; 64]);
    let mut say = |what| {
        let _ = vault.keep(&Checked(Signed { from: slot(by), what, signature }));
    };
    for view in [9, 1, u64::MAX, 10, 11] {
        for index in 0..=u64::from(SLOTS) + 1 {
            for phase in [Phase::Prepare, Phase::Commit] {
                for of in [1, 2] {
                    say(Message::Vote(Vote { phase, ..prepare(view, index, of) }));
                }
            }
        }
    }
    (0..1_000).rev().for_each(|index| say(Message::Checkpoint(checkpoint(index, 1))));
    for view in [9, 3, 9, u64::MAX, u64::MAX, 12] {
        for of in [1, 2] {
            let change = full_change(group, by, view, of);
            let _ = vault.keep_view_change(&Arc::new(Checked(change)));
        }
    }
}

/// As large as a view change can be.
fn full_change(group: &Group, by: u8, view: u64, of: u8) -> SignedViewChange {
    let members = group.roll.members();
    let signature = Signature::from_bytes(&[by; 64]);
    let certificate = Certificate { signatures: list(vec![signature; members.len()]) };
    let claim = |at| Prepared { signers: members, ..prepared(1, u64::from(at), of, &[]) };
    let (stable, claims) =
        (Stable { signers: members, ..group.stable() }, list((1..=SLOTS).map(claim)));
    let proofs =
        Proofs { stable: certificate.clone(), claims: list(vec![certificate; SLOTS as usize]) };
    let what = ViewChange { view: View::new(view), stable, claims };
    SignedViewChange { change: Signed { from: slot(by), what, signature }, proofs }
}

#[test]
fn a_flood_of_one_member_costs_the_others_nothing() {
    let group = Group::of(4);
    let mut vault = group.vault();
    let claim = prepared(1, 5, 5, &[0, 1, 2]);
    let honest = Arc::new(Checked(group.view_change(1)));
    // The liar has voted too, and was counted.
    let counted = prepared(1, 5, 5, &[0, 1, 3]);
    assert_eq!(vault.keep(&group.vote(3, counted.vote())), Kept::New);
    flood(&group, &mut vault, 3);
    for by in 0..3 {
        assert_eq!(vault.keep(&group.vote(by, claim.vote())), Kept::New);
        assert_eq!(vault.keep(&group.checkpoint(by, checkpoint(4, 4))), Kept::New);
    }
    assert_eq!(vault.keep_view_change(&honest), Kept::New);
    flood(&group, &mut vault, 3);
    assert!(vault.certificate(&claim).is_some());
    assert!(vault.certificate(&counted).is_some(), "nor does it take back what was counted");
    assert!(vault.stable_certificate(&group.stable()).is_some());
    assert_eq!(vault.view_change(slot(1)), Some(&honest));
}

#[test]
fn a_vault_never_holds_more_than_it_says_and_can_hold_as_much() {
    let group = Group::of(4);
    let most = Vault::most(&group.config);
    let mut vault = group.vault();
    let claim = |index| Prepared { signers: group.roll.members(), ..prepared(1, index, 1, &[]) };
    for index in 1..=u64::from(SLOTS) {
        let certificate = group.certificate(claim(index).vote(), &[0, 1, 2, 3]);
        let it = SignedPrepared { prepared: claim(index), certificate };
        let _ = vault.keep_prepared(Checked(it));
        assert!(vault.len() <= most);
    }
    for by in 0..4 {
        flood(&group, &mut vault, by);
        assert!(vault.len() <= most);
    }
    let changes: Vec<_> = (0..4).map(|by| Checked(full_change(&group, by, 9, 1))).collect();
    let new_view = group.signers[2].new_view(View::new(9), &changes).unwrap();
    assert_eq!(vault.keep_new_view(Arc::new(new_view)), Kept::New);
    // All but the proof of a stable checkpoint, which would have let go of what is below it.
    assert_eq!(vault.len(), most - group.roll.members().len());
}

#[test]
fn a_megabyte_is_enough_for_four_members_on_a_local_network() {
    let config = Config::lan(slot(0), Members::first(4), 1);
    assert_eq!(Vault::most(&config), 15_465);
}
