//! Gossip: what has gone wrong with clusters that discover themselves does not go wrong here.

mod world;

use quorate::bounded::{BACKEND, List};
use quorate::codec::{Codec, Malformed};
use quorate::event::{Event, Ignored};
use quorate::id::{Incarnation, NodeId};
use quorate::limits::UPDATES;
use quorate::membership::Address;
use quorate::membership::gossip::{
    Config, Gossip, Input, Kind, Message, Output, Record, State, Update, Updates,
};
use quorate::time::{Instant, Now, Span};
use quorate::{Machine, Refused};
use world::{MILLI, SECOND, Said, World, address, id, inc, lan};

fn record(incarnation: u64, state: State, at: u64) -> Record {
    Record { incarnation: inc(incarnation), state, address: address(at) }
}

fn alive(node: u64, incarnation: u64) -> Update {
    update(node, incarnation, State::Alive)
}

fn update(node: u64, incarnation: u64, state: State) -> Update {
    Update { node: id(node), record: record(incarnation, state, node) }
}

/// A ping for node 1, and what answers it.
fn ping(probe: u32) -> Kind {
    Kind::Ping { probe, origin: id(1) }
}

fn ack(probe: u32) -> Kind {
    Kind::Ack { probe, origin: id(1) }
}

/// A node that probes nobody in the next days.
fn listener(number: u64) -> Config {
    Config { probe_interval: Span::secs(100_000_000), ..lan(number, 1) }
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

#[test]
fn a_newcomer_that_knows_one_seed_is_soon_known_to_all() {
    let mut world = World::settled(8, 0, 1);
    world.enter();
    assert!(world.run_until(15 * SECOND, World::all_agree).is_some());
    let ups = world.told.iter().filter(|(_, _, told)| matches!(told, Output::Up(_))).count();
    assert_eq!((ups, world.told.len()), (16, 16), "each is told of once, and of nothing else");
}

#[test]
fn a_newcomer_is_told_of_sixty_four_by_one_seed_page_by_page_although_some_are_lost() {
    let nodes = if BACKEND == "alloc" { 64 } else { 31 };
    // Long before all others have probed it.
    for (loss, within) in [(0, 100 * MILLI), (50, 12 * SECOND), (300, 60 * SECOND)] {
        for seed in 0..8 {
            let mut world = World::settled(nodes, 50, 40 + seed);
            world.loss = loss;
            let newcomer = world.enter();
            let took = world.run_until(within, |world| world.up(newcomer) == nodes);
            assert!(took.is_some(), "{} of {nodes} (seed {seed}, loss {loss})", world.up(newcomer));
        }
    }
}

/// Whom this asks for which page.
fn asks(said: &Said) -> Vec<(Address, NodeId)> {
    let asks = said.sends().filter_map(|(to, kind, _)| match kind {
        Kind::Sync { after } => Some((to, after)),
        _ => None,
    });
    asks.collect()
}

#[test]
fn a_page_that_is_lost_is_asked_for_again_after_an_interval_and_the_list_goes_on_there() {
    let mut one = One::new(lan(1, 1));
    one.step(Input::Join { seeds: &[address(2)] });
    assert_eq!(asks(&one.run(1)), [(address(2), NodeId::ZERO)]);
    let said = one.hear(2, 1, Kind::Page { next: id(5) }, &[alive(3, 1), alive(5, 1)]);
    assert_eq!(asks(&said), [(address(2), id(5))], "the next one at once");
    let said = one.hear(2, 1, Kind::Page { next: id(5) }, &[]);
    let stale = Event::Unheeded { from: id(2), why: Ignored::Stale };
    assert_eq!((asks(&said), said.events), (vec![], vec![stale]), "and only once");
    let interval = lan(1, 1).probe_interval.as_micros();
    for _ in 0..3 {
        assert_eq!(asks(&one.run(interval)), [(address(2), id(5))]);
    }
    let said = one.hear(2, 1, Kind::Page { next: NodeId::ZERO }, &[alive(6, 1)]);
    assert_eq!(asks(&said), []);
    assert_eq!(asks(&one.run(interval)), [], "it was told");
}

#[test]
fn whoever_asks_for_the_list_hears_what_it_must_refute_and_is_told_even_if_there_is_no_room_for_it()
{
    let page = |said: &Said| {
        let mut pages = said.sends().filter(|(_, kind, _)| matches!(kind, Kind::Page { .. }));
        pages.next().map(|(to, kind, updates)| (to, kind, updates.to_vec()))
    };
    let mut one = One::new(Config { nodes: 3, ..lan(1, 1) });
    one.news(2, &[alive(3, 100), alive(4, 1)]);
    let ask = Kind::Sync { after: NodeId::ZERO };
    let told = page(&one.hear(3, 1, ask, &[])).unwrap();
    assert_eq!((told.0, told.2.first()), (address(3), Some(&alive(3, 100))));
    let told = page(&one.hear(5, 1, ask, &[])).unwrap();
    assert_eq!(
        (told.0, told.1, one.record(5)),
        (address(5), Kind::Page { next: NodeId::ZERO }, None)
    );
    assert_eq!(told.2, [alive(2, 1), alive(3, 100), alive(4, 1)]);
    // However small messages are, there is room for both.
    let mut one = One::new(Config { updates: 0, ..lan(1, 1) });
    one.news(2, &[alive(3, 100)]);
    one.news(2, &[alive(4, 1)]);
    let told = page(&one.hear(3, 1, ask, &[])).unwrap();
    assert_eq!((told.1, told.2), (Kind::Page { next: id(2) }, vec![alive(3, 100), alive(2, 1)]));
}

#[test]
fn a_seed_where_nobody_is_makes_nobody_else_tell_its_list_again() {
    let mut one = One::new(lan(1, 1));
    one.step(Input::Join { seeds: &[address(2), address(99)] });
    let (mut here, mut nowhere) = (0, 0);
    one.hear(2, 1, Kind::Page { next: NodeId::ZERO }, &[]);
    while one.now < 600 * SECOND {
        one.now = one.gossip.deadline().unwrap().as_micros();
        let said = one.step(Input::Tick);
        here += asks(&said).iter().filter(|(to, _)| *to == address(2)).count();
        nowhere += asks(&said).iter().filter(|(to, _)| *to == address(99)).count();
        if let Some((2, probe)) = pinged(&said) {
            one.hear(2, 1, ack(probe), &[]);
        }
    }
    assert_eq!((here, nowhere), (0, 60), "but it is asked for ever itself");
}

#[test]
fn a_farewell_of_which_one_copy_arrives_is_known_to_all_and_one_that_is_lost_looks_like_a_crash() {
    for copies in 0..=4 {
        let mut world = World::settled(8, 0, 50 + copies as u64);
        world.packets.clear();
        world.step(5, Input::Leave);
        assert_eq!(world.packets.len(), 4);
        while world.packets.len() > copies {
            world.packets.pop_first();
        }
        world.run(30 * SECOND);
        assert!(world.all_know_gone(5));
        let left = |(_, by, told): &&_| *by != 5 && matches!(told, Output::Left(_));
        let left = world.told.iter().filter(left).count();
        let down = world.told_down();
        assert!(down.iter().all(|(_, _, of)| *of == 5), "nobody else is taken for crashed");
        let expected = if copies == 0 { (0, 7) } else { (7, 0) };
        assert_eq!((left, down.len()), expected, "{copies} copies");
        // Either way it may come back.
        world.step(5, Input::Join { seeds: &[address(1)] });
        assert!(world.run_until(30 * SECOND, World::all_agree).is_some());
    }
}

#[test]
fn a_list_that_fills_many_messages_is_told_to_the_end_although_some_are_lost() {
    let nodes = if BACKEND == "alloc" { 40 } else { 20 };
    let mut world = World::new(nodes, 300, 2);
    assert!(world.run_until(120 * SECOND, World::all_agree).is_some());
}

#[test]
fn a_seed_that_comes_later_is_found() {
    let mut world = World::new(3, 0, 3);
    world.crash(1);
    world.run(600 * SECOND);
    world.start(1, lan(1, 2));
    assert!(world.run_until(30 * SECOND, World::all_agree).is_some());
}

#[test]
fn whoever_leaves_is_known_to_have_left_and_is_not_taken_for_crashed() {
    let mut world = World::settled(8, 50, 4);
    world.step(5, Input::Leave);
    world.run(30 * SECOND);
    assert_eq!(world.told_down(), []);
    let left =
        |(_, _, told): &&_| matches!(told, Output::Left(Update { node, .. }) if *node == id(5));
    assert_eq!(world.told.iter().filter(left).count(), 8, "all are told, and so is the leaver");
    assert_eq!(world.node(5).deadline(), None, "it has nothing more to do");
    // It comes back: the same name, in a higher incarnation.
    world.step(5, Input::Join { seeds: &[address(1)] });
    assert!(world.run_until(30 * SECOND, World::all_agree).is_some());
}

#[test]
fn an_alive_that_was_under_way_does_not_bring_back_who_has_left() {
    // The race that memberlist's `hasLeft` is about.
    let mut one = One::number(1);
    one.news(2, &[alive(3, 7)]);
    one.news(2, &[update(3, 7, State::Left)]);
    let late = one.hear(3, 7, ping(9), &[alive(3, 7)]);
    assert_eq!(late.told(), [] as [&Output; 0]);
    assert_eq!(one.record(3), Some((7, State::Left)));
    // And the leaver itself refutes nothing.
    let mut leaver = One::number(3);
    leaver.news(1, &[]);
    leaver.step(Input::Leave);
    leaver.news(1, &[update(3, 1, State::Suspect)]);
    leaver.run(SECOND);
    assert_eq!(leaver.record(3), Some((1, State::Left)));
}

#[test]
fn who_crashes_and_restarts_with_a_higher_incarnation_is_there_again() {
    let mut world = World::settled(6, 0, 5);
    world.crash(4);
    assert!(world.run_until(30 * SECOND, |world| world.all_know_gone(4)).is_some());
    assert_eq!(world.told_down().len(), 5, "told once to each");
    world.run(60 * SECOND);
    world.told.clear();
    // At another address, for that matter.
    world.start(4, Config { address: address(44), ..lan(4, 2) });
    assert!(world.run_until(30 * SECOND, World::all_agree).is_some());
    let back = |(_, by, told): &&(u64, u64, Output)| {
        *by != 4
            && matches!(told, Output::Up(Update { node, record })
            if *node == id(4) && record.address == address(44))
    };
    assert_eq!(world.told.iter().filter(back).count(), 5);
}

#[test]
fn who_restarts_with_a_lost_incarnation_hears_what_it_must_refute() {
    // memberlist#311: with 4500 nodes, those that restarted never heard why they were not let in.
    let mut one = One::number(1);
    one.news(2, &[alive(3, 100)]);
    // Long after it was news.
    (0..50).for_each(|_| drop(one.hear(2, 1, ping(1), &[])));
    let answer = one.hear(3, 1, ping(5), &[]);
    assert_eq!(answer.of(3).first(), Some(&alive(3, 100)), "the answer says so itself");

    let mut restarted = One::number(3);
    restarted.news(1, &answer.of(3));
    assert_eq!(restarted.record(3), Some((101, State::Alive)));

    // All restart at once, and none remembers.
    let mut world = World::settled(8, 50, 6);
    for number in 1..=8 {
        let doubt = update(number, 100, State::Down);
        (1..=8).for_each(|to| {
            let message = Message { sender: id(9), incarnation: inc(1), kind: Kind::News };
            let from = address(9);
            world.step(to, Input::Message { from, message, updates: &[doubt] });
        });
    }
    for number in 1..=8 {
        world.start(number, lan(number, 1));
    }
    world.run(60 * SECOND);
    (1..=8).for_each(|number| {
        let others = world.node(number).nodes().filter(|one| one.node != id(9));
        let lost = others.filter(|one| one.record.state != State::Alive).count();
        assert_eq!(lost, 0);
    });
}

#[test]
fn no_packet_can_take_a_nodes_last_incarnation_from_it() {
    // memberlist#358: one packet of this kind wrapped the counter and evicted the node for ever.
    let mut one = One::number(1);
    let implausible = |node| Event::Unheeded { from: id(node), why: Ignored::Implausible };
    for state in [State::Suspect, State::Down, State::Left, State::Alive] {
        let said = one.news(2, &[update(1, u64::MAX, state)]);
        assert_eq!((one.record(1), said.events), (Some((1, State::Alive)), vec![implausible(2)]));
    }
    one.news(2, &[alive(3, 1)]);
    let said = one.news(2, &[update(3, u64::MAX, State::Down)]);
    assert_eq!((one.record(3), said.events), (Some((1, State::Alive)), vec![implausible(2)]));
    let said = one.hear(3, 2 + Incarnation::FURTHEST, ping(1), &[alive(4, 1)]);
    assert_eq!((said.outputs, said.events), (vec![], vec![implausible(3)]), "nothing of it counts");
    // Right at the bound it counts.
    one.hear(3, 1 + Incarnation::FURTHEST, Kind::News, &[]);
    assert_eq!(one.record(3), Some((1 + Incarnation::FURTHEST, State::Alive)));
}

#[test]
fn hearsay_of_a_stranger_in_an_impossible_incarnation_is_not_believed() {
    let mut one = One::number(1);
    let implausible = Event::Unheeded { from: id(2), why: Ignored::Implausible };
    for state in [State::Alive, State::Suspect] {
        let said = one.news(2, &[update(3, u64::MAX, state)]);
        assert_eq!((one.record(3), said.events), (None, vec![implausible]));
    }
    // Right at the bound, which is this node's own incarnation, it is.
    one.news(2, &[alive(3, 1 + Incarnation::FURTHEST)]);
    assert_eq!(one.record(3), Some((1 + Incarnation::FURTHEST, State::Alive)));
    // What it says itself is believed however far ahead it is.
    one.hear(4, u64::MAX, Kind::News, &[]);
    assert_eq!(one.record(4), Some((u64::MAX, State::Alive)));
    // Nobody has an incarnation of zero, after which any could follow.
    let said = one.hear(5, 0, ping(1), &[alive(6, 0)]);
    assert_eq!((said.outputs, one.record(5), one.record(6)), (vec![], None, None));
    one.news(2, &[alive(6, 0)]);
    assert_eq!(one.record(6), None);
}

#[test]
fn hearsay_that_went_too_far_step_by_step_is_forgotten_when_the_node_itself_speaks() {
    for state in [State::Alive, State::Suspect] {
        let mut one = One::number(1);
        let forged = |step: u64| {
            let record = record(1 + step * Incarnation::FURTHEST, state, 7);
            Update { node: id(3), record }
        };
        one.news(2, &[forged(1), forged(2)]);
        assert!(one.record(3).is_some_and(|(known, _)| known > 2 * Incarnation::FURTHEST));
        one.run(20 * SECOND);
        let said = one.hear(3, 5, ping(1), &[]);
        assert_eq!(one.record(3), Some((5, State::Alive)));
        let known = record(5, State::Alive, 3);
        assert_eq!(said.told(), [&Output::Up(Update { node: id(3), record: known })]);
        assert_eq!(said.of(3), [alive(3, 5)], "and it is told of no other");
    }
    let mut world = World::settled(6, 0, 12);
    for (to, step) in (1..=6).flat_map(|to| [(to, 1), (to, 2)]) {
        let known = record(step * Incarnation::FURTHEST, State::Alive, 7);
        let forged = Update { node: id(7), record: known };
        let message = Message { sender: id(2), incarnation: inc(1), kind: Kind::News };
        let input = Input::Message { from: address(2), message, updates: &[forged] };
        world.step(to, input);
    }
    world.run(60 * SECOND);
    world.enter();
    assert!(world.run_until(30 * SECOND, World::all_agree).is_some());
    assert!((1..=6).all(|by| world.node(by).record(id(7)).unwrap().incarnation < inc(9)));
}

#[test]
fn who_is_doubted_in_the_highest_incarnation_asks_for_another_name_once() {
    let mut one = One::new(lan(1, u64::MAX));
    let needs = Output::Outlived { by: Incarnation::MAX };
    let said = one.news(2, &[update(1, u64::MAX, State::Down)]);
    assert!(said.told().contains(&&needs));
    let said = one.news(2, &[update(1, u64::MAX, State::Down)]);
    assert_eq!(said.told(), [] as [&Output; 0]);
    assert_eq!(one.record(1), Some((u64::MAX, State::Alive)), "and it does not wrap");
}

#[test]
fn whoever_is_outlived_is_told_of_no_incarnation_twice() {
    let mut one = One::number(1);
    let mut told = 0;
    for by in [3, 9, 3, 9, 3] {
        let twin = Update { record: record(by, State::Alive, 22), ..alive(1, 1) };
        told += one.news(2, &[twin]).told().len();
    }
    assert_eq!(told, 3, "node 2 is there, and two incarnations to pass");
}

#[test]
fn a_stale_alive_does_not_revive_who_died_in_a_later_incarnation() {
    // al8n/memberlist#197: Alive@1, Dead@1, Dead@10 (dropped), Alive@2 brought the node back.
    let mut one = One::number(1);
    one.news(2, &[alive(3, 1)]);
    one.news(2, &[update(3, 1, State::Down)]);
    one.run(5 * SECOND);
    assert_eq!(one.record(3), Some((1, State::Down)));
    one.news(2, &[update(3, 10, State::Down)]);
    assert_eq!(one.record(3), Some((10, State::Down)), "all evidence counts");
    one.news(2, &[alive(3, 2)]);
    assert_eq!(one.record(3), Some((10, State::Down)));
    one.news(2, &[alive(3, 11)]);
    assert_eq!(one.record(3), Some((11, State::Alive)));
}

#[test]
fn a_verdict_on_an_earlier_incarnation_is_void() {
    // foca's `can_change` takes any Down for news, whatever incarnation it speaks of.
    let mut one = One::number(1);
    one.news(2, &[alive(3, 5)]);
    let said = one.news(2, &[update(3, 0, State::Down), update(3, 4, State::Left)]);
    assert_eq!((one.record(3), said.told()), (Some((5, State::Alive)), vec![]));
}

#[test]
fn two_islands_find_each_other_after_an_hour() {
    // weaviate#10698, antrea#4491, foca#15: the dead were purged, and nobody asked for them again.
    let mut world = World::settled(8, 0, 7);
    // Nobody has a seed to ask.
    (1..=8).for_each(|number| world.step(number, Input::Join { seeds: &[] }));
    (4..8).for_each(|at| world.places[at].1 = 1);
    world.run(3_600 * SECOND);
    assert!((1..=8).all(|number| world.up(number) == 3), "two islands");
    (4..8).for_each(|at| world.places[at].1 = 0);
    let took = world.run_until(120 * SECOND, World::all_agree);
    assert!(took.is_some(), "one again");
}

#[test]
fn islands_that_have_forgotten_each_other_meet_at_the_seeds() {
    let mut world = World::settled(10, 0, 8);
    (5..10).for_each(|at| world.places[at].1 = 1);
    world.run(600 * SECOND);
    // One by one all restart, and what a node knows then it knows from its own island.
    for number in 1..=10 {
        world.start(number, lan(number, 2));
        world.run(120 * SECOND);
    }
    assert!((1..=10).all(|number| world.node(number).nodes().count() == 4), "two islands");
    (5..10).for_each(|at| world.places[at].1 = 0);
    assert!(world.run_until(300 * SECOND, World::all_agree).is_some());
}

#[test]
fn two_that_take_each_other_for_down_do_not_say_so_for_ever() {
    // foca#25: both answered every "you are down" with another.
    let mut one = One::number(1);
    one.news(2, &[alive(3, 1), update(3, 1, State::Down)]);
    one.run(5 * SECOND);
    assert_eq!(one.record(3), Some((1, State::Down)));
    // It does not listen, and sends a hundred messages: a ping is answered, and nothing else is.
    for _ in 0..100 {
        assert_eq!(one.hear(3, 1, Kind::News, &[]).sends().count(), 0);
        let said = one.hear(3, 1, ping(1), &[]);
        assert_eq!(said.sends().count(), 1);
        assert_eq!(said.of(3).first().map(|told| told.record.state), Some(State::Down));
        assert_eq!(one.hear(3, 1, ack(0), &[]).sends().count(), 0);
    }
    // What it says was said of an incarnation: who is above that does not care.
    let mut other = One::new(lan(3, 2));
    other.news(1, &[]);
    let said = other.news(1, &[update(3, 1, State::Down)]);
    assert_eq!((other.record(3), said.outputs), (Some((2, State::Alive)), vec![]));
}

#[test]
fn a_node_that_restarts_a_thousand_times_takes_one_place() {
    // foca#19, #31, #32: every restart was another identity, and lists grew.
    let mut one = One::number(1);
    for life in 1..=1_000 {
        let ping = ping(1);
        let message = Message { sender: id(2), incarnation: inc(life), kind: ping };
        let from = address(life);
        one.step(Input::Message { from, message, updates: &[] });
    }
    assert_eq!(one.gossip.nodes().count(), 1);
    assert_eq!(one.record(2), Some((1_000, State::Alive)));
}

#[test]
fn two_nodes_of_one_name_are_told_of_and_change_nothing() {
    // foca replaces the one by the other when neither wins, and back again.
    let mut one = One::number(1);
    one.hear(2, 3, Kind::News, &[]);
    let twin = |one: &mut One| {
        let message = Message { sender: id(2), incarnation: inc(3), kind: ping(1) };
        one.step(Input::Message { from: address(22), message, updates: &[] })
    };
    let said = twin(&mut one);
    let known = record(3, State::Alive, 2);
    let impossible = Event::Unheeded { from: id(2), why: Ignored::Impossible };
    assert_eq!((said.told(), &*said.events), (vec![], &[impossible][..]));
    assert_eq!(one.gossip.record(id(2)), Some(known), "who is known stays known");
    // The twin hears of it, and does not fight.
    let mut second = One::new(Config { address: address(22), ..lan(2, 3) });
    second.news(1, &[]);
    let heard = second.news(1, &said.of(2));
    assert_eq!(heard.told(), [&Output::Outlived { by: inc(3) }]);
    assert_eq!(second.news(1, &said.of(2)).told(), [] as [&Output; 0]);
    assert_eq!(second.record(2), Some((3, State::Alive)));
    // A message of one's own name from elsewhere says it too.
    let said = second.hear(2, 9, Kind::News, &[]);
    assert_eq!(said.told(), [&Output::Outlived { by: inc(9) }]);
}

/// The number of the ping that this said, and to whom.
fn pinged(said: &Said) -> Option<(u64, u32)> {
    said.sends().find_map(|(to, kind, _)| match kind {
        Kind::Ping { probe, .. } if probe > 0 => Some((to.bytes()[0].into(), probe)),
        _ => None,
    })
}

/// Runs to the next ping.
fn next_ping(one: &mut One) -> (u64, u32) {
    loop {
        one.now = one.gossip.deadline().unwrap().as_micros();
        let said = one.step(Input::Tick);
        if let Some(ping) = pinged(&said) {
            return ping;
        }
    }
}

#[test]
fn an_acknowledgement_of_an_earlier_probe_confirms_nothing() {
    // foca numbers probes with eight bits: after 256 a late one counts again.
    let mut one = One::number(1);
    one.news(2, &[]);
    let (_, first) = next_ping(&mut one);
    one.hear(2, 1, ack(first), &[]);
    for _ in 0..300 {
        let (_, probe) = next_ping(&mut one);
        assert_ne!(probe, first);
        let said = one.hear(2, 1, ack(first), &[]);
        let stale = Event::Unheeded { from: id(2), why: Ignored::Stale };
        assert_eq!(said.events, [stale]);
        one.hear(2, 1, ack(probe), &[]);
    }
    let (_, probe) = next_ping(&mut one);
    one.hear(2, 1, ack(first), &[]);
    one.hear(3, 1, ack(probe), &[]);
    one.run(SECOND);
    assert_eq!(one.record(2), Some((1, State::Suspect)), "nor does another's");
}

#[test]
fn an_acknowledgement_of_a_former_lifes_probe_confirms_nothing() {
    let life = |incarnation| {
        let mut one = One::new(lan(1, incarnation));
        one.news(2, &[]);
        let (_, probe) = next_ping(&mut one);
        (one, probe)
    };
    let ((_, former), (mut one, probe)) = (life(1), life(2));
    assert_ne!(former, probe);
    let stale = Event::Unheeded { from: id(2), why: Ignored::Stale };
    assert_eq!(one.hear(2, 1, ack(former), &[]).events, [stale]);
}

#[test]
fn a_node_that_slept_convicts_nobody() {
    // restate#5156: all healthy peers were taken for dead in the first tick after a pause.
    for seconds in [1, 5, 600] {
        let mut world = World::settled(8, 0, 9);
        world.run(700 * MILLI);
        world.asleep_until[2] = world.now + seconds * SECOND;
        world.run((seconds + 60) * SECOND);
        let by_the_sleeper = world.told_down().iter().filter(|(_, by, _)| *by == 3).count();
        assert_eq!(by_the_sleeper, 0, "after {seconds} s");
        assert!(world.all_agree(), "and it is back");
        let slept = |(_, by, event): &&(u64, u64, Event)| {
            *by == 3 && matches!(event, Event::Overslept { .. })
        };
        assert!(seconds == 1 || world.events.iter().any(|event| slept(&event)));
    }
    // Even in the midst of a suspicion, and whatever the host says first.
    let mut one = One::number(1);
    one.news(2, &[alive(3, 1)]);
    one.news(2, &[update(3, 1, State::Suspect)]);
    one.now += 3_600 * SECOND;
    let mut twin = one.clone();
    assert_eq!(one.step(Input::Tick).told(), [] as [&Output; 0]);
    twin.news(2, &[]);
    assert_eq!(twin.step(Input::Tick).told(), [] as [&Output; 0]);
}

#[test]
fn everyone_is_probed_once_in_each_round_however_few_they_are() {
    // memberlist#350: of three nodes, one sampled its only peer too seldom.
    for count in 2..=9_u64 {
        let mut one = One::number(1);
        (2..=count).for_each(|node| drop(one.news(node, &[])));
        let mut met = Vec::new();
        for _ in 0..10 * (count - 1) {
            let (to, probe) = next_ping(&mut one);
            one.hear(to, 1, ack(probe), &[]);
            met.push(to);
        }
        let mut orders = Vec::new();
        for round in met.chunks(count as usize - 1) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert!(sorted.iter().copied().eq(2..=count), "{round:?}");
            orders.push(round.to_vec());
        }
        orders.dedup();
        assert!(count < 5 || orders.len() > 5, "in an order that is drawn anew");
    }
}

