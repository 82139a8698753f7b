//! Replication and commit: what counts as held, by whom, and what a late word may change.

use crate::cast::*;
use quorate::limits::{BOARD, Limits, MOST};
use quorate::raft::Pace;
use quorate_sim::cluster::Effect;

// Ongaro and Ousterhout, figure 8; dissertation 3.6.2.
#[test]
fn an_older_entry_on_a_quorum_is_not_committed_by_counting() {
    let mut c = Group::of(5);
    c.elect(0);
    c.part(&[0, 1], &[2, 3, 4]);
    c.propose(0, 1);
    c.settle();
    c.crash(Slot::new(0), 0);
    c.elect_unheard(4);
    c.crash(Slot::new(4), 0);
    c.heal();
    c.start(Slot::new(0));
    c.elect_unheard(0);
    c.ring(0);
    for _ in 0..2 {
        c.deliver(0, 2);
        c.deliver(2, 0);
    }
    c.deliver(0, 1);
    c.deliver(1, 0);
    assert!((0..3).all(|slot| c.machine(slot).log().contains(entry(1, 2))), "a quorum has it");
    assert_eq!(c.machine(0).commit(), Index::ZERO, "of the two that were there before");
    c.crash(Slot::new(0), 0);
    c.flights.clear();
    c.start(Slot::new(4));
    c.elect(4);
    assert_eq!(c.machine(2).log().term_at(Index::new(2)), Some(Term::new(2)), "and yet lost it");
    assert_eq!(c.commits(), [3, 3, 3, 3]);
}

// openraft#1802: an optimised scan over unsorted progress "committed" what two of five held.
#[test]
fn two_of_five_commit_nothing_whatever_the_order_of_their_answers() {
    for (far, near) in (1..5).flat_map(|far| (1..5).map(move |near| (far, near))) {
        let mut c = Group::of(5);
        c.elect(0);
        c.propose(0, 5);
        c.flights.clear();
        c.say(far, 0, matched(1, 6));
        assert_eq!(c.machine(0).commit(), Index::new(1));
        c.say(near, 0, matched(1, 4));
        let second = if near == far { 1 } else { 4 };
        assert_eq!(c.machine(0).commit(), Index::new(second), "{far} and {near}");
    }
}

// openraft, fixed 2026-07-09: an acknowledgement was queued while its log was taken back.
#[test]
fn an_acknowledgement_from_before_a_truncation_counts_for_nothing() {
    let mut c = Group::of(3);
    c.elect(0);
    c.propose(0, 3);
    c.deliver(0, 1);
    let late = c.hold(1, 0);
    c.crash(Slot::new(1), 0);
    c.flights.clear();
    c.restart(0);
    c.nodes[0].machine = None;
    c.nodes[0].disk.records.truncate(2);
    c.start(Slot::new(0));
    c.elect_unheard(0);
    c.propose(0, 2);
    assert_eq!(c.last(0), entry(2, 4));
    c.flights = late;
    c.settle();
    assert_eq!(c.machine(0).commit(), Index::ZERO);
}

// sailing a0b5ce8, etcd-io/raft#149, raft-rs#557: late conflicts destroyed progress, or looped.
#[test]
fn a_late_conflict_takes_no_progress_back_and_settles() {
    let mut c = Group::of(3);
    c.elect(0);
    c.part(&[2], &[0, 1]);
    c.propose(0, 8);
    c.settle();
    c.heal();
    c.ring(0);
    c.deliver(0, 2);
    let late: Vec<_> = c.flights.iter().filter(|f| f.from == Slot::new(2)).cloned().collect();
    c.settle();
    assert_eq!(c.commits(), [9, 9, 9]);
    c.compact(2);
    c.compact(0);
    c.flights.extend(late);
    c.settle();
    c.propose(0, 1);
    assert_eq!(c.newest(0, 2), Some(append(1, entry(1, 9), (1, 1), 9)).map(|m| in_round(m, 1)));
}

