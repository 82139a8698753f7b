//! The payload floor: payloads, sessions, clocks, reads, snapshots.

use crate::sum::{DUE, Group, add, group, leader, led_group, open, submit};
use quorate::event::Ignored;
use quorate::hlc::Stamp;
use quorate::id::{ClientId, EntryId, Index, Slot};
use quorate::limits::{BOARD, Limits};
use quorate::replica::{
    Body, Config, Entry, Header, Input, Outcome, Output, RecoverError, Replica,
};
use quorate::time::{Now, Span, Wall};
use quorate::{Event, Machine, Refused, raft};
use quorate_sim::cluster::Stimulus;
use quorate_sim::raft::{Outputs, step_vec};
use quorate_sim::replica::Ask;

const CLIENT: ClientId = ClientId::new(7);

fn others(leader: u8) -> [u8; 2] {
    [(leader + 1) % 3, (leader + 2) % 3]
}

fn told(group: &Group, slot: u8, what: impl Fn(&Output) -> bool) -> usize {
    group.nodes[usize::from(slot)].told.iter().filter(|output| what(output)).count()
}

/// Cuts a leader off and lets the others elect another.
fn depose(group: &mut Group, old: u8) -> u8 {
    group.part(&[old], &others(old));
    group.pass(Span::millis(1_000));
    leader(group)
}

// openraft#1761, dgraph#9626: a waiter keyed by its index alone was told another's success.
#[test]
fn a_request_that_another_leader_replaced_is_never_answered_as_done() {
    let (mut group, old) = led_group(3);
    submit(&mut group, old, &[open(7)]);
    group.part(&[old], &others(old));
    group.ask(old, Ask::Submit(vec![add(7, 1, 5)])).unwrap();
    let place = group.machine(old).raft().log().last().index;
    let new = depose(&mut group, old);
    submit(&mut group, new, &[open(8), add(8, 1, 100)]);
    assert!(told(&group, old, |output| matches!(output, Output::Following { .. })) >= 1);
    group.heal();
    group.pass(Span::millis(200));
    assert!(group.machine(old).applied().entry.index >= place);
    assert_eq!(group.machine(old).outcome(CLIENT, 1), Outcome::NoSession);
    assert_eq!(group.machine(old).state().sum, 100);
}

// The bytes of a replaced entry stay behind under the index of the new one.
#[test]
fn the_payload_of_a_replaced_entry_is_replaced_with_it() {
    let (mut group, old) = led_group(3);
    submit(&mut group, old, &[open(7)]);
    group.part(&[old], &others(old));
    group.ask(old, Ask::Submit(vec![add(7, 1, 5), add(7, 2, 6), add(7, 3, 7)])).unwrap();
    let new = depose(&mut group, old);
    submit(&mut group, new, &[add(7, 4, 100), add(7, 5, 200)]);
    group.heal();
    group.pass(Span::millis(500));
    let (last, entries) = (Index::ZERO.next(), Index::new(20));
    let held = |slot: u8| group.machine(slot).entries(last, entries).cloned().collect::<Vec<_>>();
    assert_eq!(held(old), held(new));
    assert_eq!(group.machine(old).state(), group.machine(new).state());
    assert_eq!(group.machine(new).state().sum, 300);
}

// redisraft#13, etcd#4691: one request, sent again after a leader change, was applied twice.
#[test]
fn a_request_retried_at_the_next_leader_takes_effect_once() {
    let (mut group, old) = led_group(3);
    submit(&mut group, old, &[open(7)]);
    submit(&mut group, old, &[add(7, 1, 5)]);
    group.crash(Slot::new(old), 0);
    group.pass(Span::millis(1_000));
    let new = leader(&group);
    submit(&mut group, new, &[add(7, 1, 5)]);
    assert_eq!(group.machine(new).outcome(CLIENT, 1), Outcome::Done(&5));
    assert_eq!(group.machine(new).state().sum, 5);
}

