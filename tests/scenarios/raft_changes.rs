//! Changes of the configuration: who counts from when on, and who no longer disturbs.

use crate::cast::*;
use quorate::id::Members;
use quorate::limits::{BOARD, Limit};
use quorate::machine::Refused;
use quorate::raft::{Change, Configuration};

/// Members 0 to 2 vote; the others of these are up and belong to nothing.
pub(crate) fn three_of(count: u8) -> Group {
    Group::new(count, Setup::of(3))
}

pub(crate) fn set(slots: &[u8]) -> Members {
    slots.iter().copied().map(Slot::new).collect()
}

pub(crate) fn add(slot: u8) -> Change {
    Change::AddVoter(Slot::new(slot))
}

pub(crate) fn remove(slot: u8) -> Change {
    Change::Remove(Slot::new(slot))
}

/// What a member's host asks for after these changes of what its log says now.
pub(crate) fn simple(c: &Group, slot: u8, changes: &[Change]) -> Input {
    Input::Reconfigure(c.machine(slot).configuration().simple(changes).unwrap())
}

pub(crate) fn joint(c: &Group, slot: u8, auto_leave: bool, changes: &[Change]) -> Input {
    Input::Reconfigure(c.machine(slot).configuration().enter_joint(auto_leave, changes).unwrap())
}

pub(crate) fn voters(c: &Group, slot: u8) -> Members {
    c.machine(slot).configuration().voters()
}

#[test]
fn a_member_that_is_added_is_sent_the_log_and_counts_at_once() {
    let mut c = three_of(4);
    c.elect(0);
    c.propose(0, 3);
    c.settle();
    c.part(&[1, 2], &[0, 3]);
    c.ask(0, simple(&c, 0, &[add(3)])).unwrap();
    c.settle();
    assert_eq!((c.last(3), voters(&c, 3)), (entry(1, 5), Members::first(4)));
    assert_eq!(c.commits()[0], 4, "of four members three are needed");
    c.heal();
    c.pass(Span::millis(30));
    assert_eq!(c.commits(), [5; 4]);
    assert_eq!(voters(&c, 1), Members::first(4));
}

// Ongaro, raft-dev, 10 July 2015; openraft#2051: two leaders in turn could each take another step
// from the same configuration, and commit both.
#[test]
fn a_leader_changes_nothing_before_an_entry_of_its_own_is_committed() {
    let mut c = three_of(4);
    c.elect(0);
    c.propose(0, 1);
    c.settle();
    c.elect_unheard(1);
    let change = simple(&c, 1, &[add(3)]);
    assert_eq!(c.ask(1, change), Err(Refused::Changing));
    c.pass(Span::millis(30));
    c.ask(1, change).unwrap();
}

#[test]
fn one_change_is_under_way_at_a_time() {
    let mut c = three_of(5);
    c.elect(0);
    c.ask(0, simple(&c, 0, &[add(3)])).unwrap();
    let next = simple(&c, 0, &[add(4)]);
    assert_eq!(c.ask(0, next), Err(Refused::Changing));
    c.settle();
    c.ask(0, next).unwrap();
    c.settle();
    assert_eq!(voters(&c, 4), Members::first(5));
}

#[test]
fn a_change_that_no_step_leads_to_is_refused() {
    let mut c = three_of(5);
    c.elect(0);
    c.settle();
    let to = |voters: &[u8]| Input::Reconfigure(Configuration::of(set(voters)));
    for meaningless in [to(&[0, 3, 4]), to(&[]), to(&[0, 1, 2, 31])] {
        assert_eq!(c.ask(0, meaningless), Err(Refused::Meaningless));
    }
    let change = to(&[0, 1, 2, 3]);
    assert_eq!(c.ask(1, change), Err(Refused::NotLeader { leader: Some(Slot::new(0)) }));
    c.ask(0, change).unwrap();
}

// camunda#57393: an uncommitted configuration was truncated, and stayed in force.
#[test]
fn a_change_goes_with_its_entry() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    c.part(&[0], &[1, 2, 3]);
    c.ask(0, simple(&c, 0, &[remove(2)])).unwrap();
    assert_eq!(voters(&c, 0), Members::first(2));
    c.elect(1);
    c.heal();
    c.pass(Span::millis(60));
    assert_eq!((c.last(0), voters(&c, 0)), (c.last(1), Members::first(3)));
}

