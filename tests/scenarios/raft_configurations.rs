//! Which configuration a member goes by: in elections, between two leaders, on its way out, across a
//! snapshot.

use crate::cast::*;
use crate::raft_changes::{add, joint, remove, set, simple, three_of, voters};
use quorate::id::Members;
use quorate::limits::{BOARD, Limit};
use quorate::machine::Refused;
use quorate::raft::{Base, Change, Configuration, Write};

fn is_joint(c: &Group, slot: u8) -> bool {
    c.machine(slot).configuration().is_joint()
}

/// Has a member look for votes; those that it is cut off from do not hear of it.
fn seeks_votes(c: &mut Group, slot: u8) -> bool {
    c.silence();
    c.ring(slot);
    c.settle();
    c.machine(slot).leads()
}

// Ongaro, raft-dev, 10 July 2015, the whole of it, and openraft#2051: the second leader would change the
// configuration before it had committed anything, and the first come back with a majority of its own.
#[test]
fn two_leaders_in_turn_do_not_both_change_the_same_configuration() {
    let mut c = Group::new(5, Setup::of(4));
    c.elect(0);
    c.settle();
    c.part(&[0, 4], &[1, 2, 3]);
    c.ask(0, simple(&c, 0, &[add(4)])).unwrap();
    c.settle();
    assert_eq!((c.last(4), voters(&c, 1)), (c.last(0), Members::first(4)));
    c.elect_unheard(1);
    for change in [simple(&c, 1, &[remove(0)]), joint(&c, 1, true, &[remove(0)])] {
        assert_eq!(c.ask(1, change), Err(Refused::Changing));
    }
    c.pass(Span::millis(30));
    c.ask(1, simple(&c, 1, &[remove(0)])).unwrap();
    c.cut_one_way(1, 3);
    c.settle();
    assert_eq!(c.machine(1).commit(), c.last(1).index, "n1 and n2 are a majority of the three");
    c.crash(Slot::new(1), 0);
    c.crash(Slot::new(2), 0);
    c.heal();
    c.pass(Span::secs(3));
    assert!(c.living().iter().all(|slot| !c.machine(slot.number()).leads()), "{}", c.story());
    c.start(Slot::new(1));
    c.start(Slot::new(2));
    c.pass(Span::secs(3));
    assert_eq!([1, 2, 3].map(|slot| voters(&c, slot)), [set(&[1, 2, 3]); 3]);
}

// etcd#5004, etcd#7625, raft-rs#226: a candidate went by a configuration two steps old, for it had not yet
// applied the others, and its majority met nobody's.
#[test]
fn a_candidate_goes_by_the_newest_configuration_of_its_log_whatever_it_knows_to_be_committed() {
    let mut c = three_of(5);
    c.elect(0);
    c.settle();
    let before = c.machine(1).commit();
    c.ask(0, simple(&c, 0, &[add(3)])).unwrap();
    (1..4).for_each(|slot| assert!(c.deliver(0, slot)));
    (1..4).for_each(|slot| assert!(c.deliver(slot, 0)));
    c.flights.clear();
    c.ask(0, simple(&c, 0, &[add(4)])).unwrap();
    c.deliver(0, 1);
    assert_eq!((voters(&c, 1), c.machine(1).commit()), (Members::first(5), before));
    c.crash(Slot::new(0), 0);
    c.flights.clear();
    c.part(&[1, 2], &[3, 4]);
    assert!(!seeks_votes(&mut c, 1), "two of five");
    assert_eq!(c.machine(1).role(), "canvasser");
    c.heal();
    assert!(seeks_votes(&mut c, 1), "{}", c.story());
}

// async-raft#62: the votes of both halves went into one box.
#[test]
fn a_candidate_in_a_joint_configuration_needs_a_majority_of_each_half() {
    let mut c = three_of(5);
    c.elect(0);
    c.settle();
    c.ask(0, joint(&c, 0, false, &[remove(1), remove(2), add(3), add(4)])).unwrap();
    c.settle();
    c.ask(0, Input::StepDown).unwrap();
    c.part(&[1, 2], &[0, 3, 4]);
    assert!(!seeks_votes(&mut c, 3), "three of five, and one of the old three");
    c.heal();
    c.part(&[3, 4], &[0, 1, 2]);
    assert!(!seeks_votes(&mut c, 1), "three of five, and one of the new three");
    c.heal();
    c.part(&[2, 4], &[0, 1, 3]);
    assert!(seeks_votes(&mut c, 3), "two of either");
}

// raft-rs#192: there is no way back from a change to members that are not there; this is why those who lag
// are refused.
#[test]
fn a_new_half_that_is_away_stops_its_group_until_it_is_back() {
    let mut c = three_of(5);
    c.elect(0);
    c.settle();
    let before = c.machine(0).commit();
    c.part(&[3, 4], &[0, 1, 2]);
    c.ask(0, joint(&c, 0, true, &[remove(1), remove(2), add(3), add(4)])).unwrap();
    c.pass(Span::secs(3));
    assert_eq!(
        [0, 1, 2].map(|slot| (c.machine(slot).leads(), is_joint(&c, slot))),
        [(false, true); 3]
    );
    assert_eq!([0, 1, 2].map(|slot| c.machine(slot).commit()), [before; 3]);
    c.heal();
    c.pass(Span::secs(3));
    assert_eq!([0, 3, 4].map(|slot| voters(&c, slot)), [set(&[0, 3, 4]); 3]);
    assert_eq!([0, 3, 4].map(|slot| is_joint(&c, slot)), [false; 3], "{}", c.story());
}

