//! Every reachable state of a small group of the shipped machines.
//!
//! A [`Model`] says what can happen next in a state and what must hold in every state; [`search`]
//! goes everywhere. Nothing is modelled that is shipped: a model of Raft steps `quorate::raft::Raft`
//! itself and adds only what is around it, a network, disks and a host. States are kept whole and
//! compared exactly, so the number of states is a number of states, and no two can be taken for one.

pub mod index;
pub mod pbft;
pub mod raft;
mod search;

pub use search::{End, EndOf, Progress, search};

use std::fmt;
use std::hash::Hash;

/// What can happen, and what must hold. A model may keep what it has worked out, so it is `mut`;
/// its answers depend on their arguments alone.
pub trait Model {
    /// A state, small: parts that recur are numbers (see [`index::Numbered`]). Two states are equal
    /// only if everything that can follow, and everything that is checked, is the same in both.
    type State: Copy + Eq + Hash;
    /// Something that can happen.
    type Action: Copy;

    /// Where everything begins.
    fn initial(&mut self) -> Vec<Self::State>;

    /// What can happen in a state.
    fn actions(&mut self, state: &Self::State, into: &mut Vec<Self::Action>);

    /// What then is, or nothing if it cannot happen after all.
    ///
    /// # Errors
    /// [`Broken`] if the step itself does what no step may do.
    fn apply(
        &mut self,
        state: &Self::State,
        action: Self::Action,
    ) -> Result<Option<Self::State>, Broken>;

    /// Holds every law against a state.
    ///
    /// # Errors
    /// [`Broken`] names the first that does not hold.
    fn check(&mut self, state: &Self::State) -> Result<(), Broken>;

    /// Once every state was visited: holds what the model leaves out against all that came up.
    ///
    /// # Errors
    /// [`Broken`] if it left out something that matters; then the search proves nothing.
    fn conclude(&mut self) -> Result<(), Broken> {
        Ok(())
    }

    /// A path in words, a line each.
    fn story(&mut self, from: &Self::State, path: &[Self::Action]) -> String;

    /// Bytes that the model has taken for what it remembers.
    fn bytes(&self) -> usize;
}

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which law.
    pub law: &'static str,
    /// Who broke it, and where.
    pub how: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.how)
    }
}