#[test]
fn of_two_nodes_one_knows_when_the_other_crashes() {
    let mut world = World::settled(2, 0, 10);
    world.crash(2);
    let took = world.run_until(60 * SECOND, |world| world.all_know_gone(2));
    assert!(took.is_some_and(|took| took <= 4 * SECOND), "{took:?}");
}

#[test]
fn nobody_is_convicted_by_hearsay() {
    let mut one = One::new(listener(1));
    one.news(2, &[alive(3, 1)]);
    let said = one.news(2, &[update(3, 1, State::Down), update(3, 1, State::Down)]);
    assert_eq!((said.told(), one.record(3)), (vec![], Some((1, State::Suspect))));
    one.hear(3, 2, Kind::News, &[]);
    assert_eq!(one.record(3), Some((2, State::Alive)), "it had time to refute");
    let config = lan(1, 1);
    one.news(2, &[update(3, 2, State::Down)]);
    one.run(config.suspicion_least.as_micros() - 1);
    assert_eq!(one.record(3), Some((2, State::Suspect)));
    assert!(one.run(1).told().iter().any(|told| matches!(told, Output::Down(_))));
}

#[test]
fn one_that_was_cut_off_does_not_take_the_others_with_it() {
    // After a partition, the stale verdicts of one must not convict those whom all others see.
    for seed in 0..16 {
        let mut world = World::settled(16, 0, 20 + seed);
        world.places[6].1 = 1;
        world.run_until(600 * SECOND, |world| world.up(7) <= 14 - seed % 8);
        assert!(world.up(7) < 15, "it has convicted some, a moment ago");
        world.places[6].1 = 0;
        let healed = world.now;
        assert!(world.run_until(120 * SECOND, World::all_agree).is_some());
        world.run(60 * SECOND);
        let mut downs = world.told_down();
        // The one itself was cut off in truth, and may be convicted for it a moment later.
        downs.retain(|(at, by, of)| *at > healed && *by != 7 && *of != 7);
        assert_eq!(downs, [], "seed {seed}");
    }
}

