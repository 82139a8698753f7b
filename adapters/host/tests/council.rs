//! Four hosts with real keys and real disks, and a network that is a list.

use quorate::client::broadcast;
use quorate::hlc::Stamp;
use quorate::id::{ClientId, Index, Slot, View};
use quorate::lease::{Command, Name, Response, Table};
use quorate::pbft::{Checkpoint, Message, Phase, Value, Vote};
use quorate::time::{Instant, Now, Span, Wall};
use quorate_host::council::config::Config;
use quorate_host::council::{Answered, Asked, Effect, Packet, Seat, Store, Task, check, open};
use quorate_host::lease::{Answer, Query, table};
use quorate_host::signing::{Keys, Reply, Request, Signer, payload_digest, state_digest};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

const CLIENT: ClientId = ClientId::new(7);

type Doing<'a> = Box<dyn FnOnce(&mut Seat<Table>, Now, &mut Vec<Effect>) + 'a>;

struct Host {
    seat: Seat<Table>,
    store: Store,
}

struct World {
    folder: tempfile::TempDir,
    configs: Vec<Config>,
    hosts: Vec<Option<Host>>,
    flights: VecDeque<(Slot, Slot, Arc<Packet>)>,
    replies: Vec<Reply>,
    client: Keys,
    now: u64,
    accusations: usize,
    sequence: u64,
    /// What is lost on its way.
    loses: fn(Slot, u8, &Packet) -> bool,
}

