//! Every folder that a crash may leave, made from recordings of the log and the snapshots at work:
//! each is opened, holds what was promised, and goes on.

mod broken;
mod caller;
mod faulty;
mod snapshots;
mod workloads;

use caller::{Caller, History, Promise, check};
use quorate_sim::disk_states::{Enumerator, Folder, Limits, Recording, RecordingDisk};
use workloads::{Workload, afterwards};

type Honest = RecordingDisk<Promise>;

/// How much is visited.
struct Extent {
    limits: Limits,
    /// Within these, what a second life may leave: there are many of them.
    limits_later: Limits,
    /// How many mixtures are drawn.
    mixtures: u64,
    /// One of so many folders, and one of so many kills, begins a second life.
    crashes: u64,
    kills: usize,
}

/// A first life that ended, and a sample of the folders that it may have left.
struct First {
    lives: Vec<History>,
    recording: Recording<Promise>,
    left: Vec<(Folder, Promise)>,
}

/// Lets a caller work, and checks every folder it may leave.
fn first_life(
    enumerator: &mut Enumerator,
    extent: &Extent,
    (name, work): Workload<Honest>,
    seed: u64,
) -> First {
    let mut caller = Caller::new(seed);
    work(&mut caller).unwrap_or_else(|why| panic!("{name}, seed {seed}: {why}"));
    let (lives, recording) = (caller.lives, caller.tape.recording());
    let (mut left, mut nth) = (Vec::new(), 0);
    let visited = enumerator.visit(&recording, 0, &extent.limits, |folder, promised| {
        nth += 1;
        if nth % extent.crashes == 0 {
            left.push((folder.clone(), promised.clone()));
        }
        check(&lives, folder, promised)
    });
    visited.unwrap_or_else(|failure| panic!("{name}, seed {seed}: {failure}"));
    First { lives, recording, left }
}

/// Goes on after some crashes of a first life, and crashes again anywhere in that.
fn after_a_crash(enumerator: &mut Enumerator, extent: &Extent, first: &First) {
    for (seed, (folder, promised)) in (0..).zip(&first.left) {
        let tape = RecordingDisk::holding(folder, promised.clone());
        let caller = Caller::after(tape, &first.lives, promised, seed);
        second_life(enumerator, extent, caller, 0);
    }
}

/// Goes on after kills at some points of a first life, then crashes anywhere in that.
fn after_a_kill(enumerator: &mut Enumerator, extent: &Extent, first: &First) {
    for n in (0..=first.recording.length()).step_by(extent.kills) {
        let (tape, promised) = (first.recording.killed_at(n), first.recording.promised(n));
        let caller = Caller::after(tape, &first.lives, promised, n as u64);
        second_life(enumerator, extent, caller, n);
    }
}

fn second_life(
    enumerator: &mut Enumerator,
    extent: &Extent,
    mut caller: Caller<Honest>,
    from: usize,
) {
    afterwards(&mut caller).unwrap_or_else(|why| panic!("in the second life: {why}"));
    let (lives, recording) = (caller.lives, caller.tape.recording());
    let visited = enumerator.visit(&recording, from, &extent.limits_later, |folder, promised| {
        check(&lives, folder, promised)
    });
    visited.unwrap_or_else(|failure| panic!("after the second life: {failure}"));
}

/// Visits all, and says how many different folders that were.
fn visit_all(extent: &Extent) -> u64 {
    let mut enumerator = Enumerator::new(1);
    let mixture = *workloads::all().last().expect("there are workloads");
    let mixtures = (1..extent.mixtures).map(|seed| (mixture, 100 + seed));
    let mut firsts = Vec::new();
    for (workload, seed) in workloads::all().into_iter().zip(1..).chain(mixtures) {
        let before = enumerator.count();
        firsts.push(first_life(&mut enumerator, extent, workload, seed));
        println!("{}, seed {seed}: {}", workload.0, enumerator.count().since(before));
    }
    let before = enumerator.count();
    for first in &firsts {
        after_a_crash(&mut enumerator, extent, first);
    }
    let crashes: usize = firsts.iter().map(|first| first.left.len()).sum();
    println!("{crashes} second lives after a crash: {}", enumerator.count().since(before));
    let before = enumerator.count();
    for first in &firsts {
        after_a_kill(&mut enumerator, extent, first);
    }
    println!("second lives after a kill: {}", enumerator.count().since(before));
    let before = enumerator.count();
    snapshots::visit_all(&mut enumerator, &extent.limits, extent.kills);
    println!("snapshots: {}", enumerator.count().since(before));
    println!("all: {}", enumerator.count());
    println!("disk states: ok states={}", enumerator.count().distinct);
    enumerator.count().distinct
}

const FEW: Limits =
    Limits { writes: 3, sectors: 4, cut_bytes: 24, names: 5, folders: 200, samples: 4 };

#[test]
fn every_folder_that_a_crash_may_leave_opens_and_has_what_was_promised() {
    let limits = Limits { folders: 1024, ..Limits::default() };
    let extent = Extent { limits, limits_later: FEW, mixtures: 1, crashes: 5000, kills: 20 };
    let states = visit_all(&extent);
    assert!(states >= 100_000, "a vacuous run: {states}");
}

#[test]
#[ignore = "minutes: run with --release -- --ignored --nocapture"]
fn every_folder_of_many_lives_opens_and_has_what_was_promised() {
    let limits =
        Limits { writes: 5, sectors: 10, cut_bytes: 2048, names: 10, folders: 8192, samples: 64 };
    let limits_later = Limits { cut_bytes: 64, folders: 512, samples: 8, ..Limits::default() };
    let extent = Extent { limits, limits_later, mixtures: 4, crashes: 20_000, kills: 7 };
    let states = visit_all(&extent);
    assert!(states >= 400_000, "a vacuous run: {states}");
}
