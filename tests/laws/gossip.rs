//! Gossip under the laws of every machine.

use crate::driver::{Choices, Lawful};
use quorate::id::{Incarnation, NodeId};
use quorate::membership::Address;
use quorate::membership::gossip::{
    Config, Gossip, Input, Kind, Message, Output, Record, State, Update,
};
use quorate::time::Span;

/// An input that owns what it brings.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Join(Vec<Address>),
    Leave,
    Message(Address, Message, Vec<Update>),
    Tick,
}

fn node(choices: &mut Choices<'_>) -> NodeId {
    NodeId::new(choices.below(7))
}

fn address(choices: &mut Choices<'_>) -> Address {
    let mut bytes = [0; Address::BYTES];
    bytes[0] = choices.below(7) as u8;
    Address::new(bytes)
}

fn update(around: Incarnation, choices: &mut Choices<'_>) -> Update {
    let states = [State::Alive, State::Suspect, State::Down, State::Left];
    let state = states[choices.below(4) as usize];
    let incarnation = Incarnation::new(choices.near(around.number()));
    let node = node(choices);
    let mut bytes = [0; Address::BYTES];
    bytes[0] = node.number() as u8;
    let usual = Address::new(bytes);
    let address = if choices.below(4) == 0 { address(choices) } else { usual };
    Update { node, record: Record { incarnation, state, address } }
}

fn kind(told: &[Output], choices: &mut Choices<'_>) -> Kind {
    let asked = told.iter().rev().find_map(|output| match output {
        Output::Send { message: Message { kind: Kind::Ping { probe, .. }, .. }, .. } => {
            Some(*probe)
        }
        _ => None,
    });
    let probe = choices.near(asked.unwrap_or(1).into()) as u32;
    let origin = if choices.below(4) == 0 { node(choices) } else { NodeId::new(1) };
    match choices.below(8) {
        0 => Kind::Ping { probe, origin },
        1 | 2 => Kind::Ack { probe, origin },
        3 => Kind::PingReq { probe, target: node(choices) },
        4 => Kind::ForwardedAck { probe, target: node(choices) },
        5 => Kind::News,
        6 => Kind::Sync { after: node(choices) },
        _ => Kind::Page { next: node(choices) },
    }
}

impl Lawful for Gossip {
    type Given = Given;

    fn begin(choices: &mut Choices<'_>) -> Self {
        let mut bytes = [0; Address::BYTES];
        bytes[0] = 1;
        let incarnation = Incarnation::new(choices.near(1));
        let span = |choices: &mut Choices<'_>| Span::millis(choices.near(40));
        Self::new(Config {
            probe_interval: span(choices),
            probe_timeout: span(choices),
            suspicion_least: span(choices),
            suspicion_most: span(choices),
            heal_interval: span(choices),
            relays: choices.near(3) as usize,
            multiplier: choices.near(3) as u8,
            nodes: 1 + choices.below(6) as usize,
            updates: choices.below(4) as usize,
            ..Config::lan(NodeId::new(1), Address::new(bytes), incarnation)
        })
    }

    fn tick() -> Given {
        Given::Tick
    }

    fn invent(&self, told: &[Output], choices: &mut Choices<'_>) -> Given {
        match choices.below(32) {
            0 | 1 => Given::Join((0..choices.below(7)).map(|_| address(choices)).collect()),
            2 => Given::Leave,
            _ => {
                let about = update(self.me().incarnation, choices);
                let updates =
                    (0..choices.below(5)).map(|_| update(about.record.incarnation, choices));
                let updates = updates.collect();
                let (sender, incarnation) = (about.node, about.record.incarnation);
                let message = Message { sender, incarnation, kind: kind(told, choices) };
                Given::Message(about.record.address, message, updates)
            }
        }
    }

    fn lend(given: &Given) -> Input<'_> {
        match given {
            Given::Join(seeds) => Input::Join { seeds },
            Given::Leave => Input::Leave,
            Given::Message(from, message, updates) => {
                Input::Message { from: *from, message: *message, updates }
            }
            Given::Tick => Input::Tick,
        }
    }
}
