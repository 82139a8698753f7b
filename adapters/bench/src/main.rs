//! The host that measures, beside the peers.
//!
//! ```text
//! cargo run --release -p quorate-bench [-- [--json] [--ours] [--hold] [TARGET...]]
//! ```
//!
//! `--ours` measures our gates alone, and compares with what was written down of the peers; without
//! the feature `peers`, which builds them, nothing else is possible. Figures are instructions,
//! allocations and bytes as valgrind counts them, which hardly move from run to run and so decide
//! whether the program succeeds; times are reported only. With `--hold` it fails only if something is
//! worse than it is known to be.
//!
//! Exit codes: 0 what is deterministic is met, or held; 1 it is not; 2 wrong usage; 3 it cannot be measured.

mod child;
mod load;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod row;
mod targets;

use std::process::ExitCode;
use targets::{ALL, Bench, Target};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [child::CHILD, ref words @ ..] => {
            if child::run(words) {
                ExitCode::SUCCESS
            } else {
                eprintln!("there is no such load: {}", words.join(" "));
                ExitCode::from(2)
            }
        }
        ref words => match Wish::parse(words) {
            Some(wish) => wish.grant(),
            None => {
                eprintln!(
                    "usage: quorate-bench [--json] [--ours] [--hold] [TARGET...]; the targets are:"
                );
                ALL.iter().for_each(|target| eprintln!("  {:4} {}", target.id, target.about));
                ExitCode::from(2)
            }
        },
    }
}

/// What is asked for.
struct Wish {
    json: bool,
    ours: bool,
    hold: bool,
    targets: Vec<&'static Target>,
}

impl Wish {
    fn parse(words: &[&str]) -> Option<Self> {
        let ours = cfg!(not(feature = "peers"));
        let mut wish = Self { json: false, ours, hold: false, targets: Vec::new() };
        for word in words {
            match *word {
                "--json" => wish.json = true,
                "--ours" => wish.ours = true,
                "--hold" => wish.hold = true,
                id => wish.targets.push(ALL.iter().find(|target| target.id == id)?),
            }
        }
        if wish.targets.is_empty() {
            wish.targets = ALL.iter().collect();
        }
        Some(wish)
    }

    fn grant(self) -> ExitCode {
        let mut bench = Bench { with_peers: !self.ours, counter: child::Counter::default() };
        let mut is_met = true;
        if !self.json {
            println!("{}", row::heading());
        }
        for target in self.targets {
            let rows = match (target.measure)(&mut bench) {
                Ok(rows) => rows,
                Err(error) => {
                    eprintln!("{}: {error}", target.id);
                    return ExitCode::from(3);
                }
            };
            for row in rows {
                println!("{}", if self.json { row.json() } else { row.line() });
                let is_good = if self.hold { row.holds() } else { row.met() != Some(false) };
                is_met &= !row.is_gate || is_good;
            }
        }
        if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
