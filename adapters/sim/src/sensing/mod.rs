//! Sensing under faults: nodes with a failure detector and gossip each, from one seed.
//!
//! A run has two halves. In the first, nodes crash, come back (now and then with an incarnation that they
//! had before), sleep and wake, islands form, links fail one way or flap, packets are lost, doubled and
//! late. Then everything is mended, whoever is down stays down, and what detectors and gossip promise for
//! such times must come true:
//!
//! | oracle | promise |
//! |---|---|
//! | M1 | who is down for good is so for everybody, within a bounded time |
//! | M2 | from then on nobody who is there is doubted by a detector, or taken for gone by gossip |
//! | M3 | of no node does anybody speak in an earlier incarnation than before |
//! | M5 | news of another crash reaches all within a few intervals |
//!
//! M4 and M6, on who belongs to a group, are the business of `swarm`.

mod oracle;
mod world;

pub use oracle::{Broken, Known};
pub use world::{Link, World};

use quorate::rng::Rng;

const SECOND: u64 = 1_000_000;

/// How far nodes are apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// A few milliseconds at most.
    Lan,
    /// 40 to 250 ms one way, with jitter.
    Wan,
}

impl Network {
    /// So many times longer everything takes.
    const fn scale(self) -> u64 {
        match self {
            Self::Lan => 1,
            Self::Wan => 6,
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Steps that were taken.
    pub events: u64,
    /// Of all that was said, in order.
    pub hash: u64,
    /// Verdicts on nodes that were there, while faults went on: that there are some shows that faults bite.
    pub wronged: u64,
    /// Crashes, sleeps, islands, flapping links and lost incarnations.
    pub faults: [u64; 5],
}

/// Runs a seed.
///
/// # Errors
/// The promise that was broken, with the story of it.
pub fn run(seed: u64, network: Network) -> Result<Report, Broken> {
    let mut rng = Rng::new(seed ^ 0x5e75_1496);
    let nodes = 3 + rng.below(10);
    let mut world = World::new(nodes, network, &mut rng);
    world.run(20 * SECOND * network.scale())?;
    let mut faults = [0; 5];
    let end = world.now + (40 + rng.below(60)) * SECOND * network.scale();
    while world.now < end {
        let node = rng.below(nodes);
        match rng.below(8) {
            0 | 1 if world.lives(node) => {
                world.crash(node);
                faults[0] += 1;
            }
            0..=2 if !world.lives(node) => {
                // It has lost count, now and then.
                let forgets = rng.below(4) == 0;
                faults[4] += u64::from(forgets);
                world.start(node, if forgets { 0 } else { 1 });
            }
            3 | 4 => {
                world.sleep(node, (100_000 + rng.below(8 * SECOND)) * network.scale());
                faults[1] += 1;
            }
            5 => {
                world.part(|other| other == node || rng.below(2) == 0);
                faults[2] += 1;
            }
            6 => {
                let other = rng.below(nodes);
                let link = if rng.below(2) == 0 { Link::Flaps } else { Link::Down };
                world.link(node, other, link);
                faults[3] += u64::from(link == Link::Flaps);
            }
            7 => world.mend(),
            _ => {}
        }
        world.run((200_000 + rng.below(3 * SECOND)) * network.scale())?;
    }
    settle(&mut world, network, &mut rng)?;
    Ok(Report { faults, ..world.report() })
}

/// Mends everything, and asks for what was promised.
fn settle(world: &mut World, network: Network, rng: &mut Rng) -> Result<(), Broken> {
    world.mend();
    world.calm();
    // Of the seeds one is there: whoever has forgotten everybody asks nobody else.
    if !world.lives(0) {
        world.start(0, 1);
    }
    // Time for the last words of the first half, for timeouts that it has stretched, and for islands that
    // find each other by asking one of those down in each interval.
    let ends = world.now + 240 * SECOND * network.scale();
    world.run(30 * SECOND * network.scale())?;
    while world.now < ends && world.known().check(true).is_err() {
        world.run(SECOND)?;
    }
    world.known().check(true)?;
    // Nothing changes while nothing happens.
    for _ in 0..60 * network.scale() {
        world.run(SECOND)?;
        world.known().check(true)?;
    }
    let Some(victim) = world.any_that_lives(rng) else { return Ok(()) };
    world.crash(victim);
    let crashed = world.now;
    // A suspicion, a probe round of all, and the way from one to the next.
    let bound = 30 * SECOND * network.scale();
    while world.now < crashed + bound && world.known().check(true).is_err() {
        world.run(100_000)?;
    }
    world.known().check(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_seeds_keep_what_sensing_promises() {
        let (mut wronged, mut faults) = (0, [0; 5]);
        for seed in 0..16 {
            let report =
                run(seed, Network::Lan).unwrap_or_else(|broken| panic!("{seed}: {broken}"));
            wronged += report.wronged;
            faults.iter_mut().zip(report.faults).for_each(|(all, of)| *all += of);
        }
        assert!(wronged > 0 && faults.iter().all(|fault| *fault > 0), "{wronged} {faults:?}");
        for seed in 0..4 {
            run(seed, Network::Wan).unwrap_or_else(|broken| panic!("{seed}: {broken}"));
        }
    }

    #[test]
    fn a_seed_is_one_run() {
        let hash = |seed| run(seed, Network::Lan).map(|report| (report.events, report.hash));
        assert_eq!(hash(7).unwrap(), hash(7).unwrap());
        assert_ne!(hash(7).unwrap(), hash(8).unwrap());
    }
}