#[test]
fn a_command_without_a_session_is_not_applied_and_says_so() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[add(9, 1, 5)]);
    assert_eq!(group.machine(leader).state().applied, 0);
    assert_eq!(group.machine(leader).outcome(ClientId::new(9), 1), Outcome::NoSession);
}

#[test]
fn the_session_used_least_recently_makes_room_for_another() {
    let (mut group, leader) = led_group(3);
    let most = BOARD.sessions as u64;
    for client in 1..=most {
        submit(&mut group, leader, &[open(client)]);
    }
    submit(&mut group, leader, &[add(1, 1, 5)]);
    submit(&mut group, leader, &[open(most + 1)]);
    let outcome = |client: u64| group.machine(leader).outcome(ClientId::new(client), 0);
    assert_eq!(outcome(1), Outcome::Opened);
    assert_eq!(outcome(2), Outcome::NoSession);
    assert_eq!(group.machine(leader).outcome(ClientId::new(1), 1), Outcome::Done(&5));
}

// horizontal-scaling-convex#183, raft-rs#392: replay began at the commit index and skipped entries.
#[test]
fn a_restarted_replica_applies_everything_above_its_snapshot_again() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[open(7)]);
    for sequence in 1..=40 {
        submit(&mut group, leader, &[add(7, sequence, sequence)]);
    }
    let before = group.machine(leader).state().clone();
    assert!(group.machine(leader).raft().log().floor().index > Index::ZERO, "it has compacted");
    (0..3).for_each(|slot| group.crash(Slot::new(slot), 0));
    (0..3).for_each(|slot| group.start(Slot::new(slot)));
    assert!(group.machine(leader).state().applied < 40);
    group.pass(Span::millis(1_000));
    for slot in 0..3 {
        assert_eq!(group.machine(slot).state(), &before);
    }
}

// PBTS and CockroachDB#7326: a stamp far ahead of time was taken, and time went with it.
#[test]
fn a_leader_whose_clock_is_ahead_commits_nothing_and_makes_way() {
    let (mut group, old) = led_group(3);
    submit(&mut group, old, &[open(7)]);
    group.nodes[usize::from(old)].wall_ahead_micros = Some(3_600_000_000);
    let sum = group.machine(old).state().sum;
    group.ask(old, Ask::Submit(vec![add(7, 1, 5)])).unwrap();
    group.settle();
    group.pass(Span::millis(100));
    assert_eq!(group.machine(old).state().sum, sum);
    assert!(!group.machine(old).raft().leads(), "a quorum does not take its stamps");
}

#[test]
fn an_entry_whose_stamp_is_early_is_taken_when_the_clock_gets_there() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[open(7)]);
    let [late, gone] = others(leader);
    group.crash(Slot::new(gone), 0);
    group.nodes[usize::from(late)].wall_ahead_micros = Some(-400_000);
    submit(&mut group, leader, &[add(7, 1, 5)]);
    let held = |group: &Group| group.machine(late).raft().log().last().index;
    let last = group.machine(leader).raft().log().last().index;
    assert!(held(&group) < last, "its clock does not permit it yet");
    group.pass(Span::millis(300));
    assert_eq!(held(&group), last);
    assert_eq!(group.machine(late).state().sum, 5);
}

#[test]
fn what_is_committed_is_taken_whatever_its_stamp() {
    let (mut group, leader) = led_group(3);
    let slow = others(leader)[0];
    submit(&mut group, leader, &[open(7)]);
    group.nodes[usize::from(slow)].wall_ahead_micros = Some(-3_600_000_000);
    submit(&mut group, leader, &[add(7, 1, 5)]);
    group.pass(Span::millis(100));
    assert_eq!(group.machine(slow).state().sum, 5, "two others have acknowledged it");
}

