//! What a member remembers: scenarios 41 to 45 of the field.

use crate::council::*;
use quorate::event::Stopped;
use std::collections::BTreeMap;

/// A member that is told of a value by its primary, by others that they accept it, and by others that
/// they have left the view. After each of these it says something.
const STORY: [fn(&mut Alone); 3] = [
    |c| c.votes([0], Phase::Prepare, 0, 1, Alone::new(4, 1).value(1)),
    |c| c.votes([2, 3], Phase::Prepare, 0, 1, Alone::new(4, 1).value(1)),
    |c| {
        for from in [0, 2, 3] {
            let change = change(1, []);
            let _ = c.tell(Input::ViewChange(Verified::attest(Slot::new(from), &change)));
        }
    },
];

/// How much it has said that binds it.
fn bound(c: &Alone) -> usize {
    let binds = |it: &&Output| {
        matches!(
            it,
            Output::Send { message: Message::Vote(_), .. }
                | Output::SendViewChange { .. }
                | Output::SendNewView { .. }
        )
    };
    c.said.iter().filter(binds).count()
}

// asonnino/hotstuff#15, sawtooth-pbft: it was sent, and then written.
#[test]
fn nothing_that_binds_is_said_before_it_is_on_disk() {
    let mut c = Alone::new(4, 1);
    c.disk_is_fast = false;
    for (step, happens) in STORY.into_iter().enumerate() {
        happens(&mut c);
        c.pass(Span::millis(300));
        assert_eq!(bound(&c), step, "before {step} is on disk");
        c.persisted();
        assert_eq!(bound(&c), step + 1, "after {step} is on disk");
    }
}

// The same of a proposal: it is its primary's vote, and leaves no earlier than any other.
#[test]
fn a_proposal_is_on_disk_before_it_leaves() {
    let mut c = Alone::new(4, 0);
    c.disk_is_fast = false;
    c.tell(Input::Propose(c.value(1))).expect("it leads");
    c.pass(Span::millis(300));
    assert_eq!(bound(&c), 0);
    let mut d = c.reborn(0);
    d.tell(Input::Propose(d.value(2))).expect("it leads again, and is not bound");
    c.persisted();
    assert_eq!(c.voted().len(), 1);
}

// telcoin#934, autonity#969, bsc#2598, malachite PR#864: it voted, crashed, and voted otherwise.
#[test]
fn who_has_voted_has_voted_after_a_restart() {
    let mut c = Alone::new(4, 1);
    let (first, other) = (c.value(1), c.value(2));
    c.votes([0], Phase::Prepare, 0, 1, first);
    let mut d = c.reborn(c.written.len());
    d.votes([0, 2, 3], Phase::Prepare, 0, 1, other);
    let votes: Vec<_> = d.voted().iter().map(|it| it.value).collect();
    assert_eq!(votes, [first], "the same again, and no other");
    d.votes([2, 3], Phase::Prepare, 0, 1, first);
    assert!(d.voted().iter().all(|it| it.value == first));

    // A primary numbers on after what it has proposed.
    let mut c = Alone::new(4, 0);
    c.tell(Input::Propose(first)).expect("it leads");
    let mut d = c.reborn(c.written.len());
    d.tell(Input::Propose(other)).expect("it leads again");
    let votes: Vec<_> = d.voted().iter().map(|it| (it.index.number(), it.value)).collect();
    assert_eq!(votes, [(1, first), (2, other)]);
}

// malachite `process!`: a write had failed, and what depended on it was said all the same.
#[test]
fn after_a_failed_write_nothing_more_is_said() {
    for steps in 1..=STORY.len() {
        let mut c = Alone::new(4, 1);
        for (step, happens) in STORY.into_iter().take(steps).enumerate() {
            c.disk_is_fast = step + 1 < steps;
            happens(&mut c);
        }
        let said = bound(&c);
        c.tell(Input::PersistFailed).expect("it may fail");
        assert_eq!(c.machine.stopped(), Some(Stopped::WriteFailed));
        c.persisted();
        assert_eq!(c.tell(Input::Tick), Err(Refused::Stopped));
        c.votes([0, 2, 3], Phase::Prepare, 0, 2, c.value(2));
        assert_eq!((bound(&c), c.machine.deadline()), (said, None), "{steps}");
    }
}

// A confirmation of a former life came late, and was taken for one of this life.
#[test]
fn a_confirmation_of_a_former_life_confirms_nothing() {
    let mut c = Alone::new(4, 1);
    STORY[0](&mut c);
    let receipt = c.said.iter().find_map(|it| match it {
        Output::Persist { receipt, .. } => Some(*receipt),
        _ => None,
    });
    let mut d = c.reborn(0);
    d.disk_is_fast = false;
    STORY[0](&mut d);
    let _ = d.tell(Input::Persisted(receipt.expect("it has written")));
    assert_eq!(bound(&d), 0);
    d.persisted();
    assert_eq!(bound(&d), 1);
}

// tendermint#8739, #3089: a guard against signing twice kept a restarted member from saying the same
// again, and all were stuck.
#[test]
fn all_that_were_in_the_middle_of_something_finish_it_after_a_restart() {
    let mut c = group(4);
    request(&mut c, [1, 2]);
    for _ in 0..14 {
        c.deliver_at(0);
    }
    c.flights.clear();
    (0..4).for_each(|slot| c.restart(slot));
    c.pass(Span::millis(500));
    for slot in 0..4 {
        assert_eq!(c.executed(slot), payloads([1, 2]), "{slot}: {}", c.story());
        assert_eq!(c.machine(slot).machine.view(), View::ZERO, "without leaving the view");
    }
}

