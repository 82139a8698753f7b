//! What a command shows: results on standard output, everything else on standard error.

use crate::verdict::{Failure, Verdict};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Writes a line of the result. A reader that has gone, as `head` does, ends the command quietly.
pub(crate) fn show(line: &str) -> Verdict {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(unshown)?;
    // Whoever follows a watch through a pipe wants each line when it comes.
    out.flush().map_err(unshown)
}

/// Writes a result that is made while it is written.
pub(crate) fn write(result: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Verdict {
    let mut out = io::BufWriter::new(io::stdout().lock());
    result(&mut out).and_then(|()| out.flush()).map_err(unshown)
}

fn unshown(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unheard,
        _ => Failure::Refused(format!("cannot write the result: {error}; make room for it")),
    }
}

/// Writes a value as one line of JSON.
pub(crate) fn show_json(value: &impl serde::Serialize) -> Verdict {
    let line = serde_json::to_string(value);
    show(&line.map_err(|error| Failure::Refused(format!("this has no form in JSON: {error}")))?)
}

/// Writes a line to standard error; if nobody reads it, it is not missed.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "quorate: {line}");
}

/// A text from outside as it may be shown to a person: on one line, and unable to steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A length of time as people say it, to three digits or so.
pub(crate) fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match time.as_millis() {
        millis @ ..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        60_000..3_600_000 => format!("{} m {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} m", seconds / 3_600, seconds / 60 % 60),
    }
}

/// Rows under a head, in columns as wide as what is in them. A row may end early: its last cell
/// then runs on over the columns that it leaves out.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<_> = head.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        let (_, padded) = row.split_last().unwrap_or((&String::new(), &[]));
        for (width, cell) in widths.iter_mut().zip(padded) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[&str]| {
        let padded: Vec<_> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let rows = rows.iter().map(|row| row.iter().map(String::as_str).collect::<Vec<_>>());
    std::iter::once(head.to_vec()).chain(rows).map(|cells| line(&cells)).collect()
}

/// A line that moves while something is awaited; only on a terminal, and only if it takes a while.
pub(crate) struct Waiting {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

/// What is faster than this is not worth a line.
const SOON: Duration = Duration::from_millis(400);
/// How often the line moves.
const BEAT: Duration = Duration::from_millis(100);

impl Waiting {
    /// Says what is awaited until the value is dropped.
    pub(crate) fn show(what: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self { thread: None };
        }
        let (stop, stopped) = channel::<()>();
        let what = what.to_owned();
        let began = Instant::now();
        let thread = thread::spawn(move || {
            let mut pause = SOON;
            let mut is_shown = false;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let line = format!("\rquorate: {what}, {:.1} s", began.elapsed().as_secs_f32());
                is_shown = io::stderr().write_all(line.as_bytes()).is_ok();
                pause = BEAT;
            }
            if is_shown {
                let _ = io::stderr().write_all(b"\r\x1b[K");
            }
        });
        Self { thread: Some((stop, thread)) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows = [row(&["1", "é", "x"]), row(&["200", "an early end"]), row(&["3", "y", "z"])];
        let lines = ["node  b  c", "1     é  x", "200   an early end", "3     y  z"];
        assert_eq!(table(&["node", "b", "c"], &rows), lines);
    }

    #[test]
    fn times_are_said_in_the_unit_that_fits() {
        let said = |number| spoken(Duration::from_millis(number));
        assert_eq!([said(0), said(999), said(1_000)], ["0 ms", "999 ms", "1.0 s"]);
        assert_eq!([said(61_000), said(7_260_000)], ["1 m 1 s", "2 h 1 m"]);
    }

    #[test]
    fn a_name_from_outside_cannot_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
