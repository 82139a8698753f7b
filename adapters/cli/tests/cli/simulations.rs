//! `sim run`: the last lines, and the exit codes.

use crate::program::quorate;

#[test]
fn seeds_that_break_no_promise_end_in_one_line_that_says_so() {
    for machine in ["raft", "replica"] {
        let run = format!("sim run --machine {machine} --seeds 0..3 --events 500");
        let (first, again) = (quorate(&run).done(), quorate(&format!("{run} --jobs 1")).done());
        let last = |text: &str| text.lines().last().unwrap_or_default().to_owned();
        assert!(last(&first).starts_with("sim: ok seeds=3 events="), "{first}");
        assert_eq!(last(&first), last(&again), "the same, however many at a time");
        assert!(first.contains("marks "), "{first}");
    }
}

#[test]
fn the_story_of_a_seed_is_told_line_by_line() {
    let told = quorate("sim run --seeds 4..5 --events 300 --story").done();
    assert!(told.contains(" writes ballot t1 for n"), "{told}");
    assert!(told.contains("would you vote?"), "{told}");
}

#[test]
fn what_is_no_range_of_seeds_is_wrong_usage() {
    for seeds in ["5", "5..5", "a..b", "9..3"] {
        let ran = quorate(&format!("sim run --seeds {seeds}"));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("write FIRST..END"), "{ran:?}");
    }
}
