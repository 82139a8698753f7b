//! The plan: what a leader does next, so that those belong to the group who should.
//!
//! It is a function of what is replicated and of what the leader sees, and has no state of its own: a new
//! leader goes on where the last one was. It changes one thing at a time, and nothing while a change is
//! under way.
//!
//! > **Nobody is removed whom the group needs.** Who is removed leaves a quorum behind of members that were
//! > heard within an election timeout, and of the smaller group. Who is evicted because it is silent leaves
//! > one of the group that it belonged to as well, and never fewer voters than [`Config::min_voters`]
//! > (consul#5922 removed one dead server after the other until a minority was a quorum).

use super::{Command, Roster};
use crate::id::{Members, Slot};
use crate::quorum::Vote;
use crate::raft::{Change, Configuration};
use crate::time::Span;

/// What a group should look like. All members should be told the same: whoever leads goes by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// How many members should vote. Others learn and stand by.
    pub replication_factor: u32,
    /// After how long a silence a voter is told to leave. None: never, and people decide.
    pub evict_after: Option<Span>,
    /// No eviction leaves fewer voters than these.
    pub min_voters: u32,
}

impl Default for Config {
    /// As many voters as there are members, and nobody is evicted.
    fn default() -> Self {
        Self { replication_factor: u32::MAX, evict_after: None, min_voters: 3 }
    }
}

/// What a leader sees of the members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sight {
    /// The leader.
    pub(crate) me: Slot,
    /// Who belongs to the group.
    pub(crate) configuration: Configuration,
    /// It may not be changed now.
    pub(crate) changing: bool,
    /// Learners that could vote without holding up commits.
    pub(crate) fit: Members,
    /// Members heard within an election timeout.
    pub(crate) alive: Members,
    /// Members that hold the configuration on disk.
    pub(crate) informed: Members,
    /// Members that hold all that is committed.
    pub(crate) current: Members,
    /// Members that have been silent for so long that they may be evicted.
    pub(crate) silent: Members,
}

/// What a leader does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Changes the configuration.
    Change(Configuration),
    /// Hands leadership over.
    Transfer(Slot),
    /// Changes the roster.
    Propose(Command),
    /// Something is still to be done, and cannot be done now.
    Wait,
}

impl Roster {
    /// The next step towards the group that is meant; none if it is that group.
    pub(crate) fn plan(&self, config: &Config, sight: &Sight) -> Option<Step> {
        let leaving = self.slots(|seat| seat.leaves);
        let staying = self.slots(|seat| !seat.leaves);
        let changes =
            [begin(staying, sight), self.fill(config, leaving, sight), remove(leaving, sight)];
        let is_complete = changes.iter().all(Option::is_none);
        let evicts = if is_complete { self.evict(config, staying, sight) } else { None };
        let steps = changes.into_iter().chain([evicts, self.vacate(leaving, sight)]);
        let mut steps = steps.flatten().map(|step| match step {
            Step::Change(_) | Step::Transfer(_) if sight.changing => Step::Wait,
            step => step,
        });
        // What waits holds up nothing else: it may wait for just that.
        let first = steps.next()?;
        Some(if first == Step::Wait {
            steps.find(|it| *it != first).unwrap_or(first)
        } else {
            first
        })
    }

    /// Brings voters in and lets voters go. Voters without a seat are as good as any: they have not been
    /// introduced yet.
    fn fill(&self, config: &Config, leaving: Members, sight: &Sight) -> Option<Step> {
        let Sight { me, configuration, fit, alive, informed, .. } = *sight;
        let voters = configuration.voters();
        let (stay, go) = (voters.minus(leaving), voters.shared(leaving));
        let is_wanted = stay.len() < config.replication_factor as usize;
        let spares = configuration.learners().minus(leaving).shared(self.slots(|_| true));
        // Who was never heard is taken for alive at first, and a short log takes everyone for fit.
        let ready = spares.shared(fit).shared(alive).shared(informed);
        let spare = ready.iter().next().filter(|_| is_wanted);
        // Whoever is silent goes first: without it those who stay are a quorum sooner.
        let others = go.without(me);
        let goes = others.minus(alive).iter().chain(others.iter()).next();
        match (goes, spare) {
            (Some(goes), Some(spare)) => {
                let swap = [Change::Remove(goes), Change::AddVoter(spare)];
                Some(change(configuration.enter_joint(true, &swap)))
            }
            (None, Some(spare)) => Some(change(configuration.simple(&[Change::AddVoter(spare)]))),
            // It will be able to stand in.
            (_, None) if !go.is_empty() && is_wanted && !spares.shared(alive).is_empty() => {
                Some(Step::Wait)
            }
            // Whoever can be spared, for that may be another than the first.
            (Some(_), None) => {
                let without = |slot| configuration.simple(&[Change::Remove(slot)]).ok();
                let has_quorum = |after: &Configuration| {
                    after.vote(|slot| Some(alive.contains(slot))) == Vote::Won
                };
                let after = others.iter().filter_map(without).find(has_quorum);
                Some(after.map_or(Step::Wait, Step::Change))
            }
            (None, None) if go.contains(me) => {
                let heirs = stay.minus(configuration.witnesses()).shared(alive);
                // One that lags may never take over, and would be asked for ever.
                let heirs = [heirs.shared(sight.current), heirs];
                let heir = heirs.iter().find_map(|heirs| heirs.iter().next());
                Some(heir.map_or(Step::Wait, Step::Transfer))
            }
            (None, None) => None,
        }
    }

    /// Whoever was removed, and all know, has no seat.
    fn vacate(&self, leaving: Members, sight: &Sight) -> Option<Step> {
        let members = sight.configuration.members();
        let slot = leaving.minus(members).iter().next()?;
        let since = self.seat(slot)?.since;
        let all_know = members.minus(sight.informed).is_empty();
        let is_done = all_know && !sight.changing;
        Some(if is_done { Step::Propose(Command::Vacate { slot, since }) } else { Step::Wait })
    }

    /// Tells a voter to leave that has been silent for too long.
    fn evict(&self, config: &Config, staying: Members, sight: &Sight) -> Option<Step> {
        let Sight { configuration, alive, .. } = *sight;
        let voters = configuration.voters();
        let slot = voters.shared(staying).shared(sight.silent).iter().next()?;
        let after = configuration.simple(&[Change::Remove(slot)]).ok()?;
        let is_won = |by: &Configuration| by.vote(|it| Some(alive.contains(it))) == Vote::Won;
        let may = after.voters().len() >= config.min_voters as usize
            && is_won(&after)
            && is_won(&configuration);
        let life = self.seat(slot)?.life;
        (may && !sight.changing).then_some(Step::Propose(Command::Dismiss(life)))
    }
}

/// Whoever has a seat and does not belong to the group yet, learns.
fn begin(staying: Members, sight: &Sight) -> Option<Step> {
    let new = staying.minus(sight.configuration.members()).iter().next()?;
    Some(change(sight.configuration.simple(&[Change::AddLearner(new)])))
}

/// Whoever leaves and does not vote is removed.
fn remove(leaving: Members, sight: &Sight) -> Option<Step> {
    let gone = leaving.shared(sight.configuration.learners()).iter().next()?;
    Some(change(sight.configuration.simple(&[Change::Remove(gone)])))
}

/// A change that the configuration permits; if it is joint now, none.
fn change<E>(to: Result<Configuration, E>) -> Step {
    to.map_or(Step::Wait, Step::Change)
}
