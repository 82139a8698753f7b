//! What the log comes to, and what clients are answered: R12 and E1.

use super::super::super::hosted::Bytes;
use super::super::super::vault::{Command, Response, Vault};
use super::super::Reference;
use super::assert_breaks;
use quorate::hlc::Stamp;
use quorate::id::{ClientId, EntryId, Index, Term};
use quorate::limits::{BOARD, Limits};
use quorate::raft::Snapshot;
use quorate::replica::{Body, Entry, Replica, Request};
use quorate::{Position, StateMachine};

type Committed = Vec<(EntryId, Entry<Command>)>;

const CLIENT: ClientId = ClientId::new(7);

/// A log of these requests.
fn log(requests: &[Request<Command>]) -> Committed {
    let entry = |(place, request): (usize, &Request<Command>)| {
        let id = EntryId::new(Term::new(1), Index::new(place as u64 + 1));
        let stamp = Stamp::at_millis(1_000 + place as u64);
        (id, Entry { stamp, body: Body::Request(request.clone()) })
    };
    requests.iter().enumerate().map(entry).collect()
}

fn open() -> Request<Command> {
    Request::Open { client: CLIENT }
}

fn cas(sequence: u64, old: u64, new: u64) -> Request<Command> {
    Request::Command { client: CLIENT, sequence, command: Command::Cas(0, old, new) }
}

fn after(log: &Committed) -> Reference {
    let mut reference = Reference::new(BOARD);
    reference.advance::<Replica<Vault>>(log).expect("no leases are in it");
    reference
}

#[test]
fn another_answer_to_a_command_is_seen() {
    let reference = after(&log(&[open(), cas(1, 0, 5), cas(2, 9, 6)]));
    let answered = |sequence, taken| reference.answered(CLIENT, sequence, &Response::Taken(taken));
    assert_eq!((answered(1, true), answered(2, false)), (Ok(()), Ok(())));
    assert_breaks(answered(1, false), "E1", "and was Some(Taken(true))");
    assert_breaks(answered(2, true), "E1", "and was Some(Taken(false))");
}

#[test]
fn an_answer_to_what_never_took_effect_is_seen() {
    let reference = after(&log(&[cas(1, 0, 5), open()]));
    let answered = reference.answered(CLIENT, 1, &Response::Taken(true));
    assert_breaks(answered, "E1", "and was None");
}

#[test]
fn a_command_that_comes_twice_has_one_effect_and_the_first_answer() {
    // A second effect would find 5 and not 0.
    let reference = after(&log(&[open(), cas(1, 0, 5), cas(1, 0, 5)]));
    assert_eq!(reference.answered(CLIENT, 1, &Response::Taken(true)), Ok(()));
    assert_breaks(reference.answered(CLIENT, 1, &Response::Taken(false)), "E1", "is answered");
}

#[test]
fn a_session_that_made_room_for_another_takes_no_command() {
    let limits = Limits { sessions: 1, ..BOARD };
    let other = Request::Open { client: ClientId::new(8) };
    let mut reference = Reference::new(limits);
    let log = log(&[open(), other, cas(1, 0, 5)]);
    reference.advance::<Replica<Vault>>(&log).unwrap();
    assert_breaks(reference.answered(CLIENT, 1, &Response::Taken(true)), "E1", "was None");
}

/// What a replica stores that has applied these commands, in this order.
fn stored(commands: &[Command]) -> Vec<u8> {
    let mut vault = Vault::new(BOARD);
    let at = Position {
        entry: EntryId::new(Term::new(1), Index::new(1)),
        stamp: Stamp::at_millis(1_000),
    };
    for command in commands {
        let _ = vault.apply(at, command);
    }
    let mut bytes = Bytes(b"position and sessions".to_vec());
    vault.snapshot(&mut bytes).expect("it has room");
    bytes.0
}

#[test]
fn a_snapshot_that_is_not_what_the_log_comes_to_is_seen() {
    let log = log(&[open(), cas(1, 0, 5), cas(2, 5, 6)]);
    let says = |last: u64, bytes: &[u8]| {
        let boundary = EntryId::new(Term::new(1), Index::new(last));
        let snapshot = Snapshot { boundary, size: bytes.len() as u32, digest: 1 };
        after(&log).snapshot(&snapshot, bytes)
    };
    let all = stored(&[Command::Write(0, 6)]);
    assert_eq!(says(3, &all), Ok(()));
    assert_breaks(says(2, &all), "R12", "the snapshot at 2@1");
    assert_breaks(says(3, &stored(&[Command::Write(0, 5)])), "R12", "the snapshot at 3@1");
    assert_breaks(says(3, &stored(&[])), "R12", "the snapshot at 3@1");
    assert_breaks(says(4, &all), "R12", "the snapshot at 4@1");
}

#[test]
fn a_snapshot_behind_one_that_was_checked_is_checked_too() {
    let reference = after(&log(&[open(), cas(1, 0, 5), cas(2, 5, 6)]));
    let says = |last: u64, value: u64| {
        let bytes = stored(&[Command::Write(0, value)]);
        let boundary = EntryId::new(Term::new(1), Index::new(last));
        let snapshot = Snapshot { boundary, size: bytes.len() as u32, digest: last };
        reference.snapshot(&snapshot, &bytes)
    };
    assert_eq!((says(3, 6), says(2, 5)), (Ok(()), Ok(())));
    assert_breaks(says(2, 6), "R12", "the snapshot at 2@1");
}

#[test]
fn a_state_that_is_not_what_the_log_comes_to_is_seen() {
    let reference = after(&log(&[open(), cas(1, 0, 5), cas(2, 5, 6)]));
    let state = |value| {
        let prefix = b"position and sessions".len();
        stored(&[Command::Write(0, value)]).split_off(prefix)
    };
    assert_eq!(reference.applied(3, &state(6)), Ok(()));
    assert_breaks(reference.applied(2, &state(6)), "R5", "a state at 2");
    assert_breaks(reference.applied(3, &state(5)), "R5", "a state at 3");
}
