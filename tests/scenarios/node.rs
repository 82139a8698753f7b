//! Nodes of many groups, and the network between them: what is shared, and what must not be.

use crate::sum::{Sum, open};
use quorate::event::Ignored;
use quorate::id::{EntryId, GroupId, Incarnation, Members, NodeId, Slot, Term};
use quorate::limits::{GROUPS, Limit, MOST, PEERS};
use quorate::membership::detector::{self, Verdict};
use quorate::node::{Config, Input, Node, Output, Turns};
use quorate::replica::{self, Entry, Header, Replica};
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Span, Wall};
use quorate::{Event, Machine, Refused, raft};
use quorate_sim::raft::Outputs;
use std::collections::{BTreeMap, BTreeSet};

const GRAIN: Span = Span::millis(10);
/// How long a packet is under way.
const DELAY: u64 = 400;
/// As many groups as a simulated machine may well have.
const MANY: u64 = if GROUPS < 1_000 { GROUPS as u64 } else { 1_000 };

/// What travels.
#[derive(Clone, Debug)]
enum Packet {
    Group(GroupId, Header, Vec<Entry<u64>>, Vec<u8>),
    Detector(detector::Message),
}

/// A node and what its host knows.
struct Host {
    node: Node<Sum>,
    lives: bool,
    /// Until when it sleeps.
    sleeps: u64,
    /// Steps of groups, and steps of any kind.
    group_steps: u64,
    steps: u64,
    /// The moments at which it sent something for a group.
    sent_at: BTreeSet<u64>,
    events: Vec<(u64, Event)>,
    verdicts: Vec<(u64, NodeId, Verdict)>,
}

struct World {
    now: u64,
    hosts: Vec<Host>,
    flights: BTreeMap<(u64, u64), (usize, usize, Packet)>,
    count: u64,
}

fn id(host: usize) -> NodeId {
    NodeId::new(host as u64 + 1)
}

fn group(number: u64) -> GroupId {
    GroupId::new(number)
}

fn config(host: usize) -> Config {
    let detector = detector::Config::lan(id(host), Incarnation::new(1));
    Config { detector, grain: GRAIN }
}

/// A member of a group of `count`.
fn replica(number: u64, me: usize, count: usize, rests: bool) -> Replica<Sum> {
    let (me, voters) = (Slot::new(me as u8), Members::first(count));
    let lan = raft::Config::lan(me, voters, 1);
    let seed = number << 8 | u64::from(me.number());
    let raft = raft::Config { seed, rests, ..lan };
    let (clock, roster) = Default::default();
    Replica::new(replica::Config { raft, clock, roster }, Sum::default()).unwrap()
}

/// A node that has opened nothing.
fn empty(host: usize) -> Node<Sum> {
    Node::new(config(host)).unwrap()
}

fn at(micros: u64) -> Now {
    Now::both(Instant::from_micros(micros), Wall::from_micros(1_790_000_000_000_000 + micros))
}

/// Takes a step, and tells all that came of it.
fn step(node: &mut Node<Sum>, now: u64, input: Input<'_, u64>) -> (Vec<Output>, Vec<Event>) {
    let mut out = Outputs::with_room(node.max_outputs());
    node.step(at(now), input, &mut out).unwrap();
    (out.outputs, out.events)
}

impl World {
    /// Three nodes and so many groups, each with a member on every node; in group `n` slot `s` is on node
    /// `(n + s) % 3`.
    fn new(groups: u64, rests: bool) -> Self {
        let mut world = Self { now: 0, hosts: Vec::new(), flights: BTreeMap::new(), count: 0 };
        for host in 0..3 {
            let mut node = empty(host);
            for number in 0..groups {
                let (mine, nodes) = seats(number, host);
                node.open(group(number), replica(number, mine, 3, rests), &nodes).unwrap();
            }
            world.hosts.push(Host {
                node,
                lives: true,
                sleeps: 0,
                group_steps: 0,
                steps: 0,
                sent_at: BTreeSet::new(),
                events: Vec::new(),
                verdicts: Vec::new(),
            });
        }
        world
    }

