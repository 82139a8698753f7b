//! Real nodes that are recorded, killed, and run again.

use crate::group::{Group, on_each_runtime};
use crate::program::{Ran, await_some, command, quorate};
use std::fs;
use std::path::Path;

fn replay(file: &Path, options: &[&str]) -> Ran {
    Ran::of(command("sim replay").arg(file).args(options).output().expect("the program runs"))
}

/// The number of steps that a replay which is all right has taken, and its last line.
fn steps(ran: Ran) -> (u64, String) {
    let out = ran.done();
    let last = out.lines().last().expect("a verdict").to_owned();
    let steps = last.strip_prefix("replay: ok steps=").expect("it is all right");
    let (steps, hash) = steps.split_once(" hash=").expect("it has a hash");
    assert_eq!(hash.len(), 16);
    (steps.parse().expect("a number"), last)
}

/// Waits until a node's recording tells of a lease: what a node has just done is not yet written.
fn await_recorded(group: &Group, node: usize, scope: &str) {
    let lease = format!("lease {scope} of ");
    await_some("a lease in a recording", || {
        let ran = replay(&group.recording(node), &["--until", ALL]);
        ran.out.contains(&lease).then_some(())
    });
}

/// More steps than any recording here has.
const ALL: &str = "1000000000";

on_each_runtime!(
    recorded_nodes_that_were_killed_replay_bit_for_bit,
    a_replay_tells_as_much_as_it_is_asked_for,
    a_recording_that_was_cut_or_damaged_is_told_so,
);

fn recorded_nodes_that_were_killed_replay_bit_for_bit(runtime: &'static str) {
    let mut group = Group::start_recorded(3, runtime);
    for scope in ["one", "two", "three"] {
        group.ask(&format!("lease acquire {scope} --holder ann --for 10m")).done();
    }
    let killed = group.await_leader();
    await_recorded(&group, killed, "three");
    group.kill(killed);
    let first_life = group.recording(killed);
    let (taken, verdict) = steps(replay(&first_life, &[]));
    assert!(taken > 20, "{taken}");
    assert_eq!(steps(replay(&first_life, &[])).1, verdict, "twice the same");

    // Another leads; the killed node comes back, and its first life is kept.
    group.ask_without(killed, "lease acquire four --holder bob --for 10m").done();
    group.spawn(killed);
    group.ask("lease acquire five --holder bob --for 10m").done();
    let said = group.ask("lease list").done();
    assert!(said.contains("5 leases"), "{said}");
    await_some("the killed node to catch up", || {
        let rows = group.status();
        let applied: Vec<_> = rows.iter().map(|row| row["applied"].as_u64()).collect();
        applied.iter().all(|one| one.is_some() && *one == applied[0]).then_some(())
    });
    for node in 1..=3 {
        await_recorded(&group, node, "five");
        group.kill(node);
    }
    for node in 1..=3 {
        let out = replay(&group.recording(node), &["--until", ALL]).done();
        assert!(out.starts_with(&format!("node {node} of group 1 [1, 2, 3], leases, ")), "{out}");
        assert!(out.contains("lease five of bob, token "), "{out}");
        assert!(out.lines().last().unwrap().starts_with("replay: ok steps="), "{out}");
    }
    let kept = first_life.with_extension("recording.old");
    assert_eq!(steps(replay(&kept, &[])).1, verdict);
}

fn a_replay_tells_as_much_as_it_is_asked_for(runtime: &'static str) {
    let mut group = Group::start_recorded(1, runtime);
    group.ask("lease acquire door --holder ann --for 10m").done();
    await_recorded(&group, 1, "door");
    group.kill(1);
    let file = group.recording(1);
    let (all, _) = steps(replay(&file, &[]));
    let short = replay(&file, &[]).done();
    assert_eq!(short.lines().count(), 4, "what it was, and the verdict:\n{short}");
    let long = replay(&file, &["--transcript"]).done();
    for words in [" ticks", " leads", "Acquire", " is asked ", " has applied ", " on disk"] {
        assert!(long.contains(words), "{words} in\n{long}");
    }
    assert!(long.lines().count() as u64 > all);
    let then = replay(&file, &["--until", "3"]).done();
    assert!(then.contains("wants a tick at "), "{then}");
    assert!(then.lines().last().unwrap().starts_with("replay: ok steps=3 hash="), "{then}");
}

fn a_recording_that_was_cut_or_damaged_is_told_so(runtime: &'static str) {
    let mut group = Group::start_recorded(1, runtime);
    group.ask("lease acquire door --holder ann --for 10m").done();
    await_recorded(&group, 1, "door");
    group.kill(1);
    let file = group.recording(1);
    let (all, _) = steps(replay(&file, &[]));
    let whole = fs::read(&file).unwrap();

    fs::write(&file, &whole[..whole.len() - 3]).unwrap();
    let cut = replay(&file, &[]);
    assert!(cut.out.contains("the recording breaks off in a record at byte "), "{cut:?}");
    assert_eq!(steps(cut).0, all - 1);

    let mut damaged = whole.clone();
    let last = damaged.len() - 7;
    damaged[last] ^= 1;
    fs::write(&file, &damaged).unwrap();
    let ran = replay(&file, &[]);
    assert_eq!(ran.code, Some(2));
    let where_ = format!(", after step {}: its content has a wrong checksum", all - 1);
    assert!(ran.err.contains(" is damaged at byte ") && ran.err.contains(&where_), "{ran:?}");

    // The same with sound checksums: another time in the last step, or another sum of it.
    let begins = last_record(&whole);
    let mut other = whole.clone();
    let end = other.len() - 4;
    other[end - 1] ^= 1;
    let check = crc32c(&other[begins..begins + 4], &other[begins + 8..end]);
    other[end..].copy_from_slice(&check);
    fs::write(&file, &other).unwrap();
    let ran = replay(&file, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""), "{ran:?}");
    let last = ran.out.lines().last().unwrap();
    assert!(last.starts_with(&format!("replay: differs at step={all} hash=")), "{last}");

    fs::write(&file, b"QUORREC9").unwrap();
    let line = replay(&file, &[]).failed(2);
    assert!(line.ends_with("is a recording of version 9; this program reads version 1"), "{line}");
    fs::write(&file, b"something else").unwrap();
    assert!(replay(&file, &[]).failed(2).ends_with(": is no recording"));
    let line = quorate("sim replay no/such/file").failed(2);
    assert!(line.starts_with("no/such/file: cannot be read"), "{line}");
}

/// Where the last record of a recording begins.
fn last_record(bytes: &[u8]) -> usize {
    let (mut at, mut begins) = (8, 8);
    while at < bytes.len() {
        begins = at;
        at += 12 + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    }
    begins
}

/// CRC-32C of two stretches of bytes, bit by bit.
fn crc32c(first: &[u8], second: &[u8]) -> [u8; 4] {
    let rest = first.iter().chain(second).fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(crc & 1))
        })
    });
    (!rest).to_le_bytes()
}
