//! What is wrong with a command line or a file is said in one line, and nothing is started.

use crate::program::{PATIENCE, quorate};
use std::fs;
use std::time::Instant;
use tempfile::TempDir;

const GOOD: &str = "[node]\nid = 1\nlisten = \"127.0.0.1:7001\"\ndata = \"data\"\n\
                    [[member]]\nid = 1\naddress = \"127.0.0.1:7001\"\n";

/// What `serve` says of a good file once `from` is replaced by `to`.
fn serve_with(from: &str, to: &str) -> String {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("node.toml");
    assert!(GOOD.contains(from));
    fs::write(&file, GOOD.replacen(from, to, 1)).unwrap();
    let line = quorate(&format!("serve --config {}", file.display())).failed(2);
    assert!(!folder.path().join("data").exists(), "nothing is started");
    line.strip_prefix(&format!("{}:", file.display())).expect("FILE:LINE").to_owned()
}

#[test]
fn malformed_toml_is_refused_with_its_line() {
    assert!(serve_with("id = 1", "id 1").starts_with("2: "));
    assert!(serve_with("[[member]]", "[[member]").starts_with("5: "));
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let line = serve_with("data = \"data\"", "data = \"data\"\ncolour = 3");
    assert!(line.starts_with("5: unknown field `colour`"), "{line}");
}

#[test]
fn a_bad_address_is_refused_with_its_line() {
    let line = serve_with("127.0.0.1:7001", "7001");
    assert_eq!(line, "3: `7001` is no address; write HOST:PORT, such as 127.0.0.1:7001");
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let line = quorate("serve --config no/such/file.toml").failed(2);
    assert!(line.starts_with("no/such/file.toml: cannot be read"), "{line}");
    assert!(quorate("serve --config .").failed(2).starts_with(".: cannot be read"));
}

#[test]
fn a_missing_argument_is_named() {
    for (arguments, missing) in [
        ("serve", "--config"),
        ("status", "--nodes"),
        ("lease acquire db --holder a --nodes h:1", "--for"),
        ("lease acquire --holder a --for 1s --nodes h:1", "<SCOPE>"),
        ("lease renew db --nodes h:1", "--token"),
        ("lease list", "--nodes"),
        ("lease", "subcommand"),
    ] {
        let line = quorate(arguments).failed(2);
        assert!(line.contains(missing), "{arguments}: {line}");
    }
}

#[test]
fn an_argument_that_makes_no_sense_is_named() {
    let long = "x".repeat(48);
    for (arguments, says) in [
        ("frobnicate", "'frobnicate'"),
        ("lease acquire db --holder a --for 10 --nodes h:1", "write a number and a unit"),
        ("lease acquire db --holder a --for 10d --nodes h:1", "write a number and a unit"),
        ("lease acquire db --holder a --for 0s --nodes h:1", "more than nothing"),
        (&format!("lease acquire {long} --holder a --for 1s --nodes h:1"), "47 bytes"),
        ("lease renew db --token three --nodes h:1", "write a whole number"),
        ("lease list --nodes localhost", "write HOST:PORT"),
        ("lease list --nodes h:1 --timeout soon", "write a number and a unit"),
        ("status --nodes h:1 --jason", "'--jason'"),
    ] {
        let line = quorate(arguments).failed(2);
        assert!(line.contains(says), "{arguments}: {line}");
    }
    let many: Vec<_> = (1..=33).map(|port| format!("h:{port}")).collect();
    let line = quorate(&format!("lease list --nodes {}", many.join(","))).failed(2);
    assert!(line.contains("at most 32"), "{line}");
}

#[test]
fn nodes_that_are_not_there_cost_the_timeout_and_no_more() {
    // No other test is given these: a watch of somebody's group would not end.
    let nodes = "--timeout 300ms --nodes 127.0.0.1:1,127.0.0.1:2";
    for ask in [
        "lease acquire db --holder a --for 10s",
        "lease renew db --token 1",
        "lease release db --token 1",
        "lease list --json",
        "lease watch",
    ] {
        let began = Instant::now();
        let line = quorate(&format!("{ask} {nodes}")).failed(3);
        assert!(line.starts_with("no answer within 300ms: 127.0.0.1:"), "{line}");
        assert!(began.elapsed() < PATIENCE);
    }
    let ran = quorate(&format!("status --json {nodes}"));
    assert_eq!((ran.code, ran.out.lines().count()), (Some(3), 2), "{ran:?}");
    assert!(ran.out.contains("\"error\":"), "{ran:?}");
    assert!(ran.err.starts_with("quorate: 0 of 2 nodes answer within 300ms; "), "{ran:?}");
}

#[test]
fn help_and_version_are_results() {
    assert!(quorate("--help").done().contains("exit code"));
    assert!(quorate("lease acquire --help").done().contains("--holder"));
    assert!(quorate("--version").done().starts_with("quorate "));
}