fn in_round(message: Message, now: u64) -> Message {
    let Message::Append { term, prev, entries, count, commit, .. } = message else { panic!() };
    Message::Append { term, prev, entries, count, commit, round: now }
}

// openraft#1500: heartbeats said "commit" where the follower's log was another's, or ended.
#[test]
fn a_heartbeat_commits_only_what_matches() {
    let mut c = Group::of(3);
    c.elect(0);
    c.propose(0, 3);
    c.deliver(0, 1);
    c.flights.clear();
    c.say(2, 1, append(2, entry(1, 1), (2, 0), 4));
    assert_eq!((c.machine(1).commit(), c.last(1)), (Index::new(1), entry(1, 4)));
    c.say(2, 1, append(2, entry(2, 9), (2, 0), 9));
    assert_eq!(c.machine(1).commit(), Index::new(1));
    assert!(matches!(c.newest(1, 2), Some(Message::Conflict { .. })));
}

// etcd#16220, tikv#7353: `tocommit is out of range`: a follower without its disk ended the process.
#[test]
fn a_follower_that_has_lost_its_disk_is_told_of_and_never_counted() {
    let mut c = Group::of(3);
    c.elect(0);
    c.propose(0, 3);
    c.settle();
    c.crash(Slot::new(1), 0);
    c.crash(Slot::new(2), 0);
    c.nodes[1].disk.records.clear();
    c.start(Slot::new(1));
    c.ring(0);
    c.deliver(0, 1);
    let Some(answer) = c.newest(1, 0) else { panic!("it answers") };
    let lost = Event::LogLost { by: Slot::new(1), matched: Index::new(4) };
    assert!(events(&c, 1, 0, answer).contains(&lost));
    c.propose(0, 1);
    c.pass(Span::millis(100));
    assert_eq!(c.commits(), [4, 0]);
}

// An acknowledgement that says nothing new does not excuse what was lost before it.
#[test]
fn a_conflict_in_a_later_round_than_the_acknowledgement_is_proof_of_a_loss() {
    let mut c = Group::of(3);
    c.elect(0);
    c.propose(0, 3);
    c.flights.clear();
    (0..3).for_each(|_| c.ring(0));
    let Some(Message::Append { round: now, .. }) = c.newest(0, 1) else { panic!() };
    let (term, at) = (Term::new(1), Index::new(4));
    for round in [now - 2, now] {
        c.say(1, 0, Message::Matched { term, matched: at, round });
    }
    let conflict = |round| Message::Conflict { term, rejected: at, hint: EntryId::ZERO, round };
    let stale = Event::Ignored { from: Slot::new(1), why: Ignored::Stale };
    assert_eq!(events(&c, 1, 0, conflict(now - 2)), [stale]);
    let lost = Event::LogLost { by: Slot::new(1), matched: at };
    assert_eq!(events(&c, 1, 0, conflict(now - 1)), [lost]);
}

#[test]
fn no_more_is_under_way_to_a_follower_than_the_window_permits() {
    let mut c = Group::of(2);
    c.elect(0);
    (0..5).for_each(|_| c.propose(0, BOARD.batch as u32));
    let counts = c.flights.iter().map(|flight| match flight.packet.0 {
        Message::Append { count, .. } => count as usize,
        other => panic!("{other:?}"),
    });
    assert_eq!(counts.sum::<usize>(), BOARD.window);
    let said = c.flights.len();
    c.propose(0, 1);
    assert_eq!(c.flights.len(), said, "and nothing is said in vain");
}

