//! Snapshots of one replica, told by hand: what a transfer that began again, or that nobody will
//! finish, must not do. Both were found by whole runs from a seed.

use crate::sum::{Group, Sum, add, group, led_group, open, submit};
use quorate::hlc::Stamp;
use quorate::id::{EntryId, Index, Members, Slot, Term};
use quorate::limits::BOARD;
use quorate::raft::{Configuration, Message, Snapshot};
use quorate::replica::{Body, Config, Entry, Header, Input, Output, Replica};
use quorate::time::{Instant, Now, Wall};
use quorate_sim::raft::step_vec;

/// A replica that has never lived before, and its host, whose log is fast and whose snapshots take
/// as long as it is told.
struct Alone(Replica<Sum>);

impl Alone {
    fn new() -> Self {
        Self::of(Members::first(3))
    }

    /// One in whose log these vote at first.
    fn of(voters: Members) -> Self {
        let setup = group(3, 1).setup;
        let raft = quorate::raft::Config { voters, ..setup.raft.config(Slot::new(0), 1) };
        Self(
            Replica::new(
                Config {
                    raft,
                    clock: setup.clock,
                    roster: quorate::membership::roster::Config::default(),
                },
                setup.state,
            )
            .unwrap(),
        )
    }

    /// Takes a step, and says what it said of snapshots.
    fn step(&mut self, input: Input<'_, u64>) -> Vec<Snapshot> {
        let now = Now::both(Instant::from_micros(1), Wall::from_micros(9_000_000));
        let (mut told, mut stores) = (step_vec(&mut self.0, now, input).unwrap(), Vec::new());
        while !told.is_empty() {
            let mut newest = None;
            for output in told {
                match output {
                    Output::Persist { receipt, .. } => newest = Some(receipt),
                    Output::Store { snapshot } => stores.push(snapshot),
                    _ => {}
                }
            }
            let confirm = newest.map(Input::Persisted);
            told = confirm.map_or(Vec::new(), |input| step_vec(&mut self.0, now, input).unwrap());
        }
        stores
    }

    /// A leader sends it a part of a snapshot: twice, since the first one tells it of the term.
    fn is_sent(
        &mut self,
        (from, term): (u8, u64),
        Snapshot { boundary, size, digest }: Snapshot,
        (offset, chunk): (usize, &[u8]),
    ) -> Vec<Snapshot> {
        let (term, offset, length) = (Term::new(term), offset as u32, chunk.len() as u32);
        let message = Message::Chunk { term, boundary, digest, size, offset, length, round: 0 };
        let (from, header) = (Slot::new(from), Header { message, early: false, bare: false });
        let input = || Input::Message { from, header, entries: &[], chunk };
        [self.step(input()), self.step(input())].concat()
    }

    /// A leader sends it entries of its own term.
    fn is_told(&mut self, (from, term): (u8, u64), prev: EntryId, count: u64, commit: u64) -> bool {
        let stamp = |n| Stamp::at_millis(1_000 + prev.index.number() + n);
        let entries: Vec<_> =
            (1..=count).map(|n| Entry { stamp: stamp(n), body: Body::Barrier }).collect();
        let (term, commit, count) = (Term::new(term), Index::new(commit), count as u32);
        let message = Message::Append { term, prev, entries: term, count, commit, round: 0 };
        let (from, header) = (Slot::new(from), Header { message, early: false, bare: false });
        let stores = self.step(Input::Message { from, header, entries: &entries, chunk: &[] });
        stores.into_iter().for_each(|snapshot| drop(self.step(Input::Stored(snapshot))));
        self.0.raft().log().last().index == prev.index.plus(u64::from(count))
    }
}

/// A snapshot of a group that has lived for a while, its bytes, and the state in it.
fn of_a_group() -> (Snapshot, Vec<u8>, u64) {
    let (mut group, leader): (Group, u8) = led_group(3);
    submit(&mut group, leader, &[open(7)]);
    let mut sequence = 0;
    while group.nodes[usize::from(leader)].disk.snapshot.is_none() {
        sequence += 1;
        submit(&mut group, leader, &[add(7, sequence, 1)]);
    }
    let (snapshot, bytes) = group.nodes[usize::from(leader)].disk.snapshot.clone().unwrap();
    (snapshot, bytes, snapshot.boundary.index.number() - 2)
}

