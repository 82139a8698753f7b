//! The checker against one that knows no tricks: it tries every order, on real values.

use quorate::rng::Rng;
use quorate_sim::history::register::{Ask, Register, Say, Value};
use quorate_sim::history::{Event, History, Moment, Verdict, check};

#[derive(Clone, Debug)]
struct Done {
    ask: Ask,
    /// None is a failure.
    say: Option<Say>,
    began: u64,
    /// None if it never did.
    ended: Option<u64>,
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap()
}

/// What a text is made of.
fn text(value: &Value) -> String {
    match value {
        Value::Nothing => String::new(),
        Value::Whole(number) => number.to_string(),
        Value::Fraction(_) => unreachable!("none are drawn"),
        Value::Text(text) => text.to_string(),
    }
}

/// The value after a call, and what it says.
fn act(value: &Value, ask: &Ask) -> (Value, Say) {
    match ask {
        Ask::Read => (value.clone(), Say::Value(value.clone())),
        Ask::Write(new) => (new.clone(), Say::Done),
        Ask::Cas(old, new) if old == value => (new.clone(), Say::Done),
        Ask::Cas(..) => (value.clone(), Say::Another),
        Ask::Append(more) => (Value::text(&(text(value) + &text(more))), Say::Done),
    }
}

fn draw_value(rng: &mut Rng) -> Value {
    match rng.below(6) {
        0 => Value::Nothing,
        1 => Value::Whole(1),
        2 => Value::Whole(12),
        3 => Value::text("1"),
        4 => Value::text("2"),
        _ => Value::text("12"),
    }
}

fn draw_ask(rng: &mut Rng) -> Ask {
    match rng.below(7) {
        0..3 => Ask::Read,
        3 => Ask::Write(draw_value(rng)),
        4 | 5 => Ask::Cas(draw_value(rng), draw_value(rng)),
        _ => Ask::Append(draw_value(rng)),
    }
}

/// A history that is linearizable, or was before some answers were changed. Times are few, so that
/// many are equal.
fn draw(rng: &mut Rng) -> Vec<Done> {
    let count = 2 + below(rng, 6);
    let span = 2 + rng.below(8);
    // Each with the instant of its effect.
    let mut operations: Vec<_> = (0..count)
        .map(|_| {
            let mut times = [0; 3].map(|_| rng.below(span));
            times.sort_unstable();
            let [began, instant, ended] = times;
            (instant, Done { ask: draw_ask(rng), say: None, began, ended: Some(ended) })
        })
        .collect();
    operations.sort_by_key(|(instant, _)| *instant);
    let mut value = Value::Nothing;
    for (_, done) in &mut operations {
        let fate = rng.below(10);
        if fate < 3 {
            done.ended = None;
        }
        if fate == 4 {
            continue; // It fails.
        }
        if fate > 0 {
            let (next, say) = act(&value, &done.ask);
            value = next;
            done.say = Some(say);
        }
        if fate == 5 {
            done.say = Some(match done.ask {
                Ask::Read => Say::Value(draw_value(rng)),
                Ask::Cas(..) if rng.below(2) == 0 => Say::Another,
                _ => Say::Done,
            });
        }
    }
    operations.into_iter().map(|(_, done)| done).collect()
}

/// Whether some order of what is left explains the answers.
fn has_order(history: &[Done], used: u32, value: &Value) -> bool {
    let is_left = |at: usize| used >> at & 1 == 0;
    let must = |done: &Done| done.ended.is_some() && done.say.is_some();
    let has_failed = |done: &Done| done.ended.is_some() && done.say.is_none();
    let left = || (0..history.len()).filter(|at| is_left(*at));
    if !left().any(|at| must(&history[at])) {
        return true;
    }
    left().any(|at| {
        let done = &history[at];
        let is_too_early = left().any(|other| {
            let other = &history[other];
            must(other) && other.ended.is_some_and(|ended| ended < done.began)
        });
        if has_failed(done) || is_too_early {
            return false;
        }
        let (next, say) = act(value, &done.ask);
        (done.ended.is_none() || done.say == Some(say)) && has_order(history, used | 1 << at, &next)
    })
}

fn is_fine(history: &[Done]) -> bool {
    has_order(history, 0, &Value::Nothing)
}

/// What is known of a history after its first events.
fn beginning(history: &[Done], events: &[Event]) -> Vec<Done> {
    let has = |at: usize, moment| {
        events.iter().any(|event| event.operation.0 == at && event.moment == moment)
    };
    let begun = (0..history.len()).filter(|at| has(*at, Moment::Begins));
    begun
        .map(|at| {
            let done = history[at].clone();
            if has(at, Moment::Ends) { done } else { Done { ended: None, ..done } }
        })
        .collect()
}

/// Whether an order that is claimed to explain a history does.
fn explains(history: &[Done], order: &[usize]) -> bool {
    let mut value = Value::Nothing;
    let mut used = 0_u32;
    for at in order {
        let done = &history[*at];
        let (next, say) = act(&value, &done.ask);
        let comes_too_late = order.iter().any(|other| {
            used >> other & 1 == 1 && done.ended.is_some_and(|ended| ended < history[*other].began)
        });
        let is_answer = done.ended.is_none() || done.say == Some(say);
        if used >> at & 1 == 1 || comes_too_late || !is_answer {
            return false;
        }
        used |= 1 << at;
        value = next;
    }
    let all = |at: usize| history[at].ended.is_none() || history[at].say.is_none();
    (0..history.len()).all(|at| used >> at & 1 == 1 || all(at))
}

#[test]
fn on_small_histories_the_checker_agrees_with_one_that_tries_every_order() {
    let mut rng = Rng::new(20);
    let mut fine = 0;
    let rounds = 20_000;
    for round in 0..rounds {
        let drawn = draw(&mut rng);
        let talk = drawn.iter().map(|done| (&done.ask, done.ended.and(done.say.as_ref())));
        let register = Register::of(talk);
        let mut history = History::new();
        for (Done { ask, say, began, ended }, process) in drawn.iter().zip(0..) {
            let id = history.invoke(process, register.call(ask), *began);
            match (ended, say) {
                (Some(at), Some(say)) => history.ok(id, register.answer(say), *at).unwrap(),
                (Some(at), None) => history.fail(id, *at).unwrap(),
                (None, _) => {}
            }
        }
        match check(&register, &history, u64::MAX) {
            Verdict::Undecided => panic!("round {round}: the budget has no end"),
            Verdict::Linearizable(order) => {
                fine += 1;
                assert!(is_fine(&drawn), "round {round}: {drawn:?}");
                let order: Vec<_> = order.iter().map(|id| id.0).collect();
                assert!(explains(&drawn, &order), "round {round}: {order:?} of {drawn:?}");
            }
            Verdict::Violated(violation) => {
                let events = history.events();
                let is_wrong = |count: &usize| !is_fine(&beginning(&drawn, &events[..*count]));
                let shortest = (0..=events.len()).find(is_wrong);
                assert_eq!(Some(violation.events.len()), shortest, "round {round}: {drawn:?}");
                assert_eq!(violation.events, events[..violation.events.len()]);
                assert!(violation.is_shortest);
            }
        }
    }
    let parts = rounds / 10..rounds * 9 / 10;
    assert!(parts.contains(&fine), "both kinds are drawn: {fine} of {rounds} are linearizable");
}
