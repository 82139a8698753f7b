//! The other end of a session: one request, any number of attempts, one outcome.

use crate::sum::{Group, led_group};
use quorate::client::{Client, Config, Input, Kind, Outcome, Output, Reply, What};
use quorate::id::{ClientId, Index, Slot};
use quorate::replica::{self, Body, Request};
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Span};
use quorate::{Machine, Refused};
use quorate_sim::raft::step_vec;
use quorate_sim::replica::Ask;
use std::collections::{BTreeMap, BTreeSet};

const ATTEMPT: Span = Span::millis(100);
const GIVE_UP: Span = Span::secs(2);
const BACKOFF: Span = Span::millis(10);

fn config(nodes: u8) -> Config {
    let client = ClientId::new(7);
    Config { client, nodes, seed: 1, attempt: ATTEMPT, give_up: GIVE_UP, backoff: BACKOFF }
}

/// A client, the time, and everything it has said.
struct Story {
    client: Client<&'static str, u64>,
    now: Instant,
}

impl Story {
    fn of(nodes: u8) -> Self {
        Self::told(config(nodes))
    }

    fn told(config: Config) -> Self {
        Self { client: Client::new(config).unwrap(), now: Instant::ORIGIN }
    }

    /// With a session open, and the first command sent to node 0 in attempt 2.
    fn with_session(nodes: u8) -> (Self, ClientId) {
        let mut story = Self::of(nodes);
        story.command("first");
        let (0, 2, What::Command { client, sequence: 1 }) = sent(story.reply(0, 1, Reply::Opened))
        else {
            panic!("a session is opened first");
        };
        (story, client)
    }

    fn step(&mut self, input: Input<'_, &'static str, u64>) -> Option<Output<u64>> {
        let now = Now { mono: self.now, wall: None };
        let said = step_vec(&mut self.client, now, input).unwrap();
        assert!(said.len() <= 1);
        said.into_iter().next()
    }

    fn command(&mut self, work: &'static str) -> Option<Output<u64>> {
        self.step(Input::Ask { work: &work, kind: Kind::Command })
    }

    fn query(&mut self, work: &'static str) -> Option<Output<u64>> {
        self.step(Input::Ask { work: &work, kind: Kind::Query })
    }

    fn reply(&mut self, node: u8, attempt: u64, reply: Reply<u64>) -> Option<Output<u64>> {
        self.step(Input::Reply { node, attempt, reply })
    }

    /// Lets time pass up to the deadline.
    fn ring(&mut self) -> Option<Output<u64>> {
        self.now = self.now.max(self.client.deadline().expect("a request is under way"));
        self.step(Input::Tick)
    }

    /// Lets time pass up to the outcome, with nobody answering.
    fn give_up(&mut self) -> Outcome<u64> {
        for _ in 0..1_000 {
            if let Some(Output::Done(outcome)) = self.ring() {
                return outcome;
            }
        }
        panic!("it never gives up");
    }
}

fn sent(said: Option<Output<u64>>) -> (u8, u64, What) {
    match said {
        Some(Output::Send { node, attempt, what }) => (node, attempt, what),
        other => panic!("nothing was sent: {other:?}"),
    }
}

fn over(outcome: Outcome<u64>) -> Option<Output<u64>> {
    Some(Output::Done(outcome))
}

#[test]
fn a_session_serves_many_commands_and_each_has_a_number_of_its_own() {
    let (mut story, client) = Story::with_session(1);
    assert_eq!(story.client.work(), Some(&"first"));
    assert_eq!(story.reply(0, 2, Reply::Done(5)), over(Outcome::Done(5)));
    assert_eq!((story.client.work(), story.client.deadline()), (None, None));
    let second = What::Command { client, sequence: 2 };
    assert_eq!(sent(story.command("second")), (0, 3, second));
}