// While the first copy was being stored, the same snapshot was sent once more from the start, after
// another leader's: what was stored was taken for what had arrived, which was a half.
#[test]
fn a_snapshot_that_is_stored_while_it_is_sent_again_is_not_half_a_snapshot() {
    let (snapshot, bytes, sum) = of_a_group();
    let mut replica = Alone::new();
    let (half, first) = (bytes.len() / 2, snapshot.boundary.term.number());
    let (one, other) = bytes.split_at(half);
    assert_eq!(replica.is_sent((1, first), snapshot, (0, one)), []);
    assert_eq!(replica.is_sent((1, first), snapshot, (half, other)), [snapshot], "it is whole");
    let boundary = EntryId::new(snapshot.boundary.term, snapshot.boundary.index.next());
    let another = Snapshot { boundary, ..snapshot };
    assert_eq!(replica.is_sent((2, first + 1), another, (0, one)), []);
    assert_eq!(replica.is_sent((1, first + 2), snapshot, (0, one)), []);

    // The disk has done what it was asked for first.
    replica.step(Input::Stored(snapshot));
    assert_eq!(replica.0.raft().stopped(), None);
    assert_eq!(replica.is_sent((1, first + 2), snapshot, (half, other)), [snapshot]);
    replica.step(Input::Stored(snapshot));
    assert_eq!(replica.0.raft().log().floor(), snapshot.boundary);
    assert_eq!(replica.0.state().sum, sum);
}

// The place of its own snapshot was taken by one that an earlier leader had begun to send, and that
// nobody went on with: the log stayed full, and the new leader sent it the same entries for ever.
#[test]
fn a_full_log_is_compacted_though_an_earlier_leader_began_to_send_a_snapshot() {
    let mut replica = Alone::new();
    replica.is_told((1, 1), EntryId::ZERO, BOARD.entries as u64, 0);
    let last = replica.0.raft().log().last();
    assert!(last.index.number() > BOARD.entries as u64 / 2);
    let boundary = EntryId::new(Term::new(2), last.index.plus(100));
    let beyond = Snapshot { boundary, size: 200, digest: 77 };
    assert_eq!(replica.is_sent((2, 2), beyond, (0, &[0; 100])), []);

    // The leader of term 3 knows that ten of them are committed, and goes on behind the last.
    let leader = (1, 3);
    assert!(replica.is_told(leader, last, 1, 10), "one entry stays free for each leader");
    let newest = replica.0.raft().log().last();
    assert_eq!(replica.0.applied().entry.index, Index::new(10));
    assert!(!replica.is_told(leader, newest, 4, 10), "there is no room");
    assert_eq!(replica.0.raft().log().floor().index, Index::new(10), "it has made room");
    assert!(replica.is_told(leader, newest, 4, 10));
}

// It had not yet come to the entry that lets it in, and so said in its snapshot that nobody votes: from
// that no log goes on, and it stopped for good.
#[test]
fn a_member_that_joins_compacts_nothing_before_it_knows_who_belongs_to_the_group() {
    let mut replica = Alone::of(Members::NONE);
    let count = BOARD.entries as u64 / 2;
    assert!(replica.is_told((1, 1), EntryId::ZERO, count, count));
    assert_eq!(replica.0.raft().stopped(), None);
    assert_eq!(replica.0.applied().entry.index, Index::new(count));
    assert_eq!(replica.0.raft().log().floor(), EntryId::ZERO);

    let (prev, term, configuration) =
        (replica.0.raft().log().last(), Term::new(1), Configuration::of(Members::first(3)));
    let message = Message::Configure { term, prev, of: term, configuration, committed: true };
    let (stamp, header) = (Stamp::at_millis(2_000), Header { message, early: false, bare: false });
    let entries = &[Entry { stamp, body: Body::Change }];
    let stores = replica.step(Input::Message { from: Slot::new(1), header, entries, chunk: &[] });
    assert_eq!(stores.len(), 1, "now it does");
    replica.step(Input::Stored(stores[0]));
    assert_eq!(replica.0.raft().stopped(), None);
    assert_eq!(replica.0.raft().log().floor(), stores[0].boundary);
}

// A leader waited for ever for the vote of one whose log was full, and which could let go of nothing.
#[test]
fn a_member_that_joins_and_was_told_who_founded_the_group_lets_go_of_what_was_before_it() {
    let founders: Members = [1, 2].into_iter().map(Slot::new).collect();
    let mut replica = Alone::of(founders);
    let count = BOARD.entries as u64 / 2;
    assert!(replica.is_told((1, 1), EntryId::ZERO, count, count));
    assert_eq!(replica.0.raft().log().floor().index, Index::new(count));
    assert_eq!(replica.0.raft().configuration(), &Configuration::of(founders));
}
