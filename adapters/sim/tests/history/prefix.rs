//! The shortest beginning that is wrong.

use crate::words::{json, parts, verdict};
use quorate_sim::history::Verdict;

/// The lines of the shortest beginning that is wrong, of a history of one key.
fn shortest(history: &[&str]) -> Vec<String> {
    let parts = parts(history);
    let part = parts.values().next().unwrap();
    let Verdict::Violated(violation) = verdict(part) else { panic!("{history:?} is fine") };
    assert!(violation.is_shortest);
    part.lines(&violation.events).iter().map(|line| json(history[line - 1])).collect()
}

fn lines(history: &[&str]) -> Vec<String> {
    history.iter().map(|words| json(words)).collect()
}

#[test]
fn it_ends_with_the_answer_that_cannot_be() {
    let wrong =
        ["0 invoke write 1", "0 ok write 1", "1 invoke read", "2 invoke write 3", "1 ok read 2"];
    let more = ["2 ok write 3", "1 invoke read", "1 ok read 9"];
    assert_eq!(shortest(&[&wrong[..], &more].concat()), lines(&wrong));
}

#[test]
fn it_may_end_with_a_failure_that_explains_too_much_away() {
    // As long as the write was under way, it might have been what was read.
    let wrong = ["0 invoke write 1", "1 invoke read", "1 ok read 1", "0 fail write 1"];
    assert_eq!(shortest(&[&wrong[..], &["1 invoke read"]].concat()), lines(&wrong));
    // A cas that fails later did nothing, but nobody knew that when its value was read.
    let wrong =
        ["0 invoke cas [null,1]", "1 invoke read", "1 ok read 1", "2 invoke read", "0 fail cas"];
    assert_eq!(shortest(&[&wrong[..], &["2 ok read null"]].concat()), lines(&wrong));
}

#[test]
fn its_lines_are_a_history_that_is_as_wrong() {
    let history = [
        "0 invoke write 1 t=10",
        "0 info write 1 t=11",
        "1 ok read 2 t=40",
        "0 invoke write 3 t=12",
        "0 ok write 3 t=20",
        "1 invoke read t=30",
        "0 invoke read t=50",
    ];
    let found = shortest(&history);
    let order = [0, 1, 3, 4, 5, 2].map(|line: usize| json(history[line]));
    assert_eq!(found, order, "in the order of time, with the info that lets process 0 go on");
    let again = quorate_sim::history::lines::read(found.join("\n").as_bytes()).unwrap();
    assert!(matches!(verdict(again.values().next().unwrap()), Verdict::Violated(_)));
}
