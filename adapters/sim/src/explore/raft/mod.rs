//! Raft: a group of the shipped members, every message ever sent, and every disk.
//!
//! **The network** is the set of all letters ever sent by each member. One of them may arrive at any
//! moment, in any order, any number of times, or never: that is loss, duplication, delay and
//! reordering without a bound, and needs no step of its own. It is also all the memory that the laws
//! need of who voted for whom.
//!
//! An answer that can never be heeded again is dropped from the set ([`Letter::is_spent`]): it would
//! only tell states apart. When everything was visited, each is held against each member that came
//! up, to see that it would have moved none.
//!
//! **A disk** is an image and the writes on their way to it. Any number of the oldest become durable
//! at once, and the machine hears of it at once; a write that is durable and not confirmed differs
//! only in what a crash leaves, and a crash may leave any number of the oldest.
//!
//! **A crash** starts the member again at once. One that stays down is one that nothing happens to.
//!
//! **Time** is abstracted away: a member's alarm rings when the search decides so. The shipped machine
//! has clocks in it, so each is stepped at a time of its own choosing, and what differs only by time
//! or chance is made equal by [`Raft::without_time`](quorate::raft::Raft::without_time) after every
//! step. The members' clocks need not agree, and time between steps is free, so this is a course that
//! the shipped code can take: before a step, so much time has passed that the member's promise to a
//! live leader is over, and its alarm has rung only if it is ticked to ring. What this leaves out is a
//! vote refused because of such a promise. That refusal changes nothing in who refuses, and tells the
//! candidate nothing that moves it (its ballot of that term is durable), so it is a letter that is
//! lost. Of two members that are equal without time, neither can be told from the other by anything
//! that the search can do: `tests/explore.rs` walks at random with a real clock beside.
//!
//! **Symmetry** is broken once: members differ by nothing before the first of them rings, so the first
//! to ring is n0. A test counts that it makes no difference which.
//!
//! **A change** of the configuration lets the last slot join. Who joins begins with an empty log, and
//! every member counts by the newest configuration of its own. A leader may then have more to say at once
//! than it says in one step, so anything that happens to it may have it go on: an answer that is spent is
//! dropped for an early tick, which is always at hand ([`Move::Nudge`]).
//!
//! What bounds a model is its [`Shape`]: the terms that may be campaigned in, and how often a host
//! proposes or changes the configuration, a leader beats and a member crashes.

pub mod laws;
pub mod member;
mod shape;
mod story;

pub use shape::{Rest, Shape};

use super::index::{Known, Numbered};
use super::{Broken, Model};
use laws::{Facts, MOST_ENTRIES};
use member::{Letter, Member, Move};
use quorate::id::Slot;
use quorate::raft::{Message, Output};

/// The largest group that can be explored.
pub const MOST_NODES: usize = 4;

/// The letters among what a member said.
pub fn letters(from: Slot, said: &[Output]) -> impl Iterator<Item = Letter> {
    let sent = said.iter().filter_map(|output| match output {
        Output::Send { to, message } => Some((*to, *message)),
        _ => None,
    });
    sent.flat_map(move |(to, message)| to.iter().map(move |to| Letter { from, to, message }))
}

/// A state, in numbers: of each member, of all that each has sent, and of the rest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    members: [u32; MOST_NODES],
    sent: [u32; MOST_NODES],
    rest: u32,
}

/// Something happens to a member: a slot and the number of a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Action {
    member: u8,
    happens: u16,
}

/// What comes of a move of a member.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// It cannot happen.
    Never,
    /// It breaks a law.
    Breaks,
    /// Then the member is this one and has said this.
    Then { member: u32, said: u32 },
}

/// A group to be explored, with everything known so far of its members.
///
/// A member's step depends on the member and on what happens to it, and on nothing else. So each is
/// taken once, and found again by two numbers.
#[derive(Clone, Debug)]
pub struct Group {
    shape: Shape,
    members: Numbered<Member>,
    facts: Vec<Facts>,
    moves: Numbered<Move>,
    said: Numbered<Vec<u32>>,
    sent: Numbered<Vec<u32>>,
    /// The letters of each set, by receiver.
    sent_to: Vec<[Vec<u32>; MOST_NODES]>,
    rests: Numbered<Rest>,
    outcomes: Known<Outcome>,
    additions: Known<u32>,
    removals: Known<u32>,
}

