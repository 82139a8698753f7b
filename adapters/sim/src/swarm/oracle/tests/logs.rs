//! What logs hold, and what is applied and compacted: R3, R5, R6, R12, Q1.

use super::super::Glance;
use super::assert_breaks;
use super::stage::{CIVIL, Stage, append, base, entry, run, snapshot};
use quorate::hlc::Stamp;
use quorate::id::Index;
use quorate::limits::BOARD;
use quorate::raft::{Input, Snapshot};
use quorate::replica::Output;

const fn applied(index: u64) -> Output {
    Output::Applied { index: Index::new(index) }
}

#[test]
fn two_payloads_of_one_identity_are_seen() {
    let mut stage = Stage::led();
    stage.puppets[1].lies.insert(5, Some((999, Stamp::at_millis(CIVIL + 5))));
    stage.tell(0, Input::Propose { count: 1 }).unwrap();
    assert_breaks(stage.settle(), "R3", "n1 holds another 5@1");
}

#[test]
fn an_entry_on_another_past_than_it_was_made_on_is_seen() {
    let mut stage = Stage::led_without_n2();
    // The same 3@1, and it stands on entries that nobody made.
    stage.puppets[2].lies.insert(1, Some((999, Stamp::at_millis(CIVIL + 1))));
    let told = stage.hears(2, 0, append(1, entry(0, 0), (1, 3), 0));
    assert_breaks(told, "R3", "n2 holds another 1@1");
}

#[test]
fn an_entry_without_a_payload_is_seen() {
    let mut stage = Stage::led();
    stage.puppets[1].lies.insert(5, None);
    stage.tell(0, Input::Propose { count: 1 }).unwrap();
    assert_breaks(stage.settle(), "R3", "no payload for some of 5 to 5");
}

#[test]
fn another_entry_at_a_committed_index_is_seen() {
    let mut stage = Stage::led_without_n2();
    let told = stage.hears(2, 1, append(2, entry(0, 0), (2, 4), 4));
    assert_breaks(told, "R5", "calls another entry 1 committed");
}

#[test]
fn another_entry_that_is_applied_is_seen() {
    let mut stage = Stage::led();
    stage.puppets[1].is_stuck = true;
    stage.propose(0, 1);
    stage.puppets[1].applied = entry(9, 5);
    assert_breaks(stage.says(1, applied(5)), "R5", "applied 5@9");
    stage.puppets[2].applied = entry(1, 5);
    assert_eq!(stage.says(2, applied(5)), Ok(()));
}

#[test]
fn what_is_applied_falls_or_runs_ahead_of_the_commit_and_is_seen() {
    let mut stage = Stage::led();
    stage.puppets[1].applied = entry(1, 3);
    assert_breaks(stage.says(1, applied(3)), "R6", "applied 4, then 3@1");
    stage.puppets[2].applied = entry(1, 5);
    assert_breaks(stage.says(2, applied(5)), "R6", "applied 4, then 5@1");
}

#[test]
fn a_commit_that_falls_is_seen() {
    let mut stage = Stage::led();
    let early = stage.puppets[1].raft.clone();
    stage.propose(0, 1);
    let before = Glance::at(&stage.puppets[1]);
    stage.puppets[1].raft = early;
    assert_breaks(stage.judge(1, before, &[]), "R6", "commit fell from 5 to 4");
}

#[test]
fn a_commit_above_the_last_entry_is_seen() {
    let mut stage = Stage::led();
    let before = Glance::at(&stage.puppets[1]);
    stage.puppets[1].raft.replay(&run(2, 2, 2));
    assert_breaks(stage.judge(1, before, &[]), "R6", "calls 4 committed");
}

#[test]
fn a_write_that_leaves_a_gap_is_seen() {
    let mut stage = Stage::led();
    let receipt = stage.receipt.expect("it has written");
    let far = Output::Persist { receipt, write: run(1, 6, 6) };
    assert_breaks(stage.says(1, far), "R6", "leaves a gap before 6");
}

#[test]
fn a_log_that_is_compacted_over_what_is_not_committed_is_seen() {
    let mut stage = Stage::led();
    stage.tell(0, Input::Propose { count: 1 }).unwrap();
    let committed = stage.tell(0, Input::Stored(base(snapshot(entry(1, 4)))));
    assert_eq!(committed, Ok(()));
    let told = stage.tell(0, Input::Stored(base(snapshot(entry(1, 5)))));
    assert_breaks(told, "R12", "snapshot ends in 5@1, which is not committed");
}

#[test]
fn a_snapshot_of_what_is_not_committed_is_seen() {
    let mut stage = Stage::led();
    stage.tell(0, Input::Propose { count: 1 }).unwrap();
    assert_breaks(stage.books.snapshot(0, snapshot(entry(1, 5))), "R12", "not committed");
    assert_eq!(stage.books.snapshot(0, snapshot(entry(1, 4))), Ok(()));
}

#[test]
fn two_snapshots_of_one_boundary_that_differ_are_seen() {
    let mut stage = Stage::led();
    let first = snapshot(entry(1, 4));
    assert_eq!(stage.books.snapshot(0, first), Ok(()));
    assert_eq!(stage.books.snapshot(1, first), Ok(()));
    let other = Snapshot { digest: 77, ..first };
    assert_breaks(stage.books.snapshot(2, other), "R12", "was taken there");
}

#[test]
fn a_log_that_is_longer_than_its_limit_is_seen() {
    for more in [0, 1] {
        let mut stage = Stage::led();
        let before = Glance::at(&stage.puppets[1]);
        stage.puppets[1].raft.replay(&run(1, 5, BOARD.entries as u64 + more));
        let judged = stage.judge(1, before, &[]);
        match more {
            0 => assert_eq!(judged, Ok(())),
            _ => assert_breaks(judged, "Q1", "n1 holds 65 entries"),
        }
    }
}
