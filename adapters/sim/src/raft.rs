//! Raft alone as a subject: identities without payloads.

use crate::cluster::{Disk, Effect, Stimulus, Subject};
use quorate::id::{Members, Slot};
use quorate::limits::Limits;
use quorate::raft::{Config, Input, Message, Output, Raft, Receipt, Write};
use quorate::time::{Instant, Now, Span};
use quorate::{Machine, Refused};
use std::fmt::{self, Display};

/// How the members of a group are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The members that vote.
    pub voters: Members,
    /// The least time without a leader after which a member campaigns.
    pub election_timeout: Span,
    /// How often a leader is heard.
    pub heartbeat: Span,
    /// Bounds.
    pub limits: Limits,
    /// Seeds the members' generators.
    pub seed: u64,
}

impl Setup {
    /// A group of `count` voters with the timeouts of a local network, at board size.
    pub fn of(count: u8) -> Self {
        Self {
            voters: Members::first(usize::from(count)),
            election_timeout: Span::millis(150),
            heartbeat: Span::millis(30),
            limits: quorate::limits::BOARD,
            seed: 1,
        }
    }

    /// One member's configuration.
    pub fn config(&self, me: Slot, life: u64) -> Config {
        Config {
            me,
            voters: self.voters,
            boot: life,
            seed: self.seed ^ (u64::from(me.number()) << 32) ^ life,
            election_timeout: self.election_timeout,
            heartbeat: self.heartbeat,
            limits: self.limits,
        }
    }
}

/// A message that can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet(pub Message);

/// One write, or the image that a rebase stands for.
#[derive(Clone, Debug)]
pub struct Record(pub Vec<Write>);

impl Subject for Raft {
    type Setup = Setup;
    type Ask = Input;
    type Packet = Packet;
    type Record = Record;
    type Receipt = Receipt;
    type Told = Output;

    fn boot(setup: &Setup, me: Slot, life: u64, disk: &Disk<Self>) -> Self {
        let snapshot = disk.snapshot.as_ref().map(|(snapshot, _)| *snapshot);
        let mut raft = Self::recover(setup.config(me, life), snapshot).expect("a sound setup");
        disk.records.iter().flat_map(|record| &record.0).for_each(|write| raft.replay(write));
        raft
    }

    fn step(
        &mut self,
        now: Now,
        input: Stimulus<Self>,
        effects: &mut Vec<Effect<Self>>,
    ) -> Result<(), Refused> {
        let input = match input {
            Stimulus::Tick => Input::Tick,
            Stimulus::Packet(from, Packet(message)) => Input::Message { from, message },
            Stimulus::Persisted(receipt) => Input::Persisted(receipt),
            Stimulus::PersistFailed => Input::PersistFailed,
            Stimulus::Stored(snapshot) => Input::Stored(snapshot),
            Stimulus::Ask(input) => input,
        };
        let outputs = step_vec(self, now, input)?;
        effects.extend(outputs.into_iter().map(|output| match output {
            Output::Persist { receipt, write } => {
                let rebase = matches!(write, Write::Rebase { .. });
                let record = Record(if rebase { self.image().collect() } else { vec![write] });
                Effect::Persist { receipt, record, rebase }
            }
            Output::Send { to, message } => Effect::Send(to, Packet(message)),
            Output::SnapshotReceived { snapshot } => Effect::Store(snapshot, Vec::new()),
            told => Effect::Tell(told),
        }));
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        Machine::deadline(self)
    }
}

/// One step with its outputs in a `Vec`, whatever the backend.
///
/// # Errors
/// [`Refused`], and nothing has happened.
pub fn step_vec<M: Machine>(
    machine: &mut M,
    now: Now,
    input: M::Input<'_>,
) -> Result<Vec<M::Output>, Refused> {
    let mut out = Outputs { outputs: Vec::new(), most: machine.max_outputs() };
    machine.step(now, input, &mut out)?;
    Ok(out.outputs)
}

/// An outbox with exactly the room that a machine says it needs.
struct Outputs<O> {
    outputs: Vec<O>,
    most: usize,
}

impl<O> quorate::Outbox<O> for Outputs<O> {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
    fn room(&self) -> usize {
        self.most - self.outputs.len()
    }
    fn push(&mut self, output: O) {
        assert!(self.outputs.len() < self.most, "more outputs than max_outputs says");
        self.outputs.push(output);
    }
}

impl Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Message::PreVote { term, last } => write!(f, "t{term} would you vote? last {last}"),
            Message::PreVoteReply { term, proposed, granted } => {
                write!(f, "t{term} {} in t{proposed}", if granted { "would" } else { "would not" })
            }
            Message::Vote { term, last } => write!(f, "t{term} vote! last {last}"),
            Message::VoteReply { term, granted } => {
                write!(f, "t{term} {}", if granted { "voted" } else { "not voted" })
            }
            Message::Append { term, prev, entries, count, commit, round } => {
                write!(f, "t{term} append {count} of t{entries} after {prev}")?;
                write!(f, ", commit {commit}, round {round}")
            }
            Message::Matched { term, matched, round } => {
                write!(f, "t{term} matched {matched}, round {round}")
            }
            Message::Conflict { term, rejected, hint, round } => {
                write!(f, "t{term} conflict at {rejected}, hint {hint}, round {round}")
            }
            Message::Chunk { term, boundary, size, offset, length, round, .. } => {
                write!(f, "t{term} snapshot {boundary}: {offset}+{length} of {size}")?;
                write!(f, ", round {round}")
            }
            Message::Received { term, received, round, .. } => {
                write!(f, "t{term} received {received}, round {round}")
            }
            Message::Stale { term } => write!(f, "t{term} is now"),
        }
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, write) in self.0.iter().enumerate() {
            f.write_str(if n > 0 { "; " } else { "" })?;
            match *write {
                Write::Ballot { term, vote: Some(vote) } => write!(f, "ballot t{term} for n{vote}"),
                Write::Ballot { term, vote: None } => write!(f, "ballot t{term}"),
                Write::Append { term, first, last } => write!(f, "t{term} {first}..={last}"),
                Write::Rebase { snapshot, .. } => write!(f, "rebase on {}", snapshot.boundary),
            }?;
        }
        Ok(())
    }
}