#[test]
fn what_is_decoded_is_bounded_by_what_is_there_and_not_by_what_is_declared() {
    // memberlist#357: a header's counts were allocated before anything was read.
    let mut bytes = List::<u8, 2_048>::new();
    let updates = [alive(2, 3), update(3, 4, State::Suspect)];
    let mut list = Updates::new();
    list.extend(&updates).unwrap();
    list.encode(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 1 + 2 * 41);
    assert_eq!(&*Updates::decode(&mut &*bytes).unwrap(), &updates);
    assert_eq!(Updates::decode(&mut &bytes[..82]), Err(Malformed));
    let mut boastful = bytes.to_vec();
    boastful[0] = 255;
    assert_eq!(Updates::decode(&mut &*boastful), Err(Malformed));
    // More than a message holds is malformed, even if it is all there.
    let too_many = UPDATES as u8 + 1;
    let mut full = vec![too_many];
    (0..too_many).for_each(|_| full.extend_from_slice(&bytes[1..42]));
    assert_eq!(Updates::decode(&mut &*full), Err(Malformed));
    // And a host that decodes otherwise is told so.
    let mut one = One::number(1);
    let said = one.news(2, &vec![alive(3, 1); usize::from(too_many)]);
    let malformed = Event::Unheeded { from: id(2), why: Ignored::Malformed };
    assert_eq!((said.outputs, said.events), (vec![], vec![malformed]));
}

