//! The language: one command a line.
//!
//! A script is read whole before anything runs, so that a mistake in its last line is found first. Every
//! number in it is bounded, and so is the script.

use quorate::id::Slot;
use quorate::raft::Change;
use std::collections::BTreeSet;
use std::fmt;

/// Nodes are 1 to this.
pub const MOST_NODES: u8 = 31;
/// The most bytes of a line.
pub const LONGEST_LINE: usize = 4_096;
/// The most lines of a script.
pub const MOST_LINES: usize = 10_000;
/// The most bytes of a script.
pub const MOST_BYTES: usize = 1 << 20;
/// The highest index that a snapshot to begin with may have.
pub const HIGHEST_INDEX: u64 = 1 << 40;

/// A number of a node, as the script gives it.
pub type Node = u8;

/// A script that makes sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// Its commands, in order.
    pub steps: Vec<Step>,
}

/// A command and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The number of its line, from 1 on.
    pub line: usize,
    /// Its words: the line, and the lines of changes that belong to it.
    pub text: Vec<String>,
    /// What it says.
    pub command: Command,
}

/// What is wrong with a script, and in which line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The number of the line, from 1 on.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

impl std::error::Error for Malformed {}

/// How a change of the configuration is to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transition {
    /// One change in one step, whatever it is.
    Simple,
    /// One change in one step, more in a joint configuration that is left by itself.
    Auto,
    /// A joint configuration that is left by itself.
    Implicit,
    /// A joint configuration that is left when somebody says so.
    Explicit,
}

/// Which messages are meant: what is not given does not matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Messages {
    /// Those from this node.
    pub from: Option<Node>,
    /// Those to one of these; to any if there are none.
    pub to: Vec<Node>,
    /// Those of this kind, in lower case.
    pub kind: Option<String>,
}

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Start nodes that have never lived before.
    AddNodes {
        /// How many.
        count: u8,
        /// Who votes at first.
        voters: Vec<Node>,
        /// Who learns at first.
        learners: Vec<Node>,
        /// The last entry of the snapshot that they begin with; without one the log is empty.
        index: Option<u64>,
        /// The most entries on their way to a follower.
        inflight: Option<usize>,
        /// Nobody else's time passes when one campaigns.
        is_loyal: bool,
        /// Whether who campaigns asks first whether it would be elected, from now on.
        asks: Option<bool>,
    },
    /// An election timeout passes, and this node is the first to notice.
    Campaign {
        /// Who.
        node: Node,
        /// Whether it asks first whether it would be elected, if that is said here.
        asks: Option<bool>,
    },
    /// Append an entry.
    Propose {
        /// Whom to ask.
        node: Node,
        /// What it carries.
        text: String,
    },
    /// Change the configuration; without changes, leave a joint one.
    Change {
        /// Whom to ask.
        node: Node,
        /// How.
        transition: Transition,
        /// To what, in order.
        changes: Vec<Change>,
        /// Whether changes were named that change nothing: then a joint configuration is not left.
        is_named: bool,
    },
    /// Deliver messages, and lose those to others.
    Deliver {
        /// Which arrive; none if this is `None`.
        which: Option<Messages>,
        /// To whom they are lost.
        lost_to: Vec<Node>,
    },
    /// Lose messages.
    Drop(Messages),
    /// Do what these nodes want done; all if there are none.
    ProcessReady(Vec<Node>),
    /// Process and deliver among these until it is quiet; among all if there are none.
    Stabilize(Vec<Node>),
    /// A node's own time passes up to its election timeout.
    TickElection(Vec<Node>),
    /// A node's own time passes by a heartbeat.
    TickHeartbeat(Vec<Node>),
    /// Hand leadership over.
    Transfer {
        /// By whom.
        from: Node,
        /// To whom.
        to: Node,
    },
    /// Store a snapshot, and let the log up to it go.
    Compact {
        /// Who does.
        node: Node,
        /// The last entry that it covers; all that are applied if none is given.
        index: Option<u64>,
    },
    /// End a node; what was not persisted is lost.
    Crash(Vec<Node>),
    /// Start a node from its disk.
    Restart(Vec<Node>),
    /// Part the network; who is named nowhere is in a part of its own.
    Partition(Vec<Vec<Node>>),
    /// Mend the network.
    Heal,
    /// Show more of these nodes, and the network; of all if there are none.
    Status(Vec<Node>),
    /// Show the logs of these nodes; of all if there are none.
    RaftLog(Vec<Node>),
    /// Show what happens from here on, or nothing.
    LogLevel {
        /// Whether it is shown.
        is_shown: bool,
    },
}

