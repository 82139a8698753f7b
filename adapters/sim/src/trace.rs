//! What happened in a run, for those who read or draw it.

use std::fmt;

/// A run, told moment by moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// What it is about, in one line.
    pub title: String,
    /// The lanes, by number: nodes, then clients.
    pub lanes: Vec<String>,
    /// What happened, in order.
    pub moments: Vec<Moment>,
}

/// The lane of what concerns every lane: a partition, say, and its end.
pub const WORLD: usize = usize::MAX;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, in microseconds since the run began.
    pub at: u64,
    /// In whose lane; [`WORLD`], or any other that is not there, if it concerns all of them.
    pub lane: usize,
    /// What kind of thing.
    pub what: What,
    /// It in words, in one line.
    pub words: String,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A message left; it has a number of its own.
    Sent {
        /// The message's number.
        message: u64,
        /// The lane of the receiver.
        to: usize,
    },
    /// A message came in: the one of this number, or a copy of it.
    Heard {
        /// The message's number.
        message: u64,
    },
    /// A message was lost on its way to this lane.
    Lost {
        /// The message's number.
        message: u64,
    },
    /// Something was handed to the disk.
    Written,
    /// Something became durable.
    Durable,
    /// The node died.
    Crashed,
    /// The node came back.
    Started,
    /// The world did something bad: a partition, a clock step, a failing disk.
    Fault,
    /// The world became good again.
    Healed,
    /// The node entered a term.
    Term(u64),
    /// The node leads.
    Leads(u64),
    /// The node leads no longer.
    Deposed,
    /// The node knows entries up to here to be committed.
    Committed(u64),
    /// The node was asked for something, or answered.
    Client,
    /// An oracle saw what must not be.
    Violation,
    /// Anything else.
    Note,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for Moment { at, lane, words, .. } in &self.moments {
            let lane = self.lanes.get(*lane).map_or("all", String::as_str);
            writeln!(f, "{:>12.3} {lane:<4} {words}", *at as f64 / 1_000.0)?;
        }
        Ok(())
    }
}
