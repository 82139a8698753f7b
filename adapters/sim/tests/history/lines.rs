//! Files: what is forgiven, and what is refused with its line and the reason.

use crate::words::{file, json};
use quorate_sim::history::lines::read;
use quorate_sim::history::register::Value;

fn refused(text: &str) -> String {
    read(text.as_bytes()).map(|parts| parts.len()).expect_err(text).to_string()
}

#[test]
fn what_jepsen_writes_is_read() {
    let text = "\u{feff}{\"index\":0,\"time\":3,\"type\":\"info\",\"process\":\"nemesis\",\"f\":\"start\",\"value\":{\"n1\":[\"n2\"]}}\r\n\
        \r\n\
        {\"index\":1,\"time\":4,\"type\":\"invoke\",\"process\":0,\"f\":\"read\",\"value\":null,\"key\":7}\r\n\
        \x20 {\"index\":2,\"time\":5,\"type\":\"ok\",\"process\":0,\"f\":\"read\",\"value\":null,\"error\":[\"x\"]}\r\n\
        {\"time\":6,\"type\":\"info\",\"process\":\"nemesis\",\"f\":\"stop\",\"key\":[1]}\r\n\
        {\"time\":7,\"type\":\"invoke\",\"process\":\"c-1\",\"f\":\"cas\",\"value\":[1,2],\"key\":7}\r\n\
        {\"time\":8,\"type\":\"fail\",\"process\":\"c-1\",\"f\":\"cas\",\"value\":[1,2],\"key\":7}\r\n";
    let parts = read(text.as_bytes()).unwrap();
    assert_eq!(parts.keys().collect::<Vec<_>>(), [&Value::Whole(7)]);
    assert_eq!(parts[&Value::Whole(7)].history.operations().len(), 2);
}

#[test]
fn a_file_without_operations_has_no_keys() {
    assert!(read(b"").unwrap().is_empty());
    assert!(read(b"\n \n\t\r\n").unwrap().is_empty());
}

#[test]
fn keys_are_told_apart_by_their_values() {
    let key = |key: &str| format!(r#"{{"process":{key},"type":"invoke","f":"read","key":{key}}}"#);
    let text = ["1", "\"1\"", "2", "\"\"", "1.5"].map(key).join("\n");
    let none = r#"{"process":"p","type":"invoke","f":"read"}"#;
    let text = text.replace(r#""process":"""#, r#""process":"q""#);
    let parts = read(format!("{text}\n{none}").as_bytes()).unwrap();
    let names: Vec<_> = parts.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["null", "1", "2", "1.5", "\"\"", "\"1\""]);
}

#[test]
fn a_line_that_is_wrong_by_itself_is_named_with_the_reason() {
    let good = json("0 invoke read");
    for (line, reason) in [
        ("{\"process\":1", "this is not a JSON object of a history: EOF while parsing an object"),
        (
            "{\"process\":1,}",
            "this is not a JSON object of a history: trailing comma, at column 14",
        ),
        (
            "{\"f\":\"read\",\"f\":\"read\"}",
            "this is not a JSON object of a history: duplicate field `f`",
        ),
        ("[1,\"invoke\"]", "this is not a JSON object; write one on each line"),
        ("hello", "this is not a JSON object; write one on each line"),
        ("{} {}", "this is not a JSON object of a history: trailing characters"),
        ("{}", "there is no process; write its number or name"),
        ("{\"process\":[1]}", "process is a list; write a number or a text"),
        ("{\"process\":1}", "there is no type; write invoke, ok, fail or info"),
        ("{\"process\":1,\"type\":3}", "type is a number; write a text"),
        (
            "{\"process\":1,\"type\":\"begin\"}",
            "type \"begin\" is not known; write invoke, ok, fail or info",
        ),
        ("{\"process\":1,\"type\":\"invoke\"}", "there is no f; write read, write, cas or append"),
        (&json("1 invoke txn"), "f \"txn\" is not known; write read, write, cas or append"),
        ("{\"process\":1,\"type\":\"invoke\",\"f\":true}", "f is a truth value; write a text"),
        (
            "{\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"key\":{}}",
            "key is an object; write a number or a text",
        ),
        (&json("1 invoke write"), "this write has no value; write null if it is nothing"),
        (
            &json("1 invoke append [1]"),
            "the value of this append is a list; write a number or a text",
        ),
        (
            &json("1 invoke write [1,2]"),
            "the value of this write is a list; write a number or a text",
        ),
        (
            &json("1 invoke write true"),
            "the value of this write is a truth value; write a number or a text",
        ),
        (&json("1 invoke cas 1"), "the value of a cas is not [old, new]"),
        (&json("1 invoke cas [1,2,3]"), "the value of a cas is not [old, new]"),
        (&json("1 invoke cas [1,[2]]"), "the value of a cas is not [old, new]"),
        (
            &json("1 invoke read t=3"),
            "this line has a time, but those before it have none; give it to all or none",
        ),
        (&json("1 invoke read t=\"3\""), "time is not a number; write one in any unit"),
        (&json("1 invoke read t=[3]"), "time is a list; write a number in any unit"),
        (&json("1 invoke read t=1e300"), "time is out of range"),
    ] {
        let complaint = refused(&format!("{good}\n\n{line}\n"));
        assert!(complaint.starts_with(&format!("3: {reason}")), "{line}\n{complaint}");
        assert!(!complaint.contains('\n'), "{complaint}");
    }
    let timed = json("1 invoke read t=3");
    let complaint = refused(&format!("{timed}\n{good}"));
    assert_eq!(
        complaint,
        "2: this line has no time, but those before it have; give it to all or none"
    );
    assert!(refused("{\"process\":\"\u{1}\"}").starts_with("1: this is not a JSON object"));
    assert!(read(b"{\"process\":\"\xff\",\"type\":\"info\"}").is_err(), "not UTF-8");
}

#[test]
fn a_line_that_does_not_fit_those_before_it_is_named_with_the_reason() {
    for (history, reason) in [
        (
            &["0 invoke read", "0 invoke read"][..],
            "2: process 0 begins an operation, but the one of line 1 has not ended",
        ),
        (&["\"a\" ok read 1"], "1: process \"a\" ends an operation, but has begun none"),
        (
            &["0 invoke read", "0 ok read 1", "0 ok read 1"],
            "3: process 0 ends an operation, but has begun none",
        ),
        (
            &["0 invoke read", "0 info read", "0 fail read"],
            "3: process 0 ends an operation, but has begun none",
        ),
        (&["0 invoke read", "0 ok write 1"], "2: this ends a write, but line 1 began a read"),
        (
            &["0 invoke read @x", "0 ok read 1 @y"],
            "2: this is about key \"y\", but line 1 about key \"x\"",
        ),
        (
            &["0 invoke read", "0 ok read 1 @y"],
            "2: this is about key \"y\", but line 1 about key null",
        ),
        (&["0 invoke read", "0 ok read"], "2: this read has no value; write null if it is nothing"),
        (
            &["0 invoke read", "0 ok read [1]"],
            "2: the value of this read is a list; write a number or a text",
        ),
        (
            &["0 invoke read t=5", "0 ok read 1 t=4"],
            "2: process 0 ends an operation, but has begun none",
        ),
    ] {
        assert_eq!(refused(&file(history)), reason);
    }
}
