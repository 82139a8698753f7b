//! From a run that breaks a promise to a short one that breaks the same (Zeller and Hildebrandt,
//! *Simplifying and isolating failure-inducing input*, TSE 2002).
//!
//! Actions are left out in pieces, large ones first, as long as the promise is still broken. Since
//! packets are known by what made them, what depends on something that was left out goes with it.

use super::action::{Act, Action};
use super::hosted::Hosted;
use super::options::Options;
use super::schedule::Schedule;
use super::script::{Played, Sought, breaks, play};
use super::story::EVERYBODY;
use crate::trace::Trace;

/// A run that was made short.
#[derive(Clone, Debug, Default)]
pub struct Shrunk {
    /// What is left of it: steps of machines, and what hosts, disks, clocks and faults do.
    pub actions: Vec<Action>,
    /// How many steps of machines that is.
    pub events: u64,
    /// The story of that.
    pub trace: Trace,
}

impl Shrunk {
    /// A run that was not made short.
    pub(super) fn whole(report: super::run::Report) -> Self {
        let events = report.counts.events;
        Self { actions: report.actions, events, trace: report.trace.unwrap_or_default() }
    }
}

/// How many actions may be played to make one run short: some seconds' worth.
const BUDGET: usize = 16_000_000;

/// A list that still breaks a promise, and what may still be spent on making it shorter.
struct Search<'a> {
    seed: u64,
    options: &'a Options,
    sought: Sought<'a>,
    actions: Vec<Action>,
    left: usize,
}

impl Search<'_> {
    /// Takes a shorter list if it breaks the promise too.
    fn try_out<H: Hosted>(&mut self, shorter: Vec<Action>) -> bool {
        // What settles after the actions is as long as many of them.
        let cost = shorter.len() + if matches!(self.sought, Sought::After(_)) { 6_000 } else { 50 };
        self.left = self.left.saturating_sub(cost);
        match breaks::<H>((self.seed, self.options), &shorter, self.sought) {
            Some(end) => {
                self.actions = shorter;
                self.actions.truncate(end);
                true
            }
            None => false,
        }
    }

    /// Leaves out whatever is of a kind.
    fn without<H: Hosted>(&mut self, is_of_a_kind: impl Fn(&Act) -> bool) {
        let kept: Vec<_> =
            self.actions.iter().filter(|action| !is_of_a_kind(&action.act)).cloned().collect();
        if kept.len() < self.actions.len() {
            self.try_out::<H>(kept);
        }
    }

    /// Leaves out pieces of a length, from the end to the beginning.
    fn in_pieces<H: Hosted>(&mut self, length: usize) -> bool {
        let before = self.actions.len();
        let mut end = self.actions.len();
        while end > 0 && self.left > 0 {
            end = end.min(self.actions.len());
            let start = end.saturating_sub(length);
            let mut shorter = self.actions[..start].to_vec();
            shorter.extend_from_slice(&self.actions[end..]);
            self.try_out::<H>(shorter);
            end = start;
        }
        self.actions.len() < before
    }

    /// Leaves out what few bugs need, all of a kind at once, and whole members and clients.
    fn by_kinds<H: Hosted>(&mut self) {
        self.without::<H>(|act| {
            matches!(act, Act::Corrupt(..) | Act::Mark(_) | Act::Rate(..) | Act::Unreachable(..))
        });
        self.without::<H>(|act| matches!(act, Act::Step(..) | Act::Freeze(..)));
        self.without::<H>(|act| {
            matches!(act, Act::Rot(..) | Act::Lose(_) | Act::Forget(_) | Act::StepDown(_))
        });
        self.without::<H>(|act| matches!(act, Act::Transfer(..) | Act::Suspect(..)));
        self.without::<H>(|act| matches!(act, Act::Change(..)));
        self.without::<H>(|act| matches!(act, Act::Read(_)));
        for lane in 0..16 {
            self.without::<H>(|act| is_in_lane(act, lane));
        }
    }

    /// Leaves out two at a time: what one does and another answers.
    fn in_pairs<H: Hosted>(&mut self) -> bool {
        let before = self.actions.len();
        let mut first = 0;
        while first < self.actions.len() && self.left > 0 {
            let mut second = first + 1;
            while second < self.actions.len() && self.left > 0 {
                let mut shorter = self.actions.clone();
                shorter.remove(second);
                shorter.remove(first);
                if !self.try_out::<H>(shorter) {
                    second += 1;
                }
            }
            first += 1;
        }
        self.actions.len() < before
    }

    /// Lets members die between two outputs only where that matters.
    fn plainly<H: Hosted>(&mut self) {
        for place in 0..self.actions.len() {
            if self.left == 0 || place >= self.actions.len() {
                return;
            }
            if self.actions[place].cut.is_some() {
                let mut plainer = self.actions.clone();
                plainer[place].cut = None;
                self.try_out::<H>(plainer);
            }
        }
    }

    /// What is left, with its story.
    fn tell<H: Hosted>(self, oracle: &str, of: usize) -> Shrunk {
        let Search { seed, options, sought, actions, .. } = self;
        let mut world = Schedule::<H>::world_of(seed, options);
        let lanes = super::run::lanes_of(&world);
        let left = actions.len();
        let title = format!("seed {seed} breaks {oracle}: {left} of {of} actions. {options}");
        world.trace = Some(Trace { title, lanes, moments: Vec::new() });
        let Played { mut world, violation, events, .. } =
            play(world, (seed, options), &actions, sought);
        if let Some(violation) = violation {
            world.tell(EVERYBODY, crate::trace::What::Violation, || violation.to_string());
        }
        Shrunk { actions, events, trace: world.trace.take().unwrap_or_default() }
    }
}

