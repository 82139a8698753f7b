//! The same for snapshots: the newest that was saved is found and whole, or a newer one.

use crate::faulty::{Fault, Faulty};
use quorate_host::disk::Disk;
use quorate_host::snapshot::{Key, Snapshots};
use quorate_sim::disk_states::{Enumerator, Failure, Folder, Limits, RecordingDisk};

/// The index of the newest snapshot whose saving has returned, and zero for none.
type Saved = u64;

fn key(index: u64) -> Key {
    Key { index, term: 3, digest: index * 7 }
}

/// Longer than a sector, and no two alike.
fn content(index: u64) -> Vec<u8> {
    (0..700 + index * 50).map(|i| (i * index) as u8).collect()
}

/// Saves, and now and then removes what is older; kills and a failed sync between.
fn work<D: Disk + Clone>(tape: &RecordingDisk<Saved>, disk: &D) -> Result<(), String> {
    let mut saved = 0;
    for index in [2, 4, 3, 5, 5, 9, 11] {
        if index == 9 {
            tape.fail_sync_at(0);
        }
        let snapshots = Snapshots::open(disk.clone()).map_err(|error| error.to_string())?;
        if snapshots.save(key(index), &content(index)).is_err() {
            continue;
        }
        saved = saved.max(index);
        tape.promise(saved);
        if index % 2 == 1 {
            snapshots.remove_older(key(saved)).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn newest(folder: &Folder) -> Result<Saved, String> {
    let snapshots = Snapshots::open(RecordingDisk::holding(folder, ())).expect("it only syncs");
    match snapshots.newest().map_err(|error| error.to_string())? {
        None => Ok(0),
        Some((found, bytes)) if found == key(found.index) && bytes == content(found.index) => {
            Ok(found.index)
        }
        Some((found, _)) => Err(format!("snapshot {} was never saved so", found.index)),
    }
}

fn check(folder: &Folder, saved: &Saved) -> Result<(), String> {
    let found = newest(folder)?;
    if found < *saved {
        return Err(format!("snapshot {found} has taken the place of {saved}"));
    }
    let disk = RecordingDisk::holding(folder, ());
    let snapshots = Snapshots::open(disk.clone()).expect("it only syncs");
    let next = found + 1;
    snapshots.save(key(next), &content(next)).map_err(|error| error.to_string())?;
    if newest(&disk.durable())? != next {
        return Err(format!("the next snapshot, {next}, is gone"));
    }
    snapshots.remove_older(key(next)).map_err(|error| error.to_string())?;
    let left = Snapshots::open(RecordingDisk::holding(&disk.durable(), ()));
    let left = left.and_then(|it| it.list()).map_err(|error| error.to_string())?;
    if left != [key(next)] {
        return Err(format!("{left:?} are left"));
    }
    Ok(())
}

fn visit(
    tape: &RecordingDisk<Saved>,
    enumerator: &mut Enumerator,
    limits: &Limits,
) -> Result<(), Box<Failure>> {
    enumerator.visit(&tape.recording(), 0, limits, check)
}

/// Checks every folder that may be left, after a crash and after a kill with a crash later.
pub(crate) fn visit_all(enumerator: &mut Enumerator, limits: &Limits, stride: usize) {
    let tape = RecordingDisk::holding(&Folder::new(), 0);
    work(&tape, &tape).unwrap();
    visit(&tape, enumerator, limits).unwrap_or_else(|failure| panic!("snapshots: {failure}"));
    let recording = tape.recording();
    for n in (0..=recording.length()).step_by(stride) {
        let tape = recording.killed_at(n);
        let found = {
            let snapshots = Snapshots::open(tape.clone()).unwrap();
            snapshots.newest().unwrap().map_or(0, |(key, _)| key.index)
        };
        assert!(found >= *recording.promised(n));
        // What was found after the folder was synced is there to stay.
        tape.promise(found);
        let snapshots = Snapshots::open(tape.clone()).unwrap();
        snapshots.save(key(20), &content(20)).unwrap();
        tape.promise(20);
        snapshots.remove_older(key(20)).unwrap();
        let visited = enumerator.visit(&tape.recording(), n, limits, check);
        visited.unwrap_or_else(|failure| panic!("snapshots after a kill at {n}: {failure}"));
    }
}

#[test]
fn snapshots_on_a_disk_that_breaks_its_word_are_caught() {
    for (fault, words) in [
        (Fault::Nothing, None),
        (Fault::NoSync, Some("is damaged")),
        (Fault::NoFolderSync, Some("has taken the place of")),
        (Fault::RenameFirst, Some("is damaged")),
        (Fault::SwallowedFailure, Some("is damaged")),
        (Fault::RetriedSync, Some("is damaged")),
    ] {
        let tape = RecordingDisk::holding(&Folder::new(), 0);
        work(&tape, &Faulty::above(&tape, fault, 0)).unwrap();
        let visited = visit(&tape, &mut Enumerator::new(1), &Limits::default());
        match (visited, words) {
            (Ok(()), None) => {}
            (Err(failure), Some(words)) => assert!(failure.why.contains(words), "{failure}"),
            (visited, _) => panic!("{fault:?}: {visited:?}"),
        }
    }
}
