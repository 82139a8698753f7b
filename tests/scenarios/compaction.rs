//! When a replica takes a snapshot by itself: at what length of its log, and for whose sake not.

use crate::sum::{Group, add, group, led_group, open, submit};
use quorate::Machine;
use quorate::hlc::Stamp;
use quorate::id::{EntryId, Index, Slot, Term};
use quorate::limits::BOARD;
use quorate::raft;
use quorate::replica::{Body, Config, Entry, Header, Input, Output, Replica};
use quorate::time::{Instant, Now, Span, Wall};
use quorate_sim::raft::step_vec;
use quorate_sim::replica::Ask;

/// Up to where the snapshots on a member's disk reach.
fn stored(group: &Group, slot: u8) -> u64 {
    group.nodes[usize::from(slot)].disk.newest_snapshot().number()
}

fn last(group: &Group, slot: u8) -> u64 {
    group.machine(slot).raft().log().last().index.number()
}

/// A group of one that leads, with a session open.
fn alone(limit: usize) -> Group {
    let mut group = group(1, 1);
    group.setup.raft.limits.snapshot = limit;
    group.restart(0);
    group.pass(Span::millis(400));
    submit(&mut group, 0, &[open(7)]);
    group
}

fn fill(group: &mut Group, slot: u8, end: usize) {
    for sequence in last(group, slot)..end as u64 {
        submit(group, slot, &[add(7, sequence, 1)]);
    }
    assert_eq!(last(group, slot), end as u64);
}

#[test]
fn a_log_that_is_half_full_is_compacted_and_none_sooner() {
    let mut group = alone(BOARD.snapshot);
    fill(&mut group, 0, BOARD.entries / 2 - 1);
    assert_eq!(stored(&group, 0), 0);
    fill(&mut group, 0, BOARD.entries / 2);
    assert_eq!(stored(&group, 0), BOARD.entries as u64 / 2 - 1, "the last is not yet applied");
}

#[test]
fn a_log_is_compacted_only_for_the_sake_of_a_quarter_of_it() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[open(7)]);
    fill(&mut group, leader, BOARD.entries / 4 - 1);
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    group.part(&[leader], &others);
    for sequence in 100..200 {
        let _ = group.ask(leader, Ask::Submit(vec![add(7, sequence, 1)]));
    }
    assert_eq!(last(&group, leader) as usize, BOARD.entries - BOARD.runs + 1);
    assert_eq!(stored(&group, leader), 0, "of a full log too little is committed");
    group.heal();
    group.pass(Span::millis(100));
    assert!(stored(&group, leader) > 0);
}

#[test]
fn a_log_of_many_short_reigns_is_compacted_when_half_its_runs_are_used_up() {
    let mut group = group(1, 1);
    for reign in 1..=BOARD.runs / 2 {
        assert_eq!(stored(&group, 0), 0);
        group.restart(0);
        group.pass(Span::millis(400));
        assert_eq!(last(&group, 0) as usize, reign);
    }
    assert_eq!(stored(&group, 0) as usize, BOARD.runs / 2);
}

#[test]
fn a_snapshot_may_be_as_large_as_the_limit_and_no_larger() {
    let mut group = alone(BOARD.snapshot);
    fill(&mut group, 0, BOARD.entries / 2);
    let (snapshot, _) = group.nodes[0].disk.snapshot.clone().unwrap();
    for (limit, is_stored) in [(snapshot.size, true), (snapshot.size - 1, false)] {
        let mut group = alone(limit as usize);
        fill(&mut group, 0, BOARD.entries / 2);
        assert_eq!(stored(&group, 0) > 0, is_stored);
    }
}

// The log on disk still begins below the snapshot, and must be found to go on from it.
#[test]
fn a_crash_between_a_snapshot_and_the_write_that_follows_it_loses_nothing() {
    let mut group = alone(BOARD.snapshot);
    fill(&mut group, 0, BOARD.entries / 2 - 1);
    group.disk_is_fast(0, false);
    fill(&mut group, 0, BOARD.entries / 2);
    group.persist(Slot::new(0), usize::MAX);
    assert_eq!((stored(&group, 0) > 0, group.pending(0)), (true, 1));
    let state = group.machine(0).state().clone();
    group.restart(0);
    assert_eq!(last(&group, 0) as usize, BOARD.entries / 2);
    group.disk_is_fast(0, true);
    group.pass(Span::millis(400));
    assert_eq!(group.machine(0).state(), &state);
}

/// What a follower that has taken in so many entries of one term, some of them committed, stores.
fn stores(count: usize, committed: u64) -> usize {
    let setup = group(3, 1).setup;
    let config = Config {
        raft: setup.raft.config(Slot::new(0), 1),
        clock: setup.clock,
        roster: setup.roster,
    };
    let mut replica = Replica::new(config, setup.state).unwrap();
    let now = Now::both(Instant::from_micros(1), Wall::from_micros(9_000_000));
    let entries: Vec<_> = (0..count as u64)
        .map(|n| Entry { stamp: Stamp::at_millis(1_000 + n), body: Body::Barrier })
        .collect();
    let (term, prev, commit) = (Term::new(1), EntryId::ZERO, Index::new(committed));
    let (from, count) = (Slot::new(1), count as u32);
    let message = raft::Message::Append { term, prev, entries: term, count, commit, round: 1 };
    let header = Header { message, early: false, bare: false };
    let input = Input::Message { from, header, entries: &entries, chunk: &[] };
    let mut told = step_vec(&mut replica, now, input).unwrap();
    let receipt = told.iter().rev().find_map(|output| match output {
        Output::Persist { receipt, .. } => Some(*receipt),
        _ => None,
    });
    told.extend(step_vec(&mut replica, now, Input::Persisted(receipt.unwrap())).unwrap());
    assert!(Machine::deadline(&replica).is_some());
    told.iter().filter(|output| matches!(output, Output::Store { .. })).count()
}

#[test]
fn a_follower_without_room_for_other_leaders_lets_go_of_what_little_it_can() {
    let most = BOARD.entries - BOARD.runs;
    assert_eq!((stores(most, 2), stores(most + 1, 2)), (0, 1));
    assert_eq!(stores(most + 1, 0), 0, "there is nothing to let go of");
}

// Or the follower would have to begin with the next snapshot, and so on for ever.
#[test]
fn a_leader_that_sends_a_snapshot_takes_the_next_when_its_log_is_three_quarters_full() {
    let (mut group, leader) = led_group(3);
    let [other, behind] = [(leader + 1) % 3, (leader + 2) % 3];
    group.part(&[behind], &[leader, other]);
    (1..=8).for_each(|client| submit(&mut group, leader, &[open(client)]));
    fill(&mut group, leader, BOARD.entries / 2);
    let first = stored(&group, leader);
    assert!(first > 0);
    group.heal();
    group.ring(leader);
    while !group.machine(leader).raft().is_sending() {
        assert!(group.deliver(leader, behind) || group.deliver(behind, leader));
    }
    group.cut_one_way(leader, behind);
    let end = first as usize + BOARD.entries / 4 * 3;
    fill(&mut group, leader, end - 1);
    assert!(group.machine(leader).raft().is_sending());
    assert_eq!(stored(&group, leader), first);
    fill(&mut group, leader, end);
    assert!(stored(&group, leader) > first);
}
