//! Some seeds keep the promises, each oracle sees what breaks its promise, and more liars than tolerated do.

use super::heard::Heard;
use super::marks::{Mark, Marks};
use super::oracle::{Oracle, Verdict};
use super::run;
use crate::pbft::{Book, What, payload};
use quorate::Machine;
use quorate::hlc::Stamp;
use quorate::id::{Index, Members, Slot, View};
use quorate::pbft::{
    Checkpoint, Claims, Config, Evidence, Message, Pbft, Phase, Prepared, Stable, Status, Value,
    Verified, ViewChange, Vote,
};
use quorate::time::Now;

#[test]
fn some_seeds_keep_what_byzantine_groups_promise() {
    let mut marks = Marks::default();
    for seed in 0..12 {
        let report = run(seed, None, false);
        assert_eq!(report.broken, None, "{seed}");
        marks.add(&report.marks);
    }
    let seen = [Mark::Crash, Mark::LostWrites, Mark::Part, Mark::ViewEntered, Mark::Carried];
    let lied = [Mark::Lied, Mark::Forged, Mark::TwoVotes, Mark::TwoChanges, Mark::Fetch];
    for mark in seen.into_iter().chain(lied) {
        assert!(marks.count(mark) > 0, "{mark:?}");
    }
    assert_eq!(marks.count(Mark::Healed), 12);
}

#[test]
fn a_seed_is_one_run() {
    let run = |seed| run(seed, None, false);
    assert_eq!((run(7).events, run(7).hash), (run(7).events, run(7).hash));
    assert_ne!(run(7).hash, run(8).hash);
}

/// The negative control: what the oracles are for does happen where too many lie.
#[test]
fn one_liar_more_than_tolerated_makes_correct_members_disagree_within_few_seeds() {
    let found = (0..NEGATIVE).filter_map(|seed| run(seed, Some(2), false).broken);
    let promises: Vec<_> = found.map(|it| it.promise).collect();
    assert!(promises.contains(&"B1"), "{promises:?}");
}

/// How many seeds the negative control may take.
const NEGATIVE: u64 = 40;

const LIAR: Slot = Slot::new(3);

fn oracle() -> (Oracle, Book) {
    let book = Book::default();
    book.is_strict();
    for number in 1..=4 {
        book.ask(payload(number));
    }
    (Oracle::new(Members::first(4), Members::only(LIAR), book.clone()), book)
}

fn value(number: u64) -> Value {
    Value { digest: payload(number), stamp: Stamp::at_millis(number) }
}

fn vote(phase: Phase, view: u64, index: u64, number: u64) -> Vote {
    Vote { phase, view: View::new(view), index: Index::new(index), value: value(number) }
}

fn said(vote: Vote) -> What {
    What::Message(Message::Vote(vote), false)
}

fn breaks<T: std::fmt::Debug>(verdict: Result<T, super::oracle::Broken>, promise: &str) {
    assert_eq!(verdict.expect_err("it is broken").promise, promise);
}

/// The view changes of the first three, of which the first claims this.
fn changes(view: u64, claim: Option<Prepared>) -> Vec<(Slot, ViewChange)> {
    let floor = Config::lan(Slot::new(0), Members::first(4), 1).floor;
    let stable = Stable { checkpoint: floor, signers: Members::NONE };
    let change = |slot: u8| {
        let mut claims = Claims::new();
        claim.filter(|_| slot == 0).into_iter().for_each(|it| claims.push(it).unwrap());
        (Slot::new(slot), ViewChange { view: View::new(view), stable, claims })
    };
    (0..3).map(change).collect()
}

fn proof(number: u64, signers: Members) -> Prepared {
    let Vote { view, index, value, .. } = vote(Phase::Prepare, 0, 1, number);
    Prepared { view, index, value, signers }
}

#[test]
fn b1_sees_two_decisions_at_one_position() {
    let (mut oracle, _) = oracle();
    oracle.decides(Slot::new(0), Index::new(1), value(1)).unwrap();
    oracle.decides(Slot::new(1), Index::new(1), value(1)).unwrap();
    breaks(oracle.decides(Slot::new(1), Index::new(1), value(2)), "B1");
}

