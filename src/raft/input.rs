//! What a host tells a member.

#[cfg(doc)]
use super::Output;
use super::{Base, Configuration, Message, Receipt};
use crate::id::Slot;
#[cfg(doc)]
use crate::limits::Limits;

/// What a host tells a member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Input {
    /// The deadline has passed (early and late ticks do no harm).
    Tick,
    /// A message came in. The host vouches for the sender.
    Message {
        /// Who sent it.
        from: Slot,
        /// What it says.
        message: Message,
    },
    /// Append entries: refused unless this member leads. They are the last `count` of the log
    /// after the step.
    Propose {
        /// How many.
        count: u32,
    },
    /// Find out when a read of the state would be linearizable: refused unless this member leads or
    /// knows who does.
    Read,
    /// The write of this receipt, and every write before it, are durable.
    Persisted(Receipt),
    /// A write failed. The machine stops for good; a failed write is never tried again.
    PersistFailed,
    /// A snapshot is durable on this member: one of its own state, which lets the log be
    /// compacted, or one that it has received, which takes the log's place.
    Stored(Base),
    /// The received snapshot is damaged: it is to be sent again.
    Discard,
    /// The host doubts that this member lives. Nobody else is accused: it wakes a member whose
    /// silent leader that is.
    Suspect(Slot),
    /// Stop leading: refused unless this member leads.
    StepDown,
    /// Hand leadership over to this member: refused unless this member leads and that one can. Until
    /// [`Output::Following`] or [`Output::NotTransferred`] tells what came of it, no request is taken, nor
    /// another of this kind.
    Transfer(Slot),
    /// Append the entry that changes the configuration to this one: refused unless this member leads,
    /// has committed an entry of its own term and every earlier change, and
    /// [`Configuration::leads_to`] says that one step leads there. It is the last entry of the log
    /// after the step, and counts at once.
    Reconfigure(Configuration),
}
