//! Snapshots: what they may replace, how they travel, and what is on disk when a crash comes
//! between.

use crate::cast::*;
use quorate::event::Stopped;
use quorate::limits::BOARD;
use quorate::raft::Write;

/// Three members of which two have compacted their logs and one has heard of nothing.
fn one_is_left_behind() -> Group {
    let mut c = Group::of(3);
    c.elect(0);
    c.part(&[2], &[0, 1]);
    c.propose(0, 8);
    c.settle();
    c.pass(Span::millis(30));
    c.compact(0);
    c.compact(1);
    c.heal();
    c
}

/// A follower of n0 in term 2 whose log goes 1@1, then to 5@1, while only 1@1 is committed.
fn one_has_a_tail() -> Group {
    let mut c = Group::of(3);
    c.elect(0);
    c.part(&[2], &[0, 1]);
    c.propose(0, 4);
    c.deliver(0, 1);
    c.crash(Slot::new(0), 0);
    c.flights.clear();
    c.heal();
    c
}

// sailing 9bb110f: a snapshot that was stored late discarded the tail that had won an election, and
// the winner's own vote.
#[test]
fn a_snapshot_that_is_stored_too_late_leaves_a_candidate_alone() {
    let mut c = one_has_a_tail();
    c.disk_is_fast(1, false);
    c.say(0, 1, chunk(1, entry(1, 9)));
    c.silence();
    c.ring(1);
    c.notice(Slot::new(1));
    assert_eq!((c.machine(1).role(), c.last(1)), ("canvasser", entry(1, 5)));
    c.deliver(1, 2);
    c.deliver(2, 1);
    assert_eq!((c.machine(1).role(), c.machine(1).vote()), ("candidate", Some(Slot::new(1))));
}

// camunda#6092, NuRaft#407, RedisLabs/raft#49: acknowledged entries above it were thrown away.
#[test]
fn a_snapshot_of_what_is_held_keeps_the_tail() {
    let mut c = one_has_a_tail();
    c.say(0, 1, chunk(1, entry(1, 3)));
    assert_eq!((c.machine(1).commit(), c.last(1)), (Index::new(3), entry(1, 5)));
    c.step(Slot::new(1), Stimulus::Stored(snapshot(entry(1, 3)))).unwrap();
    assert_eq!((c.machine(1).log().floor(), c.last(1)), (entry(1, 3), entry(1, 5)));
}

// hashicorp/raft#697: a conflicting entry at the snapshot's own last index stayed; every append
// failed, and the snapshot was sent again for ever.
#[test]
fn a_snapshot_replaces_a_tail_that_contradicts_it() {
    let mut c = one_has_a_tail();
    c.say(2, 1, Message::Stale { term: Term::new(2) });
    c.say(2, 1, chunk(2, entry(2, 3)));
    assert_eq!((c.machine(1).log().floor(), c.last(1)), (entry(2, 3), entry(2, 3)));
    c.say(2, 1, append(2, entry(2, 3), (2, 1), 4));
    assert_eq!((c.machine(1).commit(), c.last(1)), (Index::new(4), entry(2, 4)));
}

// openraft#1892: a different entry at a committed index was adopted.
#[test]
fn what_contradicts_a_commit_stops_the_member_and_is_not_adopted() {
    let messages = [
        chunk(2, entry(2, 1)),
        append(2, entry(2, 1), (2, 1), 0),
        append(2, EntryId::ZERO, (2, 1), 0),
    ];
    for message in messages {
        for is_compacted in [false, true] {
            let mut c = one_has_a_tail();
            if is_compacted {
                c.compact(1);
            }
            c.say(2, 1, message);
            assert_eq!(c.machine(1).stopped(), Some(Stopped::CommittedConflict), "{message:?}");
            assert_eq!(c.last(1), entry(1, 5));
        }
    }
    let mut c = one_has_a_tail();
    c.say(0, 1, append(1, entry(1, 5), (1, 0), 5));
    c.say(0, 1, Message::Stale { term: Term::new(2) });
    c.step(Slot::new(1), Stimulus::Stored(snapshot(entry(2, 3)))).unwrap();
    assert_eq!(c.machine(1).stopped(), Some(Stopped::CommittedConflict));
}

// openraft#1828: with nothing left in the leader's log, a new follower got neither probe nor
// snapshot until somebody proposed something. etcd#10308 is its neighbour.
#[test]
fn a_follower_behind_an_empty_log_is_sent_the_snapshot() {
    let mut c = one_is_left_behind();
    assert_eq!((c.machine(0).log().runs().len(), c.last(0)), (0, entry(1, 9)));
    c.pass(Span::millis(60));
    assert_eq!((c.last(2), c.commits()), (entry(1, 9), vec![9, 9, 9]));
    c.propose(0, 1);
    c.settle();
    assert_eq!(c.commits(), [10, 10, 10]);
}

