//! Bytes: how many travel in a message, are on their way to a follower, or wait to be committed.

use crate::sum::{Group, add, group, heavy, leader, open, submit};
use quorate::Refused;
use quorate::id::Slot;
use quorate::limits::{BOARD, Limit, Limits};
use quorate::raft::Message;
use quorate::time::Span;
use quorate_sim::replica::Ask;

/// A group of three with these limits, its leader, and a session.
fn led(limits: Limits) -> (Group, u8) {
    let mut group = group(3, 1);
    group.setup.raft.limits = limits;
    (0..3).for_each(|slot| group.restart(slot));
    group.pass(Span::millis(400));
    let leader = leader(&group);
    submit(&mut group, leader, &[open(7)]);
    (group, leader)
}

fn others(leader: u8) -> [u8; 2] {
    [(leader + 1) % 3, (leader + 2) % 3]
}

/// How many entries each message on its way to a member brings.
fn on_their_way(group: &Group, to: u8) -> Vec<u32> {
    let to = group.flights.iter().filter(|flight| flight.to == Slot::new(to));
    let counts = to.filter_map(|flight| match flight.packet.header.message {
        Message::Append { count, .. } => Some(count),
        _ => None,
    });
    counts.collect()
}

#[test]
fn a_request_too_heavy_for_a_message_is_refused_for_good() {
    let (mut group, leader) = led(Limits { batch_bytes: 200, ..BOARD });
    let ask = |group: &mut Group, bytes| group.ask(leader, Ask::Submit(vec![heavy(7, 1, bytes)]));
    assert_eq!(ask(&mut group, 201), Err(Refused::Full(Limit::BatchBytes)));
    assert_eq!(ask(&mut group, 200), Ok(()));
}

#[test]
fn a_message_brings_no_more_bytes_than_it_may() {
    let (mut group, leader) = led(Limits { batch_bytes: 250, ..BOARD });
    let [one, two] = others(leader);
    let requests = (1..=6).map(|n| heavy(7, n, 50)).collect();
    group.ask(leader, Ask::Submit(requests)).unwrap();
    for to in [one, two] {
        let counts = on_their_way(&group, to);
        assert!(counts.iter().all(|count| *count <= 3), "{counts:?}");
    }
    group.settle();
    let applied = group.machine(one).applied().entry.index.number();
    assert_eq!((group.machine(one).state().applied, applied), (6, 8));
}

#[test]
fn an_entry_heavier_than_a_message_travels_alone() {
    // What it weighs in the log is a little more than what the request did.
    let (mut group, leader) = led(Limits { batch_bytes: 200, ..BOARD });
    let requests = (1..=3).map(|n| heavy(7, n, 199)).collect();
    group.ask(leader, Ask::Submit(requests)).unwrap();
    let counts = on_their_way(&group, others(leader)[0]);
    assert!(!counts.is_empty() && counts.iter().all(|count| *count == 1), "{counts:?}");
    group.settle();
    assert_eq!(group.machine(others(leader)[0]).state().applied, 3);
}

// cockroach#90314: 128 messages of 16 MB each were on their way to one follower. etcd#14633: and when
// the window was full, the empty message that would have opened it was held back too.
#[test]
fn a_follower_that_answers_nothing_is_sent_so_many_bytes_and_then_only_heartbeats() {
    let (mut group, leader) = led(Limits { batch_bytes: 250, window_bytes: 400, ..BOARD });
    let [one, two] = others(leader);
    group.cut_one_way(one, leader);
    for n in 1..=10 {
        group.ask(leader, Ask::Submit(vec![heavy(7, n, 100)])).unwrap();
        group.deliver(leader, two);
        group.deliver(two, leader);
    }
    let sent: u32 = on_their_way(&group, one).iter().sum();
    assert!((3..=6).contains(&sent), "{sent} entries of 130 bytes");
    group.flights.clear();
    group.pass(Span::millis(100));
    assert_eq!(group.machine(leader).state().applied, 10, "the other one goes on");
    group.heal();
    group.pass(Span::millis(200));
    assert_eq!(group.machine(one).state().applied, 10);
}

// etcd and raft-rs bound what is uncommitted, or a leader cut off would fill its memory.
#[test]
fn what_is_not_committed_may_weigh_so_much_and_no_more() {
    let (mut group, leader) = led(Limits { uncommitted_bytes: 300, ..BOARD });
    group.part(&[leader], &others(leader));
    let ask = |group: &mut Group, n| group.ask(leader, Ask::Submit(vec![heavy(7, n, 100)]));
    assert_eq!(ask(&mut group, 1), Ok(()));
    assert_eq!(ask(&mut group, 2), Ok(()));
    assert_eq!(ask(&mut group, 3), Err(Refused::Full(Limit::UncommittedBytes)));
    group.heal();
    group.pass(Span::millis(60));
    assert_eq!(ask(&mut group, 3), Ok(()));
    group.settle();
    let many = (4..=11).map(|n| heavy(7, n, 100)).collect();
    let all_at_once = group.ask(leader, Ask::Submit(many));
    assert_eq!(all_at_once, Ok(()), "with nothing waiting, any batch is taken");
}

#[test]
fn weights_are_told_apart_across_the_floor_and_after_a_cut() {
    let limits = Limits { uncommitted_bytes: 300, ..BOARD };
    let (mut group, first) = led(limits);
    (1..=60).for_each(|n| submit(&mut group, first, &[add(7, n, 1)]));
    assert!(group.machine(first).raft().log().floor().index.number() > 0, "it is compacted");
    group.part(&[first], &others(first));
    group.ask(first, Ask::Submit(vec![heavy(7, 61, 250)])).unwrap();
    group.pass(Span::secs(1));
    let second = leader(&group);
    assert_ne!(first, second);
    group.heal();
    group.pass(Span::millis(300));
    assert!(matches!(
        group.ask(second, Ask::Submit(vec![heavy(7, 61, 100), heavy(7, 62, 100)])),
        Ok(())
    ));
    group.settle();
    assert_eq!(group.machine(first).state(), group.machine(second).state());
}
