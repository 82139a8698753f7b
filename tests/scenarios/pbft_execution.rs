//! What is executed, what is proved of it, and who is accused: scenarios 33 to 40 and 49 of the field.
//!
//! Above this machine stand 32 and 34, how a client's request is signed and how many answers it needs;
//! below it 46, for there is no fast path; and beside it 48, for the members of a group are fixed.

use crate::council::*;
use quorate::rng::Rng;

// fabric PR#1485 and others: a request was ordered at two positions, and executed twice.
#[test]
fn a_request_that_is_ordered_twice_is_executed_once() {
    let mut c = group(4);
    c.crash(Slot::new(0), 0);
    for (index, number) in [(1, 1), (2, 1), (3, 2)] {
        let value = Value { digest: payload(number), ..value(&c, index) };
        for phase in [Phase::Prepare, Phase::Commit] {
            c.lie(0, members([1, 2, 3]), vote(phase, 0, index, value));
        }
    }
    c.settle();
    for slot in 1..4 {
        assert_eq!(c.executed(slot), payloads([1, 2]), "{slot}: {}", c.story());
        assert_eq!(c.machine(slot).executed.len(), 3, "and the second time is nothing");
    }
}

// bcos-pbft FIB-128: what was decided first was executed first.
#[test]
fn what_is_decided_is_told_in_order_of_positions() {
    let mut c = Alone::new(4, 1);
    let value = |number| Alone::new(4, 1).value(number);
    for index in [3, 2] {
        c.votes([0, 2, 3], Phase::Commit, 0, index, value(index));
    }
    assert_eq!(c.decided(), []);
    c.votes([0, 2, 3], Phase::Commit, 0, 1, value(1));
    assert_eq!(c.decided(), [(1, value(1)), (2, value(2)), (3, value(3))]);
}

/// A member of four that has decided eight positions, and not executed them.
fn has_decided() -> Alone {
    let mut c = Alone::new(4, 1);
    for index in 1..=8 {
        let value = c.value(index);
        c.votes([0, 2, 3], Phase::Commit, 0, index, value);
    }
    c
}

// BFT-SMaRt#73: a member with another state than all others never learned of it.
#[test]
fn a_member_whose_state_is_not_that_of_a_correct_one_is_told() {
    let mut c = has_decided();
    let told = |c: &Alone| {
        let of = |it: &Output| match it {
            Output::Diverged { mine, theirs } => Some((*mine, *theirs)),
            _ => None,
        };
        c.said.iter().filter_map(of).collect::<Vec<_>>()
    };
    c.tell(Input::Checkpointed(checkpoint(8, 1))).expect("it is due");
    c.hears(2, Message::Checkpoint(checkpoint(8, 2)));
    c.hears(3, Message::Checkpoint(checkpoint(8, 3)));
    assert_eq!(told(&c), [], "each of them may be a liar");
    c.hears(0, Message::Checkpoint(checkpoint(8, 2)));
    assert_eq!(told(&c), [(checkpoint(8, 1), checkpoint(8, 2))]);
    assert_eq!(c.machine.stable().checkpoint.index, Index::ZERO, "no quorum has either");
}

// The same, where the proof comes from elsewhere.
#[test]
fn a_member_whose_state_is_not_the_proved_one_is_told() {
    let mut c = has_decided();
    c.tell(Input::Checkpointed(checkpoint(8, 1))).expect("it is due");
    c.tell(Input::Stable(stable(8, 2, [0, 2, 3]))).expect("it may come");
    assert!(c.said.iter().any(|it| matches!(it, Output::Diverged { .. })));
    assert_eq!(c.machine.stable().checkpoint, checkpoint(8, 2));
}

// CometBFT GHSA-g5xx-c4hv-9ccc, bcos-pbft FIB-127: a state was believed that nobody had proved.
#[test]
fn a_state_without_a_quorum_behind_it_is_not_believed() {
    let mut c = has_decided();
    for proof in [stable(8, 1, [0, 2]), stable(8, 1, [3]), stable(8, 1, [2, 3, 9])] {
        c.tell(Input::Stable(proof)).expect("it may come");
    }
    for from in [2, 3] {
        c.hears(from, Message::Checkpoint(checkpoint(8, 1)));
    }
    c.pass(Span::secs(1));
    assert_eq!(c.machine.stable().checkpoint.index, Index::ZERO);
    c.tell(Input::Checkpointed(checkpoint(8, 1))).expect("it is due");
    assert_eq!(c.machine.stable(), stable(8, 1, [1, 2, 3]));
}

