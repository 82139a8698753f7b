//! One thing that happens in a run. A run is nothing but a list of these: whoever has the list has
//! the run, and may leave some out.

use super::edit::Edit;
use super::process::Call;
use super::store::{Kept, Trouble};
use quorate::id::{Incarnation, Slot};
use quorate::membership::roster::Life;
use std::fmt;

/// One thing that happens, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Its number in the run that it was first part of.
    pub number: u64,
    /// The true time, in microseconds.
    pub at: u64,
    /// Decides the order in which a step's outputs are performed.
    pub order: u64,
    /// After how many of them the member dies, if it does: a message to two members is two, and this
    /// is taken modulo how many there are.
    pub cut: Option<u8>,
    /// What happens.
    pub act: Act,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// A packet arrives.
    Deliver(PacketId),
    /// A member's or client's deadline has passed.
    Tick(u8),
    /// A member's disk does so many of its tasks.
    Disk(u8, u8, Trouble),
    /// A member hears of what its disk has done: everything, once, the newest only.
    Confirm(u8),
    /// A member's host proposes so many entries.
    Propose(u8, u8),
    /// A member's host asks when it may be read.
    Read(u8),
    /// A member's host doubts that another lives.
    Suspect(u8, u8),
    /// A member is asked to step down.
    StepDown(u8),
    /// A member is asked to hand leadership over to another.
    Transfer(u8, u8),
    /// A member is asked to change the configuration.
    Change(u8, Edit),
    /// A member is asked to give a life a seat.
    Admit(u8, Admission),
    /// A member is asked to let a life leave.
    Dismiss(u8, Life),
    /// A member's host notes what is durable.
    Mark(u8),
    /// A client does something.
    Call(u8, Call),
    /// A client learns that a member cannot be reached.
    Unreachable(u8, u8),
    /// A member dies.
    Crash(u8, Kept),
    /// A member is started.
    Start(u8),
    /// A bit of a member's disk rots.
    Rot(u8, u64),
    /// A member's disk is gone for good.
    Lose(u8),
    /// A member's disk is empty from now on, and nothing tells.
    Forget(u8),
    /// Somebody's civil clock is so far ahead from now on.
    Step(u8, i64),
    /// Somebody's civil clock stands still, or goes on.
    Freeze(u8, bool),
    /// Somebody's monotonic clock runs at so many parts in a million.
    Rate(u8, u64),
    /// A damaged copy of a packet arrives.
    Corrupt(PacketId, u64),
}

/// Who asks for a seat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Admission {
    /// Which life.
    pub life: Life,
    /// The slot at which it founded the group.
    pub founder: Option<Slot>,
    /// The life of the same node that it replaces.
    pub replaces: Option<Incarnation>,
    /// Where it is reached.
    pub place: u8,
}

/// A packet's name: who made it, by the number of the action, its place in what that said, and whom
/// it is for. It stays the same when other actions are left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PacketId {
    /// The action that it came of.
    pub origin: u64,
    /// Its place among what that action sent.
    pub place: u16,
    /// The lane that it is for.
    pub to: u8,
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.origin, self.place)
    }
}
