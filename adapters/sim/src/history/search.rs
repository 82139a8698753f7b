//! The search for an order of the operations that explains their answers: depth first, from what
//! came first, with a memory of what failed.
//!
//! A *place* of the search is the set of operations that were given their place in the order, and
//! the state after them. The answered operations that may come next are those whose calls
//! stand before the first return that is left; the operation of that return is the *blocking* one,
//! for nothing that began later can come before it. Four rules keep the search short. None of them
//! loses an order that would be found without it:
//!
//! 1. An answered operation that may come next and only reads comes next. In any order in which it
//!    comes later it can be moved to here, for nothing misses it there.
//! 2. The blocking operation is tried first, then what makes it possible, then the rest: so
//!    operations wait until they are needed or must.
//! 3. An open operation takes effect only if what comes next would have done something else without
//!    it; otherwise the order without it is as good, and is looked at too. So open operations do not
//!    multiply with each other.
//! 4. What failed once is not tried again. A place is remembered only when all that follows from it
//!    has failed, so a search that never errs remembers nothing, and takes time in proportion to the
//!    length of the history.
//!
//! Where it errs, every open operation that began before is tried, alone and followed by those that
//! build on it. So a key with many hundreds of open operations costs their number squared at each
//! such place; rule 3 keeps it from being two to their number.

use super::failed::Failed;
use super::timeline::{HEAD, Timeline};
use super::{Model, OperationId, Step};
use std::cell::Cell;

/// What a search comes to.
pub(super) enum Found {
    /// An order of everything that was answered and some of what is open.
    Order(Vec<OperationId>),
    /// There is none.
    Nothing {
        /// The furthest that some order comes is to the end of this operation, not beyond.
        furthest: OperationId,
    },
    /// The budget ended first.
    OutOfBudget,
}

/// A search under way.
pub(super) struct Search<'a, M: Model> {
    judge: Judge<'a, M>,
    timeline: Timeline<'a, M::Call, M::Answer>,
    /// The open operations that may follow an open one (rule 3), as numbers among the open ones.
    following: Vec<u32>,
    /// Where the search is: which operations have their place in the order, as bits.
    lifted: Vec<u64>,
    /// And the state after them.
    state: M::State,
    /// How it came here.
    path: Vec<Turn<M::State>>,
    failed: Failed<M::State>,
    budget: u64,
    /// The furthest return that ever was the first that is left.
    furthest: u32,
}

/// An operation that was given its place, and how to try another one instead.
struct Turn<S> {
    operation: u32,
    /// The state before it.
    before: S,
    /// What was tried up to it; nothing else needs to be if it had to come next.
    tried: Option<Tried>,
}

/// A place where the search has a choice, and what it has tried there.
#[derive(Clone, Copy)]
struct Tried {
    first_return: u32,
    stage: Stage,
    /// The last that was tried in this stage: a node, or the number of open operations that are
    /// still to be tried.
    last: u32,
}

/// What is tried one after another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Blocking,
    /// Answered operations after which the blocking one is possible.
    Enabling,
    /// Open operations after which it is, the youngest first.
    OpenEnabling,
    /// The other answered ones.
    Others,
    /// The other open ones.
    OpenOthers,
    Over,
}

/// What the search finds where it has just arrived.
enum Arrival {
    /// All that was answered has its place.
    Complete,
    /// Something has failed here before.
    Known,
    /// There is a choice.
    Choice(Tried),
}

/// The model, and how often it was asked.
struct Judge<'a, M> {
    model: &'a M,
    steps: Cell<u64>,
}

impl<M: Model> Judge<'_, M> {
    /// What a call does in a state. To become the same is to be unchanged.
    fn step(
        &self,
        state: &M::State,
        (call, answer): (&M::Call, Option<&M::Answer>),
    ) -> Step<M::State> {
        self.steps.set(self.steps.get() + 1);
        match self.model.step(state, call, answer) {
            Step::Becomes(next) if next == *state => Step::Unchanged,
            step => step,
        }
    }

    /// Whether a call only reads, and reads what there is.
    fn is_right_read(
        &self,
        state: &M::State,
        (call, answer): (&M::Call, Option<&M::Answer>),
    ) -> bool {
        answer.is_some_and(|answer| self.model.only_reads(call, answer))
            && self.step(state, (call, answer)) != Step::Impossible
    }
}

