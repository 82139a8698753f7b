//! A few detectors and the network between them, all of it from a seed. Times are in milliseconds since
//! the beginning; a multiple is of the timeout in the configuration.

use quorate::event::{Event, Ignored};
use quorate::id::{Incarnation, NodeId};
use quorate::limits::{Limit, PEERS};
use quorate::membership::Detector;
use quorate::membership::detector::{Config, ConfigError, Input, Message, Output, Verdict};
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Span};
use quorate::{Machine, Refused};
use quorate_sim::raft::Outputs;
use std::collections::BTreeMap;

use Verdict::{Alive, Down, Suspect};

/// What travels.
#[derive(Clone, Copy, Debug)]
enum Packet {
    Message(Message),
    Traffic(Incarnation),
}

/// An input that owns what it brings.
#[derive(Clone, Debug)]
enum Given {
    Tick,
    Packet(usize, Packet),
    Peers(Vec<NodeId>),
}

/// How messages fare.
#[derive(Clone, Copy)]
struct Network {
    /// The least time under way, and how much more it may be, in microseconds.
    delay: u64,
    jitter: u64,
    /// How many of a hundred are lost.
    loss: u64,
}

const LAN: Network = Network { delay: 100, jitter: 900, loss: 0 };
const LOSSY_LAN: Network = Network { loss: 5, ..LAN };
const WAN: Network = Network { delay: 40_000, jitter: 210_000, loss: 2 };

struct Node {
    machine: Detector,
    /// What it was first, and all that it was told, for a replay.
    first: Detector,
    history: Vec<(Now, Given)>,
    events: Vec<Event>,
    life: Incarnation,
    lives: bool,
    /// When it wakes, if it sleeps, and what waits for it.
    wakes: Option<u64>,
    waiting: Vec<(usize, Packet)>,
}

struct World {
    now: u64,
    preset: fn(NodeId, Incarnation) -> Config,
    nodes: Vec<Node>,
    network: Network,
    cut: Vec<(usize, usize)>,
    flights: BTreeMap<(u64, u64), (usize, usize, Packet)>,
    count: u64,
    rng: Rng,
    /// Who talks to everybody this often without being asked, in microseconds.
    talkers: Vec<(usize, u64, u64)>,
    /// How late every tick is, in microseconds.
    lateness: u64,
    /// Whether a host that wakes reads what waits before it ticks.
    reads_first: bool,
    records: bool,
    /// Who told what, and when, in microseconds; without what was sent.
    told: Vec<(u64, usize, Output)>,
    sent: usize,
}

fn id(node: usize) -> NodeId {
    NodeId::new(node as u64 + 1)
}

fn life(number: u64) -> Incarnation {
    Incarnation::new(number)
}

impl World {
    fn new(
        count: usize,
        preset: fn(NodeId, Incarnation) -> Config,
        network: Network,
        seed: u64,
    ) -> Self {
        let mut world = Self {
            now: 0,
            preset,
            nodes: Vec::new(),
            network,
            cut: Vec::new(),
            flights: BTreeMap::new(),
            count: 0,
            rng: Rng::new(seed),
            talkers: Vec::new(),
            lateness: 300,
            reads_first: true,
            records: false,
            told: Vec::new(),
            sent: 0,
        };
        for node in 0..count {
            let machine = Detector::new(preset(id(node), life(1))).unwrap();
            world.nodes.push(Node {
                first: machine.clone(),
                machine,
                history: Vec::new(),
                events: Vec::new(),
                life: life(1),
                lives: true,
                wakes: None,
                waiting: Vec::new(),
            });
        }
        (0..count).for_each(|node| world.introduce(node));
        world
    }

    fn lan(count: usize) -> Self {
        Self::new(count, Config::lan, LAN, 1)
    }

    /// A host tells its detector who is to be watched: everybody.
    fn introduce(&mut self, node: usize) {
        let all = (0..self.nodes.len()).map(id).collect();
        self.step(node, Given::Peers(all));
    }

