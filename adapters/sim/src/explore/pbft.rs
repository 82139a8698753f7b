//! PBFT: the correct members of a group are the shipped machines, and one member may say anything.
//!
//! **The liar** is no machine. Whatever it could sign is at hand at any moment: any vote for any of the
//! values, a view change with any claim that it has the signatures for, and, as primary, the beginning of a
//! view by any quorum of view changes. It signs in nobody else's name. Its votes that could not matter are
//! left out, for each is as if it had not come: a member's first vote counts, so the wrong one is a right
//! one that is late, and late means nothing where anything may be late for ever.
//!
//! **The network** is the set of all that correct members have said; any of it may arrive at any moment, in
//! any order, or never. **A disk** confirms at once. **Time** is abstracted away: a member leaves its view
//! when the search decides so, up to the last view of the [`Shape`].

use super::index::{Known, Numbered};
use super::{Broken, Model};
use quorate::Machine;
use quorate::hlc::Stamp;
use quorate::id::{Digest, Index, Members, Slot, View};
use quorate::pbft::{
    Claims, Config, Input, Message, NewView, Output, Pbft, Phase, Prepared, Tolerance, Value,
    Verified, ViewChange, Vote,
};
use quorate::time::Now;

/// The largest group.
const MOST_MEMBERS: usize = 4;
/// The most positions.
const MOST_SLOTS: usize = 2;

/// What bounds a model.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The members; with fewer than four, a quorum does not outnumber a liar.
    pub members: u8,
    /// Who lies.
    pub liar: u8,
    /// The last view that is entered.
    pub views: u64,
    /// How many positions are ordered.
    pub slots: u64,
}

/// What a correct member has said, or the liar could say.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Letter {
    /// A vote.
    Vote(Slot, Vote),
    /// A view change.
    Change(Slot, ViewChange),
    /// What a view begins with.
    NewView(View, Vec<(Slot, ViewChange)>),
}

/// Something happens to a member.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Move {
    Hear(Letter),
    Propose(Value),
    Leave,
}

/// A correct member, what it has decided, and all that it has said.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Member {
    machine: Pbft,
    decided: [Option<Value>; MOST_SLOTS],
    said: Vec<Letter>,
}

/// A state: the number of each member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    members: [u32; MOST_MEMBERS],
}

/// Something happens to a member: its slot and the number of a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Action {
    member: u8,
    happens: u32,
}

/// A group to be explored, with everything known so far of its members.
#[derive(Debug)]
pub struct Group {
    shape: Shape,
    members: Numbered<Member>,
    moves: Numbered<Move>,
    outcomes: Known<u32>,
}

const NOW: Now = Now::mono(0);

/// One of the two values that are proposed at a position.
fn value(index: Index, of: u8) -> Value {
    Value { digest: Digest::new([of; 32]), stamp: Stamp::at_millis(index.number()) }
}

