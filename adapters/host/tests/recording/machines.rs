//! A state machine that panics, and one that has changed since it was recorded.

use crate::node::{Heard, Node};
use crate::{FRONT, ROOM, records};
use quorate::hlc::Stamp;
use quorate::id::ClientId;
use quorate::{Position, StateMachine, codec, replica};
use quorate_host::lease::table;
use quorate_host::protocol::{Ask, Service};
use quorate_host::recording::{Error, Replay};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Counts, until it is asked to count to thirteen.
#[derive(Debug, Default)]
struct Superstitious {
    sum: u64,
    /// What it adds to its answers.
    boast: u64,
}

impl StateMachine for Superstitious {
    type Command = u64;
    type Response = u64;
    fn apply(&mut self, _: Position, command: &u64) -> u64 {
        self.sum += command;
        assert_ne!(self.sum, 13, "that brings bad luck");
        self.sum + self.boast
    }
    fn due(&self) -> Option<(Stamp, u64)> {
        None
    }
    fn snapshot<S: codec::Sink + ?Sized>(&self, sink: &mut S) -> Result<(), codec::NoRoom> {
        codec::Codec::encode(&self.sum, sink)
    }
    fn restore(&mut self, mut bytes: &[u8]) -> Result<(), codec::Malformed> {
        self.sum = codec::Codec::decode(&mut bytes)?;
        Ok(())
    }
}

impl Service for Superstitious {
    type Query = ();
    type Answer = u64;
    const KIND: &'static str = "superstitious";
    fn answer(&self, (): &()) -> u64 {
        self.sum
    }
}

#[test]
fn the_step_in_which_a_node_panics_is_the_last_of_its_recording() {
    let (folder, tape) = (tempfile::tempdir().unwrap(), Heard::default());
    let mut node = Node::open(folder.path(), 0, Superstitious::default(), tape.clone(), ROOM);
    let client = ClientId::new(1);
    node.ask(Ask::Submit(replica::Request::Open { client }));
    node.ask(Ask::Submit(replica::Request::Command { client, sequence: 1, command: 6 }));
    let last = replica::Request::Command { client, sequence: 2, command: 7 };
    catch_unwind(AssertUnwindSafe(|| node.ask(Ask::Submit(last)))).expect_err("thirteen");
    drop(node);
    let bytes = tape.bytes();
    assert!(matches!(Replay::open(&bytes[..], table()), Err(Error::OtherKind { .. })));
    let mut replay = Replay::open(&bytes[..], Superstitious::default()).unwrap();
    let mut steps = records(&bytes).len() - FRONT;
    while steps > 1 {
        assert!(replay.next().unwrap().is_some_and(|step| step.recorded.is_some()));
        steps -= 1;
    }
    let again = catch_unwind(AssertUnwindSafe(|| replay.next().map(|_| ())));
    again.expect_err("the same step panics again");
}

#[test]
fn a_state_machine_that_answers_otherwise_than_it_did_is_noticed() {
    let (folder, tape) = (tempfile::tempdir().unwrap(), Heard::default());
    let mut node = Node::open(folder.path(), 0, Superstitious::default(), tape.clone(), ROOM);
    let client = ClientId::new(1);
    node.ask(Ask::Submit(replica::Request::Open { client }));
    let before = node.driver.replica().applied().entry.index;
    node.ask(Ask::Submit(replica::Request::Command { client, sequence: 1, command: 6 }));
    drop(node);
    let bytes = tape.bytes();
    let changed = Superstitious { sum: 0, boast: 1 };
    let mut replay = Replay::open(&bytes[..], changed).unwrap();
    while let Some(step) = replay.next().unwrap() {
        let has_answered = replay.replica().applied().entry.index > before;
        assert_eq!(step.is_same(), !has_answered, "at the very step");
        if has_answered {
            return;
        }
    }
    panic!("it has answered");
}