// camunda#57386, its first: who had been made a voter thought that it still learned, and did not vote.
#[test]
fn a_learner_that_has_not_heard_of_its_promotion_gives_its_vote() {
    let mut c = Group::new(3, Setup::of(2));
    c.elect(0);
    c.settle();
    c.ask(0, simple(&c, 0, &[Change::AddLearner(Slot::new(2))])).unwrap();
    c.settle();
    c.part(&[2], &[0, 1]);
    c.ask(0, simple(&c, 0, &[add(2)])).unwrap();
    c.settle();
    assert_eq!((voters(&c, 2), c.machine(0).commit()), (Members::first(2), c.last(1).index));
    c.crash(Slot::new(0), 0);
    c.heal();
    assert!(seeks_votes(&mut c, 1), "{}", c.story());
}

// etcd#14538: the end of the change waited for somebody's next message.
#[test]
fn a_joint_change_ends_by_itself_without_a_heartbeat() {
    let mut c = three_of(5);
    c.elect(0);
    c.settle();
    let before = c.last(0).index.number();
    c.ask(0, joint(&c, 0, true, &[add(3), add(4)])).unwrap();
    while is_joint(&c, 0) {
        c.deliver_at(0);
    }
    assert!(matches!(c.newest(0, 1), Some(Message::Configure { prev, .. }) if prev == c.last(1)));
    c.settle();
    assert_eq!([0, 1, 2, 3, 4].map(|slot| is_joint(&c, slot)), [false; 5]);
    assert_eq!(c.commits(), [before + 2; 5]);
}

// What keeps a joint change from ending is looked at again when it is gone.
#[test]
fn a_joint_change_ends_as_soon_as_there_is_room_for_its_end() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    for round in 1..BOARD.configurations {
        let change = if round % 2 == 1 { Change::AddLearner(Slot::new(3)) } else { remove(3) };
        c.ask(0, simple(&c, 0, &[change])).unwrap();
        c.settle();
    }
    c.ask(0, joint(&c, 0, true, &[add(3)])).unwrap();
    c.settle();
    assert_eq!(c.machine(0).commit(), c.last(0).index);
    let after = c.machine(0).configuration().leave_joint().unwrap();
    let full = Err(Refused::Full(Limit::Configurations));
    assert_eq!((c.ask(0, Input::Reconfigure(after)), is_joint(&c, 0)), (full, true));
    (0..4).rev().for_each(|slot| c.compact(slot));
    c.settle();
    assert_eq!(*c.machine(3).configuration(), Configuration::of(Members::first(4)));
}

// camunda#60086, camunda#61854: a new leader left what it had found in its log before that was known to be
// committed, and the new half went on alone.
#[test]
fn a_joint_configuration_is_not_left_before_its_new_leader_has_committed_an_entry_of_its_own() {
    for is_committed in [false, true] {
        let mut c = three_of(5);
        c.elect(0);
        c.settle();
        c.ask(0, joint(&c, 0, !is_committed, &[remove(1), remove(2), add(3), add(4)])).unwrap();
        let from = c.last(0).index;
        (1..5).for_each(|slot| assert!(c.deliver(0, slot)));
        while [3, 4].map(|slot| c.deliver(0, slot) | c.deliver(slot, 0)).contains(&true) {}
        if is_committed {
            c.settle();
        }
        c.crash(Slot::new(0), 0);
        c.elect_unheard(3);
        assert_eq!((c.machine(3).commit() >= from, is_joint(&c, 3)), (is_committed, true));
        let after = Input::Reconfigure(c.machine(3).configuration().leave_joint().unwrap());
        assert_eq!(c.ask(3, after), Err(Refused::Changing));
        c.part(&[1, 2], &[3, 4]);
        c.pass(Span::millis(60));
        assert_eq!(c.last(4), c.last(3), "the new half has all of it");
        assert_eq!((c.ask(3, after), is_joint(&c, 3)), (Err(Refused::Changing), true));
        c.heal();
        c.pass(Span::millis(60));
        if is_committed {
            c.ask(3, after).unwrap();
            c.settle();
        }
        assert_eq!(*c.machine(4).configuration(), Configuration::of(set(&[0, 3, 4])));
    }
}

