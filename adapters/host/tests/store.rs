//! A node's replica on a real disk, driven by hand: what restarts keep, and what they refuse.

use quorate::id::{ClientId, GroupId, NodeId, Slot};
use quorate::lease::{Command, Name, Response, Table};
use quorate::replica;
use quorate::time::{Instant, Now, Span, Wall};
use quorate_host::book::Book;
use quorate_host::config::Config;
use quorate_host::driver::{Driver, Event, Io};
use quorate_host::frame::{self, Kind};
use quorate_host::lease::{Answer, Query, table};
use quorate_host::protocol::{Ask, Reply, ReplyBody, Request};
use quorate_host::store::{self, OpenError, Store, Task};
use std::path::Path;
use std::sync::Arc;

/// Some day in 2026, in microseconds.
const TODAY: u64 = 1_790_000_000_000_000;
const HOUR: u64 = 3_600_000_000;

/// What a runtime would perform.
#[derive(Default)]
struct Effects {
    tasks: Vec<Task>,
    replies: Vec<ReplyBody<Response, Answer>>,
}

impl Io for Effects {
    fn send(&mut self, _: Slot, _: &Arc<[u8]>) {}

    fn reply(&mut self, _: u64, frame: Vec<u8>) {
        let group = GroupId::new(1);
        let read = frame::read(&mut &frame[..], &mut Vec::new(), Kind::Reply, group);
        let reply: Reply<Response, Answer> = read.expect("a reply is a frame");
        self.replies.push(reply.body);
    }

    fn disk(&mut self, task: Task) {
        self.tasks.push(task);
    }

    fn leader(&mut self, _: Option<NodeId>) {}

    fn members(&mut self, _: &Book) {}
}

/// The only node of its group.
struct Node {
    driver: Driver<Table>,
    store: Store,
    effects: Effects,
    now: Now,
}

impl Node {
    fn open(folder: &Path, wall_micros: u64) -> Result<Self, OpenError> {
        let text = "[node]\nid = 1\nlisten = \"127.0.0.1:1\"\ndata = \"data\"\n\
                    [[member]]\nid = 1\naddress = \"127.0.0.1:1\"\n\
                    [consensus_group]\nreplication_factor = 1\n";
        let config = Config::parse("node.toml", text, folder).expect("it is sound");
        let now = Now::both(Instant::from_micros(1), Wall::from_micros(wall_micros));
        let (replica, store) = store::open(&config, table(), now)?;
        let driver = Driver::new(&config, replica, store.book().clone());
        let mut node = Self { driver, store, effects: Effects::default(), now };
        for _ in 0..3 {
            let deadline = node.driver.deadline().expect("it wants to lead");
            node.now.mono = node.now.mono.max(deadline);
            node.take(Event::Tick);
        }
        assert!(node.driver.replica().raft().leads());
        Ok(node)
    }

    /// Takes an event, and lets the disk do all that comes of it.
    fn take(&mut self, event: Event<Table>) {
        self.driver.take(self.now, std::iter::once(event), &mut self.effects);
        while !self.effects.tasks.is_empty() {
            let done = self.store.perform(self.effects.tasks.drain(..)).expect("the disk works");
            let done = done.into_iter().map(Event::Disk);
            self.driver.take(self.now, done, &mut self.effects);
        }
    }

    fn ask(&mut self, ask: Ask<Command, Query>) -> ReplyBody<Response, Answer> {
        self.take(Event::Request(1, Request { number: 1, ask }));
        assert_eq!(self.effects.replies.len(), 1, "each request has one reply");
        self.effects.replies.remove(0)
    }

    fn acquire(&mut self, scope: &str) -> ReplyBody<Response, Answer> {
        let client = ClientId::new(self.driver.replica().applied().entry.index.number());
        self.ask(Ask::Submit(replica::Request::Open { client }));
        let (scope, holder) = (Name::new(scope).unwrap(), Name::new("ann").unwrap());
        let command = Command::Acquire { scope, holder, duration: Span::secs(60) };
        self.ask(Ask::Submit(replica::Request::Command { client, sequence: 1, command }))
    }

