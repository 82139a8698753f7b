//! Who may speak for whom while nothing is known to be committed: what the log says, and no older hint.

use quorate::hlc::Stamp;
use quorate::id::{EntryId, Incarnation, Index, NodeId, Slot, Term};
use quorate::lease::{Command, Table};
use quorate::membership::Address;
use quorate::membership::roster::{self, Life};
use quorate::raft::Message;
use quorate::replica::{Body, Entry, Header};
use quorate::time::{Instant, Now, Wall};
use quorate_host::book::Book;
use quorate_host::config::Config;
use quorate_host::driver::{Driver, Event, Io};
use quorate_host::lease::table;
use quorate_host::protocol::{MemberMessage, Welcome};
use quorate_host::store::{self, Store, Task};
use std::path::Path;
use std::sync::Arc;

/// Some day in 2026, in milliseconds.
const TODAY: u64 = 1_790_000_000_000;

#[derive(Default)]
struct Disk(Vec<Task>);

impl Io for Disk {
    fn send(&mut self, _: Slot, _: &Arc<[u8]>) {}
    fn reply(&mut self, _: u64, _: Vec<u8>) {}
    fn disk(&mut self, task: Task) {
        self.0.push(task);
    }
    fn leader(&mut self, _: Option<NodeId>) {}
    fn members(&mut self, _: &Book) {}
}

/// Node 1 of three founders, at slot 0.
fn open(folder: &Path) -> (Driver<Table>, Store, Now) {
    let mut text = "[node]\nid = 1\nlisten = \"127.0.0.1:1\"\ndata = \"data\"\n".to_owned();
    for id in 1..=3 {
        text += &format!("[[member]]\nid = {id}\naddress = \"127.0.0.1:{id}\"\n");
    }
    let config = Config::parse("node.toml", &text, folder).expect("it is sound");
    let now = Now::both(Instant::from_micros(1), Wall::from_micros(TODAY * 1_000));
    let (replica, store) = store::open(&config, table(), now).expect("a sound disk");
    (Driver::new(&config, replica, store.book().clone()), store, now)
}

fn life(node: u64, incarnation: u64) -> Life {
    Life { node: NodeId::new(node), incarnation: Incarnation::new(incarnation) }
}

fn admit(life: Life, slot: u8) -> roster::Command {
    let (address, slot) = (Address::default(), Slot::new(slot));
    roster::Command::Admit { life, address, slot, replaces: None }
}

/// A leader's entries after one of term 1, none of them committed.
fn append(term: u64, prev: u64, bodies: Vec<Body<Command>>) -> MemberMessage<Command> {
    let (term, count) = (Term::new(term), bodies.len() as u32);
    let before = if prev == 0 { Term::new(0) } else { Term::new(1) };
    let prev = EntryId::new(before, Index::new(prev));
    let entries = (TODAY + prev.index.number()..).zip(bodies);
    let entries = entries.map(|(at, body)| Entry { stamp: Stamp::at_millis(at), body }).collect();
    let message =
        Message::Append { term, prev, entries: term, count, commit: Index::ZERO, round: 1 };
    let header = Header { message, early: false, bare: false };
    MemberMessage { header, entries, chunk: Vec::new() }
}

/// Takes a message in, and writes what comes of it.
fn hear(node: &mut (Driver<Table>, Store, Now), from: u8, message: MemberMessage<Command>) {
    let (driver, store, now) = node;
    let mut disk = Disk::default();
    let event = Event::Member(Slot::new(from), message);
    driver.take(*now, std::iter::once(event), &mut disk);
    store.perform(disk.0.into_iter()).expect("the disk works");
}

fn met(book: &Book, from: Life, since: u64) -> Result<Slot, Welcome> {
    book.meet(from, Index::new(since), (NodeId::new(1), None))
}

#[test]
fn who_speaks_for_a_slot_is_what_the_log_says_committed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = open(folder.path());
    assert_eq!(met(node.0.book(), life(3, 11), 0), Ok(Slot::new(2)), "a founder at its first word");
    let (slot, since) = (Slot::new(3), Index::new(3));
    let commands = [
        admit(life(3, 10), 2),
        admit(life(4, 5), 3),
        roster::Command::Dismiss(life(4, 5)),
        roster::Command::Vacate { slot, since },
        admit(life(5, 6), 3),
    ];
    let bodies = std::iter::once(Body::Barrier).chain(commands.map(Body::Roster)).collect();
    hear(&mut node, 1, append(1, 0, bodies));
    let says_so = |book: &Book, when: &str| {
        let known = Incarnation::new(10);
        assert_eq!(met(book, life(3, 11), 0), Err(Welcome::OtherLife { known }), "{when}");
        assert_eq!(met(book, life(4, 5), 3), Err(Welcome::NotAMember), "{when}");
        assert_eq!(met(book, life(5, 6), 6), Ok(slot), "{when}");
    };
    assert_eq!(node.0.replica().applied().entry.index, Index::ZERO);
    says_so(node.0.book(), "while it runs");

    drop(node);
    std::fs::remove_file(folder.path().join("data/members")).unwrap();
    let mut node = open(folder.path());
    says_so(node.1.book(), "started again without hints");

    hear(&mut node, 2, append(2, 1, vec![Body::Barrier]));
    assert_eq!(met(node.0.book(), life(5, 6), 6), Err(Welcome::NotAMember), "it was taken back");
}
