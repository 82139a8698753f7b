//! A Byzantine member under the laws of every machine, and under one of its own: whatever it hears, and
//! wherever it crashes, it never contradicts what it has said.

use crate::driver::{Choices, Lawful, moment, take};
use quorate::hlc::Stamp;
use quorate::id::{Digest, Index, Members, Slot, View};
use quorate::pbft::{
    Checkpoint, Claims, Config, Input, Message, NewView, Output, Pbft, Phase, Prepared, Receipt,
    Stable, Status, Tolerance, Value, Verified, ViewChange, Vote, Write,
};
use quorate::time::{Instant, Now};
use std::collections::BTreeMap;

/// An input that owns what it brings.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Small(Input<'static>),
    ViewChange(Slot, ViewChange),
    NewView(Slot, View, Vec<(Slot, ViewChange)>),
    Executed(Vec<Digest>),
}

impl Lawful for Pbft {
    type Given = Given;

    fn begin(choices: &mut Choices<'_>) -> Self {
        let members = Members::first([4, 4, 4, 7, 3, 1][choices.below(6) as usize]);
        let me = Slot::new(choices.below(members.len() as u64) as u8);
        let tolerance = if members.len() < 4 { Tolerance::NoLiar } else { Tolerance::Liars };
        let config = Config { tolerance, slots: 4, interval: 2, ..Config::lan(me, members, 1) };
        Self::new(config).expect("it is a sound configuration")
    }

    fn tick() -> Given {
        Given::Small(Input::Tick)
    }

    fn invent(&self, told: &[Output], choices: &mut Choices<'_>) -> Given {
        let from = other(self, choices);
        Given::Small(match choices.below(64) {
            0..20 => {
                let receipts: Vec<_> = told.iter().filter_map(receipt).collect();
                choices.one_of(&receipts).map_or(Input::Tick, Input::Persisted)
            }
            20..24 => {
                let stamp = self.stamped().plus(choices.below(8).min(1));
                Input::Propose(Value { stamp, ..value(self.proposed().next(), choices) })
            }
            24..26 => Input::Request(digest(choices.below(4))),
            26 => return Given::Executed((0..choices.below(3)).map(digest).collect()),
            27..29 => Input::Available(value(self.voted().next(), choices).digest),
            29..31 => Input::Checkpointed(checkpoint(self, choices)),
            31 => Input::Stable(stable(self, choices)),
            32..38 => {
                return Given::ViewChange(from, change(self, next_view(self, choices), choices));
            }
            38..42 => return new_view(self, choices),
            42 => Input::Suspect(self.primary()),
            43 if choices.below(16) == 0 => Input::PersistFailed,
            _ => {
                let message = Verified::attest(from, message(self, choices));
                Input::Message { message, is_here: choices.below(8) > 0 }
            }
        })
    }

    fn lend(given: &Given) -> Input<'_> {
        match given {
            Given::Small(input) => *input,
            Given::ViewChange(from, change) => Input::ViewChange(Verified::attest(*from, change)),
            Given::NewView(from, view, changes) => {
                Input::NewView(Verified::attest(*from, NewView { view: *view, changes }))
            }
            Given::Executed(requests) => Input::Executed(requests),
        }
    }
}

fn receipt(output: &Output) -> Option<Receipt> {
    match output {
        Output::Persist { receipt, .. } => Some(*receipt),
        _ => None,
    }
}

/// One of the others; at times itself, or the first that is no member.
fn other(pbft: &Pbft, choices: &mut Choices<'_>) -> Slot {
    Slot::new(choices.below(pbft.config().members.len() as u64 + 1) as u8)
}

fn digest(of: u64) -> Digest {
    Digest::new([of as u8; 32])
}

/// What all agree on at a position, most often.
fn value(index: Index, choices: &mut Choices<'_>) -> Value {
    let number = index.number() % 64;
    match choices.below(16) {
        0 => Value::NULL,
        1 => Value { digest: digest(70), stamp: Stamp::at_millis(number) },
        _ => Value { digest: digest(100 + number), stamp: Stamp::at_millis(number) },
    }
}

fn position(pbft: &Pbft, choices: &mut Choices<'_>) -> Index {
    let low = pbft.stable().checkpoint.index;
    let fronts = [low, pbft.voted(), pbft.committed()].map(Index::next);
    let front = fronts[choices.below(3) as usize];
    Index::new(choices.near(front.number()))
}

fn quorum(pbft: &Pbft, choices: &mut Choices<'_>) -> Members {
    let config = pbft.config();
    match choices.below(8) {
        0 => Members::first(choices.below(9) as usize),
        1 => config.members,
        _ => Members::first(config.quorum()),
    }
}

fn checkpoint(pbft: &Pbft, choices: &mut Choices<'_>) -> Checkpoint {
    let low = pbft.stable().checkpoint.index.number();
    let index = Index::new(choices.near(low.saturating_add(u64::from(pbft.config().interval))));
    let state =
        digest(if choices.below(8) == 0 { choices.below(256) } else { index.number() % 64 });
    Checkpoint { index, state, stamp: Stamp::at_millis(index.number() % 64) }
}