#[test]
fn every_message_reads_as_it_was_written() {
    let (probe, target, origin) = (7, id(8), id(9));
    let kinds = [
        Kind::Ping { probe, origin },
        Kind::Ack { probe, origin },
        Kind::PingReq { probe, target },
        Kind::ForwardedAck { probe, target },
        Kind::News,
        Kind::Sync { after: id(3) },
        Kind::Page { next: id(4) },
    ];
    for kind in kinds {
        let message = Message { sender: id(1), incarnation: inc(2), kind };
        let mut bytes = List::<u8, 64>::new();
        message.encode(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 29, "{kind:?}");
        assert_eq!(Message::decode(&mut &*bytes), Ok(message));
        assert_eq!(Message::decode(&mut &bytes[..28]), Err(Malformed));
    }
    let mut unknown = [0; 32];
    unknown[16] = 7;
    assert_eq!(Message::decode(&mut &unknown[..]), Err(Malformed));
    // And in one form alone: what a message has not is zero.
    for (code, at) in [(4, 17), (4, 21), (5, 17), (6, 17)] {
        let mut other = [0; 29];
        other[16] = code;
        assert!(Message::decode(&mut &other[..]).is_ok());
        other[at] = 1;
        assert_eq!(Message::decode(&mut &other[..]), Err(Malformed));
    }
}

