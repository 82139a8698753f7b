//! A replica under the laws of every machine.

use crate::driver::{Choices, Lawful};
use crate::raft::{message, snapshot};
use crate::sum::{Sum, add, open};
use quorate::hlc::{self, Stamp};
use quorate::id::{Incarnation, Index, NodeId, Slot};
use quorate::membership::Address;
use quorate::membership::roster::{self, Command, Life};
use quorate::raft::{self, Raft, Receipt};
use quorate::replica::{Body, Config, Entry, Header, Input, Output, Replica, Request};
use quorate::time::Span;

/// An input with the payload that it brings.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Plain(Input<'static, u64>),
    Message(Slot, Header, Vec<Entry<u64>>, Vec<u8>),
    Submit(Vec<Request<u64>>),
}

impl Lawful for Replica<Sum> {
    type Given = Given;

    fn begin(choices: &mut Choices<'_>) -> Self {
        let raft = Raft::begin(choices).config().clone();
        let state = Sum { due: Some(Stamp::at_millis(1_790_000_000_100)), ..Sum::default() };
        Self::new(
            Config {
                raft,
                clock: hlc::Config::default(),
                roster: roster::Config {
                    replication_factor: 1 + choices.below(5) as u32,
                    evict_after: (choices.below(2) == 0).then_some(Span::secs(1)),
                    min_voters: choices.below(4) as u32,
                },
            },
            state,
        )
        .expect("it is sound")
    }

    fn tick() -> Given {
        Given::Plain(Input::Tick)
    }

    fn trusts_its_clock(&self) -> bool {
        self.raft().config().clock_drift.is_some()
    }

    fn invent(&self, told: &[Output], choices: &mut Choices<'_>) -> Given {
        let receipts: Vec<Receipt> = told
            .iter()
            .filter_map(|output| match output {
                Output::Persist { receipt, .. } => Some(*receipt),
                _ => None,
            })
            .collect();
        let stored: Vec<raft::Snapshot> = told
            .iter()
            .filter_map(|output| match output {
                Output::Store { snapshot } => Some(*snapshot),
                _ => None,
            })
            .collect();
        match choices.below(64) {
            0..20 => match choices.one_of(&receipts) {
                Some(receipt) => Given::Plain(Input::Persisted(receipt)),
                None => heard(self, choices),
            },
            20..28 => Given::Submit((0..choices.near(2).min(12)).map(|_| asked(choices)).collect()),
            28..31 => Given::Plain(Input::Read),
            31..36 => match choices.one_of(&stored) {
                Some(snapshot) => Given::Plain(Input::Stored(snapshot)),
                None => Given::Plain(Input::Stored(snapshot(self.raft(), choices))),
            },
            36 if choices.below(2) == 0 => {
                Given::Plain(Input::Suspect(Slot::new(choices.below(4) as u8)))
            }
            36 => Given::Plain(Input::StepDown),
            37 if choices.below(16) == 0 => Given::Plain(Input::PersistFailed),
            38..42 => Given::Plain(match changed(choices) {
                Command::Admit { life, address, slot, replaces } => {
                    let founder = (choices.below(2) == 0).then_some(slot);
                    Input::Admit { life, address, founder, replaces }
                }
                Command::Dismiss(life) => Input::Dismiss(life),
                Command::Vacate { slot, .. } => Input::Suspect(slot),
            }),
            _ => heard(self, choices),
        }
    }

    fn lend(given: &Given) -> Input<'_, u64> {
        match given {
            Given::Plain(input) => *input,
            Given::Message(from, header, entries, chunk) => {
                Input::Message { from: *from, header: *header, entries, chunk }
            }
            Given::Submit(requests) => Input::Submit { requests },
        }
    }
}

fn asked(choices: &mut Choices<'_>) -> Request<u64> {
    let client = choices.below(12);
    match choices.below(3) {
        0 => open(client),
        _ => add(client, choices.near(1), choices.below(8)),
    }
}

/// A change of the roster.
fn changed(choices: &mut Choices<'_>) -> Command {
    let life = Life {
        node: NodeId::new(1 + choices.below(5)),
        incarnation: Incarnation::new(1 + choices.below(3)),
    };
    let (address, slot) = (Address::default(), Slot::new(choices.below(8) as u8));
    match choices.below(5) {
        0 => Command::Dismiss(life),
        1 => Command::Vacate { slot, since: Index::new(choices.near(4)) },
        _ => {
            let replaces = Some(Incarnation::new(choices.below(3)));
            let replaces = replaces.filter(|_| choices.below(2) == 0);
            Command::Admit { life, address, slot, replaces }
        }
    }
}

/// A message, most often with the payload that it claims to bring.
fn heard(replica: &Replica<Sum>, choices: &mut Choices<'_>) -> Given {
    let raft = replica.raft();
    let from = Slot::new(1 + choices.below(raft.config().voters.len() as u64) as u8);
    let header =
        Header { message: message(raft, choices), early: choices.below(4) == 0, bare: false };
    let (entries, bytes) = match header.message {
        raft::Message::Append { count, .. } => (count.min(80), 0),
        raft::Message::Chunk { length, .. } => (0, length.min(1_000)),
        _ => (0, 0),
    };
    let last = replica.clock().last().max(Stamp::at_millis(1_790_000_000_000));
    let entry = |n: u64, choices: &mut Choices<'_>| Entry {
        stamp: last.plus(choices.near(n)),
        body: match choices.below(5) {
            0 => Body::Barrier,
            1 => Body::Due(1),
            2 => Body::Roster(changed(choices)),
            _ => Body::Request(asked(choices)),
        },
    };
    let more = u64::from(choices.below(16) == 0);
    let entries = (1..=u64::from(entries) + more).map(|n| entry(n, choices)).collect();
    Given::Message(from, header, entries, vec![7; bytes as usize])
}