#[test]
fn a_member_without_a_clock_stamps_once_it_has_heard_a_stamp() {
    let (mut group, old) = led_group(3);
    submit(&mut group, old, &[open(7)]);
    (0..3).for_each(|slot| group.nodes[slot].wall_ahead_micros = None);
    group.crash(Slot::new(old), 0);
    group.pass(Span::millis(1_000));
    let new = leader(&group);
    submit(&mut group, new, &[add(7, 1, 5)]);
    assert_eq!(group.machine(new).state().sum, 5);
}

#[test]
fn a_member_that_has_never_known_the_time_refuses_to_stamp() {
    let mut group = group(1, 1);
    group.nodes[0].wall_ahead_micros = None;
    group.pass(Span::millis(400));
    let refused = group.ask(0, Ask::Submit(vec![open(7)]));
    // The barrier's stamp is the first of all; it is not time.
    assert!(matches!(refused, Err(Refused::Clock(_)) | Ok(())), "{refused:?}");
}

#[test]
fn what_is_due_by_itself_is_proposed_once_when_its_time_has_come() {
    let (mut group, old) = led_group(3);
    let at = group.machine(old).clock().last().after(Span::millis(300));
    for slot in 0..3 {
        group.setup.state.due = Some(at);
        group.crash(Slot::new(slot), 0);
    }
    (0..3).for_each(|slot| group.start(Slot::new(slot)));
    group.pass(Span::millis(2_000));
    for slot in 0..3 {
        assert_eq!((group.machine(slot).state().sum, group.machine(slot).state().due), (DUE, None));
    }
    assert!(group.machine(0).applied().stamp >= at);
}

#[test]
fn a_read_is_served_after_what_was_committed_before_it_is_applied() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[open(7), add(7, 1, 5)]);
    let reads = |group: &Group| told(group, leader, |o| matches!(o, Output::Readable { .. }));
    group.ask(leader, Ask::Read).unwrap();
    assert_eq!(reads(&group), 0, "nobody has confirmed yet");
    group.settle();
    assert_eq!(reads(&group), 1);
}

#[test]
fn a_follower_serves_a_read_once_it_has_applied_what_its_leader_names() {
    let (mut group, leader) = led_group(3);
    let follower = others(leader)[0];
    group.cut_one_way(leader, follower);
    submit(&mut group, leader, &[open(7), add(7, 1, 5)]);
    group.ask(follower, Ask::Read).unwrap();
    group.settle();
    let reads = |group: &Group| told(group, follower, |o| matches!(o, Output::Readable { .. }));
    assert_eq!((reads(&group), group.machine(follower).state().sum), (0, 0));
    group.heal();
    group.pass(Span::millis(60));
    assert_eq!((reads(&group), group.machine(follower).state().sum), (1, 5));
    group.crash(Slot::new(leader), 0);
    group.pass(Span::millis(140));
    group.ask(follower, Ask::Read).unwrap();
    group.pass(Span::secs(2));
    let outcomes = told(&group, follower, |o| matches!(o, Output::Following { .. }));
    assert!(outcomes > 1 && reads(&group) == 1, "its leader is gone, and the read with it");
}

#[test]
fn a_snapshot_that_was_damaged_on_its_way_is_sent_again() {
    let (mut group, leader) = led_group(3);
    let behind = others(leader)[0];
    group.crash(Slot::new(behind), 0);
    submit(&mut group, leader, &[open(7)]);
    for sequence in 1..=50 {
        submit(&mut group, leader, &[add(7, sequence, 1)]);
    }
    group.start(Slot::new(behind));
    let mut damaged = false;
    for _ in 0..2_000 {
        if group.flights.is_empty() {
            group.ring(leader);
        }
        for flight in &mut group.flights {
            if let (false, [first, ..]) = (damaged, &mut flight.packet.chunk[..]) {
                *first ^= 1;
                damaged = true;
            }
        }
        if !group.flights.is_empty() {
            group.deliver_at(0);
        }
    }
    assert!(damaged, "a snapshot was sent");
    assert_eq!(group.machine(behind).state().sum, 50);
}

