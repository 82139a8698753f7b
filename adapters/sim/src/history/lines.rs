//! Histories as lines of JSON, as Jepsen and those who learned from it write them.
//!
//! ```json
//! {"process": 0, "type": "invoke", "f": "write", "key": "x", "value": 1}
//! {"process": 1, "type": "invoke", "f": "read", "key": "x"}
//! {"process": 0, "type": "ok", "f": "write", "key": "x", "value": 1}
//! {"process": 1, "type": "ok", "f": "read", "key": "x", "value": 1}
//! ```
//!
//! | field | |
//! |---|---|
//! | `process` | a number or a text; it does one thing at a time |
//! | `type` | `invoke` begins an operation; `ok`, `fail` and `info` end it |
//! | `f` | `read`, `write`, `cas` or `append`; only `invoke` needs it |
//! | `key` | a number or a text, on the `invoke` line; without one there is one key, `null` |
//! | `value` | what is written, appended, or `[old, new]` on the `invoke` line; what was read on the `ok` line |
//! | `time` | a number in any unit, on all lines or on none |
//!
//! - Values are numbers, texts or null; see [`register`](super::register) for how they compare, and
//!   what appending makes of numbers. A key that was never written reads null, which is `""`.
//! - `ok`: it took effect. `fail`: it did not; a `cas` that failed says more: the value was not
//!   `old`. `info`, or no end at all: nobody knows; it takes effect at some later time, or never.
//! - After `info` the process may go on with another `invoke`. An `info` of a process that does
//!   nothing is not about clients (a nemesis writes them) and is skipped.
//! - Without `time`, what stands on an earlier line was earlier. With it, lines may stand in any
//!   order, except that lines of one process and one time stand in theirs; and an operation that
//!   ends at the time at which another begins is concurrent with it, whoever did the two.
//! - Blank lines, fields that are not named here, and the values of lines that need none are
//!   skipped. Whole numbers that need more than 64 bits are read as an `f64`.

use super::line::{Argument, Kind, Line, What};
use super::register::{Answer, Ask, Call, Register, Say, Value};
use super::{Event, History, Moment, OperationId, line};
use std::collections::BTreeMap;
use std::fmt;

/// What a file says of one key.
#[derive(Clone, Debug)]
pub struct Part {
    /// The model of the key.
    pub register: Register,
    /// What was done to it.
    pub history: History<Call, Answer>,
    spans: Vec<Span>,
}

/// Where a file says that an operation began and ended: its lines, counted from 0 in the order of
/// time, and from 1 in the file.
#[derive(Clone, Copy, Debug)]
struct Span {
    begins: Place,
    ends: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: usize,
    line: usize,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// In which line, from 1.
    pub line: usize,
    /// What.
    pub reason: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.reason)
    }
}

impl std::error::Error for Malformed {}

impl Part {
    /// The lines that tell of these events, which are some first ones: their numbers in the file,
    /// in the order of time. `info` lines of the operations are among them, so that the lines are a
    /// history themselves.
    #[must_use]
    pub fn lines(&self, events: &[Event]) -> Vec<usize> {
        let mut places = Vec::new();
        let mut is_told = vec![false; self.spans.len()];
        for Event { moment, operation, .. } in events {
            let Span { begins, ends } = self.spans[operation.0];
            places.extend(if *moment == Moment::Begins { Some(begins) } else { ends });
            is_told[operation.0] |= *moment == Moment::Ends;
        }
        let last = places.iter().max().copied();
        for Event { operation: OperationId(number), .. } in events {
            let is_open =
                matches!(self.history.operations()[*number].outcome, super::Outcome::Open);
            if is_open && !is_told[*number] {
                places.extend(self.spans[*number].ends.filter(|ends| Some(*ends) < last));
            }
        }
        places.sort_unstable();
        places.iter().map(|place| place.line).collect()
    }
}

/// An operation as it is read.
struct Draft {
    process: u64,
    ask: Ask,
    began: u64,
    end: Option<(u64, End)>,
    span: Span,
}

enum End {
    Said(Say),
    Failed,
}

/// What a process is doing.
struct Doing {
    /// Since this line.
    line: usize,
    what: What,
    key: Value,
    /// Which of the key's operations it is.
    draft: usize,
}

/// Reads a file: what it says of each key.
///
/// # Errors
/// The first thing that is wrong, in the order of lines if a line is wrong by itself, otherwise in
/// the order of time.
pub fn read(text: &[u8]) -> Result<BTreeMap<Value, Part>, Malformed> {
    let lines = in_order(read_lines(text)?)?;
    let mut drafts: BTreeMap<Value, Vec<Draft>> = BTreeMap::new();
    let mut processes: BTreeMap<Value, (u64, Option<Doing>)> = BTreeMap::new();
    for (rank, (at, line)) in lines.into_iter().enumerate() {
        let place = Place { rank, line: line.number };
        let wrong = |reason| Malformed { line: place.line, reason };
        // Numbered as they come.
        let number = processes.len() as u64;
        let (process, doing) =
            processes.entry(line.process.clone()).or_insert_with(|| (number, None));
        if line.kind == Kind::Invoke {
            if let Some(Doing { line: began, .. }) = doing {
                return Err(wrong(format!(
                    "process {} begins an operation, but the one of line {began} has not ended",
                    line.process
                )));
            }
            let (what, ask) = asked(&line).map_err(wrong)?;
            let key = line.key.unwrap_or(Value::Nothing);
            let of_key = drafts.entry(key.clone()).or_default();
            *doing = Some(Doing { line: line.number, what, key, draft: of_key.len() });
            let span = Span { begins: place, ends: None };
            of_key.push(Draft { process: *process, ask, began: at, end: None, span });
            continue;
        }
        let Some(Doing { line: began, what, key, draft }) = doing.take() else {
            if line.kind == Kind::Info {
                continue;
            }
            let reason = format!("process {} ends an operation, but has begun none", line.process);
            return Err(wrong(reason));
        };
        check_same(&line, began, what, &key).map_err(wrong)?;
        let end = ended(&line, what).map_err(wrong)?;
        if let Some(draft) = drafts.get_mut(&key).and_then(|drafts| drafts.get_mut(draft)) {
            draft.end = end.map(|end| (at, end));
            draft.span.ends = Some(place);
        }
    }
    drafts.into_iter().map(|(key, drafts)| Ok((key, part(drafts)?))).collect()
}

