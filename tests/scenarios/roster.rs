//! Who sits where, and how nodes come and go: joins, leaves, replacements, evictions.

use crate::sum::{Group, leader, open, setup, submit};
use quorate::Refused;
use quorate::id::{Incarnation, Index, Members, NodeId, Slot};
use quorate::limits::BOARD;
use quorate::membership::Address;
use quorate::membership::roster::{Config, Life, Unfit};
use quorate::time::Span;
use quorate_sim::raft::Setup as RaftSetup;
use quorate_sim::replica::Ask;

type Question = Ask<u64>;

fn life(node: u64, incarnation: u64) -> Life {
    Life { node: NodeId::new(node), incarnation: Incarnation::new(incarnation) }
}

fn at(place: u8) -> Address {
    Address::new([place; Address::BYTES])
}

/// The first life of a node.
fn first(node: u64) -> Life {
    life(node, 1)
}

fn admit(life: Life) -> Question {
    let address = at(u8::try_from(life.node.number()).unwrap());
    Ask::Admit { life, address, founder: None, replaces: None }
}

fn replace(life: Life, replaces: u64) -> Question {
    let replaces = Some(Incarnation::new(replaces));
    Ask::Admit { life, address: at(99), founder: None, replaces }
}

/// A group of `founders` nodes on so many machines, with a leader that all founders were introduced to.
/// Node n sits at slot n - 1.
fn founded(founders: u8, machines: u8, roster: Config, raft: RaftSetup) -> (Group, u8) {
    let raft =
        RaftSetup { voters: Members::first(founders.into()), promotion_lag: Some(8), ..raft };
    let mut group = Group::new(machines, quorate_sim::replica::Setup { roster, ..setup(raft) });
    group.pass(Span::millis(400));
    let leads = leader(&group);
    for slot in 0..founders {
        let (life, founder) = (first(u64::from(slot) + 1), Some(Slot::new(slot)));
        let address = at(slot + 1);
        group.ask(leads, Ask::Admit { life, address, founder, replaces: None }).unwrap();
        group.settle();
    }
    assert_eq!(group.machine(leads).roster().seats().count(), usize::from(founders));
    (group, leads)
}

fn group(founders: u8, machines: u8) -> (Group, u8) {
    founded(founders, machines, Config::default(), RaftSetup::of(founders))
}

fn wanting(replication_factor: u32) -> Config {
    Config { replication_factor, ..Config::default() }
}

fn members(slots: &[u8]) -> Members {
    slots.iter().copied().map(Slot::new).collect()
}

fn voters(group: &Group) -> Members {
    group.machine(leader(group)).raft().configuration().voters()
}

fn learners(group: &Group) -> Members {
    group.machine(leader(group)).raft().configuration().learners()
}

/// Where a life sits, as the leader has it.
fn sits(group: &Group, life: Life) -> Option<u8> {
    group.machine(leader(group)).roster().seat_of(life).map(|(slot, _)| slot.number())
}

/// A member that does not lead, and votes.
fn follower(group: &Group) -> u8 {
    voters(group).without(Slot::new(leader(group))).iter().next().unwrap().number()
}

fn step_by_step(group: &mut Group, times: usize, mut look: impl FnMut(&Group)) {
    for _ in 0..times {
        group.pass(Span::millis(5));
        look(group);
    }
}

#[test]
fn a_newcomer_learns_and_then_votes_by_being_admitted_once() {
    let (mut c, leads) = group(3, 5);
    submit(&mut c, leads, &[open(7)]);
    c.ask(leads, admit(first(4))).unwrap();
    let mut has_learned = false;
    step_by_step(&mut c, 60, |c| has_learned |= learners(c) == members(&[3]));
    assert!(has_learned, "{}", c.story());
    assert_eq!((voters(&c), learners(&c)), (members(&[0, 1, 2, 3]), Members::NONE));
    let seat = *c.machine(3).roster().seat(Slot::new(3)).expect("it has heard of its own seat");
    assert_eq!((seat.life, seat.address, seat.leaves), (first(4), at(4), false));
    assert_eq!(c.machine(3).roster(), c.machine(leads).roster());
}

