//! `sim check-history`: the exit codes, and the last lines.

use crate::program::{Ran, command, quorate};
use std::fs::{self, File};
use tempfile::TempDir;

/// Runs the check on a file with these lines.
fn check(lines: &[&str], options: &str) -> Ran {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("history.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    let ran = quorate(&format!("sim check-history {}{options}", file.display()));
    let name = format!("{}:", file.display());
    Ran { err: ran.err.replace(&name, "FILE:"), ..ran }
}

const WRITE: [&str; 2] = [
    r#"{"process":0,"type":"invoke","f":"write","key":"x","value":1}"#,
    r#"{"process":0,"type":"ok","f":"write","key":"x","value":1}"#,
];
const OTHER_KEY: &str = r#"{"process":3,"type":"invoke","f":"write","key":7,"value":1}"#;
const STALE: [&str; 2] = [
    r#"{"process":1,"type":"invoke","f":"read","key":"x"}"#,
    r#"{"process":1,"type":"ok","f":"read","key":"x","value":null}"#,
];

#[test]
fn a_linearizable_history_is_done_with_a_line_for_each_key() {
    let lines = [WRITE[0], OTHER_KEY, WRITE[1]];
    let says = "key 7: linearizable, 1 operations\n\
                key \"x\": linearizable, 1 operations\nhistory: linearizable\n";
    assert_eq!(check(&lines, "").done(), says);
    assert_eq!(check(&[], "").done(), "history: linearizable\n");
}

#[test]
fn a_history_that_is_not_linearizable_fails_and_shows_the_smallest_prefix() {
    let lines = [WRITE[0], WRITE[1], OTHER_KEY, STALE[0], STALE[1], STALE[0]];
    let ran = check(&lines, "");
    let says = [
        "key 7: linearizable, 1 operations",
        "key \"x\": not linearizable, 3 operations",
        "smallest failing prefix of key \"x\", 4 lines:",
        WRITE[0],
        WRITE[1],
        STALE[0],
        STALE[1],
        "history: not linearizable key=\"x\"",
    ];
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""), "{ran:?}");
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), says);
    let prefix: Vec<_> = ran.out.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(check(&prefix, "").code, Some(1), "it is a history that is as wrong");
}

#[test]
fn a_malformed_history_is_refused_with_its_line() {
    let line = check(&[WRITE[0], "", "{\"process\":0"], "").failed(2);
    assert!(line.starts_with("FILE:3: this is not a JSON object"), "{line}");
    let line = check(&[WRITE[0], WRITE[0]], "").failed(2);
    let says = "process 0 begins an operation, but the one of line 1 has not ended";
    assert_eq!(line, format!("FILE:2: {says}"));
    let line = quorate("sim check-history no/such/file").failed(2);
    assert!(line.starts_with("no/such/file: cannot be read"), "{line}");
    assert!(quorate("sim check-history").failed(2).contains("<FILE>"));
}

/// Writes of a key that all come at once, with a reader of each, and then two reads that differ.
fn hard(key: &str) -> Vec<String> {
    let line = |process, kind, f, value| {
        format!(
            r#"{{"process":{process},"type":"{kind}","f":"{f}","key":"{key}","value":{value}}}"#
        )
    };
    let mut lines = Vec::new();
    for kind in ["invoke", "ok"] {
        for value in 100..140 {
            lines.push(line(value, kind, "write", value));
            lines.push(line(value + 100, kind, "read", value));
        }
    }
    for value in [100, 101] {
        lines.extend(["invoke", "ok"].map(|kind| line(1, kind, "read", value)));
    }
    lines
}

#[test]
fn a_budget_that_ends_leaves_the_history_undecided_unless_another_key_is_wrong() {
    let hard = hard("a");
    let hard: Vec<_> = hard.iter().map(String::as_str).collect();
    let ran = check(&hard, " --budget 100000");
    let says = "key \"a\": undecided after 100000 steps, 82 operations\nhistory: undecided\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(3), says, ""));
    let both = [&hard[..], &WRITE, &STALE].concat();
    let ran = check(&both, " --budget 100000");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.out.lines().last(), Some("history: not linearizable key=\"x\""));
    assert_eq!(ran.out.lines().next(), says.lines().next());
}

#[test]
fn standard_input_is_a_file_too() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("history.jsonl");
    let from = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut check = command("sim check-history -");
        Ran::of(check.stdin(File::open(&file).unwrap()))
    };
    assert!(from(&WRITE.join("\n")).done().ends_with("history: linearizable\n"));
    assert!(from("{").failed(2).starts_with("standard input:1: this is not a JSON object"));
}

#[test]
fn what_a_file_says_cannot_steer_the_terminal() {
    let line = r#"{"process":0,"type":"invoke","f":"read","key":"\u001b[2Jé\"\n"}"#;
    let out = check(&[line], "").done();
    assert!(out.starts_with("key \"\\u001b[2Jé\\\"\\u000a\": linearizable"), "{out}");
    assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out}");
}