fn read_lines(text: &[u8]) -> Result<Vec<Line>, Malformed> {
    // Some editors begin every file with this mark.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let text = text.trim_ascii();
        if !text.is_empty() {
            let line = line::read(number, text);
            lines.push(line.map_err(|reason| Malformed { line: number, reason })?);
        }
    }
    Ok(lines)
}

/// The lines in the order of time, each with a number that says its time among them.
fn in_order(mut lines: Vec<Line>) -> Result<Vec<(u64, Line)>, Malformed> {
    let is_timed = lines.first().is_some_and(|line| line.time.is_some());
    if let Some(line) = lines.iter().find(|line| line.time.is_some() != is_timed) {
        let (this, others) = if is_timed { ("no", "have") } else { ("a", "have none") };
        let reason = format!(
            "this line has {this} time, but those before it {others}; give it to all or none"
        );
        return Err(Malformed { line: line.number, reason });
    }
    lines.sort_by_key(|line| line.time);
    let mut at = 0;
    let mut last = None;
    let timed = lines.into_iter().map(|line| {
        at += u64::from(!is_timed || line.time != last);
        last = line.time;
        (at, line)
    });
    Ok(timed.collect())
}

/// What a line asks that begins an operation.
fn asked(line: &Line) -> Result<(What, Ask), String> {
    let what = line.what.clone().ok_or("there is no f; write read, write, cas or append")??;
    let ask = match (what, &line.value) {
        (What::Read, _) => Ask::Read,
        (What::Write, Argument::One(value)) => Ask::Write(value.clone()),
        (What::Append, Argument::One(value)) => Ask::Append(value.clone()),
        (What::Cas, Argument::Two(old, new)) => Ask::Cas(old.clone(), new.clone()),
        (What::Cas, _) => return Err("the value of a cas is not [old, new]".to_owned()),
        (_, value) => return Err(lacking(what, value)),
    };
    Ok((what, ask))
}

fn lacking(what: What, value: &Argument) -> String {
    let name = what.name();
    match value {
        Argument::Missing => format!("this {name} has no value; write null if it is nothing"),
        Argument::Odd(odd) => {
            format!("the value of this {name} is {odd}; write a number or a text")
        }
        _ => format!("the value of this {name} is a list; write a number or a text"),
    }
}

/// Whether the line that ends an operation is about the same as the one that began it.
fn check_same(line: &Line, began: usize, what: What, key: &Value) -> Result<(), String> {
    if line.kind == Kind::Info {
        return Ok(());
    }
    if let Some(said) = line.what.clone().transpose()?.filter(|said| *said != what) {
        let (said, what) = (said.name(), what.name());
        return Err(format!("this ends a {said}, but line {began} began a {what}"));
    }
    match &line.key {
        Some(said) if said != key => {
            Err(format!("this is about key {said}, but line {began} about key {key}"))
        }
        _ => Ok(()),
    }
}

/// How a line ends an operation; not at all if nobody knows.
fn ended(line: &Line, what: What) -> Result<Option<End>, String> {
    let end = match (line.kind, what, &line.value) {
        (Kind::Info | Kind::Invoke, ..) => return Ok(None),
        (Kind::Fail, What::Cas, _) => End::Said(Say::Another),
        (Kind::Fail, ..) => End::Failed,
        (Kind::Ok, What::Read, Argument::One(value)) => End::Said(Say::Value(value.clone())),
        (Kind::Ok, What::Read, value) => return Err(lacking(what, value)),
        (Kind::Ok, ..) => End::Said(Say::Done),
    };
    Ok(Some(end))
}

fn part(drafts: Vec<Draft>) -> Result<Part, Malformed> {
    let talk = drafts.iter().map(|draft| {
        let said = draft.end.as_ref().and_then(|(_, end)| match end {
            End::Said(say) => Some(say),
            End::Failed => None,
        });
        (&draft.ask, said)
    });
    let register = Register::of(talk);
    let mut history = History::new();
    for Draft { process, ask, began, end, span } in &drafts {
        let id = history.invoke(*process, register.call(ask), *began);
        let ended = match end {
            None => Ok(()),
            Some((at, End::Failed)) => history.fail(id, *at),
            Some((at, End::Said(say))) => history.ok(id, register.answer(say), *at),
        };
        let line = span.ends.unwrap_or(span.begins).line;
        ended.map_err(|wrong| Malformed { line, reason: wrong.to_string() })?;
    }
    let spans = drafts.into_iter().map(|draft| draft.span).collect();
    Ok(Part { register, history, spans })
}
