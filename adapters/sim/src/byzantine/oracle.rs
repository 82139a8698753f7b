//! What a Byzantine group promises, checked against what its correct members do and what anybody signs.
//!
//! | oracle | promise |
//! |---|---|
//! | B1 | no two correct members decide two values at one position |
//! | B2 | what is executed a client has asked for, or it is nothing |
//! | B3 | all execute the same in the same order, and no request twice |
//! | B4 | at one position in one view a quorum votes for at most one value, and a proof names a quorum that did |
//! | B5 | a view begins with all that was committed before, and its members vote for what it begins with |
//! | B6 | votes stay in the window, and what others can make a member hold stays below its bound |
//! | B7 | who contradicts itself before a correct member is accused, and nobody else ever is |
//! | B8 | a correct member contradicts itself never, in whatever life |
//! | B9 | what nobody has signed changes nothing |
//! | V5 | once faults end, all requests are executed by all |

use crate::pbft::{Book, What, request_of};
use crate::swarm::hash::fold;
use quorate::id::{Digest, Index, Members, Slot, View};
use quorate::pbft::{Evidence, Message, Pbft, Phase, Prepared, Value, ViewChange, Vote, is_quorum};
use quorate::quorum;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which.
    pub promise: &'static str,
    /// By whom, and how.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

pub(super) type Verdict = Result<(), Broken>;

pub(super) fn broken(promise: &'static str, what: String) -> Verdict {
    Err(Broken { promise, what })
}

/// Of what a member says once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Place {
    Vote(Phase, View, Index),
    Checkpoint(Index),
    ViewChange(View),
    NewView(View),
}

/// What a view began with for somebody: position of the checkpoint, and the values after it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Beginning {
    view: View,
    low: Index,
    values: Vec<Value>,
}

impl Beginning {
    /// The paper's rule, written down a second time.
    fn of(view: View, changes: &[(Slot, ViewChange)]) -> Self {
        let low = changes.iter().map(|it| it.1.stable.checkpoint.index).max();
        let low = low.unwrap_or(Index::ZERO);
        let mut newest: BTreeMap<Index, (View, Value)> = BTreeMap::new();
        for claim in changes.iter().flat_map(|it| it.1.claims.iter()) {
            let known = newest.entry(claim.index).or_insert((claim.view, claim.value));
            if claim.view > known.0 {
                *known = (claim.view, claim.value);
            }
        }
        let last = newest.keys().last().copied().unwrap_or(low).above(low);
        let at = |after: u64| newest.get(&low.plus(after)).map_or(Value::NULL, |it| it.1);
        Self { view, low, values: (1..=last).map(at).collect() }
    }

    /// What it has at a position: nothing below its checkpoint, where all is decided.
    fn at(&self, index: Index) -> Option<Option<Value>> {
        let after = index.above(self.low).checked_sub(1)?;
        Some(self.values.get(usize::try_from(after).ok()?).copied())
    }
}

/// All that was decided, executed, said and begun.
#[derive(Clone, Debug)]
pub struct Oracle {
    members: Members,
    liars: Members,
    /// More lie than the group tolerates: then only outcomes are looked at, for what leads to them would
    /// always be seen first.
    is_lost: bool,
    book: Book,
    decided: BTreeMap<Index, (Slot, Value)>,
    executed: Vec<Value>,
    requests: BTreeSet<u64>,
    said: BTreeMap<(Slot, Place), u64>,
    voters: BTreeMap<(Phase, View, Index), Vec<(Value, Members)>>,
    certified: BTreeMap<(Index, View), Value>,
    begun: Vec<Beginning>,
    entered: BTreeMap<Slot, Beginning>,
}

impl Oracle {
    /// An oracle of a group in which these lie.
    pub fn new(members: Members, liars: Members, book: Book) -> Self {
        Self {
            members,
            liars,
            is_lost: liars.len() > quorum::liars(members.len()),
            book,
            decided: BTreeMap::new(),
            executed: Vec::new(),
            requests: BTreeSet::new(),
            said: BTreeMap::new(),
            voters: BTreeMap::new(),
            certified: BTreeMap::new(),
            begun: Vec::new(),
            entered: BTreeMap::new(),
        }
    }

