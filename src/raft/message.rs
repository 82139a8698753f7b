//! What members of a group say to each other. Every message is small, fixed and `Copy`; entries
//! and snapshot bytes travel beside it and are the payload floor's.

use super::Configuration;
use crate::id::{EntryId, Index, Term};

/// A snapshot's name: what it covers and what its bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Snapshot {
    /// The last entry that it covers.
    pub boundary: EntryId,
    /// How many bytes it has: at least one.
    pub size: u32,
    /// The digest of the bytes.
    pub digest: u64,
}

/// What a log goes on from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Base {
    /// The durable snapshot.
    pub snapshot: Snapshot,
    /// Who belongs to the group where it ends.
    pub configuration: Configuration,
}

impl Base {
    /// Whether a member in `term` can have such a base.
    pub(super) const fn is_coherent(&self, term: Term) -> bool {
        self.snapshot.is_coherent(term) && self.configuration.is_coherent()
    }
}

impl Snapshot {
    /// Whether a member in `term` can have such a snapshot.
    pub(super) const fn is_coherent(&self, term: Term) -> bool {
        let EntryId { term: of, index } = self.boundary;
        let is_position = 0 < index.number() && index.number() <= LAST_POSITION.number();
        of.number() <= term.number() && is_position && self.size > 0
    }
}

/// No entry stands higher, so that every entry has a position after it.
pub(super) const LAST_POSITION: Index = Index::new(u64::MAX).previous();

/// A message from one member to another. Section numbers are those of Ongaro's dissertation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Message {
    /// "Would you vote for me in this term?" Asks for no promise (9.6).
    PreVote {
        /// The term that the sender would campaign in.
        term: Term,
        /// The last entry of its log.
        last: EntryId,
    },
    /// The answer. Its real term is adopted by a sender that lags behind, granted or not.
    PreVoteReply {
        /// The term that the answering member is in.
        term: Term,
        /// The term that was asked about.
        proposed: Term,
        /// Whether it would vote so.
        granted: bool,
    },
    /// "Vote for me" (3.4).
    Vote {
        /// The term that the sender campaigns in.
        term: Term,
        /// The last entry of its log.
        last: EntryId,
        /// The leader has asked it to: promises to the leader do not stand in its way (3.10).
        asked_to: bool,
    },
    /// "Take my place: campaign now" (3.10).
    Campaign {
        /// The leader's term.
        term: Term,
        /// The last entry of its log, which is the receiver's too.
        last: EntryId,
    },
    /// The answer.
    VoteReply {
        /// The term that the answering member is in.
        term: Term,
        /// Whether it has voted for the receiver in that term.
        granted: bool,
    },
    /// Entries of one run, or none: then a heartbeat, a read round or news of a commit (3.5).
    Append {
        /// The leader's term.
        term: Term,
        /// The entry before the first.
        prev: EntryId,
        /// The term of all entries.
        entries: Term,
        /// How many there are.
        count: u32,
        /// Up to where the leader knows entries to be committed.
        commit: Index,
        /// The newest round of the leader; whoever hears a new one answers at once (6.4).
        round: u64,
    },
    /// One entry, which changes the configuration: an append of it alone.
    Configure {
        /// The leader's term.
        term: Term,
        /// The entry before it.
        prev: EntryId,
        /// Its own term.
        of: Term,
        /// Who belongs to the group from it on.
        configuration: Configuration,
        /// Whether the leader knows it to be committed.
        committed: bool,
    },
    /// "My log agrees with yours up to here, and is on disk."
    Matched {
        /// The term that this answers in.
        term: Term,
        /// Up to where.
        matched: Index,
        /// The newest round heard.
        round: u64,
    },
    /// "I do not hold the entry before your first."
    Conflict {
        /// The term that this answers in.
        term: Term,
        /// The index of the entry that is not held.
        rejected: Index,
        /// The highest entry held that the leader's log could hold too.
        hint: EntryId,
        /// The newest round heard.
        round: u64,
    },
    /// A part of a snapshot, or none: then a heartbeat to a member that is receiving one (5.3).
    Chunk {
        /// The leader's term.
        term: Term,
        /// The last entry that the snapshot covers.
        boundary: EntryId,
        /// The digest of its bytes.
        digest: u64,
        /// How many bytes it has.
        size: u32,
        /// Where in its bytes the part begins.
        offset: u32,
        /// How many bytes it has.
        length: u32,
        /// The newest round of the leader.
        round: u64,
    },
    /// "This much of the snapshot is here; go on from there."
    Received {
        /// The term that this answers in.
        term: Term,
        /// The digest of the snapshot that is meant.
        digest: u64,
        /// How many of its bytes are here.
        received: u32,
        /// The newest round heard.
        round: u64,
    },
    /// "Your term is over." It is adopted.
    Stale {
        /// The term that the sender is in.
        term: Term,
    },
    /// "Up to where must I have applied to serve my reads up to this one?" (6.4)
    ReadIndex {
        /// The leader's term.
        term: Term,
        /// The number of the sender's life, so that no answer meant for a former one is taken.
        life: u64,
        /// The newest of its reads.
        number: u64,
    },
    /// The answer.
    ReadIndexReply {
        /// The leader's term.
        term: Term,
        /// As in the question.
        life: u64,
        /// As in the question.
        number: u64,
        /// What must be applied first.
        index: Index,
    },
    /// "All that there is, is committed; I fall silent, and you need not listen."
    Rest {
        /// The leader's term.
        term: Term,
        /// The last entry of its log.
        last: EntryId,
    },
}