/// Lists longer than this are not tried by pairs.
const PAIRS: usize = 300;

/// What was on its way when everything was mended arrives within so many actions: without it a
/// group may settle that did not.
const ARRIVING: usize = 300;

/// Makes a run that breaks a promise short; `faulty` of its actions happened before everything was
/// mended. None if the list by itself does not break it.
pub(super) fn shrink<H: Hosted>(
    (seed, options): (u64, &Options),
    oracle: &str,
    (actions, faulty): (&[Action], usize),
) -> Option<Shrunk> {
    let sought = Sought::of(oracle);
    let mut search = Search { seed, options, sought, actions: Vec::new(), left: BUDGET };
    let upto = |end: usize| actions[..end.min(actions.len())].to_vec();
    if !search.try_out::<H>(upto(faulty)) && !search.try_out::<H>(upto(faulty + ARRIVING)) {
        return None;
    }
    search.by_kinds::<H>();
    let mut length = search.actions.len().next_power_of_two() / 2;
    while search.left > 0 && length > 0 {
        let shrank = search.in_pieces::<H>(length);
        // Once single ones are left out, others may have become needless.
        if length > 1 || !shrank {
            length = if length > 64 { length / 4 } else { length / 2 };
        }
    }
    let mut goes_on = search.actions.len() <= PAIRS;
    while goes_on && search.left > 0 {
        goes_on = search.in_pairs::<H>() && search.in_pieces::<H>(1);
    }
    search.plainly::<H>();
    Some(search.tell::<H>(oracle, actions.len()))
}

pub(super) const fn is_in_lane(act: &Act, lane: u8) -> bool {
    match *act {
        Act::Deliver(id) | Act::Corrupt(id, _) => id.to == lane,
        Act::Tick(of)
        | Act::Disk(of, ..)
        | Act::Confirm(of)
        | Act::Propose(of, _)
        | Act::Read(of)
        | Act::Suspect(of, _)
        | Act::StepDown(of)
        | Act::Transfer(of, _)
        | Act::Change(of, _)
        | Act::Admit(of, _)
        | Act::Dismiss(of, _)
        | Act::Mark(of)
        | Act::Call(of, _)
        | Act::Unreachable(of, _)
        | Act::Crash(of, _)
        | Act::Start(of)
        | Act::Rot(of, _)
        | Act::Lose(of)
        | Act::Forget(of)
        | Act::Step(of, _)
        | Act::Freeze(of, _)
        | Act::Rate(of, _) => of == lane,
    }
}