#[test]
fn b2_sees_what_nobody_asked_for() {
    let (mut oracle, _) = oracle();
    oracle.executes(Slot::new(0), 0, &[value(1), Value::NULL]).unwrap();
    breaks(oracle.executes(Slot::new(0), 2, &[value(9)]), "B2");
}

#[test]
fn b3_sees_another_order_and_a_second_execution() {
    let (mut oracle, book) = oracle();
    oracle.executes(Slot::new(0), 0, &[value(1), value(2)]).unwrap();
    breaks(oracle.clone().executes(Slot::new(1), 0, &[value(2)]), "B3");
    breaks(oracle.clone().executes(Slot::new(0), 2, &[value(1)]), "B3");
    let variant = 2 | 1 << 56;
    book.ask(payload(variant));
    breaks(oracle.executes(Slot::new(0), 2, &[value(variant)]), "B3");
}

#[test]
fn b4_sees_two_quorums_and_a_proof_that_is_none() {
    let (mut oracle, book) = oracle();
    let votes = |oracle: &mut Oracle, number, voters: [u8; 3]| -> Verdict {
        voters.into_iter().try_for_each(|it| {
            oracle.says(Slot::new(it), &said(vote(Phase::Prepare, 0, 1, number)))
        })
    };
    votes(&mut oracle, 1, [3, 0, 1]).unwrap();
    // Who has voted for one votes for the other too: what is counted comes before who has contradicted.
    breaks(votes(&mut oracle, 2, [3, 2, 0]), "B4");

    let all = Members::first(4);
    let three = Members::first(3);
    breaks(oracle.proves(Slot::new(0), &proof(1, three)), "B4");
    three.iter().for_each(|it| book.sign(it, Message::Vote(vote(Phase::Prepare, 0, 1, 1))));
    oracle.proves(Slot::new(0), &proof(1, three)).unwrap();
    breaks(oracle.proves(Slot::new(0), &proof(1, Members::first(2))), "B4");
    breaks(oracle.proves(Slot::new(0), &proof(1, all)), "B4");
}

#[test]
fn b5_sees_a_view_that_drops_what_is_committed() {
    let (mut oracle, _) = oracle();
    let commit = said(vote(Phase::Commit, 0, 1, 1));
    let three = Members::first(3);
    for slot in three.iter() {
        oracle.says(slot, &commit).unwrap();
    }
    let me = Slot::new(0);
    let claim = |number| changes(1, Some(proof(number, three)));
    assert_eq!(oracle.clone().begins(me, View::new(1), &claim(1)), Ok(false));
    breaks(oracle.clone().begins(me, View::new(1), &claim(2)), "B5");
    breaks(oracle.clone().begins(me, View::new(1), &changes(1, None)), "B5");
    breaks(oracle.clone().begins(me, View::new(2), &claim(1)), "B5");
    breaks(oracle.clone().begins(me, View::new(1), &claim(1)[..2]), "B5");
    let doubled = [claim(1), claim(1)].concat();
    breaks(oracle.clone().begins(me, View::new(1), &doubled[..4]), "B5");
    // And a vote for what it did not begin with.
    oracle.begins(me, View::new(1), &claim(1)).unwrap();
    breaks(oracle.says(me, &said(vote(Phase::Prepare, 1, 1, 2))), "B5");
}

#[test]
fn b5_sees_it_when_the_commit_comes_to_light_later() {
    let (mut oracle, _) = oracle();
    oracle
        .begins(Slot::new(0), View::new(1), &changes(1, Some(proof(2, Members::first(3)))))
        .unwrap();
    let commit = said(vote(Phase::Commit, 0, 1, 1));
    oracle.says(Slot::new(0), &commit).unwrap();
    oracle.says(Slot::new(1), &commit).unwrap();
    breaks(oracle.says(Slot::new(2), &commit), "B5");
}

#[test]
fn b6_sees_votes_outside_the_window_and_too_much_held() {
    let (low, high) = (Index::new(8), Index::new(24));
    let at = |index| {
        Oracle::stays_within(Slot::new(0), &said(vote(Phase::Commit, 0, index, 1)), low, high)
    };
    at(9).and(at(24)).unwrap();
    breaks(at(8), "B6");
    breaks(at(25), "B6");
    Oracle::holds(Slot::new(0), 10, 10).unwrap();
    breaks(Oracle::holds(Slot::new(0), 11, 10), "B6");
}

