//! Operations of which nobody knows how they ended, and those that failed.

use crate::words::is_linearizable;

#[test]
fn an_open_write_takes_effect_late_or_never() {
    for ending in [None, Some("0 info write 1")] {
        let with = |reads: &[&str]| {
            let mut history = vec!["0 invoke write 1"];
            history.extend(ending);
            history.extend(["1 invoke write 2", "1 ok write 2"]);
            history.extend(reads);
            is_linearizable(&history)
        };
        let (begin, one, two) = ("2 invoke read", "2 ok read 1", "2 ok read 2");
        assert!(with(&[begin, two, begin, two]), "never, or before 2");
        assert!(with(&[begin, two, begin, one]), "late");
        assert!(with(&[begin, one, begin, one]), "right after 2");
        assert!(!with(&[begin, two, begin, one, begin, two]), "2 does not come back");
    }
}

#[test]
fn an_open_operation_takes_effect_at_most_once() {
    let reads = [
        ("1 invoke read", "1 ok read 1"),
        ("1 invoke write 2", "1 ok write 2"),
        ("1 invoke read", "1 ok read 1"),
    ];
    let lines = reads.iter().flat_map(|(begin, end)| [*begin, *end]);
    let once: Vec<_> =
        ["0 invoke write 1", "0 info write 1"].into_iter().chain(lines.clone()).collect();
    assert!(!is_linearizable(&once));
    let twice: Vec<_> = ["3 invoke write 1"].into_iter().chain(once).collect();
    assert!(is_linearizable(&twice));
}

#[test]
fn an_open_operation_takes_no_effect_before_it_began() {
    let read = ["1 invoke read", "1 ok read 1"];
    assert!(!is_linearizable(&[read[0], read[1], "0 invoke write 1"]));
    assert!(is_linearizable(&[read[0], "0 invoke write 1", read[1]]));
}

#[test]
fn an_open_read_says_nothing() {
    assert!(is_linearizable(&["0 invoke read", "0 info read 5", "1 invoke read"]));
}

#[test]
fn open_operations_build_on_each_other() {
    let history = |last| {
        is_linearizable(&[
            "0 invoke write 1",
            "1 invoke cas [1,2]",
            "2 invoke cas [2,3]",
            "3 invoke append \"4\"",
            "5 invoke read",
            last,
        ])
    };
    assert!(history("5 ok read \"34\""));
    assert!(history("5 ok read \"24\""));
    assert!(history("5 ok read \"4\""));
    assert!(history("5 ok read 3"));
    assert!(!history("5 ok read \"43\""));
    assert!(!history("5 ok read \"3\""));
}

#[test]
fn what_failed_did_not_happen() {
    let read = |value| {
        is_linearizable(&[
            "0 invoke write 1",
            "0 fail write 1",
            "0 invoke append \"x\"",
            "0 fail append",
            "1 invoke read",
            "1 fail read",
            "1 invoke read",
            value,
        ])
    };
    assert!(read("1 ok read null"));
    assert!(!read("1 ok read 1"));
    assert!(!read("1 ok read \"x\""));
}

#[test]
fn a_process_goes_on_after_info() {
    let history =
        |value| is_linearizable(&["0 invoke write 1", "0 info write", "0 invoke read", value]);
    assert!(history("0 ok read 1"));
    assert!(history("0 ok read null"));
    assert!(!history("0 ok read 2"));
}