#[test]
fn a_full_log_refuses_with_a_reason_and_recovers() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[open(7)]);
    group.part(&[leader], &others(leader));
    let mut asked = (1..1_000).map(|n| (n, group.ask(leader, Ask::Submit(vec![add(7, n, 1)]))));
    let (sequence, refused) = asked.find(|(_, asked)| asked.is_err()).expect("it is full at last");
    assert_eq!(refused, Err(Refused::Full(quorate::limits::Limit::Entries)));
    group.heal();
    group.pass(Span::millis(200));
    submit(&mut group, leader, &[add(7, sequence, 1)]);
    assert_eq!(group.machine(leader).state().sum, sequence);
}

#[test]
fn a_log_that_goes_on_from_a_missing_snapshot_is_refused_at_the_start() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[open(7)]);
    for sequence in 1..=40 {
        submit(&mut group, leader, &[add(7, sequence, 1)]);
    }
    let node = &group.nodes[usize::from(leader)];
    let config = node.machine.as_ref().unwrap().raft().config().clone();
    let config = quorate::replica::Config {
        raft: config,
        clock: quorate::hlc::Config::default(),
        roster: quorate::membership::roster::Config::default(),
    };
    let mut replica = quorate::replica::Replica::new(config, crate::sum::Sum::default()).unwrap();
    let writes = node.disk.records.iter().flat_map(|record| &record.0);
    let replayed =
        writes.into_iter().try_for_each(|(write, entries)| replica.replay(write, entries));
    assert!(matches!(replayed, Err(quorate::replica::RecoverError::SnapshotMissing { .. })));
}

#[test]
fn a_snapshot_whose_bytes_are_not_what_its_name_says_is_refused() {
    let (group, leader) = led_group(3);
    let config = group.machine(leader).raft().config().clone();
    let config = quorate::replica::Config {
        raft: config,
        clock: quorate::hlc::Config::default(),
        roster: quorate::membership::roster::Config::default(),
    };
    let boundary = EntryId::new(quorate::id::Term::new(1), Index::new(5));
    let name = raft::Snapshot { boundary, size: 3, digest: 1 };
    let state = crate::sum::Sum::default();
    let refused = quorate::replica::Replica::recover(config, state, Some((name, &[1, 2, 3])));
    assert_eq!(refused.err(), Some(quorate::replica::RecoverError::Snapshot));
    assert!(Stamp::ZERO < Stamp::MAX);
}

/// A group whose state has something due ten seconds after the beginning, and its leader.
fn group_with_something_due() -> (Group, u8) {
    let mut group = group(3, 1);
    let at = Stamp::at_millis(group.now().wall.expect("it has one").as_millis() + 10_000);
    for slot in 0..3 {
        group.setup.state.due = Some(at);
        group.restart(slot);
    }
    group.pass(Span::millis(400));
    let leader = leader(&group);
    (group, leader)
}

// The time was set anew in every step, and answers to heartbeats are steps.
#[test]
fn what_is_due_is_proposed_though_messages_keep_coming() {
    let (mut group, leader) = group_with_something_due();
    group.jump(Span::millis(9_200));
    for _ in 0..40 {
        group.ring(leader);
        group.jump(Span::millis(5));
        group.settle();
    }
    assert_eq!(group.machine(leader).state().sum, DUE);
}

#[test]
fn what_is_due_is_proposed_once_however_long_its_commit_takes() {
    let (mut group, leader) = group_with_something_due();
    group.part(&[leader], &others(leader));
    group.jump(Span::secs(10));
    let last = |group: &Group| group.machine(leader).raft().log().last().index;
    let before = last(&group);
    (0..4).for_each(|_| group.ring(leader));
    assert!(group.machine(leader).raft().leads());
    assert_eq!(last(&group), before.next());
}

