//! A run from its list of actions, with nothing drawn: the same list is the same run, and a list
//! with some left out is another.
//!
//! A packet is known by what made it. If that was left out, or made something else, whatever the
//! rest of the list does with the packet does not happen, or happens to the other one.

use super::action::{Act, Action, PacketId};
use super::hosted::Hosted;
use super::options::Options;
use super::oracle::Violation;
use super::schedule::Schedule;
use super::world::{Packet, World};
use std::collections::BTreeMap;

/// What must still go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sought<'a> {
    /// This promise is broken while the actions happen, or by the history that they leave.
    During(&'a str),
    /// This one is broken by the group that they leave, once everything is mended.
    After(&'a str),
}

impl<'a> Sought<'a> {
    /// Where a promise is broken, if it is.
    pub(super) fn of(oracle: &'a str) -> Self {
        if oracle.starts_with('V') { Self::After(oracle) } else { Self::During(oracle) }
    }

    const fn oracle(self) -> &'a str {
        match self {
            Self::During(oracle) | Self::After(oracle) => oracle,
        }
    }
}

/// What came of a list of actions.
#[derive(Debug)]
pub(super) struct Played<H: Hosted> {
    pub(super) world: World<H>,
    /// The promise that was broken, if one was.
    pub(super) violation: Option<Violation>,
    /// How many actions had happened by then, and how many steps of machines they were.
    pub(super) actions: usize,
    pub(super) events: u64,
}

/// Runs a list of actions on a world.
pub(super) fn play<H: Hosted>(
    mut world: World<H>,
    (seed, options): (u64, &Options),
    actions: &[Action],
    sought: Sought<'_>,
) -> Played<H> {
    let mut packets: BTreeMap<PacketId, Packet<H::Entry>> = BTreeMap::new();
    for (place, action) in actions.iter().enumerate() {
        let packet = match action.act {
            Act::Deliver(id) | Act::Corrupt(id, _) => match packets.get(&id) {
                Some(packet) => Some(packet.clone()),
                None => continue,
            },
            _ => None,
        };
        let verdict = world.act(action, packet.as_ref());
        for packet in world.sent.drain(..) {
            packets.insert(packet.id, packet);
        }
        if let Err(violation) = verdict {
            let events = world.counts.events;
            return Played { world, violation: Some(violation), actions: place + 1, events };
        }
    }
    let events = world.counts.events;
    let (world, violation) = match sought {
        Sought::During(_) => {
            let violation = super::linear::check(&world.processes).err();
            (world, violation)
        }
        Sought::After(_) => {
            let mut schedule = Schedule::going_on(world, seed, options.clone());
            let violation = schedule.settle().err();
            (schedule.world, violation)
        }
    };
    Played { world, violation, actions: actions.len(), events }
}

/// Whether a list of actions still breaks the promise.
pub(super) fn breaks<H: Hosted>(
    (seed, options): (u64, &Options),
    actions: &[Action],
    sought: Sought<'_>,
) -> Option<usize> {
    let world = Schedule::<H>::world_of(seed, options);
    let played = play(world, (seed, options), actions, sought);
    played.violation.filter(|violation| violation.oracle == sought.oracle())?;
    Some(played.actions)
}