    /// The same after so long that all groups have a leader and rest.
    fn at_rest(groups: u64) -> Self {
        let mut world = Self::new(groups, true);
        world.pass(Span::secs(3));
        for host in &world.hosts {
            assert!(host.node.groups().all(|it| host.node.group(it).unwrap().raft().is_resting()));
        }
        world
    }

    fn raft(&self, host: usize, number: u64) -> &raft::Raft {
        self.hosts[host].node.group(group(number)).unwrap().raft()
    }

    /// Who leads a group, in the highest term.
    fn leader(&self, number: u64) -> Option<(Term, usize)> {
        let living = (0..3).filter(|host| self.hosts[*host].lives);
        let leads = living.filter(|host| self.raft(*host, number).leads());
        leads.map(|host| (self.raft(host, number).term(), host)).max()
    }

    fn leaders(&self, groups: u64) -> Vec<Option<(Term, usize)>> {
        (0..groups).map(|number| self.leader(number)).collect()
    }

    /// Takes a step and does what it says; the disk is memory, so a write is durable at once.
    fn step(&mut self, at_host: usize, input: Input<'_, u64>) {
        let host = &mut self.hosts[at_host];
        host.steps += 1;
        host.group_steps += u64::from(matches!(input, Input::Group { .. } | Input::Message { .. }));
        let (outputs, events) = step(&mut host.node, self.now, input);
        host.events.extend(events.into_iter().map(|event| (self.now, event)));
        let mut written = BTreeMap::new();
        for output in outputs {
            match output {
                Output::Group { group, output: replica::Output::Persist { receipt, .. } } => {
                    written.insert(group, receipt);
                }
                Output::Group { group, output: replica::Output::Send { to, header } } => {
                    let host = &mut self.hosts[at_host];
                    host.sent_at.insert(self.now);
                    let replica = host.node.group(group).unwrap();
                    let entries: Vec<_> = replica.entries_of(&header).cloned().collect();
                    let chunk = replica.chunk_of(&header).to_vec();
                    for slot in to.iter() {
                        let to = self.hosts[at_host].node.node_in(group, slot).unwrap();
                        let packet = Packet::Group(group, header, entries.clone(), chunk.clone());
                        self.send(at_host, to, packet);
                    }
                }
                Output::Detector(detector::Output::Send { to, message }) => {
                    self.send(at_host, to, Packet::Detector(message));
                }
                Output::Detector(detector::Output::Verdict { peer, verdict, .. })
                    if verdict != Verdict::Alive =>
                {
                    self.hosts[at_host].verdicts.push((self.now, peer, verdict));
                }
                _ => {}
            }
        }
        for (group, receipt) in written {
            self.step(at_host, Input::Group { group, input: replica::Input::Persisted(receipt) });
        }
    }

    fn send(&mut self, from: usize, to: NodeId, packet: Packet) {
        let to = to.number() as usize - 1;
        self.count += 1;
        self.flights.insert((self.now + DELAY, self.count), (from, to, packet));
    }

    fn deliver(&mut self, from: usize, to: usize, packet: Packet) {
        let (from, incarnation) = (id(from), Incarnation::new(1));
        match packet {
            Packet::Group(group, header, entries, chunk) => {
                let (entries, chunk) = (&entries[..], &chunk[..]);
                let message = Input::Message { from, incarnation, group, header, entries, chunk };
                self.step(to, message);
            }
            Packet::Detector(message) => self.step(to, Input::Detector { from, message }),
        }
    }

    /// Lets time pass.
    fn pass(&mut self, span: Span) {
        self.pass_until(span, |_| false);
    }