/// The names of all commands, in the order of the page.
pub(super) const NAMES: &str = "add-nodes, campaign, propose, propose-conf-change, deliver, drop, \
    process-ready, stabilize, tick-election, tick-heartbeat, transfer-leadership, compact, crash, \
    restart, partition, heal, status, raft-log, log-level";

/// Reads a script.
///
/// # Errors
/// [`Malformed`], which names the first line that makes no sense.
pub fn read(bytes: &[u8]) -> Result<Script, Malformed> {
    let mut reader = Reader { nodes: 0, steps: Vec::new() };
    let mut skips = Skip::Nothing;
    // Whether the last command takes changes on the next line.
    let mut takes_changes = false;
    if bytes.len() > MOST_BYTES {
        return Err(Malformed {
            line: 1,
            what: format!("a script has at most {MOST_BYTES} bytes"),
        });
    }
    for (place, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = place + 1;
        let wrong = |what: String| Malformed { line: number, what };
        if number > MOST_LINES && !line.is_empty() {
            return Err(wrong(format!("a script has at most {MOST_LINES} lines")));
        }
        if line.len() > LONGEST_LINE {
            return Err(wrong(format!("a line has at most {LONGEST_LINE} bytes")));
        }
        let line = std::str::from_utf8(line).map_err(|_| wrong("this is not UTF-8".to_owned()))?;
        let text = line.trim();
        if skips.passes_over(text) || text.is_empty() {
            takes_changes = false;
        } else if text.starts_with('#') {
        } else if takes_changes && changes(text).is_some() {
            reader.add_changes(text).map_err(wrong)?;
        } else {
            let command = reader.command(text).map_err(wrong)?;
            takes_changes = matches!(command, Command::Change { .. });
            reader.steps.push(Step { line: number, text: vec![text.to_owned()], command });
        }
    }
    Ok(Script { steps: reader.steps })
}

/// The outputs that stand in a test of etcd's are passed over: from `----` to the next empty line, or,
/// if it stands twice, to where it stands twice again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    /// The line before was `----`.
    Begins,
    ToEmptyLine,
    ToDoubleRule,
    /// Likewise, and the line before was `----`.
    Ends,
}

impl Skip {
    /// Whether this line is not for us.
    fn passes_over(&mut self, line: &str) -> bool {
        let is_rule = line == "----";
        let before = *self;
        *self = match (before, is_rule) {
            (Self::Nothing, true) => Self::Begins,
            (Self::Nothing, false) | (Self::Ends, true) => Self::Nothing,
            (Self::Begins, true) | (Self::Ends, false) => Self::ToDoubleRule,
            (Self::Begins | Self::ToEmptyLine, _) if line.is_empty() => Self::Nothing,
            (Self::Begins | Self::ToEmptyLine, _) => Self::ToEmptyLine,
            (Self::ToDoubleRule, true) => Self::Ends,
            (Self::ToDoubleRule, false) => Self::ToDoubleRule,
        };
        before != Self::Nothing || *self != Self::Nothing
    }
}

struct Reader {
    /// How many there are by now.
    nodes: u8,
    steps: Vec<Step>,
}

impl Reader {
    fn command(&mut self, line: &str) -> Result<Command, String> {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match name {
            "add-nodes" | "add-node" => self.add_nodes(rest),
            "propose" => self.propose(rest),
            "partition" => self.partition(rest),
            "campaign" => {
                let mut words = Words::of(rest)?;
                let asks = words.truth("prevote")?;
                let [node] = self.rest(words)?[..] else {
                    return Err("campaign needs one node, such as `campaign 1`".to_owned());
                };
                Ok(Command::Campaign { node, asks })
            }
            "propose-conf-change" => self.change(rest),
            "deliver" | "deliver-msgs" => self.deliver(rest),
            "drop" | "drop-msgs" => {
                let mut words = Words::of(rest)?;
                let which = self.messages(&mut words)?;
                words.end()?;
                Ok(Command::Drop(which))
            }
            "process-ready" => Ok(Command::ProcessReady(self.some(rest)?)),
            "stabilize" => {
                let mut words = Words::of(rest)?;
                let _ = words.value("log-level")?;
                Ok(Command::Stabilize(self.rest(words)?))
            }
            "tick-election" => Ok(Command::TickElection(self.at_least_one(name, rest)?)),
            "tick-heartbeat" => Ok(Command::TickHeartbeat(self.at_least_one(name, rest)?)),
            "transfer-leadership" | "transfer-leader" => self.transfer(rest),
            "compact" => self.compact(rest),
            "crash" => Ok(Command::Crash(self.at_least_one(name, rest)?)),
            "restart" => Ok(Command::Restart(self.at_least_one(name, rest)?)),
            "heal" => Words::of(rest)?.end().map(|()| Command::Heal),
            "status" | "raft-state" => Ok(Command::Status(self.some(rest)?)),
            "raft-log" => Ok(Command::RaftLog(self.some(rest)?)),
            "log-level" => Ok(Command::LogLevel { is_shown: !rest.eq_ignore_ascii_case("none") }),
            _ => Err(format!("unknown command `{name}`; the commands are {NAMES}")),
        }
    }