    fn step(&mut self, node: usize, given: Given) {
        let now = Now::mono(self.now);
        let each = &mut self.nodes[node];
        let mut out = Outputs::with_room(each.machine.max_outputs());
        step(&mut each.machine, now, &given, &mut out);
        if self.records {
            each.history.push((now, given));
        }
        each.events.append(&mut out.events);
        for output in out.outputs {
            match output {
                Output::Send { to, message } => {
                    self.sent += 1;
                    let to = to.number() as usize - 1;
                    self.send(node, to, Packet::Message(message));
                }
                told => self.told.push((self.now, node, told)),
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, packet: Packet) {
        let Network { delay, jitter, loss } = self.network;
        if self.rng.below(100) < loss || self.cut.contains(&(from, to)) {
            return;
        }
        let at = self.now + delay + self.rng.below(jitter + 1);
        self.count += 1;
        self.flights.insert((at, self.count), (from, to, packet));
    }

    /// Lets everything happen up to then.
    fn run_to(&mut self, millis: u64) {
        let end = millis * 1_000;
        loop {
            let flight = self.flights.keys().next().map(|(at, _)| *at);
            let woken = self.nodes.iter().filter_map(|node| node.wakes).min();
            let talk = self.talkers.iter().map(|talker| talker.2).min();
            let tick = (0..self.nodes.len()).filter_map(|node| self.tick_at(node)).min();
            let next = flight.into_iter().chain(woken).chain(talk).chain(tick.map(|(at, _)| at));
            let Some(next) = next.min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            if woken == Some(next) {
                self.wake();
            } else if flight == Some(next) {
                let (from, to, packet) = self.flights.pop_first().unwrap().1;
                self.deliver(from, to, packet);
            } else if talk == Some(next) {
                self.talk();
            } else if let Some((_, node)) = tick {
                self.step(node, Given::Tick);
            }
        }
        self.now = end;
    }

    fn tick_at(&self, at: usize) -> Option<(u64, usize)> {
        let node = &self.nodes[at];
        let deadline = node.machine.deadline().filter(|_| node.lives && node.wakes.is_none())?;
        Some(((deadline.as_micros() + self.lateness).max(self.now), at))
    }

    fn deliver(&mut self, from: usize, to: usize, packet: Packet) {
        if !self.nodes[to].lives {
        } else if self.nodes[to].wakes.is_some() {
            self.nodes[to].waiting.push((from, packet));
        } else {
            self.step(to, Given::Packet(from, packet));
        }
    }

    fn talk(&mut self) {
        for talker in 0..self.talkers.len() {
            let (from, every, at) = self.talkers[talker];
            if at <= self.now {
                self.talkers[talker].2 = self.now + every;
                let talks = self.nodes[from].lives && self.nodes[from].wakes.is_none();
                let life = self.nodes[from].life;
                for to in (0..self.nodes.len()).filter(|to| talks && *to != from) {
                    self.send(from, to, Packet::Traffic(life));
                }
            }
        }
    }

    /// A node tells all others something every so many milliseconds.
    fn talks(&mut self, node: usize, every: u64) {
        self.talkers.push((node, every * 1_000, self.now));
    }

    fn wake(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].wakes.is_some_and(|at| at <= self.now) {
                self.nodes[node].wakes = None;
                let waiting = std::mem::take(&mut self.nodes[node].waiting);
                if !self.reads_first {
                    self.step(node, Given::Tick);
                }
                waiting.into_iter().for_each(|(from, packet)| self.deliver(from, node, packet));
                self.step(node, Given::Tick);
            }
        }
    }

    fn pause(&mut self, node: usize, millis: u64) {
        self.nodes[node].wakes = Some(self.now + millis * 1_000);
    }

    fn crash(&mut self, node: usize) {
        self.nodes[node].lives = false;
    }

    /// A node begins a life, and remembers nothing of another.
    fn start(&mut self, node: usize, number: u64) {
        let machine = Detector::new((self.preset)(id(node), life(number))).unwrap();
        let each = &mut self.nodes[node];
        each.machine = machine;
        (each.life, each.lives, each.history) = (life(number), true, Vec::new());
        self.introduce(node);
    }

    fn part(&mut self, from: usize, to: usize) {
        self.cut.push((from, to));
    }

    fn part_both(&mut self, one: usize, other: usize) {
        self.cut.extend([(one, other), (other, one)]);
    }

    /// Writes down from now on what everybody is told.
    fn record(&mut self) {
        self.records = true;
        self.nodes.iter_mut().for_each(|node| node.first = node.machine.clone());
    }

    /// What an observer told of a peer, and how many milliseconds after an instant.
    fn verdicts(&self, observer: usize, peer: usize, since: u64) -> Vec<(u64, Verdict)> {
        let told = self.told.iter().filter(|(at, by, _)| *by == observer && *at >= since * 1_000);
        told.filter_map(|(at, _, output)| match output {
            Output::Verdict { peer: of, verdict, .. } if *of == id(peer) => {
                Some((at / 1_000 - since, *verdict))
            }
            _ => None,
        })
        .collect()
    }

    /// Who doubted whom, and when.
    fn doubts(&self) -> Vec<(u64, usize, Output)> {
        let is_doubt = |output: &Output| matches!(output, Output::Verdict { verdict, .. } if *verdict != Alive);
        self.told.iter().filter(|(_, _, output)| is_doubt(output)).copied().collect()
    }