// etcd-io/raft#54: what had been on its way before a probe or a snapshot was counted ever after, until
// nothing was sent any more.
#[test]
fn a_window_that_was_full_when_all_was_lost_is_as_wide_as_before() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    for by_snapshot in [false, true, false] {
        for _ in 0..BOARD.window.div_ceil(BOARD.batch) {
            c.propose(0, BOARD.batch as u32);
            while c.deliver(0, 1) | c.deliver(1, 0) {}
        }
        let counts = c.flights.iter().map(|flight| match flight.packet.0 {
            Message::Append { count, .. } => count as usize,
            other => panic!("{other:?}"),
        });
        assert_eq!(counts.sum::<usize>(), BOARD.window, "{}", c.story());
        c.flights.clear();
        if by_snapshot {
            c.compact(0);
        }
        c.ring(0);
        c.settle();
        assert_eq!((c.last(2), peer(&c, 0, 2).2), (c.last(0), Pace::Replicate));
        (0..3).for_each(|slot| c.compact(slot));
    }
}

// etcd, rawnode.go, "the ABA problem": a write that was overwritten twice confirmed the third.
#[test]
fn a_write_that_was_overwritten_confirms_nothing() {
    let mut c = Group::of(3);
    c.elect(2);
    c.disk_is_fast(1, false);
    c.say(0, 1, append(2, entry(1, 1), (2, 1), 0));
    let first = c.receipt(1, 1);
    c.say(2, 1, append(3, entry(1, 1), (3, 1), 0));
    c.say(0, 1, append(4, entry(1, 1), (2, 1), 0));
    c.step(Slot::new(1), Stimulus::Persisted(first)).unwrap();
    assert_eq!((c.last(1), c.machine(1).durable()), (entry(2, 2), Index::new(1)));
    c.persist(Slot::new(1), usize::MAX);
    assert_eq!(c.machine(1).durable(), Index::new(2));
}

// openraft#1960: completions that were out of order, or summed up, lost the newest.
#[test]
fn a_receipt_stands_for_all_before_it_and_an_older_one_takes_nothing_back() {
    let mut c = Group::of(1);
    c.disk_is_fast(0, false);
    c.silence();
    c.ring(0);
    let ballot = c.receipt(0, 0);
    c.persist(Slot::new(0), 1);
    let barrier = c.receipt(0, 0);
    c.propose(0, 3);
    c.persist(Slot::new(0), usize::MAX);
    assert_eq!(c.told_commit(0), 4);
    for old in [ballot, barrier] {
        c.step(Slot::new(0), Stimulus::Persisted(old)).unwrap();
    }
    assert_eq!((c.machine(0).durable(), c.told_commit(0)), (Index::new(4), 4));
}

// noraft before its #27, and any host that is assumed to write before it sends.
#[test]
fn a_leader_counts_itself_only_when_its_own_disk_has_it() {
    let mut c = Group::of(3);
    c.elect(0);
    c.disk_is_fast(0, false);
    c.cut_one_way(0, 2);
    c.propose(0, 1);
    c.settle();
    assert_eq!(c.commits(), [1, 1, 1], "one disk of three has it");
    c.persist(Slot::new(0), 1);
    assert_eq!(c.machine(0).commit(), Index::new(2));
}

// A leader may learn from the others' disks that an entry is committed before its own disk has it.
#[test]
fn a_commit_ahead_of_the_own_disk_is_told_only_up_to_the_own_disk() {
    let mut c = Group::of(3);
    c.elect(0);
    c.disk_is_fast(0, false);
    c.propose(0, 2);
    c.settle();
    assert_eq!((c.machine(0).commit(), c.told_commit(0)), (Index::new(3), 1));
    c.persist(Slot::new(0), 1);
    assert_eq!(c.told_commit(0), 3);
}

// openraft, fixed 2026-07-09, seen from the disk: what was cut is not what is there now.
#[test]
fn a_receipt_older_than_a_truncation_confirms_ballots_and_no_entries() {
    let mut c = Group::of(3);
    c.elect(0);
    c.disk_is_fast(1, false);
    c.say(2, 1, append(2, entry(1, 1), (2, 2), 0));
    let before_the_cut = c.receipt(1, 1);
    c.say(2, 1, Message::Stale { term: Term::new(3) });
    c.say(0, 1, append(3, entry(1, 1), (3, 2), 0));
    c.step(Slot::new(1), Stimulus::Persisted(before_the_cut)).unwrap();
    assert_eq!(c.machine(1).durable(), Index::new(1));
    let acknowledged = |c: &Group| c.flights.iter().any(|flight| flight.from == Slot::new(1));
    assert!(!acknowledged(&c), "nor is term 3 on disk");
    c.persist(Slot::new(1), usize::MAX);
    assert_eq!((c.machine(1).durable(), acknowledged(&c)), (Index::new(3), true));
}

