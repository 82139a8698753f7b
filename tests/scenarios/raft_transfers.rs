//! Handing leadership over: to whom, when, and what if it is in vain.

use crate::cast::*;
use quorate::machine::Refused;
use quorate::raft::Change;

fn led(count: u8) -> Group {
    let mut c = Group::of(count);
    c.elect(0);
    c.settle();
    c
}

fn to(slot: u8) -> Input {
    Input::Transfer(Slot::new(slot))
}

fn is_vain(c: &Group, slot: u8) -> bool {
    let told = &c.nodes[usize::from(slot)].told;
    told.iter().any(|told| matches!(told, Output::NotTransferred { .. }))
}

#[test]
fn the_successor_leads_at_once_though_everyone_hears_the_leader() {
    let mut c = led(3);
    c.ask(0, to(2)).unwrap();
    c.settle();
    assert!(c.machine(2).leads() && !c.machine(0).leads());
    assert_eq!(c.machine(2).term(), Term::new(2));
    assert_eq!(c.commits()[2], 2);
}

#[test]
fn a_successor_that_lags_is_brought_up_first_and_nothing_is_proposed_meanwhile() {
    let mut c = led(3);
    c.part(&[2], &[0, 1]);
    c.propose(0, 5);
    c.settle();
    c.ask(0, to(2)).unwrap();
    c.settle();
    assert_eq!(c.ask(0, Input::Propose { count: 1 }), Err(Refused::Transferring));
    let change = c.machine(0).configuration().simple(&[Change::Remove(Slot::new(1))]).unwrap();
    assert_eq!(c.ask(0, Input::Reconfigure(change)), Err(Refused::Transferring));
    c.heal();
    c.pass(Span::millis(30));
    assert!(c.machine(2).leads());
    assert_eq!(c.last(2), entry(2, 7));
}

// sailing dbf6f03: a successor that caught up by a snapshot was never told.
#[test]
fn a_successor_that_needs_a_snapshot_leads_too() {
    let mut c = led(3);
    c.part(&[2], &[0, 1]);
    c.propose(0, 8);
    c.settle();
    c.pass(Span::millis(30));
    c.compact(0);
    c.ask(0, to(2)).unwrap();
    c.heal();
    c.pass(Span::millis(90));
    assert!(c.machine(2).leads(), "{}", c.story());
}

// openraft#1749: the successor could not be reached, and nothing was written for ever.
#[test]
fn a_successor_that_does_not_answer_is_given_up_after_a_timeout() {
    let mut c = led(3);
    c.part(&[2], &[0, 1]);
    c.ask(0, to(2)).unwrap();
    c.pass(Span::millis(149));
    assert!(c.machine(0).is_transferring() && !is_vain(&c, 0));
    c.pass(Span::millis(1));
    assert!(!c.machine(0).is_transferring() && is_vain(&c, 0));
    c.propose(0, 1);
    c.settle();
    assert_eq!(c.commits()[..2], [2, 2]);
}

// openraft#1749: while much was read, heartbeats kept everyone from electing another leader, and the one
// there was took no writes.
#[test]
fn a_transfer_in_vain_lasts_no_longer_however_much_is_read_meanwhile() {
    let mut c = led(3);
    c.part(&[2], &[0, 1]);
    c.ask(0, to(2)).unwrap();
    for _ in 0..150 {
        assert!(c.machine(0).is_transferring());
        c.ask(0, Input::Read).unwrap();
        c.settle();
        c.pass(Span::millis(1));
    }
    assert!(!c.machine(0).is_transferring() && is_vain(&c, 0));
    c.propose(0, 1);
    c.settle();
    assert_eq!(c.commits()[..2], [2, 2]);
    assert!(c.readable(0).is_some(), "and what was read is served");
}

// etcd/raft takes a request for a transfer that is under way as no news.
#[test]
fn a_transfer_that_is_asked_for_again_lasts_no_longer() {
    let mut c = led(3);
    c.part(&[2], &[0, 1]);
    c.ask(0, to(2)).unwrap();
    c.pass(Span::millis(100));
    assert_eq!(c.ask(0, to(2)), Err(Refused::Transferring));
    c.pass(Span::millis(50));
    assert!(!c.machine(0).is_transferring() && is_vain(&c, 0));
}

#[test]
fn every_transfer_that_was_taken_has_an_outcome() {
    let mut c = led(5);
    c.part(&[1, 2], &[0, 3, 4]);
    let taken: Vec<_> = [1, 2].into_iter().filter(|slot| c.ask(0, to(*slot)).is_ok()).collect();
    c.pass(Span::millis(150));
    let told = c.nodes[0].told.iter().filter_map(|told| match told {
        Output::NotTransferred { to } => Some(to.number()),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), taken);
}