/// etcd#4691 could not send a lost proposal again, for nothing told the copy from another.
#[test]
fn a_retry_keeps_the_number_of_its_command() {
    let (mut story, client) = Story::with_session(3);
    let first = What::Command { client, sequence: 1 };
    assert_eq!(sent(story.ring()), (1, 3, first), "no answer");
    assert_eq!(sent(story.step(Input::Unreachable { node: 1 })), (2, 4, first), "no connection");
    assert_eq!(story.reply(2, 4, Reply::Unknown), None, "all nodes have failed: a pause");
    assert_eq!(sent(story.ring()).2, first);
}

/// raft-rs#280: "How to resolve ProposalDropped Error", and not pass it on to the user?
#[test]
fn a_dropped_proposal_is_the_clients_business_and_not_its_users() {
    let (mut story, _) = Story::with_session(3);
    let told = [Reply::NotLeader { leader: Some(1) }, Reply::NotLeader { leader: None }];
    assert_eq!(sent(story.reply(0, 2, told[0])).0, 1, "the leader, at once");
    assert_eq!(sent(story.reply(1, 3, told[1])).0, 2, "the next in turn that has not just failed");
    assert_eq!(story.reply(2, 4, Reply::Busy), None);
    assert_eq!(sent(story.ring()).0, 2, "the same again, later");
    assert_eq!(story.reply(2, 5, Reply::Done(5)), over(Outcome::Done(5)));
}

/// openraft#1761: who waited for an answer was found by the place of a request that was no more.
#[test]
fn an_answer_to_an_older_request_is_not_taken_for_this_ones() {
    let (mut story, _) = Story::with_session(1);
    assert_eq!(story.give_up(), Outcome::Unknown);
    let (_, attempt, _) = sent(story.command("second"));
    for reply in [Reply::Done(5), Reply::Rejected, Reply::NoSession, Reply::Superseded] {
        let before = story.client.clone();
        assert_eq!(story.reply(0, 2, reply), None);
        assert_eq!(story.client, before);
    }
    assert_eq!(story.reply(0, attempt, Reply::Done(6)), over(Outcome::Done(6)));
    assert_eq!(story.reply(0, attempt, Reply::Done(6)), None, "one outcome, not two");
}

/// dgraph#9626 told clients that a proposal which it had dropped had succeeded.
#[test]
fn what_a_node_does_not_know_is_not_told_as_success_nor_as_failure() {
    let (mut story, _) = Story::with_session(1);
    assert_eq!(story.reply(0, 2, Reply::Unknown), None);
    assert_eq!(sent(story.ring()).1, 3);
    assert_eq!(story.reply(0, 3, Reply::Rejected), over(Outcome::Unknown));
}

#[test]
fn only_what_was_refused_every_time_was_not_taken() {
    for is_silent_once in [false, true] {
        let (mut story, _) = Story::with_session(1);
        let mut attempt = 2;
        if is_silent_once {
            assert_eq!(story.ring(), None);
            attempt = sent(story.ring()).1;
        }
        let outcome = loop {
            assert_eq!(story.reply(0, attempt, Reply::Busy), None);
            match story.ring() {
                Some(Output::Done(outcome)) => break outcome,
                said => attempt = sent(said).1,
            }
        };
        let expected = if is_silent_once { Outcome::Unknown } else { Outcome::NotTaken };
        assert_eq!(outcome, expected);
    }
}

#[test]
fn a_command_that_never_left_for_want_of_a_session_was_not_taken() {
    let mut story = Story::of(3);
    assert!(matches!(sent(story.command("first")), (0, 1, What::Open { .. })));
    assert_eq!(story.give_up(), Outcome::NotTaken);
}

#[test]
fn a_leader_that_is_not_on_the_list_or_denies_it_is_not_asked() {
    for leader in [Some(0), Some(3), Some(9)] {
        let (mut story, _) = Story::with_session(3);
        assert_eq!(sent(story.reply(0, 2, Reply::NotLeader { leader })).0, 1);
    }
}