    /// Lets time pass until after a step something is so, or for so long.
    fn pass_until(&mut self, span: Span, is_so: impl Fn(&Self) -> bool) {
        let end = self.now + span.as_micros();
        while !is_so(self) {
            let flight = self.flights.first_key_value().map(|((at, _), _)| *at);
            let tick = (0..3)
                .filter(|host| self.hosts[*host].lives)
                .filter_map(|host| {
                    let due = self.hosts[host].node.deadline()?.as_micros();
                    Some((due.max(self.hosts[host].sleeps).max(self.now), host))
                })
                .min();
            let next = flight.into_iter().chain(tick.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                break;
            };
            self.now = self.now.max(next);
            if flight == Some(next) {
                let ((_, number), (from, to, packet)) = self.flights.pop_first().unwrap();
                match &self.hosts[to] {
                    host if !host.lives => {}
                    host if host.sleeps > self.now => {
                        self.flights.insert((host.sleeps, number), (from, to, packet));
                    }
                    _ => self.deliver(from, to, packet),
                }
            } else if let Some((_, host)) = tick {
                self.step(host, Input::Tick);
            }
        }
    }

    fn count_events(&self, host: usize, since: u64, is_such: impl Fn(&Event) -> bool) -> usize {
        let since = self.hosts[host].events.iter().filter(|(at, _)| *at >= since);
        since.filter(|(_, event)| is_such(event)).count()
    }
}

/// The slot that a node has in a group, and the nodes of all slots.
fn seats(number: u64, host: usize) -> (usize, [Option<NodeId>; 3]) {
    let turn = (number % 3) as usize;
    ((host + 3 - turn) % 3, std::array::from_fn(|slot| Some(id((turn + slot) % 3))))
}

/// A message that is answered: would you elect me?
fn canvass(group: GroupId, from: NodeId) -> Input<'static, u64> {
    let message = raft::Message::PreVote { term: Term::new(1), last: EntryId::ZERO };
    let header = Header { message, early: false, bare: false };
    let incarnation = Incarnation::new(1);
    Input::Message { from, incarnation, group, header, entries: &[], chunk: &[] }
}

fn ticks(node: &mut Node<Sum>, now: u64) -> usize {
    let mut count = 0;
    while node.deadline().is_some_and(|at| at.as_micros() <= now) {
        step(node, now, Input::Tick);
        count += 1;
    }
    count
}

#[test]
fn a_message_reaches_the_group_that_it_names_and_no_other() {
    let mut node = empty(0);
    let [one, two] = [[id(0), id(1), id(2)], [id(2), id(0), id(1)]].map(|them| them.map(Some));
    node.open(group(1), replica(1, 0, 3, false), &one).unwrap();
    node.open(group(2), replica(2, 1, 3, false), &two).unwrap();
    ticks(&mut node, 0);
    // Past the promise that a member may have given in a former life.
    let now = 200_000;
    let before = node.group(group(1)).unwrap().clone();
    let (mut outputs, events) = step(&mut node, now, canvass(group(2), id(1)));
    outputs.retain(|output| matches!(output, Output::Group { .. }));
    let [Output::Group { group: of, output: replica::Output::Send { to, header } }] = outputs[..]
    else {
        panic!("{outputs:?}")
    };
    // The same node has another slot in the other group.
    assert_eq!((of, to), (group(2), Members::only(Slot::new(2))));
    assert!(matches!(header.message, raft::Message::PreVoteReply { .. }));
    assert!(!events.iter().any(|event| matches!(event, Event::Misrouted { .. })));
    assert_eq!(node.group(group(1)), Some(&before));
    assert_eq!(node.node_in(group(2), Slot::new(2)), Some(id(1)));
    assert_eq!(node.node_in(group(2), Slot::new(1)), Some(id(0)));
    assert_eq!(node.node_in(group(2), Slot::new(3)), None);
}

// al8n/sailing, MULTI_RAFT.md: messages of several groups share a connection, and must not be mixed up.
#[test]
fn a_message_for_a_group_that_is_not_here_is_told_and_changes_no_group() {
    let mut node = empty(0);
    node.open(group(1), replica(1, 0, 3, false), &seats(0, 0).1).unwrap();
    ticks(&mut node, 0);
    let before = node.group(group(1)).unwrap().clone();
    let (outputs, events) = step(&mut node, 200_000, canvass(group(9), id(1)));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Group { .. })));
    let misrouted = Event::Misrouted { from: id(1), group: group(9), why: Ignored::NoGroup };
    assert!(events.contains(&misrouted), "{events:?}");
    assert_eq!(node.group(group(1)), Some(&before));
    // Its sender was heard none the less.
    assert_eq!(node.detector().incarnation(id(1)), Some(Incarnation::new(1)));
}

