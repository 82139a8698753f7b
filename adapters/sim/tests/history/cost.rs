//! What it costs to know: steps of the model, which are the same everywhere, and time, which is not.

use crate::words::file;
use quorate::rng::Rng;
use quorate_sim::history::lines::read;
use quorate_sim::history::{History, Model, Step, Verdict, check, check_and_count};
use std::collections::BTreeMap;

/// A register of numbers, as in the simulator's memory.
struct Register;

#[derive(Clone, Copy, Debug)]
enum Call {
    Read,
    Write(u32),
    Cas(u32, u32),
}

impl Model for Register {
    type State = u32;
    type Call = Call;
    /// What was read, or whether it was done.
    type Answer = u32;

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, state: &u32, call: &Call, answer: Option<&u32>) -> Step<u32> {
        match *call {
            Call::Read if answer.is_some_and(|answer| answer != state) => Step::Impossible,
            Call::Read => Step::Unchanged,
            Call::Write(value) => Step::Becomes(value),
            Call::Cas(old, new) => match answer {
                Some(answer) if (*answer == 1) != (old == *state) => Step::Impossible,
                _ if old == *state => Step::Becomes(new),
                _ => Step::Unchanged,
            },
        }
    }

    fn only_reads(&self, call: &Call, answer: &u32) -> bool {
        matches!((call, answer), (Call::Read, _) | (Call::Cas(..), 0))
    }

    fn overwrites(&self, call: &Call) -> bool {
        matches!(call, Call::Write(_))
    }
}

/// What some clients did to one register that did as it should.
fn draw(rng: &mut Rng, clients: u64, count: usize, open_percent: u64) -> History<Call, u32> {
    let mut history = History::new();
    let mut value = 0;
    let mut busy = BTreeMap::new();
    for at in 0.. {
        let client = rng.below(clients);
        match busy.remove(&client) {
            None if history.operations().len() == count => break,
            None => {
                let call = match rng.below(10) {
                    0..5 => Call::Read,
                    5..8 => Call::Write(u32::try_from(rng.below(1_000)).unwrap()),
                    _ => Call::Cas(value, u32::try_from(rng.below(1_000)).unwrap()),
                };
                busy.insert(client, (history.invoke(client, call, at), call, None));
            }
            Some((id, call, None)) => {
                let answer = match call {
                    Call::Read => value,
                    Call::Write(new) => {
                        value = new;
                        1
                    }
                    Call::Cas(old, new) => {
                        let fits = old == value;
                        value = if fits { new } else { value };
                        fits.into()
                    }
                };
                busy.insert(client, (id, call, Some(answer)));
            }
            Some((id, _, Some(answer))) => {
                if rng.below(100) >= open_percent {
                    history.ok(id, answer, at).unwrap();
                }
            }
        }
    }
    history
}

fn steps(history: &History<Call, u32>) -> u64 {
    let (verdict, steps) = check_and_count(&Register, history, u64::MAX);
    assert!(matches!(verdict, Verdict::Linearizable(_)));
    steps
}

#[test]
fn a_history_ten_times_as_long_costs_ten_times_as_much() {
    for (clients, open_percent) in [(1, 0), (5, 0), (10, 0)] {
        let mut rng = Rng::new(3);
        let short = steps(&draw(&mut rng, clients, 4_000, open_percent));
        let long = steps(&draw(&mut rng, clients, 40_000, open_percent));
        assert!(long < short * 13, "{clients} clients: {short} and {long} steps");
        assert!(long < 40_000 * (10 + 3 * clients), "{clients} clients: {long} steps");
    }
}

#[test]
fn a_violation_at_the_end_of_a_long_history_is_found_and_so_is_where() {
    let mut history = draw(&mut Rng::new(9), 5, 20_000, 0);
    let last = history.events().last().unwrap().at;
    let read = history.invoke(9, Call::Read, last + 1);
    history.ok(read, 4_711, last + 2).unwrap();
    let after = history.invoke(9, Call::Write(4_711), last + 3);
    history.ok(after, 1, last + 4).unwrap();
    let events = history.events().len();
    let (verdict, steps) = check_and_count(&Register, &history, 50_000_000);
    let Verdict::Violated(violation) = verdict else { panic!("nobody wrote that: {verdict:?}") };
    assert_eq!((violation.events.len(), violation.is_shortest), (events - 2, true));
    assert!(steps < 20_000 * 200, "{steps} steps");
}

/// A history of which nobody knows soon whether it is right: so many writes at once, each of whose
/// values somebody reads meanwhile, and then two reads that cannot both be.
fn hard(writes: u32) -> History<Call, u32> {
    let mut history = History::new();
    let mut ids = Vec::new();
    for value in 1..=writes {
        ids.push((history.invoke(0, Call::Write(value), 0), 1));
        ids.push((history.invoke(0, Call::Read, 0), value));
    }
    for (id, answer) in ids {
        history.ok(id, answer, 1).unwrap();
    }
    for (value, at) in [(1, 2), (2, 4)] {
        let id = history.invoke(0, Call::Read, at);
        history.ok(id, value, at + 1).unwrap();
    }
    history
}