impl Group {
    /// A group of this shape.
    ///
    /// # Panics
    /// If the shape is too large to be explored.
    pub fn new(shape: Shape) -> Self {
        assert!(usize::from(shape.nodes) <= MOST_NODES, "too many members to explore");
        assert!(usize::from(shape.terms + shape.proposals) < MOST_ENTRIES, "too many entries");
        Self {
            shape,
            members: Numbered::new(),
            facts: Vec::new(),
            moves: Numbered::new(),
            said: Numbered::new(),
            sent: Numbered::new(),
            sent_to: Vec::new(),
            rests: Numbered::new(),
            outcomes: Known::new(),
            additions: Known::new(),
            removals: Known::new(),
        }
    }

    /// Holds every answer that was dropped as spent against every member that came up and that it is
    /// spent for; returns how many such pairs there are.
    ///
    /// # Errors
    /// [`Broken`]: one would have moved its receiver.
    pub fn drops_only_what_is_spent(&self) -> Result<usize, Broken> {
        let mut pairs = 0;
        for (number, facts) in self.facts.iter().enumerate() {
            let letters = (0..self.moves.len()).filter_map(|number| self.letter(number as u32));
            let is_its = |letter: &&Letter| {
                letter.to.number() == facts.me && letter.is_spent(facts.ballot.0)
            };
            for letter in letters.filter(is_its) {
                let member = self.members.get(number as u32);
                let after = member.after(Move::Hear(*letter))?;
                let means_nothing = if self.shape.changes > 0 && facts.leads {
                    after == member.after(Move::Nudge)?
                } else {
                    after.is_some_and(|(next, said)| next == *member && said.is_empty())
                };
                if !means_nothing {
                    let how = format!("{letter:?} moves {facts:?}");
                    return Err(Broken { law: "spent answers", how });
                }
                pairs += 1;
            }
        }
        Ok(pairs)
    }

    fn slots(&self) -> std::ops::Range<usize> {
        0..usize::from(self.shape.nodes)
    }

    fn number_member(&mut self, member: Member) -> u32 {
        let facts = member.facts();
        let (number, is_new) = self.members.number(member);
        if is_new {
            self.facts.push(facts);
        }
        number
    }

    fn letter(&self, number: u32) -> Option<&Letter> {
        match self.moves.get(number) {
            Move::Hear(letter) => Some(letter),
            _ => None,
        }
    }

    fn number_sent(&mut self, letters: Vec<u32>) -> u32 {
        let (number, is_new) = self.sent.number(letters);
        if is_new {
            let mut to = <[Vec<u32>; MOST_NODES]>::default();
            for &letter in self.sent.get(number) {
                if let Some(Letter { to: receiver, .. }) = self.letter(letter) {
                    to[receiver.position()].push(letter);
                }
            }
            self.sent_to.push(to);
        }
        number
    }

    fn outcome(&mut self, member: u32, happens: u32) -> Outcome {
        if let Some(outcome) = self.outcomes.get(member, happens) {
            return outcome;
        }
        let taken = self.members.get(member).after(*self.moves.get(happens));
        let outcome = match taken {
            Err(_) => Outcome::Breaks,
            Ok(None) => Outcome::Never,
            Ok(Some((next, outputs))) => {
                let from = next.machine().config().me;
                let heard = |letter| self.moves.number(Move::Hear(letter)).0;
                let said = letters(from, &outputs).map(heard).collect();
                let said = self.said.number(said).0;
                Outcome::Then { member: self.number_member(next), said }
            }
        };
        assert!(self.moves.len() <= usize::from(u16::MAX), "too many letters to explore");
        self.outcomes.put(member, happens, outcome);
        outcome
    }

