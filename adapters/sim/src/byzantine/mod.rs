//! Byzantine groups under faults and liars: one seed, one run.
//!
//! A run has two halves. In the first, packets are lost, doubled, late and cut off, correct members crash in
//! the midst of a step and lose what was not durable, clocks are off and drift, clients ask one member only,
//! again and again, or for two things at once, and at most `f` members lie. In the second only these go on.
//! Every promise of [`oracle`] is checked after every step; in the second half, that all that was asked is
//! executed by all correct members, and becomes part of a stable checkpoint.
//!
//! | room | concern |
//! |---|---|
//! | [`options`] | what a seed draws |
//! | `world`, `network`, `step` | members, disks and clocks; what arrives; what comes of it |
//! | `liar` | what liars do |
//! | [`oracle`], `heard` | what must hold |
//! | [`marks`] | what should happen in some run |
//! | [`twins`] | every way to part a group in which one member runs twice |

mod heard;
mod liar;
pub mod marks;
mod network;
pub mod options;
pub mod oracle;
mod step;
#[cfg(test)]
mod tests;
pub mod twins;
mod world;

use marks::{Mark, Marks};
use options::Options;
use oracle::{Broken, Verdict, broken};
use quorate::id::Members;
use quorate::rng::Rng;
use world::World;

const SECOND: u64 = 1_000_000;

/// How long after the last fault everything must be executed: some views of the longest timeout, a minute,
/// each with a request that is forwarded first.
const PATIENCE: u64 = 400 * SECOND;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// How many steps were taken.
    pub events: u64,
    /// Of all that members told their hosts, in order.
    pub hash: u64,
    /// How long it was in true time, in microseconds.
    pub span: u64,
    /// What happened.
    pub marks: Marks,
    /// How it was set up.
    pub options: Options,
    /// The promise that was broken, if one was.
    pub broken: Option<Broken>,
    /// What happened, a line each, if that was asked for.
    pub story: Option<String>,
}

/// Runs a seed, with so many liars or as many as the group tolerates.
pub fn run(seed: u64, liars: Option<usize>, is_told: bool) -> Report {
    let mut world = World::new(seed, Options::of(seed, liars), is_told);
    let broken = disturb(&mut world, seed).and_then(|()| settle(&mut world)).err();
    world.report(seed, broken)
}

/// What clients ask for, and faults.
fn disturb(world: &mut World, seed: u64) -> Verdict {
    let mut rng = Rng::new(seed ^ 0x00d1_5712);
    let end = world.now + world.options.span;
    let (mut number, mut next) = (0, world.now);
    while world.now < end {
        if world.now >= next {
            number += 1;
            request(world, number, &mut rng);
            next = world.now + rng.below(2 * world.options.load);
        }
        world.lie_in_turn()?;
        let at = rng.below(world.seats.len() as u64) as usize;
        let Options { parts, crashes, .. } = world.options;
        match rng.below(1_000) {
            draw if draw < parts => world.part(Members::from_bits(rng.draw() as u32)),
            draw if draw < 3 * parts => world.mend(),
            draw if draw < 3 * parts + crashes => {
                if rng.below(2) == 0 {
                    world.crash(at)
                } else {
                    world.doom(at)
                }
            }
            draw if draw < 3 * parts + 3 * crashes => world.start(at),
            990.. => world.ask_again(),
            980.. => world.compact(at),
            975.. => world.pause(at, rng.below(6 * SECOND)),
            _ => {}
        }
        world.run(rng.below(50_000))?;
    }
    Ok(())
}

/// A client's request: of everybody, if the client is correct.
fn request(world: &mut World, number: u64, rng: &mut Rng) {
    let all = world.members();
    if rng.below(1_000) >= world.options.faulty {
        return world.request(number, all);
    }
    let some = Members::from_bits(rng.draw() as u32);
    match rng.below(3) {
        0 => world.request(number, Members::only(quorate::id::Slot::new(rng.below(4) as u8))),
        1 => (0..5).for_each(|_| world.request(number / 2, some)),
        _ => {
            world.request(number, some);
            world.request(number | 1 << 56, all.minus(some));
        }
    }
}

/// Ends all faults but the liars, and asks for what was promised.
fn settle(world: &mut World) -> Verdict {
    world.calm();
    let (start, enough) = (world.now, u64::from(world.options.interval) + 1);
    (0..enough).for_each(|it| world.request((1 << 40) + it, world.members()));
    let mut turn = 0_u64;
    loop {
        world.lie_in_turn()?;
        if turn.is_multiple_of(20) {
            world.ask_again();
        }
        world.run(50_000)?;
        turn += 1;
        let Some(lack) = world.lacks() else { break };
        if world.now > start + PATIENCE {
            return broken("V5", lack);
        }
    }
    world.marks.hit(Mark::Healed);
    Ok(())
}

impl World {
    /// What is still to come true, if anything is.
    fn lacks(&self) -> Option<String> {
        let is_open = |it: &&quorate::id::Digest| !self.oracle.is_executed(**it);
        if let Some(open) = self.asked.iter().find(is_open) {
            return Some(format!("{open:?} is not executed"));
        }
        let all = self.oracle.executed().len() as u64;
        let due = all / u64::from(self.options.interval) * u64::from(self.options.interval);
        for (at, seat) in self.seats.iter().enumerate().filter(|it| self.is_correct(it.0)) {
            let peer = seat.peer.as_ref()?;
            let (slot, executed) = (self.seats[at].slot, peer.executed.len() as u64);
            let stable = peer.machine.stable().checkpoint.index;
            // Who has left a view alone, which no correct member may take back, goes from one checkpoint to
            // the next, until the others leave too.
            let needed = if peer.machine.is_active() { all } else { due };
            if executed < needed || stable.number() < due {
                return Some(format!("{slot} has {executed} of {all}, stable {stable} of {due}"));
            }
        }
        None
    }
}
