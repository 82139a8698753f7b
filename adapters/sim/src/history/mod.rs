//! Histories of clients, and whether they are linearizable.
//!
//! A [`History`] says when operations began and how they ended. It is *linearizable* (Herlihy and
//! Wing 1990) if every operation that was answered can be given one instant between its beginning
//! and its end, such that a sequential [`Model`] that takes them in that order gives the very
//! answers that were seen. An operation that failed did not happen. One that never ended is *open*:
//! it took effect at some instant after it began, or will, or never does.
//!
//! [`check`] decides that for one object. Linearizability is local: a history of several objects is
//! linearizable if and only if the part of each is, so [`History::split`] comes first.
//!
//! | room | concern |
//! |---|---|
//! | [`record`] | what happened: operations, their beginnings and ends, their order |
//! | `timeline` | the list of calls and returns, from which operations are lifted |
//! | `search` | the order of the operations is looked for, depth first |
//! | `failed` | what has been tried in vain, within bounds |
//! | `prefix` | the shortest beginning of a history that is wrong already |
//! | [`register`] | the model of a key: read, write, compare and set, append |
//! | [`lines`], `line` | histories as lines of JSON |
//!
//! The search is that of Wing and Gong (1993) with Lowe's memory of states (2017). Its cost is
//! counted in steps of the model, and it gives up after as many as it was given: that count, and
//! every verdict, is the same on every machine.
//!
//! ```
//! use quorate_sim::history::{History, Model, Step, Verdict, check};
//!
//! /// A register of numbers. A read's answer is a number, a write's is not looked at.
//! struct Register;
//!
//! enum Call {
//!     Read,
//!     Write(u64),
//! }
//!
//! impl Model for Register {
//!     type State = u64;
//!     type Call = Call;
//!     type Answer = u64;
//!
//!     fn initial(&self) -> u64 {
//!         0
//!     }
//!
//!     fn step(&self, state: &u64, call: &Call, answer: Option<&u64>) -> Step<u64> {
//!         match call {
//!             Call::Read if answer.is_some_and(|answer| answer != state) => Step::Impossible,
//!             Call::Read => Step::Unchanged,
//!             Call::Write(value) => Step::Becomes(*value),
//!         }
//!     }
//!
//!     fn only_reads(&self, call: &Call, _answer: &u64) -> bool {
//!         matches!(call, Call::Read)
//!     }
//! }
//!
//! let mut history = History::new();
//! let write = history.invoke(1, Call::Write(7), 10);
//! let read = history.invoke(2, Call::Read, 11);
//! history.ok(read, 7, 12)?;
//! assert!(matches!(check(&Register, &history, 1_000), Verdict::Linearizable(_)));
//!
//! // The write was under way when it was read. But it says that it did not happen.
//! history.fail(write, 13)?;
//! assert!(matches!(check(&Register, &history, 1_000), Verdict::Violated(_)));
//! # Ok::<(), quorate_sim::history::Wrong>(())
//! ```

mod failed;
mod line;
pub mod lines;
mod prefix;
pub mod record;
pub mod register;
mod search;
mod timeline;

pub use record::{Event, History, Moment, Operation, OperationId, Outcome, Wrong};

use search::{Found, Search};
use std::hash::Hash;
use timeline::Timeline;

/// What an object does if it is asked one thing after another.
pub trait Model {
    /// What the object is between two operations. It is cloned for each operation that changes it,
    /// so it should be small.
    type State: Clone + Eq + Hash;
    /// What it can be asked.
    type Call;
    /// What it can say.
    type Answer;

    /// The object before the first operation.
    fn initial(&self) -> Self::State;

    /// What a call does in a state, if this is the answer. Without an answer, nobody knows what the
    /// answer would have been, and any would do; the effect must still be the one that the call
    /// has in this state. Equal arguments must give equal results.
    fn step(
        &self,
        state: &Self::State,
        call: &Self::Call,
        answer: Option<&Self::Answer>,
    ) -> Step<Self::State>;

    /// Whether a call with this answer changes nothing *in any state* in which it is possible: a
    /// read, or what was refused. It then need not be tried at more than one instant, which is what
    /// makes the search fast. A write that happens to write what is there does change something
    /// elsewhere.
    fn only_reads(&self, _call: &Self::Call, _answer: &Self::Answer) -> bool {
        false
    }

    /// Whether a call makes the same of *every* state, and is possible in all: a plain write. It
    /// then never needs to follow another call of which nobody knows.
    fn overwrites(&self, _call: &Self::Call) -> bool {
        false
    }
}

/// What a call does in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<S> {
    /// The object would not have said this.
    Impossible,
    /// It would, and stays as it is.
    Unchanged,
    /// It would, and is this then.
    Becomes(S),
}

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The operations can have taken effect in this order. It has every operation that was answered,
    /// and of the open ones those that took effect.
    Linearizable(Vec<OperationId>),
    /// They can have taken effect in no order.
    Violated(Violation),
    /// The budget ended before the search.
    Undecided,
}

/// The beginning of a history that no order explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its events, in the order of time. What has not ended in it is open in it.
    pub events: Vec<Event>,
    /// Whether it is known that the beginning that is shorter by one event can be explained; it is
    /// not if the budget ended before that was settled.
    pub is_shortest: bool,
}

/// Whether a history of one object is linearizable. The search takes at most about `budget` steps
/// of the model, and as many again to find the shortest beginning that is wrong.
pub fn check<M: Model>(model: &M, history: &History<M::Call, M::Answer>, budget: u64) -> Verdict {
    check_and_count(model, history, budget).0
}

/// The same, and how many steps the search took to decide.
///
/// # Panics
/// If there are more than 2^30 operations.
pub fn check_and_count<M: Model>(
    model: &M,
    history: &History<M::Call, M::Answer>,
    budget: u64,
) -> (Verdict, u64) {
    let events = history.events();
    let mut search = Search::new(model, Timeline::new(history, &events), budget);
    let found = search.run();
    let steps = search.steps();
    // What it remembers is not needed any more, and the next search wants the room.
    drop(search);
    let verdict = match found {
        Found::Order(order) => Verdict::Linearizable(order),
        Found::OutOfBudget => Verdict::Undecided,
        Found::Nothing { furthest } => {
            Verdict::Violated(prefix::shortest(model, history, events, furthest, budget))
        }
    };
    (verdict, steps)
}