#[test]
fn whoever_is_not_needed_to_vote_stands_by() {
    let (mut c, leads) = founded(3, 5, wanting(4), RaftSetup::of(3));
    c.ask(leads, admit(first(4))).unwrap();
    c.settle();
    c.ask(leads, admit(first(5))).unwrap();
    c.pass(Span::millis(500));
    assert_eq!((voters(&c), learners(&c)), (members(&[0, 1, 2, 3]), members(&[4])));
}

#[test]
fn of_two_who_ask_at_once_one_has_the_slot_and_the_other_asks_again() {
    let (mut c, leads) = group(3, 5);
    c.ask(leads, admit(first(4))).unwrap();
    c.ask(leads, admit(first(5))).unwrap();
    c.settle();
    assert_eq!((sits(&c, first(4)), sits(&c, first(5))), (Some(3), None));
    c.ask(leads, admit(first(5))).unwrap();
    c.settle();
    assert_eq!(sits(&c, first(5)), Some(4));
}

#[test]
fn a_leaver_makes_way_for_a_spare_in_one_change() {
    let (mut c, leads) = founded(3, 4, wanting(3), RaftSetup::of(3));
    c.ask(leads, admit(first(4))).unwrap();
    c.pass(Span::millis(300));
    assert_eq!((voters(&c).len(), learners(&c)), (3, members(&[3])));
    let leaver = follower(&c);
    c.ask(leads, Ask::Dismiss(first(u64::from(leaver) + 1))).unwrap();
    let mut fewest = 9;
    step_by_step(&mut c, 80, |c| {
        fewest = (0..4)
            .map(|slot| c.machine(slot).raft().configuration().voters().len())
            .min()
            .unwrap()
            .min(fewest);
    });
    assert_eq!(fewest, 3, "the group was never smaller");
    assert_eq!(voters(&c), Members::first(4).without(Slot::new(leaver)));
    assert_eq!(sits(&c, first(u64::from(leaver) + 1)), None, "all know that it is gone");
}

#[test]
fn a_leader_that_is_to_leave_hands_over_and_its_successor_removes_it() {
    let (mut c, leads) = group(3, 3);
    let term = c.machine(leads).raft().term();
    c.ask(leads, Ask::Dismiss(first(u64::from(leads) + 1))).unwrap();
    c.pass(Span::millis(600));
    let next = leader(&c);
    assert_ne!(next, leads);
    assert_eq!(c.machine(next).raft().term(), term.next().unwrap(), "one election, without a wait");
    assert_eq!(voters(&c), Members::first(3).without(Slot::new(leads)));
}

#[test]
fn a_leader_that_is_the_only_voter_leaves_once_another_votes() {
    let (mut c, leads) = group(1, 2);
    c.ask(leads, admit(first(2))).unwrap();
    c.settle();
    c.ask(leads, Ask::Dismiss(first(1))).unwrap();
    c.pass(Span::secs(1));
    assert_eq!((leader(&c), voters(&c)), (1, members(&[1])));
}

#[test]
fn whoever_asks_again_keeps_its_seat_and_tells_where_it_is_now() {
    let (mut c, leads) = group(3, 4);
    for _ in 0..3 {
        c.ask(leads, admit(first(4))).unwrap();
        c.settle();
        assert_eq!(sits(&c, first(4)), Some(3));
    }
    let moved = Ask::Admit { life: first(4), address: at(44), founder: None, replaces: None };
    let since = c.machine(leads).roster().seat(Slot::new(3)).unwrap().since;
    c.ask(leads, moved).unwrap();
    c.settle();
    let seat = c.machine(leads).roster().seat(Slot::new(3)).unwrap();
    assert_eq!((seat.address, seat.since), (at(44), since), "it has moved, and is the same member");
    assert_eq!(c.machine(leads).roster().seats().count(), 4, "consul#405: no member twice");
}