// A leader that had proposed it far up its log, and lost that, waited for the log to get there.
#[test]
fn what_is_due_is_proposed_again_by_a_leader_that_was_replaced() {
    let (mut group, old) = group_with_something_due();
    submit(&mut group, old, &[open(7)]);
    group.part(&[old], &others(old));
    for sequence in 1..=20 {
        group.ask(old, Ask::Submit(vec![add(7, sequence, 1)])).unwrap();
    }
    // The others' clocks are slower, so that it is not due for them.
    others(old)
        .into_iter()
        .for_each(|slot| group.nodes[usize::from(slot)].wall_ahead_micros = Some(-10_000_000));
    group.jump(Span::secs(10));
    let last = group.machine(old).raft().log().last().index;
    group.ring(old);
    assert_eq!(group.machine(old).raft().log().last().index, last.next(), "it is in its log");
    let new = depose(&mut group, old);
    assert_ne!(new, old);
    group.heal();
    group.pass(Span::millis(100));
    assert!(group.machine(old).raft().log().last().index < last, "it is lost");
    group.crash(Slot::new(new), 0);
    others(old)
        .into_iter()
        .for_each(|slot| group.nodes[usize::from(slot)].wall_ahead_micros = Some(0));
    for _ in 0..20 {
        if !group.machine(old).raft().leads() {
            group.ring(old);
            group.settle();
        }
    }
    group.pass(Span::millis(100));
    assert_eq!(group.machine(old).state().sum, DUE);
}

// openraft#1829: what began and was never finished kept every later snapshot from being taken.
#[test]
fn a_transfer_that_broke_off_keeps_nobody_from_compacting() {
    let (mut group, old) = led_group(3);
    let [new, behind] = others(old);
    (1..=8).for_each(|client| submit(&mut group, old, &[open(client)]));
    let floor = |group: &Group, slot| group.machine(slot).raft().log().floor().index;
    // A slow disk lets the leader apply late, so that it compacts elsewhere than the others.
    group.disk_is_fast(old, false);
    let mut sequence = 0;
    while group.machine(old).raft().log().last().index < Index::new(31) {
        sequence += 1;
        submit(&mut group, old, &[add(1, sequence, 1)]);
    }
    // One entry more, which one follower does not get.
    group.part(&[behind], &[old, new]);
    submit(&mut group, old, &[add(1, sequence + 1, 1)]);
    group.persist(Slot::new(old), usize::MAX);
    assert_eq!((floor(&group, new), floor(&group, old)), (Index::new(31), Index::new(32)));
    group.disk_is_fast(old, true);
    group.heal();
    let sends = |group: &Group| group.machine(behind).raft().incoming().is_some();
    for _ in 0..20 {
        if sends(&group) {
            break;
        }
        group.ring(old);
        while !sends(&group) && !group.flights.is_empty() {
            group.deliver_at(0);
        }
    }
    assert!(sends(&group), "a transfer begins");
    group.crash(Slot::new(old), 0);
    group.flights.clear();
    group.pass(Span::millis(1_000));
    assert!(group.machine(new).raft().leads(), "its log is longer");
    for more in 2..100 {
        submit(&mut group, new, &[add(1, sequence + more, 1)]);
    }
    assert!(floor(&group, behind) > Index::new(32), "it has compacted");
    let (window, all) = (group.machine(behind), Index::new(1_000));
    let held = window.raft().log().last().index.above(floor(&group, behind));
    assert_eq!(window.entries(Index::new(1), all).count() as u64, held);
}