#[test]
fn two_nodes_that_name_each_other_do_not_make_it_spin_and_the_last_one_is_heard() {
    let mut story = Story::of(4);
    let (mut node, mut attempt, _) = sent(story.query("who?"));
    let mut at_once = 0;
    while node < 3 {
        let leader = Some(if node == 1 { 2 } else { 1 });
        (node, attempt, _) = match story.reply(node, attempt, Reply::NotLeader { leader }) {
            None => {
                at_once = 0;
                sent(story.ring())
            }
            said => sent(said),
        };
        at_once += 1;
        assert!(at_once <= 4, "no more attempts than nodes without a pause");
    }
    assert_eq!(story.reply(3, attempt, Reply::Done(5)), over(Outcome::Done(5)));
}

#[test]
fn pauses_grow_and_stay_bounded_and_differ() {
    let mut story = Story::told(Config { give_up: Span::secs(60), ..config(1) });
    let mut attempt = sent(story.query("busy?")).1;
    for doublings in [0, 1, 2, 3, 4, 5, 5, 5] {
        let least = BACKOFF.times(1 << doublings);
        let before = story.now;
        assert_eq!(story.reply(0, attempt, Reply::Busy), None);
        attempt = sent(story.ring()).1;
        let pause = story.now.since(before);
        assert!(least < pause && pause < least.times(2), "{pause:?} after {doublings}");
    }
}

/// Whether the command took effect before the session was forgotten is forgotten with it.
#[test]
fn a_command_in_doubt_is_not_sent_in_a_second_session() {
    let (mut story, _) = Story::with_session(2);
    let (node, attempt, _) = sent(story.ring());
    assert_eq!(story.reply(node, attempt, Reply::NoSession), over(Outcome::Unknown));
    assert!(matches!(sent(story.command("second")).2, What::Open { .. }));
}

#[test]
fn a_command_that_was_refused_goes_on_in_a_session_of_another_name() {
    let (mut story, lost) = Story::with_session(2);
    let (node, attempt, what) = sent(story.reply(0, 2, Reply::NoSession));
    assert!(matches!(what, What::Open { client } if client != lost));
    let (_, attempt, what) = sent(story.reply(node, attempt, Reply::Opened));
    assert!(matches!(what, What::Command { client, sequence: 1 } if client != lost));
    assert_eq!(story.reply(0, 2, Reply::Done(4)), None, "of the session that is lost");
    assert_eq!(story.reply(node, attempt, Reply::Done(5)), over(Outcome::Done(5)));
}

/// Or a late copy of the first attempt would open a forgotten session again, and a late copy of a
/// command, done long ago, would take effect in it.
#[test]
fn no_two_attempts_open_a_session_of_one_name_and_the_first_to_succeed_counts() {
    let mut story = Story::of(2);
    let names = [story.command("first"), story.ring()].map(|said| match sent(said).2 {
        What::Open { client } => client,
        what => panic!("{what:?}"),
    });
    assert_ne!(names[0], names[1]);
    let (node, _, what) = sent(story.reply(0, 1, Reply::Opened));
    assert_eq!((node, what), (0, What::Command { client: names[0], sequence: 1 }));
}

#[test]
fn a_late_success_counts_and_a_late_refusal_does_not() {
    let (mut story, _) = Story::with_session(2);
    assert_eq!(sent(story.ring()).0, 1);
    for reply in [Reply::Busy, Reply::NotLeader { leader: Some(1) }, Reply::Rejected] {
        assert_eq!(story.reply(0, 2, reply), None);
    }
    assert_eq!(story.reply(0, 2, Reply::Done(5)), over(Outcome::Done(5)));
    assert_eq!(sent(story.query("sum?")).0, 0, "who answered is asked first");
}

/// Another client has drawn the same number.
#[test]
fn a_session_that_somebody_else_uses_is_left_to_them() {
    let (mut story, client) = Story::with_session(1);
    assert_eq!(story.reply(0, 2, Reply::Superseded), over(Outcome::Unknown));
    let (_, _, what) = sent(story.command("second"));
    assert!(matches!(what, What::Open { client: other } if other != client));
}

