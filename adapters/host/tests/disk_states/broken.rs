//! Disks and logs that break a promise are caught: whatever the claims of `main.rs` rest on can fail.

use crate::caller::{Caller, Found, History, Promise, check, open};
use crate::faulty::{Fault, Faulty};
use crate::workloads;
use quorate_sim::disk_states::{Enumerator, Failure, Folder, Limits, RecordingDisk};

/// What is found wrong after a workload on a disk that has this fault from the n-th operation on.
fn failure(fault: Fault, from: usize, name: &str) -> Option<Box<Failure>> {
    let tape = RecordingDisk::holding(&Folder::new(), Promise::default());
    let disk = Faulty::above(&tape, fault, from);
    let mut caller = Caller::on(tape, disk, 1);
    let named = workloads::all().into_iter().find(|(other, _)| *other == name);
    let (_, work) = named.expect("there is such a workload");
    // A disk may also be so wrong that the caller notices itself; what it left is wrong all the same.
    let _ = work(&mut caller);
    let limits = Limits { cut_bytes: 64, folders: 200, samples: 4, ..Limits::default() };
    let mut enumerator = Enumerator::new(1);
    let seen = |folder: &Folder, promised: &Promise| check(&caller.lives, folder, promised);
    enumerator.visit(&caller.tape.recording(), 0, &limits, seen).err()
}

/// In all of these workloads the fault is caught with one of these words, whether it was there
/// from the beginning or came after the first opening. They pass without it.
fn caught(fault: Fault, workloads: &[&str], words: &[&str]) {
    for name in workloads {
        if let Some(failure) = failure(Fault::Nothing, 0, name) {
            panic!("{name} fails anyway: {failure}");
        }
        for from in [0, AFTER_OPENING] {
            let failure = failure(fault, from, name)
                .unwrap_or_else(|| panic!("{fault:?} from {from} on was not caught in {name}"));
            println!("{fault:?} from {from} on, {name}: {}", failure.why);
            assert!(words.iter().any(|word| failure.why.contains(word)), "{failure}");
        }
    }
}

/// The first opening takes fewer operations.
const AFTER_OPENING: usize = 16;
const LOST: &str = "acknowledged batches are left";
const DAMAGED: &str = "is damaged";
const NUMBER: &str = "opening number";

#[test]
fn a_disk_that_does_not_sync_files_is_caught() {
    caught(Fault::NoSync, &["group commits", "rebases", "kills"], &[LOST, DAMAGED, NUMBER]);
}

#[test]
fn a_disk_that_syncs_when_it_has_said_so_already_is_caught() {
    caught(Fault::LateSync, &["group commits", "segment changes"], &[LOST, DAMAGED, NUMBER]);
}

#[test]
fn a_rename_without_a_sync_of_the_folder_is_caught() {
    let words = [LOST, DAMAGED, NUMBER, "instead of"];
    caught(Fault::NoFolderSync, &["segment changes", "rebases", "spares"], &words);
}

#[test]
fn a_rename_before_the_sync_of_the_file_is_caught() {
    caught(Fault::RenameFirst, &["segment changes", "rebases"], &[LOST, DAMAGED]);
}

#[test]
fn a_failed_sync_that_is_told_as_none_is_caught() {
    caught(Fault::SwallowedFailure, &["a failed sync"], &[LOST, DAMAGED, NUMBER]);
}

#[test]
fn a_failed_sync_that_is_tried_again_is_caught() {
    caught(Fault::RetriedSync, &["a failed sync"], &[LOST, DAMAGED, NUMBER]);
}

