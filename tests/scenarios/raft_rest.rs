//! An idle group falls silent, and wakes for everything that matters.

use crate::cast::*;
use quorate::raft::Change;

fn setup(count: u8) -> Setup {
    Setup { rests: true, ..Setup::of(count) }
}

/// A group in which everybody rests.
fn resting(count: u8) -> Group {
    let mut c = Group::new(count, setup(count));
    c.elect(0);
    c.settle();
    c.propose(0, 3);
    c.settle();
    c.pass(Span::millis(90));
    assert!(rest(&c) == usize::from(count), "{}", c.story());
    c
}

fn rest(c: &Group) -> usize {
    c.living().iter().filter(|slot| c.machine(slot.number()).is_resting()).count()
}

#[test]
fn an_idle_group_sends_nothing_and_wants_no_tick() {
    let mut c = resting(3);
    assert!((0..3).all(|slot| c.machine(slot).deadline().is_none()));
    c.flights.clear();
    c.jump(Span::secs(3_600));
    (0..3).for_each(|slot| c.tick(slot));
    assert!(c.flights.is_empty() && rest(&c) == 3);
    assert!(c.machine(0).leads());
    assert_eq!(c.commits(), [4, 4, 4]);
}

#[test]
fn a_group_rests_only_if_its_members_are_told_to() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    c.pass(Span::secs(2));
    assert_eq!(rest(&c), 0);
}

#[test]
fn a_group_goes_on_at_once_after_an_hour() {
    let mut c = resting(3);
    c.jump(Span::secs(3_600));
    c.propose(0, 1);
    c.settle();
    assert_eq!(c.commits(), [5, 5, 5]);
    assert!(c.machine(0).leads(), "nobody was accused of an hour of silence");
    c.pass(Span::millis(90));
    assert_eq!(rest(&c), 3);
}

#[test]
fn a_member_that_lags_or_is_away_keeps_everybody_awake() {
    let mut c = Group::new(3, setup(3));
    c.elect(0);
    c.settle();
    c.crash(Slot::new(2), 0);
    c.pass(Span::secs(1));
    assert_eq!(rest(&c), 0);
    c.start(Slot::new(2));
    c.pass(Span::secs(1));
    assert_eq!(rest(&c), 3);
    c.disk_is_fast(1, false);
    c.propose(0, 1);
    c.settle();
    c.pass(Span::millis(200));
    assert_eq!(rest(&c), 0);
}

// tikv#6596: a member that restarts found no leader, for its leader was silent. tikv#16429: and whoever
// rested could not tell that it had promised anything.
#[test]
fn a_member_that_restarts_wakes_the_group_and_brings_no_leader_down() {
    for restarted in [1, 2] {
        let mut c = resting(3);
        c.jump(Span::secs(3_600));
        c.restart(restarted);
        c.pass(Span::secs(1));
        assert!(c.machine(0).leads(), "{}", c.story());
        assert_eq!(c.machine(restarted).leader(), Some(Slot::new(0)));
        assert_eq!((c.machine(0).term(), rest(&c)), (Term::new(1), 3));
    }
}

#[test]
fn a_silent_leader_that_is_gone_is_replaced_once_somebody_doubts_it() {
    let mut c = resting(3);
    c.crash(Slot::new(0), 0);
    c.pass(Span::secs(10));
    assert_eq!(rest(&c), 2, "nobody misses it");
    c.ask(1, Input::Suspect(Slot::new(2))).unwrap();
    assert_eq!(rest(&c), 2, "the other is not its leader");
    c.ask(1, Input::Suspect(Slot::new(0))).unwrap();
    c.pass(Span::secs(2));
    assert!(c.machine(1).leads() || c.machine(2).leads(), "{}", c.story());
}

