//! A replay's steps in words.

use super::Tape;
use quorate::id::Slot;
use quorate::lease::Command;
use quorate::raft::Read;
use quorate::replica::{Body, Entry, Header, Output, Request};
use quorate_host::recording::Given;
use quorate_sim::{raft, replica};
use std::fmt::Write as _;

/// What the replica was given.
pub(super) fn given(given: &Given<Command>, tape: &Tape) -> String {
    match given {
        Given::Tick => "ticks".to_owned(),
        Given::Message { from, header, entries, chunk } => {
            let heard = message(header, entries, chunk.len());
            format!("hears {} {heard}", member(*from, tape))
        }
        Given::Submit { requests } => {
            requests.iter().fold("is asked".to_owned(), |mut line, request| {
                let _ = write!(line, " {}", asked(request));
                line
            })
        }
        Given::Read => "is asked for a read".to_owned(),
        Given::Persisted { write } => format!("has write {write} on disk"),
        Given::PersistFailed => "fails to write".to_owned(),
        Given::Stored(snapshot) => format!("has snapshot {} on disk", snapshot.boundary),
        Given::Suspect(of) => format!("is told that member {} may be gone", member(*of, tape)),
        Given::StepDown => "is asked to step down".to_owned(),
        Given::Admit { life, .. } => format!("is asked to admit {life}"),
        Given::Dismiss(life) => format!("is asked to let {life} leave"),
        Given::Transfer(to) => {
            format!("is asked to hand leadership over to member {}", member(*to, tape))
        }
        Given::Reconfigure(to) => format!("is asked to change the configuration to {to}"),
    }
}

/// What it said.
pub(super) fn said(output: &Output, tape: &Tape) -> String {
    let replica = tape.replica();
    match output {
        Output::Persist { write, .. } => {
            let entries = write.entries().map(|(first, last)| replica.entries(first, last));
            format!(
                "writes {}{}",
                raft::Record(vec![*write]),
                listed(entries.into_iter().flatten())
            )
        }
        Output::Send { to, header } => {
            let to: Vec<_> = to.iter().map(|slot| member(slot, tape)).collect();
            let sent = message(header, &[], replica.chunk_of(header).len());
            format!("→ {} {sent}", to.join(", "))
        }
        Output::Store { snapshot } => {
            format!("stores snapshot {}, {} bytes", snapshot.boundary, snapshot.size)
        }
        Output::Submitted { first, count } => format!("takes {count} from {first} on"),
        Output::Applied { index } => format!("has applied {index}"),
        Output::Leading => "leads".to_owned(),
        Output::NotTransferred { to } => {
            format!("has not handed leadership over to {}", member(*to, tape))
        }
        Output::Following { leader: Some(leader) } => format!("follows {}", member(*leader, tape)),
        Output::Following { leader: None } => "follows nobody".to_owned(),
        Output::Reading { read } => format!("takes read {}", name(*read)),
        Output::Readable { read } => format!("may serve reads to {}", name(*read)),
        Output::Unreadable { read } => format!("cannot serve reads to {}", name(*read)),
    }
}

/// A read's name: its round, its number, its term.
fn name(Read { term, round, number }: Read) -> String {
    format!("{round}.{number} of t{term}")
}

fn message(header: &Header, entries: &[Entry<Command>], chunk: usize) -> String {
    let packet =
        replica::Packet { header: *header, entries: Vec::<Entry<Command>>::new(), chunk: vec![] };
    let chunk = if chunk > 0 { format!(", {chunk} bytes") } else { String::new() };
    format!("{packet}{chunk}{}", listed(entries.iter()))
}

/// The entries of a message or a write, in brackets.
fn listed<'a>(entries: impl Iterator<Item = &'a Entry<Command>>) -> String {
    let words: Vec<_> = entries
        .map(|entry| match &entry.body {
            Body::Barrier => "barrier".to_owned(),
            Body::Change => "change".to_owned(),
            Body::Due(command) => format!("due {command:?}"),
            Body::Roster(command) => format!("roster {command:?}"),
            Body::Request(request) => asked(request),
        })
        .collect();
    if words.is_empty() { String::new() } else { format!(" [{}]", words.join(", ")) }
}

fn asked(request: &Request<Command>) -> String {
    match request {
        Request::Open { client } => format!("open {client}"),
        Request::Command { client, sequence, command } => {
            format!("{client}#{sequence} {command:?}")
        }
    }
}

/// A member by the number that people know it by.
pub(super) fn member(slot: Slot, tape: &Tape) -> String {
    let known = tape.head().members.get(slot.position());
    known.map_or("stranger".to_owned(), |node| format!("node {node}"))
}