#[test]
fn what_everybody_forgets_at_another_time_does_not_go_round_for_ever() {
    // chitchat#23, #155, #161: those who had not forgotten yet told those who had.
    let mut world = World::settled(6, 0, 11);
    world.crash(6);
    world.run(60 * SECOND);
    // Three forget it, since they restart.
    (1..=3).for_each(|number| world.start(number, lan(number, 2)));
    world.run(60 * SECOND);
    world.told.clear();
    world.run(600 * SECOND);
    assert_eq!(world.told, []);
    (1..=3).for_each(|number| assert_eq!(world.node(number).record(id(6)), None));
    // The record of one who is gone is no news to who does not know it.
    let mut one = One::number(1);
    let said = one.news(2, &[update(3, 1, State::Down)]);
    assert_eq!(one.record(3), None);
    assert_eq!(said.events, [Event::Unheeded { from: id(2), why: Ignored::Stranger }]);
}

#[test]
fn ticks_may_come_late_early_and_many_times() {
    // foca fails with an incomplete probe cycle if a runtime drops a timer.
    let mut one = One::number(1);
    one.news(2, &[]);
    one.step(Input::Tick);
    let deadline = one.gossip.deadline().unwrap();
    let before = one.gossip.clone();
    for _ in 0..3 {
        assert_eq!(one.step(Input::Tick), Said::default(), "nothing is due");
    }
    assert_eq!(one.gossip, before);
    one.now = deadline.as_micros();
    assert!(pinged(&one.step(Input::Tick)).is_some());
    let before = one.gossip.clone();
    assert_eq!(one.step(Input::Tick), Said::default(), "it was done");
    assert_eq!(one.gossip, before);
    // A tick that never came is made up for by the next.
    one.now += 30 * SECOND;
    one.step(Input::Tick);
    assert!(one.gossip.deadline().unwrap() > Instant::from_micros(one.now));
    assert_eq!(one.record(2), Some((1, State::Alive)));
    // Time that goes backwards stands still.
    one.now = 0;
    assert_eq!(one.step(Input::Tick), Said::default());
}

