//! The history of the registers, against every order that real time permits.

use super::oracle::Violation;
use super::process::{Call, End, Operation, Process};
use super::vault::append;
use crate::history::{self, History, Model, Step};
use std::collections::BTreeSet;

/// Steps of the search for one register. A history in which clients learned too little is not worth
/// more; how many there are is told.
const BUDGET: u64 = 100_000;

/// One register: a number, zero at first.
struct Register;

impl Model for Register {
    type State = u64;
    type Call = Operation;
    type Answer = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, held: &u64, operation: &Operation, answer: Option<&u64>) -> Step<u64> {
        match operation.call {
            Call::Read(_) if answer.is_some_and(|answer| answer != held) => Step::Impossible,
            Call::Write(_, value) => Step::Becomes(value),
            Call::Append(_, value) => Step::Becomes(append(*held, value)),
            Call::Cas(_, value) => match (answer, *held == operation.expected) {
                (Some(taken), is_old) if (*taken != 0) != is_old => Step::Impossible,
                (_, true) => Step::Becomes(value),
                (_, false) => Step::Unchanged,
            },
            _ => Step::Unchanged,
        }
    }

    fn only_reads(&self, operation: &Operation, answer: &u64) -> bool {
        match operation.call {
            Call::Read(_) => true,
            Call::Cas(..) => *answer == 0,
            _ => false,
        }
    }

    fn overwrites(&self, operation: &Operation) -> bool {
        matches!(operation.call, Call::Write(..))
    }
}

/// Checks what all clients saw; tells how many registers' histories are not decided.
///
/// # Errors
/// L if no order of the operations explains it.
pub(super) fn check(processes: &[Process]) -> Result<u64, Violation> {
    check_within(processes, BUDGET)
}

fn check_within(processes: &[Process], budget: u64) -> Result<u64, Violation> {
    let mut undecided = 0;
    let operations = || processes.iter().flat_map(|process| &process.history);
    let keys: BTreeSet<u8> = operations().map(|operation| operation.key).collect();
    for key in keys {
        let mut history = History::new();
        for operation in operations().filter(|operation| operation.key == key) {
            let process = u64::from(operation.process);
            let id = history.invoke(process, *operation, operation.asked);
            let ended = operation.ended.unwrap_or(u64::MAX);
            let noted = match operation.end {
                End::Open => Ok(()),
                End::Done(answer) => history.ok(id, answer, ended),
                End::Failed => history.fail(id, ended),
            };
            noted.map_err(|wrong| Violation { oracle: "L", what: format!("{wrong:?}") })?;
        }
        match history::check(&Register, &history, budget) {
            history::Verdict::Linearizable(_) => {}
            history::Verdict::Undecided => undecided += 1,
            history::Verdict::Violated(violation) => {
                let events = violation.events.len();
                let what = format!("register {key}: no order explains its first {events} events");
                return Err(Violation { oracle: "L", what });
            }
        }
    }
    Ok(undecided)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(call: Call, asked: u64, ended: u64, end: End) -> Operation {
        let (process, key, expected) = (asked as u32, 0, 0);
        Operation { process, key, call, expected, asked, ended: Some(ended), end }
    }

    fn verdict(operations: Vec<Operation>) -> Result<u64, Violation> {
        within(operations, BUDGET)
    }

    fn within(operations: Vec<Operation>, budget: u64) -> Result<u64, Violation> {
        let margin = quorate::lease::holder::Config::default();
        let timeout = quorate::time::Span::millis(100);
        let mut process = Process::new(0, 3, 1, margin, timeout);
        process.history = operations;
        check_within(&[process], budget)
    }

    #[test]
    fn a_search_that_does_not_come_to_an_end_is_counted() {
        let write = |at| operation(Call::Append(0, at), at, at + 100, End::Done(1));
        let writes: Vec<_> = (1..30).map(write).collect();
        assert_eq!(within(writes.clone(), 1_000), Ok(0));
        assert_eq!(within(writes, 10), Ok(1));
    }

    #[test]
    fn a_read_of_what_was_overwritten_is_seen() {
        let writes = [
            operation(Call::Write(0, 7), 1, 2, End::Done(1)),
            operation(Call::Write(0, 8), 3, 4, End::Done(1)),
        ];
        let read = |value| operation(Call::Read(0), 5, 6, End::Done(value));
        assert_eq!(verdict([&writes[..], &[read(8)]].concat()), Ok(0));
        let stale = verdict([&writes[..], &[read(7)]].concat());
        assert_eq!(stale.map_err(|violation| violation.oracle), Err("L"));
    }

    #[test]
    fn what_failed_did_not_happen_and_what_is_open_may_have() {
        let read = operation(Call::Read(0), 5, 6, End::Done(7));
        let write = |end| operation(Call::Write(0, 7), 1, 2, end);
        assert_eq!(verdict(vec![write(End::Open), read]), Ok(0));
        assert!(verdict(vec![write(End::Failed), read]).is_err());
    }
}