// A client that is told so takes the command to another session: it would be applied twice.
#[test]
fn a_session_forgotten_in_the_step_that_applied_its_command_is_not_said_to_be_unknown() {
    let (mut group, leader) = led_group(3);
    let most = BOARD.sessions as u64;
    (1..=most).for_each(|client| submit(&mut group, leader, &[open(client)]));
    group.disk_is_fast(leader, false);
    submit(&mut group, leader, &[add(1, 1, 5)]);
    for client in most + 1..=2 * most {
        submit(&mut group, leader, &[open(client)]);
    }
    group.persist(Slot::new(leader), usize::MAX);
    assert_eq!(group.machine(leader).state().sum, 5);
    assert_eq!(group.machine(leader).outcome(ClientId::new(1), 1), Outcome::Superseded);
    group.tick(leader);
    assert_eq!(group.machine(leader).outcome(ClientId::new(1), 1), Outcome::Superseded);
    let opened = group.machine(leader).outcome(ClientId::new(2), 0);
    assert_eq!(opened, Outcome::NoSession, "nothing is in doubt about an opening");
    submit(&mut group, leader, &[add(1, 1, 5)]);
    group.persist(Slot::new(leader), usize::MAX);
    assert_eq!(group.machine(leader).outcome(ClientId::new(1), 1), Outcome::NoSession);
}

// The host could have asked when the command was applied; what is sent again now is not in doubt.
#[test]
fn a_session_forgotten_after_the_step_that_applied_its_command_is_unknown() {
    let mut group = group(1, 1);
    group.setup.raft.limits.sessions = 1;
    group.restart(0);
    group.pass(Span::millis(400));
    submit(&mut group, 0, &[open(1), add(1, 1, 5)]);
    assert_eq!(group.machine(0).outcome(ClientId::new(1), 1), Outcome::Done(&5));
    submit(&mut group, 0, &[open(2)]);
    assert_eq!(group.machine(0).outcome(ClientId::new(1), 1), Outcome::NoSession);
}

#[test]
fn every_place_is_told_to_be_applied_once() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[open(7), add(7, 1, 5)]);
    group.pass(Span::millis(200));
    (2..=40).for_each(|sequence| submit(&mut group, leader, &[add(7, sequence, 5)]));
    group.pass(Span::millis(200));
    assert!(group.machine(leader).raft().snapshot().is_some(), "it has stored a snapshot");
    let applied = |output: &Output| match output {
        Output::Applied { index } => Some(*index),
        _ => None,
    };
    for slot in 0..3 {
        let told: Vec<_> = group.nodes[usize::from(slot)].told.iter().filter_map(applied).collect();
        assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
        assert_eq!(told.last(), Some(&group.machine(slot).applied().entry.index));
    }
}

// A complaint about one leader's clock was taken for one about the next leader's.
#[test]
fn stamps_of_an_old_leader_are_not_held_against_the_new_one() {
    let (mut group, old) = led_group(3);
    submit(&mut group, old, &[open(7)]);
    group.nodes[usize::from(old)].wall_ahead_micros = Some(3_600_000_000);
    let [one, other] = others(old);
    group.ask(old, Ask::Submit(vec![add(7, 1, 5)])).unwrap();
    let late = [group.hold(old, one), group.hold(old, other)].concat();
    let new = depose(&mut group, old);
    group.heal();
    group.nodes[usize::from(old)].wall_ahead_micros = Some(0);
    group.flights.extend(late);
    group.settle();
    group.ring(new);
    let mut answers = 0;
    while !group.flights.is_empty() {
        answers += usize::from(group.flights[0].to == Slot::new(new));
        assert!(!group.flights[0].packet.header.early, "{}", group.flights[0].packet);
        group.deliver_at(0);
    }
    assert!(answers >= 2 && group.machine(new).raft().leads());
}

/// What a member says, and what its host hears of events, when a message comes in.
fn heard(
    group: &Group,
    slot: u8,
    message: raft::Message,
    (entries, chunk): (&[Entry<u64>], &[u8]),
) -> (Vec<Output>, Vec<Event>) {
    let mut member = group.machine(slot).clone();
    let mut out = Outputs::with_room(member.max_outputs());
    let (from, header) = (Slot::new((slot + 1) % 3), Header { message, early: false, bare: false });
    let input = Input::Message { from, header, entries, chunk };
    member.step(group.now(), input, &mut out).unwrap();
    (out.outputs, out.events)
}