#[test]
fn a_change_outlives_a_crash_once_it_is_on_disk_and_not_before() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    c.disk_is_fast(0, false);
    c.ask(0, simple(&c, 0, &[add(3)])).unwrap();
    let mut lost = c.clone();
    lost.crash(Slot::new(0), 0);
    lost.start(Slot::new(0));
    assert_eq!(voters(&lost, 0), Members::first(3));
    c.crash(Slot::new(0), 1);
    c.start(Slot::new(0));
    assert_eq!(voters(&c, 0), Members::first(4));
}

#[test]
fn a_joint_change_needs_a_majority_of_each_half() {
    let mut c = three_of(5);
    c.elect(0);
    c.settle();
    let before = c.last(0).index.number();
    c.part(&[1, 2], &[0, 3, 4]);
    c.ask(0, joint(&c, 0, true, &[remove(1), remove(2), add(3), add(4)])).unwrap();
    c.settle();
    assert_eq!(c.commits()[0], before, "the old majority has not heard of it");
    c.heal();
    c.pass(Span::millis(60));
    assert_eq!(*c.machine(0).configuration(), Configuration::of(set(&[0, 3, 4])));
    assert_eq!(c.commits()[0], before + 2, "and it is left by itself");
}

#[test]
fn a_joint_change_is_left_when_its_host_says_so_unless_it_leaves_by_itself() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    c.ask(0, joint(&c, 0, false, &[add(3), remove(0)])).unwrap();
    c.settle();
    c.pass(Span::millis(60));
    assert!(c.machine(3).configuration().is_joint());
    let after = c.machine(0).configuration().leave_joint().unwrap();
    c.ask(0, Input::Reconfigure(after)).unwrap();
    c.settle();
    assert_eq!(*c.machine(3).configuration(), Configuration::of(set(&[1, 2, 3])));
}

// etcd#12136: the leader that began a change was gone before it ended it, and nobody else did.
#[test]
fn another_leader_leaves_the_joint_configuration_that_one_has_begun() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    c.ask(0, joint(&c, 0, true, &[add(3)])).unwrap();
    c.deliver(0, 1);
    c.deliver(0, 2);
    c.deliver(0, 3);
    c.flights.clear();
    c.crash(Slot::new(0), 0);
    c.elect(1);
    c.settle();
    assert_eq!(*c.machine(1).configuration(), Configuration::of(Members::first(4)));
}

// sailing 117a5c7, etcd's confchange_v1_remove_leader: it left too soon, or counted itself.
#[test]
fn a_leader_that_is_removed_leads_until_that_is_committed_and_does_not_count_itself() {
    let mut c = three_of(3);
    c.elect(0);
    c.settle();
    let before = c.last(0).index.number();
    c.part(&[0, 1], &[2]);
    c.ask(0, simple(&c, 0, &[remove(0)])).unwrap();
    c.settle();
    assert!(c.machine(0).leads() && c.commits()[0] == before, "n1 alone is no majority of two");
    c.heal();
    c.pass(Span::millis(30));
    assert!(!c.machine(0).leads());
    c.elect(1);
    assert_eq!(c.commits()[1..], [before + 2; 2]);
    c.silence();
    c.ring(0);
    c.settle();
    assert_eq!(c.machine(0).role(), "follower", "nobody could elect it");
}

// cockroach#1131, etcd#8501: who was removed and does not know it made the terms rise.
#[test]
fn a_member_that_was_removed_and_does_not_know_it_disturbs_nobody() {
    let mut c = three_of(3);
    c.elect(0);
    c.settle();
    c.part(&[2], &[0, 1]);
    c.ask(0, simple(&c, 0, &[remove(2)])).unwrap();
    c.settle();
    c.heal();
    c.pass(Span::secs(3));
    assert_eq!((c.machine(2).role(), voters(&c, 2)), ("canvasser", Members::first(3)));
    assert_eq!((c.machine(0).role(), c.machine(0).term()), ("leader", Term::new(1)));
}

