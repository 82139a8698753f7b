//! What `quorate sim explore` says at its end, and how it ends.

use crate::program::quorate;

#[test]
fn a_model_explored_to_its_end_is_said_so_on_the_last_line() {
    let ran = quorate("sim explore raft-3-election");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "explore: ok states=7343 frontier=0\n"));
    assert!(ran.err.starts_with("quorate: 7343 states, depth 20, frontier 0, "), "{ran:?}");
}

#[test]
fn a_model_that_is_too_large_is_a_failure() {
    let ran = quorate("sim explore raft-3 --most 1000");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.starts_with("explore: unfinished states="), "{ran:?}");
    assert!(ran.err.ends_with("there are more than 1000 states; permit more\n"), "{ran:?}");
}

#[test]
fn an_unknown_model_is_refused_with_those_there_are() {
    let line = quorate("sim explore raft-9").failed(2);
    assert!(line.starts_with("there is no model `raft-9`; the models are raft-3"), "{line}");
}