    fn health(&self, node: usize) -> u8 {
        self.nodes[node].machine.health()
    }

    fn count_of(&self, node: usize, is: impl Fn(&Event) -> bool) -> usize {
        self.nodes[node].events.iter().filter(|event| is(event)).count()
    }
}

fn step(machine: &mut Detector, now: Now, given: &Given, out: &mut Outputs<Output>) {
    let input = match given {
        Given::Tick => Input::Tick,
        Given::Packet(from, Packet::Message(message)) => {
            Input::Message { from: id(*from), message: *message }
        }
        Given::Packet(from, Packet::Traffic(incarnation)) => {
            Input::Heard { from: id(*from), incarnation: *incarnation }
        }
        Given::Peers(nodes) => Input::Peers(nodes),
    };
    machine.step(now, input, out).unwrap();
}

/// One detector alone, and what it says.
struct Alone {
    machine: Detector,
    events: Vec<Event>,
}

impl Alone {
    /// It watches so many others, from the beginning.
    fn watching(count: usize) -> Self {
        let mut alone = Self::with(Config::lan(id(0), life(5)));
        let all: Vec<_> = (1..=count).map(id).collect();
        assert_eq!(alone.at(0, Input::Peers(&all)), []);
        alone
    }

    fn with(config: Config) -> Self {
        Self { machine: Detector::new(config).unwrap(), events: Vec::new() }
    }

    fn at(&mut self, micros: u64, input: Input<'_>) -> Vec<Output> {
        let mut out = Outputs::with_room(self.machine.max_outputs());
        self.machine.step(Now::mono(micros), input, &mut out).unwrap();
        self.events = out.events;
        out.outputs
    }

    fn hears(&mut self, micros: u64, incarnation: u64) -> Vec<Output> {
        self.at(micros, Input::Heard { from: id(1), incarnation: life(incarnation) })
    }

    fn ping(&mut self, micros: u64, incarnation: u64, doubts: Option<u64>) -> Vec<Output> {
        let (incarnation, doubts) = (life(incarnation), doubts.map(life));
        let message = Message::Ping { incarnation, number: 1, doubts };
        self.at(micros, Input::Message { from: id(1), message })
    }

    fn pong(&mut self, micros: u64, incarnation: u64, number: u64) -> Vec<Output> {
        let message = Message::Pong { incarnation: life(incarnation), number };
        self.at(micros, Input::Message { from: id(1), message })
    }

    /// Ticks whenever it asks to, up to then, and nobody says anything.
    fn waits(&mut self, until: u64) -> Vec<(u64, Output)> {
        let mut told = Vec::new();
        while let Some(at) = self.machine.deadline().filter(|at| at.as_micros() <= until) {
            let at = at.as_micros();
            told.extend(self.at(at, Input::Tick).into_iter().map(|output| (at, output)));
        }
        told
    }

    fn unheeded(&self) -> Option<Ignored> {
        match self.events[..] {
            [Event::Unheeded { from, why }] if from == id(1) => Some(why),
            _ => None,
        }
    }
}

fn ping(number: u64, doubts: Option<u64>) -> Output {
    let doubts = doubts.map(life);
    Output::Send { to: id(1), message: Message::Ping { incarnation: life(5), number, doubts } }
}

fn verdict(incarnation: u64, verdict: Verdict) -> Output {
    Output::Verdict { peer: id(1), incarnation: life(incarnation), verdict }
}

const HOUR: u64 = 3_600_000;

#[test]
fn a_quiet_hour_on_a_lan_that_loses_a_twentieth_convicts_nobody() {
    let mut w = World::new(5, Config::lan, LOSSY_LAN, 7);
    w.run_to(HOUR);
    assert_eq!(w.doubts(), []);
    assert!((0..5).all(|node| w.health(node) == 0));
}

#[test]
fn an_hour_on_a_slow_wan_that_jitters_and_loses_convicts_nobody() {
    for seed in 0..4 {
        let mut w = World::new(3, Config::wan, WAN, seed);
        w.run_to(HOUR);
        let down = w
            .doubts()
            .into_iter()
            .filter(|(_, _, output)| matches!(output, Output::Verdict { verdict: Down, .. }));
        assert_eq!(down.count(), 0);
    }
}

