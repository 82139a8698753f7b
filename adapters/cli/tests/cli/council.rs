//! `council`: keys, and what is wrong with a configuration, in one line each.

use crate::program::quorate;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn key(folder: &Path, file: &str) -> String {
    let out = quorate(&format!("council key {}", folder.join(file).display())).done();
    out.strip_suffix('\n').expect("a whole line").to_owned()
}

/// A good file of a group of so many, of which this node is member 0.
fn good(folder: &Path, count: u8) -> String {
    let mut text = String::from("[node]\nslot = 0\nlisten = \"127.0.0.1:0\"\ndata = \"data0\"\n");
    for slot in 0..count {
        let key = key(folder, &format!("data{slot}/key"));
        let address = format!("127.0.0.1:{}", 7_001 + u16::from(slot));
        write!(text, "[[member]]\nslot = {slot}\naddress = \"{address}\"\nkey = \"{key}\"\n")
            .unwrap();
    }
    text
}

/// What `council serve` says of a file.
fn refused(folder: &Path, text: &str) -> String {
    let file = folder.join("node.toml");
    fs::write(&file, text).unwrap();
    let line = quorate(&format!("council serve --config {}", file.display())).failed(2);
    line.strip_prefix(&format!("{}: ", file.display())).expect("the file is named").to_owned()
}

#[test]
fn a_key_is_made_once_and_shown_again() {
    let folder = TempDir::new().unwrap();
    let first = key(folder.path(), "new/key");
    assert_eq!(first.len(), 64);
    assert!(first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
    assert_eq!(key(folder.path(), "new/key"), first);
    assert_ne!(key(folder.path(), "other/key"), first);
    fs::write(folder.path().join("new/key"), "short").unwrap();
    let line = quorate(&format!("council key {}", folder.path().join("new/key").display()));
    assert!(line.failed(1).contains("has not 32 bytes"));
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_in_one_line() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let text = good(folder, 4);
    let (mine, other) = (key(folder, "data0/key"), key(folder, "data1/key"));
    let cases = [
        (good(folder, 3), "3 members tolerate no liar: a Byzantine group has at least four"),
        (
            text.replacen("slot = 2", "slot = 1", 1),
            "two members have one slot, or one is beyond 31; give each its own",
        ),
        (
            text.replacen("slot = 3", "slot = 200", 1),
            "two members have one slot, or one is beyond 31; give each its own",
        ),
        (text.replacen("slot = 0", "slot = 9", 1), "slot 9 is no member's; list this node too"),
        (text.replacen(&other, "short", 1), "member 1: a public key has 64 hexadecimal digits"),
        (
            text.replacen(&other, &"0".repeat(64), 1),
            "member 1: the bytes are not a usable public key",
        ),
        (
            format!("{text}[[client]]\nid = 7\nkey = \"x\"\n"),
            "client 7: a public key has 64 hexadecimal digits",
        ),
        (
            format!(
                "{text}[[client]]\nid = 7\nkey = \"{other}\"\n[[client]]\nid = 7\nkey = \"{mine}\"\n"
            ),
            "client 7 is listed twice; remove one",
        ),
        (
            text.replacen(&mine, &key(folder, "elsewhere/key"), 1),
            "the key in this node's folder is not the one that its group knows it by",
        ),
    ];
    for (text, says) in cases {
        assert_eq!(refused(folder, &text), says);
    }
    let line = refused(folder, &text.replacen("slot = 0", "slot = 0\ncolour = 3", 1));
    assert!(line.starts_with("line 3: unknown field `colour`"), "{line}");
    assert!(refused(folder, &text.replacen("[node]", "[node", 1)).starts_with("line 1: "));
    let line = quorate("council serve --config no/such.toml").failed(2);
    assert!(line.starts_with("no/such.toml: "), "{line}");
}