// A completion that arrives after a crash belongs to a write that may be gone.
#[test]
fn a_receipt_of_a_former_life_confirms_nothing() {
    let mut c = Group::of(1);
    c.elect(0);
    c.disk_is_fast(0, false);
    c.propose(0, 1);
    let former = c.receipt(0, 0);
    c.restart(0);
    c.silence();
    c.ring(0);
    c.step(Slot::new(0), Stimulus::Persisted(former)).unwrap();
    assert_eq!(c.machine(0).role(), "candidate");
}

// tikv#994: acknowledged, committed, gone.
#[test]
fn an_acknowledgement_waits_for_the_entries_and_for_the_ballot() {
    let mut c = Group::of(3);
    c.elect(0);
    c.disk_is_fast(1, false);
    c.say(2, 1, append(2, entry(1, 1), (2, 1), 0));
    c.persist(Slot::new(1), 1);
    assert_eq!(c.newest(1, 2), None, "the ballot is there, the entry is not");
    c.persist(Slot::new(1), 1);
    assert_eq!(c.newest(1, 2), Some(matched(2, 2)));
    c.say(0, 1, append(3, entry(2, 2), (2, 0), 0));
    assert_eq!(c.newest(1, 0), None, "the next ballot is not");
}

// Raft paper, 5.3: a late append with a part of what is there must not cut the rest.
#[test]
fn a_repeated_append_cuts_nothing() {
    let mut c = Group::of(3);
    c.elect(0);
    c.propose(0, 4);
    c.deliver(0, 1);
    c.say(0, 1, append(1, entry(1, 1), (1, 2), 1));
    assert_eq!(c.last(1), entry(1, 5));
}

// A leader that repeats itself has not heard the answer; one answer to each word would never end.
#[test]
fn what_was_heard_is_answered_again_only_if_it_brings_entries() {
    let mut c = Group::of(3);
    c.elect(0);
    c.propose(0, 1);
    c.settle();
    let mut is_answered = |message| {
        c.flights.clear();
        c.say(0, 1, in_round(message, 5));
        c.newest(1, 0).is_some()
    };
    let heartbeat = append(1, entry(1, 2), (1, 0), 2);
    assert!(is_answered(heartbeat), "a new round");
    assert!(!is_answered(heartbeat), "the same again");
    assert!(is_answered(append(1, entry(1, 1), (1, 1), 2)), "entries that are here");
    assert!(is_answered(append(1, entry(1, 1), (1, 1), 2)), "as often as they come");
}

// etcd#11929, raft-rs#530: a new leader went through its whole log, and ran out of memory.
#[test]
fn a_new_leader_of_a_long_log_has_no_more_to_do_than_one_of_a_short_log() {
    let work_with = |batches: usize| {
        let mut c = Group::new(3, Setup { limits: MOST, ..Setup::of(3) });
        c.elect(0);
        for _ in 0..batches {
            c.propose(0, MOST.batch as u32);
            c.settle();
        }
        assert_eq!(c.machine(1).log().runs().len(), 1);
        let before = c.story().lines().count();
        c.elect(1);
        c.story().lines().count() - before
    };
    assert_eq!(work_with(MOST.entries / MOST.batch - MOST.runs / MOST.batch - 2), work_with(1));
}

/// A group whose logs hold so many leaders' entries, none of them committed: n0's.
fn reigns_in_vain(limits: Limits) -> Group {
    let mut c = Group::new(3, Setup { limits, ..Setup::of(3) });
    for _ in 0..limits.runs {
        c.elect_unheard(0);
        c.ask(0, Input::StepDown).unwrap();
    }
    c
}

