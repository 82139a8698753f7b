//! Four members that add numbers, and a network that is a list. Nobody signs: the list vouches.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

use super::*;
use crate::hlc;
use crate::id::{Members, View};
use crate::pbft::{Status, Vote};
use crate::time::{Span, Wall};
use std::collections::{BTreeMap, VecDeque};
use std::vec;
use std::vec::Vec;

type Bytes = List<u8, 4_096>;

/// Adds numbers, and digests each with its place.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Sum {
    total: u64,
    history: u64,
    at: Stamp,
}

impl StateMachine for Sum {
    type Command = u64;
    type Response = u64;

    fn apply(&mut self, at: Position, command: &u64) -> u64 {
        assert!(at.stamp > self.at, "time goes back");
        let mut seen = Bytes::new();
        self.history.encode(&mut seen).unwrap();
        command.encode(&mut seen).unwrap();
        at.entry.encode(&mut seen).unwrap();
        at.stamp.encode(&mut seen).unwrap();
        (self.at, self.history) = (at.stamp, crate::codec::digest(&seen));
        self.total = self.total.wrapping_add(*command);
        self.total
    }

    fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.total.encode(sink)?;
        self.history.encode(sink)?;
        self.at.encode(sink)
    }

    fn restore(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        let bytes = &mut bytes;
        let (total, history) = (u64::decode(bytes)?, u64::decode(bytes)?);
        *self = Self { total, history, at: Codec::decode(bytes)? };
        if bytes.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

type Asked = Request<u64>;

#[derive(Clone, Debug)]
enum Packet {
    Message(Message, Option<Vec<Asked>>),
    ViewChange(ViewChange),
    NewView(View, Vec<(Slot, ViewChange)>),
    Stable(Stable),
    Payload(Digest),
    Restore(Checkpoint),
    Request(Asked),
}

struct Group {
    members: Vec<Council<Sum>>,
    flights: VecDeque<(Slot, Slot, Packet)>,
    begun: BTreeMap<View, Vec<(Slot, ViewChange)>>,
    payloads: BTreeMap<Digest, Vec<Asked>>,
    states: BTreeMap<Digest, Vec<u8>>,
    told: Vec<Vec<Output>>,
    /// Whoever hears nothing and says nothing.
    cut_off: Members,
    /// Payloads reach nobody.
    withheld: bool,
    now: u64,
}

fn name(bytes: &[u8]) -> Digest {
    let mut digest = [7; 32];
    digest[..8].copy_from_slice(&crate::codec::digest(bytes).to_le_bytes());
    Digest::new(digest)
}

fn digest_of(requests: &[Asked]) -> Digest {
    name(std::format!("{requests:?}").as_bytes())
}

fn add(client: u64, sequence: u64, number: u64) -> Asked {
    Request { client: ClientId::new(client), sequence, work: Work::Command(number) }
}

fn read(client: u64, sequence: u64) -> Asked {
    Request { client: ClientId::new(client), sequence, work: Work::Read }
}

fn config(slot: u8) -> Config {
    let mut pbft = pbft::Config::lan(Slot::new(slot), Members::first(4), 1);
    (pbft.slots, pbft.interval) = (8, 4);
    let clock = hlc::Config { max_offset: pbft.max_offset, reserve: None };
    Config { pbft, clock, epoch: 1, depth: 2 }
}

impl Group {
    fn new() -> Self {
        let members = (0..4).map(|slot| Council::new(config(slot), Sum::default()).unwrap());
        let mut group = Self {
            members: members.collect(),
            flights: VecDeque::new(),
            begun: BTreeMap::new(),
            payloads: BTreeMap::new(),
            states: BTreeMap::new(),
            told: vec![Vec::new(); 4],
            cut_off: Members::NONE,
            withheld: false,
            now: 1_000_000,
        };
        (0..4).for_each(|slot| group.tell(slot, Input::Tick).unwrap());
        group.settle();
        group
    }

    fn member(&self, slot: u8) -> &Council<Sum> {
        &self.members[usize::from(slot)]
    }

    fn replies(&self, slot: u8, client: u64) -> usize {
        let is_it = |it: &&Output| **it == Output::Reply { client: ClientId::new(client) };
        self.told[usize::from(slot)].iter().filter(is_it).count()
    }

    fn tell(&mut self, slot: u8, input: Input<'_, u64>) -> Result<(), Refused> {
        let wall = Wall::from_micros(1_790_000_000_000_000 + self.now);
        let now = Now::both(Instant::from_micros(self.now), wall);
        let mut out = Vec::new();
        let done = self.members[usize::from(slot)].step(now, input, &mut out);
        for output in out {
            self.perform(slot, output);
        }
        if done.is_ok() && self.member(slot).has_more() {
            self.tell(slot, Input::Tick)?;
        }
        self.propose(slot);
        done
    }

    fn propose(&mut self, slot: u8) {
        let waiting = self.member(slot).to_propose().map(|it| it.1.clone());
        let requests: Vec<_> = waiting.collect();
        if !requests.is_empty() {
            let digest = digest_of(&requests);
            self.payloads.insert(digest, requests.clone());
            self.tell(slot, Input::Propose { digest, requests: &requests }).unwrap();
        }
    }

    fn send(&mut self, from: u8, to: Members, packet: &Packet) {
        let all = to.iter().map(|to| (Slot::new(from), to, packet.clone()));
        self.flights.extend(all);
    }

    fn perform(&mut self, slot: u8, output: Output) {
        let me = Members::only(Slot::new(slot));
        self.told[usize::from(slot)].push(output);
        match output {
            Output::Pbft(pbft::Output::Persist { receipt, write }) => {
                if let pbft::Write::Entered { view, .. } = write
                    && self.member(slot).pbft().leads()
                {
                    let chosen = self.member(slot).pbft().chosen().cloned().collect();
                    self.begun.insert(view, chosen);
                }
                self.tell(slot, Input::Persisted(receipt)).unwrap();
            }
            Output::Pbft(pbft::Output::Send { to, message }) => {
                let payload = match message {
                    Message::Vote(vote) if vote.phase == Phase::Prepare => {
                        self.payloads.get(&vote.value.digest).filter(|_| !self.withheld).cloned()
                    }
                    _ => None,
                };
                self.send(slot, to, &Packet::Message(message, payload));
            }
            Output::Pbft(pbft::Output::SendViewChange { to }) => {
                let change = self.member(slot).pbft().view_change().cloned().unwrap();
                self.send(slot, to, &Packet::ViewChange(change));
            }
            Output::Pbft(pbft::Output::SendNewView { to }) => {
                let view = self.member(slot).pbft().view();
                let changes = self.begun.get(&view).cloned().unwrap();
                self.send(slot, to, &Packet::NewView(view, changes));
            }
            Output::Pbft(pbft::Output::SendStable { to, stable }) => {
                self.send(slot, to, &Packet::Stable(stable));
            }
            Output::Pbft(pbft::Output::Forward { .. }) => {
                let waiting = self.member(slot).pool.iter().map(|it| it.request.clone());
                let waiting: Vec<_> = waiting.collect();
                let to = Members::only(self.member(slot).pbft().primary());
                waiting.into_iter().for_each(|it| self.send(slot, to, &Packet::Request(it)));
            }
            Output::Pbft(pbft::Output::Want { value: Value { digest, .. }, .. })
            | Output::Payload { digest, .. } => self.send(slot, me, &Packet::Payload(digest)),
            Output::Snapshot { index, stamp } => {
                let mut bytes = Bytes::new();
                self.member(slot).snapshot(&mut bytes).unwrap();
                let checkpoint = Checkpoint { index, state: name(&bytes), stamp };
                self.states.insert(checkpoint.state, bytes.to_vec());
                self.tell(slot, Input::Stored(checkpoint)).unwrap();
            }
            Output::Fetch(stable) => self.send(slot, me, &Packet::Restore(stable.checkpoint)),
            Output::Pbft(_) | Output::Reply { .. } => {}
        }
    }

    fn deliver(&mut self, from: Slot, to: u8, packet: &Packet) -> Result<(), Refused> {
        match packet {
            Packet::Message(message, payload) => {
                let message = Verified::attest(from, *message);
                self.tell(to, Input::Message { message, payload: payload.as_deref() })
            }
            Packet::ViewChange(it) => self.tell(to, Input::ViewChange(Verified::attest(from, it))),
            Packet::NewView(view, changes) => {
                let primary = self.member(to).pbft().primary_of(*view);
                let new_view = NewView { view: *view, changes };
                self.tell(to, Input::NewView(Verified::attest(primary, new_view)))
            }
            Packet::Stable(it) => self.tell(to, Input::Stable(*it)),
            Packet::Payload(digest) if self.withheld => {
                self.send(to, Members::only(Slot::new(to)), &Packet::Payload(*digest));
                Ok(())
            }
            Packet::Payload(digest) => {
                let requests = self.payloads.get(digest).cloned().unwrap();
                self.tell(to, Input::Payload { digest: *digest, requests: &requests })
            }
            Packet::Restore(checkpoint) => {
                let bytes = self.states.get(&checkpoint.state).cloned().unwrap();
                // Refused if a newer one is wanted.
                let _ = self.tell(to, Input::Restore { checkpoint: *checkpoint, bytes: &bytes });
                Ok(())
            }
            Packet::Request(it) => self.tell(
                to,
                Input::Request { digest: digest_of(std::slice::from_ref(it)), request: it },
            ),
        }
    }

    /// Delivers what is under way, and nothing that is said again and again.
    fn settle(&mut self) {
        for _ in 0..20_000 {
            let Some((from, to, packet)) = self.flights.pop_front() else { return };
            if !self.cut_off.contains(from) && !self.cut_off.contains(to) {
                self.deliver(from, to.number(), &packet).unwrap();
            }
        }
    }

    fn pass(&mut self, span: Span) {
        let until = self.now + span.as_micros();
        self.settle();
        while self.now < until {
            self.now += 50_000;
            (0..4).for_each(|slot| self.tell(slot, Input::Tick).unwrap());
            self.settle();
        }
    }

    /// A client asks all.
    fn ask(&mut self, request: &Asked) {
        for slot in 0..4 {
            let from = Slot::new(slot);
            self.flights.push_back((from, from, Packet::Request(request.clone())));
        }
        self.settle();
    }

    fn agree(&self, slots: &[u8]) {
        for slot in slots {
            assert_eq!(self.member(*slot).state(), self.member(slots[0]).state(), "{slot}");
            assert_eq!(self.member(*slot).at(), self.member(slots[0]).at(), "{slot}");
        }
    }
}

#[test]
fn what_is_asked_is_done_once_everywhere_and_answered() {
    let mut group = Group::new();
    for number in 1..=20 {
        group.ask(&add(1, number, number));
        group.ask(&add(1, number, number));
    }
    group.agree(&[0, 1, 2, 3]);
    assert_eq!(group.member(0).state().total, 210);
    let last = group.member(3).answer(ClientId::new(1)).unwrap();
    assert_eq!((last.sequence, last.response), (20, Some(210)));
    assert!(group.member(0).pbft().stable().checkpoint.index >= Index::new(16));
}

#[test]
fn requests_that_a_liar_orders_again_take_no_effect() {
    let mut group = Group::new();
    group.ask(&add(1, 1, 5));
    let again = [add(1, 1, 5), add(2, 1, 7), add(2, 1, 7)];
    let digest = digest_of(&again);
    group.payloads.insert(digest, again.to_vec());
    group.tell(0, Input::Propose { digest, requests: &again }).unwrap();
    group.settle();
    group.agree(&[0, 1, 2, 3]);
    assert_eq!(group.member(1).state().total, 12);
}

#[test]
fn a_read_is_told_where_it_stands_and_never_from_a_later_state() {
    let mut group = Group::new();
    group.ask(&add(1, 1, 5));
    group.ask(&read(2, 1));
    assert_eq!(group.replies(3, 2), 1);
    group.ask(&add(1, 2, 6));
    group.ask(&read(2, 1));
    assert_eq!(group.replies(3, 2), 1, "the state has moved on");
    group.ask(&add(1, 2, 6));
    assert_eq!(group.replies(3, 1), 3, "a command's answer is told again");
}

#[test]
fn a_dead_primary_is_replaced_and_nothing_is_lost() {
    let mut group = Group::new();
    group.ask(&add(1, 1, 5));
    group.cut_off = Members::only(Slot::new(0));
    group.ask(&add(1, 2, 6));
    group.pass(Span::secs(4));
    group.agree(&[1, 2, 3]);
    assert_eq!(group.member(1).state().total, 11);
    group.cut_off = Members::NONE;
    group.pass(Span::secs(4));
    group.agree(&[0, 1, 2, 3]);
}

#[test]
fn a_request_that_was_executed_in_a_fetched_state_waits_no_longer() {
    let mut group = Group::new();
    group.cut_off = Members::only(Slot::new(3));
    let late = add(9, 1, 1);
    let from = Slot::new(3);
    group.deliver(from, 3, &Packet::Request(late.clone())).unwrap();
    assert!(group.member(3).is_waiting(digest_of(std::slice::from_ref(&late))));
    group.ask(&late);
    (1..=12).for_each(|number| group.ask(&add(1, number, number)));
    group.cut_off = Members::NONE;
    group.pass(Span::millis(900));
    group.agree(&[0, 3]);
    assert!(!group.member(3).is_waiting(digest_of(&[late])));
    group.pass(Span::secs(10));
    assert_eq!(group.member(3).pbft().view(), View::ZERO, "nobody is late");
    assert!(group.member(3).pbft().is_active());
}

#[test]
fn payloads_of_proposals_that_are_not_taken_take_no_room() {
    let mut group = Group::new();
    let at = group.member(1).pbft().proposed().next();
    for number in 0..2_000 {
        let requests = vec![add(5, number + 1, number)];
        let value = Value { digest: digest_of(&requests), stamp: Stamp::at_millis(number) };
        for (from, view) in [(0, 0), (0, 9), (2, 0)] {
            let view = View::new(view);
            let vote = Vote { phase: Phase::Prepare, view, index: at, value };
            let packet = Packet::Message(Message::Vote(vote), Some(requests.clone()));
            group.deliver(Slot::new(from), 1, &packet).unwrap();
        }
    }
    assert!(group.member(1).payloads.len() <= 1, "{}", group.member(1).payloads.len());
}

#[test]
fn nothing_is_executed_before_its_payload_is_here() {
    let mut group = Group::new();
    group.withheld = true;
    for _ in 0..2 {
        let request = add(1, 1, 5);
        group.deliver(Slot::new(0), 0, &Packet::Request(request)).unwrap();
        for _ in 0..40 {
            let Some((from, to, packet)) = group.flights.pop_front() else { break };
            group.deliver(from, to.number(), &packet).unwrap();
        }
    }
    assert_eq!(group.member(1).executed(), Index::ZERO);
    group.withheld = false;
    group.pass(Span::secs(1));
    group.agree(&[0, 1, 2, 3]);
    assert_eq!(group.member(1).state().total, 5);
}

#[test]
fn a_wrong_state_answers_nobody_and_is_replaced() {
    let mut group = Group::new();
    group.members[3].machine.total = 1_000;
    for number in 1..=4 {
        group.ask(&add(1, number, 1));
    }
    group.pass(Span::millis(500));
    assert!(group.told[3].iter().any(|it| matches!(it, Output::Fetch(_))), "{:?}", group.told[3]);
    group.agree(&[0, 1, 2, 3]);
    assert!(group.member(3).is_sound());
    (5..=12).for_each(|number| group.ask(&add(1, number, 1)));
    group.agree(&[0, 1, 2, 3]);
}

#[test]
fn a_state_says_again_what_it_said_and_nothing_else_is_one() {
    let mut group = Group::new();
    (1..=3).for_each(|number| group.ask(&add(number, 1, number)));
    let mut bytes = Bytes::new();
    group.member(0).snapshot(&mut bytes).unwrap();
    let (index, stamp) = (group.member(0).executed(), group.member(0).at().stamp);
    let checkpoint = Checkpoint { index, stamp, state: name(&bytes) };
    let mut other = Council::new(config(1), Sum::default()).unwrap();
    for length in 0..bytes.len() {
        let before = other.clone();
        assert_eq!(other.recover(checkpoint, &bytes[..length]), Err(Malformed), "{length}");
        assert_eq!(other, before);
    }
    other.recover(checkpoint, &bytes).unwrap();
    assert_eq!((other.state(), other.at()), (group.member(0).state(), group.member(0).at()));
    assert_eq!(other.answer(ClientId::new(2)), group.member(0).answer(ClientId::new(2)));
    let earlier = Checkpoint { index: Index::new(1), ..checkpoint };
    assert_eq!(other.recover(earlier, &bytes), Err(Malformed));
}

#[test]
fn a_status_with_the_highest_numbers_breaks_nothing() {
    let mut group = Group::new();
    let Group { members, .. } = &group;
    let view = members[0].pbft().view();
    let status = Status {
        view,
        is_active: true,
        changes: Members::NONE,
        stable: Index::new(u64::MAX),
        committed: Index::new(u64::MAX),
        prepared: Index::new(u64::MAX),
    };
    group.deliver(Slot::new(2), 1, &Packet::Message(Message::Status(status), None)).unwrap();
    group.settle();
    assert_eq!(group.member(1).executed(), Index::ZERO);
}

#[test]
fn what_has_stopped_refuses_everything_and_stays_as_it_is() {
    let mut group = Group::new();
    group.tell(1, Input::PersistFailed).unwrap();
    let stopped = group.member(1).clone();
    let (request, later) = (add(1, 1, 5), add(1, 2, 6));
    for request in [&request, &later] {
        let refused = group.tell(1, Input::Request { digest: digest_of(&[]), request });
        assert_eq!(refused, Err(Refused::Stopped));
    }
    assert_eq!(group.tell(1, Input::Tick), Err(Refused::Stopped));
    assert_eq!(*group.member(1), stopped);
    assert_eq!(stopped.deadline(), None);
}