#[test]
fn a_crash_is_suspected_by_all_within_a_timeout_and_a_quarter_and_told_within_two_and_a_quarter() {
    for (preset, network, timeout) in [
        (Config::lan as fn(_, _) -> _, LAN, 150),
        (Config::lan, LOSSY_LAN, 150),
        (Config::wan, Network { delay: 20_000, jitter: 30_000, loss: 0 }, 1_000),
    ] {
        for (count, talks) in [(2, false), (3, false), (5, false), (7, false), (5, true)] {
            let mut w = World::new(count, preset, network, count as u64);
            (0..count).filter(|_| talks).for_each(|node| w.talks(node, 5));
            w.run_to(10_000);
            w.crash(1);
            w.run_to(20_000);
            for observer in (0..count).filter(|node| *node != 1) {
                let told = w.verdicts(observer, 1, 10_000);
                let [(suspected, Suspect), (down, Down)] = told[..] else { panic!("{told:?}") };
                assert!(suspected <= timeout * 5 / 4 && down <= timeout * 9 / 4, "{told:?}");
            }
            assert_eq!(w.doubts().len(), 2 * (count - 1), "and nobody else is doubted");
        }
    }
}

#[test]
fn only_the_deaf_end_of_a_link_that_fails_one_way_doubts_the_other() {
    let mut w = World::lan(3);
    w.run_to(1_000);
    w.part(0, 1);
    w.run_to(3_000);
    assert!(w.doubts().iter().all(|(_, by, output)| *by == 1
        && matches!(output, Output::Verdict { peer, .. } if *peer == id(0))));
    assert_eq!(w.nodes[1].machine.verdict(id(0)), Some(Down));
    let health: Vec<_> = w
        .told
        .iter()
        .filter(|(at, by, output)| {
            *at > 1_000_000 && *by == 0 && matches!(output, Output::Health { .. })
        })
        .collect();
    assert!(
        matches!(
            health[..],
            [(_, _, Output::Health { score: 1 }), (_, _, Output::Health { score: 0 })]
        ),
        "told once that it is doubted: {health:?}"
    );
    w.cut.clear();
    w.run_to(4_000);
    let healed = w.verdicts(1, 0, 3_000);
    assert!(matches!(healed[..], [(at, Alive)] if at <= 150), "{healed:?}");
}

#[test]
fn a_peer_that_flaps_is_told_of_ever_less() {
    let mut w = World::lan(3);
    let mut told = Vec::new();
    for flap in 0..10 {
        w.run_to(10_000 + flap * 1_000);
        w.pause(1, 500);
        let before = w.told.len();
        w.run_to(11_000 + flap * 1_000);
        told.push(
            w.told[before..]
                .iter()
                .filter(|(_, by, output)| *by != 1 && matches!(output, Output::Verdict { .. }))
                .count(),
        );
    }
    assert_eq!(told[0], 6, "two observers say: suspect, down, alive");
    assert!(told[5..].iter().sum::<usize>() * 3 <= told[..5].iter().sum(), "{told:?}");
}

// restate#5156: healthy peers were marked dead in one tick.
#[test]
fn an_observer_that_was_paused_convicts_nobody() {
    for reads_first in [true, false] {
        for (pause, seed) in [(45, 1), (100, 2), (160, 3), (320, 4), (1_000, 5), (60_000, 6)] {
            let mut w = World::new(5, Config::lan, LOSSY_LAN, seed);
            w.reads_first = reads_first;
            for round in 1..=10 {
                let begins = round * (10_000 + pause);
                w.run_to(begins);
                w.pause(0, pause);
                w.run_to(begins + pause + 10);
                assert!(pause < 80 || w.health(0) >= 1, "it doubts itself instead");
            }
            assert!(w.doubts().iter().all(|(_, by, _)| *by != 0), "{:?}", w.doubts());
            let overslept = w.count_of(0, |event| matches!(event, Event::Overslept { .. }));
            assert!(overslept == 10 || pause < 80);
        }
    }
}

#[test]
fn a_host_that_wakes_to_a_network_that_lost_everything_convicts_nobody() {
    let mut w = World::lan(5);
    for round in 1..=20 {
        w.run_to(round * 10_000);
        w.pause(0, 2_000);
        w.run_to(round * 10_000 + 1_999);
        w.nodes[0].waiting.clear();
    }
    w.run_to(300_000);
    assert!(w.doubts().iter().all(|(_, by, _)| *by != 0), "{:?}", w.doubts());
}

#[test]
fn a_pause_gives_a_suspect_one_more_timeout() {
    let mut a = Alone::watching(1);
    a.hears(0, 1);
    a.waits(160_000);
    assert_eq!(a.machine.verdict(id(1)), Some(Suspect));
    a.at(2_000_000, Input::Tick);
    assert_eq!(a.machine.health(), 1);
    a.waits(2_299_999);
    assert_eq!(a.machine.verdict(id(1)), Some(Suspect));
    a.waits(2_300_000);
    assert_eq!(a.machine.verdict(id(1)), Some(Down));
}

