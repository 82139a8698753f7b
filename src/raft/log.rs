//! The log as Raft sees it: which term stands where, who belongs to the group from where on, and no
//! more.
//!
//! Entries of one term that stand together are a *run*; the log is its floor, a short list of runs
//! and a shorter one of the entries that change the configuration. Appending a thousand entries costs
//! what appending one does. The floor is the last entry covered by a snapshot: below it nothing is
//! known but that it is committed, and the configuration as of there.
//!
//! **Invariants** runs are contiguous, none is empty, terms rise from run to run and none is below
//! the floor's. Configurations stand at rising indices that the log holds, the first one at or below the
//! floor. The last entry and the newest configuration, which nearly every step asks for, are those of the
//! ends of these lists.

use super::Configuration;
use crate::bounded::List;
use crate::id::{EntryId, Index, Term};
use crate::limits;

/// Entries of one term that stand together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    /// The term of all of them.
    pub term: Term,
    /// Where the first stands.
    pub first: Index,
    /// Where the last stands.
    pub last: Index,
}

/// A configuration, and the entry that it begins with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Configured {
    /// Where the entry stands; the floor or below it for the one that counts there.
    pub at: Index,
    /// Who belongs to the group from there on.
    pub configuration: Configuration,
}

/// Which term stands at which index, and which configuration counts from where on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Log {
    floor: EntryId,
    /// That of the last run, or the floor.
    last: EntryId,
    runs: List<Run, { limits::MOST.runs }>,
    /// The configuration at the floor.
    founded: Configured,
    /// Those above the floor.
    configured: List<Configured, { limits::MOST.configurations }>,
    /// The last of those, or that of the floor.
    newest: Configured,
}

impl Log {
    pub(super) const fn new(floor: EntryId, configuration: Configuration) -> Self {
        let founded = Configured { at: floor.index, configuration };
        Self {
            floor,
            last: floor,
            runs: List::new(),
            founded,
            newest: founded,
            configured: List::new(),
        }
    }

    /// The configuration that counts: the newest in the log, committed or not (dissertation 4.1).
    #[must_use]
    pub const fn configured(&self) -> &Configured {
        &self.newest
    }

    /// The configurations from that of the floor on.
    #[must_use]
    pub fn configurations(&self) -> impl DoubleEndedIterator<Item = &Configured> + Clone {
        core::iter::once(&self.founded).chain(self.configured.iter())
    }

    /// The configuration as of an index; below the floor, that of the floor.
    #[must_use]
    pub fn configuration_at(&self, index: Index) -> &Configuration {
        let before = self.configured.iter().rev().find(|it| it.at <= index);
        &before.unwrap_or(&self.founded).configuration
    }

    /// The first entry from `first` on that changes the configuration.
    #[must_use]
    pub fn next_change(&self, first: Index) -> Option<&Configured> {
        self.configured.iter().find(|it| it.at >= first)
    }

    /// How many configurations there are above the floor and up to `last`.
    pub(super) fn changes_up_to(&self, last: Index) -> usize {
        self.configured.iter().filter(|it| it.at <= last).count()
    }

    /// The last entry changes the configuration. The caller has made sure that there is room.
    pub(super) fn configure(&mut self, configuration: Configuration) {
        let configured = Configured { at: self.last.index, configuration };
        if self.configured.push(configured).is_ok() {
            self.newest = configured;
        }
    }

    /// The last entry that a snapshot covers, or zero.
    #[must_use]
    pub const fn floor(&self) -> EntryId {
        self.floor
    }

    /// The last entry.
    #[must_use]
    pub const fn last(&self) -> EntryId {
        self.last
    }

    /// The runs above the floor, lowest first.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The run that the entry at `index` belongs to.
    #[must_use]
    pub fn run_at(&self, index: Index) -> Option<Run> {
        // Nearly every question is about the newest run.
        let newest = self.runs.last().filter(|run| run.first <= index);
        let run = newest.or_else(|| {
            let begun = self.runs.partition_point(|run| run.first <= index);
            self.runs.get(begun.checked_sub(1)?)
        });
        run.copied().filter(|run| index <= run.last)
    }

