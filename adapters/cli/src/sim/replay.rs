//! `quorate sim replay`: a recorded node, run again.

mod words;

use crate::output::{plain, show};
use crate::verdict::{Failure, Verdict, conclude};
use clap::Args;
use quorate::Machine as _;
use quorate::id::Slot;
use quorate::lease::{Command, Table};
use quorate_host::lease::table;
use quorate_host::recording::{End, Error, Head, Replay as Recording, Step};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// The recording, which `serve --record` wrote.
    pub(crate) file: PathBuf,
    /// Tell every step.
    #[arg(long)]
    transcript: bool,
    /// Stop after this step, and say how the node was then.
    #[arg(long, value_name = "STEP")]
    until: Option<u64>,
}

type Told = Step<Command>;
type Tape = Recording<Table, BufReader<File>>;

impl Replay {
    pub(crate) fn run(self) -> ExitCode {
        match self.replay() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(failure) => conclude(Err(failure)),
        }
    }

    /// Whether the same came of it. The last line says so.
    fn replay(&self) -> Result<bool, Failure> {
        let wrong = |error: &Error| {
            Failure::Usage(format!("{}: {error}", plain(&self.file.display().to_string())))
        };
        let file = File::open(&self.file).map_err(|error| wrong(&Error::Read(error)))?;
        let mut tape = Recording::open(BufReader::new(file), table()).map_err(|it| wrong(&it))?;
        introduce(&tape)?;
        let until = self.until.unwrap_or(u64::MAX);
        while tape.steps() < until {
            let Some(step) = tape.next().map_err(|error| wrong(&error))? else { break };
            let is_last = !step.is_same() || step.recorded.is_none();
            if self.transcript || is_last {
                tell(&step, &tape)?;
            }
            if !step.is_same() {
                describe(&tape)?;
                show(&differs(&step))?;
                return Ok(false);
            }
        }
        match tape.end() {
            End::Cut { at } => show(&format!("the recording breaks off in a record at byte {at}"))?,
            End::Full => show("the recording ends at its limit; the node went on")?,
            End::Whole => {}
        }
        if self.until.is_some() {
            describe(&tape)?;
        }
        show(&format!("replay: ok steps={} hash={:016x}", tape.steps(), tape.sum().hash))?;
        Ok(true)
    }
}

/// What the node was.
fn introduce(tape: &Tape) -> Verdict {
    let Head { program, kind, group, node, members, setup } = tape.head();
    let raft = &setup.raft;
    show(&format!(
        "node {node} of group {group} {members:?}, {}, recorded by quorate {}",
        plain(kind),
        plain(program)
    ))?;
    show(&format!(
        "boot {}, seed {:016x}, election timeout {} ms, heartbeat {} ms, clocks within {} ms",
        raft.boot,
        raft.seed,
        raft.election_timeout.as_millis(),
        raft.heartbeat.as_millis(),
        setup.clock.max_offset.as_millis()
    ))?;
    let (writes, entries) = tape.log();
    let snapshot = match tape.snapshot() {
        Some(snapshot) => format!("a snapshot of {}, {} bytes", snapshot.boundary, snapshot.size),
        None => "no snapshot".to_owned(),
    };
    show(&format!("on its disk: {snapshot}; {writes} writes with {entries} entries"))
}

/// How the node is after the steps so far.
fn describe(tape: &Tape) -> Verdict {
    let (replica, raft) = (tape.replica(), tape.replica().raft());
    let named =
        |slot: Option<Slot>| slot.map_or("nobody".to_owned(), |slot| words::member(slot, tape));
    show(&format!(
        "{} in term {}, voted for {}, led by {}",
        raft.role(),
        raft.term(),
        named(raft.vote()),
        named(raft.leader())
    ))?;
    show(&format!(
        "log after {} up to {}, durable {}, committed {}, applied {}",
        raft.log().floor(),
        raft.log().last(),
        raft.durable(),
        raft.commit(),
        replica.applied().entry
    ))?;
    let wants = replica.deadline().map(|at| format!("{} µs", at.as_micros()));
    show(&format!("wants a tick at {}", wants.as_deref().unwrap_or("no time")))?;
    for (scope, lease) in replica.state().list("", None) {
        show(&format!(
            "lease {} of {}, token {}, until {} ms",
            plain(&scope.to_string()),
            plain(&lease.holder.to_string()),
            lease.token.index(),
            lease.expires_at.millis()
        ))?;
    }
    Ok(())
}

/// What came of a step, beside what had come of it.
fn differs(step: &Told) -> String {
    let (now, then) = (step.sum, step.recorded.unwrap_or_default());
    let what = match (now.outputs, then.outputs) {
        (now, then) if now == then => "other outputs, or another state behind the same".to_owned(),
        (now, then) => format!("{now} outputs where there were {then}"),
    };
    format!(
        "replay: differs at step={} hash={:016x} recorded={:016x}: {what}",
        step.number, now.hash, then.hash
    )
}

/// A step in words: what the replica was given, then what it said, each on a line.
fn tell(step: &Told, tape: &Tape) -> Verdict {
    let micros = step.now.mono.as_micros();
    let at = format!("{}.{:03}", micros / 1_000, micros % 1_000);
    let refused = step.refused.map_or(String::new(), |why| format!(": refused, {why}"));
    let given = plain(&words::given(&step.given, tape));
    show(&format!("{:>6} {at:>12} {given}{refused}", step.number))?;
    for output in &step.outputs {
        show(&format!("{:>20}{}", "", plain(&words::said(output, tape))))?;
    }
    if step.recorded.is_none() {
        show("the node did not come back from this step")?;
    }
    Ok(())
}
