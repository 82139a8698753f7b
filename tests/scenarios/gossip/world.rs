//! A cluster that gossips, in a simulated network: all its chance comes from one seed.

use quorate::event::Event;
use quorate::id::{Incarnation, NodeId};
use quorate::membership::Address;
use quorate::membership::gossip::{Config, Gossip, Input, Message, Output, Update, Updates};
use quorate::rng::Rng;
use quorate::time::Now;
use quorate::{Machine, Outbox};
use std::collections::BTreeMap;

pub(super) const SECOND: u64 = 1_000_000;
pub(super) const MILLI: u64 = 1_000;

pub(super) fn id(number: u64) -> NodeId {
    NodeId::new(number)
}

pub(super) fn inc(number: u64) -> Incarnation {
    Incarnation::new(number)
}

pub(super) fn address(number: u64) -> Address {
    let mut bytes = [0; Address::BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Address::new(bytes)
}

pub(super) fn lan(number: u64, incarnation: u64) -> Config {
    Config::lan(id(number), address(number), inc(incarnation))
}

/// What a machine says in one step, with what happened inside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Said {
    pub(super) outputs: Vec<Output>,
    pub(super) events: Vec<Event>,
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

pub(super) struct Packet {
    from: Address,
    to: Address,
    message: Message,
    updates: Updates,
}

/// Many nodes over a network that is made from a seed.
pub(super) struct World {
    pub(super) now: u64,
    pub(super) rng: Rng,
    // By their number; the first has number 1.
    pub(super) nodes: Vec<Option<Gossip>>,
    // Where each is, and to whom it can speak: those on the same island.
    pub(super) places: Vec<(Address, u8)>,
    pub(super) asleep_until: Vec<u64>,
    pub(super) packets: BTreeMap<(u64, u64), Packet>,
    pub(super) serial: u64,
    // Of a thousand packets, so many are lost.
    pub(super) loss: u64,
    pub(super) sent: u64,
    pub(super) told: Vec<(u64, u64, Output)>,
    pub(super) events: Vec<(u64, u64, Event)>,
}

impl World {
    /// So many nodes, all of which join by the first.
    pub(super) fn new(nodes: u64, loss: u64, seed: u64) -> Self {
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
        for _ in 0..nodes {
            world.enter();
        }
        world
    }

    /// A cluster that has settled.
    pub(super) fn settled(nodes: u64, loss: u64, seed: u64) -> Self {
        let mut world = Self::new(nodes, loss, seed);
        world.run(60 * SECOND);
        // Whoever missed the news of somebody is probed by it within a round.
        assert!(world.run_until(120 * SECOND, Self::all_agree).is_some(), "all know all");
        world.told.clear();
        world
    }

    pub(super) fn start(&mut self, number: u64, config: Config) {
        let at = number as usize - 1;
        self.places[at].0 = config.address;
        self.nodes[at] = Some(Gossip::new(config));
        self.step(number, Input::Join { seeds: &[address(1)] });
    }

    /// Another node joins; it has the next number.
    pub(super) fn enter(&mut self) -> u64 {
        let number = self.nodes.len() as u64 + 1;
        self.nodes.push(None);
        self.places.push((address(number), 0));
        self.asleep_until.push(0);
        let seed = self.rng.draw();
        self.start(number, Config { seed, ..lan(number, 1) });
        number
    }

    pub(super) fn crash(&mut self, number: u64) {
        self.nodes[number as usize - 1] = None;
    }

    pub(super) fn node(&self, number: u64) -> &Gossip {
        self.nodes[number as usize - 1].as_ref().unwrap()
    }

    /// How many others a node takes for alive.
    pub(super) fn up(&self, number: u64) -> u64 {
        self.node(number).nodes().filter(|one| !one.record.state.is_departed()).count() as u64
    }

    pub(super) fn step(&mut self, number: u64, input: Input<'_>) {
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

    pub(super) fn run(&mut self, micros: u64) {
        self.run_until(micros, |_| false);
    }

    /// Until something is so, or the time is over; how long it took.
    pub(super) fn run_until(&mut self, micros: u64, is_so: impl Fn(&Self) -> bool) -> Option<u64> {
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

    pub(super) fn deliver(&mut self) {
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

    pub(super) fn told_down(&self) -> Vec<(u64, u64, u64)> {
        let down = |(at, by, output): &(u64, u64, Output)| match output {
            Output::Down(Update { node, .. }) => Some((*at, *by, node.number())),
            _ => None,
        };
        self.told.iter().filter_map(down).collect()
    }

    /// Whether all others take a node for gone.
    pub(super) fn all_know_gone(&self, gone: u64) -> bool {
        let others =
            (1..=self.nodes.len() as u64).filter(|n| self.nodes[*n as usize - 1].is_some());
        others.filter(|number| *number != gone).all(|number| {
            let record = self.node(number).record(id(gone));
            record.is_none_or(|record| record.state.is_departed())
        })
    }

    /// Whether all that live know all that live, and only those.
    pub(super) fn all_agree(&self) -> bool {
        let live = self.nodes.iter().flatten().count() as u64;
        (1..=self.nodes.len() as u64)
            .filter(|number| self.nodes[*number as usize - 1].is_some())
            .all(|number| self.up(number) == live - 1)
    }
}
