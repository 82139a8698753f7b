//! Two replicas and a witness: a voter that keeps the log without its payloads.

use crate::sum::{Sum, add, open};
use quorate::id::{ClientId, Members, Slot, Term};
use quorate::limits::BOARD;
use quorate::raft::{Change, Write};
use quorate::replica::witness::{self, Witness};
use quorate::replica::{Config, Entry, Header, Input, Outcome, Output, Replica};
use quorate::time::{Now, Span, Wall};
use quorate::{Refused, raft};
use quorate_sim::raft::{Setup, step_vec};
use std::collections::VecDeque;

const WITNESS: Slot = Slot::new(2);

/// A message on its way, with what travels with it.
struct Letter {
    from: Slot,
    to: Slot,
    header: Header,
    entries: Vec<Entry<u64>>,
    chunk: Vec<u8>,
}

/// The group, driven by hand: what is written is durable at once.
struct Group {
    replicas: Vec<Replica<Sum>>,
    witness: Witness,
    disk: Vec<Write>,
    letters: VecDeque<Letter>,
    now: u64,
    /// The replica that is cut off, if one is.
    away: Option<Slot>,
    /// How many bytes of snapshots the witness was sent.
    received: usize,
}

fn config(me: u8, voters: Members) -> raft::Config {
    let setup = Setup { voters, ..Setup::of(3) };
    setup.config(Slot::new(me), 1)
}

impl Group {
    /// Two replicas that vote, and a witness that is added once one of them leads.
    fn new() -> Self {
        let voters = Members::first(2);
        let replica = |me| {
            let raft = config(me, voters);
            let config = Config {
                raft,
                clock: quorate::hlc::Config::default(),
                roster: quorate::membership::roster::Config::default(),
            };
            Replica::new(config, Sum::default()).unwrap()
        };
        let witness = Witness::new(config(2, Members::NONE)).unwrap();
        let replicas = vec![replica(0), replica(1)];
        let (disk, letters) = (Vec::new(), VecDeque::new());
        let mut group =
            Self { replicas, witness, disk, letters, now: 1_000, away: None, received: 0 };
        group.pass(Span::secs(1));
        let leader = group.leader();
        let with = group.replicas[leader].raft().configuration();
        let with = with.simple(&[Change::AddWitness(WITNESS)]).unwrap();
        group.ask(leader, Input::Reconfigure(with)).unwrap();
        group.pass(Span::millis(200));
        group
    }

    fn now(&self) -> Now {
        Now::both(
            quorate::time::Instant::from_micros(self.now),
            Wall::from_micros(1_790_000_000_000_000 + self.now),
        )
    }

    fn leader(&self) -> usize {
        let leads = |replica: &Replica<Sum>| replica.raft().leads();
        let here = |place: usize| self.away != Some(Slot::new(place as u8));
        (0..2).find(|place| here(*place) && leads(&self.replicas[*place])).expect("one leads")
    }