// scylladb#10618: a leader that would not vote any more forgot that it still voted in the old half.
#[test]
fn a_leader_on_its_way_out_counts_itself_in_the_old_half_and_not_in_the_new() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    c.ask(0, joint(&c, 0, false, &[remove(0), add(3)])).unwrap();
    c.settle();
    c.part(&[2], &[0, 1, 3]);
    c.propose(0, 1);
    c.settle();
    let committed = c.last(0).index;
    assert_eq!(c.machine(0).commit(), committed, "n0 and n1 of the old, n1 and n3 of the new");
    c.ask(0, Input::StepDown).unwrap();
    assert!(seeks_votes(&mut c, 0), "and its vote counts like its disk");
    c.heal();
    c.pass(Span::millis(60));
    let committed = c.last(0).index;
    assert_eq!(c.machine(0).commit(), committed);
    c.part(&[2, 3], &[0, 1]);
    c.propose(0, 1);
    c.settle();
    assert_eq!(c.machine(0).commit(), committed, "n1 alone of the new");
}

// openraft#920: it found its own vote on its disk, committed, and led a group that it had left.
#[test]
fn a_leader_that_was_removed_restarts_as_nobody() {
    let mut c = three_of(3);
    c.elect(0);
    c.settle();
    c.part(&[0], &[1, 2]);
    c.ask(0, simple(&c, 0, &[remove(0)])).unwrap();
    let mut unheard = c.clone();
    c.heal();
    c.pass(Span::millis(30));
    for c in [&mut c, &mut unheard] {
        c.restart(0);
        assert_eq!((voters(c, 0), c.machine(0).vote()), (set(&[1, 2]), Some(Slot::new(0))));
        assert!(!seeks_votes(c, 0));
        assert_eq!((c.machine(0).role(), c.machine(0).term()), ("follower", Term::new(1)));
        c.heal();
        assert!(seeks_votes(c, 1));
        c.pass(Span::millis(60));
    }
    assert_eq!([0, 1, 2].map(|slot| voters(&c, slot)), [set(&[1, 2]); 3]);
    let back = [0, 1, 2].map(|slot| voters(&unheard, slot));
    assert_eq!(back, [Members::first(3); 3], "what nobody had heard is gone");
}

// etcd-io/raft#372: those who left died at once, and the one that stayed did not know that it was alone.
#[test]
fn who_alone_is_left_of_a_group_goes_on_with_all_that_was_committed() {
    let mut c = three_of(3);
    c.elect(0);
    c.settle();
    c.propose(0, 2);
    c.settle();
    c.ask(0, joint(&c, 0, true, &[remove(0), remove(1)])).unwrap();
    let is_over = |c: &Group| !is_joint(c, 0) && c.machine(0).commit() == c.last(0).index;
    while !is_over(&c) {
        c.deliver_at(0);
    }
    let committed = c.machine(0).commit();
    c.crash(Slot::new(0), 0);
    c.crash(Slot::new(1), 0);
    c.flights.clear();
    assert!(c.machine(2).commit() < committed);
    c.pass(Span::secs(1));
    assert!(c.machine(2).leads() && c.machine(2).commit() > committed, "{}", c.story());
}

// openraft#1808: a snapshot took the place of the log, and the configuration stayed what it had been.
#[test]
fn a_snapshot_that_is_installed_brings_its_configuration_and_ends_those_of_the_log() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    c.part(&[0], &[1, 2, 3]);
    c.ask(0, simple(&c, 0, &[remove(2)])).unwrap();
    c.say(1, 0, Message::Stale { term: Term::new(2) });
    assert_eq!(voters(&c, 0), Members::first(2));
    let (boundary, configuration) = (entry(2, 9), Configuration::of(Members::first(4)));
    let base = Base { snapshot: snapshot(boundary), configuration };
    c.ask(0, Input::Stored(base)).unwrap();
    assert_eq!(*c.machine(0).configuration(), configuration);
    c.say(1, 0, append(2, boundary, (2, 1), 10));
    assert_eq!((*c.machine(0).configuration(), c.commits()[0]), (configuration, 10));
    let mut again = Raft::recover(c.setup.config(Slot::new(0), 9), Some(base)).unwrap();
    c.machine(0).image().for_each(|write| again.replay(&write));
    assert_eq!((*again.configuration(), again.log().last()), (configuration, entry(2, 10)));
}

// pikiwidb-raft#385, matrixone#23281, matrixone#24966: a snapshot came with a configuration of another
// place in the log than its own.
#[test]
fn a_snapshot_says_who_belonged_to_the_group_where_it_ends() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    c.ask(0, simple(&c, 0, &[add(3)])).unwrap();
    c.propose(0, 1);
    c.settle();
    c.part(&[0], &[1, 2, 3]);
    c.ask(0, simple(&c, 0, &[remove(2)])).unwrap();
    c.compact(0);
    let boundary = c.machine(0).log().floor();
    assert_eq!(boundary.index, c.last(0).index.previous());
    let four = Configuration::of(Members::first(4));
    let image: Vec<_> = c.machine(0).image().collect();
    assert!(
        matches!(&image[..], [Write::Rebase { base, .. }, Write::Configure { entry, .. }]
            if base.configuration == four && base.snapshot.boundary == boundary
                && *entry == c.last(0)),
        "{image:?}"
    );
    assert_eq!(voters(&c, 0), set(&[0, 1, 3]), "what comes after it counts");
    c.elect(1);
    c.heal();
    c.pass(Span::millis(60));
    assert_eq!((*c.machine(0).configuration(), c.last(0)), (four, c.last(1)), "until it is cut");
}