// scylladb#29092: a transfer survived losing and regaining leadership, and there were two.
#[test]
fn a_transfer_ends_with_its_leadership_and_its_bytes_are_of_use_to_the_next() {
    let mut c = one_is_left_behind();
    c.tick(0);
    c.pass(Span::ZERO);
    c.ring(0);
    while !matches!(c.newest(2, 0), Some(Message::Received { received: 256, .. })) {
        assert!(c.deliver(0, 2) || c.deliver(2, 0), "a transfer begins");
    }
    let late = c.hold(2, 0);
    c.flights.clear();
    c.elect_unheard(0);
    c.flights.extend(late);
    c.settle();
    assert_eq!(c.newest(0, 2), None, "an answer of the former term moves nothing");
    let (begun, told) = (c.machine(2).incoming().unwrap(), c.story().len());
    assert_eq!((begun.snapshot.boundary, begun.received), (entry(1, 9), 256));
    c.pass(Span::millis(100));
    assert_eq!(c.commits(), [10, 10, 10]);
    assert!(!c.story()[told..].contains("n2 → n0 t2 received 0"), "it goes on where it stopped");
}

#[test]
fn an_answer_about_another_snapshot_moves_nothing() {
    let mut c = one_is_left_behind();
    c.ring(0);
    let part = loop {
        match c.newest(0, 2) {
            Some(part @ Message::Chunk { .. }) => break part,
            _ => assert!(c.deliver(0, 2) || c.deliver(2, 0), "a transfer begins"),
        }
    };
    c.flights.clear();
    let Message::Chunk { term, digest, round, .. } = part else { panic!() };
    let answer = |digest| Message::Received { term, digest, received: 256, round };
    c.say(2, 0, answer(digest + 1));
    assert_eq!(c.newest(0, 2), None);
    c.say(2, 0, answer(digest));
    assert!(matches!(c.newest(0, 2), Some(Message::Chunk { offset: 256, .. })));
}

// etcd-io/raft#31: a follower's conflict arrived when the entry that it named was compacted.
#[test]
fn a_conflict_below_the_floor_brings_the_snapshot() {
    let mut c = Group::of(3);
    c.elect(0);
    c.part(&[2], &[0, 1]);
    c.propose(0, 8);
    c.settle();
    c.heal();
    c.ring(0);
    c.deliver(0, 2);
    c.deliver(0, 1);
    assert!(matches!(c.newest(2, 0), Some(Message::Conflict { .. })));
    c.compact(0);
    c.settle();
    assert_eq!(c.last(2), entry(1, 9));
    assert_eq!(c.machine(2).log().floor(), entry(1, 9), "by snapshot");
}

// A part is lost like any other message; and a damaged snapshot is asked for again.
#[test]
fn a_lost_part_and_a_damaged_whole_are_sent_again() {
    let mut c = one_is_left_behind();
    c.disk_is_fast(2, false);
    let mut lost = 0;
    for _ in 0..100 {
        if c.machine(2).incoming().is_some_and(|incoming| incoming.received == 600) {
            break;
        }
        match c.flights.first().map(|flight| flight.packet.0) {
            None => c.ring(0),
            Some(Message::Chunk { offset: 256, .. }) if lost == 0 => {
                lost += 1;
                c.flights.remove(0);
            }
            Some(_) => c.deliver_at(0),
        }
    }
    assert_eq!(lost, 1);
    c.nodes[2].disk.snapshot = None;
    c.ask(2, Input::Discard).unwrap();
    c.disk_is_fast(2, true);
    c.pass(Span::millis(100));
    assert_eq!(c.commits(), [9, 9, 9]);
}

#[test]
fn a_snapshot_that_is_larger_than_the_limit_is_not_received() {
    let most = BOARD.snapshot as u32;
    for (size, received) in [(most, Some(256)), (most + 1, None)] {
        let mut c = one_has_a_tail();
        let (term, boundary, digest) = (Term::new(1), entry(1, 9), 9);
        let (offset, length, round) = (0, 256, 0);
        c.say(0, 1, Message::Chunk { term, boundary, digest, size, offset, length, round });
        assert_eq!(c.machine(1).incoming().map(|incoming| incoming.received), received);
    }
}

// raft-rs#392, etcd#21190: replay began at a commit index, not at what the state machine had.
#[test]
fn a_restart_begins_at_the_snapshot_and_tells_every_commit_after_it_again() {
    let mut c = one_is_left_behind();
    c.settle();
    c.propose(0, 2);
    c.settle();
    c.pass(Span::millis(30));
    assert_eq!(c.told_commit(1), 11);
    c.restart(1);
    assert_eq!((c.commits()[1], c.last(1)), (9, entry(1, 11)));
    c.pass(Span::millis(60));
    let told: Vec<_> =
        c.nodes[1].told.iter().filter(|t| matches!(t, Output::Committed { .. })).collect();
    assert_eq!(told, [&Output::Committed { index: Index::new(11) }]);
}