// concord-bft PR#1489: a proof named a member that had never been asked to sign, and nobody believed it.
#[test]
fn whoever_stands_behind_a_proof_has_said_so() {
    let mut c = has_decided();
    for from in [2, 3] {
        c.hears(from, Message::Checkpoint(checkpoint(8, 1)));
    }
    c.tell(Input::Checkpointed(checkpoint(8, 1))).expect("it is due");
    assert_eq!(c.machine.stable(), stable(8, 1, [1, 2, 3]));
    let message = Message::Checkpoint(checkpoint(8, 1));
    assert!(c.said.contains(&Output::Send { to: members([0, 2, 3]), message }));
}

// concord-bft PR#927, fabric PR#1877: whoever fell behind what the others had let go was refused for
// ever.
#[test]
fn who_lags_behind_what_the_others_have_let_go_of_gets_the_state() {
    let mut c = group(4);
    c.part(&[3], &[0, 1, 2]);
    request(&mut c, 1..=40);
    c.settle();
    assert_eq!(c.machine(0).machine.stable().checkpoint.index, Index::new(40));
    c.heal();
    c.pass(Span::secs(3));
    assert_eq!(c.executed(3), payloads(1..=40), "{}", c.story());
    assert_eq!(c.machine(3).machine.stable().checkpoint.index, Index::new(40));
}

// The answer is the proof, to whoever says that it is behind.
#[test]
fn who_says_that_it_is_behind_is_answered_with_the_proof() {
    let mut c = has_decided();
    let proof = stable(8, 1, [0, 2, 3]);
    c.tell(Input::Stable(proof)).expect("it may come");
    c.votes([0], Phase::Prepare, 0, 3, c.value(3));
    assert_eq!(c.ignored(), Some(Ignored::Stale), "what lies below is let go of");
    let status = Status {
        view: View::ZERO,
        is_active: true,
        changes: Members::NONE,
        stable: Index::ZERO,
        committed: Index::ZERO,
        prepared: Index::ZERO,
    };
    c.hears(3, Message::Status(status));
    let answer = Output::SendStable { to: members([3]), stable: proof };
    assert!(c.said.contains(&answer));
    let said = c.said.len();
    (0..100).for_each(|_| c.hears(3, Message::Status(status)));
    assert_eq!(c.said.len(), said, "and not more often than anything is said again");
}

// CometBFT#1749: evidence that proved nothing had innocents punished.
#[test]
fn evidence_is_two_statements_that_no_correct_member_makes_both() {
    let value = |number| Alone::new(4, 0).value(number);
    let vote = |phase, view, index, number| Vote {
        phase,
        view: View::new(view),
        index: Index::new(index),
        value: value(number),
    };
    let by = Slot::new(3);
    let first = vote(Phase::Prepare, 1, 1, 1);
    for (second, is_sound) in [
        (vote(Phase::Prepare, 1, 1, 2), true),
        (vote(Phase::Prepare, 1, 1, 1), false),
        (vote(Phase::Commit, 1, 1, 2), false),
        (vote(Phase::Prepare, 2, 1, 2), false),
        (vote(Phase::Prepare, 1, 2, 2), false),
    ] {
        assert_eq!(Evidence::Votes { by, first, second }.is_sound(), is_sound, "{second:?}");
    }
    let first = checkpoint(8, 1);
    for (second, is_sound) in
        [(checkpoint(8, 2), true), (checkpoint(8, 1), false), (checkpoint(16, 2), false)]
    {
        assert_eq!(Evidence::Checkpoints { by, first, second }.is_sound(), is_sound);
    }
}

// The same at the source: whatever a correct member may say in two views is held against nobody.
#[test]
fn who_votes_for_another_value_in_another_view_is_accused_of_nothing() {
    let mut c = Alone::new(4, 1);
    for view in [0, 4] {
        let value = c.value(view);
        if view > 0 {
            let changes = [0, 2, 3].map(|it| (Slot::new(it), change(view, [])));
            let new_view = NewView { view: View::new(view), changes: &changes };
            let _ = c.tell(Input::NewView(Verified::attest(Slot::new(0), new_view)));
        }
        c.votes([0, 2], Phase::Prepare, view, 1, value);
        c.votes([2, 2], Phase::Commit, view, 1, value);
    }
    c.hears(2, Message::Checkpoint(checkpoint(8, 1)));
    c.hears(2, Message::Checkpoint(checkpoint(16, 2)));
    assert_eq!(c.voted().len(), 4);
    assert_eq!((c.evidence(), c.machine.accused()), (vec![], Members::NONE));
}

