//! Nodes that watch and gossip, and the network between them. Nothing is drawn but what travels.

use super::oracle::{Broken, Incarnations, Known, Thought};
use super::{Network, Report, SECOND};
use quorate::Machine;
use quorate::id::{Incarnation, NodeId};
use quorate::membership::Address;
use quorate::membership::detector::{self, Detector, Verdict};
use quorate::membership::gossip::{self, Gossip, Update, Updates};
use quorate::rng::Rng;
use quorate::time::{Instant, Now};
use std::collections::{BTreeMap, BTreeSet};

/// How a link from one node to another is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// It carries nothing.
    Down,
    /// It carries what is sent in every other 300 ms.
    Flaps,
}

/// What travels. Hosts say with everything which life of theirs speaks; gossip has incarnations of its own,
/// which rise when somebody is doubted.
#[derive(Clone, Debug)]
enum Packet {
    Detector(detector::Message),
    Gossip(Incarnation, gossip::Message, Updates),
}

/// One node: its machines if it runs.
#[derive(Debug)]
struct Node {
    incarnation: u64,
    machines: Option<(Detector, Gossip)>,
    /// Until when it sleeps.
    sleeps: u64,
    /// Whom its detector doubts.
    doubted: BTreeSet<NodeId>,
    /// It was told that it must begin anew, above this.
    outlived: Option<u64>,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    /// The time, in microseconds.
    pub now: u64,
    network: Network,
    rng: Rng,
    nodes: Vec<Node>,
    /// What is on its way, by when it arrives.
    flights: BTreeMap<(u64, u64), (usize, usize, Packet)>,
    sent: u64,
    island: Vec<bool>,
    links: BTreeMap<(usize, usize), Link>,
    /// Of a thousand packets, so many are lost; likewise doubled.
    lost: u64,
    doubled: u64,
    is_calm: bool,
    incarnations: [Incarnations; 2],
    report: Report,
}

fn id(place: usize) -> NodeId {
    NodeId::new(place as u64 + 1)
}

fn place(node: NodeId) -> usize {
    usize::try_from(node.number()).map_or(usize::MAX, |number| number.wrapping_sub(1))
}

fn address(place: usize) -> Address {
    let mut bytes = [0; Address::BYTES];
    bytes[..8].copy_from_slice(&(place as u64).to_le_bytes());
    Address::new(bytes)
}

fn place_of(address: Address) -> usize {
    let [a, b, c, d, e, f, g, h, ..] = *address.bytes();
    usize::try_from(u64::from_le_bytes([a, b, c, d, e, f, g, h])).unwrap_or(usize::MAX)
}

impl World {
    /// Nodes that have just been started.
    pub fn new(count: u64, network: Network, rng: &mut Rng) -> Self {
        let node = |_| Node {
            incarnation: 0,
            machines: None,
            sleeps: 0,
            doubted: BTreeSet::new(),
            outlived: None,
        };
        let mut world = Self {
            now: SECOND,
            network,
            lost: rng.below(80),
            doubled: rng.below(40),
            rng: Rng::new(rng.draw()),
            nodes: (0..count).map(node).collect(),
            flights: BTreeMap::new(),
            sent: 0,
            island: vec![false; usize::try_from(count).unwrap_or_default()],
            links: BTreeMap::new(),
            is_calm: false,
            incarnations: Default::default(),
            report: Report::default(),
        };
        (0..count).for_each(|node| world.start(node, 1));
        world
    }

    /// Whether a node runs.
    pub fn lives(&self, node: u64) -> bool {
        self.nodes[node as usize].machines.is_some()
    }

    /// Starts a node, so many incarnations after its last one.
    pub fn start(&mut self, node: u64, after: u64) {
        let at = node as usize;
        let incarnation = Incarnation::new(self.nodes[at].incarnation + after);
        let seed = self.rng.draw();
        let (detector, gossip) = match self.network {
            Network::Lan => (
                detector::Config::lan(id(at), incarnation),
                gossip::Config::lan(id(at), address(at), incarnation),
            ),
            Network::Wan => (
                detector::Config::wan(id(at), incarnation),
                gossip::Config::wan(id(at), address(at), incarnation),
            ),
        };
        let detector = Detector::new(detector).expect("it is sound");
        let gossip = Gossip::new(gossip::Config { seed, ..gossip });
        self.nodes[at] = Node {
            incarnation: incarnation.number(),
            machines: Some((detector, gossip)),
            sleeps: 0,
            doubted: BTreeSet::new(),
            outlived: None,
        };
        self.incarnations.iter_mut().for_each(|of| of.forget(id(at)));
        let all: Vec<_> = (0..self.nodes.len()).map(id).collect();
        let _ = self.sense(at, detector::Input::Peers(&all));
        let seeds = [address(0), address(1)];
        let _ = self.gossip(at, gossip::Input::Join { seeds: &seeds });
    }

