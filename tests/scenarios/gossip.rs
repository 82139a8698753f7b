//! Gossip: what has gone wrong with clusters that discover themselves does not go wrong here.

use quorate::bounded::{BACKEND, List};
use quorate::codec::{Codec, Malformed};
use quorate::event::{Event, Ignored};
use quorate::id::{Incarnation, NodeId};
use quorate::limits::Gossip as Limits;
use quorate::membership::gossip::{
    Address, Config, Gossip, Input, Kind, Message, Output, Record, State, Update, Updates,
};
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Span};
use quorate::{Machine, Outbox, Refused};
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000;
const MILLI: u64 = 1_000;

fn id(number: u64) -> NodeId {
    NodeId::new(number)
}

fn inc(number: u64) -> Incarnation {
    Incarnation::new(number)
}

fn address(number: u64) -> Address {
    let mut bytes = [0; Address::BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Address::new(bytes)
}

fn record(incarnation: u64, state: State, at: u64) -> Record {
    Record { incarnation: inc(incarnation), state, address: address(at) }
}

fn alive(node: u64, incarnation: u64) -> Update {
    update(node, incarnation, State::Alive, node)
}

fn update(node: u64, incarnation: u64, state: State, by: u64) -> Update {
    Update { node: id(node), record: record(incarnation, state, node), by: id(by) }
}

/// What a machine says in one step, with what happened inside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Said {
    outputs: Vec<Output>,
    events: Vec<Event>,
}

impl Outbox<Output> for Said {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
    fn room(&self) -> usize {
        usize::MAX
    }
    fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }
    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl Said {
    fn sends(&self) -> impl Iterator<Item = (Address, Kind, &Updates)> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Send { to, message, updates } => Some((*to, message.kind, updates)),
            _ => None,
        })
    }

    fn told(&self) -> Vec<&Output> {
        self.outputs.iter().filter(|output| !matches!(output, Output::Send { .. })).collect()
    }

    /// All that was said of a node in this step.
    fn of(&self, node: u64) -> Vec<Update> {
        let all = self.sends().flat_map(|(_, _, updates)| updates.to_vec());
        all.filter(|update| update.node == id(node)).collect()
    }
}

/// One node by hand.
#[derive(Clone)]
struct One {
    gossip: Gossip,
    now: u64,
}

impl One {
    /// A node that has joined, alone.
    fn new(config: Config) -> Self {
        let mut one = Self { gossip: Gossip::new(config), now: 0 };
        one.step(Input::Join { seeds: &[] });
        one
    }

    fn number(number: u64) -> Self {
        Self::new(lan(number, 1))
    }

    fn step(&mut self, input: Input<'_>) -> Said {
        let mut said = Said::default();
        let room = self.gossip.max_outputs();
        self.gossip.step(Now::mono(self.now), input, &mut said).unwrap();
        assert!(said.outputs.len() <= room);
        said
    }

    /// A message of a node at its own address.
    fn hear(&mut self, from: u64, incarnation: u64, kind: Kind, updates: &[Update]) -> Said {
        let message = Message { sender: id(from), incarnation: inc(incarnation), kind };
        self.step(Input::Message { from: address(from), message, updates })
    }

    fn news(&mut self, from: u64, updates: &[Update]) -> Said {
        self.hear(from, 1, Kind::News, updates)
    }

    fn record(&self, node: u64) -> Option<(u64, State)> {
        let record = self.gossip.record(id(node))?;
        Some((record.incarnation.number(), record.state))
    }

    /// Ticks whenever it asks to, for so long.
    fn run(&mut self, micros: u64) -> Said {
        let (end, mut all) = (self.now + micros, Said::default());
        while let Some(at) = self.gossip.deadline().filter(|at| at.as_micros() <= end) {
            self.now = self.now.max(at.as_micros());
            let said = self.step(Input::Tick);
            all.outputs.extend(said.outputs);
            all.events.extend(said.events);
        }
        self.now = end;
        all
    }
}