#[test]
fn a_peer_that_was_paused_is_suspected_and_alive_again() {
    let mut w = World::lan(3);
    w.run_to(1_000);
    w.pause(1, 220);
    w.run_to(3_000);
    for observer in [0, 2] {
        let told = w.verdicts(observer, 1, 1_000);
        let [(suspected, Suspect), (alive, Alive)] = told[..] else { panic!("{told:?}") };
        assert!(suspected < 190 && (220..=225).contains(&alive), "{told:?}");
    }
}

#[test]
fn a_restart_that_nobody_noticed_is_told_as_a_new_life_and_as_no_death() {
    let mut w = World::lan(3);
    w.run_to(1_000);
    w.crash(1);
    w.run_to(1_050);
    w.start(1, 2);
    w.run_to(5_000);
    assert_eq!(w.doubts(), []);
    for observer in [0, 2] {
        assert_eq!(w.nodes[observer].machine.incarnation(id(1)), Some(life(2)));
        assert_eq!(w.verdicts(observer, 1, 1_000).len(), 1);
    }
}

#[test]
fn the_silence_of_an_old_life_does_not_convict_the_new_one() {
    let mut a = Alone::watching(1);
    a.hears(1_000, 1);
    a.waits(280_000);
    assert_eq!(a.machine.verdict(id(1)), Some(Suspect));
    assert_eq!(a.hears(290_000, 2), [verdict(2, Alive)]);
    a.pong(290_000, 2, 20);
    assert_eq!(a.unheeded(), None, "it answers what its old life was asked");
    let told = a.waits(439_999);
    assert!(told.iter().all(|(_, output)| matches!(output, Output::Send { .. })), "{told:?}");
    assert!(a.waits(440_000).contains(&(440_000, verdict(2, Suspect))));
    assert_eq!(a.machine.timeout(id(1)), Some(Span::millis(150)), "nor does it count as slow");
}

// al8n/memberlist#197: a word of an old life raised the dead.
#[test]
fn words_of_an_earlier_life_do_not_count() {
    let mut a = Alone::watching(1);
    a.hears(1_000, 7);
    a.waits(500_000);
    assert_eq!(a.machine.verdict(id(1)), Some(Down));
    assert_eq!((a.hears(500_001, 6), a.unheeded()), (vec![], Some(Ignored::Stale)));
    assert_eq!((a.ping(500_002, 6, None), a.unheeded()), (vec![], Some(Ignored::Stale)));
    assert_eq!((a.pong(500_003, 6, 1), a.unheeded()), (vec![], Some(Ignored::Stale)));
    assert_eq!(a.machine.verdict(id(1)), Some(Down));
    assert_eq!(a.hears(500_004, 7), [verdict(7, Alive)]);
}

// memberlist#358: one damaged number put every later life in the past.
#[test]
fn a_life_that_is_implausibly_far_ahead_is_refused() {
    let mut a = Alone::watching(1);
    a.hears(1_000, 7);
    for far in [7 + Incarnation::FURTHEST + 1, u64::MAX] {
        assert_eq!((a.hears(2_000, far), a.unheeded()), (vec![], Some(Ignored::Implausible)));
        assert_eq!((a.ping(2_000, far, None), a.unheeded()), (vec![], Some(Ignored::Implausible)));
    }
    assert_eq!(
        a.hears(2_000, 7 + Incarnation::FURTHEST),
        [verdict(7 + Incarnation::FURTHEST, Alive)]
    );
}

#[test]
fn strangers_and_answers_to_nothing_do_not_count() {
    let mut a = Alone::watching(1);
    for from in [id(0), id(2)] {
        let heard = Input::Heard { from, incarnation: life(1) };
        assert_eq!(a.at(0, heard), []);
        assert_eq!(a.events, [Event::Unheeded { from, why: Ignored::Stranger }]);
    }
    assert_eq!((a.pong(1, 1, 0), a.unheeded()), (vec![], Some(Ignored::Stale)));
    assert_eq!(
        (a.pong(1, 1, 1), a.unheeded()),
        (vec![], Some(Ignored::Stale)),
        "it was never asked"
    );
    assert_eq!(a.waits(50_000), [(37_500, ping(1, None)), (46_875, ping(2, None))]);
    assert_eq!((a.pong(61_000, 1, 3), a.unheeded()), (vec![], Some(Ignored::Stale)));
    assert_eq!(a.pong(61_000, 1, 2), [verdict(1, Alive)]);
    assert_eq!(
        (a.pong(62_000, 1, 2), a.unheeded()),
        (vec![], Some(Ignored::Stale)),
        "a second time"
    );
}