    /// Ends a node without a word.
    pub fn crash(&mut self, node: u64) {
        self.nodes[node as usize].machines = None;
    }

    /// Has a node do nothing for so long; what arrives meanwhile is there when it wakes.
    pub fn sleep(&mut self, node: u64, micros: u64) {
        self.nodes[node as usize].sleeps = self.now + micros;
    }

    /// Parts the nodes into two islands.
    pub fn part(&mut self, mut is_here: impl FnMut(u64) -> bool) {
        self.island = (0..self.nodes.len() as u64).map(&mut is_here).collect();
    }

    /// Spoils the link from one node to another.
    pub fn link(&mut self, from: u64, to: u64, link: Link) {
        self.links.insert((from as usize, to as usize), link);
    }

    /// Mends the network.
    pub fn mend(&mut self) {
        self.island.fill(false);
        self.links.clear();
    }

    /// From now on nothing fails any more.
    pub fn calm(&mut self) {
        (self.lost, self.doubled, self.is_calm) = (0, 0, true);
        self.nodes.iter_mut().for_each(|node| node.sleeps = 0);
        // Whoever is woken has at once what has come meanwhile.
        let latest = self.now + SECOND;
        let flights = std::mem::take(&mut self.flights);
        self.flights =
            flights.into_iter().map(|((at, number), it)| ((at.min(latest), number), it)).collect();
    }

    /// Somebody who runs.
    pub fn any_that_lives(&self, rng: &mut Rng) -> Option<u64> {
        let living: Vec<_> =
            (0..self.nodes.len() as u64).filter(|node| self.lives(*node)).collect();
        living.get(rng.below(living.len() as u64) as usize).copied()
    }

    /// What everybody thinks of everybody.
    pub fn known(&self) -> Known {
        let mut known = Known::default();
        for (at, node) in self.nodes.iter().enumerate() {
            known.lives.insert(id(at), node.machines.is_some());
            let Some((_, gossip)) = &node.machines else { continue };
            for other in (0..self.nodes.len()).map(id).filter(|other| *other != id(at)) {
                let Some(record) = gossip.record(other) else { continue };
                let detector = !node.doubted.contains(&other);
                let thought = Thought { detector, gossip: !record.state.is_departed() };
                known.thoughts.insert((id(at), other), thought);
            }
        }
        known
    }

    /// What has come of it so far.
    pub fn report(&self) -> Report {
        self.report.clone()
    }

    /// Lets so much time pass.
    ///
    /// # Errors
    /// M3.
    pub fn run(&mut self, micros: u64) -> Result<(), Broken> {
        let end = self.now + micros;
        loop {
            let flight = self.flights.keys().next().map(|(at, _)| (*at, None));
            let due = |(at, node): (usize, &Node)| {
                let (detector, gossip) = node.machines.as_ref()?;
                let due = detector.deadline().into_iter().chain(gossip.deadline()).min()?;
                Some((due.as_micros().max(node.sleeps), Some(at)))
            };
            let tick = self.nodes.iter().enumerate().filter_map(due).min();
            // Of what is due at one time, what arrives comes first.
            let next =
                flight.into_iter().chain(tick).min_by_key(|(at, node)| (*at, node.is_some()));
            let Some((at, node)) = next.filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            match node {
                Some(node) => self.tick(node)?,
                None => self.arrive()?,
            }
        }
        self.now = end;
        Ok(())
    }

    fn tick(&mut self, at: usize) -> Result<(), Broken> {
        self.sense(at, detector::Input::Tick)?;
        self.gossip(at, gossip::Input::Tick)?;
        // A host that is told to restarts its node with a later incarnation.
        if let Some(by) = self.nodes[at].outlived.take() {
            let later = by.saturating_sub(self.nodes[at].incarnation);
            self.start(at as u64, later + 1);
        }
        Ok(())
    }

