//! Linearizable reads: what they must have waited for before they are answered.

use crate::cast::*;
use quorate::raft::{Change, Read};

const FIRST: Read = Read { term: Term::new(1), round: 1, number: 0 };

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

// raft-rs#363: nothing looked at the reads again when fewer answers were enough, and nobody was left to
// send one.
#[test]
fn a_read_is_served_when_those_that_it_waits_for_are_no_longer_needed() {
    for count in [2, 4] {
        let mut c = Group::of(count);
        c.elect(0);
        c.settle();
        let (near, far): (Vec<_>, Vec<_>) = (0..count).partition(|slot| *slot < count / 2);
        c.part(&near, &far);
        c.ask(0, Input::Read).unwrap();
        c.settle();
        assert_eq!(c.readable(0), None, "half of {count} is no majority");
        let gone = Change::Remove(Slot::new(count - 1));
        let fewer = c.machine(0).configuration().simple(&[gone]).unwrap();
        c.ask(0, Input::Reconfigure(fewer)).unwrap();
        assert_eq!(c.readable(0), Some((FIRST, 1)), "without another word");
    }
}

// tikv#4071: an answer that was of no use otherwise was put aside, and the read it confirmed with it.
#[test]
fn whatever_answers_a_round_confirms_its_reads() {
    let (term, round) = (Term::new(1), 1);
    for answer in [
        Message::Matched { term, matched: Index::ZERO, round },
        Message::Conflict { term, rejected: Index::new(1), hint: EntryId::ZERO, round },
        Message::Received { term, digest: 9, received: 9, round },
    ] {
        let mut c = led_group();
        c.ask(0, Input::Read).unwrap();
        c.flights.clear();
        assert_eq!(c.readable(0), None);
        c.say(1, 0, answer);
        assert_eq!(c.readable(0), Some((FIRST, 1)), "{answer:?}");
    }
}

/// A group with a leader, whose member 1 asks for a read.
fn read_at_a_follower() -> Group {
    let mut c = led_group();
    c.settle();
    c.nodes[1].told.clear();
    c.ask(1, Input::Read).unwrap();
    c
}

#[test]
fn a_follower_asks_its_leader_and_serves_what_that_names() {
    let mut c = read_at_a_follower();
    assert!(matches!(c.newest(1, 0), Some(Message::ReadIndex { number: 1, .. })));
    c.propose(0, 1);
    c.settle();
    let read = Read { term: c.machine(0).term(), round: 0, number: 1 };
    let index = c.machine(0).commit().number();
    assert_eq!(c.readable(1), Some((read, index)));
}

#[test]
fn a_follower_has_one_question_under_way_for_all_its_reads() {
    let mut c = read_at_a_follower();
    for _ in 0..5 {
        c.ask(1, Input::Read).unwrap();
    }
    let asked = c.flights.iter().filter(|it| matches!(it.packet.0, Message::ReadIndex { .. }));
    assert_eq!(asked.count(), 1);
    c.settle();
    assert_eq!(c.readable(1).map(|(read, _)| read.number), Some(6));
}

#[test]
fn a_question_or_an_answer_that_is_lost_is_asked_again() {
    let mut c = read_at_a_follower();
    c.lose(1, 0);
    c.settle();
    assert_eq!(c.readable(1), None);
    c.pass(Span::millis(30));
    assert!(c.readable(1).is_some());
    c.nodes[1].told.clear();
    c.ask(1, Input::Read).unwrap();
    c.deliver(1, 0);
    c.part(&[0], &[1]);
    c.settle();
    c.heal();
    assert_eq!(c.readable(1), None);
    c.pass(Span::millis(60));
    assert!(c.readable(1).is_some());
}

// etcd#20418 once more: an answer meant for an earlier life, or an earlier read, names an old index.
#[test]
fn a_follower_takes_no_answer_that_is_not_to_its_newest_question() {
    let mut c = read_at_a_follower();
    let term = c.machine(0).term();
    let say = |c: &mut Group, from, term, life, number| {
        let index = Index::new(1);
        c.say(from, 1, Message::ReadIndexReply { term, life, number, index });
        c.readable(1).is_some()
    };
    assert!(!say(&mut c, 0, term, 9, 1), "another life");
    assert!(!say(&mut c, 0, term, 1, 0) && !say(&mut c, 0, term, 1, 2), "another read");
    assert!(!say(&mut c, 2, term, 1, 1), "not its leader");
    assert!(!say(&mut c, 0, Term::new(0), 1, 1), "another term");
    assert!(say(&mut c, 0, term, 1, 1));
    c.nodes[1].told.clear();
    assert!(!say(&mut c, 0, term, 1, 1), "once");
    c.restart(1);
    c.settle();
    c.pass(Span::millis(60));
    c.nodes[1].told.clear();
    c.ask(1, Input::Read).unwrap();
    assert!(!say(&mut c, 0, term, 1, 1), "it was meant for the life before");
}

#[test]
fn a_leader_without_a_quorum_answers_no_follower() {
    let mut c = read_at_a_follower();
    c.part(&[0], &[2]);
    c.cut_one_way(0, 1);
    c.settle();
    c.heal();
    assert_eq!(c.newest(0, 1).filter(|it| matches!(it, Message::ReadIndexReply { .. })), None);
    assert_eq!(c.readable(1), None);
}

#[test]
fn a_follower_without_a_leader_takes_no_read() {
    let mut c = Group::of(3);
    assert_eq!(c.ask(1, Input::Read), Err(quorate::Refused::NotLeader { leader: None }));
}

