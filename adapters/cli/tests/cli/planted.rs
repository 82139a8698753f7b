//! What `sim planted` says before it builds anything.

use crate::program::{Ran, command};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn planted(folder: &Path, arguments: &str) -> Ran {
    Ran::of(command(&format!("sim planted{arguments}")).current_dir(folder))
}

/// A folder that looks like a checkout with one planted bug.
fn checkout(patch: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("tests/planted")).unwrap();
    fs::create_dir_all(folder.path().join("adapters/cli")).unwrap();
    fs::write(folder.path().join("Cargo.toml"), "[package]\nname = \"quorate\"\n").unwrap();
    fs::write(folder.path().join("tests/planted/a-bug.patch"), patch).unwrap();
    folder
}

#[test]
fn outside_a_checkout_nothing_can_be_planted() {
    let folder = TempDir::new().unwrap();
    let line = planted(folder.path(), "").failed(2);
    assert!(line.contains("no checkout") && line.contains("tests/planted"), "{line}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is begun");
}

#[test]
fn a_patch_that_lacks_something_is_refused_with_its_file_from_anywhere_in_the_checkout() {
    let folder = checkout("name: a-bug\nbug: b\nwhere: w\nmachine: raft\n\n+++ b/src/lib.rs\n");
    let line = planted(&folder.path().join("adapters/cli"), "").failed(2);
    assert!(line.contains("a-bug.patch: write a line `oracle: …`"), "{line}");
    assert!(!folder.path().join("target").exists(), "nothing is begun");
}

#[test]
fn a_bug_that_is_not_there_is_named() {
    let folder = checkout(
        "name: a-bug\nbug: b\nwhere: w\nmachine: raft\noracle: R1\n\n\
         --- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -1,1 +1,1 @@\n-a\n+b\n",
    );
    let line = planted(folder.path(), " --only another").failed(2);
    assert!(line.starts_with("`another` is no planted bug;"), "{line}");
    let line = planted(folder.path(), " --seeds-each 0").failed(2);
    assert!(line.contains("--seeds-each"), "{line}");
}
