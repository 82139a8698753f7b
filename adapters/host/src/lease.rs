//! The lease table as a service: what is asked of it without changing it, and the answers.

use crate::asking::Failure;
use crate::protocol::Service;
use quorate::hlc::Stamp;
use quorate::id::Index;
use quorate::lease::{self, Compacted, Config, Event, Name, Response, Table, Token};
use quorate::limits::Limits;
use quorate::time::Span;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;

/// The table that every node of a group begins with: one value for all, or they would answer
/// differently. Leases may last a day, for those that are renewed by people.
#[must_use]
pub fn table() -> Table {
    Table::new(Config { most: Span::secs(24 * 3_600), ..Config::default() }, Limits::default())
}

/// A question about leases.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Query {
    /// The leases of all scopes that begin so.
    List {
        /// What the scopes begin with; empty for all.
        prefix: String,
    },
    /// The lease of one scope.
    One {
        /// The scope.
        scope: Name,
    },
    /// What has happened to leases after an entry of the log.
    Watch {
        /// The entry.
        after: Index,
    },
}

/// The answer to a question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Query::List`]: the leases, by scope.
    Leases(Vec<Lease>),
    /// To [`Query::One`]: the lease, if the scope has one.
    Lease(Option<Lease>),
    /// To [`Query::Watch`]: what has happened, oldest first.
    Events(Vec<Event>),
    /// To [`Query::Watch`]: some of it is forgotten.
    Forgotten(Compacted),
}

/// A lease as the table holds it. One that has run out stays in it until its guard has passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// What is leased.
    pub scope: Name,
    /// Who holds it.
    pub holder: Name,
    /// The name of the grant.
    pub token: Token,
    /// How long it lasts from a renewal.
    pub duration: Span,
    /// When it runs out, in the table's time: about civil time.
    pub expires_at: Stamp,
}

impl Lease {
    fn new(scope: Name, lease: &lease::Lease) -> Self {
        let lease::Lease { holder, token, duration, expires_at, .. } = *lease;
        Self { scope, holder, token, duration, expires_at }
    }
}

impl Service for Table {
    type Query = Query;
    type Answer = Answer;

    const KIND: &'static str = "leases";

    fn answer(&self, query: &Query) -> Answer {
        match query {
            Query::List { prefix } => Answer::Leases(
                self.list(prefix, None).map(|(scope, lease)| Lease::new(*scope, lease)).collect(),
            ),
            Query::One { scope } => {
                Answer::Lease(self.lease(scope).map(|lease| Lease::new(*scope, lease)))
            }
            Query::Watch { after } => match self.watch(*after) {
                Ok(events) => Answer::Events(events.copied().collect()),
                Err(compacted) => Answer::Forgotten(compacted),
            },
        }
    }
}

/// Why a lease is not held.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NotHeld {
    /// The table says no, and why: somebody else holds it, for instance.
    Said(Response),
    /// The group did not answer. If what became of it is not known, the scope may be taken until the
    /// lease runs out.
    Failed(Failure),
    /// It was granted so late that nothing was left of it; it has been given back.
    TooLate,
}

impl fmt::Display for NotHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(Response::Held { holder, token, .. }) => {
                write!(f, "it is held by {} with token {token}", holder.as_str())
            }
            Self::Said(response) => write!(f, "the table says {response:?}"),
            Self::Failed(failure) => failure.fmt(f),
            Self::TooLate => f.write_str("it was granted too late to be used; ask again"),
        }
    }
}

impl std::error::Error for NotHeld {}

/// What a watch hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watched {
    /// Something has happened to a lease.
    Event(Event),
    /// Some of what has happened is forgotten; the watch goes on from there.
    Forgotten(Compacted),
}

/// How far a watch has come.
#[derive(Clone, Debug)]
pub struct Following {
    after: Index,
    heard: VecDeque<Watched>,
}

