//! What is left after a crash, for recordings so small that all of it can be told.

use super::{Count, Enumerator, Folder, Limits, RecordedFile, RecordingDisk};
use crate::disk::{Rng, SimDisk};
use quorate_host::disk::Disk;
use std::collections::BTreeSet;

/// A recording of a file of one synced byte.
fn disk() -> (RecordingDisk<u8>, RecordedFile) {
    let disk = RecordingDisk::holding(&Folder::from([("file".to_string(), vec![0])]), 0);
    let file = disk.open("file").unwrap();
    (disk, file)
}

fn visit(disk: &RecordingDisk<u8>, from: usize, limits: &Limits) -> (BTreeSet<Folder>, Count) {
    let (mut enumerator, mut all) = (Enumerator::new(1), BTreeSet::new());
    let visited = enumerator.visit(&disk.recording(), from, limits, |folder, _| {
        all.insert(folder.clone());
        Ok(())
    });
    visited.unwrap();
    (all, enumerator.count())
}

/// What the file may hold after a crash now.
fn contents(disk: &RecordingDisk<u8>) -> BTreeSet<Vec<u8>> {
    let (all, _) = visit(disk, disk.operations(), &Limits::default());
    all.into_iter().map(|mut folder| folder.remove("file").unwrap()).collect()
}

fn set<const N: usize>(contents: [&[u8]; N]) -> BTreeSet<Vec<u8>> {
    contents.into_iter().map(<[u8]>::to_vec).collect()
}

#[test]
fn an_unsynced_write_may_be_lost_cut_have_a_hole_or_lengthen_the_file_without_its_bytes() {
    let (disk, file) = disk();
    disk.write_at(&file, 1, &[7, 8]).unwrap();
    let all = set([&[0], &[0, 0], &[0, 7], &[0, 0, 0], &[0, 7, 0], &[0, 0, 8], &[0, 7, 8]]);
    assert_eq!(contents(&disk), all);
    disk.sync(&file).unwrap();
    assert_eq!(contents(&disk), set([&[0, 7, 8]]));
}

#[test]
fn overlapping_writes_may_survive_in_any_order() {
    let (disk, file) = disk();
    for byte in 1..4 {
        disk.write_at(&file, 0, &[byte]).unwrap();
    }
    assert_eq!(contents(&disk), set([&[0], &[1], &[2], &[3]]));
}

#[test]
fn what_a_failed_sync_left_is_in_doubt_whatever_the_next_one_says() {
    let (disk, file) = disk();
    disk.write_at(&file, 1, &[1]).unwrap();
    disk.fail_sync_at(0);
    assert!(disk.sync(&file).is_err());
    disk.write_at(&file, 0, &[5]).unwrap();
    disk.sync(&file).unwrap();
    assert_eq!(contents(&disk), set([&[5], &[5, 0], &[5, 1]]));
    disk.write_at(&file, 1, &[1]).unwrap();
    disk.sync(&file).unwrap();
    assert_eq!(contents(&disk), set([&[5, 1]]));
}

#[test]
fn any_of_the_changes_of_names_may_be_lost_and_a_rename_is_whole() {
    let (disk, _) = disk();
    disk.rename("file", "other").unwrap();
    disk.sync(&disk.create("new", 0).unwrap()).unwrap();
    let names = |disk: &RecordingDisk<u8>| -> BTreeSet<String> {
        let (all, _) = visit(disk, disk.operations(), &Limits::default());
        all.into_iter().map(|it| it.into_keys().collect::<Vec<_>>().join(" ")).collect()
    };
    let all = ["file", "other", "file new", "new other"];
    assert_eq!(names(&disk), all.map(str::to_string).into());
    disk.sync_folder().unwrap();
    assert_eq!(names(&disk), ["new other".to_string()].into());
    disk.remove("new").unwrap();
    assert_eq!(names(&disk), ["new other", "other"].map(str::to_string).into());
}

#[test]
fn a_folder_is_shown_again_only_under_another_promise() {
    let (disk, file) = disk();
    disk.write_at(&file, 0, &[1]).unwrap();
    disk.sync(&file).unwrap();
    disk.promise(1);
    let mut shown = Vec::new();
    let mut enumerator = Enumerator::new(1);
    let visited = enumerator.visit(&disk.recording(), 0, &Limits::default(), |folder, promise| {
        shown.push((folder["file"][0], *promise));
        Ok(())
    });
    visited.unwrap();
    assert_eq!(shown, [(0, 0), (1, 0), (1, 1)]);
    let count = enumerator.count();
    assert_eq!((count.distinct, count.checked, count.points_exhausted), (2, 3, 3));
}

#[test]
fn what_exceeds_a_limit_is_drawn_and_said_to_be() {
    let (disk, file) = disk();
    for nth in 0..6 {
        disk.write_at(&file, nth * 2000, &[1; 1500]).unwrap();
    }
    for name in ["a", "b", "c"] {
        disk.create(name, 1).unwrap();
    }
    let limits = Limits { names: 2, folders: 100, ..Limits::default() };
    let (all, count) = visit(&disk, disk.operations(), &limits);
    assert!(all.len() > 50, "{}", all.len());
    assert_eq!((count.points_exhausted, count.points_sampled), (0, 1));
    assert_eq!((count.names_exhausted, count.names_sampled), (0, 1));
    assert_eq!((count.writes_exhausted, count.writes_sampled), (3, 1));
    assert_eq!((count.sectors_exhausted, count.sectors_sampled), (3, 1));
    assert_eq!(visit(&disk, 0, &limits), visit(&disk, 0, &limits), "another run, other folders");
}

/// The simulated disk crashes by chance; whatever it then holds has been enumerated.
#[test]
fn the_simulated_disk_leaves_only_what_is_enumerated() {
    fn act<D: Disk>(disk: &D) {
        let file = disk.create("one", 2).unwrap();
        disk.sync(&file).unwrap();
        disk.sync_folder().unwrap();
        disk.write_at(&file, 1, &[1, 2]).unwrap();
        disk.write_at(&file, 0, &[3, 4]).unwrap();
        disk.rename("one", "two").unwrap();
        disk.create("one", 1).unwrap();
    }
    let recorded = RecordingDisk::holding(&Folder::new(), 0);
    act(&recorded);
    let limits = Limits { samples: 300, ..Limits::default() };
    let (all, _) = visit(&recorded, recorded.operations(), &limits);
    let simulated = SimDisk::new();
    act(&simulated);
    let mut left = BTreeSet::new();
    for seed in 0..2000 {
        let disk = simulated.fork();
        disk.crash(&mut Rng::new(seed));
        let content = |name: String| disk.durable(&name).map(|content| (name, content));
        let folder: Folder = disk.list().unwrap().into_iter().filter_map(content).collect();
        assert!(all.contains(&folder), "{folder:?} was not enumerated");
        left.insert(folder);
    }
    assert!(left.len() > 20, "{}", left.len());
}

#[test]
fn a_killed_user_sees_what_is_not_durable_and_may_lose_it_later() {
    let (disk, file) = disk();
    disk.write_at(&file, 0, &[1]).unwrap();
    disk.sync(&file).unwrap();
    disk.promise(1);
    let recording = disk.recording();
    assert_eq!((*recording.promised(1), *recording.promised(2)), (0, 1));
    let killed = recording.killed_at(1);
    let (file, mut seen) = (killed.open("file").unwrap(), [0]);
    killed.read_at(&file, 0, &mut seen).unwrap();
    assert_eq!(seen, [1]);
    assert_eq!(killed.durable()["file"], [0]);
    assert_eq!(contents(&killed), set([&[0], &[1]]));
}
