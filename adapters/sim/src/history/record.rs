//! What happened: operations, when each began, and how it ended.
//!
//! Times order events and mean nothing else. An operation comes before another only if it ended at
//! an *earlier* time than the other began: what ends at the time at which another begins is
//! concurrent with it, even if one client did both. So where times are coarse nothing is accused
//! that might be right.

use std::collections::BTreeMap;
use std::fmt;

/// The operations of clients, recorded in any order.
#[derive(Clone, Debug)]
pub struct History<C, A> {
    operations: Vec<Operation<C, A>>,
    /// As recorded.
    events: Vec<Event>,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<C, A> {
    /// Who did it; for those who read the history, the check does not care.
    pub process: u64,
    /// What was asked.
    pub call: C,
    /// When.
    pub began: u64,
    /// How it ended.
    pub outcome: Outcome<A>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<A> {
    /// It did not, or nobody knows how.
    Open,
    /// It took effect, and this was the answer.
    Ok {
        /// The answer.
        answer: A,
        /// When it came.
        at: u64,
    },
    /// It certainly had no effect.
    Failed {
        /// When that was known.
        at: u64,
    },
}

/// Names an operation of a history: they count from 0 in the order in which they were recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub usize);

/// A beginning or an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: u64,
    /// Which of the two.
    pub moment: Moment,
    /// Of what.
    pub operation: OperationId,
}

/// A moment of an operation. At one time, all that begins comes before all that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// It begins.
    Begins,
    /// It ends, with an answer or by failing.
    Ends,
}

/// Why an end was not recorded. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// There is no such operation.
    Unknown,
    /// It has ended already.
    Ended,
    /// It had not begun at that time.
    BeforeItBegan,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "there is no such operation",
            Self::Ended => "the operation has ended already",
            Self::BeforeItBegan => "the operation would end before it began",
        })
    }
}

impl std::error::Error for Wrong {}

impl<C, A> Default for History<C, A> {
    fn default() -> Self {
        Self { operations: Vec::new(), events: Vec::new() }
    }
}

impl<C, A> History<C, A> {
    /// A history without operations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that an operation begins. It is open until its end is recorded.
    pub fn invoke(&mut self, process: u64, call: C, at: u64) -> OperationId {
        let operation = OperationId(self.operations.len());
        self.operations.push(Operation { process, call, began: at, outcome: Outcome::Open });
        self.events.push(Event { at, moment: Moment::Begins, operation });
        operation
    }

    /// Records the answer of an operation.
    ///
    /// # Errors
    /// Why it cannot be the end of this operation.
    pub fn ok(&mut self, operation: OperationId, answer: A, at: u64) -> Result<(), Wrong> {
        self.end(operation, Outcome::Ok { answer, at }, at)
    }

    /// Records that an operation has had no effect and will have none.
    ///
    /// # Errors
    /// Why it cannot be the end of this operation.
    pub fn fail(&mut self, operation: OperationId, at: u64) -> Result<(), Wrong> {
        self.end(operation, Outcome::Failed { at }, at)
    }

    fn end(&mut self, id: OperationId, outcome: Outcome<A>, at: u64) -> Result<(), Wrong> {
        let operation = self.operations.get_mut(id.0).ok_or(Wrong::Unknown)?;
        if !matches!(operation.outcome, Outcome::Open) {
            return Err(Wrong::Ended);
        }
        if at < operation.began {
            return Err(Wrong::BeforeItBegan);
        }
        operation.outcome = outcome;
        self.events.push(Event { at, moment: Moment::Ends, operation: id });
        Ok(())
    }

    /// The operations, in the order in which they were recorded.
    #[must_use]
    pub fn operations(&self) -> &[Operation<C, A>] {
        &self.operations
    }

    /// All beginnings and ends in the order of time; at one time all beginnings come first, and
    /// otherwise what was recorded first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let mut events = self.events.clone();
        events.sort_by_key(|event| (event.at, event.moment));
        events
    }

    /// The histories of the objects that the operations are about. Operations keep their order, and
    /// are counted anew in each.
    #[must_use]
    pub fn split<K: Ord>(self, object: impl Fn(&C) -> K) -> BTreeMap<K, Self> {
        let mut parts: BTreeMap<K, Self> = BTreeMap::new();
        for Operation { process, call, began, outcome } in self.operations {
            let part = parts.entry(object(&call)).or_default();
            let id = part.invoke(process, call, began);
            match outcome {
                Outcome::Open => {}
                Outcome::Ok { at, .. } | Outcome::Failed { at } => {
                    part.operations[id.0].outcome = outcome;
                    part.events.push(Event { at, moment: Moment::Ends, operation: id });
                }
            }
        }
        parts
    }
}