fn text(folder: &Path, slot: u8) -> String {
    use std::fmt::Write as _;
    let mut text = format!(
        "[node]\nslot = {slot}\nlisten = \"127.0.0.1:0\"\ndata = \"n{slot}\"\n[group]\nid = 9\nwindow = 16\n"
    );
    for slot in 0..4_u8 {
        std::fs::create_dir_all(folder.join(format!("n{slot}"))).unwrap();
        let key = Keys::open(&folder.join(format!("n{slot}/key"))).unwrap().public();
        let _ = write!(
            text,
            "[[member]]\nslot = {slot}\naddress = \"127.0.0.1:{}\"\nkey = \"{key}\"\n",
            4_000 + u16::from(slot)
        );
    }
    let key = Keys::open(&folder.join("client")).unwrap().public();
    let _ = write!(text, "[[client]]\nid = 7\nkey = \"{key}\"\n");
    text
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = Keys::open(&folder.path().join("client")).unwrap();
        let config = |slot| Config::parse(&text(folder.path(), slot), folder.path()).unwrap();
        let mut world = Self {
            configs: (0..4).map(config).collect(),
            folder,
            hosts: (0..4).map(|_| None).collect(),
            flights: VecDeque::new(),
            replies: Vec::new(),
            client,
            now: 1_000_000,
            accusations: 0,
            sequence: 0,
            loses: |_, _, _| false,
        };
        (0..4).for_each(|slot| world.start(slot));
        world
    }

    fn config(&self, slot: u8) -> Config {
        self.configs[usize::from(slot)].clone()
    }

    fn start(&mut self, slot: u8) {
        let (seat, store) = open(&self.config(slot), table()).unwrap();
        self.hosts[usize::from(slot)] = Some(Host { seat, store });
        self.with(slot, |seat, now, effects| seat.wake(now, effects));
    }

    fn crash(&mut self, slot: u8) {
        self.hosts[usize::from(slot)] = None;
    }

    fn now(&self) -> Now {
        let wall = Wall::from_micros(1_790_000_000_000_000 + self.now);
        Now::both(Instant::from_micros(self.now), wall)
    }

    fn with(&mut self, slot: u8, f: impl FnOnce(&mut Seat<Table>, Now, &mut Vec<Effect>)) {
        self.with_dyn(slot, Box::new(f));
    }

    fn with_dyn(&mut self, slot: u8, f: Doing<'_>) {
        let now = self.now();
        let Some(host) = self.hosts[usize::from(slot)].as_mut() else { return };
        let mut effects = Vec::new();
        f(&mut host.seat, now, &mut effects);
        let mut tasks: Vec<Task> = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send(to, packet) => self
                    .flights
                    .extend(to.iter().map(|to| (Slot::new(slot), to, Arc::clone(&packet)))),
                Effect::Reply(reply) => self.replies.push(*reply),
                Effect::Disk(task) => tasks.push(task),
                Effect::Accuse(_) => self.accusations += 1,
                Effect::Told(_) | Effect::Event(_) => {}
            }
        }
        if !tasks.is_empty() {
            for done in host.store.perform(tasks).unwrap() {
                self.with_dyn(
                    slot,
                    Box::new(move |seat, now, effects| seat.done(now, done, effects)),
                );
            }
        }
    }

    fn deliver(&mut self, from: Slot, to: u8, packet: &Packet) {
        // As it comes from a socket.
        let bytes = postcard::to_stdvec(packet).unwrap();
        let packet: Packet = postcard::from_bytes(&bytes).unwrap();
        let Some(host) = self.hosts[usize::from(to)].as_ref() else { return };
        if !host.seat.wants(&packet) {
            return;
        }
        let heard = check(&host.seat.verifier(), packet).expect("nobody lies");
        self.with(to, |seat, now, effects| seat.hear(now, from, heard, effects));
    }

    fn settle(&mut self) {
        while let Some((from, to, packet)) = self.flights.pop_front() {
            if !(self.loses)(from, to.number(), &packet) {
                self.deliver(from, to.number(), &packet);
            }
        }
    }

    fn pass(&mut self, span: Span) {
        let until = self.now + span.as_micros();
        loop {
            self.settle();
            let deadlines = self.hosts.iter().flatten().filter_map(|it| it.seat.deadline());
            let next = deadlines.min().map_or(u64::MAX, Instant::as_micros).max(self.now);
            if next > until {
                break;
            }
            self.now = next;
            for slot in 0..4_u8 {
                let due = self.hosts[usize::from(slot)].as_ref().and_then(|it| it.seat.deadline());
                if due.is_some_and(|due| due.as_micros() <= self.now) {
                    self.with(slot, |seat, now, effects| seat.tick(now, effects));
                }
            }
        }
        self.now = until;
    }

    /// Asks all, and returns what two members answer alike.
    fn ask(&mut self, asked: &Asked<Command, Query>) -> Option<Answered<Response, Answer>> {
        self.sequence += 1;
        let config = self.config(0);
        let scope = config.scope(&config.roll().unwrap());
        let command = postcard::to_stdvec(asked).unwrap();
        let request = Request::sign(&self.client, &scope, CLIENT, self.sequence, &command).unwrap();
        self.replies.clear();
        let packet = Packet::Request(Box::new(request));
        (0..4).for_each(|slot| self.deliver(Slot::new(slot), slot, &packet));
        for _ in 0..100 {
            self.pass(Span::millis(100));
            let mut client = broadcast::Client::<(), Vec<u8>>::new(broadcast::Config {
                members: quorate::id::Members::first(4),
                first: self.sequence - 1,
                resend: Span::secs(1),
                give_up: Span::secs(60),
            });
            let mut out = Vec::new();
            let kind = broadcast::Kind::Command;
            let input = broadcast::Input::Ask { work: (), kind };
            quorate::Machine::step(&mut client, Now::mono(1), input, &mut out).unwrap();
            for reply in &self.replies {
                out.clear();
                let at = quorate::Position { entry: reply.entry, stamp: reply.stamp };
                let answer = broadcast::Answer { at, answer: reply.result.to_vec() };
                let (from, sequence) = (reply.from, reply.sequence);
                let input = broadcast::Input::Reply { from, sequence, answer };
                quorate::Machine::step(&mut client, Now::mono(1), input, &mut out).unwrap();
                if let Some(broadcast::Output::Done(broadcast::Outcome::Done(it))) = out.first() {
                    return Some(postcard::from_bytes(&it.answer).unwrap());
                }
            }
        }
        None
    }

    fn acquire(&mut self, scope: u64) -> Response {
        let name = |of: String| Name::new(&of).unwrap();
        let asked = Asked::Command(Command::Acquire {
            scope: name(format!("scope-{scope}")),
            holder: name("holder".to_owned()),
            duration: Span::secs(600),
        });
        match self.ask(&asked) {
            Some(Answered::Done(response)) => response,
            it => panic!(
                "{scope}: {it:?} {:?}",
                self.hosts
                    .iter()
                    .flatten()
                    .map(|it| format!("{:?} {:?}", it.seat, it.seat.council().pbft()))
                    .collect::<Vec<_>>()
            ),
        }
    }

    fn leases(&mut self) -> usize {
        let asked = Asked::Read(Query::List { prefix: String::new() });
        match self.ask(&asked) {
            Some(Answered::Read(Answer::Leases(leases))) => leases.len(),
            it => panic!(
                "{it:?} {:#?}",
                self.hosts
                    .iter()
                    .flatten()
                    .map(|it| format!(
                        "{:?} {} {:?} {:?} {:?}",
                        it.seat,
                        it.seat.council().pbft().is_active(),
                        it.seat.council().pbft().committed(),
                        it.seat.council().executed(),
                        it.seat.council().pbft().stable().checkpoint.index,
                    ))
                    .collect::<Vec<_>>()
            ),
        }
    }

    fn view(&self, slot: u8) -> u64 {
        self.hosts[usize::from(slot)].as_ref().unwrap().seat.council().pbft().view().number()
    }
}

#[test]
fn what_is_asked_is_done_and_read() {
    let mut world = World::new();
    for scope in 1..=3 {
        assert!(matches!(world.acquire(scope), Response::Granted { .. }), "{scope}");
    }
    assert_eq!(world.leases(), 3);
    assert_eq!(world.accusations, 0);
}

#[test]
fn a_dead_primary_is_replaced_and_comes_back_with_all_that_it_missed() {
    let mut world = World::new();
    assert!(matches!(world.acquire(1), Response::Granted { .. }));
    world.crash(0);
    for scope in 2..=10 {
        assert!(matches!(world.acquire(scope), Response::Granted { .. }), "{scope}");
    }
    assert_eq!(world.view(1), 1);
    world.start(0);
    world.pass(Span::secs(5));
    assert_eq!(world.leases(), 10);
    // The two others alone are no quorum: it must have caught up.
    world.crash(1);
    assert_eq!(world.leases(), 10);
}