// No bound may end in a lie: an entry keeps the term of the leader that made it.
#[test]
fn so_many_leaders_without_a_commit_leave_every_entry_its_true_term() {
    for limits in [MOST, BOARD] {
        let mut c = reigns_in_vain(limits);
        let runs = c.machine(0).log().runs().iter();
        assert!(runs.zip(1..).all(|(run, n)| (run.term, run.first, run.last)
            == (Term::new(n), Index::new(n), Index::new(n))));
        c.silence();
        c.ring(0);
        assert_eq!(c.machine(0).role(), "follower", "it has no room for a run of its own");
        c.elect(1);
        assert_eq!(c.commits(), [1, 1, 1], "and makes room for one who has");
    }
}

// A member that could not take an entry said so at once, and got it again at once, for ever.
#[test]
fn who_has_no_room_is_silent_until_the_next_round_and_then_catches_up() {
    let mut c = reigns_in_vain(Limits { runs: BOARD.runs - 1, ..BOARD });
    let full = c.machine(0).log().runs().len() as u64;
    c.setup.limits.runs = BOARD.runs;
    c.restart(0);
    c.elect(0);
    assert_eq!((c.last(1).index.number(), c.last(2).index.number()), (full, full));
    assert_eq!(c.commits(), [0, 0, 0], "the others have no room for one more run");
    c.pass(Span::millis(60));
    let message = append(c.machine(0).term().number(), c.last(1), (full + 1, 1), 0);
    let no_room = Event::Ignored { from: Slot::new(0), why: Ignored::NoRoom };
    assert_eq!(events(&c, 0, 1, message), [no_room]);
    c.restart(1);
    c.pass(Span::millis(60));
    assert_eq!(c.commits()[..2], [full + 1, full + 1], "a quorum has");
}

// A follower whose host compacts late held more than the limit. After a restart it did not know what
// of it was committed, had no room for an entry of its own, and nobody else could be elected.
#[test]
fn a_full_log_takes_no_more_and_keeps_room_for_a_barrier() {
    let mut c = Group::of(2);
    c.elect(0);
    c.propose(0, 3);
    (0..5).for_each(|_| c.propose(0, BOARD.batch as u32));
    c.settle();
    c.compact(0);
    c.disk_is_fast(0, false);
    (0..5).for_each(|_| c.propose(0, BOARD.batch as u32));
    c.settle();
    assert!(c.last(0).index > c.last(1).index, "the follower has not compacted");
    let room_for_barriers = BOARD.runs - 1;
    assert_eq!(c.last(1).index.number(), (BOARD.entries - room_for_barriers) as u64);
    c.restart(0);
    c.restart(1);
    c.disk_is_fast(0, true);
    c.elect(1);
    assert_eq!(c.commits()[1], c.last(1).index.number());
}

/// Everything that a member wants done in one step, in every order that keeps its writes in theirs.
fn orders(effects: &[Effect<Raft>]) -> Vec<Vec<Effect<Raft>>> {
    if effects.is_empty() {
        return vec![Vec::new()];
    }
    let is_write = |effect: &Effect<Raft>| matches!(effect, Effect::Persist { .. });
    let mut all = Vec::new();
    for first in 0..effects.len() {
        if is_write(&effects[first]) && effects[..first].iter().any(is_write) {
            continue;
        }
        let mut rest = effects.to_vec();
        let effect = rest.remove(first);
        for mut order in orders(&rest) {
            order.insert(0, effect.clone());
            all.push(order);
        }
    }
    all
}