// tikv#12166, tikv#18886: the followers of a silent leader that was cut off would not replace it. Here they
// do, and it must not take its own silence for theirs.
#[test]
fn a_silent_leader_that_was_replaced_behind_its_back_answers_nothing_when_it_wakes() {
    let mut c = Group::new(3, Setup { clock_drift: Some(10_000), ..setup(3) });
    c.elect(0);
    c.pass(Span::millis(90));
    assert!(rest(&c) == 3 && c.machine(0).has_lease());
    c.part(&[0], &[1, 2]);
    c.ask(1, Input::Suspect(Slot::new(0))).unwrap();
    c.pass(Span::secs(2));
    let other = if c.machine(1).leads() { 1 } else { 2 };
    c.propose(other, 1);
    c.settle();
    assert!(c.machine(0).leads() && c.machine(0).is_resting(), "{}", c.story());
    c.ask(0, Input::Read).unwrap();
    c.propose(0, 1);
    c.pass(Span::millis(100));
    c.heal();
    c.pass(Span::secs(1));
    assert!(c.machine(other).leads() && !c.machine(0).leads());
    assert_eq!((c.readable(0), c.last(0)), (None, c.last(other)));
}

#[test]
fn doubt_about_a_leader_that_lives_costs_nothing_but_a_word() {
    let mut c = resting(3);
    for slot in [1, 2] {
        c.ask(slot, Input::Suspect(Slot::new(0))).unwrap();
    }
    c.pass(Span::secs(1));
    assert!(c.machine(0).leads() && rest(&c) == 3);
    assert_eq!(c.machine(0).term(), Term::new(1));
}

// Nothing asked again for a read whose question was lost as the leader fell silent.
#[test]
fn a_follower_that_waits_for_an_answer_does_not_rest() {
    let mut c = Group::new(3, setup(3));
    c.elect(0);
    while !c.machine(0).is_resting() {
        c.settle();
        c.ring(0);
    }
    c.nodes[1].told.clear();
    c.ask(1, Input::Read).unwrap();
    c.lose(1, 0);
    c.settle();
    assert!(c.readable(1).is_some(), "{}", c.story());
    c.pass(Span::millis(90));
    assert_eq!(rest(&c), 3);
}

#[test]
fn a_follower_that_is_asked_wakes_the_group() {
    let mut c = resting(3);
    c.jump(Span::secs(60));
    c.nodes[1].told.clear();
    c.ask(1, Input::Read).unwrap();
    c.settle();
    assert!(c.readable(1).is_some());
}

#[test]
fn the_leader_of_a_change_or_a_transfer_does_not_rest() {
    let mut c = Group::new(4, setup(3));
    c.elect(0);
    c.settle();
    c.pass(Span::millis(90));
    let joint = c.machine(0).configuration().enter_joint(false, &[Change::AddVoter(Slot::new(3))]);
    c.ask(0, Input::Reconfigure(joint.unwrap())).unwrap();
    c.pass(Span::secs(1));
    assert!(!c.machine(0).is_resting());
    let left = c.machine(0).configuration().leave_joint().unwrap();
    c.ask(0, Input::Reconfigure(left)).unwrap();
    c.pass(Span::secs(1));
    assert_eq!(rest(&c), 4);
    c.part(&[1], &[0, 2, 3]);
    c.ask(0, Input::Transfer(Slot::new(1))).unwrap();
    c.pass(Span::millis(149));
    assert!(!c.machine(0).is_resting());
}

#[test]
fn who_lacks_something_does_not_rest_though_it_is_told_to() {
    let mut c = Group::new(3, setup(3));
    c.elect(0);
    c.settle();
    let (term, last) = (Term::new(1), c.last(0));
    let more = EntryId::new(term, last.index.next());
    c.say(0, 1, Message::Rest { term, last: more });
    assert!(!c.machine(1).is_resting());
    assert!(matches!(c.newest(1, 0), Some(Message::Matched { .. })), "and says so");
    c.say(2, 1, Message::Rest { term, last });
    assert!(!c.machine(1).is_resting(), "it was not its leader");
    c.say(0, 1, Message::Rest { term, last });
    assert!(c.machine(1).is_resting());
}