#[test]
fn a_wrong_answer_of_any_kind_is_caught() {
    let batch = |name: u8| vec![name; 9];
    let life = History {
        batches: (0..6).map(batch).collect(),
        images: vec![(2, b"older".to_vec()), (4, b"newer".to_vec())],
    };
    let promised = Promise { batches: 5, images: 2, ..Promise::default() };
    let judge = |image: Option<&[u8]>, batches: &[u8]| {
        let batches = batches.iter().map(|name| batch(*name)).collect();
        life.judge(&promised, &Found { image: image.map(<[u8]>::to_vec), batches })
    };
    assert_eq!(judge(Some(b"newer"), &[4]), Ok((5, 2)));
    assert_eq!(judge(Some(b"newer"), &[4, 5]), Ok((6, 2)));
    type Wrong<'a> = (Option<&'a [u8]>, &'a [u8], &'a str);
    let wrong: [Wrong<'_>; 8] = [
        (Some(b"newer"), &[], "4 of 5 acknowledged batches are left"),
        (Some(b"newer"), &[5], "batch 5 came back in the place of 4"),
        (Some(b"newer"), &[4, 4], "batch 4 came back in the place of 5"),
        (Some(b"newer"), &[3, 4, 5], "batch 3 came back in the place of 4"),
        (Some(b"newer"), &[4, 5, 9], "in the place of batch 6 came one of no place"),
        (Some(b"older"), &[2, 3, 4], "image 1 came back instead of 2"),
        (None, &[0, 1, 2, 3, 4], "image 0 came back instead of 2"),
        (Some(b"other"), &[4], "an image came back that was never written"),
    ];
    for (image, batches, why) in wrong {
        assert_eq!(judge(image, batches), Err(why.to_string()));
    }
}

/// What is left when a caller has worked and its log was opened once more, which marks all of it.
fn sealed(name: &str) -> (Caller<RecordingDisk<Promise>>, Folder) {
    let mut caller = Caller::new(1);
    let named = workloads::all().into_iter().find(|(other, _)| *other == name);
    named.expect("there is such a workload").1(&mut caller).unwrap();
    caller.open().unwrap();
    let folder = caller.tape.durable();
    (caller, folder)
}

#[test]
fn damage_in_the_middle_is_not_taken_for_a_torn_tail() {
    let mut refused = 0;
    for name in ["group commits", "writes that wait for one sync", "segment changes", "rebases"] {
        let (caller, folder) = sealed(name);
        let recording = caller.tape.recording();
        let promised = recording.promised(recording.length());
        let life = &caller.lives[promised.life];
        assert!(promised.batches > 0 && check(&caller.lives, &folder, promised).is_ok());
        let images = life.images.iter().map(|(_, image)| image);
        for part in life.batches.iter().chain(images) {
            for (file, content) in &folder {
                let found = content.windows(part.len()).position(|bytes| bytes == part);
                let Some(at) = found.filter(|_| file.ends_with(".log")) else { continue };
                let mut damaged = folder.clone();
                damaged.entry(file.clone()).and_modify(|content| content[at] ^= 1);
                match open(RecordingDisk::holding(&damaged, ())) {
                    Ok(_) => panic!("{name}: {file} was opened, damaged at byte {at}"),
                    Err(why) => assert!(why.contains(DAMAGED), "{why}"),
                }
                refused += 1;
            }
        }
    }
    assert!(refused > 30, "a vacuous run: {refused}");
}

#[test]
fn a_record_of_another_future_is_not_taken_for_the_next() {
    let (caller, folder) = sealed("group commits");
    let promised = caller.tape.recording().promised(usize::MAX).clone();
    // Two futures of one folder, with records of one length and one number at one place.
    let future = |seed| {
        let tape = RecordingDisk::holding(&folder, promised.clone());
        let mut caller = Caller::after(tape, &caller.lives, &promised, seed);
        caller.open().unwrap();
        for _ in 0..2 {
            caller.append(50).unwrap();
            caller.sync().unwrap();
        }
        let recording = caller.tape.recording();
        (caller.lives, recording.promised(usize::MAX).clone(), recording.durable())
    };
    let ((lives, promised, one), (others, _, other)) = (future(1), future(2));
    let promised = Promise { batches: promised.batches - 1, ..promised };
    let stale = &others[promised.life].batches[promised.batches];
    let place = |content: &Vec<u8>| content.windows(50).position(|bytes| bytes == stale);
    let (file, at) = other.iter().find_map(|(file, it)| Some((file, place(it)?))).unwrap();
    let mut spliced = one.clone();
    let content = spliced.get_mut(file).unwrap();
    content[at - 40..].copy_from_slice(&other[file][at - 40..]);
    assert_ne!(spliced, one);
    check(&lives, &spliced, &promised).unwrap();
}