#[test]
fn a_message_of_a_node_that_has_no_slot_in_the_group_is_told_and_changes_nothing() {
    let mut node = empty(0);
    node.open(group(1), replica(1, 0, 2, false), &[Some(id(0)), Some(id(1))]).unwrap();
    node.open(group(2), replica(2, 0, 2, false), &[Some(id(0)), Some(id(2))]).unwrap();
    ticks(&mut node, 0);
    let before = node.group(group(1)).unwrap().clone();
    // One has a slot in another group, one in none at all.
    for stranger in [id(2), id(7)] {
        let (outputs, events) = step(&mut node, 200_000, canvass(group(1), stranger));
        assert!(!outputs.iter().any(|output| matches!(output, Output::Group { .. })));
        let why = Ignored::Stranger;
        assert!(events.contains(&Event::Misrouted { from: stranger, group: group(1), why }));
    }
    assert_eq!(node.group(group(1)), Some(&before));
}

#[test]
fn what_a_host_asks_of_no_group_is_refused() {
    let mut node = empty(0);
    node.open(group(1), replica(1, 0, 3, false), &seats(0, 0).1).unwrap();
    let before = node.clone();
    let mut out = Outputs::with_room(node.max_outputs());
    let read = Input::Group { group: group(2), input: replica::Input::Read };
    assert_eq!(node.step(at(5), read, &mut out), Err(Refused::Meaningless));
    // A message by slot would go around the routing.
    let Input::Message { header, .. } = canvass(group(1), id(1)) else { unreachable!() };
    let from = Slot::new(1);
    let input = replica::Input::Message { from, header, entries: &[], chunk: &[] };
    let message = Input::Group { group: group(1), input };
    assert_eq!(node.step(at(5), message, &mut out), Err(Refused::Meaningless));
    // What a replica refuses, its node refuses.
    let requests = &[open(1)];
    let submit = Input::Group { group: group(1), input: replica::Input::Submit { requests } };
    assert_eq!(node.step(at(5), submit, &mut out), Err(Refused::NotLeader { leader: None }));
    assert_eq!(node, before);
}

// tikv#16429: nobody listens for the leader of a group at rest, so somebody has to say that it is gone.
#[test]
fn all_groups_that_rest_in_the_service_of_a_dead_node_elect_anew_on_the_verdict_alone() {
    let mut world = World::at_rest(MANY);
    let before = world.leaders(MANY);
    let (dead, since) = (0, world.now);
    let led: Vec<_> = (0..MANY).filter(|n| before[*n as usize].unwrap().1 == dead).collect();
    assert!(!led.is_empty(), "it leads some");
    world.hosts[dead].lives = false;
    world.pass(Span::secs(3));
    for number in 0..MANY {
        let (term, leader) = world.leader(number).expect("somebody leads");
        let (old_term, old) = before[number as usize].unwrap();
        match old == dead {
            true => assert!(leader != dead && term > old_term, "group {number} has elected anew"),
            false => assert_eq!((term, leader), (old_term, old), "group {number} has not"),
        }
    }
    for host in [1, 2] {
        let elected = world.count_events(host, since, |it| matches!(it, Event::Canvassing { .. }));
        assert!(elected <= 3 * led.len(), "{elected} campaigns for {} groups", led.len());
        let told: Vec<_> =
            world.hosts[host].verdicts.iter().map(|(_, who, what)| (*who, *what)).collect();
        assert_eq!(told, [(id(dead), Verdict::Suspect), (id(dead), Verdict::Down)]);
    }
}