/// Goes on in every order from here, and tells how many ways there are to the end.
fn explore(c: &Group, script: &[Input], ends: &mut Vec<(u64, Vec<u64>)>) {
    let mut c = c.clone();
    let disk = c.living().into_iter().find(|slot| c.pending(slot.number()) > 0);
    let (slot, stimulus, script) = if let Some(slot) = disk {
        (slot, Stimulus::Persisted(c.sync(slot, 1).unwrap()), script)
    } else if !c.flights.is_empty() {
        let flight = c.flights.remove(0);
        (flight.to, Stimulus::Packet(flight.from, flight.packet), script)
    } else if let [ask, rest @ ..] = script {
        (Slot::new(0), Stimulus::Ask(*ask), rest)
    } else {
        assert!(!c.machine(1).leads());
        assert!(ends.len() < 10_000, "more is said than there is to say");
        return ends.push((c.machine(0).term().number(), c.commits()));
    };
    for order in orders(&c.encode(slot, stimulus).unwrap()) {
        let mut c = c.clone();
        order.into_iter().for_each(|effect| c.perform(slot, effect));
        explore(&c, script, ends);
    }
}

// etcd#8455, etcd#4765: the order in which a host performed one step's outputs was the proof.
#[test]
fn outputs_may_be_performed_in_any_order() {
    let mut c = Group::of(2);
    c.is_told(false);
    c.silence();
    let alarm = c.machine(0).deadline().unwrap();
    c.jump(alarm.since(c.now().mono));
    let mut ends = Vec::new();
    explore(&c, &[Input::Tick, Input::Propose { count: 2 }, Input::Read], &mut ends);
    assert!(ends.len() > 100);
    assert!(ends.iter().all(|end| *end == (1, vec![3, 3])), "{ends:?}");
}

/// What a leader knows of a follower: match, next, and how it sends.
fn peer(c: &Group, leader: u8, follower: u8) -> (u64, u64, Pace) {
    let slot = Slot::new(follower);
    let (_, peer) = c.machine(leader).peers().find(|(it, _)| *it == slot).expect("a follower");
    (peer.matched.number(), peer.next.number(), peer.pace)
}

// etcd/raft's progress: probe, replicate, snapshot, and what takes one to another.
#[test]
fn a_follower_is_probed_then_streamed_to_and_sent_a_snapshot_when_the_log_is_gone() {
    let mut c = Group::of(3);
    assert_eq!(c.machine(0).peers().count(), 0, "who does not lead knows nobody's progress");
    c.part(&[2], &[0, 1]);
    c.elect(0);
    assert_eq!(peer(&c, 0, 1), (1, 2, Pace::Replicate));
    assert_eq!(peer(&c, 0, 2), (0, 1, Pace::Probe), "nothing was heard of it");
    c.propose(0, 3);
    c.settle();
    assert_eq!((peer(&c, 0, 1), peer(&c, 0, 2)), ((4, 5, Pace::Replicate), (0, 1, Pace::Probe)));
    c.compact(0);
    assert_eq!(peer(&c, 0, 2), (0, 5, Pace::Snapshot), "what it lacks is not in the log");
    c.heal();
    c.ring(0);
    c.settle();
    assert_eq!(peer(&c, 0, 2), (4, 5, Pace::Replicate));
    c.propose(0, BOARD.window as u32 / 4);
    let flying = (4, 5 + BOARD.window as u64 / 4, Pace::Replicate);
    assert_eq!(peer(&c, 0, 2), flying, "entries are taken to arrive");
    c.flights.clear();
    c.ring(0);
    c.settle();
    assert_eq!(peer(&c, 0, 2).2, Pace::Replicate, "and it recovers when one is lost");
}

#[test]
fn what_a_new_leader_sends_first_is_sent_once_and_acknowledged_once() {
    let mut c = Group::of(3);
    c.is_told(false);
    c.elect(0);
    c.propose(0, 2);
    c.settle();
    c.is_told(true);
    c.elect(2);
    let told = |c: &Group, what: &str| c.story().matches(what).count();
    assert_eq!(told(&c, "n2 → n1 t2 append 1 of t2"), 1);
    assert_eq!(
        told(&c, "n1 → n2 t2 matched"),
        1,
        "with the barrier, not before it:\n{}",
        c.story()
    );
    assert_eq!(peer(&c, 2, 1), (4, 5, Pace::Replicate));
}