#[test]
fn an_answer_to_what_was_not_asked_changes_nothing() {
    let (mut opening, mut asking) = (Story::of(2), Story::of(2));
    opening.command("first");
    asking.query("sum?");
    let command = [(0, 1, Reply::Done(5)), (0, 1, Reply::Superseded), (0, 2, Reply::Opened)];
    let query = [(0, 1, Reply::Opened), (0, 1, Reply::NoSession), (2, 1, Reply::Done(5))];
    for (story, answers) in [(&mut opening, command), (&mut asking, query)] {
        for (node, attempt, reply) in answers {
            let before = story.client.clone();
            assert_eq!(story.reply(node, attempt, reply), None);
            assert_eq!(story.client, before, "{reply:?}");
        }
    }
}

#[test]
fn a_query_needs_no_session_and_is_never_in_doubt() {
    let mut story = Story::of(2);
    assert_eq!(sent(story.query("sum?")), (0, 1, What::Query));
    assert_eq!(sent(story.step(Input::Unreachable { node: 0 })), (1, 2, What::Query));
    assert_eq!(story.reply(1, 2, Reply::Unknown), None);
    assert_eq!(story.give_up(), Outcome::NotTaken);
}

#[test]
fn a_tick_that_comes_an_hour_late_ends_the_request_once() {
    let (mut story, _) = Story::with_session(3);
    story.now = story.now.after(Span::secs(3600));
    assert_eq!(story.step(Input::Tick), over(Outcome::Unknown));
    assert_eq!((story.step(Input::Tick), story.client.deadline()), (None, None));
    assert_eq!(story.reply(0, 2, Reply::Done(5)), None);
}

#[test]
fn an_early_tick_shortens_neither_an_attempt_nor_a_pause() {
    let (mut story, _) = Story::with_session(1);
    let asked = story.client.clone();
    assert_eq!((story.step(Input::Tick), &story.client), (None, &asked));
    assert_eq!(story.reply(0, 2, Reply::Busy), None);
    let paused = story.client.clone();
    assert_eq!((story.step(Input::Tick), &story.client), (None, &paused));
}

#[test]
fn a_connection_that_nothing_is_waited_for_on_may_end() {
    let (mut story, _) = Story::with_session(3);
    let asked = story.client.clone();
    assert_eq!((story.step(Input::Unreachable { node: 1 }), &story.client), (None, &asked));
    assert_eq!(story.reply(0, 2, Reply::Busy), None);
    let paused = story.client.clone();
    assert_eq!((story.step(Input::Unreachable { node: 0 }), &story.client), (None, &paused));
}

#[test]
fn an_answer_that_waited_out_a_sleep_is_still_heard() {
    let (mut story, _) = Story::with_session(3);
    story.now = story.now.after(Span::secs(3600));
    assert_eq!(story.reply(0, 2, Reply::Done(5)), over(Outcome::Done(5)));
}

#[test]
fn what_cannot_be_now_is_refused_and_nothing_happens() {
    let (mut story, _) = Story::with_session(3);
    let before = story.client.clone();
    let second = Input::Ask { work: &"second", kind: Kind::Query };
    for input in [second, Input::Nodes { count: 2 }, Input::Nodes { count: 33 }] {
        assert!(step_vec(&mut story.client, Now::mono(9), input).is_err());
        assert_eq!(story.client, before);
    }
    for nodes in [0, 33] {
        assert!(Client::<(), ()>::new(config(nodes)).is_err());
    }
}

#[test]
fn a_host_may_say_again_how_many_nodes_it_knows_and_know_32() {
    let mut story = Story::of(31);
    for count in [31, 32, 32] {
        assert_eq!(story.step(Input::Nodes { count }), None);
    }
    assert!(Client::<(), ()>::new(config(32)).is_ok());
}

#[test]
fn a_leader_that_the_host_has_only_just_learned_of_is_asked() {
    let mut story = Story::of(1);
    sent(story.query("sum?"));
    assert_eq!(story.step(Input::Nodes { count: 2 }), None);
    assert_eq!(sent(story.reply(0, 1, Reply::NotLeader { leader: Some(1) })).0, 1);
}

