//! Linearizable reads: what they must have waited for before they are answered.

use crate::cast::*;
use quorate::raft::Read;

const FIRST: Read = Read { term: Term::new(1), round: 1 };

/// A leader with a committed entry of its own.
fn led_group() -> Group {
    let mut c = Group::of(3);
    c.elect(0);
    c
}

// etcd#20418: acknowledgements of one read, repeated late, confirmed the next of the same name and
// everything queued before it.
#[test]
fn late_answers_confirm_no_newer_read() {
    let mut c = led_group();
    c.ask(0, Input::Read).unwrap();
    c.deliver(0, 1);
    c.deliver(0, 2);
    let (again, late) = (c.flights.clone(), c.hold(2, 0));
    c.settle();
    assert_eq!(c.readable(0), Some((FIRST, 1)));
    c.part(&[0], &[1, 2]);
    c.ask(0, Input::Read).unwrap();
    c.settle();
    c.heal();
    c.flights.extend(again.into_iter().chain(late));
    c.settle();
    assert_eq!(c.readable(0), Some((FIRST, 1)), "the second read has reached nobody");
}

// etcd#7331: a new leader's commit index is below the old one's. etcd#11483: so it dropped reads.
#[test]
fn a_new_leaders_reads_wait_for_its_first_commit_and_are_not_lost() {
    let mut c = led_group();
    c.propose(0, 3);
    c.deliver(0, 1);
    c.deliver(1, 0);
    assert_eq!(c.commits(), [4, 1, 1], "only the old leader knows of the commit");
    c.flights.clear();
    c.elect_unheard(1);
    c.ask(1, Input::Read).unwrap();
    c.flights.clear();
    c.pass(Span::millis(20));
    assert_eq!(c.readable(1), None);
    c.pass(Span::millis(60));
    let (read, index) = c.readable(1).expect("it was not dropped");
    assert_eq!((read.term, index), (Term::new(2), 5));
}

// d-engine#381: what was applied was compared with the read index before any round was confirmed.
#[test]
fn a_leader_without_a_quorum_serves_no_read_however_much_it_has_applied() {
    let mut c = led_group();
    c.part(&[0], &[1, 2]);
    let from_nowhere =
        Message::Matched { term: Term::new(1), matched: Index::new(1), round: u64::MAX };
    c.say(1, 0, from_nowhere);
    c.ask(0, Input::Read).unwrap();
    c.settle();
    assert_eq!((c.readable(0), c.told_commit(0)), (None, 1));
    c.elect(1);
    c.propose(1, 1);
    c.settle();
    c.heal();
    c.pass(Span::millis(100));
    assert_eq!(c.readable(0), None);
    let ended =
        |told: &Output| matches!(told, Output::Following { term, .. } if *term > FIRST.term);
    assert!(c.nodes[0].told.iter().any(ended), "its end is told, in other words");
}

// etcd-io/raft#105: one node answered from a commit that was not on its disk, then restarted.
#[test]
fn a_read_says_nothing_that_a_restart_would_take_back() {
    let mut c = Group::of(1);
    c.elect(0);
    c.disk_is_fast(0, false);
    c.propose(0, 5);
    c.ask(0, Input::Read).unwrap();
    assert_eq!(c.readable(0), Some((FIRST, 1)));
    c.restart(0);
    assert_eq!(c.last(0), entry(1, 1));
}

// raft-rs#363, tikv#4071: a read that nobody's next answer looked at waited for ever.
#[test]
fn a_read_whose_round_is_lost_is_confirmed_by_the_next_heartbeat() {
    let mut c = led_group();
    c.ask(0, Input::Read).unwrap();
    c.ask(0, Input::Read).unwrap();
    c.flights.clear();
    c.pass(Span::millis(60));
    assert!(c.readable(0).is_some_and(|(read, _)| read.round >= 2));
}