#[test]
fn a_full_table_takes_in_nobody_and_forgets_only_those_who_are_gone() {
    let mut one = One::new(Config { nodes: 3, ..lan(1, 1) });
    (2..=4).for_each(|node| drop(one.news(node, &[])));
    let said = one.hear(5, 1, ping(1), &[]);
    let no_room = Event::Unheeded { from: id(5), why: Ignored::NoRoom };
    assert_eq!((one.record(5), &said.events), (None, &vec![no_room]));
    assert_eq!(said.sends().count(), 1, "it is answered all the same");
    one.news(3, &[update(3, 1, State::Left)]);
    one.now += 1;
    one.news(2, &[update(2, 1, State::Left)]);
    let said = one.news(5, &[]);
    assert_eq!((said.events, one.record(3)), (vec![], None), "the one that left first");
    assert_eq!(one.gossip.nodes().count(), 3);
    one.news(6, &[]);
    assert_eq!(one.record(2), None);
    assert!([4, 5, 6].into_iter().all(|there| one.record(there).is_some()));
}

#[test]
fn news_is_told_a_bounded_number_of_times() {
    let mut one = One::number(1);
    (2..=8).for_each(|node| drop(one.news(node, &[])));
    one.run(SECOND);
    let mut count = 0;
    one.news(2, &[alive(9, 1)]);
    for _ in 0..100 {
        let said = one.hear(2, 1, ping(1), &[]);
        count += said.of(9).len();
        assert!(said.sends().all(|(_, _, updates)| updates.len() <= UPDATES));
    }
    // Nine nodes: the logarithm is four, and each is told three times that.
    assert!((6..=12).contains(&count), "{count}");
    let said = one.hear(2, 1, ping(1), &[]);
    assert!(
        said.sends().all(|(_, _, updates)| updates.is_empty()),
        "an idle cluster tells nothing"
    );
}