#[test]
fn a_search_that_would_take_for_ever_ends_with_its_budget() {
    let (verdict, steps) = check_and_count(&Register, &hard(40), 3_000_000);
    assert_eq!(verdict, Verdict::Undecided);
    assert!((3_000_000..3_100_000).contains(&steps), "{steps} steps");
    // What takes for ever with forty takes no time with eight.
    assert!(matches!(check(&Register, &hard(8), 3_000_000), Verdict::Violated(_)));
}

#[test]
fn the_budget_is_a_count_and_not_a_time() {
    let history = hard(8);
    let (_, steps) = check_and_count(&Register, &history, u64::MAX);
    let (again, same) = check_and_count(&Register, &history, steps);
    assert_eq!(same, steps);
    assert!(matches!(again, Verdict::Violated(_)));
    assert_eq!(check(&Register, &history, steps / 2), Verdict::Undecided);
}

#[test]
fn a_budget_that_ends_before_the_shortest_is_known_says_so() {
    // The write is taken for what was read until it fails, far behind; what lies between is hard.
    let mut history = History::new();
    let write = history.invoke(1, Call::Write(4_711), 0);
    let read = history.invoke(2, Call::Read, 0);
    history.ok(read, 4_711, 1).unwrap();
    for at in 0..12 {
        let first = history.invoke(3, Call::Write(1), 10 + at * 10);
        history.ok(first, 1, 11 + at * 10).unwrap();
    }
    history.fail(write, 500).unwrap();
    let (verdict, steps) = check_and_count(&Register, &history, 1_000);
    let Verdict::Violated(violation) = verdict else { panic!("{verdict:?}") };
    assert!(violation.is_shortest && steps < 10);
    let (verdict, _) = check_and_count(&Register, &history, steps);
    let Verdict::Violated(violation) = verdict else { panic!("{verdict:?}") };
    assert!(!violation.is_shortest);
}

#[test]
fn open_writes_do_not_multiply() {
    // Forty writes of which nobody knows, and reads that tell that some took effect in some order.
    let mut lines: Vec<_> = (0..40).map(|at| format!("{at} invoke write {at}")).collect();
    for value in (0..40).rev() {
        lines.push("99 invoke read".to_owned());
        lines.push(format!("99 ok read {value}"));
    }
    lines.push("99 invoke read".to_owned());
    lines.push("99 ok read 39".to_owned());
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let count = |lines: &[&str]| {
        let parts = read(file(lines).as_bytes()).unwrap();
        let part = parts.values().next().unwrap();
        check_and_count(&part.register, &part.history, 1_000_000)
    };
    assert!(matches!(count(&lines[..lines.len() - 2]).0, Verdict::Linearizable(_)));
    let (verdict, steps) = count(&lines);
    assert!(matches!(verdict, Verdict::Violated(_)), "39 was overwritten, after {steps} steps");
}

/// Run with `--release -- --ignored --nocapture`. It only prints: a busy machine is not a bug.
#[test]
#[ignore = "it measures time"]
fn what_a_check_takes_in_seconds() {
    use std::time::Instant;
    let say = |what: &str, count: usize, steps: u64, began: Instant| {
        let seconds = began.elapsed().as_secs_f64();
        let rate = count as f64 / seconds / 1e6;
        println!(
            "{what}: {count} operations, {steps} steps, {seconds:.3} s, {rate:.2} M operations/s"
        );
        rate
    };
    let mut rng = Rng::new(1);
    let keys: Vec<_> = (0..1_000).map(|_| draw(&mut rng, 5, 2_000, 0)).collect();
    let began = Instant::now();
    let all = keys.iter().map(steps).sum();
    say("1000 keys, 5 clients each", 2_000_000, all, began);
    for (clients, open_percent) in [(3, 0), (10, 0)] {
        let history = draw(&mut rng, clients, 2_000_000, open_percent);
        let began = Instant::now();
        let what = format!("one key, {clients} clients, {open_percent}% open");
        say(&what, 2_000_000, steps(&history), began);
    }
    for clients in [3, 5, 10] {
        let mut history = draw(&mut rng, clients, 100_000, 0);
        let read = history.invoke(9, Call::Read, u64::MAX);
        history.ok(read, 4_711, u64::MAX).unwrap();
        let began = Instant::now();
        let (verdict, steps) = check_and_count(&Register, &history, u64::MAX);
        assert!(matches!(verdict, Verdict::Violated(_)));
        say(&format!("one key, {clients} clients, wrong at its end"), 100_000, steps, began);
    }
    let began = Instant::now();
    let (verdict, steps) = check_and_count(&Register, &hard(40), 50_000_000);
    assert_eq!(verdict, Verdict::Undecided);
    say("40 writes at once, undecided", 82, steps, began);
}