// hashicorp#398, consul#7031: leadership was handed to a member that does not vote.
#[test]
fn only_a_voter_with_payloads_can_succeed() {
    let mut c = Group::new(5, Setup::of(3));
    c.elect(0);
    c.settle();
    for change in [Change::AddLearner(Slot::new(3)), Change::AddWitness(Slot::new(4))] {
        let next = c.machine(0).configuration().simple(&[change]).unwrap();
        c.ask(0, Input::Reconfigure(next)).unwrap();
        c.settle();
    }
    for nobody in [0, 3, 4, 5, 31, 200] {
        assert_eq!(c.ask(0, to(nobody)), Err(Refused::Meaningless), "{nobody}");
    }
    let leader = Some(Slot::new(0));
    assert_eq!(c.ask(1, to(2)), Err(Refused::NotLeader { leader }));
}

// openraft#1805: the successor had not received what made it one, and won from an old log.
#[test]
fn a_late_word_to_campaign_makes_nobody_campaign() {
    let mut c = led(3);
    c.propose(0, 1);
    let (term, last) = (Term::new(1), c.last(0));
    c.say(0, 1, Message::Campaign { term, last });
    assert_eq!(c.machine(1).role(), "follower", "it does not hold what the leader holds");
    c.settle();
    let older = entry(1, last.index.number() - 1);
    c.say(0, 1, Message::Campaign { term, last: older });
    c.say(2, 1, Message::Campaign { term, last });
    c.say(0, 1, Message::Campaign { term: Term::new(0), last });
    assert_eq!(c.machine(1).role(), "follower", "it is late, or not the leader's");
}

// openraft#1805, with the promotion itself on its way.
#[test]
fn a_successor_is_told_only_once_it_has_heard_of_its_own_promotion() {
    let mut c = Group::new(4, Setup::of(3));
    c.elect(0);
    c.settle();
    let heir = Slot::new(3);
    for change in [Change::AddLearner(heir), Change::AddVoter(heir)] {
        let next = c.machine(0).configuration().simple(&[change]).unwrap();
        c.ask(0, Input::Reconfigure(next)).unwrap();
        c.settle();
        c.part(&[3], &[0, 1, 2]);
    }
    c.ask(0, to(3)).unwrap();
    c.settle();
    assert!(c.machine(3).configuration().learners().contains(heir));
    assert!(!c.story().contains("campaign!"), "{}", c.story());
    c.heal();
    c.pass(Span::millis(60));
    assert!(c.machine(3).leads() && c.machine(3).configuration().voters().contains(heir));
}

#[test]
fn the_word_is_said_again_at_the_next_heartbeat() {
    let mut c = led(3);
    c.ask(0, to(1)).unwrap();
    assert!(matches!(c.newest(0, 1), Some(Message::Campaign { .. })));
    c.flights.clear();
    c.pass(Span::millis(30));
    assert!(c.machine(1).leads());
}

// The vote of a successor is a promise like any other.
#[test]
fn a_successor_asks_only_when_its_ballot_is_on_disk() {
    let mut c = led(3);
    c.disk_is_fast(1, false);
    c.ask(0, to(1)).unwrap();
    c.deliver(0, 1);
    assert_eq!((c.machine(1).role(), c.newest(1, 2)), ("candidate", None));
    c.persist(Slot::new(1), 1);
    c.notice(Slot::new(1));
    assert!(matches!(c.newest(1, 2), Some(Message::Vote { asked_to: true, .. })));
}

// sailing 216b416: the end of a joint change was appended during a transfer, and the successor's log
// was one too short.
#[test]
fn a_joint_change_does_not_end_during_a_transfer() {
    let mut c = Group::new(4, Setup::of(3));
    c.elect(0);
    c.settle();
    let joint = c.machine(0).configuration().enter_joint(true, &[Change::AddVoter(Slot::new(3))]);
    c.ask(0, Input::Reconfigure(joint.unwrap())).unwrap();
    c.ask(0, to(1)).unwrap();
    c.settle();
    assert!(c.machine(1).leads());
    assert!(!c.machine(1).configuration().is_joint(), "the successor ends it");
    assert_eq!(c.last(1), entry(2, 4));
}

// etcd#12136 again: what keeps a joint change from ending must not do so for ever.
#[test]
fn a_joint_change_ends_after_a_transfer_in_vain() {
    let mut c = Group::new(4, Setup::of(3));
    c.elect(0);
    c.settle();
    c.part(&[2], &[0, 1, 3]);
    let joint = c.machine(0).configuration().enter_joint(true, &[Change::AddVoter(Slot::new(3))]);
    c.ask(0, Input::Reconfigure(joint.unwrap())).unwrap();
    c.ask(0, to(2)).unwrap();
    c.settle();
    assert!(c.commits()[0] == 2 && c.machine(0).configuration().is_joint());
    c.pass(Span::millis(150));
    assert!(is_vain(&c, 0) && !c.machine(0).configuration().is_joint(), "{}", c.story());
    assert_eq!(c.commits()[0], 3);
}