// etcd#10998, sofa-jraft#940: it refused to vote because it did not know that it was a voter, or who
// asked.
#[test]
fn a_member_that_does_not_know_that_it_votes_gives_its_vote() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    c.part(&[3], &[0, 1, 2]);
    c.ask(0, simple(&c, 0, &[add(3)])).unwrap();
    c.settle();
    c.crash(Slot::new(0), 9);
    c.crash(Slot::new(2), 9);
    c.heal();
    c.restart(2);
    c.elect(1);
    c.settle();
    assert_eq!(c.last(3), c.last(1));
    c.part(&[2], &[1, 3]);
    c.restart(0);
    c.elect(1);
    assert!(c.machine(1).leads(), "with the votes of n0 and n3");
}

#[test]
fn who_learns_is_sent_everything_counts_for_nothing_and_does_not_campaign() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    c.ask(0, simple(&c, 0, &[Change::AddLearner(Slot::new(3))])).unwrap();
    c.settle();
    let before = c.last(0).index.number();
    assert_eq!(c.last(3), c.last(0));
    c.part(&[1, 2], &[0, 3]);
    c.propose(0, 1);
    c.settle();
    assert_eq!((c.last(3), c.commits()[0]), (c.last(0), before));
    c.silence();
    c.ring(3);
    assert_eq!(c.machine(3).role(), "follower");
}

// A log that cannot let go of its configurations takes no more of them.
#[test]
fn configurations_are_bounded_and_a_snapshot_makes_room() {
    let mut c = three_of(4);
    c.elect(0);
    c.settle();
    for round in 0..BOARD.configurations {
        let change = if round % 2 == 0 { add(3) } else { remove(3) };
        c.ask(0, simple(&c, 0, &[change])).unwrap();
        c.settle();
    }
    let next = simple(&c, 0, &[add(3)]);
    assert_eq!(c.ask(0, next), Err(Refused::Full(Limit::Configurations)));
    (0..3).for_each(|slot| c.compact(slot));
    c.settle();
    c.ask(0, next).unwrap();
    c.settle();
    assert_eq!(voters(&c, 1), Members::first(4));
}

/// A leader of three whose slot 3 learns, in a group that lets nobody vote who lacks more than two
/// entries.
fn with_a_learner() -> Group {
    let mut c = Group::new(4, Setup { promotion_lag: Some(2), ..Setup::of(3) });
    c.elect(0);
    c.settle();
    c.propose(0, 8);
    c.part(&[3], &[0, 1, 2]);
    c.settle();
    let learn = c.machine(0).configuration().simple(&[Change::AddLearner(Slot::new(3))]);
    c.ask(0, Input::Reconfigure(learn.unwrap())).unwrap();
    c.settle();
    c
}

fn promote(c: &mut Group) -> Result<(), Refused> {
    let vote = c.machine(0).configuration().simple(&[Change::AddVoter(Slot::new(3))]);
    c.ask(0, Input::Reconfigure(vote.unwrap()))
}

// pd#11236: three learners were made voters at once, and nothing was written for 3.6 s.
#[test]
fn a_learner_votes_only_once_it_has_caught_up() {
    let mut c = with_a_learner();
    let slot = Slot::new(3);
    assert_eq!(promote(&mut c), Err(Refused::Lagging { slot }));
    c.heal();
    c.pass(Span::millis(60));
    assert_eq!(promote(&mut c), Ok(()));
}

// raft-rs#192: a new half that never comes to a majority keeps a group joint for ever.
#[test]
fn a_joint_change_brings_in_nobody_who_lags() {
    let mut c = with_a_learner();
    let slot = Slot::new(3);
    let change = joint(&c, 0, true, &[add(3), remove(2)]);
    assert_eq!(c.ask(0, change), Err(Refused::Lagging { slot }));
    c.heal();
    c.pass(Span::millis(60));
    let stranger = joint(&c, 0, true, &[add(3), add(4)]);
    assert_eq!(c.ask(0, stranger), Err(Refused::Lagging { slot: Slot::new(4) }));
    assert_eq!(c.ask(0, change), Ok(()));
}

