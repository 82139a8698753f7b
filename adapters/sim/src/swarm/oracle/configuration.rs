//! Configurations, as Ongaro's dissertation has them (chapter 4, with his message of 10 July 2015 to
//! raft-dev): every member goes by the newest one in its log, and whatever two count at one time have
//! majorities that meet.

use super::{Canon, Trail, Verdict, ensure};
use quorate::id::{EntryId, Members, Slot, Term};
use quorate::raft::Configuration;
use std::collections::BTreeMap;

/// Every configuration that was ever made, by the entry that makes it.
#[derive(Clone, Debug)]
pub(super) struct Configurations {
    founders: Members,
    /// Whoever joins knows them.
    informed: bool,
    /// By index, then by the link of the entry.
    made: BTreeMap<u64, Vec<(u64, Configuration)>>,
}

/// A configuration, and the index of the entry that it begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct InForce {
    pub(super) at: u64,
    pub(super) configuration: Configuration,
}

/// What a leader that appends a configuration goes by.
pub(super) struct Leader {
    pub(super) slot: usize,
    pub(super) term: Term,
    /// Up to where it knows entries to be committed, and the term of that entry.
    pub(super) commit: u64,
    pub(super) commit_term: Option<Term>,
    pub(super) hands_over: bool,
}

impl Configurations {
    pub(super) const fn new(founders: Members, informed: bool) -> Self {
        Self { founders, informed, made: BTreeMap::new() }
    }

    /// An entry makes a configuration.
    ///
    /// # Errors
    /// R3 if it has made another.
    pub(super) fn note(&mut self, index: u64, link: u64, configuration: Configuration) -> Verdict {
        let made = self.made.entry(index).or_default();
        let first = match made.iter().find(|(of, _)| *of == link) {
            Some((_, first)) => *first,
            None => {
                made.push((link, configuration));
                configuration
            }
        };
        ensure(first == configuration, "R3", || {
            format!("the entry at {index} makes {configuration}, and has made {first}")
        })
    }

    /// What a member goes by whose log is this one, up to an index.
    pub(super) fn in_force(
        &self,
        slot: usize,
        trail: &Trail,
        canon: &Canon,
        up_to: u64,
    ) -> InForce {
        for (&at, made) in self.made.range(..=up_to.min(trail.last())).rev() {
            let link = if at > trail.floor() { trail.at(at) } else { canon.committed(at) };
            if let Some((_, configuration)) = made.iter().find(|(of, _)| Some(*of) == link) {
                return InForce { at, configuration: *configuration };
            }
        }
        // A founder knows who founded the group, and so does a snapshot; whoever joins with an empty
        // log knows if it was told.
        let is_founder = self.founders.contains(Slot::new(slot as u8));
        let knows = self.informed || trail.floor() > 0 || is_founder;
        let founders = if knows { self.founders } else { Members::NONE };
        InForce { at: 0, configuration: Configuration::of(founders) }
    }
}

/// R10, when a leader appends a configuration: it may follow the one before, which is committed, as
/// is an entry of the leader's own term; and majorities of the two meet.
pub(super) fn may_follow(
    leader: &Leader,
    before: InForce,
    (id, next): (EntryId, &Configuration),
) -> Verdict {
    let &Leader { slot, term, commit, commit_term, hands_over } = leader;
    ensure(commit_term == Some(term), "R10", || {
        format!("n{slot} appends a configuration at {id}, and nothing of its term is committed")
    })?;
    ensure(before.at <= commit, "R10", || {
        format!(
            "n{slot} appends a configuration at {id}, and that of {} is not committed",
            before.at
        )
    })?;
    ensure(!hands_over, "R10", || {
        format!("n{slot} appends a configuration at {id} while it hands leadership over")
    })?;
    ensure(do_meet(&before.configuration, next), "R10", || {
        format!(
            "n{slot} changes {} to {next} at {id}: their majorities need not meet",
            before.configuration
        )
    })?;
    let two_faced = next.members().shared(before.configuration.members()).iter().find(|slot| {
        before.configuration.witnesses().contains(*slot) != next.witnesses().contains(*slot)
    });
    ensure(two_faced.is_none(), "R10", || {
        format!(
            "n{slot} changes {} to {next} at {id}: {two_faced:?} begins or ends as a witness",
            before.configuration
        )
    })
}

/// Whether these are a majority of each half, learners aside.
pub(super) fn is_quorum(configuration: &Configuration, these: Members) -> bool {
    let is_most = |half: Members| 2 * half.shared(these).len() > half.len();
    let (voters, outgoing) = (configuration.voters(), configuration.outgoing());
    is_most(voters) && (outgoing.is_empty() || is_most(outgoing))
}

/// Whether every quorum of one shares a member with every quorum of the other: tried out, one by one.
fn do_meet(one: &Configuration, other: &Configuration) -> bool {
    let all = one.electorate().and(other.electorate());
    let slots: Vec<_> = all.iter().collect();
    (0..1_u32 << slots.len()).all(|choice| {
        let chosen = |(place, slot): (usize, &Slot)| (choice >> place & 1 == 1).then_some(*slot);
        let these: Members = slots.iter().enumerate().filter_map(chosen).collect();
        !(is_quorum(one, these) && is_quorum(other, all.minus(these)))
    })
}