    fn ask(&mut self, place: usize, input: Input<'_, u64>) -> Result<(), Refused> {
        let now = self.now();
        let mut outputs = VecDeque::from(step_vec(&mut self.replicas[place], now, input)?);
        while let Some(output) = outputs.pop_front() {
            let replica = &mut self.replicas[place];
            match output {
                Output::Send { to, header } => {
                    let entries: Vec<_> = replica.entries_of(&header).cloned().collect();
                    let chunk = replica.chunk_of(&header).to_vec();
                    let from = Slot::new(place as u8);
                    self.letters.extend(to.iter().map(|to| {
                        let (entries, chunk) = (entries.clone(), chunk.clone());
                        Letter { from, to, header, entries, chunk }
                    }));
                }
                Output::Persist { receipt, .. } => {
                    outputs.extend(step_vec(replica, now, Input::Persisted(receipt))?);
                }
                Output::Store { snapshot } => {
                    outputs.extend(step_vec(replica, now, Input::Stored(snapshot))?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn tell_witness(&mut self, input: witness::Input<'_>) {
        let now = self.now();
        let mut outputs = VecDeque::from(step_vec(&mut self.witness, now, input).unwrap());
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Send { to, header } => self.letters.extend(to.iter().map(|to| Letter {
                    from: WITNESS,
                    to,
                    header,
                    entries: Vec::new(),
                    chunk: Vec::new(),
                })),
                Output::Persist { receipt, write } => {
                    match write {
                        Write::Rebase { .. } => self.disk = self.witness.image().collect(),
                        _ => self.disk.push(write),
                    }
                    let persisted = witness::Input::Persisted(receipt);
                    outputs.extend(step_vec(&mut self.witness, now, persisted).unwrap());
                }
                _ => {}
            }
        }
    }

    fn settle(&mut self) {
        while let Some(letter) = self.letters.pop_front() {
            let Letter { from, to, header, entries, chunk } = letter;
            if [from, to].iter().any(|slot| self.away == Some(*slot)) {
                continue;
            }
            if to == WITNESS {
                assert!(entries.is_empty(), "a witness is sent no payloads");
                self.received += chunk.len();
                self.tell_witness(witness::Input::Message { from, header, chunk: &chunk });
            } else {
                let message = Input::Message { from, header, entries: &entries, chunk: &chunk };
                self.ask(usize::from(to.number()), message).unwrap();
            }
        }
    }

    fn pass(&mut self, span: Span) {
        let end = self.now + span.as_micros();
        while self.now < end {
            self.now += 5_000;
            (0..2).for_each(|place| self.ask(place, Input::Tick).unwrap());
            self.tell_witness(witness::Input::Tick);
            self.settle();
        }
    }

    fn submit(&mut self, requests: &[quorate::replica::Request<u64>]) {
        let leader = self.leader();
        self.ask(leader, Input::Submit { requests }).unwrap();
        self.settle();
    }
}

#[test]
fn a_replica_and_a_witness_commit_while_the_other_replica_is_away() {
    let mut group = Group::new();
    group.submit(&[open(7), add(7, 1, 5)]);
    group.away = Some(Slot::new(1 - group.leader() as u8));
    group.submit(&[add(7, 2, 6)]);
    let leader = group.leader();
    assert_eq!(group.replicas[leader].outcome(ClientId::new(7), 2), Outcome::Done(&11));
    group.away = None;
    group.pass(Span::millis(200));
    assert_eq!(group.replicas[1 - leader].state().sum, 11);
}

#[test]
fn a_witness_elects_the_other_replica_and_never_leads() {
    let mut group = Group::new();
    group.submit(&[open(7), add(7, 1, 5)]);
    let old = group.leader();
    group.away = Some(Slot::new(old as u8));
    group.pass(Span::secs(3));
    assert_eq!(group.leader(), 1 - old);
    assert!(!group.witness.raft().leads());
    group.submit(&[add(7, 2, 6)]);
    assert_eq!(group.replicas[1 - old].state().sum, 11);
    assert_eq!(group.replicas[1 - old].raft().term(), group.witness.raft().term());
}

// What is committed may lie in full on one member only: nobody who lacks it is elected.
#[test]
fn a_witness_gives_no_vote_to_a_replica_that_lacks_what_it_saw_committed() {
    let mut group = Group::new();
    group.submit(&[open(7)]);
    let old = group.leader();
    group.away = Some(Slot::new(1 - old as u8));
    group.submit(&[add(7, 1, 5)]);
    group.away = Some(Slot::new(old as u8));
    group.pass(Span::secs(5));
    assert!(!group.replicas[1 - old].raft().leads());
    group.away = None;
    group.pass(Span::secs(3));
    assert_eq!(group.replicas[1 - old].state().sum, 5);
}

#[test]
fn a_witness_lets_go_of_what_is_committed_and_needs_no_snapshot_for_it() {
    let mut group = Group::new();
    group.submit(&[open(7)]);
    for sequence in 1..=200 {
        group.submit(&[add(7, sequence, 1)]);
    }
    let log = group.witness.raft().log();
    assert!(log.last().index.above(log.floor().index) <= BOARD.entries as u64);
    assert!(log.floor().index.number() > 100);
    assert_eq!(group.received, 0, "it was there all the time");
    assert_eq!(group.replicas[0].state().sum, 200);
}

#[test]
fn a_witness_that_was_away_for_long_takes_the_head_of_a_snapshot() {
    let mut group = Group::new();
    group.submit(&[open(7)]);
    group.away = Some(WITNESS);
    for sequence in 1..=200 {
        group.submit(&[add(7, sequence, 1)]);
    }
    group.away = None;
    group.pass(Span::millis(500));
    assert!(group.received > 0);
    let (mine, theirs) = (group.witness.raft(), group.replicas[group.leader()].raft());
    assert_eq!(mine.log().last(), theirs.log().last());
    assert_eq!(mine.configuration(), theirs.configuration());
    let leader = group.leader();
    group.away = Some(Slot::new(1 - leader as u8));
    group.submit(&[add(7, 201, 1)]);
    assert_eq!(group.replicas[leader].state().sum, 201, "and it counts");
}

#[test]
fn a_witness_comes_back_from_its_disk_as_it_was() {
    let mut group = Group::new();
    group.submit(&[open(7)]);
    for sequence in 1..=200 {
        group.submit(&[add(7, sequence, 1)]);
    }
    let before = group.witness.raft();
    let mut again = Witness::new(config(2, Members::NONE)).unwrap();
    group.disk.iter().for_each(|write| again.replay(write));
    let raft = again.raft();
    assert_eq!((raft.term(), raft.vote()), (before.term(), before.vote()));
    assert_eq!(raft.log(), before.log());
    assert!(again.image().eq(group.witness.image()));
    assert!(raft.term() > Term::new(0));
}

#[test]
fn a_part_of_a_snapshot_that_is_not_as_long_as_it_says_is_ignored() {
    let mut group = Group::new();
    let before = group.witness.clone();
    let term = before.raft().term();
    let (boundary, digest, size) = (quorate_sim::raft::entry(1, 999), 1, 100);
    let (offset, length, round) = (0, 100, 0);
    let message = raft::Message::Chunk { term, boundary, digest, size, offset, length, round };
    let header = Header { message, early: false, bare: false };
    let from = Slot::new(group.leader() as u8);
    group.tell_witness(witness::Input::Message { from, header, chunk: &[0; 99] });
    assert_eq!(group.witness, before);
    group.tell_witness(witness::Input::Message { from, header, chunk: &[0; 100] });
    assert_eq!(group.witness.raft().log(), before.raft().log(), "it says nothing that is true");
    assert_eq!(group.witness.raft().incoming(), None);
}

// A replica that joined did the same: a snapshot of nothing that says of nobody that it belongs to the group.
#[test]
fn a_witness_that_does_not_know_the_group_yet_lets_nothing_go() {
    let mut group = Group::new();
    group.witness = Witness::new(config(2, Members::NONE)).unwrap();
    let (term, prev) = (Term::new(1), quorate::id::EntryId::ZERO);
    let (count, commit) = (40, quorate::id::Index::new(40));
    let message = raft::Message::Append { term, prev, entries: term, count, commit, round: 1 };
    let header = Header { message, early: false, bare: true };
    group.tell_witness(witness::Input::Message { from: Slot::new(0), header, chunk: &[] });
    let log = group.witness.raft().log();
    assert_eq!((log.last().index, log.floor()), (commit, prev));
}