// restate#5156: a pause of the node that watches is nobody else's fault.
#[test]
fn a_pause_of_the_whole_node_convicts_nobody_and_starts_no_elections_there() {
    let mut world = World::at_rest(MANY.min(200));
    let groups = MANY.min(200);
    let (before, paused) = (world.leaders(groups), 1);
    world.hosts[paused].sleeps = world.now + 2_000_000;
    world.pass(Span::secs(2));
    let woken = world.now;
    world.pass(Span::secs(3));
    assert_eq!(world.hosts[paused].verdicts, [], "it convicts nobody");
    let canvassed = world.count_events(paused, woken, |it| matches!(it, Event::Canvassing { .. }));
    assert_eq!(canvassed, 0, "and disturbs nobody");
    for number in 0..groups {
        let (was, is) = (before[number as usize].unwrap(), world.leader(number).unwrap());
        // The others have missed it, and replaced it where it led.
        assert_eq!(was.1 != paused, was == is, "group {number}: {was:?}, then {is:?}");
    }
}

#[test]
fn groups_at_rest_cost_no_step_for_a_minute_but_their_detectors() {
    let mut world = World::at_rest(MANY);
    let terms = world.leaders(MANY);
    let steps: Vec<_> = world.hosts.iter().map(|host| (host.group_steps, host.steps)).collect();
    world.pass(Span::secs(60));
    for (host, (group_steps, steps)) in world.hosts.iter().zip(steps) {
        assert_eq!(host.group_steps, group_steps, "no message, nothing to write");
        assert_eq!(host.verdicts, []);
        // Two peers, each asked and asking once in a quarter of its timeout: what is asked, and four
        // steps for it.
        let quarters = 60_000 * 4 / 150;
        let of_detectors = host.steps - steps;
        assert!(of_detectors <= 2 * 4 * quarters, "{of_detectors} steps");
    }
    assert_eq!(world.leaders(MANY), terms);
}

#[test]
fn heartbeats_of_all_groups_led_here_fall_due_together() {
    let groups = MANY.min(200);
    let mut world = World::new(groups, false);
    world.pass(Span::secs(3));
    world.hosts.iter_mut().for_each(|host| host.sent_at.clear());
    let since = world.now;
    world.pass(Span::secs(1));
    let leaders = world.leaders(groups);
    for (n, host) in world.hosts.iter().enumerate() {
        let leads = |number: &u64| leaders[*number as usize].is_some_and(|(_, leader)| leader == n);
        if (0..groups).any(|number| leads(&number)) {
            // Answers are sent when they are due, which is when the others' heartbeats come in.
            let beats = host.sent_at.iter().filter(|at| *at % GRAIN.as_micros() == 0).count();
            assert!(beats > 0 && host.sent_at.len() <= 3 * 1_000 / 10, "{}", host.sent_at.len());
        }
        let canvassed = world.count_events(n, since, |it| matches!(it, Event::Canvassing { .. }));
        assert_eq!(canvassed, 0);
    }
}

#[test]
fn a_group_that_is_closed_is_gone_and_the_others_go_on() {
    let groups = MANY.min(20);
    let mut world = World::new(groups, false);
    world.pass(Span::secs(2));
    // The last group that node 0 leads comes to the last place, to take that of the one that goes.
    let last = (1..groups).rfind(|n| world.leader(*n).unwrap().1 == 0).expect("it leads one");
    let gone = 0;
    for number in last + 1..groups {
        world.hosts[0].node.close(group(number)).unwrap();
    }
    let groups = last + 1;
    let handed_back = world.hosts[0].node.close(group(gone)).unwrap();
    assert_eq!(handed_back.raft().config().voters, Members::first(3));
    assert!(world.hosts[0].node.group(group(gone)).is_none());
    assert_eq!(world.hosts[0].node.close(group(gone)).unwrap_err(), Refused::Meaningless);
    let left: Vec<_> = world.hosts[0].node.groups().map(GroupId::number).collect();
    assert!(left.into_iter().eq((0..groups).filter(|number| *number != gone)));
    let before: Vec<_> = (0..groups).filter(|n| *n != gone).map(|n| world.leader(n)).collect();
    let since = world.now;
    world.pass(Span::secs(3));
    // All others, the one that took its place among them, were ticked on.
    let after: Vec<_> = (0..groups).filter(|n| *n != gone).map(|n| world.leader(n)).collect();
    assert_eq!(before, after);
    let silent = |it: &Event| matches!(it, Event::Canvassing { .. } | Event::SteppedDown { .. });
    assert_eq!(world.count_events(0, since, silent), 0);
    assert!(world.count_events(0, since, |it| matches!(it, Event::Misrouted { .. })) > 0);
    // It may come again.
    let (mine, nodes) = seats(gone, 0);
    world.hosts[0].node.open(group(gone), replica(gone, mine, 3, false), &nodes).unwrap();
}

