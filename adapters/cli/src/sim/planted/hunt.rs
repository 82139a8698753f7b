//! One bug, hunted from several starting seeds; and what the hunts come to.

use super::process::{self, Ended};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How much CPU time a hunt may take.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What a hunt has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trail {
    /// An oracle saw the bug.
    Seen(Sight),
    /// The limit, or the end of the seeds, came first.
    Cold,
    /// The hunt itself failed: the last line that it wrote.
    Lost(String),
}

/// What was seen of a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) seed: Option<u64>,
    pub(super) oracle: String,
}

/// A hunt that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hunt {
    pub(super) trail: Trail,
    pub(super) cpu: Duration,
}

/// The seeds of the `nth` hunt: far apart from those of all others, and more than it can try.
pub(super) const fn seeds(nth: u32) -> Range<u64> {
    let first = (nth as u64).saturating_add(1).saturating_mul(1_000_000_000);
    first..first.saturating_add(1_000_000)
}

/// A program that hunts: the simulator, built with the bug in it.
#[derive(Clone, Debug)]
pub(super) struct Hunter {
    pub(super) program: PathBuf,
    /// Where it writes.
    pub(super) log: PathBuf,
}

impl Hunter {
    /// Runs these seeds until one of them fails.
    pub(super) fn run(&self, machine: &str, seeds: &Range<u64>, limit: Duration) -> Hunt {
        conclude(self.start(machine, seeds, None, limit), trail_of)
    }

    /// Runs a seed that fails once more, and tells how many events are left when it is shrunk. The
    /// story is written to a folder.
    pub(super) fn shrink(&self, machine: &str, seed: u64, stories: &Path) -> Option<u64> {
        let seeds = seed..seed.checked_add(1)?;
        let limit = LIMIT.saturating_mul(3);
        let ended = self.start(machine, &seeds, Some(stories), limit).ok()?;
        let line = ended.text.lines().rfind(|line| line.starts_with("sim: shrunk "))?;
        word(line, "events")?.parse().ok()
    }

    fn start(
        &self,
        machine: &str,
        seeds: &Range<u64>,
        stories: Option<&Path>,
        limit: Duration,
    ) -> std::io::Result<Ended> {
        let mut command = Command::new(&self.program);
        command.args([machine, &seeds.start.to_string(), &seeds.end.to_string()]).args(stories);
        process::run(&mut command, &self.log, limit)
    }
}

/// Runs a test, by itself; it sees the bug if it fails.
pub(super) fn run_test(program: &Path, test: &str, log: &Path) -> Hunt {
    let mut command = Command::new(program);
    command.args(["--exact", test, "--test-threads", "1"]);
    conclude(process::run(&mut command, log, LIMIT), |ended| test_trail(ended, test))
}

fn conclude(ended: std::io::Result<Ended>, trail: impl FnOnce(&Ended) -> Trail) -> Hunt {
    match ended {
        Ok(ended) => Hunt { trail: trail(&ended), cpu: ended.cpu },
        Err(error) => Hunt { trail: Trail::Lost(error.to_string()), cpu: Duration::ZERO },
    }
}

/// What a run of seeds has said.
fn trail_of(ended: &Ended) -> Trail {
    let verdict = ended.text.lines().rfind(|line| line.starts_with("sim: failed "));
    let sight = verdict.map(|line| Sight {
        seed: word(line, "seed").and_then(|seed| seed.parse().ok()),
        oracle: word(line, "oracle").unwrap_or("?").to_owned(),
    });
    match (sight, ended.code) {
        (Some(sight), Some(1)) => Trail::Seen(sight),
        (None, Some(0) | None) => Trail::Cold,
        _ => Trail::Lost(last_line(&ended.text)),
    }
}

/// The value of `key=value` in a line.
fn word<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// What a test binary has said.
fn test_trail(ended: &Ended, test: &str) -> Trail {
    match ended.code {
        Some(0) if ended.text.contains("test result: ok. 1 passed") => Trail::Cold,
        None => Trail::Cold,
        Some(101) if ended.text.contains(&format!("test {test} ... FAILED")) => {
            Trail::Seen(Sight { seed: None, oracle: "script".to_owned() })
        }
        _ => Trail::Lost(format!("no test `{test}`: {}", last_line(&ended.text))),
    }
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    crate::output::plain(line.unwrap_or("it said nothing"))
}