    /// All that a member has sent, with what it now said.
    fn add(&mut self, sent: u32, said: u32) -> u32 {
        if let Some(sum) = self.additions.get(sent, said) {
            return sum;
        }
        let mut letters = self.sent.get(sent).clone();
        letters.extend(self.said.get(said));
        letters.sort_unstable();
        letters.dedup();
        let sum = self.number_sent(letters);
        self.additions.put(sent, said, sum);
        sum
    }

    /// All that a member has sent, without what is spent for a receiver.
    fn remove_spent(&mut self, sent: u32, receiver: usize, durable_term: u8) -> u32 {
        let to = (receiver as u32) << 8 | u32::from(durable_term);
        if let Some(rest) = self.removals.get(sent, to) {
            return rest;
        }
        let is_live = |letter: &u32| {
            let is_spent =
                |letter: &Letter| letter.to.position() == receiver && letter.is_spent(durable_term);
            !self.letter(*letter).is_some_and(is_spent)
        };
        let letters = self.sent.get(sent).iter().copied().filter(is_live).collect();
        let rest = self.number_sent(letters);
        self.removals.put(sent, to, rest);
        rest
    }

    /// The state after n0 was elected by n1 in the first term, with its entry on its own disk alone
    /// and every letter still on its way.
    fn reign(&mut self, mut state: State) -> State {
        let all = |_: &Message| true;
        self.take(&mut state, 0, Move::Ring);
        self.hear(&mut state, 1, |message| matches!(message, Message::PreVote { .. }));
        self.hear(&mut state, 0, all);
        self.take(&mut state, 0, Move::Persist(1));
        self.hear(&mut state, 1, |message| matches!(message, Message::Vote { .. }));
        self.take(&mut state, 1, Move::Persist(1));
        self.hear(&mut state, 0, |message| matches!(message, Message::VoteReply { .. }));
        self.take(&mut state, 0, Move::Persist(1));
        let (rest, _) = self.rests.number(Rest { left: self.shape, ..*self.rests.get(state.rest) });
        State { rest, ..state }
    }

    /// The state after that in which all founders have the entry on their disks, n0 knows it to be
    /// committed, and whatever else was said is lost.
    fn office(&mut self, mut state: State) -> State {
        let is_entry = |message: &Message| matches!(message, Message::Append { count: 1, .. });
        let is_ack = |message: &Message| matches!(message, Message::Matched { .. });
        for slot in 1..self.shape.founders() {
            self.hear(&mut state, slot, is_entry);
            self.take(&mut state, slot, Move::Persist(2));
            self.hear(&mut state, 0, is_ack);
            state.sent[usize::from(slot)] = self.number_sent(Vec::new());
        }
        state.sent[0] = self.number_sent(Vec::new());
        state
    }

    /// Does what begins every path.
    fn take(&mut self, state: &mut State, member: u8, happens: Move) {
        let action = Action { member, happens: self.moves.number(happens).0 as u16 };
        *state = self.apply(state, action).ok().flatten().expect("the beginning is lawful");
    }

    /// Has a member hear the one letter of a kind that is on its way to it.
    fn hear(&mut self, state: &mut State, member: u8, is_it: impl Fn(&Message) -> bool) {
        let to = usize::from(member);
        let sent = state.sent.iter().flat_map(|sent| &self.sent_to[*sent as usize][to]);
        let heard = |letter: &Letter| is_it(&letter.message);
        let letter = sent.filter_map(|number| self.letter(*number)).find(|letter| heard(letter));
        let letter = *letter.expect("it was sent");
        self.take(state, member, Move::Hear(letter));
    }

    fn facts_of(&self, state: &State) -> [Facts; MOST_NODES] {
        let mut facts = [Facts::default(); MOST_NODES];
        self.slots().for_each(|slot| facts[slot] = self.facts[state.members[slot] as usize]);
        facts
    }
}

impl Model for Group {
    type State = State;
    type Action = Action;