fn lan(number: u64, incarnation: u64) -> Config {
    Config::lan(id(number), address(number), inc(incarnation))
}

struct Packet {
    from: Address,
    to: Address,
    message: Message,
    updates: Updates,
}

/// Many nodes over a network that is made from a seed.
struct World {
    now: u64,
    rng: Rng,
    // By their number; the first has number 1.
    nodes: Vec<Option<Gossip>>,
    // Where each is, and to whom it can speak: those on the same island.
    places: Vec<(Address, u8)>,
    asleep_until: Vec<u64>,
    packets: BTreeMap<(u64, u64), Packet>,
    serial: u64,
    // Of a thousand packets, so many are lost.
    loss: u64,
    sent: u64,
    told: Vec<(u64, u64, Output)>,
    events: Vec<(u64, u64, Event)>,
}

impl World {
    /// So many nodes, all of which join by the first.
    fn new(nodes: u64, loss: u64, seed: u64) -> Self {
        let mut world = Self {
            now: 0,
            rng: Rng::new(seed),
            nodes: Vec::new(),
            places: Vec::new(),
            asleep_until: Vec::new(),
            packets: BTreeMap::new(),
            serial: 0,
            loss,
            sent: 0,
            told: Vec::new(),
            events: Vec::new(),
        };
        for number in 1..=nodes {
            world.nodes.push(None);
            world.places.push((address(number), 0));
            world.asleep_until.push(0);
            let seed = world.rng.draw();
            world.start(number, Config { seed, ..lan(number, 1) });
        }
        world
    }

    /// A cluster that has settled.
    fn settled(nodes: u64, loss: u64, seed: u64) -> Self {
        let mut world = Self::new(nodes, loss, seed);
        world.run(60 * SECOND);
        for number in 1..=nodes {
            assert_eq!(world.up(number), nodes - 1, "node {number} knows all others");
        }
        world.told.clear();
        world
    }

    fn start(&mut self, number: u64, config: Config) {
        let at = number as usize - 1;
        self.places[at].0 = config.address;
        self.nodes[at] = Some(Gossip::new(config));
        self.step(number, Input::Join { seeds: &[address(1)] });
    }

    fn crash(&mut self, number: u64) {
        self.nodes[number as usize - 1] = None;
    }

    fn node(&self, number: u64) -> &Gossip {
        self.nodes[number as usize - 1].as_ref().unwrap()
    }

    /// How many others a node takes for alive.
    fn up(&self, number: u64) -> u64 {
        self.node(number).nodes().filter(|(_, record)| !record.state.is_departed()).count() as u64
    }

    fn step(&mut self, number: u64, input: Input<'_>) {
        let at = number as usize - 1;
        let Some(gossip) = &mut self.nodes[at] else { return };
        let mut said = Said::default();
        gossip.step(Now::mono(self.now), input, &mut said).unwrap();
        let from = self.places[at].0;
        for output in said.outputs {
            match output {
                Output::Send { to, message, updates } => {
                    self.sent += 1;
                    if self.rng.below(1_000) >= self.loss {
                        // Most packets take about a millisecond; one in fifty takes long.
                        let late = if self.rng.below(50) == 0 { 20 * MILLI } else { 0 };
                        let at = self.now + 500 + self.rng.below(MILLI) + late;
                        self.serial += 1;
                        let packet = Packet { from, to, message, updates };
                        self.packets.insert((at, self.serial), packet);
                    }
                }
                told => self.told.push((self.now, number, told)),
            }
        }
        self.events.extend(said.events.into_iter().map(|event| (self.now, number, event)));
    }

    fn run(&mut self, micros: u64) {
        self.run_until(micros, |_| false);
    }

