//! `sim script`: the scripts on file print what is on file, to the byte, and what is wrong with one is said
//! with its line. `QUORATE_BLESS=1` writes the outputs anew.

use crate::program::{Ran, command, quorate};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The scripts on file.
fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts");
    let files = fs::read_dir(folder).expect("the scripts").map(|file| file.unwrap().path());
    let mut scripts: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|it| it == "txt")).collect();
    scripts.sort();
    scripts
}

#[test]
fn every_script_on_file_prints_what_is_on_file() {
    let scripts = scripts();
    assert!(scripts.len() >= 12, "{scripts:?}");
    for script in scripts {
        let out = quorate(&format!("sim script {}", script.display())).done();
        let file = script.with_extension("out");
        if std::env::var_os("QUORATE_BLESS").is_some() {
            fs::write(&file, &out).expect("the output can be written");
        }
        let on_file = fs::read_to_string(&file).unwrap_or_default();
        assert!(out == on_file, "{} now prints otherwise:\n{out}", script.display());
    }
}

/// Runs a script that is a file.
fn run(text: &str) -> Ran {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("script.txt");
    fs::write(&file, text).unwrap();
    let ran = quorate(&format!("sim script {}", file.display()));
    Ran { err: ran.err.replace(&format!("{}:", file.display()), "FILE:"), ..ran }
}

#[test]
fn an_unknown_command_ends_with_its_line_before_anything_runs() {
    let line = run("add-nodes 1 voters=(1)\n\nfrobnicate 1\n").failed(2);
    assert!(line.starts_with("FILE:3: unknown command `frobnicate`; the commands are "), "{line}");
}

#[test]
fn a_bad_argument_ends_with_its_line() {
    let line = run("add-nodes 1 voters=(1)\ncampaign 2").failed(2);
    assert_eq!(line, "FILE:2: there is no node 2; the last is 1");
    let line = run("add-nodes 1 \u{1b}[2J").failed(2);
    assert_eq!(line, "FILE:1: `\u{fffd}[2J` is one word too many");
}

#[test]
fn a_script_that_cannot_be_read_is_refused() {
    let line = quorate("sim script no/such/script").failed(2);
    assert!(line.starts_with("no/such/script: cannot be read"), "{line}");
    assert!(quorate("sim script .").failed(2).starts_with(".: cannot be read"));
    assert!(quorate("sim script").failed(2).contains("<FILE>"));
}

#[test]
fn what_is_refused_is_a_result_and_the_script_goes_on() {
    let out = run("add-nodes 1 voters=(1)\npropose 1 a\nheal\n").done();
    let refused = "! 1 refuses: no leader is known; try again after an election\n";
    assert!(out.contains(refused) && out.contains("\n> heal\n"), "{out}");
}

#[test]
fn standard_input_is_a_script_too() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("script.txt");
    let from = |text: &str| {
        fs::write(&file, text).unwrap();
        Ran::of(command("sim script -").stdin(File::open(&file).unwrap()))
    };
    let out = from("add-nodes 1 voters=(1)\ncampaign 1\nstabilize\n").done();
    assert!(
        out.ends_with(
            "\n1 leader term=1 vote=1 lead=1 commit=1 applied=1 durable=1 last=1 \
                           snapshot=0/0 log=[1/1] voters=(1)\n"
        ),
        "{out}"
    );
    let line = from("heal\nheel\n").failed(2);
    assert!(line.starts_with("standard input:2: unknown command `heel`;"), "{line}");
    assert_eq!(from("").done(), "");
}

#[test]
fn help_is_the_page_of_the_language() {
    let help = quorate("sim script --help").done();
    assert!(help.contains("| `propose-conf-change N"), "{help}");
}
