//! What a person reads when something was refused: what is wrong, and what to do about it.

use quorate::hlc;
use quorate::id::{EntryId, Index, Slot, Term};
use quorate::lease::{BadName, Compacted, StaleToken, Token};
use quorate::limits::Limit;
use quorate::raft;
use quorate::replica::RecoverError;
use quorate::time::Span;
use quorate::{Refused, client};
use std::collections::BTreeSet;
use std::error::Error;

#[test]
fn every_error_says_something_else_in_one_line() {
    let by = Span::millis(300);
    let errors: [&dyn Error; 21] = [
        &Refused::OutboxNotEmpty,
        &Refused::OutboxTooSmall { needs: 9 },
        &Refused::NotLeader { leader: None },
        &Refused::NotLeader { leader: Some(Slot::new(2)) },
        &Refused::Full(Limit::Entries),
        &Refused::Meaningless,
        &Refused::Clock(hlc::Error::NoTime),
        &Refused::Stopped,
        &hlc::Error::Exhausted,
        &hlc::Error::SteppedBack { by },
        &hlc::Error::TooFarAhead { by },
        &hlc::Error::BoundNotDurable,
        &raft::ConfigError::NoSuchSlot,
        &raft::ConfigError::TooManyVoters,
        &raft::ConfigError::Timeouts,
        &client::ConfigError::Nodes,
        &client::ConfigError::Timeouts,
        &RecoverError::Snapshot,
        &RecoverError::Entries,
        &BadName::Empty,
        &BadName::TooLong,
    ];
    let words: BTreeSet<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), errors.len(), "{words:?}");
    assert!(words.iter().all(|line| line.len() > 15 && !line.contains('\n')), "{words:?}");
}

#[test]
fn an_error_names_what_it_is_about() {
    let token = |index| Token::new(Index::new(index));
    let boundary = EntryId::new(Term::new(3), Index::new(17));
    let by = Span::millis(300);
    let errors: [(&dyn Error, &[&str]); 10] = [
        (&Refused::OutboxTooSmall { needs: 9 }, &["9"]),
        (&Refused::NotLeader { leader: Some(Slot::new(2)) }, &["member 2"]),
        (&Refused::Full(Limit::Batch), &["Batch"]),
        (&Refused::Clock(hlc::Error::SteppedBack { by }), &["300 ms"]),
        (&hlc::Error::TooFarAhead { by }, &["300 ms"]),
        (&RecoverError::SnapshotMissing { boundary }, &["17@3"]),
        (&RecoverError::Config(raft::ConfigError::NoSuchSlot), &["slot"]),
        (&BadName::TooLong, &["47"]),
        (&Compacted { floor: Index::new(12) }, &["12"]),
        (&StaleToken { presented: token(4), highest: token(5) }, &["4", "5"]),
    ];
    for (error, names) in errors {
        let words = error.to_string();
        assert!(names.iter().all(|name| words.contains(name)), "{words}");
    }
}