#[test]
fn a_read_ends_when_its_leader_does() {
    let mut c = read_at_a_follower();
    c.crash(Slot::new(0), 0);
    c.nodes[1].told.clear();
    c.pass(Span::millis(300));
    let told = &c.nodes[1].told;
    assert!(told.iter().any(|it| matches!(it, Output::Following { leader: None, .. })));
    assert_eq!(c.readable(1), None);
}

// Found by the simulator (seed 177, R11): both had one name, so the second was served with the first.
#[test]
fn a_read_by_lease_is_not_served_with_an_earlier_one_that_needs_less() {
    let mut c = Group::new(3, Setup { clock_drift: Some(200), ..Setup::of(3) });
    c.elect(0);
    c.settle();
    c.pass(Span::millis(30));
    let names = |c: &mut Group| {
        c.nodes[0].told.clear();
        c.ask(0, Input::Read).unwrap();
        c.readable(0).expect("it is answered at once")
    };
    let (first, before) = names(&mut c);
    c.propose(0, 1);
    c.settle();
    let (second, after) = names(&mut c);
    assert!(first < second && before < after, "{first:?} at {before}, {second:?} at {after}");
}

// Found by the simulator (seed 5 of the replica, V2): it heard its leader, which did not hear it.
#[test]
fn a_read_that_the_leader_does_not_hear_of_is_given_up_after_a_timeout() {
    let mut c = read_at_a_follower();
    c.cut_one_way(1, 0);
    c.flights.clear();
    let given_up = |c: &Group| {
        c.nodes[1].told.iter().filter(|it| matches!(it, Output::Unreadable { .. })).count()
    };
    c.pass(Span::millis(149));
    assert_eq!((given_up(&c), c.readable(1)), (0, None));
    c.pass(Span::millis(31));
    assert_eq!((given_up(&c), c.readable(1)), (1, None));
    c.ask(1, Input::Read).unwrap();
    c.pass(Span::millis(80));
    assert_eq!(given_up(&c), 1, "the next has its own time");
    c.heal();
    c.pass(Span::millis(60));
    assert!(c.readable(1).is_some());
}

// Found by the simulator (seed 745 of the replica, V2): it heard the answer, and never the entries.
#[test]
fn a_read_whose_answer_asks_for_entries_that_do_not_come_is_given_up_after_a_timeout() {
    let mut c = read_at_a_follower();
    let given_up = |c: &Group| {
        c.nodes[1].told.iter().filter(|it| matches!(it, Output::Unreadable { .. })).count()
    };
    c.propose(0, 1);
    c.lose(0, 1);
    assert!(c.deliver(0, 2) && c.deliver(2, 0) && c.deliver(1, 0));
    // It hears its leader, which does not hear what it lacks.
    c.cut_one_way(1, 0);
    c.settle();
    assert_eq!(c.commits(), [2, 1, 2]);
    c.pass(Span::millis(149));
    assert_eq!((given_up(&c), c.readable(1)), (0, None), "{}", c.story());
    c.pass(Span::millis(31));
    assert_eq!((given_up(&c), c.readable(1)), (1, None), "{}", c.story());
    c.heal();
    c.pass(Span::millis(200));
    assert_eq!((given_up(&c), c.readable(1)), (1, None), "it has its outcome");
}

#[test]
fn a_read_that_a_followers_own_disk_keeps_waiting_is_given_up_after_a_timeout() {
    let mut c = read_at_a_follower();
    c.disk_is_fast(1, false);
    c.propose(0, 1);
    assert!(c.deliver(0, 1) && c.deliver(0, 2) && c.deliver(2, 0));
    c.settle();
    assert_eq!((c.commits(), c.readable(1)), (vec![2, 2, 2], None));
    c.pass(Span::millis(180));
    assert!(c.nodes[1].told.iter().any(|it| matches!(it, Output::Unreadable { .. })));
    c.disk_is_fast(1, true);
    assert_eq!(c.readable(1), None, "it has its outcome");
}

#[test]
fn a_question_of_an_old_term_is_answered_with_the_new_one() {
    let mut c = led_group();
    let newer = c.machine(0).term();
    let term = Term::new(newer.number() - 1);
    c.flights.clear();
    c.say(1, 0, Message::ReadIndex { term, life: 1, number: 1 });
    assert_eq!(c.newest(0, 1), Some(Message::Stale { term: newer }));
    assert!(c.machine(0).leads());
}

#[test]
fn an_answer_of_a_newer_term_is_no_answer_and_brings_the_term() {
    let mut c = read_at_a_follower();
    let (term, life, number, index) = (Term::new(9), 1, 1, Index::new(1));
    c.say(0, 1, Message::ReadIndexReply { term, life, number, index });
    assert_eq!((c.machine(1).term(), c.readable(1)), (term, None));
}

// Each round had the question asked again for newer reads too, which then waited for a later round: where
// heartbeats are shorter than a round trip, a follower that was always read from was never answered.
#[test]
fn a_question_that_is_asked_again_waits_no_longer_for_reads_taken_since() {
    let mut c = Group::new(5, Setup { heartbeat: Span::millis(5), ..Setup::of(5) });
    c.elect(0);
    c.settle();
    c.nodes[1].told.clear();
    c.ask(1, Input::Read).unwrap();
    for beat in 0..10 {
        c.jump(Span::millis(5));
        c.tick(0);
        while c.deliver(0, 1) | c.deliver(1, 0) {}
        c.ask(1, Input::Read).unwrap();
        // The next to answer is three rounds behind.
        if beat >= 3 {
            c.deliver(0, 2);
            while c.deliver(2, 0) {}
        }
    }
    while c.deliver(0, 1) {}
    assert!(c.readable(1).is_some(), "{}", c.story());
}