// tari-ootle PR#2649: a second vote took the first one out of the count.
#[test]
fn who_contradicts_itself_keeps_its_first_vote_and_is_accused_once() {
    let mut c = Alone::new(4, 1);
    let (one, other) = (c.value(1), c.value(2));
    c.votes([0], Phase::Prepare, 0, 1, one);
    c.votes([3], Phase::Commit, 0, 1, one);
    (0..100).for_each(|_| c.votes([3], Phase::Commit, 0, 1, other));
    assert_eq!(c.evidence().len(), 1);
    c.votes([0, 2], Phase::Commit, 0, 1, one);
    assert_eq!(c.decided(), [(1, one)]);
}

// A state that was said first counts, too; and a liar's two states are proof.
#[test]
fn who_signs_two_states_keeps_its_first_and_is_accused() {
    let mut c = has_decided();
    c.hears(3, Message::Checkpoint(checkpoint(8, 1)));
    c.hears(3, Message::Checkpoint(checkpoint(8, 2)));
    let by = Slot::new(3);
    let (first, second) = (checkpoint(8, 1), checkpoint(8, 2));
    assert_eq!(c.evidence(), [Evidence::Checkpoints { by, first, second }]);
    c.hears(2, Message::Checkpoint(checkpoint(8, 2)));
    c.hears(0, Message::Checkpoint(checkpoint(8, 2)));
    assert_eq!(c.machine.stable().checkpoint.index, Index::ZERO);
}

// CometBFT GHSA-p7mv-53f2-4cwj, GHSA-hrhf-2vcr-ghch, GHSA-qr8r-m495-7hc4: what a peer sent was a panic.
#[test]
fn nothing_that_three_others_can_say_ends_a_member() {
    let mut rng = Rng::new(49);
    let numbers = [0, 1, 2, 3, 7, 8, 9, 16, 17, 24, 1 << 32, u64::MAX - 1, u64::MAX];
    let mut c = Alone::new(4, 1);
    for round in 0..20_000 {
        let mut any = || numbers[rng.below(numbers.len() as u64) as usize];
        let (view, index, other) = (View::new(any()), Index::new(any()), Index::new(any()));
        let value = Value { digest: payload(any() % 3), stamp: c.value(any() % 4).stamp };
        let state = checkpoint(any(), any() as u8);
        let signers = Members::from_bits(any() as u32);
        let proof = Stable { checkpoint: state, signers };
        let mut left = change(view.number(), []);
        left.stable = if any() % 2 == 0 { proof } else { left.stable };
        for _ in 0..any() % 4 {
            let claim = prepared(any(), any(), value, [0, 2, 3]);
            let _ = left.claims.push(claim);
        }
        let from = Slot::new(any() as u8);
        let phase = if any() % 2 == 0 { Phase::Prepare } else { Phase::Commit };
        let message = match any() % 4 {
            0 => Message::Checkpoint(state),
            1 => {
                let (is_active, changes) = (any() % 2 == 0, signers);
                Message::Status(Status {
                    view,
                    is_active,
                    changes,
                    stable: index,
                    committed: other,
                    prepared: index,
                })
            }
            _ => Message::Vote(Vote { phase, view, index, value }),
        };
        let changes = [0, 2, 3].map(|it| (Slot::new(it), left.clone()));
        let _ = match round % 6 {
            0 => c.tell(Input::ViewChange(Verified::attest(from, &left))),
            1 => {
                let new_view = NewView { view, changes: &changes };
                c.tell(Input::NewView(Verified::attest(c.machine.primary_of(view), new_view)))
            }
            2 if round % 60 == 2 => c.tell(Input::Stable(proof)),
            _ => c.tell(Input::Message { message: Verified::attest(from, message), is_here: true }),
        };
        if round % 7 == 0 {
            c.pass(Span::millis(40));
        }
        c.said.clear();
        c.events.clear();
        if round % 500 == 499 {
            c = Alone::new(4, (round / 500 % 4) as u8);
        }
    }
}
