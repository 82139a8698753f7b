//! Stamps and the clocks that make them: C1, C2, C3, C5.

use super::assert_breaks;
use super::stage::{CIVIL, Stage, append, entry};
use quorate::hlc::Stamp;
use quorate::id::Index;
use quorate::raft::Input;
use quorate::replica::Output;

/// What members may be apart.
const OFFSET: u64 = 250;

/// The leader of a group gives its next entry this time: what the books say of its own write, and
/// of its followers'.
fn next_is_stamped(stamp: Stamp) -> super::Verdict {
    let mut stage = Stage::led();
    stage.stamped(5, stamp);
    stage.tell(0, Input::Propose { count: 1 })?;
    stage.settle()
}

#[test]
fn a_stamp_that_does_not_rise_is_seen() {
    assert_eq!(next_is_stamped(Stamp::at_millis(CIVIL + 4).plus(1)), Ok(()));
    assert_breaks(next_is_stamped(Stamp::at_millis(CIVIL + 4)), "C1", "5@1 has stamp");
}

#[test]
fn a_stamp_behind_the_clock_of_its_maker_is_seen() {
    let mut stage = Stage::new();
    stage.stamped(1, Stamp::at_millis(CIVIL - 1));
    assert_breaks(stage.ring(0), "C2", "stamps 1@1 behind its own clock");
}

#[test]
fn a_stamp_further_ahead_than_the_offset_is_seen() {
    assert_eq!(next_is_stamped(Stamp::at_millis(CIVIL + OFFSET)), Ok(()));
    let ahead = next_is_stamped(Stamp::at_millis(CIVIL + OFFSET + 1));
    assert_breaks(ahead, "C3", "n0 takes 5@1, whose stamp is 1 ms ahead");
}

#[test]
fn a_follower_that_takes_a_stamp_too_far_ahead_is_seen_unless_it_is_committed() {
    let far = Stamp::at_millis(CIVIL + 1_000);
    for commit in [0, 1] {
        let mut stage = Stage::new();
        // A barrier takes the place in time that the log gives it, however far ahead.
        stage.stamped(1, far);
        stage.apart = Some(2);
        stage.slow = Some(1);
        assert_breaks(
            stage.ring(0).and_then(|()| {
                stage.persist(1)?;
                stage.settle()?;
                stage.persist(1)?;
                stage.settle()
            }),
            "C3",
            "n1 takes 1@1",
        );
        assert!(stage.puppets[0].raft.leads(), "its own books let it pass");
        let told = stage.hears(2, 0, append(1, entry(0, 0), (1, 1), commit));
        match commit {
            0 => assert_breaks(told, "C3", "n2 takes 1@1"),
            _ => assert!(!matches!(told, Err(violation) if violation.oracle == "C3")),
        }
    }
}

#[test]
fn a_clock_that_falls_is_seen() {
    let mut stage = Stage::led();
    let says = |stage: &mut Stage| stage.says(1, Output::Applied { index: Index::new(4) });
    stage.puppets[1].clock = Stamp::at_millis(CIVIL + 9);
    assert_eq!(says(&mut stage), Ok(()));
    stage.puppets[1].clock = Stamp::at_millis(CIVIL + 8);
    assert_breaks(says(&mut stage), "C5", "n1's clock fell");
}
