//! The next step, for each thing that a leader may see.

use super::*;
use crate::raft::{Change, Configuration};
use std::vec::Vec;

fn members(slots: &[u8]) -> Members {
    slots.iter().copied().map(Slot::new).collect()
}

fn life(slot: u8) -> Life {
    Life { node: NodeId::new(u64::from(slot)), incarnation: Incarnation::new(1) }
}

fn admit(slot: u8) -> Command {
    let (address, at) = (Address::default(), Slot::new(slot));
    Command::Admit { life: life(slot), address, slot: at, replaces: None }
}

/// A roster with a seat at each of `0..seats`, of which some leave.
fn roster(seats: u8, leaving: &[u8]) -> Roster {
    let mut roster = Roster::new();
    let commands =
        (0..seats).map(admit).chain(leaving.iter().map(|it| Command::Dismiss(life(*it))));
    for (at, command) in (1..).zip(commands) {
        assert!(roster.apply(Index::new(at), &command));
    }
    roster
}

/// What the leader at slot 0 sees of a group in which all is well.
fn sight(voters: &[u8], learners: &[u8]) -> Sight {
    let learns = |slot: &u8| Change::AddLearner(Slot::new(*slot));
    let learners: Vec<_> = learners.iter().map(learns).collect();
    let configuration = Configuration::of(members(voters)).simple(&learners).unwrap();
    let all = configuration.members();
    let (fit, alive, informed, current) = (configuration.learners(), all, all, all);
    let (me, silent) = (Slot::new(0), Members::NONE);
    Sight { me, configuration, changing: false, fit, alive, informed, current, silent }
}

fn wanting(replication_factor: u32) -> Config {
    Config { replication_factor, evict_after: None, min_voters: 2 }
}

#[test]
fn nothing_is_changed_vacated_or_evicted_while_a_change_is_under_way() {
    let during = |sight: Sight| Sight { changing: true, ..sight };
    let spare = sight(&[0, 1, 2], &[3]);
    let promoted = spare.configuration.simple(&[Change::AddVoter(Slot::new(3))]).unwrap();
    let plan = |seats, leaving, sight| roster(seats, leaving).plan(&wanting(4), &sight);
    assert_eq!(plan(4, &[], spare), Some(Step::Change(promoted)));
    assert_eq!(plan(4, &[], during(spare)), Some(Step::Wait));
    let (slot, since) = (Slot::new(3), Index::new(4));
    let gone = sight(&[0, 1, 2], &[]);
    assert_eq!(plan(4, &[3], gone), Some(Step::Propose(Command::Vacate { slot, since })));
    assert_eq!(plan(4, &[3], during(gone)), Some(Step::Wait));
    let alive = members(&[0, 1, 2]);
    let silent = Sight { alive, silent: members(&[3]), ..sight(&[0, 1, 2, 3], &[]) };
    assert_eq!(plan(4, &[], silent), Some(Step::Propose(Command::Dismiss(life(3)))));
    assert_eq!(plan(4, &[], during(silent)), None);
}

#[test]
fn only_a_learner_that_has_a_seat_and_keeps_up_begins_to_vote() {
    let learns = sight(&[0, 1], &[2]);
    assert_eq!(roster(2, &[]).plan(&wanting(3), &learns), None, "nobody knows who it is");
    let lags = Sight { fit: Members::NONE, ..learns };
    assert_eq!(roster(3, &[]).plan(&wanting(3), &lags), None);
}

#[test]
fn a_leaver_waits_for_a_spare_that_is_on_its_way() {
    let lags = Sight { fit: Members::NONE, ..sight(&[0, 1, 2], &[3]) };
    assert_eq!(roster(4, &[1]).plan(&wanting(3), &lags), Some(Step::Wait));
    let after = lags.configuration.simple(&[Change::Remove(Slot::new(1))]).unwrap();
    let is_gone = Sight { alive: members(&[0, 1, 2]), ..lags };
    assert_eq!(roster(4, &[1]).plan(&wanting(3), &is_gone), Some(Step::Change(after)));
}