impl<'a, M: Model> Search<'a, M> {
    pub(super) fn new(
        model: &'a M,
        timeline: Timeline<'a, M::Call, M::Answer>,
        budget: u64,
    ) -> Self {
        let words = timeline.bits().div_ceil(64);
        let follows = |at: &u32| !model.overwrites(timeline.call(timeline.answered() + at).0);
        let following = (0..timeline.open()).filter(follows).collect();
        Self {
            judge: Judge { model, steps: Cell::new(0) },
            lifted: vec![0; words],
            state: model.initial(),
            path: Vec::with_capacity(timeline.len()),
            failed: Failed::new(words),
            timeline,
            following,
            budget,
            furthest: HEAD,
        }
    }

    /// How many steps of the model were taken so far.
    pub(super) fn steps(&self) -> u64 {
        self.judge.steps.get()
    }

    pub(super) fn run(&mut self) -> Found {
        let mut place = None;
        loop {
            // Counted between places: at one place, the list before the first return is an end.
            if self.steps() > self.budget {
                return Found::OutOfBudget;
            }
            let tried = match place.take() {
                Some(tried) => tried,
                None => match self.arrive() {
                    Arrival::Complete => return Found::Order(self.order()),
                    Arrival::Choice(tried) => tried,
                    Arrival::Known => match self.retreat() {
                        Some(tried) => tried,
                        None => return self.nothing(),
                    },
                },
            };
            if let Some((operation, next, tried)) = self.choose(tried) {
                self.advance(operation, next, Some(tried));
                continue;
            }
            self.failed.put(tried.first_return, &self.lifted, self.state.clone());
            place = self.retreat();
            if place.is_none() {
                return self.nothing();
            }
        }
    }

    fn order(&self) -> Vec<OperationId> {
        self.path.iter().map(|turn| self.timeline.id(turn.operation)).collect()
    }

    fn nothing(&self) -> Found {
        let operation = self.timeline.operation(self.furthest);
        Found::Nothing { furthest: self.timeline.id(operation) }
    }

    /// Gives everything its place that may come next and changes nothing, and looks what is left.
    fn arrive(&mut self) -> Arrival {
        // The last call that stays; what is lifted is lifted from behind it.
        let mut last = HEAD;
        let first_return = loop {
            let node = self.timeline.after(last);
            if self.timeline.is_end(node) {
                return Arrival::Complete;
            }
            if self.timeline.is_return(node) {
                break node;
            }
            let operation = self.timeline.operation(node);
            if self.judge.is_right_read(&self.state, self.timeline.call(operation)) {
                self.advance(operation, self.state.clone(), None);
            } else {
                last = node;
            }
        };
        self.furthest = self.furthest.max(first_return);
        if self.failed.has(first_return, &self.lifted, &self.state) {
            return Arrival::Known;
        }
        Arrival::Choice(Tried { first_return, stage: Stage::Blocking, last: HEAD })
    }

    /// The next operation to try here, the state after it, and what has been tried then.
    fn choose(&self, mut tried: Tried) -> Option<(u32, M::State, Tried)> {
        let blocking = self.timeline.operation(tried.first_return);
        loop {
            let candidate = match tried.stage {
                Stage::Blocking => (tried.last == HEAD).then(|| {
                    tried.last = tried.first_return;
                    blocking
                }),
                Stage::Enabling | Stage::Others => self.next_answered(&mut tried, blocking),
                Stage::OpenEnabling | Stage::OpenOthers => self.next_open(&mut tried),
                Stage::Over => return None,
            };
            let Some(operation) = candidate else {
                self.next_stage(&mut tried, blocking);
                continue;
            };
            let next = match self.judge.step(&self.state, self.timeline.call(operation)) {
                Step::Becomes(next) => next,
                // To take effect without a change is no better than to take none yet.
                Step::Unchanged if operation < self.timeline.answered() => self.state.clone(),
                Step::Unchanged | Step::Impossible => continue,
            };
            let fits = match tried.stage {
                Stage::Blocking | Stage::Over => true,
                Stage::Enabling | Stage::OpenEnabling => self.enables(&next, blocking),
                Stage::Others | Stage::OpenOthers => !self.enables(&next, blocking),
            };
            if fits && !self.shows_the_last_idle(operation, &next) {
                return Some((operation, next, tried));
            }
        }
    }