// consul#405; memberlist#311: another process by the same name, or one from the past.
#[test]
fn another_life_of_a_member_is_refused_unless_it_says_which_it_replaces() {
    let (mut c, leads) = group(3, 5);
    let known =
        |incarnation| Refused::Unfit(Unfit::OtherLife { known: Incarnation::new(incarnation) });
    assert_eq!(c.ask(leads, admit(life(2, 5))), Err(known(1)));
    assert_eq!(c.ask(leads, replace(life(2, 5), 3)), Err(known(1)));
    c.ask(leads, replace(life(2, 5), 1)).unwrap();
    c.settle();
    let outlived = Refused::Unfit(Unfit::Outlived { by: Incarnation::new(5) });
    assert_eq!(c.ask(leads, replace(life(2, 4), 5)), Err(outlived));
    assert_eq!(c.ask(leads, admit(first(2))), Err(outlived));
}

#[test]
fn a_node_that_lost_its_disk_comes_back_as_another_member() {
    let (mut c, leads) = group(3, 4);
    let lost = follower(&c);
    let node = u64::from(lost) + 1;
    c.crash(Slot::new(lost), 0);
    c.ask(leads, replace(life(node, 2), 1)).unwrap();
    c.pass(Span::secs(1));
    assert_eq!(voters(&c), Members::first(4).without(Slot::new(lost)));
    assert_eq!((sits(&c, life(node, 2)), sits(&c, first(node))), (Some(3), None));
    assert_eq!(c.machine(3).roster(), c.machine(leader(&c)).roster());
}

#[test]
fn the_last_member_does_not_leave() {
    let (mut c, leads) = group(1, 2);
    let last = Err(Refused::Unfit(Unfit::LastMember));
    assert_eq!(c.ask(leads, Ask::Dismiss(first(1))), last);
    assert_eq!(c.ask(leads, Ask::Dismiss(first(9))), Err(Refused::Unfit(Unfit::NotHere)));
    assert_eq!(c.ask(leads, Ask::Dismiss(life(1, 2))), Err(Refused::Unfit(Unfit::NotHere)));
    c.ask(leads, admit(first(2))).unwrap();
    c.settle();
    c.ask(leads, Ask::Dismiss(first(2))).unwrap();
    c.settle();
    assert_eq!(c.ask(leads, Ask::Dismiss(first(1))), last, "the other leaves already");
    assert_eq!(c.ask(leads, admit(first(2))), Err(Refused::Unfit(Unfit::Leaves)));
}

// consul#5922, consul#8118.
#[test]
fn nobody_is_removed_whom_the_group_needs() {
    let (mut c, leads) = group(3, 3);
    let dead = follower(&c);
    c.crash(Slot::new(dead), 0);
    c.pass(Span::millis(300));
    let other =
        Members::first(3).without(Slot::new(dead)).without(Slot::new(leads)).iter().next().unwrap();
    c.ask(leads, Ask::Dismiss(first(u64::from(other.number()) + 1))).unwrap();
    c.pass(Span::secs(2));
    assert_eq!(voters(&c).len(), 3, "two would be left, and one of them is dead");
    c.start(Slot::new(dead));
    c.pass(Span::secs(1));
    assert_eq!(voters(&c), Members::first(3).without(other));
}

#[test]
fn a_slot_is_free_when_all_who_stay_know_that_its_member_has_left() {
    let (mut c, leads) = group(3, 5);
    c.ask(leads, admit(first(4))).unwrap();
    c.pass(Span::millis(400));
    let away = (0..3).find(|slot| *slot != leads).unwrap();
    c.crash(Slot::new(away), 0);
    c.ask(leads, Ask::Dismiss(first(4))).unwrap();
    c.pass(Span::secs(1));
    assert_eq!((voters(&c), sits(&c, first(4))), (Members::first(3), Some(3)));
    c.ask(leads, admit(first(5))).unwrap();
    c.settle();
    assert_eq!(sits(&c, first(5)), Some(4), "slot 3 is not given again yet");
    c.start(Slot::new(away));
    c.pass(Span::secs(1));
    assert_eq!(sits(&c, first(4)), None);
    c.ask(leader(&c), admit(first(6))).unwrap();
    c.settle();
    assert_eq!(sits(&c, first(6)), Some(3));
}