// bcos-pbft FIB-137, FIB-138: what was under way from an earlier term met a state that had just been
// recovered.
#[test]
fn what_was_under_way_from_an_earlier_view_does_nothing_after_a_restart() {
    let mut c = group(4);
    request(&mut c, [1]);
    let late = c.hold(0, 3);
    c.settle();
    (1..4).for_each(|slot| c.ask(slot, Ask::Request(payload(2))).expect("there is room"));
    (1..4).for_each(|slot| c.ask(slot, Ask::Suspect(Slot::new(0))).expect("it may be doubted"));
    c.settle();
    c.restart(3);
    c.tick(3);
    assert_eq!(c.machine(3).machine.view(), View::new(1), "{}", c.story());
    let voted = c.machine(3).machine.voted();
    c.flights = late;
    c.settle();
    assert_eq!(c.machine(3).machine.voted(), voted);
}

/// All that a member has said that binds it, by what it is about.
#[derive(Clone, Default)]
struct Sayings {
    votes: BTreeMap<(Slot, Phase, View, Index), Value>,
    states: BTreeMap<(Slot, Index), Checkpoint>,
    left: Vec<(Slot, ViewChange)>,
    begun: Vec<(View, Vec<(Slot, ViewChange)>)>,
}

impl Sayings {
    /// Hears what was sent last; it may say nothing that contradicts what was said before.
    fn hear(&mut self, c: &Group, sent: usize) {
        let heard = c.flights.len() - (c.sent - sent);
        for flight in c.flights.iter().skip(heard) {
            let by = flight.packet.by;
            match &flight.packet.what {
                What::Message(Message::Vote(it), _) => {
                    let first = self.votes.entry((by, it.phase, it.view, it.index));
                    assert_eq!(*first.or_insert(it.value), it.value, "{by}: {it:?}");
                    let has_left = |old: &(Slot, ViewChange)| old.0 == by && old.1.view > it.view;
                    assert!(!self.left.iter().any(has_left), "{by} has left: {it:?}");
                }
                What::Message(Message::Checkpoint(it), _) => {
                    let first = self.states.entry((by, it.index));
                    assert_eq!(*first.or_insert(*it), *it, "{by}");
                }
                What::ViewChange(it) => {
                    let known = self.left.iter().find(|old| (old.0, old.1.view) == (by, it.view));
                    match known {
                        Some((_, known)) => assert_eq!(known, it, "{by}"),
                        None => self.left.push((by, it.clone())),
                    }
                }
                What::NewView(view, changes) => {
                    match self.begun.iter().find(|old| old.0 == *view) {
                        Some((_, known)) => assert_eq!(known, changes, "{by}"),
                        None => self.begun.push((*view, changes.clone())),
                    }
                }
                _ => {}
            }
        }
    }

    /// The oldest message arrives; and the oldest write of a member with a slow disk is durable.
    fn step(&mut self, c: &mut Group, slow: Slot) {
        let sent = c.sent;
        if !c.flights.is_empty() {
            c.deliver_at(0);
            self.hear(c, sent);
        }
        let sent = c.sent;
        c.persist(slow, 1);
        self.hear(c, sent);
    }

    fn pass(&mut self, c: &mut Group, slow: Slot, rounds: usize) {
        for _ in 0..rounds {
            while !c.flights.is_empty() || c.pending(slow.number()) > 0 {
                self.step(c, slow);
            }
            c.jump(Span::millis(50));
            for slot in c.living() {
                let sent = c.sent;
                c.tick(slot.number());
                self.hear(c, sent);
            }
        }
    }
}

/// Crashes a member after each step of a run in which views change and checkpoints become stable, with
/// none or with one of its writes saved, and sees that nobody contradicts itself and all go on.
fn crash_at_every_point(victim: u8) {
    let slow = Slot::new(victim);
    let mut c = group(4);
    c.is_told(false);
    c.disk_is_fast(victim, false);
    let mut sayings = Sayings::default();
    let (mut points, mut next) = (0, 1);
    loop {
        for kept in [0, 1] {
            let (mut c, mut sayings) = (c.clone(), sayings.clone());
            c.crash(slow, kept);
            c.start(slow);
            sayings.pass(&mut c, slow, 60);
            for slot in 0..4 {
                assert_eq!(c.executed(slot), c.executed(0), "{victim} {points} {kept}: {slot}");
                assert_eq!(c.executed(slot).len(), next - 1, "{victim} {points} {kept}: {slot}");
                assert_eq!(accused(&c, slot), Members::NONE);
            }
        }
        if c.flights.is_empty() && c.pending(victim) == 0 {
            if next > 10 {
                return;
            }
            let sent = c.sent;
            c.jump(Span::millis(10));
            request(&mut c, [next as u64]);
            let primary = c.machine(1).machine.primary();
            for slot in (0..4).filter(|it| next % 3 == 0 && Slot::new(*it) != primary) {
                let _ = c.ask(slot, Ask::Suspect(primary));
            }
            sayings.hear(&c, sent);
            next += 1;
        }
        sayings.step(&mut c, slow);
        points += 1;
    }
}

// All of 41 to 44 at once, for the primary of the first view and for those after it.
#[test]
fn a_crash_at_any_point_makes_no_member_contradict_itself() {
    (0..4).for_each(crash_at_every_point);
}
