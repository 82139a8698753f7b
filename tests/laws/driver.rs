//! One driver for every machine. It makes up inputs from choices, which are bytes of a generator's
//! or of a fuzzer's, and checks what `quorate::Machine` promises.

use quorate::event::Event;
use quorate::time::{Instant, Now, Wall};
use quorate::{Machine, Outbox, Refused};
use std::fmt::Debug;

/// A machine whose inputs can be made up: with this it is under all laws.
pub(crate) trait Lawful: Machine + Clone + PartialEq + Debug {
    /// An input that owns what it brings.
    type Given: Clone + Debug;

    /// The machine in one of its first states.
    fn begin(choices: &mut Choices<'_>) -> Self;

    /// A tick.
    fn tick() -> Self::Given;

    /// An input that could mean something here, or nothing at all.
    fn invent(&self, told: &[Self::Output], choices: &mut Choices<'_>) -> Self::Given;

    /// The input as the machine takes it.
    fn lend(given: &Self::Given) -> Self::Input<'_>;

    /// After how many ticks at one time it asks for no more.
    fn most_ticks(&self) -> usize {
        1
    }

    /// Whether it takes a clock that goes backwards for a reason to trust nothing that it timed.
    fn trusts_its_clock(&self) -> bool {
        false
    }
}

/// Choices, until they run out.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    /// A number below `bound`, at most 256.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        u64::from(self.byte()) * bound / 256
    }

    /// A number: most often this one, often beside it, at times at either end or anywhere.
    pub(crate) fn near(&mut self, this: u64) -> u64 {
        match self.below(16) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
            3 | 4 => this.saturating_sub(1),
            5 | 6 => this.saturating_add(1),
            7 => this.saturating_add(self.below(64)),
            _ => this,
        }
    }

    /// One of these, if there is one; rather a late one.
    pub(crate) fn one_of<T: Copy>(&mut self, these: &[T]) -> Option<T> {
        let back = if self.below(2) == 0 { 0 } else { self.below(these.len().min(256) as u64) };
        these.iter().rev().nth(back as usize).copied()
    }
}

/// What came of a step.
pub(crate) type Answer<M> = (Result<(), Refused>, Vec<<M as Machine>::Output>, Vec<Event>);

/// An outbox that permits no more than it has room for.
struct Box<'a, O> {
    outputs: &'a mut Vec<O>,
    events: Vec<Event>,
    most: usize,
}

impl<O> Outbox<O> for Box<'_, O> {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
    fn room(&self) -> usize {
        self.most.saturating_sub(self.outputs.len())
    }
    fn push(&mut self, output: O) {
        assert!(self.room() > 0, "a step makes no more outputs than it says");
        self.outputs.push(output);
    }
    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

pub(crate) fn take<M: Lawful>(machine: &mut M, now: Now, given: &M::Given) -> Answer<M> {
    let (mut outputs, most) = (Vec::new(), machine.max_outputs());
    let mut out = Box { outputs: &mut outputs, events: Vec::new(), most };
    let answer = machine.step(now, M::lend(given), &mut out);
    let events = out.events;
    (answer, outputs, events)
}

/// Drives a machine through all choices, and checks every law at every step.
pub(crate) fn drive<M: Lawful>(bytes: &[u8])
where
    M::Output: Clone + PartialEq + Debug,
{
    let mut choices = Choices(bytes);
    let first = M::begin(&mut choices);
    let (mut machine, mut latest) = (first.clone(), Instant::ORIGIN);
    let (mut told, mut history) = (Vec::new(), Vec::new());
    while !choices.0.is_empty() {
        let is_tick = choices.below(4) == 0;
        let given = if is_tick { M::tick() } else { machine.invent(&told, &mut choices) };
        let now = moment(&machine, latest, &mut choices);
        let heard = latest.max(now.mono);

        refuses_a_bad_outbox(&machine, now, &given, told.last());
        let (mut twin, mut clamped, before) = (machine.clone(), machine.clone(), machine.clone());
        let answer = take(&mut machine, now, &given);
        assert_eq!(answer, take(&mut twin, now, &given), "equal inputs make equal outputs");
        assert_eq!(machine, twin, "equal inputs make equal states");
        let at_latest = take(&mut clamped, Now { mono: heard, ..now }, &given);
        if !machine.trusts_its_clock() {
            assert_eq!(answer, at_latest, "time that goes backwards stands still");
            assert_eq!(machine, clamped, "as if it had never been told");
        }

        let (result, outputs, events) = answer;
        if result.is_err() {
            assert_eq!(machine, before, "what is refused changes nothing: {result:?} {given:?}");
            assert!(outputs.is_empty() && events.is_empty(), "and says nothing");
            continue;
        }
        latest = heard;
        if is_tick {
            asks_for_no_more_ticks(machine.clone(), Now { mono: latest, ..now });
        }
        told.extend(outputs);
        history.push((now, given));
    }

    let (mut again, mut told_again) = (first, Vec::new());
    for (now, given) in &history {
        told_again.extend(take(&mut again, *now, given).1);
    }
    assert_eq!((machine, told), (again, told_again), "a history replays");
}

/// A tick is not asked for again and again.
fn asks_for_no_more_ticks<M: Lawful>(mut machine: M, now: Now)
where
    M::Output: Clone + PartialEq + Debug,
{
    let asks = |machine: &M| machine.deadline().is_some_and(|at| at <= now.mono);
    for _ in 1..machine.most_ticks() {
        if asks(&machine) {
            take(&mut machine, now, &M::tick()).0.expect("a tick is taken");
        }
    }
    assert!(!asks(&machine), "a tick is not asked for again at once");
}

/// When the next step is: soon, at the deadline, much later, or earlier than the last. The civil
/// clock is at times beside it, at times missing.
pub(crate) fn moment<M: Lawful>(machine: &M, latest: Instant, choices: &mut Choices<'_>) -> Now {
    let deadline = machine.deadline().unwrap_or(latest).as_micros();
    let micros = match choices.below(8) {
        0 => latest.as_micros().saturating_sub(choices.below(256)),
        1 => latest.as_micros().saturating_add(choices.below(256) << 12),
        2..4 => latest.as_micros().max(deadline),
        _ => latest.as_micros().saturating_add(choices.below(256)),
    };
    let civil = micros.saturating_add(1_790_000_000_000_000 + (choices.below(256) << 10));
    let wall = (choices.below(4) > 0).then(|| Wall::from_micros(civil));
    Now { mono: Instant::from_micros(micros), wall }
}

fn refuses_a_bad_outbox<M: Lawful>(
    machine: &M,
    now: Now,
    given: &M::Given,
    rest: Option<&M::Output>,
) where
    M::Output: Clone + PartialEq + Debug,
{
    let needs = machine.max_outputs();
    let too_small = (Vec::new(), needs.saturating_sub(1), Refused::OutboxTooSmall { needs });
    let not_empty = rest.map(|rest| (vec![rest.clone()], needs + 1, Refused::OutboxNotEmpty));
    for (mut outputs, most, why) in not_empty.into_iter().chain([too_small]) {
        let (mut twin, before) = (machine.clone(), outputs.clone());
        let mut out = Box { outputs: &mut outputs, events: Vec::new(), most };
        assert_eq!(twin.step(now, M::lend(given), &mut out), Err(why));
        assert!(out.events.is_empty());
        assert_eq!((&twin, outputs), (machine, before), "a bad outbox is refused");
    }
}
