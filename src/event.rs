//! What happened inside a machine, for those who want to hear it.
//!
//! One stream of small values with stable codes feeds logs, metrics, pictures and tests. Nothing
//! in a protocol depends on whether anyone listens.

use crate::id::{EntryId, GroupId, Index, NodeId, Slot, Term, View};
use crate::time::Span;

/// Something that happened in a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message was ignored, in whole or in part.
    Ignored {
        /// Who sent it.
        from: Slot,
        /// What was wrong with it.
        why: Ignored,
    },
    /// A higher term was heard and adopted.
    TermAdopted {
        /// The term.
        term: Term,
    },
    /// This member asks whether it would be elected (a pre-vote), without disturbing anyone.
    Canvassing {
        /// The term it would campaign in.
        term: Term,
    },
    /// This member asks for votes.
    Campaigning {
        /// The term it campaigns in.
        term: Term,
    },
    /// This member leads.
    Elected {
        /// The first entry of its term, which it must commit before any older one.
        barrier: EntryId,
    },
    /// This member led and no longer does.
    SteppedDown {
        /// The term that it led.
        term: Term,
        /// Why it stopped.
        why: SteppedDown,
    },
    /// A timer is long overdue: this member slept, and so accuses nobody and starts afresh.
    Overslept {
        /// How late it is.
        late: Span,
    },
    /// Entries from here on were replaced by another leader's.
    Truncated {
        /// The first of them.
        from: Index,
    },
    /// A follower no longer holds what it had acknowledged: it has lost its disk. It must rejoin
    /// as a new member.
    LogLost {
        /// The follower.
        by: Slot,
        /// What it had acknowledged.
        matched: Index,
    },
    /// A snapshot took the place of the log.
    Installed {
        /// The last entry that the snapshot covers.
        boundary: EntryId,
    },
    /// The log below a snapshot was let go.
    Compacted {
        /// The last entry that the snapshot covers.
        boundary: EntryId,
    },
    /// The machine met a state that cannot be, or a failed write, and stopped for good.
    Stopped {
        /// Why.
        why: Stopped,
    },
    /// An entry's stamp lies too far ahead of this member's clock; it is not acknowledged until
    /// the clock gets there.
    StampTooEarly {
        /// Where the entry stands.
        index: Index,
    },
    /// A session was forgotten to make room for another.
    SessionEvicted {
        /// Whose it was.
        client: crate::id::ClientId,
    },
    /// The roster has changed: somebody came, moved, is to leave, or has left.
    RosterChanged {
        /// The entry that changed it.
        at: Index,
    },
    /// A message of another node's detector or gossip was ignored, in whole or in part.
    Unheeded {
        /// Who sent it.
        from: NodeId,
        /// What was wrong with it.
        why: Ignored,
    },
    /// A message for a group of this node was ignored: it could not be brought to a replica.
    Misrouted {
        /// Who sent it.
        from: NodeId,
        /// The group that it names.
        group: GroupId,
        /// What was wrong with it.
        why: Ignored,
    },
    /// A member of a Byzantine group has left a view and wants to enter another.
    ViewLeft {
        /// The view that it wants to enter.
        next: View,
        /// Why it left.
        why: ViewLeft,
    },
    /// A member of a Byzantine group knows what a view begins with, and takes part in it.
    ViewEntered {
        /// The view.
        view: View,
    },
    /// A member has signed what contradicts itself.
    Equivocated {
        /// Who.
        by: Slot,
    },
}

impl Event {
    /// A number for the kind of event that will never mean another kind.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Ignored { .. } => 1,
            Self::TermAdopted { .. } => 2,
            Self::Canvassing { .. } => 3,
            Self::Campaigning { .. } => 4,
            Self::Elected { .. } => 5,
            Self::SteppedDown { .. } => 6,
            Self::Overslept { .. } => 7,
            Self::Truncated { .. } => 8,
            Self::LogLost { .. } => 9,
            Self::Installed { .. } => 10,
            Self::Compacted { .. } => 11,
            Self::Stopped { .. } => 12,
            Self::StampTooEarly { .. } => 13,
            Self::SessionEvicted { .. } => 14,
            Self::Unheeded { .. } => 15,
            Self::RosterChanged { .. } => 16,
            Self::Misrouted { .. } => 17,
            Self::ViewLeft { .. } => 18,
            Self::ViewEntered { .. } => 19,
            Self::Equivocated { .. } => 20,
        }
    }
}

/// Why a message was ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ignored {
    /// The sender is this member itself, or no member.
    Stranger,
    /// Its term belongs to another epoch.
    WrongEpoch,
    /// Its parts contradict each other.
    Malformed,
    /// It answers or tells something of an earlier time.
    Stale,
    /// It asks for a vote, but a live leader has this member's promise.
    Promised,
    /// A limit leaves no room for what it brings; it will be sent again.
    NoRoom,
    /// It contradicts what is known to be committed, or claims a second leader of one term.
    Impossible,
    /// The machine has stopped.
    Stopped,
    /// An incarnation lies further ahead of the last one known than any that could follow it.
    Implausible,
    /// The group that it names is not on this node.
    NoGroup,
}

/// Why a member of a Byzantine group left a view.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ViewLeft {
    /// A request was not executed in time, and not after it was forwarded either.
    RequestOverdue,
    /// The view did not begin in time.
    Fruitless,
    /// So many want a later view that one of them is correct.
    Overtaken,
    /// The primary has contradicted itself.
    Equivocation,
    /// The host doubts that the primary lives.
    Suspected,
}

/// Why a leader stopped leading.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SteppedDown {
    /// It heard of a higher term.
    HigherTerm,
    /// It has not heard from a quorum for an election timeout.
    QuorumSilent,
    /// Its disk has not confirmed a write for an election timeout.
    DiskSilent,
    /// Its host asked it to.
    Asked,
    /// The group has decided that it no longer votes.
    Removed,
}

/// Why a machine stopped for good.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Stopped {
    /// A write failed. What is on disk is unknown, so nothing more may be promised.
    WriteFailed,
    /// A committed entry would have to be replaced: more has failed than the protocol tolerates.
    CommittedConflict,
    /// A snapshot could not be restored, or the log does not fit its own identities.
    Corrupt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_event_never_changes() {
        let (from, slot, term) = (Index::new(1), Slot::new(1), Term::new(1));
        let boundary = EntryId::new(term, from);
        let events = [
            Event::Ignored { from: slot, why: Ignored::Stale },
            Event::TermAdopted { term },
            Event::Canvassing { term },
            Event::Campaigning { term },
            Event::Elected { barrier: boundary },
            Event::SteppedDown { term, why: SteppedDown::Asked },
            Event::Overslept { late: Span::ZERO },
            Event::Truncated { from },
            Event::LogLost { by: slot, matched: from },
            Event::Installed { boundary },
            Event::Compacted { boundary },
            Event::Stopped { why: Stopped::Corrupt },
            Event::StampTooEarly { index: from },
            Event::SessionEvicted { client: crate::id::ClientId::new(1) },
            Event::Unheeded { from: NodeId::new(1), why: Ignored::Stale },
            Event::RosterChanged { at: from },
            Event::Misrouted {
                from: NodeId::new(1),
                group: GroupId::new(1),
                why: Ignored::NoGroup,
            },
            Event::ViewLeft { next: View::ZERO, why: ViewLeft::Overtaken },
            Event::ViewEntered { view: View::ZERO },
            Event::Equivocated { by: slot },
        ];
        assert!(events.iter().map(|event| event.code()).eq(1..=20));
    }
}