#[test]
fn who_is_suspected_is_told_so_and_refutes_it_in_its_answer() {
    // memberlist#84.
    let mut one = One::number(1);
    one.news(2, &[]);
    let (_, probe) = next_ping(&mut one);
    let said = one.run(400 * MILLI);
    assert_eq!(one.record(2), Some((1, State::Suspect)));
    assert_eq!(said.of(2).last(), Some(&update(2, 1, State::Suspect)));
    let mut two = One::number(2);
    let said = two.hear(1, 1, ping(probe), &[update(2, 1, State::Suspect)]);
    let mut answers = said.outputs.iter().filter_map(|output| match output {
        Output::Send { message, .. } if message.kind == (ack(probe)) => Some(message),
        _ => None,
    });
    assert_eq!(answers.next().map(|answer| answer.incarnation), Some(inc(2)));
    assert_eq!(two.gossip.local_health(), 1, "and takes itself for less well");
    one.hear(2, 2, ack(probe), &[]);
    assert_eq!(one.record(2), Some((2, State::Alive)));
    assert_eq!(
        one.run(10 * SECOND).told().len(),
        1,
        "it was not convicted then; it is silent again"
    );
}

#[test]
fn who_has_not_heard_a_doubt_passes_on_at_once_what_refutes_it() {
    // A refutation overtakes the doubt here and there: if it ended there, others behind would convict.
    // And both hear it, even if there is more news than a message holds.
    let mut one = One::new(Config { updates: 4, ..lan(1, 1) });
    (2..=9).for_each(|node| drop(one.news(node, &[])));
    let said = one.news(2, &[alive(3, 2)]);
    let passed_on = said
        .sends()
        .filter(|(_, kind, updates)| *kind == Kind::News && updates.first() == Some(&alive(3, 2)));
    assert!(passed_on.count() >= 2);
    assert_eq!(one.news(2, &[alive(3, 2)]).outputs, [], "once");
}

