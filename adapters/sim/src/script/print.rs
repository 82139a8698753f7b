//! How things are written: one line each, the same always.
//!
//! `> ` a command, `. ` what happened, `! ` what was refused, a number a node, and two spaces what a leader
//! knows of another node.

use super::language::Node;
use super::world::{Member, Parcel, World};
use quorate::id::{EntryId, Index, Members, Slot};
use quorate::raft::{Configuration, Message, Pace, Peer, Raft, Write};
use std::collections::BTreeMap;
use std::io;

type Texts = BTreeMap<EntryId, String>;

/// Writes how every node is.
pub(super) fn nodes(world: &World, out: &mut dyn io::Write) -> io::Result<()> {
    for (node, member) in &world.nodes {
        writeln!(out, "{}", state(*node, member))?;
        for (peer, known) in member.machine.iter().flat_map(Raft::peers) {
            writeln!(out, "  {}", progress(peer.number(), &known))?;
        }
    }
    Ok(())
}

/// A node on one line; of one that is down, what its disk says.
fn state(node: Node, member: &Member) -> String {
    let Some(raft) = member.shown() else { return format!("{node} down") };
    let role = if member.machine.is_none() { "down" } else { raft.role() };
    let number = |slot: Option<Slot>| slot.map_or(0, Slot::number);
    let runs = raft.log().runs().iter();
    let runs = runs.map(|run| format!("{}/{}", run.term, span(run.first, run.last)));
    let log = raft.log();
    format!(
        "{node} {role} term={} vote={} lead={} commit={} applied={} durable={} last={} \
         snapshot={} log=[{}] {}",
        raft.term(),
        number(raft.vote()),
        number(raft.leader()),
        raft.commit(),
        if member.machine.is_none() { log.floor().index } else { member.applied },
        raft.durable(),
        log.last().index,
        id(log.floor()),
        runs.collect::<Vec<_>>().join(","),
        configuration(raft.configuration()),
    )
}

/// What a leader knows of a node, after its number.
fn progress(node: Node, peer: &Peer) -> String {
    let pace = match peer.pace {
        Pace::Probe => "probe",
        Pace::Replicate => "replicate",
        Pace::Snapshot => "snapshot",
    };
    let waits = if peer.is_waiting { " paused" } else { "" };
    format!("{node} match={} next={} {pace}{waits}", peer.matched, peer.next)
}

/// More of a node than its line says: on a leader, itself beside the others.
pub(super) fn status(world: &World, node: Node, tale: &mut Vec<String>) {
    let Some(member) = world.nodes.get(&node) else { return };
    let Some(raft) = &member.machine else { return tale.push(format!(". {node} is down")) };
    let learners = raft.configuration().learners().and(raft.configuration().learners_next());
    let mark = |it: Node| if learners.contains(Slot::new(it)) { " learner" } else { "" };
    if raft.leads() {
        let me = Peer {
            matched: raft.durable(),
            next: raft.log().last().index.next(),
            pace: Pace::Replicate,
            is_waiting: false,
        };
        let mut known: Vec<_> = raft.peers().map(|(slot, peer)| (slot.number(), peer)).collect();
        known.push((node, me));
        known.sort_by_key(|(node, _)| *node);
        let hands_over = if raft.is_transferring() { ", and hands over" } else { "" };
        tale.push(format!(". {node} leads term {}{hands_over}:", raft.term()));
        tale.extend(
            known.iter().map(|(it, peer)| format!(".   {}{}", progress(*it, peer), mark(*it))),
        );
    } else {
        let leader = raft.leader().map_or("nobody".to_owned(), |leader| leader.to_string());
        let belongs = raft.configuration().members().contains(Slot::new(node));
        let is = match (raft.configuration().electorate().contains(Slot::new(node)), belongs) {
            (true, _) => "votes",
            (false, true) => "learns",
            (false, false) => "does not belong to the group",
        };
        tale.push(format!(". {node} follows {leader} in term {} and {is}", raft.term()));
    }
    if !member.wanted.is_empty() {
        tale.push(format!(". {node} has outputs that wait for process-ready"));
    }
}

/// The entries of a node's log above its snapshot.
pub(super) fn log(world: &World, node: Node, tale: &mut Vec<String>) {
    let Some(raft) = world.nodes.get(&node).and_then(Member::shown) else { return };
    let (floor, last) = (raft.log().floor(), raft.log().last().index);
    if floor != EntryId::ZERO {
        tale.push(format!(". {node} log snapshot {}", id(floor)));
    }
    if last == floor.index {
        tale.push(format!(". {node} log is empty from {} on", floor.index.next()));
    }
    let mut at = floor.index.next();
    while at <= last {
        if let Some(term) = raft.log().term_at(at) {
            tale.push(format!(". {node} log {}", entry(world, raft, EntryId::new(term, at))));
        }
        at = at.next();
    }
}

/// An entry of a log and what it carries.
pub(super) fn entry(world: &World, raft: &Raft, at: EntryId) -> String {
    match raft.log().next_change(at.index).filter(|change| change.at == at.index) {
        Some(change) => format!("{} {}", id(at), configuration(&change.configuration)),
        None => format!("{} {}", id(at), text(&world.texts, at)),
    }
}

/// What an entry carries; a leader's first carries nothing.
fn text(texts: &Texts, at: EntryId) -> &str {
    texts.get(&at).map_or("\"\"", String::as_str)
}