#[test]
fn the_slot_of_a_founder_is_never_given_again() {
    let (mut c, leads) = group(3, 4);
    let gone = follower(&c);
    c.ask(leads, Ask::Dismiss(first(u64::from(gone) + 1))).unwrap();
    c.pass(Span::secs(1));
    assert_eq!(sits(&c, first(u64::from(gone) + 1)), None);
    c.ask(leads, admit(first(9))).unwrap();
    c.settle();
    assert_eq!(
        sits(&c, first(9)),
        Some(3),
        "a founder that heard nothing would take it for another"
    );
}

#[test]
fn a_founder_is_introduced_at_the_slot_where_it_votes_and_at_no_other() {
    let raft = RaftSetup { voters: Members::first(3), ..RaftSetup::of(3) };
    let mut c = Group::new(4, setup(raft));
    c.pass(Span::millis(400));
    let leads = leader(&c);
    let introduce = |node, slot| Ask::Admit {
        life: first(node),
        address: at(1),
        founder: Some(Slot::new(slot)),
        replaces: None,
    };
    assert_eq!(c.ask(leads, introduce(4, 3)), Err(Refused::Meaningless));
    c.ask(leads, introduce(1, 0)).unwrap();
    c.settle();
    assert_eq!(c.ask(leads, introduce(2, 0)), Err(Refused::Unfit(Unfit::NoSeat)), "it is taken");
    assert_eq!(voters(&c), Members::first(3), "whoever was not introduced yet votes on");
}

#[test]
fn the_next_leader_goes_on_where_the_last_one_was() {
    let (mut c, leads) = group(3, 5);
    for (node, slot) in [(4, 3), (5, 4)] {
        let leads = leader(&c);
        c.ask(leads, admit(first(node))).unwrap();
        c.settle();
        assert_eq!(sits(&c, first(node)), Some(slot));
        c.crash(Slot::new(leads), 0);
        c.pass(Span::secs(2));
        assert!(voters(&c).contains(Slot::new(slot)), "{}", c.story());
        c.start(Slot::new(leads));
        c.pass(Span::secs(1));
    }
    let leaver = leader(&c);
    c.ask(leaver, Ask::Dismiss(first(u64::from(leads) + 1))).unwrap();
    c.settle();
    c.crash(Slot::new(leaver), 0);
    c.pass(Span::secs(3));
    c.start(Slot::new(leaver));
    c.pass(Span::secs(3));
    assert_eq!(voters(&c), Members::first(5).without(Slot::new(leads)), "{}", c.story());
}

#[test]
fn the_snapshot_that_a_newcomer_begins_with_has_the_roster() {
    let (mut c, leads) = group(3, 4);
    submit(&mut c, leads, &[open(7)]);
    for number in 1..=100 {
        submit(&mut c, leads, &[crate::sum::add(7, number, 1)]);
        c.pass(Span::millis(2));
    }
    assert!(c.machine(leads).raft().log().floor().index > Index::new(10), "{}", c.story());
    c.ask(leads, admit(first(4))).unwrap();
    c.pass(Span::secs(1));
    assert_eq!(voters(&c), Members::first(4));
    assert_eq!(c.machine(3).roster(), c.machine(leads).roster());
    c.restart(3);
    c.pass(Span::secs(1));
    assert_eq!(c.machine(3).roster(), c.machine(leader(&c)).roster(), "its own disk has it too");
}

fn evicting(after: Span, min_voters: u32) -> Config {
    Config { evict_after: Some(after), min_voters, ..Config::default() }
}