#[test]
fn a_peer_is_asked_after_a_quarter_then_every_sixteenth_and_once_it_is_down_every_quarter() {
    let mut a = Alone::watching(1);
    a.hears(0, 1);
    let part = |n| n * 150_000 / 16;
    let mut expected: Vec<_> = (4..16).map(|n| (part(n), ping(n - 3, None))).collect();
    expected.extend((16..32).map(|n| (part(n), ping(n - 3, Some(1)))));
    expected.insert(13, (part(16), verdict(1, Suspect)));
    expected.push((part(32), verdict(1, Down)));
    expected.extend((1..4).map(|n| (part(31 + 4 * n), ping(28 + n, Some(1)))));
    assert_eq!(a.waits(part(44)), expected);
}

#[test]
fn whoever_talks_is_sent_nothing() {
    let mut w = World::new(4, Config::lan, LAN, 1);
    (0..4).for_each(|node| w.talks(node, 30));
    w.run_to(60_000);
    assert_eq!((w.sent, w.doubts()), (0, vec![]));
    w.talkers.remove(2);
    w.run_to(61_000);
    assert!(w.sent > 0, "whoever falls silent is asked");
    assert_eq!(w.doubts(), []);
}

// memberlist#350: of three, the only one that mattered was not in the sample.
#[test]
fn of_two_and_of_three_everyone_is_watched() {
    for count in [2, 3] {
        for (one, other) in [(0, 1), (1, 0), (count - 1, 0)] {
            let mut w = World::lan(count);
            w.run_to(1_000);
            w.part(one, other);
            w.run_to(1_500);
            assert_eq!(w.nodes[other].machine.verdict(id(one)), Some(Down));
        }
    }
}

// weaviate#10698, antrea#4491: once each side had given up the other, neither asked again.
#[test]
fn those_who_were_cut_off_for_an_hour_find_each_other_again() {
    let mut w = World::lan(4);
    w.run_to(1_000);
    for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        w.part_both(one, other);
    }
    w.run_to(HOUR);
    assert_eq!(w.nodes[0].machine.verdict(id(2)), Some(Down));
    w.cut.clear();
    w.run_to(HOUR + 200);
    for node in 0..4 {
        let alive = (0..4).filter(|peer| w.nodes[node].machine.verdict(id(*peer)) == Some(Alive));
        assert_eq!(alive.count(), 3);
    }
}

#[test]
fn a_peer_that_was_away_is_soon_watched_as_closely_as_before() {
    for talks in [false, true] {
        let mut w = World::lan(3);
        (0..3).filter(|_| talks).for_each(|node| w.talks(node, 10));
        w.run_to(1_000);
        w.pause(1, 30_000);
        w.run_to(31_100);
        let after = w.nodes[0].machine.timeout(id(1)).unwrap();
        assert!(after > Span::millis(1_000), "{after:?}");
        w.run_to(60_000);
        w.crash(1);
        w.run_to(61_000);
        let told = w.verdicts(0, 1, 60_000);
        assert!(matches!(told[..], [(_, Suspect), (at, Down)] if at < 340), "{told:?}");
    }
}

#[test]
fn a_timeout_is_as_long_as_answers_take_between_the_bounds() {
    let mut w = World::new(2, Config::lan, Network { delay: 60_000, jitter: 60_000, loss: 0 }, 3);
    w.run_to(60_000);
    let slow = w.nodes[0].machine.timeout(id(1)).unwrap();
    assert!(Span::millis(300) < slow && slow <= Span::millis(1_200), "{slow:?}");
    assert!(w.doubts().iter().all(|(at, _, _)| *at < 3_000_000), "{:?}", w.doubts());
    w.network = Network { delay: 5_000_000, jitter: 0, loss: 0 };
    w.run_to(120_000);
    let factor = u64::from(w.health(0)) + 1;
    assert_eq!(w.nodes[0].machine.timeout(id(1)), Some(Span::millis(1_200).times(factor)));
    w.network = LAN;
    w.run_to(180_000);
    assert_eq!(w.nodes[0].machine.timeout(id(1)), Some(Span::millis(150)));
}

#[test]
fn whoever_misses_most_of_the_others_doubts_itself_first() {
    let mut w = World::lan(5);
    w.run_to(10_000);
    (0..4).for_each(|node| w.part_both(4, node));
    w.run_to(20_000);
    let told =
        w.told.iter().find(|(_, by, output)| *by == 4 && matches!(output, Output::Health { .. }));
    assert!(matches!(told, Some((_, _, Output::Health { score: 1 }))));
    let last = (0..4).map(|node| w.verdicts(4, node, 10_000)[1]).max().unwrap();
    let first = (0..4).map(|node| w.verdicts(node, 4, 10_000)[1]).max().unwrap();
    assert!(last.1 == Down && first.1 == Down && last.0 >= first.0 + 120);
    assert_eq!(w.health(4), 0, "it is not in doubt of itself for ever");
}