// A snapshot may be on disk while the log still holds what it replaces: a crash between the two.
#[test]
fn a_log_that_contradicts_the_newer_snapshot_is_dropped_to_its_end() {
    let mut c = one_has_a_tail();
    c.say(0, 1, append(1, entry(1, 5), (1, 1), 1));
    // A leader of term 2 wrote over 5 and 6 before it failed; term 3 has committed 5@1 and not 5@2.
    c.say(2, 1, append(2, entry(1, 4), (2, 1), 1));
    c.say(2, 1, append(2, entry(2, 5), (2, 3), 1));
    c.nodes[1].disk.snapshot = Some((snapshot(entry(1, 5)), Vec::new()));
    for _ in 0..2 {
        c.restart(1);
        assert_eq!(c.last(1), entry(1, 5), "6@2 stands on 5@2, which is not there");
    }
    c.say(2, 1, append(3, entry(1, 5), (3, 2), 6));
    c.restart(1);
    assert_eq!(c.last(1), entry(3, 7), "and what came after the snapshot is found again");
}

// After the same crash with a shorter log, the log on disk must not go on behind a gap.
#[test]
fn a_log_that_ends_below_the_newer_snapshot_is_written_anew() {
    let mut is_compacted = Group::of(3);
    is_compacted.elect(0);
    is_compacted.compact(1);
    for mut c in [Group::of(3), one_has_a_tail(), is_compacted] {
        c.nodes[1].disk.snapshot = Some((snapshot(entry(1, 9)), Vec::new()));
        c.restart(1);
        c.tick(1);
        let written: Vec<_> = c.nodes[1].disk.records.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["rebase on 9@1"]);
    }
}

// What a member learns in a term must not outlive the term on its disk: or an older leader, not
// deposed as far as this member remembers, could contradict it.
#[test]
fn nothing_that_a_term_has_taught_is_stored_before_the_term() {
    let mut c = one_has_a_tail();
    c.disk_is_fast(1, false);
    c.say(2, 1, append(2, entry(1, 5), (1, 0), 5));
    assert_eq!((c.machine(1).commit(), c.told_commit(1)), (Index::new(5), 1));
    c.say(2, 1, chunk(2, entry(2, 9)));
    assert_eq!(c.machine(1).incoming(), None);
    c.persist(Slot::new(1), 1);
    c.say(2, 1, chunk(2, entry(2, 9)));
    assert_eq!((c.told_commit(1), c.machine(1).incoming().unwrap().received), (5, 100));
}

// Entries that were acknowledged must not be forgotten in silence.
#[test]
fn a_log_with_a_hole_or_more_than_fits_is_a_fault() {
    let run = |term, first, last| {
        let (first, last) = (Index::new(first), Index::new(last));
        Write::Append { term: Term::new(term), first, last }
    };
    let stopped = |writes: &mut dyn Iterator<Item = Write>| {
        let mut raft = Raft::new(Setup::of(3).config(Slot::new(0), 1)).unwrap();
        writes.for_each(|write| raft.replay(&write));
        raft.stopped()
    };
    let most = BOARD.runs as u64;
    assert_eq!(stopped(&mut [run(1, 1, 3), run(2, 3, 6)].into_iter()), None);
    assert_eq!(stopped(&mut [run(1, 1, 3), run(2, 5, 6)].into_iter()), Some(Stopped::Corrupt));
    assert_eq!(stopped(&mut [run(2, 1, 3), run(1, 4, 6)].into_iter()), Some(Stopped::Corrupt));
    assert_eq!(stopped(&mut (1..=most).map(|n| run(n, n, n))), None);
    assert_eq!(stopped(&mut (0..=most).map(|n| run(n, n + 1, n + 1))), Some(Stopped::Corrupt));
}

// A snapshot of nothing, of no entry, or of a term that is still to come is nobody's.
#[test]
fn a_snapshot_that_cannot_be_is_refused() {
    let mut c = one_has_a_tail();
    let before = c.machine(1).clone();
    let nothing = Snapshot { size: 0, ..snapshot(entry(1, 1)) };
    for snapshot in [nothing, snapshot(EntryId::ZERO), snapshot(entry(7, 1))] {
        assert!(c.step(Slot::new(1), Stimulus::Stored(snapshot)).is_err());
    }
    assert_eq!(*c.machine(1), before);
}

#[test]
fn a_leader_whose_follower_has_the_snapshot_is_sending_none() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    c.crash(Slot::new(2), 0);
    c.propose(0, 8);
    c.settle();
    c.compact(0);
    c.start(Slot::new(2));
    c.pass(Span::millis(300));
    assert_eq!(c.last(2), c.last(0), "{}", c.story());
    assert!(!c.machine(0).is_sending());
}