/// A node's host: takes an attempt to its replica and says what came of it, if the node lives.
fn serve(group: &mut Group, node: u8, what: What) -> Option<Reply<u64>> {
    group.nodes[usize::from(node)].machine.as_ref()?;
    let (request, client, sequence) = match what {
        What::Open { client } => (Request::Open { client }, client, 0),
        What::Command { client, sequence } => {
            (Request::Command { client, sequence, command: 5 }, client, sequence)
        }
        What::Query => return Some(Reply::Rejected),
    };
    match group.ask(node, Ask::Submit(vec![request])) {
        Err(Refused::NotLeader { leader }) => {
            return Some(Reply::NotLeader { leader: leader.map(Slot::number) });
        }
        refused => refused.expect("a leader with room"),
    }
    group.settle();
    Some(match group.machine(node).outcome(client, sequence) {
        replica::Outcome::Opened => Reply::Opened,
        replica::Outcome::Done(sum) => Reply::Done(*sum),
        replica::Outcome::Superseded => Reply::Superseded,
        replica::Outcome::NoSession => Reply::NoSession,
    })
}

/// redisraft#13 executed one RPUSH for ever: what passed a command on took it for a new one.
#[test]
fn a_command_whose_leader_dies_between_commit_and_answer_takes_effect_once() {
    let (mut group, _) = led_group(3);
    let mut client: Client<&str, u64> = Client::new(config(3)).unwrap();
    let mut input = Input::Ask { work: &"add 5", kind: Kind::Command };
    let (mut killed, mut steps) = (None, 0);
    let outcome = loop {
        steps += 1;
        assert!(steps < 1_000, "it spins:\n{}", group.story());
        let said = step_vec(&mut client, group.now(), input).unwrap();
        input = match said.first() {
            Some(&Output::Send { node, attempt, what }) => match serve(&mut group, node, what) {
                None => Input::Unreachable { node },
                Some(Reply::Done(5)) if killed.is_none() => {
                    killed = Some(node);
                    group.crash(Slot::new(node), 0);
                    Input::Unreachable { node }
                }
                Some(reply) => Input::Reply { node, attempt, reply },
            },
            Some(Output::Done(outcome)) => break *outcome,
            None => {
                group.pass(client.deadline().expect("it goes on").since(group.now().mono));
                Input::Tick
            }
        };
    };
    assert_eq!(outcome, Outcome::Done(5), "{}", group.story());
    group.start(Slot::new(killed.expect("the first leader was killed")));
    group.pass(Span::secs(1));
    for node in 0..3 {
        let is_copy = |body: &Body<u64>| matches!(body, Body::Request(Request::Command { .. }));
        let machine = group.machine(node);
        let entries = machine.entries(Index::new(1), machine.applied().entry.index);
        assert_eq!(entries.filter(|entry| is_copy(&entry.body)).count(), 2);
        let state = machine.state();
        assert_eq!((state.applied, state.sum), (1, 5), "twice in the log, once in the state");
    }
}

/// Three nodes with one state between them and a leader that changes: what a group looks like from
/// outside. It remembers two sessions.
#[derive(Default)]
struct Model {
    leader: u8,
    sessions: Vec<(ClientId, u64, u64)>,
    /// How often each piece of work has taken effect.
    effects: BTreeMap<u64, u64>,
    /// Entries of leaders that have lost the lead: they may or may not come to pass.
    limbo: Vec<(What, u64)>,
}

