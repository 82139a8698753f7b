//! The command line.

use crate::verdict::Failure;
use clap::{Args, Parser, Subcommand, ValueEnum};
use quorate::lease::Name;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Consensus groups: serve a node, take leases with fencing tokens, look at a group.
///
/// Results go to standard output, progress to standard error. The exit code is 0 when it is done,
/// 1 when a check failed or the request was refused, 2 when the command line or the configuration
/// is wrong, and 3 when there was no answer within --timeout.
#[derive(Parser, Debug)]
#[command(name = "quorate", version)]
#[command(disable_help_subcommand = true, arg_required_else_help = false)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Serve a node of a group until it is told to stop.
    Serve {
        /// The node's configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Record this life of the node there, for `sim replay`; at most 1 GiB.
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
        #[command(flatten)]
        hosted: Hosted,
        /// Join a group through one of its nodes; needed once, before the node has a seat.
        #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = address)]
        join: Vec<String>,
    },
    /// Let a node leave its group, and wait until it has; then it can be stopped.
    Leave {
        /// The node's number.
        #[arg(value_parser = number)]
        node: u64,
        #[command(flatten)]
        group: Group,
    },
    /// Show who the members of a group are.
    Members {
        #[command(flatten)]
        group: Group,
        /// Print one JSON object for each member.
        #[arg(long)]
        json: bool,
    },
    /// Prepare a node that lost its data to come back, as a new member in place of the old one; then
    /// serve it as usual.
    Replace {
        /// The node's configuration file; its data folder is empty.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Nodes of its group, as HOST:PORT, separated by commas.
        #[arg(long, value_name = "A,B,C", required = true, value_delimiter = ',', value_parser = address)]
        join: Vec<String>,
        /// How long to wait for an answer.
        #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
        timeout: Duration,
    },
    /// Take, keep, give back and look at leases.
    #[command(subcommand, arg_required_else_help = false)]
    Lease(Lease),
    /// Show how each node is; exits with 3 if none of them answers.
    Status {
        #[command(flatten)]
        group: Group,
        /// Print one JSON object for each node.
        #[arg(long)]
        json: bool,
    },
    /// Start a group here, kill its nodes, and check that no lease was lost.
    Demo {
        /// How many times to kill a node.
        #[arg(long, value_name = "N", default_value = "20", value_parser = count)]
        kills: u32,
        /// A Byzantine group instead: four members, one of which lies.
        #[arg(long, conflicts_with = "runtime")]
        bft: bool,
        #[command(flatten)]
        hosted: Hosted,
    },
    /// Members of Byzantine groups.
    #[command(subcommand, arg_required_else_help = false)]
    Council(crate::council::Council),
    /// Run groups in a simulator that does its worst to them, and check what they promise.
    #[command(subcommand, arg_required_else_help = false)]
    Sim(crate::sim::Sim),
}

#[derive(Subcommand, Debug)]
pub(crate) enum Lease {
    /// Take a lease, if nobody has it.
    Acquire {
        /// What is leased.
        #[arg(value_parser = name)]
        scope: Name,
        /// Who takes it.
        #[arg(long, value_name = "NAME", value_parser = name)]
        holder: Name,
        /// For how long, such as 500ms, 10s, 2m or 1h.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        duration: Duration,
        #[command(flatten)]
        group: Group,
        /// Print a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Keep a lease for as long again as it was taken for.
    Renew {
        /// What is leased.
        #[arg(value_parser = name)]
        scope: Name,
        /// The token that came with the lease.
        #[arg(long, value_name = "N", value_parser = number)]
        token: u64,
        #[command(flatten)]
        group: Group,
        /// Print a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Give a lease back.
    Release {
        /// What is leased.
        #[arg(value_parser = name)]
        scope: Name,
        /// The token that came with the lease.
        #[arg(long, value_name = "N", value_parser = number)]
        token: u64,
        #[command(flatten)]
        group: Group,
        /// Print a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the leases that are held.
    List {
        /// Only those whose scope begins so.
        #[arg(long, value_name = "TEXT", default_value = "")]
        prefix: String,
        #[command(flatten)]
        group: Group,
        /// Print one JSON object for each lease.
        #[arg(long)]
        json: bool,
    },
    /// Follow what happens to leases until interrupted.
    Watch {
        /// Only what came after this place in the log.
        #[arg(long, value_name = "N", default_value = "0", value_parser = number)]
        after: u64,
        /// End after so many events.
        #[arg(long, value_name = "N", value_parser = number)]
        for_events: Option<u64>,
        #[command(flatten)]
        group: Group,
        /// Print one JSON object for each event.
        #[arg(long)]
        json: bool,
    },
}

/// What a node runs on.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Hosted {
    /// What nodes run on; they belong to one group either way.
    #[arg(long, value_enum, default_value_t = Runtime::Std)]
    pub(crate) runtime: Runtime,
}

/// See [`Hosted`].
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Runtime {
    /// Threads that block.
    Std,
    /// The tokio runtime.
    Tokio,
}

impl Runtime {
    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Std => "std",
            Self::Tokio => "tokio",
        }
    }
}

