//! What the operations do to values.

use crate::words::is_linearizable;

/// Whether one client, one thing after another, can have had these answers.
fn can_be(history: &[(&str, &str)]) -> bool {
    let lines: Vec<_> = history
        .iter()
        .flat_map(|(begin, end)| [format!("0 invoke {begin}"), format!("0 {end}")])
        .collect();
    is_linearizable(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_key_that_was_never_written_is_null_which_is_the_empty_text() {
    for nothing in ["null", "\"\""] {
        assert!(can_be(&[("read", &format!("ok read {nothing}"))]));
        let write = format!("write {nothing}");
        assert!(can_be(&[("write 1", "ok write"), (&write, "ok write"), ("read", "ok read null")]));
        assert!(can_be(&[(&format!("cas [{nothing},1]"), "ok cas"), ("read", "ok read 1")]));
    }
    assert!(!can_be(&[("read", "ok read 0")]));
}

#[test]
fn a_cas_succeeds_only_on_the_old_value() {
    let cas = |pair: &str, end, then: &str| {
        can_be(&[("write 1", "ok write"), (&format!("cas {pair}"), end), ("read", then)])
    };
    assert!(cas("[1,2]", "ok cas", "ok read 2"));
    assert!(!cas("[1,2]", "ok cas", "ok read 1"));
    assert!(!cas("[3,2]", "ok cas", "ok read 2"), "it cannot have succeeded");
    assert!(!cas("[\"1\",2]", "ok cas", "ok read 2"), "a text is no number");
    assert!(cas("[1.0,2]", "ok cas", "ok read 2"), "1.0 is 1");
}

#[test]
fn a_cas_that_failed_says_that_the_value_was_another() {
    let cas = |pair: &str, then: &str| {
        can_be(&[("write 1", "ok write"), (&format!("cas {pair}"), "fail cas"), ("read", then)])
    };
    assert!(cas("[3,2]", "ok read 1"));
    assert!(!cas("[3,2]", "ok read 2"), "it changed nothing");
    assert!(!cas("[1,2]", "ok read 1"), "1 was the only value there could be");
    // Beside a write it may have come before or after.
    let beside = ["0 invoke write 1", "1 invoke cas [1,2]", "1 fail cas", "0 ok write 1"];
    assert!(is_linearizable(&beside));
    let nothing = ["0 invoke write null", "1 invoke cas [null,2]", "1 fail cas", "0 ok write"];
    assert!(!is_linearizable(&nothing), "null before and after");
}

#[test]
fn a_failed_cas_sees_values_that_nobody_reads() {
    let failed = ("cas [1,2]", "fail cas");
    assert!(can_be(&[("write 1", "ok write"), ("write 7", "ok write"), failed]));
    assert!(!can_be(&[("write 7", "ok write"), ("write 1", "ok write"), failed]));
}

#[test]
fn appending_puts_texts_together() {
    let then = |read: &str| {
        can_be(&[("append \"ab\"", "ok append"), ("append \"c\"", "ok append"), ("read", read)])
    };
    assert!(then("ok read \"abc\""));
    assert!(!then("ok read \"cab\""));
    assert!(!then("ok read \"ab\""), "a lost append");
    assert!(!then("ok read \"abcc\""), "one that was done twice");
    let both = |read: &str| {
        is_linearizable(&[
            "0 invoke append \"a\"",
            "1 invoke append \"b\"",
            "0 ok append",
            "1 ok append",
            "0 invoke read",
            read,
        ])
    };
    assert!(both("0 ok read \"ab\"") && both("0 ok read \"ba\""));
    assert!(!both("0 ok read \"a\"") && !both("0 ok read \"aa\""));
}

#[test]
fn pieces_that_make_the_same_text_make_the_same_value() {
    for pieces in [["\"a\"", "\"bc\""], ["\"ab\"", "\"c\""], ["\"\"", "\"abc\""]] {
        let [first, second] = pieces.map(|piece| format!("append {piece}"));
        let cas = ("cas [\"abc\",\"d\"]", "ok cas");
        assert!(can_be(&[(&first, "ok append"), (&second, "ok append"), cas]));
    }
}

#[test]
fn appending_makes_a_text_of_numbers() {
    let append = |there: &str, piece: &str, read: &str| {
        let (write, append) = (format!("write {there}"), format!("append {piece}"));
        can_be(&[
            (&write, "ok write"),
            (&append, "ok append"),
            ("read", &format!("ok read {read}")),
        ])
    };
    assert!(append("1", "2", "\"12\""));
    assert!(!append("1", "2", "12"), "a text is no number");
    assert!(append("null", "-7", "\"-7\""));
    assert!(append("0.5", "7.0", "\"0.57\""));
    assert!(append("5", "\"\"", "\"5\""), "even by appending nothing");
    assert!(append("5", "null", "\"5\""));
    assert!(append("null", "null", "null"));
    assert!(!append("5", "\"\"", "5"));
}

#[test]
fn numbers_are_compared_as_numbers() {
    for (written, read, is_same) in [
        ("1", "1.0", true),
        ("1e3", "1000", true),
        ("-0.0", "0", true),
        ("0.1", "0.10", true),
        ("18446744073709551615", "18446744073709551614", false),
        ("9007199254740993", "9007199254740992", false),
        ("1", "\"1\"", false),
        ("0", "null", false),
        ("\"ä\"", "\"\\u00e4\"", true),
    ] {
        let (write, read) = (format!("write {written}"), format!("ok read {read}"));
        assert_eq!(can_be(&[(&write, "ok write"), ("read", &read)]), is_same, "{written} {read}");
    }
}
