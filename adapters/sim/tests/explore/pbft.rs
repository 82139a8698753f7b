//! That members of a Byzantine group agree, whatever one of them says and in whatever order it is heard.

use quorate_sim::explore::pbft::{Group, Shape};
use quorate_sim::explore::{End, Model, Progress, search};

fn explored(shape: Shape, most: usize) -> (Progress, Option<String>) {
    let mut group = Group::new(shape);
    let (progress, end) = search(&mut group, most, |_, _| {});
    println!("{shape:?}: {progress:?}");
    match end {
        End::Whole => assert_eq!(progress.frontier, 0),
        End::Full => assert!(progress.frontier > 0),
        End::Broken { from, path, broken } => {
            return (progress, Some(format!("{broken}\n{}", group.story(&from, &path))));
        }
    }
    (progress, None)
}

#[test]
fn four_agree_on_what_a_primary_that_lies_proposes_as_far_as_the_search_goes() {
    let shape = Shape { members: 4, liar: 0, views: 0, slots: 1 };
    assert_eq!(explored(shape, 400_000).1, None);
}

#[test]
fn four_agree_on_both_sides_of_a_view_change_as_far_as_the_search_goes() {
    for liar in [0, 1] {
        let shape = Shape { members: 4, liar, views: 1, slots: 1 };
        assert_eq!(explored(shape, 150_000).1, None);
    }
}

#[test]
fn a_quorum_of_two_is_seen_to_be_too_small() {
    // The quorum of three members that trust each other, one of whom should not be trusted.
    let shape = Shape { members: 3, liar: 0, views: 0, slots: 1 };
    let (_, broken) = explored(shape, 200_000);
    let story = broken.expect("two decide differently");
    assert!(story.starts_with("agreement"), "{story}");
}
