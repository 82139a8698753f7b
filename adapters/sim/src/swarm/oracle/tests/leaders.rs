//! Elections, commits, votes and acknowledgements: R1, R2, R4, R7, R8, R9, R11.

use super::super::Glance;
use super::assert_breaks;
use super::stage::{Stage, append, base, entry, matched, run, send, snapshot};
use quorate::id::{Index, Slot, Term};
use quorate::raft::{Input, Message, Read, Write};
use quorate::replica::Output;

const fn stale(term: u64) -> Message {
    Message::Stale { term: Term::new(term) }
}

const fn grant(term: u64) -> Message {
    Message::VoteReply { term: Term::new(term), granted: true }
}

#[test]
fn a_right_trace_passes() {
    let mut stage = Stage::led();
    assert_eq!(stage.books.last_committed(), 4);
    stage.tell(0, Input::Read).unwrap();
    stage.settle().unwrap();
    let compacted = snapshot(entry(1, 4));
    stage.books.snapshot(1, compacted).unwrap();
    stage.tell(1, Input::Stored(base(compacted))).unwrap();
    stage.elect(1);
    stage.propose(1, 2);
    assert_eq!((stage.books.last_committed(), stage.books.reigns()), (7, 2));
    assert_eq!(stage.books.committed_after(6).len(), 1);
}

#[test]
fn two_leaders_in_one_term_are_seen() {
    let mut stage = Stage::new();
    stage.apart = Some(2);
    stage.usurp(2);
    stage.elect(0);
    assert_breaks(stage.ring(2), "R1", "n0 and n2 both lead in term 1");
}

#[test]
fn a_leader_by_a_minority_of_votes_is_seen() {
    let mut stage = Stage::new();
    stage.usurp(2);
    assert_breaks(stage.ring(2), "R1", "n2 leads term 1 by 1 votes");
}

#[test]
fn a_leader_that_overwrites_its_log_is_seen() {
    let mut stage = Stage::led();
    let receipt = stage.receipt.expect("it has written");
    let last = Output::Persist { receipt, write: run(1, 4, 4) };
    assert_breaks(stage.says(0, last), "R2", "overwrites from 4");
}

#[test]
fn a_leader_without_a_committed_entry_is_seen() {
    let mut stage = Stage::led_without_n2();
    stage.hears(2, 0, stale(1)).unwrap();
    stage.usurp(2);
    stage.bribe(1, 2, 2);
    assert_breaks(stage.ring(2), "R4", "leads term 2 without the committed entry 4");
}

#[test]
fn a_leader_that_commits_alone_is_seen() {
    let mut stage = Stage::new();
    stage.usurp(2);
    stage.bribe(1, 2, 1);
    assert_breaks(stage.ring(2), "R7", "1 members hold");
}

#[test]
fn a_commit_that_no_leader_made_is_seen() {
    let mut stage = Stage::led();
    stage.apart = Some(2);
    stage.slow = Some(1);
    stage.propose(0, 1);
    // It is told a commit that its leader does not know of.
    let told = stage.hears(1, 0, append(1, entry(1, 5), (1, 0), 5));
    assert_breaks(told, "R7", "no leader did");
}

#[test]
fn a_commit_that_is_counted_on_an_entry_of_an_older_term_is_seen() {
    let mut stage = Stage::led();
    stage.apart = Some(0);
    stage.tell(0, Input::Propose { count: 1 }).unwrap();
    let before = Glance::at(&stage.puppets[1]);
    for slot in [1, 2] {
        stage.hears(slot, 0, append(1, entry(1, 4), (1, 1), 4)).unwrap();
    }
    // It learns that 5@1 is committed, which nobody has said, and keeps it to itself.
    let message = append(1, entry(1, 5), (1, 0), 5);
    stage.puppets[1].is_stuck = true;
    stage.step(1, Input::Message { from: Slot::new(0), message });
    stage.slow = Some(1);
    stage.ring(1).unwrap();
    stage.persist(1).unwrap();
    stage.step(1, Input::Message { from: Slot::new(2), message: grant(2) });
    assert!(stage.puppets[1].raft.leads());
    assert_breaks(stage.judge(1, before, &[]), "R7", "by counting");
}

#[test]
fn a_leader_that_counts_what_another_has_committed_is_seen() {
    let mut stage = Stage::led();
    stage.apart = Some(0);
    stage.tell(0, Input::Propose { count: 1 }).unwrap();
    stage.hears(1, 0, append(1, entry(1, 4), (1, 1), 4)).unwrap();
    stage.hears(0, 1, matched(1, 5)).unwrap();
    assert_eq!(stage.books.last_committed(), 5, "and n1 does not know");
    let follower = stage.puppets[1].raft.clone();
    stage.slow = Some(1);
    stage.ring(1).unwrap();
    stage.persist(1).unwrap();
    stage.step(1, Input::Message { from: Slot::new(2), message: grant(2) });
    let before = Glance::at(&stage.puppets[1]);
    assert_eq!(before.reign(), Some(Term::new(2)));
    // In the term in which it led, it calls the other leader's entry committed.
    stage.puppets[1].raft = follower;
    stage.puppets[1].is_stuck = true;
    let message = append(2, entry(1, 5), (2, 0), 5);
    stage.step(1, Input::Message { from: Slot::new(2), message });
    let after = &stage.puppets[1].raft;
    assert_eq!(
        (before.commit().number(), after.commit().number(), after.term().number()),
        (4, 5, 2)
    );
    assert_breaks(stage.judge(1, before, &[]), "R7", "n1 commits 5 of Some(Term(1)) by counting");
}