impl Model {
    fn apply(&mut self, what: What, work: u64) -> Reply<u64> {
        let (client, sequence) = match what {
            What::Open { client } => (client, 0),
            What::Command { client, sequence } => (client, sequence),
            What::Query => return Reply::Done(work),
        };
        let place = self.sessions.iter().position(|(other, ..)| *other == client);
        let mut session = match place {
            Some(place) => self.sessions.remove(place),
            None if sequence == 0 => (client, 0, 0),
            None => return Reply::NoSession,
        };
        let reply = match session.1.cmp(&sequence) {
            _ if sequence == 0 => Reply::Opened,
            std::cmp::Ordering::Less => {
                *self.effects.entry(work).or_default() += 1;
                session = (client, sequence, work);
                Reply::Done(work)
            }
            std::cmp::Ordering::Equal => Reply::Done(session.2),
            std::cmp::Ordering::Greater => Reply::Superseded,
        };
        self.sessions.push(session);
        if self.sessions.len() > 2 {
            self.sessions.remove(0);
        }
        reply
    }

    fn serve(&mut self, rng: &mut Rng, node: u8, what: What, work: u64) -> Reply<u64> {
        match rng.below(10) {
            _ if node != self.leader => match rng.below(3) {
                0 => Reply::NotLeader { leader: None },
                1 => Reply::NotLeader { leader: Some(rng.below(4) as u8) },
                _ => Reply::NotLeader { leader: Some(self.leader) },
            },
            0 => Reply::Busy,
            1 => {
                self.limbo.push((what, work));
                Reply::Unknown
            }
            _ if work % 8 == 7 => Reply::Rejected,
            _ => self.apply(what, work),
        }
    }
}

enum Flight {
    Attempt { user: usize, node: u8, attempt: u64, what: What, work: u64 },
    Reply { user: usize, node: u8, attempt: u64, reply: Reply<u64> },
}

/// Clients and a group, with a network between them that loses, delays and reorders, and repeats
/// answers.
struct World {
    rng: Rng,
    now: Instant,
    group: Model,
    clients: Vec<Client<u64, u64>>,
    flights: Vec<Flight>,
    /// The session and number of each piece of work's newest attempt, by work.
    sent: BTreeMap<u64, (ClientId, u64)>,
    names: BTreeSet<ClientId>,
    outcomes: BTreeMap<u64, Outcome<u64>>,
    asked: u64,
}

impl World {
    fn of(seed: u64) -> Self {
        let client = |number| {
            let client = ClientId::new(number);
            Client::new(Config { client, seed: seed ^ number, ..config(3) }).unwrap()
        };
        Self {
            rng: Rng::new(seed),
            now: Instant::ORIGIN,
            group: Model::default(),
            clients: (1..=3).map(client).collect(),
            flights: Vec::new(),
            sent: BTreeMap::new(),
            names: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            asked: 0,
        }
    }

    fn step(&mut self, user: usize, input: Input<'_, u64, u64>) {
        let client = &mut self.clients[user];
        let is_tick = matches!(input, Input::Tick);
        let work = match &input {
            Input::Ask { work, .. } => Some(**work),
            _ => client.work().copied(),
        };
        let now = Now { mono: self.now, wall: None };
        let said = step_vec(client, now, input).unwrap();
        assert!(!is_tick || client.deadline().is_none_or(|deadline| deadline > self.now));
        match said.first() {
            Some(&Output::Send { node, attempt, what }) => {
                let work = work.expect("something is under way");
                assert_eq!(client.work(), Some(&work));
                self.check_attempt(what, work);
                self.flights.push(Flight::Attempt { user, node, attempt, what, work });
            }
            Some(Output::Done(outcome)) => {
                let before = self.outcomes.insert(work.expect("it was under way"), *outcome);
                assert_eq!((before, client.work()), (None, None), "one outcome each");
            }
            None => assert_eq!(client.work().copied(), work),
        }
    }

    fn check_attempt(&mut self, what: What, work: u64) {
        match what {
            What::Open { client } => assert!(self.names.insert(client), "no name twice"),
            What::Command { client, sequence } => {
                assert!(self.names.contains(&client));
                if let Some(before) = self.sent.insert(work, (client, sequence)) {
                    assert_eq!(before.1, sequence, "one number for all attempts");
                }
                let in_session = |other: &&(ClientId, u64)| other.0 == client;
                let highest = self.sent.values().filter(in_session).map(|(_, other)| *other).max();
                assert_eq!(highest, Some(sequence), "numbers rise");
            }
            What::Query => {}
        }
    }