// consul#5922: servers were removed one by one until a minority had a quorum.
#[test]
fn the_silent_are_evicted_and_never_below_the_least() {
    let (mut c, leads) = founded(5, 5, evicting(Span::secs(10), 4), RaftSetup::of(5));
    let dead: Vec<_> = (0..5).filter(|slot| *slot != leads).take(2).collect();
    dead.iter().for_each(|slot| c.crash(Slot::new(*slot), 0));
    c.pass(Span::secs(9));
    assert_eq!(voters(&c).len(), 5, "not yet");
    c.pass(Span::secs(30));
    assert_eq!(voters(&c), Members::first(5).without(Slot::new(dead[0])));
    let (mut c, leads) = founded(5, 5, evicting(Span::secs(10), 3), RaftSetup::of(5));
    let dead: Members = (0..5).filter(|slot| *slot != leads).take(2).map(Slot::new).collect();
    dead.iter().for_each(|slot| c.crash(slot, 0));
    c.pass(Span::secs(30));
    assert_eq!(voters(&c), Members::first(5).minus(dead), "one after the other");
}

#[test]
fn nobody_is_evicted_by_default_or_by_one_who_slept() {
    let (mut c, _) = group(3, 3);
    let dead = follower(&c);
    c.crash(Slot::new(dead), 0);
    c.pass(Span::secs(3_600));
    assert_eq!(voters(&c).len(), 3);
    let (mut c, _) = founded(3, 3, evicting(Span::secs(10), 2), RaftSetup::of(3));
    c.jump(Span::secs(60));
    c.pass(Span::secs(1));
    assert_eq!((voters(&c).len(), c.machine(leader(&c)).roster().seats().count()), (3, 3));
}

#[test]
fn a_group_that_waits_for_a_member_does_not_rest() {
    let raft = RaftSetup { rests: true, ..RaftSetup::of(3) };
    let (mut c, _) = founded(3, 4, Config::default(), raft);
    c.pass(Span::secs(2));
    let leads = leader(&c);
    assert!(c.machine(leads).raft().is_resting());
    c.ask(leads, admit(first(4))).unwrap();
    c.pass(Span::secs(2));
    assert_eq!(voters(&c), Members::first(4));
    assert!(c.machine(leader(&c)).raft().is_resting(), "and then it does");
}

#[test]
fn whoever_keeps_no_roster_changes_the_configuration_by_hand() {
    let raft = RaftSetup::of(3);
    let mut c = Group::new(4, setup(RaftSetup { voters: Members::first(3), ..raft }));
    c.pass(Span::secs(5));
    assert!(c.machine(leader(&c)).roster().is_empty());
    assert_eq!(voters(&c), Members::first(3));
}

#[test]
fn a_full_group_refuses_another_before_anything_has_changed() {
    let (mut c, _) = group(3, 7);
    let free = u64::try_from(BOARD.members - 3).unwrap();
    for node in 4..4 + free {
        c.ask(leader(&c), admit(first(node))).unwrap();
        c.pass(Span::millis(500));
    }
    let leads = leader(&c);
    let before = c.machine(leads).raft().log().last();
    assert_eq!(c.ask(leads, admit(first(20))), Err(Refused::Unfit(Unfit::NoSeat)));
    assert_eq!(c.machine(leads).raft().log().last(), before);
    assert_eq!(voters(&c).len(), 7);
}

/// An empty disk comes in the place of another.
#[cfg(feature = "alloc")]
fn wipe(group: &mut Group, slot: u8) {
    group.crash(Slot::new(slot), 0);
    let disk = &mut group.nodes[usize::from(slot)].disk;
    disk.records.clear();
    disk.snapshot = None;
    group.start(Slot::new(slot));
}