#[test]
fn everybody_dies_again_and_again_and_nothing_is_lost() {
    let mut world = World::new();
    for round in 0..2 {
        for scope in 1..=3 {
            assert!(matches!(world.acquire(round * 100 + scope), Response::Granted { .. }));
        }
        (0..4).for_each(|slot| world.crash(slot));
        world.flights.clear();
        (0..4).for_each(|slot| world.start(slot));
        assert_eq!(world.leases(), 3 * (round as usize + 1));
    }
    assert_eq!(world.accusations, 0);
}

#[test]
fn a_group_in_a_later_view_dies_and_comes_back() {
    let mut world = World::new();
    world.acquire(1);
    world.crash(0);
    (2..=3).for_each(|scope| drop(world.acquire(scope)));
    assert!(world.view(1) > 0);
    (1..4).for_each(|slot| world.crash(slot));
    world.flights.clear();
    (0..4).for_each(|slot| world.start(slot));
    assert!(matches!(world.acquire(4), Response::Granted { .. }));
    assert_eq!(world.leases(), 4);
}

// The stable state is all that a member that lacks it can go on from, and the others may need that member
// before they can make another stable.
#[test]
fn the_stable_state_is_there_for_whoever_lacks_it_also_after_restarts() {
    let mut world = World::new();
    world.crash(3);
    world.loses = |_, _, packet| {
        let Packet::Message(signed, _) = packet else { return false };
        matches!(signed.what, Message::Checkpoint(it) if it.index > Index::new(4))
    };
    (1..=12).for_each(|scope| drop(world.acquire(scope)));
    let at = |world: &World, slot: usize| {
        let council = world.hosts[slot].as_ref().unwrap().seat.council();
        (council.pbft().stable().checkpoint.index, council.executed())
    };
    assert!((0..3).all(|slot| at(&world, slot) == (Index::new(4), Index::new(12))));
    (0..3).for_each(|slot| world.crash(slot));
    world.flights.clear();
    world.loses = |_, _, _| false;
    for slot in [0, 1, 3] {
        world.start(slot);
    }
    assert!(matches!(world.acquire(13), Response::Granted { .. }));
    world.pass(Span::secs(2));
    assert_eq!(world.leases(), 13);
    assert!(at(&world, 3).1 >= Index::new(13));
}

#[test]
fn a_wrong_state_that_a_former_life_stored_is_not_gone_on_from() {
    let mut world = World::new();
    (1..=5).for_each(|scope| drop(world.acquire(scope)));
    let stable = world.hosts[1].as_ref().unwrap().seat.council().pbft().stable().checkpoint;
    assert_eq!(stable.index, Index::new(4));
    world.crash(1);
    for nonce in 0..4 {
        let (_, mut store) = open(&world.config(1), table()).unwrap();
        let bytes = vec![nonce; 100];
        let checkpoint = Checkpoint { state: state_digest(&bytes), ..stable };
        store.perform([Task::State { checkpoint, bytes, from: stable.index }]).unwrap();
    }
    world.start(1);
    world.crash(2);
    assert!(matches!(world.acquire(6), Response::Granted { .. }));
    assert_eq!(world.leases(), 6);
}

#[test]
fn nobody_keeps_a_payload_that_is_not_the_primarys_proposal() {
    let mut world = World::new();
    let config = world.config(2);
    let roll = config.roll().unwrap();
    let scope = config.scope(&roll);
    let keys = Keys::open(&world.folder.path().join("n2/key")).unwrap();
    let liar = Signer::new(keys, &roll, scope, Slot::new(2)).unwrap();
    let asked = Asked::<Command, _>::Read(Query::List { prefix: String::new() });
    let bytes = asked.to_bytes().unwrap();
    let request = Request::sign(&world.client, &scope, CLIENT, 1, &bytes).unwrap();
    let payload = Request::write_all(&[request]).unwrap();
    let digest = payload_digest(&payload);
    let value = Value { digest, stamp: Stamp::at_millis(1_790_000_000_000) };
    let (view, index) = (View::ZERO, Index::new(1));
    let vote = Message::Vote(Vote { phase: Phase::Prepare, view, index, value });
    let lie = Packet::Message(*liar.message(vote), Some(payload));
    world.settle();
    world.deliver(Slot::new(2), 1, &lie);
    world.deliver(Slot::new(2), 1, &Packet::NeedPayload(digest));
    assert!(world.flights.is_empty(), "{:?}", world.flights);
}

#[test]
fn view_after_view_is_left_with_what_was_prepared_in_each() {
    let mut world = World::new();
    for dead in [0, 1, 2, 3, 0, 1] {
        assert!(matches!(
            world.acquire(u64::from(dead) + world.sequence * 10),
            Response::Granted { .. }
        ));
        world.crash(dead);
        assert!(matches!(world.acquire(world.sequence * 10 + 5), Response::Granted { .. }));
        world.start(dead);
    }
    assert_eq!(world.leases(), 12);
}