    fn add_nodes(&mut self, rest: &str) -> Result<Command, String> {
        let mut words = Words::of(rest)?;
        let count = words.number("COUNT", u64::from(MOST_NODES))?;
        let count =
            count.ok_or("add-nodes needs how many, such as `add-nodes 3 voters=(1,2,3)`")?;
        let all = u64::from(self.nodes) + count;
        if count == 0 || all > u64::from(MOST_NODES) {
            return Err(format!("there are 1 to {MOST_NODES} nodes; this would make {all}"));
        }
        let (voters, learners) = (words.set("voters")?, words.set("learners")?);
        let (voters, learners) = (voters.unwrap_or_default(), learners.unwrap_or_default());
        if let Some(both) = voters.iter().find(|node| learners.contains(node)) {
            return Err(format!("node {both} cannot both vote and learn"));
        }
        if voters.is_empty() && !learners.is_empty() {
            return Err("somebody must vote; name them, such as `voters=(1,2,3)`".to_owned());
        }
        let index = words.value("index")?.map(|text| number("index", &text, HIGHEST_INDEX));
        let index = index.transpose()?.filter(|index| *index > 0);
        if index.is_some() && voters.is_empty() {
            return Err("a snapshot names who votes; write `voters=(1,2,3)` too".to_owned());
        }
        // A log that has just begun holds voters only.
        let index = index.or((!learners.is_empty()).then_some(1));
        let inflight = words.value("inflight")?.map(|text| number("inflight", &text, 1 << 20));
        let inflight = inflight.transpose()?.map(|most| most as usize);
        let _ = words.value("content")?;
        let (checks, asks) = (words.truth("checkquorum")?, words.truth("prevote")?);
        let is_loyal = checks == Some(true) || (checks.is_none() && asks == Some(true));
        words.end()?;
        self.nodes = all as u8;
        let count = count as u8;
        Ok(Command::AddNodes { count, voters, learners, index, inflight, is_loyal, asks })
    }

