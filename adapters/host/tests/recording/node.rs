//! The only node of its group, driven by hand and recorded in memory.

use quorate::id::{ClientId, NodeId, Slot};
use quorate::lease::{Command, Name, Table};
use quorate::replica;
use quorate::time::{Instant, Now, Span, Wall};
use quorate_host::book::Book;
use quorate_host::config::Config;
use quorate_host::driver::{Driver, Event, Io};
use quorate_host::lease::Query;
use quorate_host::protocol::{Ask, Request, Service};
use quorate_host::recording::{Recorder, Tape};
use quorate_host::store::{self, Store, Task};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Some day in 2026, in microseconds.
const TODAY: u64 = 1_790_000_000_000_000;

/// What a tape has taken and said.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    bytes: Arc<Mutex<Vec<u8>>>,
    pub(crate) said: Arc<Mutex<Vec<String>>>,
    /// How many times it takes something before it fails.
    patience: Option<usize>,
}

impl Heard {
    /// One that fails when it has taken something so many times.
    pub(crate) fn failing_after(patience: usize) -> Self {
        Self { patience: Some(patience), ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

impl Tape for Heard {
    fn put(&mut self, bytes: &[u8]) -> bool {
        if let Some(patience) = &mut self.patience {
            if *patience == 0 {
                return false;
            }
            *patience -= 1;
        }
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        true
    }

    fn serve(&mut self) {}

    fn end(&mut self, why: &str) {
        self.said.lock().unwrap().push(why.to_owned());
    }
}

/// What a runtime would perform; only the disk matters here.
#[derive(Default)]
pub(crate) struct Effects {
    tasks: Vec<Task>,
    pub(crate) replies: usize,
}

impl Io for Effects {
    fn send(&mut self, _: Slot, _: &Arc<[u8]>) {}
    fn reply(&mut self, _: u64, _: Vec<u8>) {
        self.replies += 1;
    }
    fn disk(&mut self, task: Task) {
        self.tasks.push(task);
    }
    fn leader(&mut self, _: Option<NodeId>) {}

    fn members(&mut self, _: &Book) {}
}

/// The only node of its group, recorded.
pub(crate) struct Node<S: Service> {
    pub(crate) driver: Driver<S>,
    store: Store,
    pub(crate) effects: Effects,
    now: Now,
}

impl<S: Service> Node<S> {
    pub(crate) fn open(folder: &Path, life: u64, state: S, tape: Heard, limit: u64) -> Self {
        let text = "[node]\nid = 1\nlisten = \"127.0.0.1:1\"\ndata = \"data\"\n\
                    [[member]]\nid = 1\naddress = \"127.0.0.1:1\"\n";
        let config = Config::parse("node.toml", text, folder).expect("it is sound");
        let wall = Wall::from_micros(TODAY + life * 1_000_000_000);
        let now = Now::both(Instant::from_micros(1), wall);
        let mut recorder = Recorder::new(Box::new(tape), limit);
        let (replica, store) =
            store::open_recorded(&config, state, now, Some(&mut recorder)).unwrap();
        let driver =
            Driver::new(&config, replica, store.book().clone()).recorded_by(Some(recorder));
        let mut node = Self { driver, store, effects: Effects::default(), now };
        for _ in 0..3 {
            let deadline = node.driver.deadline().expect("it wants to lead");
            node.now.mono = node.now.mono.max(deadline);
            node.take(vec![Event::Tick]);
        }
        assert!(node.driver.replica().raft().leads());
        node
    }

    /// Takes events together, and lets the disk do all that comes of them.
    pub(crate) fn take(&mut self, events: Vec<Event<S>>) {
        self.driver.take(self.now, events.into_iter(), &mut self.effects);
        while !self.effects.tasks.is_empty() {
            let done = self.store.perform(self.effects.tasks.drain(..)).expect("the disk works");
            let done = done.into_iter().map(Event::Disk);
            self.driver.take(self.now, done, &mut self.effects);
        }
        let pass = |micros: u64| micros + 1_700;
        self.now.mono = Instant::from_micros(pass(self.now.mono.as_micros()));
        self.now.wall = self.now.wall.map(|wall| Wall::from_micros(pass(wall.as_micros())));
    }

    pub(crate) fn ask(&mut self, ask: Ask<S::Command, S::Query>) {
        self.take(vec![Event::Request(1, Request { number: 1, ask })]);
    }
}

impl Node<Table> {
    fn acquire(&mut self, scope: &str) {
        let client = ClientId::new(self.driver.replica().applied().entry.index.number());
        self.ask(Ask::Submit(replica::Request::Open { client }));
        let (scope, holder) = (Name::new(scope).unwrap(), Name::new("ann").unwrap());
        let command = Command::Acquire { scope, holder, duration: Span::secs(60) };
        self.ask(Ask::Submit(replica::Request::Command { client, sequence: 1, command }));
    }

    /// A life with requests, reads, refusals and ticks.
    pub(crate) fn live(&mut self) {
        self.acquire("a");
        self.ask(Ask::Query(Query::List { prefix: String::new() }));
        self.ask(Ask::Status);
        for _ in 0..20 {
            self.take(vec![Event::Tick]);
        }
        self.acquire("b");
        let nothing_open = ClientId::new(404);
        let (scope, token) = (Name::new("a").unwrap(), quorate::lease::Token::ZERO);
        let command = Command::Renew { scope, token };
        let request = replica::Request::Command { client: nothing_open, sequence: 1, command };
        self.ask(Ask::Submit(request));
    }

    /// Fills the log until it is compacted.
    pub(crate) fn fill(&mut self) {
        let mut sequence = 1_000;
        let (client, scope) = (ClientId::new(7), Name::new("nobody's").unwrap());
        let command = Command::Renew { scope, token: quorate::lease::Token::ZERO };
        while self.driver.replica().raft().log().floor().index.number() == 0 {
            let request = |_| {
                sequence += 1;
                let request = replica::Request::Command { client, sequence, command };
                Event::Request(1, Request { number: 1, ask: Ask::Submit(request) })
            };
            let requests = (0..1_024).map(request).collect();
            self.take(requests);
        }
    }
}
