//! Your own state machine under the simulator.
//!
//! Write a [`Workload`]: how the state begins, and a command for each number. [`run`] then replicates
//! it in groups that crash, part, lose writes and wake up with wrong clocks, and checks all that is
//! promised of the group. What a wrong state machine shows is R12 or V3: replicas that applied the
//! same commands and differ, because `apply` looked at something that is not in the log, or because
//! `restore` does not bring back what `snapshot` wrote.
//!
//! ```
//! use quorate::codec::{Codec, Malformed, NoRoom, Sink};
//! use quorate::{Position, StateMachine};
//! use quorate_sim::swarm::yours::{Workload, run};
//!
//! #[derive(Clone, Debug)]
//! struct Sum(u64);
//!
//! impl StateMachine for Sum {
//!     type Command = u64;
//!     type Response = u64;
//!     fn apply(&mut self, _: Position, add: &u64) -> u64 {
//!         self.0 = self.0.wrapping_add(*add);
//!         self.0
//!     }
//!     fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
//!         self.0.encode(sink)
//!     }
//!     fn restore(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
//!         self.0 = u64::decode(&mut bytes)?;
//!         Ok(())
//!     }
//! }
//!
//! impl Workload for Sum {
//!     fn begin() -> Self {
//!         Sum(0)
//!     }
//!     fn command(number: u64) -> u64 {
//!         number % 10
//!     }
//! }
//!
//! for seed in 0..3 {
//!     let report = run::<Sum>(seed, 2_000);
//!     assert_eq!(report.violation, None, "seed {seed}");
//! }
//! ```

use super::hosted::{Answer, Bytes, Hosted, Input, Said, Setup, Work};
use super::run::{Plan, Report, run_hosted};
use super::vault::{Command, Found, Query};
use quorate::client::{Reply, What};
use quorate::hlc::{self, Stamp};
use quorate::id::{ClientId, EntryId, Index, Slot};
use quorate::membership::Roster;
use quorate::raft::{Raft, Snapshot, Write};
use quorate::replica::{self, Entry, Header, Replica, Request};
use quorate::time::{Instant, Now};
use quorate::{Machine, Refused, StateMachine};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A state machine, and what is done to it.
pub trait Workload:
    StateMachine<Command: Serialize + DeserializeOwned> + Clone + Debug + 'static
{
    /// The state in which every replica begins.
    fn begin() -> Self;

    /// The command of that number: the same each time.
    fn command(number: u64) -> Self::Command;
}

/// Runs a seed, with faults until so many events have happened.
#[must_use]
pub fn run<S: Workload>(seed: u64, events: u64) -> Report {
    let plan = Plan { machine: super::run::Machine::Replica, events, ..Plan::default() };
    run_hosted::<Yours<S>>(seed, &plan)
}

/// A replica of your state machine.
#[derive(Clone, Debug)]
pub struct Yours<S: Workload>(Replica<S>);

/// Sessions that its requests belong to.
const SESSIONS: u64 = 2;

impl<S: Workload> Hosted for Yours<S> {
    type Entry = Entry<S::Command>;
    type Request = Request<S::Command>;

    fn boot(
        setup: &Setup,
        me: Slot,
        life: u64,
        snapshot: Option<(Snapshot, &[u8])>,
        writes: &[(Write, Vec<Self::Entry>)],
    ) -> Result<Self, String> {
        let clock = hlc::Config { max_offset: setup.max_offset, reserve: None };
        let config = replica::Config {
            raft: setup.raft(me, life),
            clock,
            roster: setup.roster.unwrap_or_default(),
        };
        let mut replica =
            Replica::recover(config, S::begin(), snapshot).map_err(|error| error.to_string())?;
        for (write, entries) in writes {
            replica.replay(write, entries).map_err(|error| error.to_string())?;
        }
        Ok(Self(replica))
    }