fn stable(pbft: &Pbft, choices: &mut Choices<'_>) -> Stable {
    match choices.below(4) {
        0 => Stable { checkpoint: checkpoint(pbft, choices), signers: quorum(pbft, choices) },
        _ => pbft.stable(),
    }
}

fn next_view(pbft: &Pbft, choices: &mut Choices<'_>) -> View {
    let view = pbft.view();
    let about = if pbft.is_active() { view.next() } else { view };
    View::new(choices.near(about.number()).min(1 << 40))
}

fn change(pbft: &Pbft, view: View, choices: &mut Choices<'_>) -> ViewChange {
    let (stable, mut claims) = (stable(pbft, choices), Claims::new());
    let mut index = stable.checkpoint.index;
    for _ in 0..choices.below(5) {
        index = index.next();
        let before = view.number().saturating_sub(1 + choices.below(2));
        let (value, signers) = (value(index, choices), quorum(pbft, choices));
        if choices.below(4) > 0 {
            let claim = Prepared { view: View::new(before), index, value, signers };
            claims.push(claim).expect("there is a place for each position");
        }
    }
    ViewChange { view, stable, claims }
}

/// What a view could begin with; often with this member's own view change, and often with one of an
/// empty log from each of the others.
fn new_view(pbft: &Pbft, choices: &mut Choices<'_>) -> Given {
    let view = next_view(pbft, choices);
    let from = if choices.below(8) == 0 { other(pbft, choices) } else { pbft.primary_of(view) };
    // In its own name only its host can say so, and only what it has said before.
    let from = if from == pbft.config().me { Slot::new(99) } else { from };
    let changes = quorum(pbft, choices).iter().map(|slot| {
        let own = pbft.view_change().filter(|it| slot == pbft.config().me && it.view == view);
        (slot, own.cloned().unwrap_or_else(|| change(pbft, view, choices)))
    });
    Given::NewView(from, view, changes.collect())
}

fn message(pbft: &Pbft, choices: &mut Choices<'_>) -> Message {
    match choices.below(16) {
        0 => Message::Checkpoint(checkpoint(pbft, choices)),
        1 => Message::Status(Status {
            view: next_view(pbft, choices),
            is_active: choices.below(2) == 0,
            changes: Members::first(choices.below(5) as usize),
            stable: position(pbft, choices),
            committed: position(pbft, choices),
            prepared: position(pbft, choices),
        }),
        number => {
            let phase = if number < 10 { Phase::Prepare } else { Phase::Commit };
            let view = pbft.view().number();
            let view = if choices.below(8) == 0 { choices.near(view) } else { view };
            let index = position(pbft, choices);
            Message::Vote(Vote {
                phase,
                view: View::new(view),
                index,
                value: value(index, choices),
            })
        }
    }
}

/// A member through all its lives, with its log, and everything that it has ever said.
struct Lives {
    config: Config,
    machine: Pbft,
    told: Vec<Output>,
    /// What it wrote, and how much of that is on disk.
    log: Vec<Write>,
    durable: usize,
    /// How long the log was after the write of each receipt of this life.
    receipts: Vec<(Receipt, usize)>,
    /// What each view began with, as the host keeps it beside the log.
    begun: BTreeMap<View, Vec<(Slot, ViewChange)>>,
    votes: BTreeMap<(View, Index, Phase), Value>,
    changes: BTreeMap<View, ViewChange>,
}

/// What comes back from a log.
fn recovered(config: &Config, log: &[Write]) -> Pbft {
    let mut machine = Pbft::new(config.clone()).expect("as before");
    log.iter().for_each(|write| machine.replay(write));
    machine
}

/// Drives a member through all choices and many lives.
pub(crate) fn lives(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let machine = Pbft::begin(&mut choices);
    let mut lives = Lives {
        config: machine.config().clone(),
        machine,
        told: Vec::new(),
        log: Vec::new(),
        durable: 0,
        receipts: Vec::new(),
        begun: BTreeMap::new(),
        votes: BTreeMap::new(),
        changes: BTreeMap::new(),
    };
    let mut latest = Instant::ORIGIN;
    while !choices.0.is_empty() {
        let now = moment(&lives.machine, latest, &mut choices);
        latest = latest.max(now.mono);
        match choices.below(64) {
            0 => lives.crash(now, &mut choices),
            1 => lives.compact(),
            2..14 => lives.step(now, &Pbft::tick()),
            _ => {
                let given = lives.machine.invent(&lives.told, &mut choices);
                lives.step(now, &given);
            }
        }
    }
}

impl Lives {
    fn step(&mut self, now: Now, given: &Given) {
        if let Given::Small(Input::Persisted(receipt)) = given {
            // One of a former life confirms nothing.
            let length = self.receipts.iter().find(|it| it.0 == *receipt).map_or(0, |it| it.1);
            self.durable = self.durable.max(length);
        }
        let (result, outputs, _) = take(&mut self.machine, now, given);
        if result.is_err() {
            return;
        }
        let first = self.told.len();
        self.told.extend(outputs);
        for at in first..self.told.len() {
            if let Output::Persist { receipt, write } = self.told[at] {
                self.log.push(write);
                self.receipts.push((receipt, self.log.len()));
                if let Write::Entered { view, .. } = write {
                    self.begin(view, given);
                }
            }
        }
        // In any order: so whatever is said could be on its way before any of the writes.
        for at in first..self.told.len() {
            self.hold(self.told[at]);
        }
    }

