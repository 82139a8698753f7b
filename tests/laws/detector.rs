//! A failure detector under the laws of every machine.

use crate::driver::{Choices, Lawful};
use quorate::id::{Incarnation, NodeId};
use quorate::membership::Detector;
use quorate::membership::detector::{Config, Input, Message, Output};
use quorate::time::Span;

/// An input that owns what it brings.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Input(Input<'static>),
    Peers(Vec<NodeId>),
}

impl Lawful for Detector {
    type Given = Given;

    fn begin(choices: &mut Choices<'_>) -> Self {
        let incarnation = Incarnation::new(choices.near(5));
        let timeout = Span::micros(choices.near(5_000).clamp(1_000, 1_000_000));
        let config = Config::lan(NodeId::new(0), incarnation);
        Self::new(Config { timeout, ..config }).expect("it is a sound configuration")
    }

    fn tick() -> Given {
        Given::Input(Input::Tick)
    }

    fn invent(&self, told: &[Output], choices: &mut Choices<'_>) -> Given {
        let pinged = told.iter().rev().find_map(|output| match output {
            Output::Send { message: Message::Ping { number, .. }, .. } => Some(*number),
            _ => None,
        });
        let from = NodeId::new(choices.below(5));
        let known = self.incarnation(from).unwrap_or_default().number().max(1);
        let incarnation = Incarnation::new(choices.near(known));
        let doubts = (choices.below(3) == 0).then(|| Incarnation::new(choices.near(5)));
        let number = choices.near(pinged.unwrap_or(1));
        Given::Input(match choices.below(8) {
            0 => {
                let count = choices.near(4).min(40);
                return Given::Peers((0..count).map(NodeId::new).collect());
            }
            1..3 => Input::Heard { from, incarnation },
            3..6 => Input::Message { from, message: Message::Pong { incarnation, number } },
            _ => Input::Message { from, message: Message::Ping { incarnation, number, doubts } },
        })
    }

    fn lend(given: &Given) -> Input<'_> {
        match given {
            Given::Input(input) => *input,
            Given::Peers(peers) => Input::Peers(peers),
        }
    }
}