    /// Until something is so, or the time is over; how long it took.
    fn run_until(&mut self, micros: u64, is_so: impl Fn(&Self) -> bool) -> Option<u64> {
        let (begin, end) = (self.now, self.now + micros);
        loop {
            if is_so(self) {
                return Some(self.now - begin);
            }
            let packet = self.packets.keys().next().map(|(at, _)| *at);
            let awake = |at: usize, wanted: u64| wanted.max(self.asleep_until[at]);
            let tick = (0..self.nodes.len())
                .filter_map(|at| Some((at, self.nodes[at].as_ref()?.deadline()?)))
                .map(|(at, deadline)| (awake(at, deadline.as_micros()), at))
                .min();
            match (packet, tick) {
                (Some(at), tick) if tick.is_none_or(|(then, _)| at <= then) && at <= end => {
                    self.now = self.now.max(at);
                    self.deliver();
                }
                (_, Some((then, at))) if then <= end => {
                    self.now = self.now.max(then);
                    self.step(at as u64 + 1, Input::Tick);
                }
                _ => {
                    self.now = end;
                    return None;
                }
            }
        }
    }

    fn deliver(&mut self) {
        let ((_, serial), packet) = self.packets.pop_first().unwrap();
        let island = |address: Address| self.places.iter().position(|place| place.0 == address);
        let (Some(from), Some(to)) = (island(packet.from), island(packet.to)) else { return };
        if self.places[from].1 != self.places[to].1 {
            return;
        }
        if self.asleep_until[to] > self.now {
            // Whatever comes to a node that sleeps is there when it wakes.
            self.packets.insert((self.asleep_until[to], serial), packet);
            return;
        }
        let Packet { from, message, updates, .. } = packet;
        self.step(to as u64 + 1, Input::Message { from, message, updates: &updates });
    }

    fn told_down(&self) -> Vec<(u64, u64, u64)> {
        let down = |(at, by, output): &(u64, u64, Output)| match output {
            Output::Down { node, .. } => Some((*at, *by, node.number())),
            _ => None,
        };
        self.told.iter().filter_map(down).collect()
    }

    /// Whether all others take a node for gone.
    fn all_know_gone(&self, gone: u64) -> bool {
        let others =
            (1..=self.nodes.len() as u64).filter(|n| self.nodes[*n as usize - 1].is_some());
        others.filter(|number| *number != gone).all(|number| {
            let record = self.node(number).record(id(gone));
            record.is_none_or(|record| record.state.is_departed())
        })
    }

    /// Whether all that live know all that live, and only those.
    fn all_agree(&self) -> bool {
        let live = self.nodes.iter().flatten().count() as u64;
        (1..=self.nodes.len() as u64)
            .filter(|number| self.nodes[*number as usize - 1].is_some())
            .all(|number| self.up(number) == live - 1)
    }
}

#[test]
#[cfg(feature = "alloc")]
fn sixty_four_learn_of_a_crash_in_seconds_with_few_messages_and_a_lossy_network() {
    let (mut times, mut rates, mut windows) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..21 {
        let mut world = World::settled(64, 50, seed);
        let before = world.sent;
        world.run(300 * SECOND);
        assert_eq!(world.told_down(), [], "nobody is convicted who is there (seed {seed})");
        // In messages of a thousand members in a second.
        rates.push((world.sent - before) * 1_000 / (64 * 300));
        let (before, victim) = (world.sent, 1 + world.rng.below(64));
        world.crash(victim);
        let took = world.run_until(60 * SECOND, |world| world.all_know_gone(victim)).unwrap();
        times.push(took / MILLI);
        windows.push((world.sent - before) * 1_000_000 / (64 * took / MILLI));
    }
    times.sort_unstable();
    rates.sort_unstable();
    windows.sort_unstable();
    println!("crash to all know, in ms: median {} of {times:?}", times[10]);
    println!("messages of 1000 members in a second: median {} of {rates:?}", rates[10]);
    println!("the same from the crash until all know: median {} of {windows:?}", windows[10]);
    assert!(times[10] <= 3_600 && rates[20] <= 1_350);
}
