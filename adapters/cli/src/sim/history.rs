//! `quorate sim check-history`: is this history linearizable?

use crate::output::{plain, show};
use crate::verdict::{Failure, Verdict, conclude};
use clap::Args;
use quorate_sim::history::lines::{self, Part};
use quorate_sim::history::register::Value;
use quorate_sim::history::{self, Violation};
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// What a line of a history is, and what the exit codes say.
const FORMAT: &str = "\
Each line is a JSON object. `process` is a number or a name. `type` is invoke, or ok, fail or info,
which end what the process began. `f` is read, write, cas or append. `key` and `value` are numbers or
texts, and the value of a cas is [old, new]. `time` is a number; without it, lines are in the order of
time. With it, what ends when another begins is concurrent with it.

After info, or if there is no end, nobody knows whether the operation took effect. A cas that failed
says that the value was not `old`; anything else that failed did not happen. A key that was never
written reads null, which is the same as \"\". Appending makes a text of numbers, too.

The exit code is 0 if the history is linearizable. It is 1 if it is not, and then the smallest failing
prefix of the events of a key is printed, as lines that are a history themselves. It is 2 if the file
is no history, and 3 if the budget ended first.";

#[derive(Args, Debug)]
#[command(after_help = FORMAT)]
pub(crate) struct CheckHistory {
    /// The history, one JSON object per line; `-` is standard input.
    pub(crate) file: PathBuf,
    /// How many steps the search may take for each key.
    #[arg(long, value_name = "STEPS", default_value_t = 50_000_000)]
    pub(crate) budget: u64,
}

impl CheckHistory {
    pub(crate) fn run(self) -> ExitCode {
        match self.check() {
            Ok(code) => code,
            Err(failure) => conclude(Err(failure)),
        }
    }

    fn check(&self) -> Result<ExitCode, Failure> {
        let text = self.text()?;
        let parts = lines::read(&text)
            .map_err(|malformed| Failure::Usage(plain(&format!("{}:{malformed}", self.name()))))?;
        let mut is_undecided = false;
        let mut wrong: Option<(&Value, &Part, Violation)> = None;
        for (key, part) in &parts {
            let verdict = history::check(&part.register, &part.history, self.budget);
            let says = match &verdict {
                history::Verdict::Linearizable(_) => "linearizable".to_owned(),
                history::Verdict::Violated(_) => "not linearizable".to_owned(),
                history::Verdict::Undecided => format!("undecided after {} steps", self.budget),
            };
            let count = part.history.operations().len();
            show(&plain(&format!("key {key}: {says}, {count} operations")))?;
            match verdict {
                history::Verdict::Linearizable(_) => {}
                history::Verdict::Undecided => is_undecided = true,
                history::Verdict::Violated(violation) if wrong.is_none() => {
                    wrong = Some((key, part, violation));
                }
                history::Verdict::Violated(_) => {}
            }
        }
        if let Some((key, part, violation)) = wrong {
            show_prefix(&text, key, part, &violation)?;
            show(&plain(&format!("history: not linearizable key={key}")))?;
            return Ok(ExitCode::from(1));
        }
        if is_undecided {
            show("history: undecided")?;
            return Ok(ExitCode::from(3));
        }
        show("history: linearizable")?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self) -> Result<Vec<u8>, Failure> {
        let mut text = Vec::new();
        let read = if self.is_standard_input() {
            io::stdin().lock().read_to_end(&mut text)
        } else {
            std::fs::File::open(&self.file).and_then(|mut file| file.read_to_end(&mut text))
        };
        let unread = |error| Failure::Usage(format!("{}: cannot be read: {error}", self.name()));
        read.map(|_| text).map_err(unread)
    }

    fn is_standard_input(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    fn name(&self) -> String {
        match self.is_standard_input() {
            true => "standard input".to_owned(),
            false => plain(&self.file.display().to_string()),
        }
    }
}

/// Shows the lines of a failing prefix, as they are in the file.
fn show_prefix(text: &[u8], key: &Value, part: &Part, violation: &Violation) -> Verdict {
    let how = if violation.is_shortest { "smallest" } else { "smallest known" };
    let lines = part.lines(&violation.events);
    let count = lines.len();
    show(&plain(&format!("{how} failing prefix of key {key}, {count} lines:")))?;
    let wanted: BTreeMap<usize, usize> = lines.iter().copied().zip(0..).collect();
    let mut found = vec![String::new(); lines.len()];
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if let Some(place) = wanted.get(&number) {
            let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
            // A tab between two fields is a space; in a text it cannot be.
            found[*place] = plain(&String::from_utf8_lossy(line).replace('\t', " "));
        }
    }
    found.iter().try_for_each(|line| show(line))
}