/// Whom to ask, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct Group {
    /// The nodes, as HOST:PORT, separated by commas.
    #[arg(long, value_name = "A,B,C", required = true, value_delimiter = ',', value_parser = address)]
    pub(crate) nodes: Vec<String>,
    /// The group's number.
    #[arg(long = "group", value_name = "N", default_value = "1", value_parser = number)]
    pub(crate) number: u64,
    /// How long to wait for an answer.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// Reads a length of time: a whole number and its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let advice = "write a number and a unit, such as 500ms, 10s, 2m or 1h";
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(advice.to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| advice)?;
    let millis = number.checked_mul(millis).filter(|millis| *millis <= LONGEST_MS);
    let millis = millis.ok_or("write at most 8760h, a year")?;
    if millis == 0 {
        return Err("write more than nothing".to_owned());
    }
    Ok(Duration::from_millis(millis))
}

/// A year; what is longer was meant to be something else.
const LONGEST_MS: u64 = 8_760 * 3_600_000;

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write a whole number".to_owned())
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "write a whole number".to_owned())
}

fn name(text: &str) -> Result<Name, String> {
    Name::new(text).map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<String, String> {
    quorate_host::config::check_address(text).map(|()| text.to_owned())
}

/// Reads the command line. Help, if that is what it asks for, has been shown when there is none.
///
/// # Errors
/// What is wrong, on one line.
pub(crate) fn read(
    words: impl IntoIterator<Item = OsString>,
) -> Result<Option<CommandLine>, Failure> {
    match CommandLine::try_parse_from(words) {
        Ok(line) => Ok(Some(line)),
        Err(error) if error.use_stderr() => Err(Failure::Usage(one_line(&error.to_string()))),
        Err(help) => crate::output::show(help.to_string().trim_end()).map(|()| None),
    }
}

/// A complaint of the parser on one line, without the usage that it adds.
fn one_line(complaint: &str) -> String {
    let is_complaint = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more");
    let words: Vec<_> =
        complaint.lines().take_while(is_complaint).flat_map(str::split_whitespace).collect();
    let line = words.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line).replace(" tip: ", "; ");
    let usage = complaint.lines().find_map(|line| line.strip_prefix("Usage: "));
    match usage {
        Some(usage) => format!("{line}; usage: {usage}"),
        None => format!("{line}; see quorate --help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(line: &str) -> String {
        let words = line.split_whitespace().map(OsString::from);
        let complaint = read(words).expect_err("a wrong command line").to_string();
        assert!(!complaint.contains('\n'), "one line: {complaint}");
        complaint
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit_and_an_end() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("8760h"), Ok(Duration::from_secs(31_536_000)));
        let bad = ["", "s", "10", "10 s", "-1s", "1.5s", "10d", "0s", "8761h", "é", "1sm"];
        assert!(bad.iter().all(|text| duration(text).is_err()));
        assert!(duration("99999999999999999999s").is_err());
        assert!(duration("18446744073709551615h").is_err());
    }

    #[test]
    fn a_complaint_is_one_line_and_says_what_to_do() {
        let acquire = "quorate lease acquire db --holder a --nodes h:1";
        assert!(complaint(acquire).contains("--for <DURATION>"), "{}", complaint(acquire));
        let line = complaint(&format!("{acquire} --for 10"));
        assert!(line.contains("'10'") && line.contains("write a number and a unit"), "{line}");
        let line = complaint("quorate status --nodes h:1,h");
        assert!(line.contains("`h` is no address; write HOST:PORT"), "{line}");
        for wrong in ["quorate", "quorate lease", "quorate frobnicate", "quorate serve --conf x"] {
            assert!(complaint(wrong).contains(';'), "{}", complaint(wrong));
        }
    }
}