    fn step(&mut self, now: Now, input: Input<'_, Self>, said: &mut Said) -> Result<(), Refused> {
        let input = match input {
            Input::Tick => replica::Input::Tick,
            Input::Message { from, header, entries, chunk } => {
                replica::Input::Message { from, header, entries, chunk }
            }
            Input::Submit(requests) => replica::Input::Submit { requests },
            Input::Read => replica::Input::Read,
            Input::Persisted(receipt) => replica::Input::Persisted(receipt),
            Input::PersistFailed => replica::Input::PersistFailed,
            Input::Stored(snapshot) => replica::Input::Stored(snapshot),
            Input::Suspect(slot) => replica::Input::Suspect(slot),
            Input::StepDown => replica::Input::StepDown,
            Input::Transfer(to) => replica::Input::Transfer(to),
            Input::Reconfigure(to) => replica::Input::Reconfigure(to),
            Input::Admit { life, address, founder, replaces } => {
                replica::Input::Admit { life, address, founder, replaces }
            }
            Input::Dismiss(life) => replica::Input::Dismiss(life),
        };
        Machine::step(&mut self.0, now, input, said)
    }

    fn max_outputs(&self) -> usize {
        self.0.max_outputs()
    }
    fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }
    fn raft(&self) -> &Raft {
        self.0.raft()
    }
    fn roster(&self) -> Option<&Roster> {
        Some(self.0.roster())
    }
    fn applied(&self) -> EntryId {
        self.0.applied().entry
    }
    fn entries(&self, first: Index, last: Index) -> Vec<Self::Entry> {
        self.0.entries(first, last).cloned().collect()
    }
    fn entries_of(&self, header: &Header) -> Vec<Self::Entry> {
        self.0.entries_of(header).cloned().collect()
    }
    fn chunk_of(&self, header: &Header) -> &[u8] {
        self.0.chunk_of(header)
    }
    fn bytes_of(&self, snapshot: &Snapshot) -> &[u8] {
        self.0.bytes_of(snapshot)
    }
    fn image(&self) -> Vec<Write> {
        self.0.image().collect()
    }
    fn state(&self) -> Vec<u8> {
        let mut bytes = Bytes::default();
        // It has room for everything.
        let _ = self.0.state().snapshot(&mut bytes);
        bytes.0
    }
    fn stamp(entry: &Self::Entry) -> Option<Stamp> {
        Some(entry.stamp)
    }
    fn clock(&self) -> Option<Stamp> {
        Some(self.0.clock().last())
    }
    fn body(_: &Self::Entry) -> Option<&Entry<Command>> {
        None
    }
    fn request(_: What, _: Option<&Work>) -> Option<Self::Request> {
        None
    }
    fn reply(&self, _: ClientId, _: u64) -> Reply<Answer> {
        Reply::Unknown
    }
    fn find(&self, _: &Query) -> Found {
        Found::Register(0)
    }
    fn numbered(number: u64) -> Option<Self::Request> {
        let client = ClientId::new(number % SESSIONS);
        Some(match number % 16 {
            0..SESSIONS => Request::Open { client },
            _ => Request::Command { client, sequence: number, command: S::command(number) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate::Position;
    use quorate::codec::{Codec, Malformed, NoRoom, Sink};

    /// A counter whose snapshot forgets one of its two numbers.
    #[derive(Clone, Debug)]
    struct Forgetful {
        kept: u64,
        forgotten: u64,
    }

    impl StateMachine for Forgetful {
        type Command = u64;
        type Response = u64;
        fn apply(&mut self, _: Position, add: &u64) -> u64 {
            self.forgotten += add;
            self.kept = self.kept.wrapping_mul(31).wrapping_add(self.forgotten);
            self.kept
        }
        fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
            self.kept.encode(sink)
        }
        fn restore(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
            (self.kept, self.forgotten) = (u64::decode(&mut bytes)?, 0);
            Ok(())
        }
    }

    impl Workload for Forgetful {
        fn begin() -> Self {
            Self { kept: 0, forgotten: 0 }
        }
        fn command(number: u64) -> u64 {
            number
        }
    }

    #[test]
    fn a_snapshot_that_forgets_something_is_found_within_a_few_seeds() {
        let found = (0..20).filter_map(|seed| run::<Forgetful>(seed, 3_000).violation).next();
        let oracle = found.map(|violation| violation.oracle);
        assert!(matches!(oracle, Some("R12" | "V3")), "{oracle:?}");
    }
}