impl Group {
    /// A group of this shape.
    ///
    /// # Panics
    /// If the shape is too large to be explored.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        assert!(usize::from(shape.members) <= MOST_MEMBERS, "too many members to explore");
        assert!(shape.slots as usize <= MOST_SLOTS, "too many positions to explore");
        Self { shape, members: Numbered::new(), moves: Numbered::new(), outcomes: Known::new() }
    }

    fn correct(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let liar = usize::from(self.shape.liar);
        (0..usize::from(self.shape.members)).filter(move |it| *it != liar)
    }

    fn positions(&self) -> impl Iterator<Item = Index> + Clone + use<> {
        (1..=self.shape.slots).map(Index::new)
    }

    fn letters(&self, state: &State) -> impl Iterator<Item = &Letter> + Clone {
        let members = state.members;
        self.correct().flat_map(move |at| &self.members.get(members[at]).said)
    }

    /// Which correct members have given a vote.
    fn voters(&self, state: &State, vote: Vote) -> Members {
        let votes = self.letters(state).filter_map(move |letter| match letter {
            Letter::Vote(by, it) if *it == vote => Some(*by),
            _ => None,
        });
        votes.collect()
    }

    fn values(&self) -> impl Iterator<Item = (Index, Value)> + use<> {
        let positions = self.positions();
        positions.flat_map(|index| [7, 8].map(|of| (index, value(index, of))))
    }

    /// What the liar could say to a member.
    fn lies(&self, state: &State, to: &Pbft, into: &mut Vec<Letter>) {
        let (liar, view) = (Slot::new(self.shape.liar), to.view());
        for (index, value) in self.values() {
            let vote = Vote { phase: Phase::Prepare, view, index, value };
            let is_known = to.position_of(value.digest) == Some(index);
            if is_known || to.primary() == liar {
                into.push(Letter::Vote(liar, vote));
            }
            let vote = Vote { phase: Phase::Commit, ..vote };
            if !self.voters(state, vote).is_empty() {
                into.push(Letter::Vote(liar, vote));
            }
        }
        for next in (1..=self.shape.views).map(View::new).filter(|next| *next >= view) {
            let lies = self.view_changes(state, next, to.config());
            let is_begun = next == view && to.is_active();
            into.extend(lies.iter().map(|it| Letter::Change(liar, it.clone())));
            if to.primary_of(next) == liar && !is_begun {
                self.new_views(state, next, &lies, into);
            }
        }
    }

    /// Every view change that the liar has the signatures for: of each position nothing, or a claim.
    fn view_changes(&self, state: &State, next: View, config: &Config) -> Vec<ViewChange> {
        let stable = Pbft::new(config.clone()).expect("as before").stable();
        let mut all = vec![ViewChange { view: next, stable, claims: Claims::new() }];
        for index in self.positions() {
            for one in all.clone() {
                for view in (0..next.number()).map(View::new) {
                    for value in [7, 8].map(|of| value(index, of)) {
                        let vote = Vote { phase: Phase::Prepare, view, index, value };
                        let voters = self.voters(state, vote).with(Slot::new(self.shape.liar));
                        if voters.len() >= config.quorum() {
                            let signers = voters.iter().take(config.quorum()).collect();
                            let mut more = one.clone();
                            let claim = Prepared { view, index, value, signers };
                            more.claims.push(claim).expect("there are few positions");
                            all.push(more);
                        }
                    }
                }
            }
        }
        all
    }

    /// Every beginning of a view with the view changes of a quorum.
    fn new_views(&self, state: &State, view: View, lies: &[ViewChange], into: &mut Vec<Letter>) {
        let honest = self.letters(state).filter_map(|letter| match letter {
            Letter::Change(by, it) if it.view == view => Some((*by, it.clone())),
            _ => None,
        });
        let honest: Vec<_> = honest.collect();
        let quorum = quorate::quorum::byzantine(usize::from(self.shape.members));
        let liar = Slot::new(self.shape.liar);
        for chosen in 0..1_u32 << honest.len() {
            let picked = |at: &usize| chosen >> at & 1 == 1;
            let some: Vec<_> =
                (0..honest.len()).filter(picked).map(|at| honest[at].clone()).collect();
            if some.len() == quorum {
                into.push(Letter::NewView(view, some.clone()));
            }
            if some.len() + 1 == quorum {
                for lie in lies {
                    let mut all = some.clone();
                    all.push((liar, lie.clone()));
                    all.sort_by_key(|it| it.0);
                    into.push(Letter::NewView(view, all));
                }
            }
        }
    }

    /// Takes a step of a member, with everything that its disk then confirms.
    fn outcome(&mut self, me: usize, number: u32, happens: u32) -> u32 {
        let Member { mut machine, mut decided, mut said } = self.members.get(number).clone();
        let happens = self.moves.get(happens).clone();
        let me = Slot::new(me as u8);
        let input = match &happens {
            Move::Leave => Input::Suspect(machine.primary()),
            Move::Propose(value) => Input::Propose(*value),
            Move::Hear(Letter::Vote(from, vote)) => {
                let message = Verified::attest(*from, Message::Vote(*vote));
                Input::Message { message, is_here: true }
            }
            Move::Hear(Letter::Change(from, it)) => Input::ViewChange(Verified::attest(*from, it)),
            Move::Hear(Letter::NewView(view, changes)) => {
                let from = machine.primary_of(*view);
                let new_view = NewView { view: *view, changes };
                Input::NewView(Verified::attest(from, new_view))
            }
        };
        let mut next = machine.step_vec(NOW, input);
        while let Ok(outputs) = &next {
            let mut confirmed = None;
            for output in outputs {
                let letter = match *output {
                    Output::Persist { receipt, .. } => {
                        confirmed = Some(receipt);
                        continue;
                    }
                    Output::Send { message: Message::Vote(vote), .. } => Letter::Vote(me, vote),
                    Output::SendViewChange { .. } => {
                        let own = machine.view_change().expect("it has left a view");
                        Letter::Change(me, own.clone())
                    }
                    Output::SendNewView { .. } if machine.primary() == me => {
                        let chosen = machine.chosen().cloned().collect();
                        Letter::NewView(machine.view(), chosen)
                    }
                    Output::Committed { index, value } => {
                        let at = index.number() as usize - 1;
                        decided[at] = Some(value);
                        continue;
                    }
                    _ => continue,
                };
                if !said.contains(&letter) {
                    said.push(letter);
                }
            }
            let Some(receipt) = confirmed else { break };
            next = machine.step_vec(NOW, Input::Persisted(receipt));
        }
        // In whatever order it was said.
        said.sort_by_key(|it| format!("{it:?}"));
        let member = Member { machine: machine.without_time(), decided, said };
        self.members.number(member).0
    }
}