/// As etcd writes it: the term, then the index.
pub(super) fn id(entry: EntryId) -> String {
    format!("{}/{}", entry.term, entry.index)
}

/// A stretch of positions.
pub(super) fn span(first: Index, last: Index) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn members(set: Members) -> String {
    nodes_in_words(&set.iter().map(Slot::number).collect::<Vec<_>>())
}

pub(super) fn nodes_in_words(nodes: &[Node]) -> String {
    let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
    format!("({})", nodes.join(","))
}

fn configuration(of: &Configuration) -> String {
    let mut line = format!("voters={}", members(of.voters()));
    if of.is_joint() {
        line += &format!("&&{}", members(of.outgoing()));
    }
    let sets = [
        ("learners", of.learners()),
        ("learners-next", of.learners_next()),
        ("witnesses", of.witnesses()),
    ];
    for (name, set) in sets.iter().filter(|(_, set)| !set.is_empty()) {
        line += &format!(" {name}={}", members(*set));
    }
    if of.leaves_by_itself() {
        line += " autoleave";
    }
    line
}

/// Entries of one term with what they carry; few of many.
fn entries(texts: &Texts, first: EntryId, count: u64) -> String {
    let shown = (0..count.min(8)).map(|n| {
        let at = EntryId::new(first.term, first.index.plus(n));
        format!("{} {}", id(at), text(texts, at))
    });
    let more = if count > 8 { format!(", and {} more", count - 8) } else { String::new() };
    format!("[{}{more}]", shown.collect::<Vec<_>>().join(", "))
}

pub(super) fn write(texts: &Texts, write: &Write) -> String {
    match *write {
        Write::Ballot { term, vote } => {
            format!("ballot term={term} vote={}", vote.map_or(0, Slot::number))
        }
        Write::Append { term, first, last } => {
            let count = last.above(first.previous());
            format!("entries={}", entries(texts, EntryId::new(term, first), count))
        }
        Write::Configure { entry, configuration: of } => {
            format!("entries=[{} {}]", id(entry), configuration(&of))
        }
        Write::Rebase { term, vote, base } => {
            let vote = vote.map_or(0, Slot::number);
            format!("all anew: term={term} vote={vote} snapshot={}", id(base.snapshot.boundary))
        }
    }
}

/// How the machine calls a message.
fn kind(message: &Message) -> String {
    let debug = format!("{message:?}");
    match message {
        Message::Chunk { .. } => "Snapshot".to_owned(),
        _ => debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned(),
    }
}

/// What etcd sends in its place.
const fn kind_in_etcd(message: &Message) -> &'static str {
    match message {
        Message::PreVote { .. } => "msgprevote",
        Message::PreVoteReply { .. } => "msgprevoteresp",
        Message::Vote { .. } => "msgvote",
        Message::VoteReply { .. } => "msgvoteresp",
        Message::Append { .. } | Message::Configure { .. } => "msgapp",
        Message::Matched { .. } | Message::Conflict { .. } => "msgappresp",
        Message::Chunk { .. } => "msgsnap",
        Message::Campaign { .. } => "msgtimeoutnow",
        _ => "",
    }
}

/// Whether a message is of this kind, in lower case; an append without entries is a heartbeat too.
pub(super) fn is_kind(name: &str, message: &Message) -> bool {
    let is_heartbeat = matches!(message, Message::Append { count: 0, .. });
    name == kind_in_etcd(message)
        || name.eq_ignore_ascii_case(&kind(message))
        || (is_heartbeat && ["heartbeat", "msgheartbeat"].contains(&name))
}

/// A message on its way.
pub(super) fn parcel(texts: &Texts, parcel: &Parcel) -> String {
    let Parcel { from, to, message } = parcel;
    let name = kind(message);
    let yes = |granted: bool| if granted { "granted" } else { "refused" };
    let says = match *message {
        Message::PreVote { term, last } => format!("term={term} last={}", id(last)),
        Message::PreVoteReply { term, proposed, granted } => {
            format!("term={term} asked={proposed} {}", yes(granted))
        }
        Message::Vote { term, last, asked_to } => {
            let by = if asked_to { " as the leader asks" } else { "" };
            format!("term={term} last={}{by}", id(last))
        }
        Message::VoteReply { term, granted } => format!("term={term} {}", yes(granted)),
        Message::Append { term, prev, entries: of, count, commit, .. } => {
            let first = EntryId::new(of, prev.index.next());
            let entries = entries(texts, first, u64::from(count));
            format!("term={term} log={} commit={commit} entries={entries}", id(prev))
        }
        Message::Configure { term, prev, of, configuration: next, committed } => {
            let at = id(EntryId::new(of, prev.index.next()));
            let known = if committed { " committed" } else { "" };
            let entry = configuration(&next);
            format!("term={term} log={} entries=[{at} {entry}]{known}", id(prev))
        }
        Message::Matched { term, matched, .. } => format!("term={term} match={matched}"),
        Message::Conflict { term, rejected, hint, .. } => {
            format!("term={term} rejected={rejected} hint={}", id(hint))
        }
        Message::Chunk { term, boundary, length, .. } => {
            let part = if length == 0 { " (heartbeat)" } else { "" };
            format!("term={term} snapshot={}{part}", id(boundary))
        }
        Message::Campaign { term, last } => format!("term={term} last={}", id(last)),
        _ => format!("term={}", message.term()),
    };
    format!("{from}->{to} {name} {says}")
}