impl Message {
    /// The term that the sender speaks in; for a pre-vote, the one that it would campaign in.
    #[must_use]
    pub const fn term(&self) -> Term {
        match *self {
            Self::PreVote { term, .. }
            | Self::PreVoteReply { term, .. }
            | Self::Vote { term, .. }
            | Self::VoteReply { term, .. }
            | Self::Append { term, .. }
            | Self::Configure { term, .. }
            | Self::Matched { term, .. }
            | Self::Conflict { term, .. }
            | Self::Chunk { term, .. }
            | Self::Received { term, .. }
            | Self::Campaign { term, .. }
            | Self::ReadIndex { term, .. }
            | Self::ReadIndexReply { term, .. }
            | Self::Rest { term, .. }
            | Self::Stale { term } => term,
        }
    }

    /// Whether its parts agree with each other; one that fails this comes from no correct member.
    pub(super) const fn is_coherent(&self) -> bool {
        match *self {
            // A candidate has no entry of the term that it asks about: nobody has led in it.
            Self::PreVote { term, last } | Self::Vote { term, last, .. } => {
                last.term.number() < term.number()
            }
            Self::Append { term, prev, entries, count, .. } => {
                go_on_from(term, prev, entries, count)
            }
            Self::Configure { term, prev, of, configuration, .. } => {
                go_on_from(term, prev, of, 1) && configuration.is_coherent()
            }
            Self::Chunk { term, boundary, digest, size, offset, length, .. } => {
                Snapshot { boundary, size, digest }.is_coherent(term)
                    && match offset.checked_add(length) {
                        Some(end) => end <= size,
                        None => false,
                    }
            }
            _ => true,
        }
    }
}

/// Whether so many entries of one term can follow an entry, in the log of a leader of `term`.
const fn go_on_from(term: Term, prev: EntryId, entries: Term, count: u32) -> bool {
    let (term, before, entries) = (term.number(), prev.term.number(), entries.number());
    before <= term
        && (before == 0) == (prev.index.number() == 0)
        && (count == 0 || (before <= entries && entries <= term && entries > 0))
        && prev.index.plus(count as u64).number() <= LAST_POSITION.number()
}

const _: () = assert!(size_of::<Message>() == 56);

#[cfg(test)]
mod tests {
    use super::*;

    const fn entry(term: u64, index: u64) -> EntryId {
        EntryId::new(Term::new(term), Index::new(index))
    }

    #[test]
    fn a_snapshot_covers_an_entry_of_a_term_that_has_begun_and_has_bytes() {
        let last = LAST_POSITION.number();
        let is_coherent =
            |boundary, size| Snapshot { boundary, size, digest: 7 }.is_coherent(Term::new(3));
        assert!([entry(3, 1), entry(1, 9), entry(3, last)].iter().all(|at| is_coherent(*at, 1)));
        assert!(
            ![entry(4, 1), entry(3, 0), entry(3, u64::MAX)].iter().any(|at| is_coherent(*at, 1))
        );
        assert!(!is_coherent(entry(3, 1), 0));
    }

    #[test]
    fn nobody_asks_for_votes_in_a_term_that_has_entries_of_a_leader() {
        let asks = |last| {
            let term = Term::new(3);
            let is_asked =
                [Message::PreVote { term, last }, Message::Vote { term, last, asked_to: false }];
            is_asked.map(|message| message.is_coherent())
        };
        assert_eq!(asks(entry(2, 5)), [true, true]);
        assert_eq!(asks(entry(3, 5)), [false, false]);
        assert_eq!(asks(entry(4, 5)), [false, false]);
    }

    #[test]
    fn entries_go_on_from_the_one_before_them_and_are_of_no_term_to_come() {
        let says = |prev, entries, count| {
            let (term, entries, commit) = (Term::new(3), Term::new(entries), Index::ZERO);
            Message::Append { term, prev, entries, count, commit, round: 0 }.is_coherent()
        };
        assert!(says(EntryId::ZERO, 1, 1) && says(entry(1, 1), 3, 2) && says(entry(3, 1), 3, 1));
        assert!(says(entry(3, 1), 0, 0), "of no entries the term says nothing");
        assert!(!says(entry(4, 1), 4, 0), "the one before is of a term to come");
        assert!(!says(entry(0, 1), 1, 1), "an entry is of no term");
        assert!(!says(entry(1, 0), 1, 1), "a term has an entry at zero");
        assert!(!says(entry(2, 1), 1, 1), "terms fall along the log");
        assert!(!says(entry(2, 1), 4, 1), "of a term to come");
        assert!(!says(EntryId::ZERO, 0, 1), "of no term");
        let last = LAST_POSITION.number();
        assert!(
            says(entry(1, last - 1), 1, 1) && !says(entry(1, last), 1, 1),
            "the end of the log"
        );
    }

    #[test]
    fn a_part_of_a_snapshot_lies_within_it() {
        let says = |index, offset, length| {
            let (term, boundary, round) = (Term::new(3), entry(3, index), 0);
            let part = Message::Chunk { term, boundary, digest: 7, size: 9, offset, length, round };
            part.is_coherent()
        };
        assert!(says(1, 0, 9) && says(1, 4, 5) && says(1, 9, 0));
        assert!(!says(1, 4, 6) && !says(1, 10, 0) && !says(1, u32::MAX, 9));
        assert!(!says(0, 0, 9), "nor is it a part of what cannot be");
    }
}
