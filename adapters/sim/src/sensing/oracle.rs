//! What everybody thinks of everybody, against how it is.

use quorate::id::{Incarnation, NodeId};
use std::collections::BTreeMap;
use std::fmt;

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which: `M1`, `M2`, `M3` or `M5`.
    pub promise: &'static str,
    /// Who thought what of whom.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// What one node thinks of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thought {
    /// It is there, and the detector does not doubt it.
    pub detector: bool,
    /// Gossip takes it to be there.
    pub gossip: bool,
}

/// What is known, and what is so.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Who is there.
    pub lives: BTreeMap<NodeId, bool>,
    /// What each that is there thinks of each other, by who thinks and of whom.
    pub thoughts: BTreeMap<(NodeId, NodeId), Thought>,
}

impl Known {
    /// Whether everybody who is there thinks of everybody as it is.
    ///
    /// # Errors
    /// M1 for somebody who is gone and is not taken to be so, M2 for somebody who is there and is doubted. If
    /// `all` must be thought of, M5 for who was never heard of.
    pub fn check(&self, all: bool) -> Result<(), Broken> {
        let living = self.lives.iter().filter(|(_, lives)| **lives);
        for (by, _) in living {
            for (of, lives) in self.lives.iter().filter(|(of, _)| *of != by) {
                let Some(thought) = self.thoughts.get(&(*by, *of)) else {
                    if all && *lives {
                        let what = format!("node {by} has never heard of node {of}");
                        return Err(Broken { promise: "M5", what });
                    }
                    continue;
                };
                let promise = if *lives { "M2" } else { "M1" };
                for (who, is_there) in [("detector", thought.detector), ("gossip", thought.gossip)]
                {
                    if is_there != *lives {
                        let (thinks, is) = (word(is_there), word(*lives));
                        let what =
                            format!("the {who} of node {by} takes {of} for {thinks}: it is {is}");
                        return Err(Broken { promise, what });
                    }
                }
            }
        }
        Ok(())
    }
}

const fn word(is_there: bool) -> &'static str {
    if is_there { "there" } else { "gone" }
}

/// The incarnations in which a node has spoken of others.
#[derive(Clone, Debug, Default)]
pub(super) struct Incarnations(BTreeMap<(NodeId, NodeId), Incarnation>);

impl Incarnations {
    /// Takes note that `by` has spoken of `of` in this incarnation.
    ///
    /// # Errors
    /// M3 if it has spoken of a later one before.
    pub(super) fn note(
        &mut self,
        by: NodeId,
        of: NodeId,
        incarnation: Incarnation,
    ) -> Result<(), Broken> {
        let known = self.0.entry((by, of)).or_insert(incarnation);
        if incarnation < *known {
            let what =
                format!("node {by} spoke of node {of} in {known}, and then in {incarnation}");
            return Err(Broken { promise: "M3", what });
        }
        *known = incarnation;
        Ok(())
    }

    /// A node begins anew and knows of nobody.
    pub(super) fn forget(&mut self, by: NodeId) {
        self.0.retain(|(who, _), _| *who != by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number)
    }

    /// Two nodes that are there and one that is not, and who thinks what of whom.
    fn known(thoughts: &[(u64, u64, bool, bool)]) -> Known {
        let lives = [(node(1), true), (node(2), true), (node(3), false)].into();
        let thought = |&(by, of, detector, gossip): &(u64, u64, bool, bool)| {
            ((node(by), node(of)), Thought { detector, gossip })
        };
        Known { lives, thoughts: thoughts.iter().map(thought).collect() }
    }

    #[test]
    fn whoever_thinks_what_is_not_so_breaks_a_promise() {
        let right =
            [(1, 2, true, true), (2, 1, true, true), (1, 3, false, false), (2, 3, false, false)];
        assert_eq!(known(&right).check(true), Ok(()));
        let with = |place: usize, thought| {
            let mut all = right;
            all[place] = thought;
            known(&all).check(true).unwrap_err().promise
        };
        assert_eq!(with(0, (1, 2, false, true)), "M2", "a detector doubts one that is there");
        assert_eq!(with(1, (2, 1, true, false)), "M2", "gossip has lost one that is there");
        assert_eq!(with(2, (1, 3, true, false)), "M1", "a detector misses a crash");
        assert_eq!(with(3, (2, 3, false, true)), "M1", "gossip misses a crash");
        assert_eq!(known(&right[1..]).check(true).unwrap_err().promise, "M5", "never heard of");
        assert_eq!(known(&right[1..]).check(false), Ok(()));
    }

    #[test]
    fn an_incarnation_that_falls_breaks_a_promise() {
        let mut incarnations = Incarnations::default();
        let mut note = |by, of, incarnation| {
            incarnations.note(node(by), node(of), Incarnation::new(incarnation)).is_ok()
        };
        assert!(note(1, 2, 5) && note(1, 2, 5) && note(1, 2, 9) && note(2, 1, 1));
        assert!(!note(1, 2, 8));
        incarnations.forget(node(1));
        assert!(incarnations.note(node(1), node(2), Incarnation::new(1)).is_ok());
    }
}
