//! A recording of one life of a node: all that its replica was given, so that it can be run again.
//!
//! A replica is a value, and a step a function. So what it was set up with, what was on its disk and
//! its inputs in their order say everything that it ever was; [`Recorder`] writes that down while a
//! node serves, and [`Replay`] runs it again. Behind each input stands a digest of what came of it,
//! so a replay that goes another way is noticed at the very step.
//!
//! ```text
//! magic                 8 bytes: QUORREC, then the version
//! head                  who recorded, which node, how its replica was set up
//! snapshot              if there was one on the disk: its name and its bytes
//! write …               what was in the log, with entries, in the order of writing
//! begun                 the replica is back; a digest of it
//! step …                an input with its time, then what came of it
//! full                  the recording reached its limit, if it did
//! ```
//!
//! Each record is a length of four bytes, the CRC-32C of these four bytes, the content in postcard,
//! and the CRC-32C of all of that; numbers are little-endian. So a recording that was cut short by a
//! kill is told from a damaged one, and is good up to its last whole record.
//!
//! Time is written as the difference to the step before. A receipt, which is opaque, is written as the
//! number of the write that it confirms. The digest runs over the one before, each output with the
//! entries and bytes that the host sends or writes for it, the answers of the commands that were
//! applied, and the replica's term, role, commit, position and deadline.
//!
//! There is no part of a recording that could be thrown away: a replay begins at the beginning. So
//! a recording has a limit, and ends there.

pub mod file;
mod reader;
mod recorder;
mod replay;
mod witness;

pub use reader::Error;
pub use recorder::{Recorder, Tape};
pub use replay::{End, Given, Replay, Step};
pub use witness::Sum;

use quorate::hlc;
use quorate::id::{Incarnation, Index, Members, Slot};
use quorate::limits::Limits;
use quorate::membership::Address;
use quorate::membership::roster::{self, Life};
use quorate::raft::{self, Configuration, Snapshot, Write};
use quorate::replica::{self, Entry, Header, Request};
use quorate::time::{Instant, Now, Span, Wall};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What a recording begins with; the last byte is the version of the format.
pub const MAGIC: [u8; 8] = *b"QUORREC2";

/// What a node was when its recording began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The version of the program that recorded.
    pub program: String,
    /// The kind of state machine: [`Service::KIND`](crate::protocol::Service::KIND).
    pub kind: String,
    /// The group.
    pub group: u64,
    /// The node.
    pub node: u64,
    /// The members, by slot.
    pub members: Vec<u64>,
    /// How the replica was set up: its boot and its seed among it.
    #[serde(with = "SetupForm")]
    pub setup: replica::Config,
}

/// A record. What is borrowed when it is written is owned when it is read; the bytes are the same.
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "C: Serialize + Clone", deserialize = "C: Deserialize<'de> + Clone"))]
enum Record<'a, C: Clone> {
    Head(Head),
    Snapshot(Snapshot, Cow<'a, [u8]>),
    Write(Write, Cow<'a, [Entry<C>]>),
    Begun(Sum),
    /// Behind it, in the same content, stands the sum; it is not there if the node never came
    /// back from the step.
    Step(Lapse, Input<'a, C>),
    Full,
}

/// An input of a replica.
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "C: Serialize + Clone", deserialize = "C: Deserialize<'de> + Clone"))]
enum Input<'a, C: Clone> {
    Tick,
    Message {
        from: Slot,
        header: Header,
        entries: Cow<'a, [Entry<C>]>,
        chunk: Cow<'a, [u8]>,
    },
    Submit {
        requests: Cow<'a, [Request<C>]>,
    },
    Read,
    /// The number of the write, counted from 1 in this life.
    Persisted(u64),
    PersistFailed,
    Stored(Snapshot),
    StepDown,
    Reconfigure(Configuration),
    Transfer(Slot),
    Suspect(Slot),
    Admit {
        life: Life,
        address: Address,
        founder: Option<Slot>,
        replaces: Option<Incarnation>,
    },
    Dismiss(Life),
}

/// How time went on from one step to the next; wraps, so that no time is lost.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Lapse {
    mono: i64,
    /// How civil time went against monotonic time; none if there is no civil time.
    wall: Option<i64>,
}

/// Turns times into lapses and back.
#[derive(Clone, Copy, Debug, Default)]
struct Chronicle {
    mono: u64,
    ahead: u64,
}

impl Chronicle {
    fn note(&mut self, now: Now) -> Lapse {
        let mono = now.mono.as_micros();
        let lapse = mono.wrapping_sub(self.mono).cast_signed();
        self.mono = mono;
        let wall = now.wall.map(|wall| {
            let ahead = wall.as_micros().wrapping_sub(mono);
            let drift = ahead.wrapping_sub(self.ahead).cast_signed();
            self.ahead = ahead;
            drift
        });
        Lapse { mono: lapse, wall }
    }

    fn tell(&mut self, lapse: Lapse) -> Now {
        self.mono = self.mono.wrapping_add(lapse.mono.cast_unsigned());
        let wall = lapse.wall.map(|drift| {
            self.ahead = self.ahead.wrapping_add(drift.cast_unsigned());
            Wall::from_micros(self.mono.wrapping_add(self.ahead))
        });
        Now { mono: Instant::from_micros(self.mono), wall }
    }
}

/// The form in bytes of [`replica::Config`], which the core does not give it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "replica::Config")]
struct SetupForm {
    #[serde(with = "RaftForm")]
    raft: raft::Config,
    #[serde(with = "ClockForm")]
    clock: hlc::Config,
    #[serde(with = "RosterForm")]
    roster: roster::Config,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "raft::Config")]
struct RaftForm {
    me: Slot,
    voters: Members,
    since: Index,
    boot: u64,
    seed: u64,
    election_timeout: Span,
    heartbeat: Span,
    clock_drift: Option<u32>,
    promotion_lag: Option<u32>,
    rests: bool,
    #[serde(with = "LimitsForm")]
    limits: Limits,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "hlc::Config")]
struct ClockForm {
    max_offset: Span,
    reserve: Option<Span>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "roster::Config")]
struct RosterForm {
    replication_factor: u32,
    evict_after: Option<Span>,
    min_voters: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsForm {
    members: usize,
    runs: usize,
    configurations: usize,
    entries: usize,
    batch: usize,
    window: usize,
    batch_bytes: u32,
    window_bytes: u32,
    uncommitted_bytes: u32,
    sessions: usize,
    snapshot: usize,
    chunk: usize,
    leases: usize,
    lease_events: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_comes_back_as_it_was_even_if_it_leaps() {
        let times =
            [(5, Some(1_790_000_000_000_000)), (9, None), (3, Some(0)), (u64::MAX, Some(1))];
        let (mut writer, mut reader) = (Chronicle::default(), Chronicle::default());
        for (mono, wall) in times.into_iter().chain([(0, Some(u64::MAX)), (0, None)]) {
            let now = Now { mono: Instant::from_micros(mono), wall: wall.map(Wall::from_micros) };
            assert_eq!(reader.tell(writer.note(now)), now);
        }
    }

    #[test]
    fn an_hour_of_idle_ticks_has_small_lapses() {
        let mut writer = Chronicle::default();
        let at = |micros: u64| {
            Now::both(
                Instant::from_micros(micros),
                Wall::from_micros(1_790_000_000_000_000 + micros),
            )
        };
        writer.note(at(1));
        let bytes = postcard::to_stdvec(&writer.note(at(30_001))).unwrap();
        assert!(bytes.len() <= 5, "{bytes:?}");
    }
}
