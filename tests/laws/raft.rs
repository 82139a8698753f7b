//! Raft under the laws of every machine.

use crate::driver::{Choices, Lawful};
use quorate::id::{EntryId, Index, Members, Slot, Term};
use quorate::raft::{Base, Change, Config, Configuration, Input, Message, Output, Raft, Snapshot};
use quorate::time::Span;

impl Lawful for Raft {
    type Given = Input;

    fn begin(choices: &mut Choices<'_>) -> Self {
        Self::new(Config {
            me: Slot::new(0),
            voters: Members::first([1, 2, 3, 5][choices.below(4) as usize]),
            since: quorate::id::Index::ZERO,
            boot: 1,
            seed: choices.below(256),
            election_timeout: Span::millis(150),
            heartbeat: Span::millis(30),
            clock_drift: [None, Some(200)][choices.below(2) as usize],
            promotion_lag: [None, Some(2)][choices.below(2) as usize],
            rests: choices.below(2) == 0,
            limits: quorate::limits::BOARD,
        })
        .expect("it is a sound configuration")
    }

    fn tick() -> Input {
        Input::Tick
    }

    fn trusts_its_clock(&self) -> bool {
        self.config().clock_drift.is_some()
    }

    fn invent(&self, told: &[Output], choices: &mut Choices<'_>) -> Input {
        let receipts: Vec<_> = told
            .iter()
            .filter_map(|output| match output {
                Output::Persist { receipt, .. } => Some(*receipt),
                _ => None,
            })
            .collect();
        // One of the others, or at times the first that is no member.
        let from = Slot::new(1 + choices.below(self.config().voters.len() as u64) as u8);
        let message = Input::Message { from, message: message(self, choices) };
        match choices.below(64) {
            0..20 => choices.one_of(&receipts).map_or(message, Input::Persisted),
            20..26 => Input::Propose { count: choices.near(2) as u32 },
            26..29 => Input::Read,
            29..33 => {
                let snapshot = snapshot(self, choices);
                let configuration = *self.log().configuration_at(snapshot.boundary.index);
                Input::Stored(Base { snapshot, configuration })
            }
            33 if choices.below(2) == 0 => Input::Transfer(from),
            33 => Input::Reconfigure(configuration(self, choices)),
            34 => Input::Discard,
            35 if choices.below(2) == 0 => Input::Suspect(from),
            35 => Input::StepDown,
            36 if choices.below(16) == 0 => Input::PersistFailed,
            _ => message,
        }
    }

    fn lend(given: &Input) -> Input {
        *given
    }
}

fn term(raft: &Raft, choices: &mut Choices<'_>) -> Term {
    Term::new(choices.near(raft.term().number()))
}

fn entry(raft: &Raft, choices: &mut Choices<'_>) -> EntryId {
    let (log, commit) = (raft.log(), raft.commit());
    let about = choices.one_of(&[log.floor().index, commit, log.last().index]).unwrap_or(commit);
    let index = Index::new(choices.near(about.number()));
    let known = log.term_at(index).unwrap_or(log.last().term);
    let term = if choices.below(8) == 0 { choices.near(known.number()) } else { known.number() };
    EntryId::new(Term::new(term), index)
}

pub(crate) fn snapshot(raft: &Raft, choices: &mut Choices<'_>) -> Snapshot {
    let held = [raft.incoming().map(|incoming| incoming.snapshot), raft.snapshot()];
    let known = choices.one_of(&held).flatten().filter(|_| choices.below(4) > 0);
    let size = choices.near(700) as u32;
    known.unwrap_or_else(|| Snapshot { boundary: entry(raft, choices), size, digest: 1 })
}

/// A configuration that one change leads to, and at times one that none does.
pub(crate) fn configuration(raft: &Raft, choices: &mut Choices<'_>) -> Configuration {
    let known = *raft.configuration();
    let slot = Slot::new(choices.below(9) as u8);
    let change = [Change::AddVoter, Change::AddLearner, Change::AddWitness, Change::Remove]
        [choices.below(4) as usize](slot);
    let next = match choices.below(4) {
        0 => known.leave_joint(),
        1 => known.enter_joint(choices.below(2) == 0, &[change]),
        _ => known.simple(&[change]),
    };
    next.unwrap_or(known)
}

pub(crate) fn message(raft: &Raft, choices: &mut Choices<'_>) -> Message {
    let (term, entry) = (term(raft, choices), entry(raft, choices));
    let next = raft.term().next().unwrap_or(raft.term());
    let round = choices.near(1);
    match choices.below(17) {
        16 => Message::Stale { term },
        0 => Message::PreVote { term: next, last: entry },
        1 | 2 => Message::PreVoteReply { term, proposed: next, granted: choices.below(4) > 0 },
        3 => Message::Vote { term: next, last: entry, asked_to: choices.below(4) == 0 },
        4 | 5 => Message::VoteReply { term, granted: choices.below(4) > 0 },
        15 => {
            let (of, committed) =
                (if choices.below(2) == 0 { term } else { entry.term }, choices.below(2) == 0);
            let configuration = configuration(raft, choices);
            Message::Configure { term, prev: entry, of, configuration, committed }
        }
        14.. | 6..9 => {
            let (count, commit) = (choices.near(2) as u32, Index::new(choices.near(1)));
            let entries = if choices.below(2) == 0 { term } else { entry.term };
            Message::Append { term, prev: entry, entries, count, commit, round }
        }
        9 => Message::Matched { term, matched: entry.index, round },
        10 => Message::Conflict { term, rejected: entry.index, hint: entry, round },
        11 => {
            let Snapshot { boundary, size, digest } = snapshot(raft, choices);
            let here = raft.incoming().map_or(0, |incoming| incoming.received);
            let offset = choices.near(here.into()) as u32;
            let length = size.wrapping_sub(offset).min(choices.near(256) as u32);
            Message::Chunk { term, boundary, digest, size, offset, length, round }
        }
        12 => Message::Received { term, digest: 1, received: choices.near(256) as u32, round },
        13 if choices.below(2) == 0 => Message::Campaign { term, last: entry },
        13 if choices.below(2) == 0 => Message::Rest { term, last: entry },
        13 if choices.below(2) == 0 => {
            Message::ReadIndex { term, life: 1, number: choices.near(1) }
        }
        _ => {
            let (number, index) = (choices.near(1), entry.index);
            Message::ReadIndexReply { term, life: 1, number, index }
        }
    }
}
