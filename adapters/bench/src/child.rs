//! Measuring a load in a process of its own: under valgrind for what is counted, alone for time.
//!
//! Every count is taken of N units and of 2N, and the difference divided by N: start-up cancels.
//! Instructions and allocations are both counted by valgrind, so neither the program nor its
//! allocator is changed by being measured. Time is that which the child had a processor.

use crate::load::{self, Measured};
use std::collections::BTreeMap;
use std::fmt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The first argument of a child.
pub(crate) const CHILD: &str = "--load";

/// Why something could not be measured.
#[derive(Debug)]
pub(crate) enum Error {
    /// valgrind is not installed.
    NoValgrind,
    /// The child could not be run, or did not say what it must.
    Child(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValgrind => f.write_str(
                "valgrind is not installed, and counts are taken with it: \
                 install it (apt-get install valgrind) and run this again",
            ),
            Self::Child(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

/// What one unit of a load costs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Cost {
    /// Instructions, of everything: all nodes, the loop, the memory store, `malloc`.
    Instructions,
    /// Allocations on the heap.
    Allocations,
    /// Bytes that are in use when the process ends.
    BytesHeld,
}

impl Cost {
    const fn tool(self) -> &'static [&'static str] {
        match self {
            Self::Instructions => &["--tool=callgrind", "--callgrind-out-file=/dev/null"],
            Self::Allocations | Self::BytesHeld => {
                &["--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"]
            }
        }
    }

    /// What stands before the number in valgrind's report.
    const fn label(self) -> &'static str {
        match self {
            Self::Instructions => "Collected :",
            Self::Allocations => "total heap usage:",
            Self::BytesHeld => "in use at exit:",
        }
    }
}

/// Counts what a unit costs, and remembers what was counted.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    known: BTreeMap<(Cost, String, u64), f64>,
}

impl Counter {
    /// What a unit of a load costs, from `units` of it and twice as many.
    pub(crate) fn cost(&mut self, cost: Cost, words: &str, units: u64) -> Result<f64, Error> {
        let key = (cost, words.to_owned(), units);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let (once, twice) = (total(cost, words, units)?, total(cost, words, 2 * units)?);
        let each = (twice - once) / units as f64;
        self.known.insert(key, each);
        Ok(each)
    }

    /// What so many units of a load cost together, start-up and all.
    pub(crate) fn whole(&mut self, cost: Cost, words: &str, units: u64) -> Result<f64, Error> {
        total(cost, words, units)
    }
}

/// Makes sure that valgrind is there.
pub(crate) fn find_valgrind() -> Result<(), Error> {
    let found = Command::new("valgrind").arg("--version").output();
    found.is_ok_and(|it| it.status.success()).then_some(()).ok_or(Error::NoValgrind)
}

fn total(cost: Cost, words: &str, units: u64) -> Result<f64, Error> {
    find_valgrind()?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(cost.tool());
    let said = output_of(valgrind, words, units)?;
    let report = String::from_utf8_lossy(&said.stderr);
    let (_, number) = report
        .split_once(cost.label())
        .ok_or_else(|| Error::Child(format!("valgrind did not report on `{words}`:\n{report}")))?;
    let digits: String =
        number.trim_start().chars().take_while(|c| *c != ' ' && *c != '\n').collect();
    digits
        .replace(',', "")
        .parse()
        .map_err(|_| Error::Child(format!("valgrind reported `{digits}` of `{words}`")))
}

/// What a load said in `units`, and how long it had a processor.
pub(crate) fn once(words: &str, units: u64) -> Result<(Measured, Duration), Error> {
    let said = output_of(Command::new("env"), words, units)?;
    let text = String::from_utf8_lossy(&said.stdout);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    let [messages, bytes, nanos] = numbers[..] else {
        return Err(Error::Child(format!("`{words}` said {text:?}")));
    };
    Ok((Measured { messages, bytes }, Duration::from_nanos(nanos)))
}

/// Runs this program again as a child that only does a load.
fn output_of(mut before: Command, words: &str, units: u64) -> Result<Output, Error> {
    let me = std::env::current_exe().map_err(|error| Error::Child(error.to_string()))?;
    before.arg(me).arg(CHILD).args(words.split(' ')).arg(units.to_string());
    let said = before.output().map_err(|error| Error::Child(error.to_string()))?;
    if said.status.success() {
        Ok(said)
    } else {
        let error = String::from_utf8_lossy(&said.stderr);
        Err(Error::Child(format!("`{words}` of {units} failed:\n{error}")))
    }
}

/// What a child does: a load, and a line about it. False if there is no such load.
pub(crate) fn run(words: &[&str]) -> bool {
    let Some((units, words)) = words.split_last() else { return false };
    let Ok(units) = units.parse() else { return false };
    let (start, before) = (Instant::now(), on_processor());
    let Some(Measured { messages, bytes }) = load::run(words, units) else { return false };
    let after = on_processor().zip(before).and_then(|(after, before)| after.checked_sub(before));
    let nanos =
        after.unwrap_or_else(|| u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    println!("{messages} {bytes} {nanos}");
    true
}

/// How long this thread has had a processor, in nanoseconds, if the system tells: on an idle machine
/// as long as the clock on the wall says, on a busy one not.
fn on_processor() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok()
}
