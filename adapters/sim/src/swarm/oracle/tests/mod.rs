//! Every promise, broken on purpose: the oracle that watches over it says so, and says nothing of
//! the same trace without the lie.

mod clocks;
mod configuration;
mod leaders;
mod lease;
mod logs;
mod recovery;
mod stage;
mod state;

use super::Verdict;

/// The verdict is that this promise is broken, and this is part of what it says.
#[track_caller]
pub(super) fn assert_breaks(verdict: Verdict, oracle: &str, words: &str) {
    let violation = verdict.expect_err("the lie is seen");
    assert!(
        violation.oracle == oracle && violation.what.contains(words),
        "not {oracle} with “{words}”, but {violation}"
    );
}