    fn arrive(&mut self) -> Result<(), Broken> {
        let Some(((_, number), (from, to, packet))) = self.flights.pop_first() else {
            return Ok(());
        };
        let sleeps = self.nodes[to].sleeps;
        if sleeps > self.now && self.nodes[to].machines.is_some() {
            self.flights.insert((sleeps, number), (from, to, packet));
            return Ok(());
        }
        match packet {
            Packet::Detector(message) => {
                self.sense(to, detector::Input::Message { from: id(from), message })
            }
            Packet::Gossip(incarnation, message, updates) => {
                // All that comes from a node is a sign of life.
                self.sense(to, detector::Input::Heard { from: id(from), incarnation })?;
                let from = address(from);
                self.gossip(to, gossip::Input::Message { from, message, updates: &updates })
            }
        }
    }

    fn sense(&mut self, at: usize, input: detector::Input<'_>) -> Result<(), Broken> {
        let now = Now { mono: Instant::from_micros(self.now), wall: None };
        let Some((detector, _)) = &mut self.nodes[at].machines else { return Ok(()) };
        let mut out = Vec::new();
        let _ = detector.step(now, input, &mut out);
        self.report.events += 1;
        for output in out {
            self.mix(&output);
            match output {
                detector::Output::Send { to, message } => {
                    self.send(at, place(to), &Packet::Detector(message));
                }
                detector::Output::Verdict { peer, incarnation, verdict } => {
                    self.incarnations[0].note(id(at), peer, incarnation)?;
                    if verdict == Verdict::Alive {
                        self.nodes[at].doubted.remove(&peer);
                    } else {
                        self.nodes[at].doubted.insert(peer);
                        self.report.wronged += u64::from(self.lives(place(peer) as u64));
                    }
                }
                detector::Output::Outlived { by } => self.nodes[at].outlived = Some(by.number()),
                detector::Output::Health { .. } => {}
            }
        }
        Ok(())
    }

    fn gossip(&mut self, at: usize, input: gossip::Input<'_>) -> Result<(), Broken> {
        let now = Now { mono: Instant::from_micros(self.now), wall: None };
        let Some((_, gossip)) = &mut self.nodes[at].machines else { return Ok(()) };
        let mut out = Vec::new();
        let _ = gossip.step(now, input, &mut out);
        self.report.events += 1;
        for output in out {
            self.mix(&output);
            match output {
                gossip::Output::Send { to, message, updates } => {
                    let life = Incarnation::new(self.nodes[at].incarnation);
                    self.send(at, place_of(to), &Packet::Gossip(life, message, updates));
                }
                gossip::Output::Up(Update { node, record })
                | gossip::Output::Down(Update { node, record })
                | gossip::Output::Left(Update { node, record }) => {
                    self.incarnations[1].note(id(at), node, record.incarnation)?;
                    let is_wrong = record.state.is_departed() && self.lives(place(node) as u64);
                    self.report.wronged += u64::from(is_wrong);
                }
                gossip::Output::Outlived { by } => self.nodes[at].outlived = Some(by.number()),
            }
        }
        Ok(())
    }

    fn mix(&mut self, output: &impl std::fmt::Debug) {
        let text = format!("{} {output:?}", self.now);
        let digest = quorate::codec::digest(text.as_bytes());
        self.report.hash = self.report.hash.rotate_left(5) ^ digest;
    }

    fn send(&mut self, from: usize, to: usize, packet: &Packet) {
        if to >= self.nodes.len() || !self.carries(from, to) || self.rng.below(1_000) < self.lost {
            return;
        }
        let copies = if self.rng.below(1_000) < self.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let at = self.now + self.delay(from, to);
            self.sent += 1;
            self.flights.insert((at, self.sent), (from, to, packet.clone()));
        }
    }

    fn carries(&self, from: usize, to: usize) -> bool {
        let is_up = match self.links.get(&(from, to)) {
            None => true,
            Some(Link::Down) => false,
            Some(Link::Flaps) => (self.now / 300_000).is_multiple_of(2),
        };
        is_up && self.island[from] == self.island[to]
    }

    fn delay(&mut self, from: usize, to: usize) -> u64 {
        match self.network {
            Network::Lan => {
                let is_late = !self.is_calm && self.rng.below(50) == 0;
                300 + self.rng.below(2_500) + if is_late { 20_000 } else { 0 }
            }
            Network::Wan => {
                // Every pair of nodes has a distance of its own, and a packet some jitter.
                let pair = (from.min(to) * 31 + from.max(to)) as u64;
                let base = 40_000 + Rng::new(pair).below(170_000);
                base + self.rng.below(40_000)
            }
        }
    }
}
