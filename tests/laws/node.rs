//! A node of a few groups under the laws of every machine.

use crate::driver::{Choices, Lawful};
use crate::sum::Sum;
use crate::{detector, replica};
use quorate::id::{GroupId, Incarnation, NodeId};
use quorate::membership::Detector;
use quorate::membership::detector::Input as Word;
use quorate::node::{Config, Input, Node, Output};
use quorate::raft;
use quorate::replica::{Config as ReplicaConfig, Input as Asked, Replica};
use quorate::time::Span;

const GROUPS: u64 = 3;

/// An input that owns what it brings.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Tick,
    Group(GroupId, replica::Given),
    Message(NodeId, Incarnation, GroupId, replica::Given),
    Detector(detector::Given),
}

impl Lawful for Node<Sum> {
    type Given = Given;

    fn begin(choices: &mut Choices<'_>) -> Self {
        let me = NodeId::new(0);
        let config = quorate::membership::detector::Config::lan(me, Incarnation::new(5));
        let grain = Span::micros(choices.near(10_000) % 100_000);
        let mut node = Self::new(Config { detector: config, grain }).expect("it is sound");
        let clock_drift = [None, Some(200)][choices.below(2) as usize];
        for group in 0..GROUPS {
            let known = Replica::<Sum>::begin(choices);
            let raft = raft::Config { clock_drift, ..known.raft().config().clone() };
            let nodes: Vec<_> =
                (0..raft.voters.len() as u64).map(|node| Some(NodeId::new(node))).collect();
            let (clock, roster) = (quorate::hlc::Config::default(), *known.roster_config());
            let config = ReplicaConfig { raft, clock, roster };
            let replica = Replica::new(config, known.state().clone()).expect("it is sound");
            node.open(GroupId::new(group), replica, &nodes).expect("there is room");
        }
        node
    }

    fn tick() -> Given {
        Given::Tick
    }

    fn most_ticks(&self) -> usize {
        // Each group once for its deadline and once for a doubt, the detector, whom to watch, the sweep.
        2 * GROUPS as usize + 4
    }

    fn trusts_its_clock(&self) -> bool {
        let first = self.group(GroupId::new(0)).expect("it is open");
        first.raft().config().clock_drift.is_some()
    }

    fn invent(&self, told: &[Output], choices: &mut Choices<'_>) -> Given {
        if choices.below(4) == 0 {
            let told: Vec<_> = told
                .iter()
                .filter_map(|output| match output {
                    Output::Detector(output) => Some(*output),
                    Output::Group { .. } => None,
                })
                .collect();
            let word = self.detector().invent(&told, choices);
            if matches!(word, detector::Given::Input(Word::Message { .. })) {
                return Given::Detector(word);
            }
        }
        let of = GroupId::new(choices.below(GROUPS));
        let told: Vec<_> = told
            .iter()
            .filter_map(|output| match output {
                Output::Group { group, output } if *group == of => Some(*output),
                _ => None,
            })
            .collect();
        let given = self.group(of).expect("it is open").invent(&told, choices);
        let named = if choices.below(32) == 0 { GroupId::new(choices.near(9)) } else { of };
        match given {
            replica::Given::Message(from, ..) if choices.below(32) > 0 => {
                let from = NodeId::new(choices.near(from.number().into()));
                let incarnation = Incarnation::new(choices.near(3));
                Given::Message(from, incarnation, named, given)
            }
            given => Given::Group(named, given),
        }
    }

    fn lend(given: &Given) -> Input<'_, u64> {
        match given {
            Given::Tick => Input::Tick,
            Given::Group(group, given) => {
                Input::Group { group: *group, input: Replica::<Sum>::lend(given) }
            }
            Given::Message(from, incarnation, group, given) => {
                let Asked::Message { header, entries, chunk, .. } = Replica::<Sum>::lend(given)
                else {
                    return Input::Tick;
                };
                let (from, incarnation, group) = (*from, *incarnation, *group);
                Input::Message { from, incarnation, group, header, entries, chunk }
            }
            Given::Detector(given) => match Detector::lend(given) {
                Word::Message { from, message } => Input::Detector { from, message },
                _ => Input::Tick,
            },
        }
    }
}
