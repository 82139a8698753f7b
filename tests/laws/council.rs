//! A council under the laws of every machine: whatever its host tells it, in whatever order.

use crate::driver::{Choices, Lawful};
use crate::pbft;
use crate::sum::Sum;
use quorate::bounded::List;
use quorate::council::{Config, Council, Input, Output, Request, Work};
use quorate::hlc;
use quorate::id::{ClientId, Digest};
use quorate::pbft::{Checkpoint, Input as Below, Output as Said, Pbft};

/// An input that owns what it brings.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Small(Input<'static, u64>),
    /// An input of the protocol, and what a message of it proposes.
    Below(pbft::Given, Option<Vec<Request<u64>>>),
    Request(Digest, Request<u64>),
    Propose(Digest, Vec<Request<u64>>),
    Payload(Digest, Vec<Request<u64>>),
    Restore(Checkpoint, Vec<u8>),
}

fn request(choices: &mut Choices<'_>) -> Request<u64> {
    let client = ClientId::new(choices.below(5));
    let sequence = choices.near(1 + choices.0.len() as u64 / 64);
    let is_read = choices.below(4) == 0;
    let work = if is_read { Work::Read } else { Work::Command(choices.below(9)) };
    Request { client, sequence, work }
}

/// The digest of a request, or of several: told apart by who and which.
fn digest_of(requests: &[Request<u64>]) -> Digest {
    let mut bytes = [7; 32];
    for (at, request) in requests.iter().enumerate() {
        bytes[at % 16] ^= request.client.number() as u8 + 1;
        bytes[16 + at % 16] ^= request.sequence as u8;
    }
    Digest::new(bytes)
}

impl Lawful for Council<Sum> {
    type Given = Given;

    fn begin(choices: &mut Choices<'_>) -> Self {
        let pbft = Pbft::begin(choices).config().clone();
        let clock = hlc::Config::default();
        Self::new(Config { pbft, clock, epoch: 1, depth: 2 }, Sum::default()).expect("it is sound")
    }

    fn tick() -> Given {
        Given::Small(Input::Tick)
    }

    fn most_ticks(&self) -> usize {
        // A position a tick, and then the protocol's own.
        self.pbft().config().slots as usize + 2
    }

    fn invent(&self, told: &[Output], choices: &mut Choices<'_>) -> Given {
        let said: Vec<Said> = told
            .iter()
            .filter_map(|output| match output {
                Output::Pbft(output) => Some(*output),
                _ => None,
            })
            .collect();
        let some = |choices: &mut Choices<'_>| -> Vec<_> {
            (0..choices.below(4)).map(|_| request(choices)).collect()
        };
        match choices.below(16) {
            0..3 => {
                let request = request(choices);
                Given::Request(digest_of(core::slice::from_ref(&request)), request)
            }
            3 => {
                let waiting: Vec<_> = self.to_propose().map(|it| it.1.clone()).collect();
                let requests = if waiting.is_empty() { some(choices) } else { waiting };
                Given::Propose(digest_of(&requests), requests)
            }
            4 => {
                let lacked = told.iter().filter_map(|output| match output {
                    Output::Payload { digest, .. } => Some(*digest),
                    Output::Pbft(Said::Want { value, .. }) => Some(value.digest),
                    _ => None,
                });
                let lacked: Vec<_> = lacked.collect();
                let requests = some(choices);
                let digest = choices.one_of(&lacked).unwrap_or(digest_of(&requests));
                Given::Payload(digest, requests)
            }
            5 => {
                let snapshots = told.iter().filter_map(|output| match *output {
                    Output::Snapshot { index, stamp } => {
                        let state = Digest::new([index.number() as u8; 32]);
                        Some(Checkpoint { index, state, stamp })
                    }
                    _ => None,
                });
                let snapshots: Vec<_> = snapshots.collect();
                choices
                    .one_of(&snapshots)
                    .map_or(Self::tick(), |stored| Given::Small(Input::Stored(stored)))
            }
            6 => {
                let mut state = List::<u8, 4_096>::new();
                self.snapshot(&mut state).expect("there is room");
                let mut bytes = state.to_vec();
                if choices.below(2) == 0 {
                    bytes.truncate(choices.below(256) as usize);
                }
                Given::Restore(self.pbft().stable().checkpoint, bytes)
            }
            _ => {
                let payload = (choices.below(2) == 0).then(|| some(choices));
                Given::Below(self.pbft().invent(&said, choices), payload)
            }
        }
    }

    fn lend(given: &Given) -> Input<'_, u64> {
        match given {
            Given::Small(input) => *input,
            Given::Request(digest, request) => Input::Request { digest: *digest, request },
            Given::Propose(digest, requests) => Input::Propose { digest: *digest, requests },
            Given::Payload(digest, requests) => Input::Payload { digest: *digest, requests },
            Given::Restore(checkpoint, bytes) => Input::Restore { checkpoint: *checkpoint, bytes },
            Given::Below(given, payload) => match Pbft::lend(given) {
                Below::Message { message, .. } => {
                    Input::Message { message, payload: payload.as_deref() }
                }
                Below::ViewChange(change) => Input::ViewChange(change),
                Below::NewView(new_view) => Input::NewView(new_view),
                Below::Stable(stable) => Input::Stable(stable),
                Below::Checkpointed(checkpoint) => Input::Stored(checkpoint),
                Below::Persisted(receipt) => Input::Persisted(receipt),
                Below::PersistFailed => Input::PersistFailed,
                Below::Suspect(slot) => Input::Suspect(slot),
                // What a council tells its protocol by itself.
                Below::Tick
                | Below::Propose(_)
                | Below::Request(_)
                | Below::Executed(_)
                | Below::Available(_) => Input::Tick,
            },
        }
    }
}