#[test]
fn a_learner_that_falls_behind_again_does_not_vote() {
    let mut c = with_a_learner();
    c.heal();
    c.pass(Span::millis(60));
    c.part(&[3], &[0, 1, 2]);
    c.propose(0, 2);
    c.settle();
    assert_eq!(promote(&mut c), Ok(()), "two entries are permitted");
    let mut c = with_a_learner();
    c.heal();
    c.pass(Span::millis(60));
    c.part(&[3], &[0, 1, 2]);
    c.propose(0, 3);
    c.settle();
    assert_eq!(promote(&mut c), Err(Refused::Lagging { slot: Slot::new(3) }));
}

// Dissertation 4.2.1: near is not enough if the last stretch took longer than an election.
#[test]
fn a_learner_that_is_slow_does_not_vote_until_it_is_quick() {
    let mut c = with_a_learner();
    c.heal();
    c.pass(Span::millis(60));
    c.part(&[3], &[0, 1, 2]);
    c.propose(0, 2);
    c.settle();
    c.pass(Span::millis(200));
    c.heal();
    c.pass(Span::millis(31));
    assert_eq!(promote(&mut c), Err(Refused::Lagging { slot: Slot::new(3) }), "it took 200 ms");
    c.pass(Span::millis(30));
    assert_eq!(promote(&mut c), Ok(()));
}

#[test]
fn a_slot_that_never_learned_votes_only_while_the_log_is_short() {
    let setup = || Setup { promotion_lag: Some(2), ..Setup::of(3) };
    let mut c = Group::new(4, setup());
    c.elect(0);
    c.settle();
    assert_eq!(promote(&mut c), Ok(()));
    let mut c = Group::new(4, setup());
    c.elect(0);
    c.propose(0, 2);
    c.settle();
    assert_eq!(promote(&mut c), Err(Refused::Lagging { slot: Slot::new(3) }));
    let witness = c.machine(0).configuration().simple(&[Change::AddWitness(Slot::new(3))]);
    assert_eq!(c.ask(0, Input::Reconfigure(witness.unwrap())), Ok(()), "it gets no payloads");
}

// Found by the simulator (seed 5 of the replica, V2): what it was asked for never ended.
#[test]
fn a_removed_member_that_hears_nobody_any_more_knows_no_leader() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    let without = c.machine(0).configuration().simple(&[Change::Remove(Slot::new(2))]);
    c.ask(0, Input::Reconfigure(without.unwrap())).unwrap();
    c.settle();
    c.ask(2, Input::Read).unwrap();
    c.pass(Span::millis(400));
    assert_eq!(c.machine(2).leader(), None);
    assert_eq!(c.readable(2), None);
    assert!(matches!(c.nodes[2].told.last(), Some(Output::Following { leader: None, .. })));
}

// Found by the simulator (seed 181, V2): each time the group woke it was taken as heard, and so its leader
// never compacted.
#[test]
fn a_member_that_was_removed_while_it_was_sent_a_snapshot_is_sent_none_any_more() {
    let mut c = Group::new(4, Setup { rests: true, ..Setup::of(3) });
    c.elect(0);
    c.settle();
    c.propose(0, 8);
    c.settle();
    c.compact(0);
    let learn = c.machine(0).configuration().simple(&[Change::AddLearner(Slot::new(3))]);
    c.ask(0, Input::Reconfigure(learn.unwrap())).unwrap();
    while !c.machine(0).is_sending() {
        assert!(c.deliver(0, 3) | c.deliver(3, 0), "{}", c.story());
    }
    c.part(&[3], &[0, 1, 2]);
    c.settle();
    let without = c.machine(0).configuration().simple(&[Change::Remove(Slot::new(3))]);
    c.ask(0, Input::Reconfigure(without.unwrap())).unwrap();
    c.settle();
    assert!(!c.machine(0).is_sending());
    c.pass(Span::millis(90));
    assert!(c.machine(0).is_resting());
    c.ask(0, Input::Read).unwrap();
    assert!(!c.machine(0).is_sending());
}