    fn initial(&mut self) -> Vec<State> {
        let nothing = self.number_sent(Vec::new());
        self.said.number(Vec::new());
        let (rest, _) = self.rests.number(Rest::of(self.shape));
        let mut state = State { members: [0; MOST_NODES], sent: [nothing; MOST_NODES], rest };
        for slot in self.slots() {
            let member = Member::new(Slot::new(slot as u8), self.shape.founders());
            state.members[slot] = self.number_member(member);
        }
        if self.shape.reigned {
            state = self.reign(state);
        }
        vec![if self.shape.changes > 0 { self.office(state) } else { state }]
    }

    fn actions(&mut self, state: &State, into: &mut Vec<Action>) {
        let rest = *self.rests.get(state.rest);
        for slot in self.slots() {
            let act = |happens| Action { member: slot as u8, happens };
            let letter = |letter: &u32| act(*letter as u16);
            let number = state.members[slot];
            let own = rest.permits(self.members.get(number), &self.facts[number as usize]);
            for happens in own {
                into.push(act(self.moves.number(happens).0 as u16));
            }
            for from in self.slots() {
                let sent = &self.sent_to[state.sent[from] as usize];
                into.extend(sent[slot].iter().map(letter));
            }
        }
    }

    fn apply(&mut self, state: &State, action: Action) -> Result<Option<State>, Broken> {
        let (slot, mut next) = (usize::from(action.member), *state);
        let before = state.members[slot];
        let (member, said) = match self.outcome(before, action.happens.into()) {
            Outcome::Never => return Ok(None),
            Outcome::Then { member, said } => (member, said),
            Outcome::Breaks => {
                let taken = self.members.get(before).after(*self.moves.get(action.happens.into()));
                return taken.map(|_| None);
            }
        };
        next.members[slot] = member;
        let (was, is) = (self.facts[before as usize], self.facts[member as usize]);
        if said != 0 {
            next.sent[slot] = self.add(state.sent[slot], said);
            for receiver in self.slots() {
                let term = self.facts[next.members[receiver] as usize].ballot.0;
                next.sent[slot] = self.remove_spent(next.sent[slot], receiver, term);
            }
            for &letter in self.said.get(said) {
                if let Some(letter) = self.letter(letter) {
                    let to = state.members[letter.to.position()];
                    laws::acknowledges_what_is(&is, &self.facts[to as usize], letter)?;
                }
            }
        }
        if is.ballot.0 != was.ballot.0 {
            for sender in self.slots() {
                next.sent[sender] = self.remove_spent(next.sent[sender], slot, is.ballot.0);
            }
        }
        let happens = *self.moves.get(action.happens.into());
        let is_counted = !matches!(happens, Move::Hear(_) | Move::Persist(_) | Move::Nudge);
        if is_counted || is.leads != was.leads || is.commit != was.commit {
            if is.leads && is.commit > was.commit {
                laws::counts_by_its_configuration(&was, &is, &self.facts_of(&next)[self.slots()])?;
            }
            let rest = self.rests.get(state.rest).after(happens, &is)?;
            (next.rest, _) = self.rests.number(rest);
        }
        Ok(Some(next))
    }

    fn check(&mut self, state: &State) -> Result<(), Broken> {
        let facts = self.facts_of(state);
        laws::hold(&facts[self.slots()], &self.rests.get(state.rest).past)
    }

    fn conclude(&mut self) -> Result<(), Broken> {
        self.drops_only_what_is_spent().map(|_| ())
    }

    fn story(&mut self, from: &State, path: &[Action]) -> String {
        let (mut members, mut story) = (from.members, String::new());
        for (action, number) in path.iter().zip(1..) {
            let slot = usize::from(action.member);
            let (member, happens) =
                (self.members.get(members[slot]), *self.moves.get(action.happens.into()));
            story::tell(&mut story, number, Slot::new(action.member), happens, member);
            if let Outcome::Then { member, .. } = self.outcome(members[slot], action.happens.into())
            {
                members[slot] = member;
            }
        }
        story
    }

    fn bytes(&self) -> usize {
        let members = self.members.bytes() + self.facts.capacity() * size_of::<Facts>();
        let sent =
            self.sent.bytes() + self.sent_to.capacity() * size_of::<[Vec<u32>; MOST_NODES]>();
        members + sent + self.outcomes.bytes() + self.additions.bytes() + self.removals.bytes()
    }
}