#[test]
fn the_stamps_of_a_leader_whose_term_is_over_are_nobodys_concern() {
    let (mut group, old) = led_group(3);
    let term = group.machine(old).raft().term();
    let new = depose(&mut group, old);
    let entries = [Entry { stamp: Stamp::MAX, body: Body::Barrier }];
    let (prev, commit) = (EntryId::ZERO, Index::ZERO);
    let message = raft::Message::Append { term, prev, entries: term, count: 1, commit, round: 9 };
    let (said, events) = heard(&group, new, message, (&entries, &[]));
    let stale = raft::Message::Stale { term: group.machine(new).raft().term() };
    assert!(matches!(said[..], [Output::Send { header: Header { message, .. }, .. }]
        if message == stale));
    assert_eq!(events, []);
}

#[test]
fn a_message_that_does_not_bring_what_it_says_is_malformed() {
    let (group, leader) = led_group(3);
    let [one, _] = others(leader);
    let (term, prev) = (group.machine(one).raft().term(), group.machine(one).raft().log().last());
    let (boundary, commit) = (EntryId::new(term, Index::new(50)), Index::ZERO);
    let entry = [Entry { stamp: group.machine(one).clock().last().plus(1), body: Body::Barrier }];
    let append = raft::Message::Append { term, prev, entries: term, count: 2, commit, round: 9 };
    let (digest, size, offset, length, round) = (1, 100, 0, 10, 9);
    let part = raft::Message::Chunk { term, boundary, digest, size, offset, length, round };
    for (message, payload) in [(append, (&entry[..], &[][..])), (part, (&[], &[7; 9]))] {
        let (said, events) = heard(&group, one, message, payload);
        let (from, why) = (Slot::new((one + 1) % 3), Ignored::Malformed);
        assert_eq!((said, events), (vec![], vec![Event::Ignored { from, why }]));
    }
}

#[test]
fn a_replica_that_stops_tells_those_who_wait() {
    let (mut group, leader) = led_group(3);
    group.ask(leader, Ask::Submit(vec![open(7)])).unwrap();
    let endings = |group: &Group| told(group, leader, |o| matches!(o, Output::Following { .. }));
    let before = endings(&group);
    group.step(Slot::new(leader), Stimulus::PersistFailed).unwrap();
    assert_eq!(endings(&group), before + 1);
    assert_eq!(group.ask(leader, Ask::Read), Err(Refused::Stopped));
}

/// Brings a member's replica back from its disk with other limits.
fn recover(
    group: &Group,
    slot: u8,
    limits: Limits,
) -> Result<Replica<crate::sum::Sum>, RecoverError> {
    let node = &group.nodes[usize::from(slot)];
    let raft = raft::Config { limits, ..group.machine(slot).raft().config().clone() };
    let config = Config {
        raft,
        clock: quorate::hlc::Config::default(),
        roster: quorate::membership::roster::Config::default(),
    };
    let snapshot = node.disk.snapshot.as_ref().map(|(name, bytes)| (*name, &bytes[..]));
    let mut replica = Replica::recover(config, crate::sum::Sum::default(), snapshot)?;
    let mut writes = node.disk.records.iter().flat_map(|record| &record.0);
    writes.try_for_each(|(write, entries)| replica.replay(write, entries))?;
    Ok(replica)
}

// Entries that had been acknowledged were passed over without a word.
#[test]
fn a_log_beyond_the_limits_is_refused_at_the_start_and_not_cut_short() {
    let (mut group, mut leader) = led_group(3);
    for _ in 0..3 {
        leader = depose(&mut group, leader);
        group.heal();
        group.pass(Span::millis(200));
    }
    let last = group.machine(leader).raft().log().last();
    assert!(last.index >= Index::new(4), "each has left a run");
    let with = |limits| recover(&group, leader, limits);
    assert_eq!(with(BOARD).map(|replica| replica.raft().log().last()), Ok(last));
    for low in [Limits { runs: 2, ..BOARD }, Limits { entries: 4, runs: 16, ..BOARD }] {
        let fits = last.index.number() <= low.entries as u64 && low.runs > 2;
        assert!(fits || with(low).err() == Some(RecoverError::Entries));
    }
}

