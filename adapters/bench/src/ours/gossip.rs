//! Gossip: a probe that is answered, and a cluster of 64 as the scenarios simulate it.

#[path = "../../../../tests/scenarios/gossip/world.rs"]
#[allow(dead_code, reason = "the scenarios use more of it")]
mod world;

use quorate::Machine;
use quorate::membership::Gossip;
use quorate::membership::gossip::{Config, Input, Kind, Message, Output, Update};
use quorate::time::{Now, Span};
use std::hint::black_box;
use world::{MILLI, SECOND, World, address, id, inc, lan};

/// How many are in the cluster.
pub(crate) const MEMBERS: u64 = 64;
/// Of a thousand packets, so many are lost.
const LOSS: u64 = 50;
/// How long a cluster is watched in which nothing happens, in seconds.
pub(crate) const QUIET: u64 = 300;

/// Has one of the cluster, which knows all others and has no news, handle so many probes.
pub(crate) fn answer(count: u64) {
    let calm = Config { probe_interval: Span::secs(1 << 40), multiplier: 0, ..lan(1, 1) };
    let mut node = Gossip::new(calm);
    let mut out: Vec<Output> = Vec::new();
    let _ = node.step(Now::mono(0), Input::Join { seeds: &[] }, &mut out);
    let mut hear = |at: u64, from: u64, kind: Kind, updates: &[Update]| {
        out.clear();
        let message = Message { sender: id(from), incarnation: inc(1), kind };
        let input = Input::Message { from: address(from), message, updates };
        node.step(Now::mono(at), black_box(input), &mut out).expect("it is taken");
        black_box(&out);
    };
    // Twice, so that there is no more news.
    (2..=MEMBERS).chain(2..=MEMBERS).for_each(|from| {
        hear(0, from, Kind::Ping { probe: 1, origin: id(from) }, &[]);
    });
    for n in 0..count {
        let from = n % (MEMBERS - 1) + 2;
        hear(n, from, Kind::Ping { probe: 1, origin: id(from) }, &[]);
    }
}

/// What came of many clusters, each with a seed of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Simulated {
    /// From the crash until all knew, in seconds: the median.
    pub(crate) all_know: f64,
    /// Messages of a member in a second while nothing happens: the mean.
    pub(crate) quiet: f64,
    /// Messages of all from the crash until all knew: the median.
    pub(crate) messages: f64,
    /// How often somebody was taken for crashed who was there.
    pub(crate) convicted: u64,
}

/// Runs so many clusters: 64 that settle, some minutes in which nothing happens, and a crash.
pub(crate) fn simulate(runs: u64) -> Simulated {
    let (mut times, mut messages, mut quiet, mut convicted) = (Vec::new(), Vec::new(), 0, 0);
    for seed in 0..runs {
        let mut world = World::settled(MEMBERS, LOSS, seed);
        let before = world.sent;
        world.run(QUIET * SECOND);
        quiet += world.sent - before;
        let (before, victim) = (world.sent, 1 + world.rng.below(MEMBERS));
        convicted += world.told_down().len() as u64;
        world.told.clear();
        world.crash(victim);
        let took = world.run_until(60 * SECOND, |world| world.all_know_gone(victim));
        times.push(took.unwrap_or(60 * SECOND) / MILLI);
        messages.push(world.sent - before);
        convicted += world.told_down().iter().filter(|(_, _, of)| *of != victim).count() as u64;
    }
    let median = |mut of: Vec<u64>| {
        of.sort_unstable();
        of.get(of.len() / 2).copied().unwrap_or_default() as f64
    };
    let quiet = quiet as f64 / (runs * MEMBERS * QUIET) as f64;
    Simulated { all_know: median(times) / 1_000.0, quiet, messages: median(messages), convicted }
}