    fn propose(&self, rest: &str) -> Result<Command, String> {
        let (node, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let node = self.known(node)?;
        let text = text.trim();
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Ok(Command::Propose { node, text: bare.unwrap_or(text).to_owned() })
    }

    fn change(&self, rest: &str) -> Result<Command, String> {
        let mut words = Words::of(rest)?;
        let is_v1 = words.truth("v1")?;
        let transition = match (is_v1, words.value("transition")?.as_deref()) {
            (Some(true), None) => Transition::Simple,
            (Some(true), Some(_)) => return Err("v1=true has no transition".to_owned()),
            (_, None | Some("auto")) => Transition::Auto,
            (_, Some("implicit" | "joint-implicit")) => Transition::Implicit,
            (_, Some("explicit" | "joint-explicit")) => Transition::Explicit,
            (_, Some(other)) => {
                return Err(format!("transition is auto, implicit or explicit, not `{other}`"));
            }
        };
        let node = words.next().ok_or("propose-conf-change needs a node")?;
        let node = self.known(&node)?;
        let mut command =
            Command::Change { node, transition, changes: Vec::new(), is_named: false };
        while let Some(word) = words.next() {
            let more = changes(&word).ok_or_else(|| no_change(&word))?;
            append(&mut command, more)?;
        }
        words.end()?;
        Ok(command)
    }

    /// Adds a line of changes to the last command.
    fn add_changes(&mut self, line: &str) -> Result<(), String> {
        let more = changes(line).ok_or_else(|| no_change(line))?;
        if let Some(step) = self.steps.last_mut() {
            append(&mut step.command, more)?;
            step.text.push(line.to_owned());
        }
        Ok(())
    }

    fn deliver(&self, rest: &str) -> Result<Command, String> {
        let mut words = Words::of(rest)?;
        let lost_to = words.set("drop")?.unwrap_or_default();
        let lost_to = self.all_known(lost_to)?;
        let is_bare = words.words.is_empty();
        let which = self.messages(&mut words)?;
        words.end()?;
        // `deliver drop=(3)` alone delivers nothing.
        let which = (!is_bare || lost_to.is_empty()).then_some(which);
        Ok(Command::Deliver { which, lost_to })
    }

    fn messages(&self, words: &mut Words) -> Result<Messages, String> {
        let from = words.value("from")?.map(|text| self.known(&text)).transpose()?;
        let kind = words.value("type")?.map(|text| text.to_ascii_lowercase());
        let mut to = words.set("to")?.unwrap_or_default();
        while let Some(word) = words.next() {
            to.extend(set(&word)?);
        }
        Ok(Messages { from, to: self.all_known(to)?, kind })
    }

    fn transfer(&self, rest: &str) -> Result<Command, String> {
        let mut words = Words::of(rest)?;
        let mut place = |name| words.value(name).map(|named| named.or_else(|| words.next()));
        let needed = "transfer-leadership needs both, such as `from=1 to=2`";
        let (from, to) = (place("from")?.ok_or(needed)?, place("to")?.ok_or(needed)?);
        let command = Command::Transfer { from: self.known(&from)?, to: self.known(&to)? };
        words.end().map(|()| command)
    }

    fn compact(&self, rest: &str) -> Result<Command, String> {
        let mut words = Words::of(rest)?;
        let node = words.next().ok_or("compact needs a node, such as `compact 1 12`")?;
        let node = self.known(&node)?;
        let index = words.value("index")?.or_else(|| words.next());
        let index = index.map(|text| number("the index", &text, u64::MAX)).transpose()?;
        words.end().map(|()| Command::Compact { node, index })
    }

    /// Groups in parentheses or parted by bars; bare nodes are one group.
    fn partition(&self, rest: &str) -> Result<Command, String> {
        let rest = rest.split('#').next().unwrap_or_default();
        let is_listed = rest.contains('(');
        let parts: Vec<&str> = match (is_listed, rest.contains('|')) {
            (true, _) => rest.split(')').collect(),
            (false, true) => rest.split('|').collect(),
            (false, false) => vec![rest],
        };
        let mut groups = Vec::new();
        let mut seen = BTreeSet::new();
        for part in parts {
            let part = part.trim_matches(|c: char| c.is_whitespace() || "(),|".contains(c));
            let group = set(part)?;
            if let Some(node) = group.iter().find(|node| !seen.insert(**node)) {
                return Err(format!("node {node} is in one part of the network, and no more"));
            }
            if !group.is_empty() {
                groups.push(self.all_known(group)?);
            }
        }
        if groups.is_empty() {
            return Err("partition needs its parts, such as `partition (1,2) (3)`".to_owned());
        }
        Ok(Command::Partition(groups))
    }

    fn at_least_one(&self, name: &str, rest: &str) -> Result<Vec<Node>, String> {
        let nodes = self.some(rest)?;
        if nodes.is_empty() {
            Err(format!("{name} needs a node, such as `{name} 1`"))
        } else {
            Ok(nodes)
        }
    }

    /// Nodes, separated by spaces or commas, in parentheses or not.
    fn some(&self, rest: &str) -> Result<Vec<Node>, String> {
        self.rest(Words::of(rest)?)
    }

    /// Nodes, and nothing else.
    fn rest(&self, mut words: Words) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        while let Some(word) = words.next() {
            nodes.extend(set(&word)?);
        }
        words.end()?;
        self.all_known(nodes)
    }

    fn known(&self, text: &str) -> Result<Node, String> {
        let node = node(text)?;
        self.all_known(vec![node]).map(|_| node)
    }

    /// These nodes, each once.
    fn all_known(&self, mut nodes: Vec<Node>) -> Result<Vec<Node>, String> {
        let mut seen = BTreeSet::new();
        nodes.retain(|node| seen.insert(*node));
        match nodes.iter().find(|node| **node > self.nodes) {
            None => Ok(nodes),
            Some(node) if self.nodes == 0 => {
                Err(format!("there is no node {node}; begin with add-nodes"))
            }
            Some(node) => Err(format!("there is no node {node}; the last is {}", self.nodes)),
        }
    }
}