// A log may still tell of configurations in which others had the slots of those who hear it now. Who
// takes itself for a voter of one of them elects a leader with its like, while the group goes on.
#[cfg(feature = "alloc")] // Without it no log keeps so many configurations.
#[test]
fn newcomers_do_not_take_themselves_for_those_who_had_their_slots_before() {
    let limits = quorate::limits::Limits { batch: 1, window: 1, configurations: 64, ..BOARD };
    let (mut c, _) = founded(1, 3, Config::default(), RaftSetup { limits, ..RaftSetup::of(1) });
    for node in [2, 3] {
        c.ask(0, admit(first(node))).unwrap();
        c.pass(Span::secs(1));
    }
    assert_eq!(voters(&c), Members::first(3));
    for node in [2, 3] {
        let leads = leader(&c);
        c.ask(leads, Ask::Dismiss(first(node))).unwrap();
        c.pass(Span::secs(2));
    }
    assert_eq!((leader(&c), voters(&c)), (0, members(&[0])), "{}", c.story());
    [1, 2].iter().for_each(|slot| c.crash(Slot::new(*slot), 0));
    for node in [5, 6] {
        c.ask(0, admit(first(node))).unwrap();
        c.pass(Span::millis(200));
    }
    assert_eq!((sits(&c, first(5)), sits(&c, first(6))), (Some(1), Some(2)));
    c.setup.raft.since = c.machine(0).roster().seat(Slot::new(1)).unwrap().since;
    [1, 2].iter().for_each(|slot| wipe(&mut c, *slot));
    // They hear the log up to where the old ones voted, and then their leader no more.
    let mut deaf = Members::NONE;
    for _ in 0..500 {
        for slot in Members::first(3).without(Slot::new(0)).minus(deaf).iter() {
            if c.machine(slot.number()).raft().configuration().voters().len() == 3 {
                c.part(&[0], &[slot.number()]);
                deaf = deaf.with(slot);
            }
        }
        if c.flights.is_empty() { c.ring(0) } else { c.deliver_at(0) }
    }
    assert_eq!(deaf.len(), 2);
    c.pass(Span::secs(5));
    let lead = |slot: u8| c.machine(slot).raft().leads();
    assert!(!lead(1) && !lead(2), "two groups: {}", c.story());
    c.heal();
    c.pass(Span::secs(5));
    assert_eq!((leader(&c), voters(&c)), (0, Members::first(3)));
}

// Both are to leave, and the one of the lower slot cannot go before the dead one has.
#[test]
fn of_those_who_leave_the_silent_goes_first() {
    let (mut c, leads) = group(3, 3);
    let (low, high) = (0..3)
        .filter(|slot| *slot != leads)
        .fold((3, 0), |(low, high), slot| (slot.min(low), slot.max(high)));
    c.crash(Slot::new(high), 0);
    c.pass(Span::millis(300));
    for slot in [low, high] {
        c.ask(leads, Ask::Dismiss(first(u64::from(slot) + 1))).unwrap();
        c.settle();
    }
    c.pass(Span::secs(3));
    assert_eq!(voters(&c), members(&[leads]), "{}", c.story());
}

// A leader that is to leave waits for somebody to lead; nobody could come to, for want of a free slot.
#[test]
fn a_leader_that_waits_for_an_heir_lets_others_go_meanwhile() {
    let (mut c, leads) = founded(1, 3, wanting(1), RaftSetup::of(1));
    for node in [2, 3] {
        c.ask(leads, admit(first(node))).unwrap();
        c.pass(Span::millis(300));
    }
    [1, 2].iter().for_each(|slot| c.crash(Slot::new(*slot), 0));
    c.pass(Span::secs(1));
    c.ask(leads, Ask::Dismiss(first(1))).unwrap();
    c.settle();
    c.ask(leads, Ask::Dismiss(first(3))).unwrap();
    c.pass(Span::secs(2));
    assert_eq!(learners(&c), members(&[1]), "{}", c.story());
    c.start(Slot::new(1));
    c.pass(Span::secs(3));
    assert_eq!((leader(&c), voters(&c)), (1, members(&[1])));
    assert_eq!(c.machine(1).roster().seats().count(), 1, "{}", c.story());
}

// Who lacks little may be gone all the same, and with its vote the group would wait for it.
#[test]
fn a_learner_that_is_silent_does_not_come_to_vote() {
    let (mut c, leads) = group(1, 2);
    c.crash(Slot::new(1), 0);
    c.ask(leads, admit(first(2))).unwrap();
    c.pass(Span::secs(2));
    assert_eq!((leader(&c), voters(&c), learners(&c)), (leads, members(&[0]), members(&[1])));
    c.start(Slot::new(1));
    c.pass(Span::secs(1));
    assert_eq!(voters(&c), Members::first(2));
}