#[test]
fn a_learner_that_leaves_is_let_go() {
    let now = sight(&[0, 1, 2], &[3]);
    let after = now.configuration.simple(&[Change::Remove(Slot::new(3))]).unwrap();
    assert_eq!(roster(4, &[3]).plan(&wanting(3), &now), Some(Step::Change(after)));
}

#[test]
fn the_heir_of_a_leader_that_leaves_is_one_that_does_not_lag_if_there_is_one() {
    let heir = |current: &[u8]| {
        let sight = Sight { current: members(current), ..sight(&[0, 1, 2], &[]) };
        roster(3, &[0]).plan(&wanting(3), &sight)
    };
    assert_eq!(heir(&[0, 2]), Some(Step::Transfer(Slot::new(2))));
    assert_eq!(heir(&[0]), Some(Step::Transfer(Slot::new(1))));
}

#[test]
fn the_heir_of_a_leader_that_leaves_is_alive_and_no_witness() {
    let heir = |sight| roster(3, &[0]).plan(&wanting(3), &sight);
    let all = sight(&[0, 1, 2], &[]);
    assert_eq!(heir(all), Some(Step::Transfer(Slot::new(1))));
    assert_eq!(heir(Sight { alive: members(&[0, 2]), ..all }), Some(Step::Transfer(Slot::new(2))));
    let witness = [Change::AddWitness(Slot::new(1))];
    let configuration = sight(&[0, 2], &[]).configuration.simple(&witness).unwrap();
    assert_eq!(heir(Sight { configuration, ..all }), Some(Step::Transfer(Slot::new(2))));
}

#[test]
fn an_eviction_leaves_a_quorum_of_the_group_before_and_after() {
    let evicts = |sight: Sight| {
        let seats = u8::try_from(sight.configuration.voters().len()).unwrap();
        roster(seats, &[]).plan(&wanting(4), &sight).is_some()
    };
    let before = Sight { alive: members(&[0, 1]), ..sight(&[0, 1, 2, 3], &[]) };
    assert!(!evicts(Sight { silent: members(&[3]), ..before }), "two of four");
    let after = Sight { alive: members(&[0, 1]), ..sight(&[0, 1, 2], &[]) };
    assert!(!evicts(Sight { silent: members(&[1]), ..after }), "one of two");
    assert!(evicts(Sight { silent: members(&[2]), ..after }));
}

#[test]
fn a_seat_is_vacated_only_by_whoever_leaves_it_and_given_only_where_one_is() {
    let (slot, since) = (Slot::new(1), Index::new(2));
    let vacate = Command::Vacate { slot, since };
    assert_eq!(roster(2, &[]).check(&vacate), Err(Unfit::NotHere));
    let mut roster = roster(2, &[1]);
    let other = Command::Vacate { slot, since: since.next() };
    assert_eq!((roster.check(&other), roster.check(&vacate)), (Err(Unfit::NotHere), Ok(())));
    assert!(roster.apply(Index::new(9), &vacate));
    assert_eq!(roster.changed(), Index::new(9));
    assert!(!roster.apply(Index::new(10), &vacate));
    assert_eq!(roster.changed(), Index::new(9));
    let beyond = u8::try_from(MOST.members).unwrap();
    assert_eq!(roster.check(&admit(beyond)), Err(Unfit::NoSeat));
}

#[test]
fn no_snapshot_gives_one_life_two_seats() {
    let mut twins = roster(2, &[]);
    let decoded = |roster: &Roster| {
        let mut bytes = crate::bounded::List::<u8, 1_024>::new();
        roster.encode(&mut bytes).unwrap();
        Roster::decode(&mut &bytes[..])
    };
    assert_eq!(decoded(&twins), Ok(twins.clone()));
    twins.seats.get_mut(&Slot::new(1)).unwrap().life = life(0);
    assert!(decoded(&twins).is_err());
}