    /// The term at `index`; none below the floor, where it is not known, and above the last.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index == self.floor.index {
            return Some(self.floor.term);
        }
        self.run_at(index).map(|run| run.term)
    }

    /// Whether the entry of this identity is at or above the floor of this log.
    #[must_use]
    pub fn contains(&self, entry: EntryId) -> bool {
        self.term_at(entry.index) == Some(entry.term)
    }

    /// How many runs there are once an entry of `term` follows the one at `last`.
    pub(super) fn runs_with(&self, last: Index, term: Term) -> usize {
        let kept = self.runs.partition_point(|run| run.first <= last);
        let newest = kept.checked_sub(1).and_then(|newest| self.runs.get(newest));
        let begins_one = newest.is_none_or(|run| run.term != term);
        kept.saturating_add(usize::from(begins_one))
    }

    /// Appends `count` entries of `term`. The caller has made sure that there is room.
    pub(super) fn append(&mut self, term: Term, count: u64) {
        let (first, last) = (self.last.index.next(), self.last.index.plus(count));
        if let Some(run) = self.runs.last_mut().filter(|run| run.term == term) {
            run.last = last;
        } else if self.runs.push(Run { term, first, last }).is_err() {
            return;
        }
        self.last = EntryId::new(term, last);
    }

    /// Drops every entry from `from` on.
    pub(super) fn cut(&mut self, from: Index) {
        while self.runs.last().is_some_and(|run| run.first >= from) {
            self.runs.pop();
        }
        self.last = match self.runs.last_mut() {
            Some(run) => {
                run.last = run.last.min(from.previous());
                EntryId::new(run.term, run.last)
            }
            None => self.floor,
        };
        self.configured.truncate(self.changes_up_to(from.previous()));
        self.newest = *self.configured.last().unwrap_or(&self.founded);
    }

    /// Lets go of everything up to `boundary`, which this log contains.
    pub(super) fn compact(&mut self, boundary: EntryId) {
        let gone = self.runs.iter().filter(|run| run.last <= boundary.index).count();
        self.runs.drop_front(gone);
        if let Some(run) = self.runs.first_mut() {
            run.first = boundary.index.next();
        }
        let configuration = *self.configuration_at(boundary.index);
        self.configured.drop_front(self.changes_up_to(boundary.index));
        self.founded = Configured { at: boundary.index, configuration };
        self.newest = *self.configured.last().unwrap_or(&self.founded);
        self.floor = boundary;
    }

    /// Forgets everything: a snapshot that this log does not contain takes its place.
    pub(super) fn reset(&mut self, boundary: EntryId, configuration: Configuration) {
        *self = Self::new(boundary, configuration);
    }

    /// The first index from `first` to `last` where this log does not hold an entry of `term`.
    pub(super) fn first_other(&self, first: Index, last: Index, term: Term) -> Option<Index> {
        let agreed_up_to = match self.run_at(first) {
            Some(run) if run.term == term => run.last,
            _ => first.previous(),
        };
        (agreed_up_to < last).then(|| agreed_up_to.next())
    }

    /// The highest entry of this log that `entry`'s log could hold too: at or below its index, of
    /// its term or a lower one. (Ongaro's dissertation 3.5 skips one term a round; this skips all
    /// that cannot match.)
    pub(super) fn could_match(&self, entry: EntryId) -> EntryId {
        self.runs
            .iter()
            .rev()
            .find(|run| run.term <= entry.term && run.first <= entry.index)
            .map_or(self.floor, |run| EntryId::new(run.term, run.last.min(entry.index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Members;

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::new(EntryId::ZERO, Configuration::default());
        terms.iter().for_each(|&term| log.append(Term::new(term), 1));
        log
    }

    fn entry(term: u64, index: u64) -> EntryId {
        EntryId::new(Term::new(term), Index::new(index))
    }

    #[test]
    fn a_thousand_entries_of_a_term_are_one_run() {
        let mut log = log(&[1]);
        log.append(Term::new(1), 999);
        assert_eq!(log.runs().len(), 1);
        assert_eq!(log.last(), entry(1, 1_000));
    }

    #[test]
    fn cutting_and_compacting_keep_the_terms_of_what_stays() {
        let mut log = log(&[1, 1, 2, 2, 4]);
        log.compact(entry(1, 2));
        assert_eq!(log.term_at(Index::new(1)), None);
        assert_eq!(log.term_at(Index::new(2)), Some(Term::new(1)));
        log.cut(Index::new(4));
        assert_eq!(log.last(), entry(2, 3));
        log.compact(entry(2, 3));
        assert_eq!((log.last(), log.runs().len()), (entry(2, 3), 0));
    }

    #[test]
    fn the_hint_skips_every_term_that_cannot_match() {
        let log = log(&[1, 1, 4, 4, 4, 6]);
        assert_eq!(log.could_match(entry(3, 6)), entry(1, 2));
        assert_eq!(log.could_match(entry(5, 4)), entry(4, 4));
        assert_eq!(log.could_match(entry(0, 6)), EntryId::ZERO);
    }

    #[test]
    fn a_configuration_goes_with_its_entry_and_stays_below_the_floor() {
        let mut log = log(&[1, 1]);
        let of = |count| Configuration::of(Members::first(count));
        for count in 1..=3 {
            log.append(Term::new(1), 1);
            log.configure(of(count));
            log.append(Term::new(1), 1);
        }
        assert_eq!(log.configured(), &Configured { at: Index::new(7), configuration: of(3) });
        assert_eq!(log.next_change(Index::new(4)).map(|it| it.at), Some(Index::new(5)));
        log.cut(Index::new(7));
        assert_eq!(log.configured(), &Configured { at: Index::new(5), configuration: of(2) });
        log.compact(entry(1, 4));
        assert_eq!(log.configurations().count(), 2);
        assert_eq!(log.configuration_at(Index::new(4)), &of(1));
        log.cut(Index::new(5));
        assert_eq!(log.configured(), &Configured { at: Index::new(4), configuration: of(1) });
        log.reset(entry(2, 9), of(5));
        assert_eq!((log.last(), log.configured().configuration), (entry(2, 9), of(5)));
    }

    #[test]
    fn the_first_difference_is_found_by_term_and_by_length() {
        let log = log(&[1, 1, 2]);
        let at = |first, last, term| {
            log.first_other(Index::new(first), Index::new(last), Term::new(term))
        };
        assert_eq!(at(1, 2, 1), None);
        assert_eq!(at(1, 3, 1), Some(Index::new(3)));
        assert_eq!(at(3, 5, 2), Some(Index::new(4)));
        assert_eq!(at(3, 5, 3), Some(Index::new(3)));
    }
}