#[test]
fn b7_sees_a_wrong_accusation() {
    let (oracle, book) = oracle();
    let (first, second) = (vote(Phase::Commit, 0, 1, 1), vote(Phase::Commit, 0, 1, 2));
    let accuse = |by, second| oracle.accuses(Slot::new(0), &Evidence::Votes { by, first, second });
    breaks(accuse(LIAR, second), "B7");
    for by in [LIAR, Slot::new(1)] {
        book.sign(by, Message::Vote(first));
        book.sign(by, Message::Vote(second));
    }
    accuse(LIAR, second).unwrap();
    breaks(accuse(LIAR, first), "B7");
    breaks(accuse(Slot::new(1), second), "B7");
}

#[test]
fn b7_knows_when_a_member_must_accuse() {
    let machine = Pbft::new(Config::lan(Slot::new(0), Members::first(4), 1)).unwrap();
    let mut heard = Heard::default();
    let mut hears = |what: What| heard.contradicts(&machine, LIAR, &what);
    assert!(!hears(said(vote(Phase::Commit, 0, 1, 1))));
    assert!(!hears(said(vote(Phase::Commit, 0, 1, 1))), "the same again");
    assert!(!hears(said(vote(Phase::Prepare, 0, 1, 2))), "another phase");
    assert!(!hears(said(vote(Phase::Commit, 7, 1, 2))), "another view");
    assert!(hears(said(vote(Phase::Commit, 0, 1, 2))));

    let state = |number| {
        let index = Index::new(64);
        let it = Checkpoint { index, state: payload(number), stamp: Stamp::ZERO };
        What::Message(Message::Checkpoint(it), false)
    };
    assert!(!hears(state(1)) && !hears(state(1)));
    assert!(hears(state(2)));

    let left = |claim| What::ViewChange(changes(1, claim)[0].1.clone());
    assert!(!hears(left(None)) && !hears(left(None)));
    assert!(hears(left(Some(proof(1, Members::first(3))))));
}

#[test]
fn b8_sees_a_correct_member_that_contradicts_itself() {
    let (mut oracle, _) = oracle();
    for by in [LIAR, Slot::new(0)] {
        oracle.says(by, &said(vote(Phase::Commit, 0, 1, 1))).unwrap();
        oracle.says(by, &said(vote(Phase::Commit, 0, 1, 1))).unwrap();
    }
    oracle.says(LIAR, &said(vote(Phase::Commit, 0, 1, 2))).unwrap();
    breaks(oracle.says(Slot::new(0), &said(vote(Phase::Commit, 0, 1, 2))), "B8");
    for claim in [None, Some(proof(1, Members::first(3)))] {
        let left = What::ViewChange(changes(1, claim)[0].1.clone());
        let verdict = oracle.says(Slot::new(0), &left);
        if claim.is_none() { verdict.unwrap() } else { breaks(verdict, "B8") }
    }
}

#[test]
fn b9_sees_a_machine_that_was_moved() {
    let mut machine = Pbft::new(Config::lan(Slot::new(0), Members::first(4), 1)).unwrap();
    let mut hears = |message| {
        let before = machine.clone();
        let message = Verified::attest(LIAR, message);
        let input = quorate::pbft::Input::Message { message, is_here: true };
        let mut out = crate::raft::Outputs::with_room(machine.max_outputs());
        machine.step(Now::mono(1), input, &mut out).unwrap();
        Oracle::unmoved(Slot::new(0), &before, &machine)
    };
    let status = Status {
        view: View::ZERO,
        is_active: true,
        changes: Members::NONE,
        stable: Index::ZERO,
        committed: Index::ZERO,
        prepared: Index::ZERO,
    };
    // Its first step of all wakes it.
    let _ = hears(Message::Status(status));
    hears(Message::Status(status)).unwrap();
    breaks(hears(Message::Vote(vote(Phase::Commit, 0, 1, 1))), "B9");
}
