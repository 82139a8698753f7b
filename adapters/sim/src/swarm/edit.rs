//! Changes of the configuration, as somebody asks for them.

use quorate::id::Members;
use quorate::raft::{Change, Configuration, Unchangeable};

/// A change. What it comes to depends on the configuration that the member who is asked has then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit {
    /// One change, in one step.
    Simple(Change),
    /// The beginning of a joint configuration, which leaves itself or does not.
    Joint(bool, [Option<Change>; 3]),
    /// The end of one.
    Leave,
    /// These vote and nobody else belongs to the group, at once: whatever was before. There is seldom
    /// a step that leads there.
    Jump(Members),
}

impl Edit {
    /// What it comes to.
    ///
    /// # Errors
    /// Why it comes to nothing.
    pub fn of(self, now: &Configuration) -> Result<Configuration, Unchangeable> {
        match self {
            Self::Simple(change) => now.simple(&[change]),
            Self::Joint(leaves_by_itself, changes) => {
                let changes: Vec<_> = changes.into_iter().flatten().collect();
                now.enter_joint(leaves_by_itself, &changes)
            }
            Self::Leave => now.leave_joint(),
            Self::Jump(voters) => Ok(Configuration::of(voters)),
        }
    }
}