#[test]
fn groups_that_are_closed_in_the_middle_of_a_sweep_hide_no_other() {
    let mut world = World::at_rest(MANY);
    let dead = 0;
    let led: Vec<_> = (0..MANY).filter(|n| world.leader(*n).unwrap().1 == dead).collect();
    world.hosts[dead].lives = false;
    // Node 1 has begun to look through its groups, and has not come far.
    world.pass_until(Span::secs(2), |world| !world.hosts[1].verdicts.is_empty());
    let steps = world.hosts[1].steps;
    world.pass_until(Span::secs(2), |world| world.hosts[1].steps > steps);
    // Those at the last places take the places of these, which were looked at already.
    let closed = MANY / 10..MANY / 5;
    for number in closed.clone() {
        world.hosts[1].node.close(group(number)).unwrap();
    }
    // Before anybody campaigns, and before the next verdict.
    world.pass(Span::millis(100));
    for number in led.into_iter().filter(|number| !closed.contains(number)) {
        assert!(!world.raft(1, number).is_resting(), "group {number} has heard of it");
    }
}

#[test]
fn a_group_that_falls_asleep_for_a_node_that_is_doubted_already_is_told() {
    let mut node = empty(0);
    node.open(group(1), replica(1, 0, 3, true), &[Some(id(0)), Some(id(1)), Some(id(2))]).unwrap();
    ticks(&mut node, 0);
    // Its leader says that there is nothing to do, in a life that the detector knows to be over.
    let message = raft::Message::Rest { term: Term::new(1), last: EntryId::ZERO };
    let header = Header { message, early: false, bare: false };
    let of_life = |incarnation| {
        let incarnation = Incarnation::new(incarnation);
        let (from, group) = (id(1), group(1));
        Input::Message { from, incarnation, group, header, entries: &[], chunk: &[] }
    };
    let (outputs, _) = step(&mut node, 1_000, of_life(2));
    persist(&mut node, 1_000, outputs);
    while node.detector().verdict(id(1)) != Some(Verdict::Down) {
        let now = node.deadline().unwrap().as_micros();
        step(&mut node, now, Input::Tick);
    }
    let now = node.deadline().unwrap().as_micros() - 1;
    step(&mut node, now, of_life(1));
    assert_eq!(node.detector().verdict(id(1)), Some(Verdict::Down));
    assert!(node.group(group(1)).unwrap().raft().is_resting());
    // However often it is said again.
    step(&mut node, now + 1, of_life(1));
    ticks(&mut node, now + GRAIN.as_micros());
    assert!(!node.group(group(1)).unwrap().raft().is_resting(), "and has heard of it");
}

/// What is to be written is durable at once.
fn persist(node: &mut Node<Sum>, now: u64, outputs: Vec<Output>) {
    for output in outputs {
        if let Output::Group { group, output: replica::Output::Persist { receipt, .. } } = output {
            let done = Input::Group { group, input: replica::Input::Persisted(receipt) };
            let (more, _) = step(node, now, done);
            persist(node, now, more);
        }
    }
}

#[test]
fn a_full_table_is_refused_and_nothing_has_changed() {
    let mut node = empty(0);
    let alone = [Some(id(0))];
    for number in 0..GROUPS as u64 {
        node.open(group(number), replica(number, 0, 1, false), &alone).unwrap();
    }
    let one_more = group(GROUPS as u64);
    let refused = node.open(one_more, replica(0, 0, 1, false), &alone);
    assert_eq!(refused, Err(Refused::Full(Limit::Groups)));
    assert_eq!((node.groups().count(), node.group(one_more)), (GROUPS, None));
    node.close(group(0)).unwrap();
    node.open(one_more, replica(0, 0, 1, false), &alone).unwrap();
}

