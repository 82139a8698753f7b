//! What the order of events permits.

use crate::words::{is_linearizable, parts, verdict};
use quorate_sim::history::Verdict;
use quorate_sim::history::register::Value;

#[test]
fn a_read_sees_the_last_write_that_ended() {
    let read = |value| {
        is_linearizable(&[
            "0 invoke write 1",
            "0 ok write 1",
            "0 invoke write 2",
            "0 ok write 2",
            "1 invoke read",
            value,
        ])
    };
    assert!(read("1 ok read 2"));
    assert!(!read("1 ok read 1"), "a stale read");
    assert!(!read("1 ok read null"), "a read of what was never erased");
    assert!(!read("1 ok read 3"), "a read of what was never written");
}

#[test]
fn a_read_beside_a_write_sees_it_or_not() {
    for (seen, is_fine) in [("null", true), ("1", true), ("2", false)] {
        let ok = format!("1 ok read {seen}");
        assert_eq!(
            is_linearizable(&["0 invoke write 1", "1 invoke read", &ok, "0 ok write 1"]),
            is_fine,
            "{seen}"
        );
    }
}

#[test]
fn once_a_write_was_read_it_is_not_unread() {
    let reads = |first, second| {
        is_linearizable(&[
            "0 invoke write 1",
            "1 invoke read",
            first,
            "2 invoke read",
            second,
            "0 ok write 1",
        ])
    };
    assert!(reads("1 ok read null", "2 ok read 1"));
    assert!(reads("1 ok read 1", "2 ok read 1"));
    assert!(!reads("1 ok read 1", "2 ok read null"));
}

#[test]
fn concurrent_writes_come_in_any_order_that_all_readers_agree_on() {
    let reads = |first, second| {
        is_linearizable(&[
            "0 invoke write 1",
            "1 invoke write 2",
            "0 ok write 1",
            "1 ok write 2",
            "2 invoke read",
            first,
            "3 invoke read",
            second,
        ])
    };
    assert!(reads("2 ok read 1", "3 ok read 1"));
    assert!(reads("2 ok read 2", "3 ok read 2"));
    assert!(!reads("2 ok read 1", "3 ok read 2"));
}

#[test]
fn a_lost_update_is_seen() {
    // Both took 1 for what they added to, so one of the two additions is gone.
    assert!(!is_linearizable(&[
        "0 invoke write 1",
        "0 ok write 1",
        "0 invoke cas [1,2]",
        "1 invoke cas [1,3]",
        "0 ok cas",
        "1 ok cas",
    ]));
}

#[test]
fn keys_have_nothing_to_do_with_each_other() {
    let parts = parts(&[
        "0 invoke write 1 @x",
        "0 ok write 1 @x",
        "0 invoke write 2 @y",
        "1 invoke read @x",
        "0 ok write 2 @y",
        "1 ok read 1",
        "1 invoke read @y",
        "1 ok read 1 @y",
    ]);
    let key = |name: &str| &parts[&Value::text(name)];
    assert!(matches!(verdict(key("x")), Verdict::Linearizable(_)));
    assert!(matches!(verdict(key("y")), Verdict::Violated(_)), "1 was written to another key");
    assert_eq!(key("x").history.operations().len(), 2);
}

#[test]
fn without_times_the_order_of_lines_is_that_of_time_and_with_them_it_is_not() {
    let lines = ["1 invoke read", "1 ok read 1", "0 invoke write 1", "0 ok write 1"];
    assert!(!is_linearizable(&lines), "it was written later");
    let times =
        ["1 invoke read t=5", "1 ok read 1 t=8", "0 invoke write 1 t=1", "0 ok write 1 t=3"];
    assert!(is_linearizable(&times));
    let fractions = [
        "1 invoke read t=1.5",
        "1 ok read null t=1.75",
        "0 invoke write 1 t=1.25",
        "0 ok write 1 t=1.5",
    ];
    assert!(is_linearizable(&fractions), "they touch");
    let apart = fractions.map(|line| line.replace("write 1 t=1.5", "write 1 t=1.4999999999"));
    assert!(!is_linearizable(&apart.each_ref().map(String::as_str)));
    // Where an `f64` has no room for nanoseconds, whole numbers still have.
    let late = |end: &str| {
        let end = format!("0 ok write 1 t=17{end}");
        let begin = "1 invoke read t=1700000000000000001";
        let read = "1 ok read null t=1700000000000000002";
        is_linearizable(&["0 invoke write 1 t=5", &end, begin, read])
    };
    assert!(late("00000000000000001"));
    assert!(!late("00000000000000000"));
}

#[test]
fn what_ends_when_another_begins_is_concurrent_with_it() {
    let read_at = |time: u64| {
        let begins = format!("1 invoke read t={time}");
        is_linearizable(&[
            "0 invoke write 1 t=1",
            "0 ok write 1 t=3",
            &begins,
            "1 ok read null t=9",
        ])
    };
    assert!(read_at(3));
    assert!(!read_at(4));
    // Even if one process did both.
    let one =
        ["0 invoke write 1 t=1", "0 ok write 1 t=3", "0 invoke read t=3", "0 ok read null t=3"];
    assert!(is_linearizable(&one));
}
