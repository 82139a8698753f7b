//! How many states there are: a number that moves when the protocol or the model does.

use quorate_sim::explore::raft::{Group, Shape};
use quorate_sim::explore::{End, Model, Progress, search};

/// Explores a model to its end.
pub(super) fn explored(shape: Shape) -> (Progress, Group) {
    let mut group = Group::new(shape);
    let (progress, end) = search(&mut group, 2_000_000, |_, _| {});
    match end {
        End::Whole => {}
        End::Full => panic!("{shape:?} is larger than it was: {progress:?}"),
        End::Broken { from, path, broken } => panic!("{broken}\n{}", group.story(&from, &path)),
    }
    (progress, group)
}

fn counted(name: &str) -> (usize, u64, usize) {
    let (progress, _) = explored(Shape::named(name).expect("there is such a model"));
    assert_eq!(progress.frontier, 0);
    (progress.states, progress.steps, progress.depth)
}

#[test]
fn an_election_of_three_with_two_rivals_has_so_many_states() {
    assert_eq!(counted("raft-3-election"), (7_343, 93_919, 20));
}

#[test]
fn an_entry_of_three_with_a_crash_has_so_many_states() {
    assert_eq!(counted("raft-3-tiny"), (50_187, 774_960, 29));
}

#[test]
fn two_terms_of_two_with_a_heartbeat_a_silence_and_a_crash_have_so_many_states() {
    assert_eq!(counted("raft-2"), (47_790, 562_562, 31));
}

#[test]
fn two_terms_of_two_with_an_entry_and_a_crash_have_so_many_states() {
    let two = Shape { nodes: 2, terms: 2, rings: 2, ..Shape::STILL };
    let (progress, _) = explored(Shape { proposals: 1, restarts: 1, ..two });
    assert_eq!((progress.states, progress.steps, progress.depth), (11_900, 121_758, 32));
}

#[test]
fn a_member_that_joins_by_a_joint_configuration_has_so_many_states() {
    let (states, _, depth) = counted("raft-reconfigure-tiny");
    assert_eq!((states, depth), (39_261, 32));
}

#[test]
fn it_makes_no_difference_who_rings_first() {
    let shape = Shape { proposals: 1, restarts: 1, ..Shape::STILL };
    let counts = [0, 1, 2].map(|first| explored(Shape { first, ..shape }).0);
    assert!(counts.iter().all(|progress| *progress == counts[0]), "{counts:?}");
    let shape = Shape { rings: 2, ..Shape::STILL };
    let counts = [0, 1, 2].map(|first| explored(Shape { first, ..shape }).0);
    assert!(counts.iter().all(|progress| *progress == counts[0]), "{counts:?}");
}

#[test]
fn an_answer_that_is_spent_changes_nothing_in_any_member_that_comes_up() {
    let (_, group) = explored(Shape::named("raft-2").expect("there is such a model"));
    let pairs = group.drops_only_what_is_spent().expect("it moves nobody");
    assert!(pairs > 1_000, "{pairs} are too few to tell");
}