#[test]
fn a_second_vote_in_a_term_is_seen() {
    let mut stage = Stage::led();
    assert_eq!(stage.says(1, send(0, grant(1))), Ok(()), "it said so before");
    assert_breaks(stage.says(1, send(2, grant(1))), "R8", "n1 votes for n2");
}

#[test]
fn a_vote_that_is_not_durable_is_seen() {
    let mut stage = Stage::led();
    assert_breaks(stage.says(1, send(2, grant(2))), "R8", "but on its disk is");
    let mut stage = Stage::led();
    let (term, last) = (Term::new(2), entry(1, 4));
    let asks = send(2, Message::Vote { term, last, asked_to: false });
    assert_breaks(stage.says(1, asks), "R8", "n1 votes for n1");
}

#[test]
fn a_vote_in_a_term_that_is_over_is_seen() {
    let mut stage = Stage::led();
    stage.elect(1);
    assert_breaks(stage.says(2, send(0, grant(1))), "R8", "n2 votes for n0");
}

#[test]
fn a_conflict_in_a_term_that_is_over_is_seen() {
    let conflict = |term| {
        let (term, index) = (Term::new(term), Index::new(4));
        send(0, Message::Conflict { term, rejected: index, hint: entry(0, 0), round: 1 })
    };
    let mut stage = Stage::led();
    assert_eq!(stage.says(2, conflict(1)), Ok(()));
    stage.elect(1);
    assert_eq!(stage.says(2, conflict(2)), Ok(()));
    assert_breaks(stage.says(2, conflict(1)), "R8", "n2 answers in 1 after it spoke in 2");
}

#[test]
fn a_term_that_falls_is_seen() {
    let mut stage = Stage::led();
    let before = Glance::at(&stage.puppets[1]);
    stage.puppets[1].raft.replay(&Write::Ballot { term: Term::ZERO, vote: None });
    assert_breaks(stage.judge(1, before, &[]), "R8", "term fell");
}

#[test]
fn an_acknowledgement_of_what_is_not_durable_is_seen() {
    let mut stage = Stage::led();
    stage.slow = Some(1);
    stage.propose(0, 1);
    assert_eq!(stage.says(1, send(0, matched(1, 4))), Ok(()));
    assert_breaks(stage.says(1, send(0, matched(1, 5))), "R9", "its disk reaches 4");
    stage.persist(1).unwrap();
    assert_eq!(stage.says(1, send(0, matched(1, 5))), Ok(()));
}

#[test]
fn an_acknowledgement_of_another_entry_than_the_leaders_is_seen() {
    let mut stage = Stage::led_without_n2();
    stage.apart = Some(0);
    stage.tell(0, Input::Propose { count: 1 }).unwrap();
    stage.hears(1, 0, append(1, entry(1, 4), (1, 1), 4)).unwrap();
    stage.hears(2, 0, append(1, entry(0, 0), (1, 4), 4)).unwrap();
    // n2 leads term 2 and has 5@2 where n1 has 5@1.
    stage.usurp(2);
    stage.bribe(0, 2, 2);
    stage.slow = Some(2);
    stage.ring(2).unwrap();
    stage.persist(2).unwrap();
    assert!(stage.puppets[2].raft.leads());
    stage.hears(1, 2, stale(2)).unwrap();
    assert_eq!(stage.says(1, send(2, matched(2, 4))), Ok(()));
    assert_breaks(stage.says(1, send(2, matched(2, 5))), "R9", "where the leader has");
}

#[test]
fn an_acknowledgement_before_its_term_is_durable_is_seen() {
    let mut stage = Stage::led();
    assert_breaks(stage.says(1, send(2, matched(2, 4))), "R9", "has 1 on its disk");
}

#[test]
fn an_acknowledgement_in_a_term_that_is_over_is_seen() {
    let mut stage = Stage::led();
    stage.elect(1);
    assert_breaks(stage.says(2, send(0, matched(1, 4))), "R8", "n2 acknowledges in 1");
}

#[test]
fn an_acknowledgement_to_a_leader_that_nobody_elected_is_seen() {
    let mut stage = Stage::led();
    let told = stage.hears(2, 1, append(2, entry(1, 4), (2, 1), 4));
    assert_breaks(told, "R9", "acknowledges 5 in 2");
}

#[test]
fn a_read_that_is_served_too_early_is_seen() {
    let read = Read { term: Term::new(1), round: 99, number: 0 };
    for is_stuck in [false, true] {
        let mut stage = Stage::led();
        stage.puppets[1].is_stuck = is_stuck;
        stage.propose(0, 1);
        stage.says(1, Output::Reading { read }).unwrap();
        let served = stage.says(1, Output::Readable { read });
        if is_stuck {
            assert_breaks(served, "R11", "5 was acknowledged before it");
        } else {
            assert_eq!(served, Ok(()));
        }
    }
}

#[test]
fn what_a_read_need_not_see_is_not_held_against_it() {
    let read = Read { term: Term::new(1), round: 99, number: 0 };
    let mut stage = Stage::led();
    stage.says(1, Output::Reading { read }).unwrap();
    stage.puppets[1].is_stuck = true;
    stage.propose(0, 1);
    assert_eq!(stage.says(1, Output::Readable { read }), Ok(()));
}