    fn deliver(&mut self, place: usize) {
        match self.flights.remove(place) {
            Flight::Attempt { user, node, attempt, what, work } => {
                let reply = self.group.serve(&mut self.rng, node, what, work);
                for _ in 0..1 + self.rng.below(2) {
                    self.flights.push(Flight::Reply { user, node, attempt, reply });
                }
            }
            Flight::Reply { user, node, attempt, reply } => {
                self.step(user, Input::Reply { node, attempt, reply });
            }
        }
    }

    fn ask(&mut self, user: usize, kind: Kind) {
        if self.clients[user].work().is_none() {
            self.asked += 1;
            self.step(user, Input::Ask { work: &self.asked.clone(), kind });
        }
    }

    fn shuffle(&mut self) {
        let user = self.rng.below(self.clients.len() as u64) as usize;
        let flights = self.flights.len() as u64;
        match self.rng.below(100) {
            0..50 if flights > 0 => {
                let place = self.rng.below(flights);
                self.deliver(place as usize);
            }
            50..54 if flights > 0 => {
                let place = self.rng.below(flights);
                self.flights.remove(place as usize);
            }
            54..74 => {
                let kinds = [Kind::Command, Kind::Command, Kind::Query];
                let kind = kinds[self.rng.below(3) as usize];
                self.ask(user, kind);
            }
            74..84 => {
                let deadline = self.clients[user].deadline();
                self.now = self.now.max(deadline.unwrap_or(self.now));
                self.step(user, Input::Tick);
            }
            84..87 => self.step(user, Input::Tick),
            87..90 => {
                let node = self.rng.below(4) as u8;
                self.step(user, Input::Unreachable { node });
            }
            90..94 => self.group.leader = self.rng.below(3) as u8,
            94..96 => {
                if let Some((what, work)) = self.group.limbo.pop() {
                    self.group.apply(what, work);
                }
            }
            96 => self.now = self.now.after(GIVE_UP),
            _ => self.now = self.now.after(Span::micros(self.rng.below(50_000))),
        }
    }

    fn check_outcomes(&self) {
        for (work, outcome) in &self.outcomes {
            let effects = self.group.effects.get(work).copied().unwrap_or(0);
            let is_query = !self.sent.contains_key(work);
            match outcome {
                Outcome::Done(answer) => {
                    assert_eq!((answer, effects), (work, u64::from(!is_query)), "done once");
                }
                Outcome::NotTaken | Outcome::Rejected => assert_eq!(effects, 0, "no effect"),
                Outcome::Unknown => assert!(effects <= 1 && !is_query, "once at the most"),
            }
        }
    }
}

#[test]
fn whatever_happens_each_request_has_one_outcome_and_it_is_true() {
    let mut counts = [0; 4];
    for seed in 0..500 {
        let mut world = World::of(seed);
        for _ in 0..600 {
            world.shuffle();
            world.check_outcomes();
        }
        // What is late arrives, entries in limbo come to pass, and nothing becomes untrue.
        for _ in 0..10_000 {
            match world.flights.len().checked_sub(1) {
                Some(place) => world.deliver(place),
                None => break,
            }
        }
        assert!(world.flights.is_empty(), "it spins");
        while let Some((what, work)) = world.group.limbo.pop() {
            world.group.apply(what, work);
        }
        world.now = world.now.after(GIVE_UP);
        (0..3).for_each(|user| world.step(user, Input::Tick));
        world.check_outcomes();
        assert_eq!(world.outcomes.len() as u64, world.asked, "an outcome each");
        for outcome in world.outcomes.values() {
            counts[match outcome {
                Outcome::Done(_) => 0,
                Outcome::Rejected => 1,
                Outcome::NotTaken => 2,
                Outcome::Unknown => 3,
            }] += 1;
        }
    }
    assert!(counts.iter().all(|&count| count > 1_000), "every outcome is common: {counts:?}");
}
