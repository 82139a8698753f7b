//! Histories in few words.

use quorate_sim::history::lines::{self, Part};
use quorate_sim::history::register::Value;
use quorate_sim::history::{Verdict, check};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const BUDGET: u64 = 1_000_000;

/// A line in JSON from its words: the process, the type, `f`, a value if there is one (in JSON and
/// without spaces), a key as `@x`, and a time as `t=5`.
pub(crate) fn json(words: &str) -> String {
    let mut words = words.split(' ');
    let mut word = || words.next().expect("process, type, f");
    let mut line = format!(r#"{{"process":{},"type":"{}","f":"{}""#, word(), word(), word());
    for word in words {
        let _ = match (word.strip_prefix('@'), word.strip_prefix("t=")) {
            (Some(key), _) => write!(line, r#","key":"{key}""#),
            (_, Some(time)) => write!(line, r#","time":{time}"#),
            _ => write!(line, r#","value":{word}"#),
        };
    }
    line + "}"
}

pub(crate) fn file(history: &[&str]) -> String {
    history.iter().map(|words| json(words) + "\n").collect()
}

pub(crate) fn parts(history: &[&str]) -> BTreeMap<Value, Part> {
    lines::read(file(history).as_bytes()).expect("a history")
}

pub(crate) fn verdict(part: &Part) -> Verdict {
    check(&part.register, &part.history, BUDGET)
}

/// Whether a history of a single key is linearizable.
pub(crate) fn is_linearizable(history: &[&str]) -> bool {
    let parts = parts(history);
    assert_eq!(parts.len(), 1);
    match verdict(&parts[parts.keys().next().unwrap()]) {
        Verdict::Linearizable(_) => true,
        Verdict::Violated(_) => false,
        Verdict::Undecided => panic!("{BUDGET} steps decide everything this small"),
    }
}
