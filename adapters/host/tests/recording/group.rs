//! Three nodes, each recorded, with one that is cut off until only a snapshot helps it.

use crate::node::Heard;
use crate::{ROOM, replay};
use quorate::id::{ClientId, GroupId, NodeId, Slot};
use quorate::lease::{Command, Name, Table, Token};
use quorate::replica;
use quorate::time::{Instant, Now, Wall};
use quorate_host::book::Book;
use quorate_host::config::Config;
use quorate_host::driver::{Driver, Event, Io};
use quorate_host::frame::{self, Kind};
use quorate_host::lease::table;
use quorate_host::protocol::{Ask, Request};
use quorate_host::recording::{End, Given, Recorder, Replay};
use quorate_host::store::{self, Store, Task};
use std::path::Path;
use std::sync::Arc;

/// What a runtime would perform.
#[derive(Default)]
struct Effects {
    tasks: Vec<Task>,
    sent: Vec<(Slot, Arc<[u8]>)>,
}

impl Io for Effects {
    fn send(&mut self, to: Slot, frame: &Arc<[u8]>) {
        self.sent.push((to, Arc::clone(frame)));
    }
    fn reply(&mut self, _: u64, _: Vec<u8>) {}
    fn disk(&mut self, task: Task) {
        self.tasks.push(task);
    }
    fn leader(&mut self, _: Option<NodeId>) {}

    fn members(&mut self, _: &Book) {}
}

struct Member {
    driver: Driver<Table>,
    store: Store,
    effects: Effects,
    tape: Heard,
}

/// Slots 0, 1 and 2; messages arrive at once.
struct Group {
    members: Vec<Member>,
    micros: u64,
    cut_off: Option<usize>,
}

impl Group {
    fn start(folder: &Path) -> Self {
        let members = (1..=3).map(|id| Self::open(folder, id)).collect();
        Self { members, micros: 1, cut_off: None }
    }

    fn open(folder: &Path, id: u64) -> Member {
        let text = format!(
            "[node]\nid = {id}\nlisten = \"127.0.0.1:1\"\ndata = \"data/{id}\"\n\
             [[member]]\nid = 1\naddress = \"127.0.0.1:1\"\n\
             [[member]]\nid = 2\naddress = \"127.0.0.1:2\"\n\
             [[member]]\nid = 3\naddress = \"127.0.0.1:3\"\n"
        );
        let config = Config::parse("node.toml", &text, folder).expect("it is sound");
        let tape = Heard::default();
        let mut recorder = Recorder::new(Box::new(tape.clone()), ROOM);
        let opened = store::open_recorded(&config, table(), at(1), Some(&mut recorder));
        let (replica, store) = opened.expect("an empty folder");
        let driver =
            Driver::new(&config, replica, store.book().clone()).recorded_by(Some(recorder));
        Member { driver, store, effects: Effects::default(), tape }
    }

    fn take(&mut self, who: usize, events: Vec<Event<Table>>) {
        let Member { driver, effects, .. } = &mut self.members[who];
        driver.take(at(self.micros), events.into_iter(), effects);
    }

    /// Lets ten milliseconds pass, and all happen that comes of it.
    fn pass(&mut self) {
        self.micros += 10_000;
        for who in 0..3 {
            let is_late = |at: Instant| at.as_micros() <= self.micros;
            if self.members[who].driver.deadline().is_some_and(is_late) {
                self.take(who, vec![Event::Tick]);
            }
        }
        while self
            .members
            .iter()
            .any(|it| !it.effects.tasks.is_empty() || !it.effects.sent.is_empty())
        {
            for who in 0..3 {
                self.perform(who);
            }
        }
    }

    fn perform(&mut self, who: usize) {
        let Member { store, effects, .. } = &mut self.members[who];
        let done = store.perform(effects.tasks.drain(..)).expect("the disk works");
        let sent = std::mem::take(&mut effects.sent);
        self.take(who, done.into_iter().map(Event::Disk).collect());
        for (to, frame) in sent {
            if [Some(who), Some(to.position())].contains(&self.cut_off) {
                continue;
            }
            let from = Slot::new(u8::try_from(who).unwrap());
            let group = GroupId::new(1);
            let message = frame::read(&mut &frame[..], &mut Vec::new(), Kind::Member, group);
            self.take(to.position(), vec![Event::Member(from, message.expect("a frame"))]);
        }
    }

    fn leader(&mut self) -> usize {
        for _ in 0..1_000 {
            let leads = |member: &Member| member.driver.replica().raft().leads();
            if let Some(leader) = self.members.iter().position(leads) {
                return leader;
            }
            self.pass();
        }
        panic!("nobody leads");
    }

    fn floor(&self, who: usize) -> u64 {
        self.members[who].driver.replica().raft().log().floor().index.number()
    }
}

fn at(micros: u64) -> Now {
    Now::both(Instant::from_micros(micros), Wall::from_micros(1_790_000_000_000_000 + micros))
}

#[test]
fn leader_follower_and_who_is_sent_a_snapshot_replay_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let mut group = Group::start(folder.path());
    let leader = group.leader();
    let late = (leader + 1) % 3;
    group.cut_off = Some(late);
    let scope = Name::new("nobody's").unwrap();
    let command = Command::Renew { scope, token: Token::ZERO };
    let mut sequence = 0;
    while group.floor(leader) == 0 {
        let request = |_| {
            sequence += 1;
            let request = replica::Request::Command { client: ClientId::new(7), sequence, command };
            Event::Request(1, Request { number: 1, ask: Ask::Submit(request) })
        };
        let requests = (0..1_024).map(request).collect();
        group.take(leader, requests);
        group.pass();
    }
    group.cut_off = None;
    for _ in 0..1_000 {
        if group.floor(late) > 0 {
            break;
        }
        group.pass();
    }
    assert!(group.floor(late) > 0, "the snapshot has arrived");
    for who in 0..3 {
        let Member { driver, tape, .. } = group.members.remove(0);
        let then = driver.replica().clone();
        drop(driver);
        let bytes = tape.bytes();
        let (_, _, end, differs) = replay(&bytes).unwrap();
        assert_eq!((end, differs), (End::Whole, None), "member {who}");
        let mut replay = Replay::open(&bytes[..], table()).unwrap();
        let mut parts = 0;
        while let Some(step) = replay.next().unwrap() {
            let Given::Message { chunk, .. } = step.given else { continue };
            parts += usize::from(!chunk.is_empty());
        }
        assert_eq!(parts > 0, who == late);
        assert_eq!(*replay.replica(), then, "member {who}");
    }
}
