//! Who goes by which configuration, and which may follow another: R10, and what counts by it.

use super::super::Glance;
use super::super::configuration::{InForce, Leader, may_follow};
use super::assert_breaks;
use super::stage::{Stage, append, base, entry, matched, snapshot};
use quorate::id::{Index, Members, Slot, Term};
use quorate::raft::{Base, Change, Configuration, Input, Write};
use quorate::replica::Output;

fn set(slots: &[u8]) -> Members {
    slots.iter().copied().map(Slot::new).collect()
}

fn of(slots: &[u8]) -> Configuration {
    Configuration::of(set(slots))
}

fn joint(from: &Configuration, changes: &[Change]) -> Configuration {
    from.enter_joint(true, changes).expect("it may be entered")
}

const fn add(slot: u8) -> Change {
    Change::AddVoter(Slot::new(slot))
}

const fn remove(slot: u8) -> Change {
    Change::Remove(Slot::new(slot))
}

const fn leader() -> Leader {
    let term = Term::new(2);
    Leader { slot: 0, term, commit: 5, commit_term: Some(term), hands_over: false }
}

/// What is said of a leader that has this configuration at index 4 and appends that one.
fn appends(leader: &Leader, from: Configuration, to: &Configuration) -> super::Verdict {
    may_follow(leader, InForce { at: 4, configuration: from }, (entry(2, 7), to))
}

#[test]
fn a_step_that_the_paper_permits_passes() {
    let three = of(&[0, 1, 2]);
    let five = joint(&three, &[add(3), add(4)]);
    for (from, to) in [
        (three, of(&[0, 1, 2, 3])),
        (three, of(&[0, 1])),
        (of(&[0, 1]), of(&[0])),
        (three, five),
        (five, of(&[0, 1, 2, 3, 4])),
        (three, joint(&three, &[remove(0), remove(1), remove(2), add(3)])),
    ] {
        assert_eq!(appends(&leader(), from, &to), Ok(()), "{from} to {to}");
    }
}

#[test]
fn majorities_that_need_not_meet_are_seen() {
    let three = of(&[0, 1, 2]);
    let five = joint(&three, &[add(3), add(4)]);
    for (from, to) in [
        (three, of(&[0, 1, 2, 3, 4])),
        (three, of(&[0])),
        (three, of(&[0, 1, 3])),
        (five, of(&[3, 4])),
        (five, of(&[0])),
    ] {
        assert_breaks(appends(&leader(), from, &to), "R10", "majorities need not meet");
    }
}

#[test]
fn a_change_before_an_entry_of_the_leaders_own_term_is_committed_is_seen() {
    let early = Leader { commit_term: Some(Term::new(1)), ..leader() };
    let told = appends(&early, of(&[0, 1, 2]), &of(&[0, 1, 2, 3]));
    assert_breaks(told, "R10", "nothing of its term is committed");
}

#[test]
fn a_change_before_the_last_one_is_committed_is_seen() {
    let early = Leader { commit: 3, ..leader() };
    let told = appends(&early, of(&[0, 1, 2]), &of(&[0, 1, 2, 3]));
    assert_breaks(told, "R10", "that of 4 is not committed");
}

#[test]
fn a_change_while_leadership_is_handed_over_is_seen() {
    let leaves = Leader { hands_over: true, ..leader() };
    let told = appends(&leaves, of(&[0, 1, 2]), &of(&[0, 1, 2, 3]));
    assert_breaks(told, "R10", "while it hands leadership over");
}

#[test]
fn a_voter_that_becomes_a_witness_in_place_is_seen() {
    let three = of(&[0, 1, 2]);
    let witness = three.simple(&[Change::AddWitness(Slot::new(3))]).expect("it may join");
    assert_eq!(appends(&leader(), three, &witness), Ok(()));
    let told = appends(&leader(), witness, &of(&[0, 1, 2, 3]));
    assert_breaks(told, "R10", "begins or ends as a witness");
}

/// n0 leads, all have four entries, and the fifth takes n2 out; only n0 and these have heard of it.
fn without_n2(apart: Option<usize>) -> Stage {
    let mut stage = Stage::led();
    stage.apart = apart;
    stage.tell(0, Input::Reconfigure(of(&[0, 1]))).expect("it may");
    stage.settle().expect("a right trace");
    stage
}

#[test]
fn who_goes_by_the_newest_in_its_log_passes_and_who_does_not_is_seen() {
    let stage = without_n2(None);
    for slot in 0..3 {
        assert_eq!(stage.books.in_force(slot), of(&[0, 1]));
        assert_eq!(stage.books.goes_by_the_newest(slot, &stage.puppets[slot]), Ok(()));
    }
    assert!(stage.books.is_stranger(2) && !stage.books.is_stranger(1));
    let mut stage = Stage::led();
    stage.usurp(2);
    let told = stage.books.goes_by_the_newest(2, &stage.puppets[2]);
    assert_breaks(told, "R10", "n2 goes by (2), and the newest in its log is (0 1 2)");
}

