//! A node that is recorded, and run again: bit for bit, or the step is named where it is not.

mod group;
mod machines;
mod node;

use node::{Heard, Node};
use quorate::time::Instant;
use quorate_host::driver::Event;
use quorate_host::lease::table;
use quorate_host::recording::{End, Error, Given, Replay, Sum};

/// More than any recording here needs.
const ROOM: u64 = 1 << 30;

/// The recording of a short life.
fn recording() -> Vec<u8> {
    let (folder, tape) = (tempfile::tempdir().unwrap(), Heard::default());
    Node::open(folder.path(), 0, table(), tape.clone(), ROOM).live();
    tape.bytes()
}

/// What a replay comes to, up to the first step that differs: its steps, its sum, how it ends, and
/// that step.
fn replay(bytes: &[u8]) -> Result<(u64, Sum, End, Option<u64>), Error> {
    let mut replay = Replay::open(bytes, table())?;
    while let Some(step) = replay.next()? {
        assert_eq!(step.number, replay.steps());
        if !step.is_same() {
            return Ok((replay.steps(), replay.sum(), replay.end(), Some(step.number)));
        }
    }
    Ok((replay.steps(), replay.sum(), replay.end(), None))
}

/// The contents of a recording's records, and where each begins.
fn records(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let (mut at, mut found) = (8, Vec::new());
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        found.push((at, bytes[at + 8..at + 8 + length].to_vec()));
        at += 12 + length;
    }
    found
}

/// A recording with these contents, soundly framed.
fn framed(contents: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = b"QUORREC2".to_vec();
    for content in contents {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let check = crc32c::crc32c(&length);
        bytes.extend(length.into_iter().chain(check.to_le_bytes()));
        bytes.extend_from_slice(&content);
        bytes.extend(crc32c::crc32c_append(check, &content).to_le_bytes());
    }
    bytes
}

/// Head and beginning: what stands before the first step of a node that had an empty disk.
const FRONT: usize = 2;

#[test]
fn a_recorded_life_replays_bit_for_bit() {
    let bytes = recording();
    let (steps, sum, end, differs) = replay(&bytes).unwrap();
    assert!(steps > 30, "{steps}");
    assert_eq!((end, differs), (End::Whole, None));
    assert_eq!(replay(&bytes).unwrap().1, sum, "twice the same");
    let mut again = Replay::open(&bytes[..], table()).unwrap();
    while again.next().unwrap().is_some() {}
    let scopes: Vec<_> =
        again.replica().state().list("", None).map(|it| it.0.to_string()).collect();
    assert_eq!(scopes, ["a", "b"], "the replay has the node's state");
}

#[test]
fn every_life_of_a_node_replays_with_what_was_on_its_disk() {
    let folder = tempfile::tempdir().unwrap();
    for life in 0..4 {
        let tape = Heard::default();
        let mut node = Node::open(folder.path(), life, table(), tape.clone(), ROOM);
        if life == 2 {
            node.fill();
        }
        node.live();
        let then = node.driver.replica().clone();
        drop(node);
        let bytes = tape.bytes();
        let mut replay = Replay::open(&bytes[..], table()).unwrap();
        assert_eq!(replay.head().setup.raft.boot, then.raft().config().boot);
        assert_eq!(replay.snapshot().is_some(), life == 3, "life 2 was compacted");
        assert_eq!(replay.log().0 > 0, life > 0);
        while let Some(step) = replay.next().unwrap() {
            assert!(step.is_same(), "life {life}: {step:?}");
        }
        assert_eq!(*replay.replica(), then, "life {life}: the whole replica is the same");
    }
}

#[test]
fn every_flipped_bit_is_noticed_where_it_is() {
    let sound = recording();
    let records = records(&sound);
    for place in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[place] ^= 1 << (place % 8);
        let holder = records.iter().rposition(|(begins, _)| *begins <= place);
        match (replay(&bytes), holder) {
            (Err(Error::NotARecording | Error::OtherVersion { .. }), None) => {}
            (Err(Error::Damaged { at, steps, .. }), Some(number)) => {
                assert_eq!(at, records[number].0 as u64);
                assert_eq!(steps, number.saturating_sub(FRONT) as u64);
            }
            other => panic!("byte {place}: {other:?}"),
        }
    }
}

#[test]
fn a_step_that_came_to_something_else_is_named() {
    let bytes = recording();
    for step in [1, 7, 30] {
        let mut contents: Vec<_> =
            records(&bytes).into_iter().map(|(_, content)| content).collect();
        *contents[FRONT + step - 1].last_mut().unwrap() ^= 1;
        let (_, _, _, differs) = replay(&framed(contents)).unwrap();
        assert_eq!(differs, Some(step as u64));
    }
}