#[test]
fn more_nodes_than_a_detector_watches_are_refused_and_nothing_has_changed() {
    let mut node = empty(0);
    // Groups that have room for as many others as there may be.
    let mut others = (1..=PEERS).map(|other| Some(id(other)));
    let mut number = 0;
    loop {
        let some: Vec<_> = others.by_ref().take(MOST.members - 1).collect();
        if some.is_empty() {
            break;
        }
        let nodes: Vec<_> = [Some(id(0))].into_iter().chain(some).collect();
        node.open(group(number), replica(number, 0, nodes.len(), false), &nodes).unwrap();
        number += 1;
    }
    ticks(&mut node, 0);
    let before = node.clone();
    let [known, unknown] = [1, PEERS + 1].map(|other| [Some(id(0)), Some(id(other))]);
    let refused = node.open(group(77), replica(77, 0, 2, false), &unknown);
    assert_eq!(refused, Err(Refused::Full(Limit::Peers)));
    assert_eq!(node, before);
    node.open(group(77), replica(77, 0, 2, false), &known).unwrap();
    assert_eq!(node.seat(group(77), &unknown), Err(Refused::Full(Limit::Peers)));
    assert_eq!(node.node_in(group(77), Slot::new(1)), Some(id(1)));
    // Whoever sits nowhere any more makes room.
    node.close(group(0)).unwrap();
    node.seat(group(77), &unknown).unwrap();
    ticks(&mut node, 1);
    assert_eq!(node.detector().verdict(id(1)), None);
    assert_eq!(node.detector().verdict(id(PEERS + 1)), Some(Verdict::Alive));
}

#[test]
fn slots_that_contradict_each_other_are_refused() {
    let mut node = empty(0);
    let before = node.clone();
    let (me, other) = (Some(id(0)), Some(id(1)));
    let wrong: [&[Option<NodeId>]; 5] =
        [&[], &[other, me], &[None, me], &[me, other, other], &[me, other, me]];
    for nodes in wrong {
        let refused = node.open(group(1), replica(1, 0, 2, false), nodes);
        assert_eq!(refused, Err(Refused::Meaningless), "{nodes:?}");
    }
    assert_eq!(node, before);
    node.open(group(1), replica(1, 0, 2, false), &[me, other]).unwrap();
    let again = node.open(group(1), replica(1, 0, 2, false), &[me, other]);
    assert_eq!(again, Err(Refused::Meaningless));
}

#[test]
fn a_group_whose_disk_has_failed_ignores_messages_and_costs_nothing() {
    let mut node = empty(0);
    node.open(group(1), replica(1, 0, 3, false), &seats(0, 0).1).unwrap();
    ticks(&mut node, 0);
    step(&mut node, 1, Input::Group { group: group(1), input: replica::Input::PersistFailed });
    let (outputs, events) = step(&mut node, 2, canvass(group(1), id(1)));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Group { .. })));
    let why = Ignored::Stopped;
    assert!(events.contains(&Event::Misrouted { from: id(1), group: group(1), why }));
    assert_eq!(node.deadline(), node.detector().deadline());
}

#[test]
fn a_group_that_falls_due_again_and_again_does_not_keep_others_waiting() {
    let groups = MANY.min(50);
    let mut node = empty(0);
    // Each is alone, so it leads, beats for ever, and needs nobody.
    for number in 0..groups {
        node.open(group(number), replica(number, 0, 1, false), &[Some(id(0))]).unwrap();
    }
    // A host so slow that something is always overdue: each step takes two milliseconds, and every group
    // would like to be stepped every thirty.
    let (mut now, mut served) = (0, BTreeMap::new());
    for round in 0..10_000_u64 {
        let due = node.deadline().expect("something is always due").as_micros();
        now = due.max(now + if groups < 15 { 30_000 / groups } else { 2_000 });
        let terms = |node: &Node<Sum>| -> Vec<_> {
            (0..groups).map(|n| node.group(group(n)).unwrap().deadline()).collect()
        };
        let before = terms(&node);
        let (outputs, _) = step(&mut node, now, Input::Tick);
        let after = terms(&node);
        for (number, (before, after)) in before.iter().zip(&after).enumerate() {
            if before != after && round > 1_000 {
                *served.entry(number).or_insert(0_u64) += 1;
            }
        }
        persist(&mut node, now, outputs);
    }
    let (least, most) = (served.values().min().unwrap(), served.values().max().unwrap());
    assert_eq!(served.len(), groups as usize, "all are served");
    assert!(most - least <= 1 + most / 10, "between {least} and {most} times");
}