#[test]
fn what_comes_late_wakes_and_does_no_harm() {
    let mut c = resting(3);
    c.say(1, 0, Message::Matched { term: Term::new(1), matched: Index::new(2), round: 1 });
    assert!(!c.machine(0).is_resting());
    c.pass(Span::secs(1));
    assert!(rest(&c) == 3 && c.machine(0).leads());
}

#[test]
fn a_higher_term_ends_a_silent_reign() {
    let mut c = resting(3);
    c.say(2, 0, Message::Stale { term: Term::new(7) });
    assert!(!c.machine(0).leads() && !c.machine(0).is_resting());
    c.pass(Span::secs(3));
    assert!((0..3).any(|slot| c.machine(slot).leads()), "{}", c.story());
}

// Found by the simulator (seed 343, V3): it could not be elected, so it asked nobody.
#[test]
fn a_learner_that_wakes_or_restarts_finds_its_silent_leader() {
    let mut c = Group::new(4, setup(3));
    c.elect(0);
    c.settle();
    let learn = c.machine(0).configuration().simple(&[Change::AddLearner(Slot::new(3))]);
    c.ask(0, Input::Reconfigure(learn.unwrap())).unwrap();
    c.pass(Span::secs(1));
    assert_eq!(rest(&c), 4);
    let (term, life, number, index) = (Term::new(1), 9, 9, Index::new(1));
    c.say(0, 3, Message::ReadIndexReply { term, life, number, index });
    assert!(!c.machine(3).is_resting());
    c.pass(Span::secs(1));
    assert_eq!((c.machine(3).leader(), rest(&c)), (Some(Slot::new(0)), 4));
    c.restart(3);
    assert_eq!(c.machine(3).leader(), None);
    c.pass(Span::secs(1));
    assert_eq!((c.machine(3).leader(), rest(&c)), (Some(Slot::new(0)), 4));
    assert_eq!(c.machine(0).term(), term);
}

#[test]
fn who_is_set_up_to_stay_awake_does() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    let (term, last) = (Term::new(1), c.last(0));
    c.say(0, 1, Message::Rest { term, last });
    assert!(!c.machine(1).is_resting());
}

#[test]
fn nobody_rests_before_all_of_it_is_on_disk() {
    let mut c = Group::new(3, setup(3));
    c.elect(0);
    c.settle();
    c.disk_is_fast(1, false);
    c.propose(0, 1);
    c.deliver(0, 1);
    let last = c.last(0);
    assert_eq!(c.last(1), last);
    c.say(0, 1, Message::Rest { term: Term::new(1), last });
    assert!(!c.machine(1).is_resting(), "the entry is not on its disk");
    c.persist(Slot::new(1), 9);
    c.notice(Slot::new(1));
    c.say(0, 1, Message::Rest { term: Term::new(2), last });
    assert!(!c.machine(1).is_resting(), "the term is not on its disk");
}

#[test]
fn a_leader_that_wakes_takes_everyone_as_heard_just_now() {
    let mut c = resting(3);
    c.jump(Span::secs(3_600));
    c.part(&[0], &[1, 2]);
    c.propose(0, 1);
    assert_eq!(c.machine(0).last_heard(), Some(c.now_of(Slot::new(0)).mono));
}

#[test]
fn a_member_that_was_removed_does_not_wake_those_who_rest() {
    let mut c = Group::new(3, setup(3));
    c.elect(0);
    c.settle();
    let without = c.machine(0).configuration().simple(&[Change::Remove(Slot::new(2))]);
    c.ask(0, Input::Reconfigure(without.unwrap())).unwrap();
    c.settle();
    c.pass(Span::millis(90));
    c.flights.clear();
    for _ in 0..20 {
        c.pass(Span::millis(50));
        assert!(c.machine(0).is_resting() && c.machine(1).is_resting(), "{}", c.story());
    }
    assert_eq!(c.machine(2).leader(), None);
}