    fn begin(&mut self, view: View, given: &Given) {
        let chosen = || self.machine.chosen().cloned().collect();
        let changes = match given {
            Given::NewView(_, _, changes) if self.machine.primary() != self.config.me => {
                changes.clone()
            }
            _ => chosen(),
        };
        self.begun.insert(view, changes);
    }

    /// What is said contradicts nothing that was said, and a crash right now would not lead to that.
    fn hold(&mut self, output: Output) {
        let durable = recovered(&self.config, &self.log[..self.durable]);
        match output {
            Output::Send { message: Message::Vote(vote), .. } => self.hold_vote(vote, &durable),
            Output::SendViewChange { .. } => {
                let own = self.machine.view_change().expect("it has left").clone();
                self.hold_change(own, &durable);
            }
            Output::SendNewView { .. } => {
                let view = self.machine.view();
                assert!(self.begun.contains_key(&view), "how a view began is known");
                assert!(durable.view() >= view, "a view is begun once that is on disk");
            }
            _ => {}
        }
    }

    fn hold_vote(&mut self, vote: Vote, durable: &Pbft) {
        let Vote { phase, view, index, value } = vote;
        let first = *self.votes.entry((view, index, phase)).or_insert(value);
        assert_eq!(first, value, "one vote of a phase, at a position, in a view");
        let left = self.changes.last_key_value().map(|it| *it.0);
        assert!(left <= Some(view), "no vote in a view that was left");
        let is_below = durable.stable().checkpoint.index >= index;
        let kept = durable.image().any(|write| match write {
            Write::Accepted { view: v, index: i, value: w } => {
                phase == Phase::Prepare && (v, i, w) == (view, index, value)
            }
            Write::Prepared(it) => {
                phase == Phase::Commit
                    && it.index == index
                    && (it.view > view || (it.view, it.value) == (view, value))
            }
            _ => false,
        });
        let is_over = phase == Phase::Prepare && durable.view() > view;
        assert!(kept || is_below || is_over, "no vote leaves before it is on disk: {vote:?}");
    }

    fn hold_change(&mut self, own: ViewChange, durable: &Pbft) {
        for ((view, index, _), value) in self.votes.iter().filter(|it| it.0.2 == Phase::Commit) {
            let is_below = *index <= own.stable.checkpoint.index || *view >= own.view;
            let kept = own.claims.iter().any(|it| {
                it.index == *index && (it.view > *view || (it.view, it.value) == (*view, *value))
            });
            assert!(is_below || kept, "what was said to be prepared at {index} is claimed");
        }
        let is_same = durable.view_change() == Some(&own) || durable.view() > own.view;
        assert!(is_same, "no view change leaves before it is on disk");
        let first = self.changes.entry(own.view).or_insert_with(|| own.clone());
        assert_eq!(*first, own, "one account for each view");
    }

    /// The log is replaced by the image of the state, which means the same.
    fn compact(&mut self) {
        let image: Vec<_> = self.machine.image().collect();
        let (long, short) = (recovered(&self.config, &self.log), recovered(&self.config, &image));
        assert_eq!(long.view(), short.view());
        assert_eq!(long.stable(), short.stable());
        assert_eq!(long.voted(), short.voted());
        if image.iter().any(|it| matches!(it, Write::Left { .. })) {
            assert_eq!(long.view_change(), short.view_change(), "the same account");
            assert_eq!(long.view_change(), self.machine.view_change(), "the same account");
        }
        assert_eq!(long.image().collect::<Vec<_>>(), image, "a log stands for the state");
        assert_eq!(short.image().collect::<Vec<_>>(), image, "and so does an image");
        self.log = image;
        self.durable = self.log.len();
        let length = self.durable;
        self.receipts.iter_mut().for_each(|it| it.1 = length);
    }

    /// Any number of the writes that were not confirmed are lost, and the member begins another life.
    fn crash(&mut self, now: Now, choices: &mut Choices<'_>) {
        let unsure = (self.log.len() - self.durable).min(255) as u64;
        let kept = self.durable + choices.below(unsure + 1) as usize;
        self.log.truncate(kept);
        self.durable = kept;
        self.receipts.clear();
        self.config.boot += 1;
        self.machine = recovered(&self.config, &self.log);
        self.step(now, &Pbft::tick());
        let view = self.machine.view();
        let has_begun =
            self.log.iter().any(|it| matches!(it, Write::Entered { view: v, .. } if *v == view));
        if let Some(changes) = self.begun.get(&view).filter(|_| has_begun).cloned() {
            let from = self.machine.primary_of(view);
            self.step(now, &Given::NewView(from, view, changes));
            assert!(self.machine.is_active(), "a view that had begun is taken up again");
        }
    }
}