/// All hunts of one bug together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Catch {
    /// The hunt in the middle, by CPU time: those that saw nothing count as longest.
    pub(super) median: Hunt,
    /// How many saw the bug.
    pub(super) seen: usize,
    /// How many there were.
    pub(super) hunts: usize,
}

impl Catch {
    pub(super) fn of(mut hunts: Vec<Hunt>) -> Option<Self> {
        let is_seen = |hunt: &Hunt| matches!(hunt.trail, Trail::Seen(_));
        hunts.sort_by_key(|hunt| (!is_seen(hunt), hunt.cpu));
        let seen = hunts.iter().filter(|hunt| is_seen(hunt)).count();
        let median = hunts.get(hunts.len() / 2)?.clone();
        Some(Self { median, seen, hunts: hunts.len() })
    }

    /// Whether the bug is caught: more than half of the hunts saw it.
    pub(super) const fn is_good(&self) -> bool {
        matches!(self.median.trail, Trail::Seen(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: Option<i32>, text: &str) -> Trail {
        trail_of(&Ended { code, cpu: Duration::ZERO, text: text.to_owned() })
    }

    #[test]
    fn the_verdict_of_a_run_is_read_from_its_last_lines() {
        let text = "seed 7: n1 starts\nsim: shrunk events=19\n\
                    sim: failed seed=7 oracle=R9 replay: quorate sim run --seeds 7..8\n";
        let sight = Sight { seed: Some(7), oracle: "R9".to_owned() };
        assert_eq!(said(Some(1), text), Trail::Seen(sight));
        assert_eq!(said(Some(0), "sim: ok seeds=9 events=8 hash=7\n"), Trail::Cold);
        assert_eq!(said(None, "seed 7\n"), Trail::Cold);
        let panic = "thread 'main' panicked\nnote: run\n\n";
        assert_eq!(said(Some(101), panic), Trail::Lost("note: run".to_owned()));
        assert_eq!(said(Some(2), ""), Trail::Lost("it said nothing".to_owned()));
    }

    #[test]
    fn a_test_that_is_not_there_has_seen_nothing_and_says_so() {
        let ran = |code, text: &str| {
            let ended = Ended { code: Some(code), cpu: Duration::ZERO, text: text.to_owned() };
            test_trail(&ended, "a::b")
        };
        assert!(matches!(ran(101, "test a::b ... FAILED\n"), Trail::Seen(_)));
        assert_eq!(ran(0, "test result: ok. 1 passed; 0 failed\n"), Trail::Cold);
        assert!(matches!(ran(0, "test result: ok. 0 passed; 0 failed\n"), Trail::Lost(_)));
        assert!(matches!(ran(101, "error: build\n"), Trail::Lost(_)));
    }

    #[test]
    fn the_median_counts_hunts_that_saw_nothing_as_longest() {
        let hunt = |seconds, seen| {
            let sight = Sight { seed: Some(seconds), oracle: "R1".to_owned() };
            let trail = if seen { Trail::Seen(sight) } else { Trail::Cold };
            Hunt { trail, cpu: Duration::from_secs(seconds) }
        };
        let caught = Catch::of(vec![hunt(9, true), hunt(1, false), hunt(3, true)]).unwrap();
        assert_eq!((caught.median.cpu.as_secs(), caught.seen, caught.hunts), (9, 2, 3));
        assert!(caught.is_good());
        let missed = Catch::of(vec![hunt(9, true), hunt(1, false), hunt(3, false)]).unwrap();
        assert!(!missed.is_good());
        assert_eq!(Catch::of(Vec::new()), None);
    }

    #[test]
    fn the_seeds_of_two_hunts_are_far_apart() {
        assert!(seeds(0).end < seeds(1).start && seeds(1).end < seeds(2).start);
    }
}