#[test]
fn a_link_that_fails_convicts_nobody_as_long_as_others_can_relay() {
    let mut one = One::number(1);
    (2..=4).for_each(|node| drop(one.news(node, &[])));
    let (target, probe) = next_ping(&mut one);
    let said = one.run(250 * MILLI);
    let ask = Kind::PingReq { probe, target: id(target) };
    let relays: Vec<_> = said.sends().filter(|(_, kind, _)| *kind == ask).collect();
    assert_eq!(relays.len(), 2, "all others are asked, and not the target");

    let mut relay = One::number(9);
    relay.news(1, &[]);
    relay.news(target, &[]);
    let said = relay.hear(1, 1, ask, &[]);
    let sent: Vec<_> = said.sends().map(|(to, kind, _)| (to, kind)).collect();
    assert_eq!(sent, [(address(target), ping(probe)), (address(1), ack(probe))]);
    let said = relay.hear(target, 1, ack(probe), &[]);
    let forwarded = Kind::ForwardedAck { probe, target: id(target) };
    assert_eq!(said.sends().map(|(to, kind, _)| (to, kind)).next(), Some((address(1), forwarded)));
    // Nobody is made to send to strangers.
    let said = relay.hear(1, 1, Kind::PingReq { probe, target: id(77) }, &[]);
    assert_eq!(said.sends().count(), 0);
    assert_eq!(said.events, [Event::Unheeded { from: id(1), why: Ignored::Stranger }]);

    let other = (2..=4).find(|node| *node != target).unwrap();
    one.hear(other, 1, ack(probe), &[]);
    one.hear(other, 1, forwarded, &[]);
    one.run(SECOND);
    assert_eq!(one.record(target), Some((1, State::Alive)));
}

#[test]
fn a_node_that_reaches_nobody_doubts_itself_first() {
    let mut one = One::number(1);
    (2..=6).for_each(|node| drop(one.news(node, &[])));
    one.run(20 * SECOND);
    assert!(one.gossip.local_health() >= 3);
    let mut well = One::number(1);
    well.news(2, &[]);
    let sum = |one: &mut One| one.run(60 * SECOND).sends().count();
    assert!(sum(&mut one) < 5 * sum(&mut well), "and is in no hurry");
}

#[test]
fn whoever_has_not_joined_or_has_left_hears_nothing() {
    let mut gossip = Gossip::new(lan(1, 1));
    assert_eq!(gossip.deadline(), None);
    let message = Message { sender: id(2), incarnation: inc(1), kind: ping(1) };
    let mut said = Said::default();
    let input = Input::Message { from: address(2), message, updates: &[] };
    gossip.step(Now::mono(0), input, &mut said).unwrap();
    let stopped = Event::Unheeded { from: id(2), why: Ignored::Stopped };
    assert_eq!((said.outputs, said.events), (vec![], vec![stopped]));
}

#[test]
fn what_a_host_may_not_ask_is_refused_and_changes_nothing() {
    let mut one = One::number(1);
    let seeds = [address(2); 9];
    let before = one.gossip.clone();
    let mut refused = |input: Input<'_>| {
        let answer = one.gossip.step(Now::mono(5), input, &mut Said::default());
        assert_eq!(one.gossip, before);
        answer
    };
    let full = Refused::Full(quorate::limits::Limit::Seeds);
    assert_eq!(refused(Input::Join { seeds: &seeds }), Err(full));
    one.step(Input::Leave);
    let before = one.gossip.clone();
    let answer = one.gossip.step(Now::mono(5), Input::Leave, &mut Said::default());
    assert_eq!((answer, &one.gossip), (Err(Refused::Meaningless), &before));
}

#[test]
fn a_run_replays_from_a_clone() {
    let run = |seed| {
        let mut world = World::new(7, 100, seed);
        world.run(20 * SECOND);
        world.crash(3);
        world.run(30 * SECOND);
        (world.nodes, world.told, world.events, world.sent)
    };
    assert!(run(1) == run(1));
    assert!(run(1).3 != run(2).3, "another seed is another run");
    let mut world = World::settled(7, 100, 3);
    let mut twins = world.nodes.clone();
    world.run(SECOND);
    let at = Now::mono(world.now + SECOND);
    for (node, twin) in world.nodes.iter_mut().zip(&mut twins) {
        let (mut said, mut again) = (Said::default(), Said::default());
        let (node, twin) = (node.as_mut().unwrap(), twin.as_mut().unwrap());
        *twin = node.clone();
        node.step(at, Input::Tick, &mut said).unwrap();
        twin.step(at, Input::Tick, &mut again).unwrap();
        assert_eq!((said, node), (again, twin));
    }
}

#[test]
#[cfg(feature = "alloc")]
#[ignore = "two minutes, and more on a busy machine"]
fn two_thousand_clusters_that_lose_a_twentieth_convict_nobody_who_is_there() {
    let mut convicted: Vec<(u64, usize)> = Vec::new();
    for seed in 0..2_000 {
        let mut world = World::settled(64, 50, seed);
        world.run(300 * SECOND);
        let told = world.told_down();
        if !told.is_empty() {
            convicted.push((seed, told.len()));
        }
    }
    assert_eq!(convicted, [], "seeds, and how often");
}