    /// Who has signed what.
    pub(super) const fn book(&self) -> &Book {
        &self.book
    }

    /// The longest that anybody has executed.
    pub fn executed(&self) -> &[Value] {
        &self.executed
    }

    /// Whether a request was executed, in whatever variant.
    pub fn is_executed(&self, request: Digest) -> bool {
        self.requests.contains(&request_of(request))
    }

    /// B1: a correct member decides.
    ///
    /// # Errors
    /// [`Broken`], as from all others.
    pub fn decides(&mut self, by: Slot, index: Index, value: Value) -> Verdict {
        let known = *self.decided.entry(index).or_insert((by, value));
        if known.1 == value {
            return Ok(());
        }
        let (first, other) = known;
        broken("B1", format!("{by} decides {value:?} at {index}, and {first} had {other:?}"))
    }

    /// B2 and B3: a correct member has executed these after the first `from`.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn executes(&mut self, by: Slot, from: usize, values: &[Value]) -> Verdict {
        for (at, value) in values.iter().enumerate().map(|(at, value)| (at + from, value)) {
            if let Some(known) = self.executed.get(at) {
                if known != value {
                    let at = at + 1;
                    return broken("B3", format!("{by} executes {value:?} at {at}, not {known:?}"));
                }
                continue;
            }
            if value.digest != Digest::NULL {
                if !self.book.is_asked(value.digest) {
                    return broken("B2", format!("{by} executes {value:?}: nobody asked for it"));
                }
                if !self.requests.insert(request_of(value.digest)) {
                    return broken("B3", format!("{by} executes {value:?} a second time"));
                }
            }
            self.executed.push(*value);
        }
        Ok(())
    }

    /// B4, B5 and B8: somebody signs something.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn says(&mut self, by: Slot, what: &What) -> Verdict {
        let (place, content) = match what {
            What::Message(Message::Vote(vote), _) => {
                self.votes(by, *vote)?;
                (Place::Vote(vote.phase, vote.view, vote.index), fold(0, &vote.value))
            }
            What::Message(Message::Checkpoint(it), _) => (Place::Checkpoint(it.index), fold(0, it)),
            What::ViewChange(change) => (Place::ViewChange(change.view), fold(0, change)),
            What::NewView(view, changes) => (Place::NewView(*view), fold(0, changes)),
            _ => return Ok(()),
        };
        let first = *self.said.entry((by, place)).or_insert(content);
        if first != content && !self.liars.contains(by) {
            return broken("B8", format!("{by} contradicts itself on {place:?}"));
        }
        Ok(())
    }

    fn votes(&mut self, by: Slot, vote: Vote) -> Verdict {
        let Vote { phase, view, index, value } = vote;
        if !self.members.contains(by) || self.is_lost {
            return Ok(());
        }
        let entered = self.entered.get(&by).filter(|it| it.view == view);
        let due = entered.and_then(|it| it.at(index)).flatten();
        if let Some(due) = due.filter(|due| !self.liars.contains(by) && *due != value) {
            let what = format!("{by} votes {value:?} at {index}, v{view} has {due:?}");
            return broken("B5", what);
        }
        let all = self.voters.entry((phase, view, index)).or_default();
        match all.iter_mut().find(|it| it.0 == value) {
            Some((_, voters)) => *voters = voters.with(by),
            None => all.push((value, Members::only(by))),
        }
        let mut winners = all.iter().filter(|it| is_quorum(it.1, self.members));
        let winner = winners.next().copied();
        if let Some(second) = winners.next() {
            return broken(
                "B4",
                format!("{phase:?} v{view} at {index}: {winner:?} and {second:?}"),
            );
        }
        let is_new = |it: &(Value, Members)| it.0 == value;
        if phase == Phase::Commit && winner.is_some_and(|it| is_new(&it)) {
            self.certified.insert((index, view), value);
            for beginning in self.begun.iter().filter(|it| it.view > view) {
                carries(beginning, index, value)?;
            }
        }
        Ok(())
    }

    /// B4: a correct member holds proof that a value is prepared.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn proves(&self, by: Slot, proof: &Prepared) -> Verdict {
        // Its own vote may not have left yet.
        let has_signed = |it: Slot| it == by || self.book.has_vote(it, proof.vote());
        let is_borne_out = proof.signers.iter().all(has_signed);
        if is_borne_out && is_quorum(proof.signers, self.members) {
            return Ok(());
        }
        broken("B4", format!("{by} holds {proof:?}, which is no proof"))
    }

    /// B5: a view begins for a correct member. Tells whether it began otherwise for another.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn begins(
        &mut self,
        by: Slot,
        view: View,
        changes: &[(Slot, ViewChange)],
    ) -> Result<bool, Broken> {
        let senders: Members = changes.iter().map(|it| it.0).collect();
        let is_meant = changes.iter().all(|it| it.1.view == view);
        if !is_meant || senders.len() != changes.len() || !is_quorum(senders, self.members) {
            let what = format!("{by} enters v{view} with {changes:?}");
            return Err(Broken { promise: "B5", what });
        }
        let beginning = Beginning::of(view, changes);
        // If too many lie, nothing is certified.
        for ((index, before), value) in &self.certified {
            if *before < view {
                carries(&beginning, *index, *value)?;
            }
        }
        let is_other = |it: &Beginning| it.view == view && *it != beginning;
        let differs = self.begun.iter().any(is_other);
        if !self.begun.contains(&beginning) {
            self.begun.push(beginning.clone());
        }
        self.entered.insert(by, beginning);
        Ok(differs)
    }

    /// How many values that were committed earlier the newest beginning of a member carries.
    pub fn carried(&self, by: Slot) -> usize {
        let Some(it) = self.entered.get(&by) else { return 0 };
        self.certified.keys().filter(|(index, view)| *view < it.view && *index > it.low).count()
    }

    /// B6: a correct member says this while its window reaches so far.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn stays_within(by: Slot, what: &What, low: Index, high: Index) -> Verdict {
        match what {
            What::Message(Message::Vote(Vote { index, .. }), _)
                if *index <= low || *index > high =>
            {
                broken("B6", format!("{by} votes at {index}, outside {low} to {high}"))
            }
            _ => Ok(()),
        }
    }

    /// B6: what others have made a correct member hold.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn holds(by: Slot, held: usize, most: usize) -> Verdict {
        if held <= most {
            return Ok(());
        }
        broken("B6", format!("{by} holds {held} statements, and may hold {most}"))
    }

    /// B7: a correct member accuses.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn accuses(&self, by: Slot, evidence: &Evidence) -> Verdict {
        let liar = evidence.by();
        let has_signed = match evidence {
            Evidence::Votes { first, second, .. } => {
                self.book.has_vote(liar, *first) && self.book.has_vote(liar, *second)
            }
            Evidence::Checkpoints { first, second, .. } => {
                let signed = |it| {
                    self.book.bears_out_what(liar, &What::Message(Message::Checkpoint(it), false))
                };
                signed(*first) && signed(*second)
            }
            Evidence::ViewChanges { .. } => true,
        };
        if self.liars.contains(liar) && evidence.is_sound() && has_signed {
            return Ok(());
        }
        broken("B7", format!("{by} accuses {liar} wrongly: {evidence:?}"))
    }

    /// B9: a forged packet came, and the machine was so before and is so now.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn unmoved(by: Slot, before: &Pbft, after: &Pbft) -> Verdict {
        if before.clone().without_time() == after.clone().without_time() {
            return Ok(());
        }
        broken("B9", format!("what nobody has signed has moved {by}"))
    }
}

fn carries(beginning: &Beginning, index: Index, value: Value) -> Verdict {
    match beginning.at(index) {
        None => Ok(()),
        Some(it) if it == Some(value) => Ok(()),
        Some(other) => {
            let Beginning { view, .. } = beginning;
            broken(
                "B5",
                format!("v{view} begins with {other:?} at {index}, committed was {value:?}"),
            )
        }
    }
}