/// Jain's index of fairness: one if all are equal.
fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64).powi(2)).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// Shares a host's time out among groups, whose work comes in pieces of the sizes that `piece` draws and
/// never ends; what each has spent.
fn shared_out(groups: u64, budget: u64, piece: impl Fn(u64, &mut Rng) -> u64) -> Vec<u64> {
    let (mut turns, mut rng) = (Turns::new(100), Rng::new(3));
    let mut spent = vec![0; groups as usize];
    let mut next: Vec<_> = (0..groups).map(|number| piece(number, &mut rng)).collect();
    (0..groups).for_each(|number| turns.wait(group(number)).unwrap());
    let mut left = budget;
    while left > 0 {
        let (whose, may_spend) = turns.turn().unwrap();
        let (number, mut cost) = (whose.number() as usize, 0);
        while cost + next[number] <= may_spend && left > 0 {
            cost += next[number];
            left = left.saturating_sub(next[number]);
            next[number] = piece(whose.number(), &mut rng);
        }
        spent[number] += cost;
        turns.spent(whose, cost, true);
    }
    spent
}

#[test]
fn busy_groups_share_a_host_evenly_whatever_their_work_weighs() {
    let groups = (GROUPS as u64).min(500);
    let shares = shared_out(groups, groups * 10_000, |number, rng| 1 + rng.below(1 + number % 100));
    assert!(jain(&shares) >= 0.99, "{}", jain(&shares));
    let even = shared_out(groups, groups * 10_000, |_, _| 100);
    assert!(jain(&even) > 0.999);
}

#[test]
fn a_group_with_a_hundred_times_the_work_slows_no_other() {
    // One wants a hundred times what the others do; there is time for a little more than the others want.
    let (groups, rounds) = ((GROUPS as u64).min(100), 1_000);
    let mut turns = Turns::new(10);
    let (mut waiting, mut done) = (vec![0_u64; groups as usize], vec![0_u64; groups as usize]);
    for _ in 0..rounds {
        for number in 0..groups {
            waiting[number as usize] += if number == 0 { 100 } else { 1 };
            turns.wait(group(number)).unwrap();
        }
        let mut time = groups + 10;
        while let Some((whose, may_spend)) = turns.turn().filter(|_| time > 0) {
            let number = whose.number() as usize;
            let cost = waiting[number].min(may_spend).min(time);
            (waiting[number], done[number]) = (waiting[number] - cost, done[number] + cost);
            time -= cost;
            turns.spent(whose, cost, waiting[number] > 0);
        }
    }
    let slowest = done[1..].iter().min().unwrap();
    assert!(*slowest >= rounds - 20, "of {rounds} pieces {slowest} were done");
    assert!(done[0] > rounds, "and what was left went to the one");
}

#[test]
fn turns_go_round_and_forget_who_has_nothing_more() {
    let mut turns = Turns::new(5);
    assert_eq!((turns.turn(), turns.is_empty()), (None, true));
    for number in [3, u64::MAX, 1] {
        turns.wait(group(number)).unwrap();
        turns.wait(group(number)).unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..7 {
        let (whose, may_spend) = turns.turn().unwrap();
        order.push((whose.number(), may_spend));
        // Group 3 saves for something heavy, group 1 is soon done.
        let cost = if whose == group(3) { 0 } else { may_spend };
        turns.spent(whose, cost, whose != group(1));
    }
    let last = u64::MAX;
    assert_eq!(order, [(1, 5), (3, 5), (last, 5), (3, 10), (last, 5), (3, 15), (last, 5)]);
    let full = (0..GROUPS as u64).map(|number| turns.wait(group(number + 10)));
    assert_eq!(full.filter(Result::is_err).count(), 2);
}