fn append(command: &mut Command, more: Vec<Option<Change>>) -> Result<(), String> {
    let Command::Change { transition, changes, is_named, .. } = command else { return Ok(()) };
    *is_named = true;
    changes.extend(more.into_iter().flatten());
    if *transition == Transition::Simple && changes.len() > 1 {
        return Err("v1=true makes one change; leave it out for more".to_owned());
    }
    if changes.len() > LONGEST_LINE {
        return Err(format!("at most {LONGEST_LINE} changes are made at once"));
    }
    Ok(())
}

fn no_change(word: &str) -> String {
    format!("`{word}` is no change; write v4 (votes), l4 (learns), r4 (is removed), u4 or w4")
}

/// Changes, if all words are some. One of node 0, and one that only updates, changes nothing.
fn changes(line: &str) -> Option<Vec<Option<Change>>> {
    let change = |word: &str| {
        let digits = word.get(1..)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let slot = Slot::new(digits.parse().ok().filter(|_| is_number)?);
        let change = match word.get(..1)? {
            "v" => Some(Change::AddVoter(slot)),
            "l" => Some(Change::AddLearner(slot)),
            "r" => Some(Change::Remove(slot)),
            "w" => Some(Change::AddWitness(slot)),
            "u" => None,
            _ => return None,
        };
        Some(change.filter(|_| slot.number() > 0))
    };
    line.split_whitespace().map(change).collect()
}

/// The words of a line: those with a name, and those without.
struct Words {
    named: Vec<(String, String)>,
    words: std::collections::VecDeque<String>,
}

impl Words {
    /// A space within parentheses parts no words.
    fn of(rest: &str) -> Result<Self, String> {
        let mut words = Self { named: Vec::new(), words: std::collections::VecDeque::new() };
        let mut is_inside = false;
        let mut word = String::new();
        for c in rest.chars().chain([' ']) {
            match c {
                '(' if is_inside => return Err("a parenthesis is open already".to_owned()),
                ')' if !is_inside => {
                    return Err("a parenthesis is closed that is not open".to_owned());
                }
                '(' => is_inside = true,
                ')' => is_inside = false,
                '#' if !is_inside && word.is_empty() => break,
                _ => {}
            }
            if !c.is_whitespace() || is_inside {
                word.push(c);
                continue;
            }
            let word = std::mem::take(&mut word);
            match word.split_once('=') {
                Some((name, value)) => words.named.push((name.to_owned(), value.to_owned())),
                None if word.is_empty() => {}
                None => words.words.push_back(word),
            }
        }
        if is_inside { Err("a parenthesis is open; close it".to_owned()) } else { Ok(words) }
    }

    fn next(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    fn value(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(place) = self.named.iter().position(|(it, _)| it == name) else { return Ok(None) };
        let (_, value) = self.named.remove(place);
        if self.named.iter().any(|(it, _)| it == name) {
            return Err(format!("`{name}` is given twice"));
        }
        Ok(Some(value))
    }

    fn set(&mut self, name: &str) -> Result<Option<Vec<Node>>, String> {
        self.value(name)?.map(|value| set(&value)).transpose()
    }

    fn truth(&mut self, name: &str) -> Result<Option<bool>, String> {
        self.value(name)?.map(|value| truth(name, &value)).transpose()
    }

    fn number(&mut self, name: &str, most: u64) -> Result<Option<u64>, String> {
        self.next().map(|word| number(name, &word, most)).transpose()
    }

    /// Everything was understood.
    fn end(self) -> Result<(), String> {
        if let Some((name, value)) = self.named.first() {
            return Err(format!("there is no argument `{name}={value}` here"));
        }
        match self.words.front() {
            None => Ok(()),
            Some(word) => Err(format!("`{word}` is one word too many")),
        }
    }
}

fn number(name: &str, text: &str, most: u64) -> Result<u64, String> {
    let number = text.parse::<u64>().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("{name} is a number up to {most}, not `{text}`"))
}

fn truth(name: &str, text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{name} is true or false, not `{text}`"))
}

fn node(text: &str) -> Result<Node, String> {
    let node = text.parse::<Node>().ok().filter(|node| (1..=MOST_NODES).contains(node));
    node.ok_or_else(|| format!("`{text}` is no node; nodes are 1 to {MOST_NODES}"))
}

/// Nodes, separated by commas or spaces, in parentheses or not; each once.
fn set(text: &str) -> Result<Vec<Node>, String> {
    let inside = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let words = inside.split(|c: char| c == ',' || c.is_whitespace());
    let mut nodes = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        let node = node(word)?;
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    Ok(nodes)
}