#[test]
fn a_log_of_as_many_entries_as_the_limit_is_taken_and_one_of_more_is_not() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[open(7)]);
    (1..=4).for_each(|sequence| submit(&mut group, leader, &[add(7, sequence, 1)]));
    let last = group.machine(leader).raft().log().last();
    let with = |entries| recover(&group, leader, Limits { entries, ..BOARD });
    let entries = last.index.number() as usize;
    assert_eq!(with(entries).map(|replica| replica.raft().log().last()), Ok(last));
    assert_eq!(with(entries - 1).err(), Some(RecoverError::Entries));
}

// Full to the brim, it could neither lead nor take in the first entry of who does.
#[test]
fn a_follower_whose_log_is_full_makes_room_for_the_next_leader() {
    let setup = group(3, 1).setup;
    let config = Config {
        raft: setup.raft.config(Slot::new(0), 1),
        clock: setup.clock,
        roster: setup.roster,
    };
    let mut replica = Replica::new(config, setup.state).unwrap();
    let now = Now::both(quorate::time::Instant::from_micros(1), Wall::from_micros(9_000_000));
    let entries: Vec<_> = (0..BOARD.entries as u64)
        .map(|n| Entry { stamp: Stamp::at_millis(1_000 + n), body: Body::Barrier })
        .collect();
    let (term, count) = (quorate::id::Term::new(1), BOARD.entries as u32);
    let (prev, commit) = (EntryId::ZERO, Index::new(2));
    let message = raft::Message::Append { term, prev, entries: term, count, commit, round: 1 };
    let (from, header) = (Slot::new(1), Header { message, early: false, bare: false });
    let input = Input::Message { from, header, entries: &entries, chunk: &[] };
    let told = step_vec(&mut replica, now, input).unwrap();
    let receipt = told.iter().rev().find_map(|output| match output {
        Output::Persist { receipt, .. } => Some(*receipt),
        _ => None,
    });
    let told = step_vec(&mut replica, now, Input::Persisted(receipt.unwrap())).unwrap();
    let snapshot = told.iter().find_map(|output| match output {
        Output::Store { snapshot } => Some(*snapshot),
        _ => None,
    });
    step_vec(&mut replica, now, Input::Stored(snapshot.expect("it takes one"))).unwrap();
    assert_eq!(replica.raft().log().floor().index, commit);
}

#[test]
fn a_stale_read_says_how_stale_it_is() {
    let (mut group, leader) = led_group(3);
    submit(&mut group, leader, &[open(7), add(7, 1, 5)]);
    let follower = others(leader)[0];
    let staleness =
        |group: &Group, slot: u8| group.machine(slot).staleness(group.now_of(Slot::new(slot)));
    group.pass(Span::millis(60));
    let fresh = staleness(&group, follower);
    assert_eq!((fresh.behind, fresh.as_of), (0, group.machine(follower).applied()));
    assert!(fresh.unheard.is_some_and(|span| span <= Span::millis(30)), "{fresh:?}");
    group.cut_one_way(leader, follower);
    group.pass(Span::millis(100));
    let stale = staleness(&group, follower);
    assert!(stale.unheard.is_some_and(|span| span >= Span::millis(100)), "{stale:?}");
    assert!(staleness(&group, leader).unheard.is_some_and(|span| span <= Span::millis(30)));
    group.crash(Slot::new(leader), 0);
    group.restart(follower);
    assert_eq!(staleness(&group, follower).unheard, None, "it has heard nobody in this life");
}