impl Model for Group {
    type State = State;
    type Action = Action;

    fn initial(&mut self) -> Vec<State> {
        let members = Members::first(self.shape.members.into());
        let tolerance = if members.len() < 4 { Tolerance::NoLiar } else { Tolerance::Liars };
        let mut state = State { members: [u32::MAX; MOST_MEMBERS] };
        for at in self.correct() {
            let config = Config::lan(Slot::new(at as u8), members, 1);
            let config = Config { tolerance, slots: 4, interval: 2, ..config };
            let mut machine = Pbft::new(config).expect("a sound configuration");
            // Something waits, so whoever doubts its primary leaves it.
            let waits = machine.step_vec(NOW, Input::Request(Digest::new([9; 32])));
            waits.expect("there is room");
            let (machine, said) = (machine.without_time(), Vec::new());
            let member = Member { machine, decided: [None; MOST_SLOTS], said };
            state.members[at] = self.members.number(member).0;
        }
        vec![state]
    }

    fn actions(&mut self, state: &State, into: &mut Vec<Action>) {
        for at in self.correct() {
            let machine = &self.members.get(state.members[at]).machine;
            let me = Slot::new(at as u8);
            let mut letters: Vec<_> = self.letters(state).cloned().collect();
            self.lies(state, machine, &mut letters);
            let is_for_me = |letter: &Letter| match letter {
                Letter::Vote(by, vote) => *by != me && machine.wants(*by, &Message::Vote(*vote)),
                Letter::Change(by, it) => {
                    *by != me && it.view >= machine.view() && !machine.is_active()
                }
                Letter::NewView(view, _) => {
                    machine.primary_of(*view) != me
                        && (*view > machine.view()
                            || (*view == machine.view() && !machine.is_active()))
                }
            };
            let mut moves: Vec<_> = letters.into_iter().filter(is_for_me).map(Move::Hear).collect();
            if machine.view().number() < self.shape.views && machine.primary() != me {
                moves.push(Move::Leave);
            }
            let next = machine.proposed().next();
            if machine.leads() && next.number() <= self.shape.slots {
                let of = if machine.view() == View::ZERO { 7 } else { 8 };
                moves.push(Move::Propose(value(next, of)));
            }
            for happens in moves {
                let happens = self.moves.number(happens).0;
                into.push(Action { member: at as u8, happens });
            }
        }
    }

    fn apply(&mut self, state: &State, action: Action) -> Result<Option<State>, Broken> {
        let (at, mut next) = (usize::from(action.member), *state);
        let member = state.members[at];
        let known = self.outcomes.get(member, action.happens);
        next.members[at] = match known {
            Some(outcome) => outcome,
            None => {
                let outcome = self.outcome(at, member, action.happens);
                self.outcomes.put(member, action.happens, outcome);
                outcome
            }
        };
        Ok(Some(next))
    }

    fn check(&mut self, state: &State) -> Result<(), Broken> {
        for index in self.positions() {
            let at = index.number() as usize - 1;
            let mut decided = self.correct().filter_map(|slot| {
                let value = self.members.get(state.members[slot]).decided[at]?;
                Some((slot, value))
            });
            let Some(first) = decided.next() else { continue };
            if let Some(other) = decided.find(|it| it.1 != first.1) {
                let how = format!("at {index}: {first:?}, {other:?}");
                return Err(Broken { law: "agreement", how });
            }
        }
        Ok(())
    }

    fn story(&mut self, _: &State, path: &[Action]) -> String {
        let line = |it: &Action| format!("n{}: {:?}\n", it.member, self.moves.get(it.happens));
        path.iter().map(line).collect()
    }

    fn bytes(&self) -> usize {
        self.members.bytes() + self.moves.bytes() + self.outcomes.bytes()
    }
}