#[test]
fn half_of_the_others_are_not_most_of_them() {
    let mut w = World::lan(5);
    w.run_to(10_000);
    w.crash(3);
    w.crash(4);
    w.run_to(20_000);
    assert_eq!(w.doubts().len(), 3 * 2 * 2);
    assert!(!w.told.iter().any(|(_, _, output)| matches!(output, Output::Health { .. })));
}

#[test]
fn a_deadline_follows_a_timeout_that_shrinks() {
    let mut a = Alone::watching(1);
    a.hears(0, 1);
    a.waits(1_200_000);
    a.pong(1_200_000, 1, 5);
    let slow = a.machine.timeout(id(1));
    assert!(slow > Some(Span::millis(1_000)), "{slow:?}");
    for now in (1_200_000..30_000_000).step_by(10_000) {
        a.waits(now);
        a.hears(now, 1);
        let quarter = a.machine.timeout(id(1)).unwrap().divided(4);
        assert!(a.machine.deadline() <= Some(Instant::from_micros(now).after(quarter)));
    }
    assert_eq!(a.machine.timeout(id(1)), Some(Span::millis(150)));
}

#[test]
fn a_host_that_always_ticks_late_convicts_nobody_and_still_tells_a_crash() {
    for lateness in [30_000, 60_000, 100_000, 200_000] {
        let mut w = World::new(3, Config::lan, LOSSY_LAN, 5);
        w.lateness = lateness;
        w.run_to(600_000);
        assert!(
            w.doubts()
                .iter()
                .all(|(_, _, output)| !matches!(output, Output::Verdict { verdict: Down, .. })),
            "{:?}",
            w.doubts()
        );
        w.crash(1);
        w.run_to(660_000);
        for observer in [0, 2] {
            let told = w.verdicts(observer, 1, 600_000);
            assert!(matches!(told[..], [(_, Suspect), (_, Down)]));
        }
    }
}

#[test]
fn the_score_is_bounded_and_falls_when_all_is_well() {
    let mut a = Alone::watching(1);
    let mut now = 0;
    for sleep in 0..20 {
        now += 1_000_000;
        a.at(now, Input::Tick);
        assert_eq!(a.machine.health(), (sleep + 1).min(Detector::WORST));
    }
    assert_eq!(a.machine.timeout(id(1)), Some(Span::millis(150 * 9)));
    let well = now + 8 * 8 * 150_000;
    while now < well {
        a.hears(now, 1);
        a.waits(now + 10_000);
        now += 10_000;
    }
    a.hears(now, 1);
    a.waits(now + 37_500);
    assert_eq!(a.machine.health(), 0);
}

// foca#25: two nodes told each other for ever that the other was dead.
#[test]
fn doubt_is_refuted_with_a_pong_and_counts_once() {
    let mut a = Alone::watching(1);
    let pong =
        Output::Send { to: id(1), message: Message::Pong { incarnation: life(5), number: 1 } };
    assert_eq!(a.ping(0, 1, Some(5)), [pong, verdict(1, Alive), Output::Health { score: 1 }]);
    assert_eq!(a.ping(1, 1, Some(5)), [pong], "the same doubt");
    assert_eq!(a.ping(2, 1, None), [pong]);
    assert_eq!(a.ping(3, 1, Some(4)), [pong], "of a former life");
    assert_eq!(a.ping(4, 1, Some(5)), [pong, Output::Health { score: 2 }]);
    assert_eq!(
        a.machine.deadline(),
        Some(Instant::from_micros(37_500)),
        "and is not answered with doubt"
    );
}

// memberlist#311: a node that had lost its count was ignored, and never heard why.
#[test]
fn a_node_that_is_known_in_a_later_life_is_told() {
    let mut w = World::lan(3);
    w.start(1, 9);
    w.run_to(1_000);
    w.start(1, 3);
    w.run_to(2_000);
    let outlived = Output::Outlived { by: life(9) };
    assert_eq!(w.told.iter().filter(|(_, by, output)| *by == 1 && *output == outlived).count(), 1);
    assert_eq!(w.nodes[0].machine.verdict(id(1)), Some(Down));
    let mut a = Alone::watching(1);
    assert_eq!(a.ping(0, 1, Some(u64::MAX)), [verdict(1, Alive)]);
    assert_eq!(a.unheeded(), Some(Ignored::Implausible));
}

