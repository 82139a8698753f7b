//! A process with an end to its CPU time.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; none if it was ended by the limit or a signal.
    pub(super) code: Option<i32>,
    /// How long it kept processors busy.
    pub(super) cpu: Duration,
    /// What it wrote, to standard output and standard error.
    pub(super) text: String,
}

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// A process that waits for something that never comes uses no processor.
const PATIENCE: u32 = 20;

/// Runs a process to its end, or until it has used so much CPU time. What it writes goes through
/// the file `log`.
///
/// # Errors
/// It could not be started, or its output not be read.
pub(super) fn run(command: &mut Command, log: &Path, limit: Duration) -> io::Result<Ended> {
    let file = File::create(log)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn()?;
    let began = Instant::now();
    let mut cpu;
    let code = loop {
        // Looked at before it is reaped: what it used is gone afterwards.
        let seen = Seen::of(child.id());
        cpu = seen.map_or_else(|| began.elapsed(), |seen| seen.cpu);
        if seen.is_none_or(|seen| seen.is_over)
            && let Some(status) = child.try_wait()?
        {
            break status.code();
        }
        if cpu >= limit || began.elapsed() >= limit.saturating_mul(PATIENCE) {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(LOOK);
    };
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok(Ended { code, cpu, text })
}

/// A process as the system shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    cpu: Duration,
    is_over: bool,
}

impl Seen {
    /// Looks at a process; only Linux shows one. Elsewhere a hunt goes by the clock on the wall.
    fn of(id: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// The name in parentheses may hold anything, so what counts stands after the last of them.
    fn parse(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<_> = fields.split(' ').collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        // Linux tells time in hundredths of a second, on every architecture.
        let cpu = Duration::from_millis(ticks(11)?.checked_add(ticks(12)?)?.checked_mul(10)?);
        Some(Self { cpu, is_over: matches!(fields.first(), Some(&("Z" | "X"))) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn cpu_time_is_read_whatever_a_process_is_called() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4 1 0 0 0 250 50 9 9 20 0 1 0 5 6 7";
        let seen = Seen::parse(stat).unwrap();
        assert_eq!(seen, Seen { cpu: Duration::from_secs(3), is_over: false });
        assert!(Seen::parse(&stat.replace(") S", ") Z")).unwrap().is_over);
        assert_eq!(Seen::parse("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_ends_by_itself_or_by_the_limit() {
        let folder = TempDir::new().unwrap();
        let shell = |script: &str, limit| {
            let mut command = Command::new("sh");
            run(command.args(["-c", script]), &folder.path().join("log"), limit).unwrap()
        };
        let ended = shell("echo out; echo err >&2; exit 3", Duration::from_secs(60));
        assert_eq!((ended.code, ended.text.as_str()), (Some(3), "out\nerr\n"));
        let ended = shell("echo began; while :; do :; done", Duration::from_millis(200));
        assert_eq!((ended.code, ended.text.as_str()), (None, "began\n"));
        assert!(ended.cpu >= Duration::from_millis(200), "{ended:?}");
    }
}