    fn next_stage(&self, tried: &mut Tried, blocking: u32) {
        let mut open = self.timeline.open_before(blocking);
        if self.last_open().is_some() {
            let followers = self.following.partition_point(|at| *at < open);
            open = u32::try_from(followers).unwrap_or(open);
        }
        (tried.stage, tried.last) = match tried.stage {
            Stage::Blocking => (Stage::Enabling, HEAD),
            Stage::Enabling => (Stage::OpenEnabling, open),
            Stage::OpenEnabling => (Stage::Others, HEAD),
            Stage::Others => (Stage::OpenOthers, open),
            Stage::OpenOthers | Stage::Over => (Stage::Over, HEAD),
        };
    }

    /// The next answered operation that may come next and does not block.
    fn next_answered(&self, tried: &mut Tried, blocking: u32) -> Option<u32> {
        loop {
            let node = self.timeline.after(tried.last);
            if node == tried.first_return {
                return None;
            }
            tried.last = node;
            let operation = self.timeline.operation(node);
            if operation != blocking {
                return Some(operation);
            }
        }
    }

    /// The next open operation that may come next.
    fn next_open(&self, tried: &mut Tried) -> Option<u32> {
        let is_after_open = self.last_open().is_some();
        while let Some(left) = tried.last.checked_sub(1) {
            tried.last = left;
            let number = if is_after_open { self.following[left as usize] } else { left };
            let operation = self.timeline.answered() + number;
            let bit = self.timeline.bit(operation);
            if self.lifted[bit / 64] >> (bit % 64) & 1 == 0 {
                return Some(operation);
            }
        }
        None
    }

    fn enables(&self, state: &M::State, blocking: u32) -> bool {
        self.judge.step(state, self.timeline.call(blocking)) != Step::Impossible
    }

    /// The last operation, if it is an open one.
    fn last_open(&self) -> Option<&Turn<M::State>> {
        self.path.last().filter(|turn| turn.operation >= self.timeline.answered())
    }

    /// Whether the last operation is an open one, and this one after it leads to where it would
    /// have led without it.
    fn shows_the_last_idle(&self, operation: u32, next: &M::State) -> bool {
        let Some(Turn { before, .. }) = self.last_open() else {
            return false;
        };
        match self.judge.step(before, self.timeline.call(operation)) {
            Step::Impossible => false,
            Step::Unchanged => before == next,
            Step::Becomes(without) => without == *next,
        }
    }

    /// Gives an operation the next place in the order.
    fn advance(&mut self, operation: u32, next: M::State, tried: Option<Tried>) {
        let before = std::mem::replace(&mut self.state, next);
        self.path.push(Turn { operation, before, tried });
        self.flip(operation);
        if operation < self.timeline.answered() {
            self.timeline.lift(operation);
        }
    }

    /// Goes back to the last place where there was a choice.
    fn retreat(&mut self) -> Option<Tried> {
        while let Some(Turn { operation, before, tried }) = self.path.pop() {
            if operation < self.timeline.answered() {
                self.timeline.put_back(operation);
            }
            self.flip(operation);
            self.state = before;
            if tried.is_some() {
                return tried;
            }
        }
        None
    }

    fn flip(&mut self, operation: u32) {
        let bit = self.timeline.bit(operation);
        self.lifted[bit / 64] ^= 1 << (bit % 64);
    }
}
