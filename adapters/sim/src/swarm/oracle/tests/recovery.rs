//! What a disk gives back, and what a member remembers: D1, R8, C5.

use super::super::Change;
use super::assert_breaks;
use super::stage::{CIVIL, Stage, entry, run, snapshot};
use quorate::hlc::Stamp;
use quorate::id::{Slot, Term};
use quorate::raft::{Input, Write};

/// What n1 promised: its vote for n0.
const BALLOT: Write = Write::Ballot { term: Term::new(1), vote: Some(Slot::new(0)) };

/// n1 of a group with four committed entries comes back with these writes.
fn back_with(writes: &[Write]) -> super::Verdict {
    Stage::led().comes_back(1, (None, writes), &[])
}

#[test]
fn what_was_durable_comes_back() {
    assert_eq!(back_with(&[BALLOT, run(1, 1, 4)]), Ok(()));
    let mut stage = Stage::led();
    assert_eq!(stage.comes_back(1, (None, &[BALLOT, run(1, 1, 4)]), &[]), Ok(()));
    stage.propose(0, 1);
    assert_eq!(stage.books.last_committed(), 5, "and the group goes on");
}

#[test]
fn a_durable_entry_that_is_lost_is_seen() {
    assert_breaks(back_with(&[BALLOT, run(1, 1, 3)]), "D1", "durable was");
}

#[test]
fn a_vote_that_is_forgotten_is_seen() {
    let forgot = Write::Ballot { term: Term::new(1), vote: None };
    assert_breaks(back_with(&[forgot, run(1, 1, 4)]), "D1", "with vote None");
    let other = Write::Ballot { term: Term::new(1), vote: Some(Slot::new(2)) };
    assert_breaks(back_with(&[other, run(1, 1, 4)]), "D1", "with vote Some");
}

#[test]
fn an_entry_that_nobody_made_is_seen() {
    assert_breaks(back_with(&[BALLOT, run(1, 1, 5)]), "D1", "an entry 5@1 that nobody made");
    let mut stage = Stage::led();
    stage.puppets[1].lies.insert(3, Some((9, Stamp::at_millis(CIVIL + 3))));
    let back = stage.comes_back(1, (None, &[BALLOT, run(1, 1, 4)]), &[]);
    assert_breaks(back, "D1", "an entry 3@1 that nobody made");
}

#[test]
fn an_entry_whose_payload_is_lost_is_seen() {
    let mut stage = Stage::led();
    stage.puppets[1].lies.insert(4, None);
    let back = stage.comes_back(1, (None, &[BALLOT, run(1, 1, 4)]), &[]);
    assert_breaks(back, "D1", "without the payloads");
}

#[test]
fn what_was_being_written_may_come_back_in_the_order_of_writing() {
    let was_made = |writes: &[Write]| {
        let mut stage = Stage::led();
        stage.slow = Some(1);
        stage.propose(0, 1);
        stage.propose(0, 1);
        let attempted = stage.under_way(1);
        assert_eq!(attempted.len(), 2);
        stage.comes_back(1, (None, writes), &attempted)
    };
    for last in 4..=6 {
        assert_eq!(was_made(&[BALLOT, run(1, 1, last)]), Ok(()));
    }
    assert_breaks(was_made(&[BALLOT, run(1, 1, 3)]), "D1", "durable was");
}

#[test]
fn a_snapshot_keeps_the_log_above_it_and_is_of_something_that_was_made() {
    let back = |writes: &[Write], boundary| {
        Stage::led().comes_back(1, (Some(snapshot(boundary)), writes), &[])
    };
    assert_eq!(back(&[BALLOT, run(1, 1, 4)], entry(1, 3)), Ok(()));
    assert_breaks(back(&[BALLOT, run(1, 1, 3)], entry(1, 3)), "D1", "durable was");
    assert_breaks(back(&[BALLOT], entry(9, 3)), "D1", "not committed");
}

#[test]
fn a_snapshot_of_what_is_not_committed_that_comes_back_is_seen() {
    let mut stage = Stage::led();
    stage.apart = Some(0);
    stage.tell(0, Input::Propose { count: 1 }).unwrap();
    let back = stage.comes_back(1, (Some(snapshot(entry(1, 5))), &[BALLOT]), &[]);
    assert_breaks(back, "D1", "came back above 5@1, which is not committed");
}

#[test]
fn a_durable_snapshot_that_is_lost_is_seen_even_if_the_log_can_do_without() {
    let back = |found| {
        let mut stage = Stage::led();
        stage.books.durable(1, &Change::Snapshot(3));
        stage.comes_back(1, (found, &[BALLOT, run(1, 1, 4)]), &[])
    };
    assert_eq!(back(Some(snapshot(entry(1, 3)))), Ok(()));
    assert_eq!(back(Some(snapshot(entry(1, 4)))), Ok(()), "a newer one takes its place");
    assert_breaks(back(Some(snapshot(entry(1, 2)))), "D1", "durable was");
    assert_breaks(back(None), "D1", "durable was");
}

#[test]
fn a_snapshot_beyond_the_log_is_no_excuse_for_another_ballot() {
    let back = |term, vote| {
        let mut stage = Stage::led_without_n2();
        let ballot = Write::Ballot { term: Term::new(1), vote: Some(Slot::new(0)) };
        stage.books.durable(2, &Change::Ballot(Term::new(1), Some(Slot::new(0))));
        let other = Write::Ballot { term: Term::new(term), vote };
        stage.comes_back(2, (Some(snapshot(entry(1, 4))), &[ballot, other]), &[])
    };
    assert_eq!(back(1, Some(Slot::new(0))), Ok(()));
    assert_breaks(back(1, Some(Slot::new(2))), "D1", "with vote Some");
    assert_breaks(back(1, None), "D1", "with vote None");
    assert_breaks(back(2, None), "D1", "came back in 2");
}

#[test]
fn a_member_that_comes_back_in_an_older_term_than_it_spoke_in_is_seen() {
    let mut stage = Stage::led();
    // The disk may give it back: something older was being written over the ballot.
    let attempted = [Change::Ballot(Term::ZERO, None), Change::Append(1, Vec::new())];
    let back = stage.comes_back(1, (None, &[]), &attempted);
    assert_breaks(back, "R8", "came back in 0 after it spoke in 1");
}

#[test]
fn a_clock_that_comes_back_behind_the_last_entry_is_seen() {
    let mut stage = Stage::led();
    stage.tell(0, Input::Propose { count: 1 }).unwrap();
    let far = Stamp::at_millis(CIVIL + 200);
    stage.stamped(6, far);
    stage.propose(0, 1);
    let back = stage.comes_back(1, (None, &[BALLOT, run(1, 1, 6)]), &[]);
    assert_breaks(back, "C5", "came back with its clock at");
}