#[test]
fn a_step_that_was_given_something_else_is_named() {
    let mut contents: Vec<_> =
        records(&recording()).into_iter().map(|(_, content)| content).collect();
    let is_acquisition = |content: &Vec<u8>| content.windows(3).any(|window| window == b"ann");
    let place = contents.iter().position(is_acquisition).expect("ann asks");
    let at = contents[place].windows(3).position(|window| window == b"ann").unwrap();
    contents[place][at..at + 3].copy_from_slice(b"bob");
    let (_, _, _, differs) = replay(&framed(contents.clone())).unwrap();
    assert_eq!(differs, Some((place + 1 - FRONT) as u64));
    // Without it, the disk confirms a write that was never made.
    contents.remove(place);
    let steps = match replay(&framed(contents)) {
        Err(Error::Damaged { steps, .. }) => steps,
        other => panic!("{other:?}"),
    };
    assert_eq!(steps, (place - FRONT) as u64);
}

#[test]
fn another_seed_or_boot_makes_another_node() {
    let bytes = recording();
    let mut contents: Vec<_> = records(&bytes).into_iter().map(|(_, content)| content).collect();
    let seed = Replay::open(&bytes[..], table()).unwrap().head().setup.raft.seed;
    let form = postcard::to_stdvec(&seed).unwrap();
    let at = contents[0].windows(form.len()).position(|window| window == form).unwrap();
    contents[0][at] ^= 1;
    let (_, _, _, differs) = replay(&framed(contents)).unwrap();
    assert!(differs.is_some());
}

#[test]
fn a_recording_cut_short_replays_up_to_the_cut() {
    let bytes = recording();
    let ends: Vec<_> =
        records(&bytes).iter().map(|(at, content)| at + 12 + content.len()).collect();
    let begins = ends[FRONT - 1];
    for length in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= length).count();
        match replay(&bytes[..length]) {
            Err(Error::NotARecording) => assert!(length < 8),
            Err(Error::NoBeginning) => assert!((8..begins).contains(&length)),
            Ok((steps, _, end, None)) => {
                assert_eq!(steps, (whole - FRONT) as u64);
                let last = ends[whole - 1];
                let at = last as u64;
                assert_eq!(end, if last == length { End::Whole } else { End::Cut { at } });
            }
            other => panic!("{length} bytes: {other:?}"),
        }
    }
}

#[test]
fn a_recording_ends_at_its_limit_and_the_node_goes_on() {
    let (folder, tape) = (tempfile::tempdir().unwrap(), Heard::default());
    let mut node = Node::open(folder.path(), 0, table(), tape.clone(), 1_000);
    node.live();
    node.live();
    assert_eq!(node.driver.replica().state().list("", None).count(), 2);
    assert_eq!(*tape.said.lock().unwrap(), ["it has reached its limit"], "once");
    let bytes = tape.bytes();
    assert!((800..=1_000).contains(&bytes.len()), "{}", bytes.len());
    let (steps, _, end, differs) = replay(&bytes).unwrap();
    assert!(steps > 0);
    assert_eq!((end, differs), (End::Full, None));
}

#[test]
fn a_tape_that_takes_no_more_does_not_disturb_the_node() {
    for patience in [0, 1, 5] {
        let folder = tempfile::tempdir().unwrap();
        let tape = Heard::failing_after(patience);
        let mut node = Node::open(folder.path(), 0, table(), tape.clone(), ROOM);
        node.live();
        assert_eq!(node.driver.replica().state().list("", None).count(), 2);
        assert!(node.effects.replies >= 6);
        assert!(tape.said.lock().unwrap().is_empty(), "the tape has said why itself");
    }
}

#[test]
fn an_idle_node_is_recorded_in_few_bytes() {
    let (folder, tape) = (tempfile::tempdir().unwrap(), Heard::default());
    let mut node = Node::open(folder.path(), 0, table(), tape.clone(), ROOM);
    let before = tape.bytes().len();
    for _ in 0..100 {
        node.take(vec![Event::Tick]);
    }
    let each = (tape.bytes().len() - before) / 100;
    assert!(each <= 32, "{each} bytes a tick");
}

#[test]
fn a_replay_tells_what_the_node_was_given() {
    let bytes = recording();
    let mut replay = Replay::open(&bytes[..], table()).unwrap();
    let (mut ticks, mut submitted, mut reads, mut confirmed, mut admitted) = (0, 0, 0, 0, 0);
    let mut last = Instant::ORIGIN;
    while let Some(step) = replay.next().unwrap() {
        match &step.given {
            Given::Tick => ticks += 1,
            Given::Submit { requests } => submitted += requests.len(),
            Given::Read => reads += 1,
            Given::Persisted { .. } => confirmed += 1,
            Given::Admit { founder: Some(_), .. } => admitted += 1,
            other => panic!("{other:?}"),
        }
        assert!(step.now.mono >= last && step.now.wall.is_some());
        last = step.now.mono;
    }
    assert_eq!((ticks, submitted, reads, admitted), (23, 5, 1, 1));
    assert!(confirmed >= 5);
}
