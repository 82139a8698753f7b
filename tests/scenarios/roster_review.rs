//! Who comes and goes while others are dead, are silent, or never came: what a leader does next must not
//! cost the group its quorum, and must not wait for what will never be.

use crate::sum::{Group, leader, setup};
use quorate::id::{Incarnation, Members, NodeId, Slot};
use quorate::membership::Address;
use quorate::membership::roster::{Config, Life};
use quorate::time::Span;
use quorate_sim::raft::Setup as RaftSetup;
use quorate_sim::replica::{Ask, Setup};

type Question = Ask<u64>;

/// The first life of the node that sits at a slot.
fn life(slot: u8) -> Life {
    Life { node: NodeId::new(u64::from(slot) + 1), incarnation: Incarnation::new(1) }
}

fn admit(slot: u8, founder: Option<Slot>) -> Question {
    let address = Address::new([slot; Address::BYTES]);
    Ask::Admit { life: life(slot), address, founder, replaces: None }
}

/// A group of founders whom the leader knows, on more machines than that. The others are down.
fn founded(founders: u8, machines: u8, replication_factor: u32) -> (Group, u8) {
    let voters = Members::first(founders.into());
    let raft = RaftSetup { voters, promotion_lag: Some(8), ..RaftSetup::of(founders) };
    let roster = Config { replication_factor, ..Config::default() };
    let mut group = Group::new(machines, Setup { roster, ..setup(raft) });
    (founders..machines).for_each(|slot| group.crash(Slot::new(slot), 0));
    group.pass(Span::millis(400));
    let leads = leader(&group);
    for slot in 0..founders {
        group.ask(leads, admit(slot, Some(Slot::new(slot)))).unwrap();
        group.settle();
    }
    (group, leads)
}

fn voters(group: &Group) -> Members {
    group.machine(leader(group)).raft().configuration().voters()
}

fn others(leads: u8, of: u8) -> Vec<u8> {
    (0..of).filter(|slot| *slot != leads).collect()
}

// A process that got its seat and died before its first word, or never could listen where it should.
#[test]
fn nobody_votes_who_was_never_heard() {
    let (mut c, leads) = founded(1, 2, 3);
    c.ask(leads, admit(1, None)).unwrap();
    c.pass(Span::secs(2));
    assert_eq!(voters(&c), Members::first(1), "{}", c.story());
    c.start(Slot::new(1));
    c.pass(Span::secs(1));
    assert_eq!(voters(&c), Members::first(2), "and once it is there it does");
}

#[test]
fn nobody_takes_the_place_of_a_leaver_who_has_died_since_it_caught_up() {
    let (mut c, leads) = founded(3, 4, 3);
    c.start(Slot::new(3));
    c.ask(leads, admit(3, None)).unwrap();
    c.pass(Span::secs(1));
    let [dead, leaver] = others(leads, 3)[..] else { unreachable!() };
    [dead, 3].iter().for_each(|slot| c.crash(Slot::new(*slot), 0));
    c.pass(Span::millis(300));
    c.ask(leads, Ask::Dismiss(life(leaver))).unwrap();
    c.pass(Span::secs(2));
    assert_eq!(voters(&c), Members::first(3), "{}", c.story());
    let raft = c.machine(leader(&c)).raft();
    assert_eq!(raft.commit(), raft.log().last().index, "the group goes on");
}

#[test]
fn who_can_be_spared_leaves_before_who_cannot() {
    for dead_is_first in [true, false] {
        let (mut c, leads) = founded(3, 3, 3);
        let two = others(leads, 3);
        let dead = two[usize::from(!dead_is_first)];
        c.crash(Slot::new(dead), 0);
        c.pass(Span::millis(300));
        two.iter().for_each(|slot| {
            c.ask(leads, Ask::Dismiss(life(*slot))).unwrap();
            c.settle();
        });
        c.pass(Span::secs(2));
        assert_eq!(voters(&c), Members::only(Slot::new(leads)), "first the dead, then the other");
    }
}

#[test]
fn what_is_on_its_way_is_not_said_again_however_slow_the_disks_are() {
    let (mut c, leads) = founded(3, 4, 4);
    c.start(Slot::new(3));
    c.ask(leads, admit(3, None)).unwrap();
    c.pass(Span::secs(1));
    assert_eq!(voters(&c), Members::first(4));
    c.ask(leads, Ask::Dismiss(life(3))).unwrap();
    let is_removed = |c: &Group| {
        let raft = c.machine(leads).raft();
        raft.configuration().members() == Members::first(3)
            && raft.commit() == raft.log().last().index
    };
    for _ in 0..500 {
        if is_removed(&c) {
            break;
        }
        c.pass(Span::millis(1));
    }
    assert!(is_removed(&c) && c.machine(leads).roster().seats().count() == 4, "{}", c.story());
    others(leads, 3).iter().for_each(|slot| c.disk_is_fast(*slot, false));
    let before = c.machine(leads).raft().log().last().index;
    c.pass(Span::millis(400));
    let raft = c.machine(leads).raft();
    assert_eq!((raft.log().last().index, raft.commit()), (before.next(), before), "one word of it");
}