    fn scopes(&mut self) -> Vec<String> {
        match self.ask(Ask::Query(Query::List { prefix: String::new() })) {
            ReplyBody::Answer(Answer::Leases(leases)) => {
                leases.iter().map(|lease| lease.scope.to_string()).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for (life, scope) in ["a", "b", "c"].into_iter().enumerate() {
        let mut node = Node::open(folder.path(), TODAY + life as u64 * 1_000_000).unwrap();
        assert_eq!(node.scopes().len(), life);
        assert!(matches!(node.acquire(scope), ReplyBody::Done(Response::Granted { .. })));
    }
    let mut node = Node::open(folder.path(), TODAY + 4_000_000).unwrap();
    assert_eq!(node.scopes(), ["a", "b", "c"]);
}

// CockroachDB#7996, #23744: a clock set back over a restart gave out times that were given before.
#[test]
fn a_clock_set_back_over_a_restart_is_refused_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path(), TODAY + HOUR).unwrap();
    node.acquire("a");
    drop(node);
    let refused = Node::open(folder.path(), TODAY).err().expect("an hour is too far");
    assert!(matches!(refused, OpenError::Clock { behind } if behind >= Span::secs(3_599)));
    assert_eq!(refused.to_string().lines().count(), 1);
    let mut node = Node::open(folder.path(), TODAY + HOUR + 1_000_000).unwrap();
    assert_eq!(node.scopes(), ["a"]);
}

#[test]
fn a_clock_set_back_a_little_goes_on_above_what_it_gave_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path(), TODAY + 100_000).unwrap();
    node.acquire("a");
    let before = node.driver.replica().applied().stamp;
    drop(node);
    let mut node = Node::open(folder.path(), TODAY).unwrap();
    node.acquire("b");
    assert!(node.driver.replica().applied().stamp > before);
    assert_eq!(node.scopes(), ["a", "b"]);
}

#[test]
fn a_log_that_was_compacted_goes_on_from_its_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path(), TODAY).unwrap();
    node.acquire("a");
    let (client, scope) = (ClientId::new(7), Name::new("nobody's").unwrap());
    let command = Command::Renew { scope, token: quorate::lease::Token::ZERO };
    let mut sequence = 1_000;
    while node.driver.replica().raft().log().floor().index.number() == 0 {
        let requests: Vec<_> = (0..1_024)
            .map(|_| {
                sequence += 1;
                let request = replica::Request::Command { client, sequence, command };
                Event::Request(1, Request { number: 1, ask: Ask::Submit(request) })
            })
            .collect();
        node.now.wall = Some(Wall::from_micros(TODAY + sequence * 1_000));
        node.driver.take(node.now, requests.into_iter(), &mut node.effects);
        node.take(Event::Tick);
    }
    node.effects.replies.clear();
    assert!(matches!(node.acquire("b"), ReplyBody::Done(Response::Granted { .. })));
    let applied = node.driver.replica().applied().entry.index;
    drop(node);
    let mut node = Node::open(folder.path(), TODAY + sequence * 1_000).unwrap();
    assert!(node.driver.replica().raft().log().floor().index.number() > 0);
    assert!(node.driver.replica().applied().entry.index > applied);
    assert_eq!(node.scopes(), ["a", "b"]);
}

#[test]
fn a_record_that_means_nothing_is_refused() {
    use quorate_host::disk::RealDisk;
    use quorate_host::folder::{Folder, Identity};
    use quorate_host::log::{Log, Options};
    let folder = tempfile::tempdir().unwrap();
    let data = Folder::open(folder.path().join("data"), Identity { group: 1, node: 1 }).unwrap();
    let disk: RealDisk = data.disk("log").unwrap();
    let (mut log, _) = Log::open(disk, Options::default(), |_| {}).unwrap();
    log.append(b"of another program").unwrap();
    log.sync().unwrap();
    drop((log, data));
    let refused = Node::open(folder.path(), TODAY).err().expect("it means nothing");
    assert!(matches!(refused, OpenError::Record));
}