#[test]
fn a_configuration_that_goes_with_its_entry_passes_and_one_that_stays_is_seen() {
    let mut stage = Stage::led();
    stage.apart = Some(0);
    stage.tell(0, Input::Reconfigure(of(&[0, 1]))).unwrap();
    let kept = stage.puppets[0].raft.clone();
    stage.elect(1);
    stage.apart = None;
    stage.hears(0, 1, append(2, entry(1, 4), (2, 1), 4)).unwrap();
    assert_eq!(stage.books.in_force(0), of(&[0, 1, 2]));
    assert_eq!(stage.books.goes_by_the_newest(0, &stage.puppets[0]), Ok(()));
    stage.puppets[0].raft = kept;
    let told = stage.books.goes_by_the_newest(0, &stage.puppets[0]);
    assert_breaks(told, "R10", "n0 goes by (0 1), and the newest in its log is (0 1 2)");
}

#[test]
fn a_commit_is_counted_in_the_newest_configuration() {
    // Of two members one is no majority; that n2 has it is no help.
    let mut stage = without_n2(Some(1));
    assert_eq!(stage.books.last_committed(), 4);
    let before = Glance::at(&stage.puppets[0]);
    stage.puppets[0].is_stuck = true;
    stage.step(0, Input::Message { from: Slot::new(1), message: matched(1, 5) });
    assert_breaks(
        stage.judge(0, before, &[]),
        "R7",
        "n0 commits 5, which 2 members hold durably, in (0 1)",
    );
}

#[test]
fn a_vote_is_counted_in_the_candidates_configuration() {
    let mut stage = without_n2(None);
    // n2 has been removed, and wins the vote of n1 all the same.
    stage.usurp(2);
    stage.bribe(1, 2, 2);
    assert_breaks(stage.ring(2), "R1", "n2 leads term 2 by 2 votes in (0 1)");
}

#[test]
fn an_entry_that_makes_two_configurations_is_seen() {
    let mut stage = without_n2(Some(2));
    let receipt = stage.receipt.expect("it has written");
    let write = Write::Configure { entry: entry(1, 5), configuration: of(&[0, 2]) };
    assert_breaks(
        stage.says(1, Output::Persist { receipt, write }),
        "R3",
        "the entry at 5 makes (0 2), and has made (0 1)",
    );
}

#[test]
fn a_snapshot_that_forgets_its_configuration_is_seen() {
    let compacts = |configuration| {
        let mut stage = without_n2(None);
        let compacted = snapshot(entry(1, 5));
        stage.books.snapshot(1, compacted).unwrap();
        let base = Base { configuration, ..base(compacted) };
        stage.tell(1, Input::Stored(base))?;
        let receipt = stage.receipt.expect("it has written");
        let (term, vote) = (Term::new(1), None);
        stage.says(1, Output::Persist { receipt, write: Write::Rebase { term, vote, base } })
    };
    assert_eq!(compacts(of(&[0, 1])), Ok(()));
    assert_breaks(compacts(of(&[0, 1, 2])), "R12", "says (0 1 2), and it was (0 1)");
}

#[test]
fn a_leader_that_retires_too_early_is_seen() {
    let mut stage = Stage::led();
    assert_breaks(stage.books.retired(0, Index::new(4)), "R10", "n0 retires at commit 4");
    stage.apart = Some(0);
    stage.tell(0, Input::Reconfigure(of(&[1, 2]))).unwrap();
    assert_breaks(stage.books.retired(0, Index::new(4)), "R10", "(1 2) is that of 5");
    assert_eq!(stage.books.retired(0, Index::new(5)), Ok(()));
}

#[test]
fn a_witness_that_leads_is_seen() {
    let mut stage = Stage::led();
    let three = of(&[0, 1, 2]);
    let two = of(&[0, 1]);
    stage.tell(0, Input::Reconfigure(two)).unwrap();
    stage.settle().unwrap();
    let witness = two.simple(&[Change::AddWitness(Slot::new(2))]).expect("it may join");
    assert_eq!(witness.voters(), three.voters());
    stage.tell(0, Input::Reconfigure(witness)).unwrap();
    stage.settle().unwrap();
    assert_eq!(stage.books.in_force(2), witness);
    stage.usurp(2);
    stage.bribe(1, 2, 2);
    assert_breaks(stage.ring(2), "R10", "n2 leads term 2 and is a witness");
}