#[test]
fn more_peers_than_the_limit_are_refused_and_nothing_happens() {
    let config = Config { peers: 3, ..Config::lan(id(0), life(1)) };
    let full = Refused::Full(Limit::Peers);
    for (config, most) in [(Config::lan(id(0), life(1)), PEERS), (config, 3)] {
        let mut a = Alone::with(config);
        let all: Vec<_> = (0..=most + 1).map(id).collect();
        a.at(0, Input::Peers(&all[..2]));
        let before = a.machine.clone();
        let mut out = Outputs::with_room(a.machine.max_outputs());
        assert_eq!(a.machine.step(Now::mono(9), Input::Peers(&all), &mut out), Err(full));
        assert!(a.machine == before && out.outputs.is_empty() && out.events.is_empty());
        let twice: Vec<_> = all[..=most].iter().chain(&all[..=most]).copied().collect();
        a.at(0, Input::Peers(&twice));
        assert_eq!(a.machine.verdict(all[most]), Some(Alive));
        assert_eq!(a.machine.verdict(all[0]), None, "it does not watch itself");
        a.waits(10_000_000);
        assert_eq!(a.machine.verdict(all[most]), Some(Down));
    }
}

#[test]
fn whoever_is_watched_no_more_is_forgotten_and_the_others_are_not() {
    let mut a = Alone::watching(2);
    a.hears(0, 9);
    a.waits(100_000);
    a.at(100_000, Input::Peers(&[id(1), id(3)]));
    assert_eq!((a.machine.verdict(id(2)), a.machine.verdict(id(3))), (None, Some(Alive)));
    assert!(a.waits(150_000).contains(&(150_000, verdict(9, Suspect))));
    a.at(150_000, Input::Peers(&[]));
    assert_eq!(a.waits(10_000_000), [], "it has nothing to do");
    a.at(10_000_000, Input::Peers(&[id(1)]));
    assert_eq!(a.hears(10_000_000, 1), [verdict(1, Alive)], "nor is its incarnation known");
}

#[test]
fn early_and_repeated_ticks_do_no_harm() {
    let mut a = Alone::watching(3);
    let mut b = Alone::watching(3);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for now in (0..2_000_000).step_by(625) {
        one.extend(a.waits(now).into_iter().map(|(_, output)| output));
        for _ in 0..3 {
            other.extend(b.at(now, Input::Tick));
        }
        assert_eq!(a.machine.verdict(id(1)), b.machine.verdict(id(1)));
    }
    assert!(one == other);
}

#[test]
fn a_run_replays_to_equal_outputs_and_equal_states() {
    let run = |seed| {
        let mut w = World::new(4, Config::lan, Network { loss: 20, ..LAN }, seed);
        w.record();
        w.run_to(2_000);
        w.crash(3);
        w.pause(1, 400);
        w.run_to(5_000);
        w
    };
    let (one, two, other) = (run(1), run(1), run(2));
    assert!(one.told == two.told && one.sent == two.sent && one.sent != other.sent);
    for node in &one.nodes {
        let mut again = node.first.clone();
        for (now, given) in &node.history {
            let (mut out, mut twin) = (Outputs::with_room(99), Outputs::with_room(99));
            let mut copy = again.clone();
            step(&mut again, *now, given, &mut out);
            step(&mut copy, *now, given, &mut twin);
            assert!(again == copy && out.outputs == twin.outputs && out.events == twin.events);
        }
        assert!(again == node.machine);
    }
}

#[test]
fn numbers_at_the_ends_of_their_types_do_no_harm() {
    let end = u64::MAX;
    let longest = Span::micros(end);
    for timeout in [Span::millis(1), Span::micros(end)] {
        let mut a = Alone::with(Config { timeout, longest, ..Config::lan(id(0), life(end)) });
        a.at(0, Input::Peers(&[id(1), id(2), NodeId::new(end)]));
        for now in [0, 1, end / 2, end - 1, end, 0, end] {
            for number in [0, 1, end - 1, end] {
                a.hears(now, number);
                a.ping(now, number, Some(number));
                a.pong(now, number, number);
                a.at(now, Input::Tick);
                assert!(a.machine.deadline().is_none_or(|at| at.as_micros() > now));
            }
        }
        assert_eq!(a.machine.deadline(), None, "nothing comes after the end of time");
    }
}

#[test]
fn timeouts_that_make_no_sense_are_refused() {
    let config = Config::wan(id(0), life(1));
    for (timeout, longest) in [(0, 1_000), (999, 1_000), (1_001, 1_000), (u64::MAX, 0)] {
        let config =
            Config { timeout: Span::micros(timeout), longest: Span::micros(longest), ..config };
        assert_eq!(Detector::new(config), Err(ConfigError::Timeouts));
    }
    assert!(Detector::new(config).is_ok());
}