impl Following {
    /// From after an entry of the log on.
    #[must_use]
    pub const fn new(after: Index) -> Self {
        Self { after, heard: VecDeque::new() }
    }

    /// The next that was heard.
    pub fn pop(&mut self) -> Option<Watched> {
        self.heard.pop_front()
    }

    /// What to ask when nothing is left.
    #[must_use]
    pub const fn query(&self) -> Query {
        Query::Watch { after: self.after }
    }

    /// Takes the answer in. Tells whether there was anything.
    ///
    /// # Errors
    /// [`Failure::Refused`], if it is none to the question.
    pub fn hear(&mut self, answer: Answer) -> Result<bool, Failure> {
        match answer {
            Answer::Events(events) => {
                self.after = events.last().map_or(self.after, |event| event.index);
                self.heard.extend(events.into_iter().map(Watched::Event));
            }
            Answer::Forgotten(compacted) => {
                self.after = compacted.floor;
                self.heard.push_back(Watched::Forgotten(compacted));
            }
            Answer::Leases(_) | Answer::Lease(_) => return Err(Failure::nonsense()),
        }
        Ok(!self.heard.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate::id::{EntryId, Term};
    use quorate::lease::{Change, Command};
    use quorate::{Position, StateMachine};

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn at(index: u64) -> Position {
        let entry = EntryId::new(Term::new(1), Index::new(index));
        Position { entry, stamp: Stamp::at_millis(1_000 + index) }
    }

    /// Two leases under `db/` and one elsewhere, of the entries 1 to 3.
    fn sample() -> Table {
        let mut table = table();
        for (index, scope) in (1..).zip(["db/b", "web", "db/a"]) {
            let (scope, holder) = (name(scope), name("ann"));
            let acquire = Command::Acquire { scope, holder, duration: Span::secs(10) };
            assert!(matches!(table.apply(at(index), &acquire), Response::Granted { .. }));
        }
        table
    }

    #[test]
    fn a_list_holds_what_begins_so_by_scope() {
        let list = |prefix: &str| match sample().answer(&Query::List { prefix: prefix.to_owned() })
        {
            Answer::Leases(leases) => {
                leases.iter().map(|l| (l.scope.to_string(), l.token.index().number())).collect()
            }
            other => panic!("{other:?}"),
        };
        let all: Vec<(String, u64)> = list("");
        assert_eq!(all.len(), 3);
        assert_eq!(list("db/"), [("db/a".to_owned(), 3), ("db/b".to_owned(), 1)]);
        assert_eq!(list(&"x".repeat(1_000)), []);
    }

    #[test]
    fn one_scope_is_asked_for_by_name() {
        let Answer::Lease(Some(lease)) = sample().answer(&Query::One { scope: name("web") }) else {
            panic!("it is held");
        };
        assert_eq!((lease.holder, lease.duration), (name("ann"), Span::secs(10)));
        assert_eq!(lease.expires_at, at(2).stamp.after(Span::secs(10)));
        assert_eq!(sample().answer(&Query::One { scope: name("db") }), Answer::Lease(None));
    }

    #[test]
    fn a_watch_goes_on_after_what_was_heard_and_says_what_is_forgotten() {
        let watch = |table: &Table, after| table.answer(&Query::Watch { after: Index::new(after) });
        let Answer::Events(events) = watch(&sample(), 1) else { panic!("all is remembered") };
        assert_eq!(events.iter().map(|e| e.index.number()).collect::<Vec<_>>(), [2, 3]);
        assert!(events.iter().all(|event| event.change == Change::Granted));
        let mut restored = table();
        let mut bytes = quorate::bounded::List::<u8, { 1 << 20 }>::new();
        sample().snapshot(&mut bytes).unwrap();
        restored.restore(&bytes).unwrap();
        assert!(matches!(watch(&restored, 1), Answer::Forgotten(_)));
        assert_eq!(watch(&restored, 3), Answer::Events(Vec::new()));
    }
}