fn hears(c: &Group, from: u8, to: u8) -> usize {
    let is_from_to = |it: &&_| is_link(it, from, to);
    c.flights.iter().filter(is_from_to).count()
}

fn is_link<P>(flight: &quorate_sim::cluster::Flight<P>, from: u8, to: u8) -> bool {
    (flight.from, flight.to) == (Slot::new(from), Slot::new(to))
}

#[test]
fn who_is_removed_is_told_until_that_is_committed_and_not_after() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    let without = c.machine(0).configuration().simple(&[Change::Remove(Slot::new(2))]);
    c.ask(0, Input::Reconfigure(without.unwrap())).unwrap();
    assert!(matches!(c.newest(0, 2), Some(Message::Configure { .. })));
    c.settle();
    c.flights.clear();
    c.jump(Span::millis(30));
    c.tick(0);
    assert_eq!((hears(&c, 0, 1), hears(&c, 0, 2)), (1, 0));
}

#[test]
fn a_change_is_sent_once_and_not_again_before_it_is_answered() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    let change = |it: &Message| matches!(it, Message::Configure { .. });
    let sent = |c: &Group, to| {
        let to_him = c.flights.iter().filter(|it| is_link(it, 0, to));
        to_him.filter(|it| change(&it.packet.0)).count()
    };
    let learn = c.machine(0).configuration().simple(&[Change::AddLearner(Slot::new(2))]);
    c.ask(0, Input::Reconfigure(learn.unwrap())).unwrap();
    assert_eq!((sent(&c, 1), sent(&c, 2)), (1, 1), "to one that is streamed to");
    c.flights.clear();
    for _ in 0..3 {
        c.propose(0, 1);
    }
    assert_eq!((sent(&c, 1), sent(&c, 2)), (0, 0));
}

#[test]
fn a_change_that_cannot_be_is_ignored() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    let (term, prev) = (Term::new(1), c.last(1));
    let configuration = *c.machine(1).configuration();
    for of in [0, 2] {
        let of = Term::new(of);
        let message = Message::Configure { term, prev, of, configuration, committed: false };
        c.say(0, 1, message);
        assert_eq!(c.last(1), prev, "entries of {of} in {term}");
    }
}

#[test]
fn bytes_that_describe_no_configuration_are_malformed() {
    use quorate::codec::Codec;
    use quorate::raft::Configuration;
    let four = Configuration::of(quorate::id::Members::first(4));
    let next = four.simple(&[Change::AddLearner(Slot::new(5))]).unwrap();
    let mut bytes = quorate::bounded::List::<u8, 32>::new();
    next.encode(&mut bytes).unwrap();
    let bytes = bytes.to_vec();
    assert_eq!(Configuration::decode(&mut bytes.as_slice()), Ok(next));
    // Four sets of four bytes: voters, outgoing voters, learners, witnesses; and one that says whether
    // it leaves itself.
    for (place, byte, why) in [
        (0, 0, "nobody votes"),
        (8, 1, "a voter learns"),
        (12, 32, "a learner is a witness"),
        (12, 64, "a witness does not vote"),
        (16, 1, "it is not joint and leaves itself"),
        (16, 2, "neither yes nor no"),
    ] {
        let mut wrong = bytes.clone();
        wrong[place] = byte;
        assert!(Configuration::decode(&mut wrong.as_slice()).is_err(), "{why}");
    }
}

#[test]
fn what_cannot_be_changed_says_what_to_do() {
    use quorate::raft::Unchangeable;
    let slot = Slot::new(3);
    for (error, hint) in [
        (Unchangeable::Joint, "leave"),
        (Unchangeable::NotJoint, "nothing to leave"),
        (Unchangeable::NobodyVotes, "add a voter"),
        (Unchangeable::NobodyWouldVote, "keep a voter"),
        (Unchangeable::SeveralVoters, "joint"),
        (Unchangeable::NoSuchSlot(slot), "slot 3"),
        (Unchangeable::Witness(slot), "remove it first"),
        (Unchangeable::NoWitness(slot), "remove it first"),
    ] {
        assert!(error.to_string().contains(hint), "{error}");
    }
}
