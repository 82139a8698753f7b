//! The step contract: how a host drives a protocol.

use crate::event::Event;
use crate::hlc;
use crate::id::Slot;
use crate::limits::Limit;
use crate::membership::roster::Unfit;
use crate::time::{Instant, Now};
use core::fmt;

/// A protocol as data: no clock, no socket, no disk, no thread.
///
/// Every step is *transition, then settle*: one `match` on the input changes the state, then one
/// pass tells every level that has become true and was not told yet. Nothing is queued, so nothing
/// is stale. Equal states given equal inputs make equal outputs.
pub trait Machine {
    /// What the host tells the machine. Payloads are borrowed from the host's buffers.
    type Input<'a>;
    /// What the machine tells the host to do.
    type Output;

    /// Takes one input and puts what the host must do into `out`.
    ///
    /// The host *encodes* the outputs before the next step; then it may perform them in any order,
    /// at any time. Log writes alone keep their order among themselves.
    ///
    /// # Errors
    /// Only a host's own request, or an outbox that is not empty or too small, is refused, and then
    /// nothing happened: the state is unchanged and `out` received nothing. A peer's message is
    /// never refused; one that makes no sense is ignored with an [`Event`].
    fn step<X: Outbox<Self::Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Self::Input<'_>,
        out: &mut X,
    ) -> Result<(), Refused>;

    /// When the host should next send a tick, if ever. Right after a tick it is later than `now`.
    fn deadline(&self) -> Option<Instant>;

    /// The most outputs that one step can make.
    fn max_outputs(&self) -> usize;

    /// Takes one input and returns the outputs in a `Vec`: sugar for tests and examples.
    ///
    /// # Errors
    /// As [`step`](Machine::step).
    #[cfg(feature = "alloc")]
    fn step_vec(
        &mut self,
        now: Now,
        input: Self::Input<'_>,
    ) -> Result<alloc::vec::Vec<Self::Output>, Refused> {
        let mut out = alloc::vec::Vec::new();
        self.step(now, input, &mut out)?;
        Ok(out)
    }
}

/// Where a machine puts its outputs: the caller's own.
pub trait Outbox<O> {
    /// Whether everything that was put in has been taken out.
    fn is_empty(&self) -> bool;

    /// How many more outputs fit.
    fn room(&self) -> usize;

    /// Takes an output. Never called more than [`room`](Outbox::room) times in one step.
    fn push(&mut self, output: O);

    /// How many bytes travel beside an output, if whoever takes it knows: a machine that bounds bytes
    /// asks before it says how much to send.
    fn weight(&self, _: &O) -> u64 {
        0
    }

    /// Hears what happened inside; may be left out, and then costs nothing.
    fn event(&mut self, _: Event) {}
}

/// Refuses an outbox that could not take everything a step may say.
pub(crate) fn check_outbox<O, X: Outbox<O> + ?Sized>(out: &X, needs: usize) -> Result<(), Refused> {
    if !out.is_empty() {
        Err(Refused::OutboxNotEmpty)
    } else if out.room() < needs {
        Err(Refused::OutboxTooSmall { needs })
    } else {
        Ok(())
    }
}

#[cfg(feature = "alloc")]
impl<O> Outbox<O> for alloc::vec::Vec<O> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
    fn room(&self) -> usize {
        usize::MAX
    }
    fn push(&mut self, output: O) {
        self.push(output);
    }
}

impl<O, const N: usize> Outbox<O> for crate::bounded::List<O, N> {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn room(&self) -> usize {
        N.saturating_sub(self.len())
    }
    fn push(&mut self, output: O) {
        // The contract says that this is never called without room, so nothing is lost here.
        let _ = self.push(output);
    }
}

/// Why a host's request was not taken. Nothing happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Refused {
    /// The outputs of the last step are still in the outbox: encode and take them first.
    OutboxNotEmpty,
    /// The outbox has less room than a step may need: give it room for `needs` outputs.
    OutboxTooSmall {
        /// [`Machine::max_outputs`].
        needs: usize,
    },
    /// This member does not lead: ask the leader, if one is known.
    NotLeader {
        /// The leader that this member knows.
        leader: Option<Slot>,
    },
    /// A limit would be passed: try again when something has been committed or compacted.
    Full(Limit),
    /// This leader's first entry, or the last change of the configuration, is not committed yet: try
    /// again when it is.
    Changing,
    /// This slot would begin to vote and lacks too many entries, or is sent them too slowly: let it
    /// learn, and try again.
    Lagging {
        /// Who lags.
        slot: Slot,
    },
    /// Leadership is being handed over: ask the next leader, or try again after an election timeout.
    Transferring,
    /// The request cannot be meant: it is empty, names what does not exist, or no one step leads
    /// there.
    Meaningless,
    /// The clock does not permit a stamp now.
    Clock(hlc::Error),
    /// It makes no sense for those who are members now.
    Unfit(Unfit),
    /// The machine has stopped for good, because a write failed or its state contradicts itself:
    /// restart it from what is on disk.
    Stopped,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutboxNotEmpty => f.write_str("the outbox still holds the last step's outputs"),
            Self::OutboxTooSmall { needs } => {
                write!(f, "the outbox needs room for {needs} outputs")
            }
            Self::NotLeader { leader: Some(leader) } => {
                write!(f, "this member does not lead; member {leader} does")
            }
            Self::NotLeader { leader: None } => {
                f.write_str("no leader is known; try again after an election")
            }
            Self::Full(limit) => write!(f, "the limit `{limit:?}` is reached; try again later"),
            Self::Changing => {
                f.write_str("an earlier change is not committed yet; try again in a moment")
            }
            Self::Lagging { slot } => {
                write!(f, "slot {slot} lags too far behind to vote; let it learn, and try again")
            }
            Self::Transferring => {
                f.write_str("leadership is being handed over; ask the next leader")
            }
            Self::Meaningless => {
                f.write_str("the request is empty, or names what does not exist or cannot be")
            }
            Self::Clock(error) => error.fmt(f),
            Self::Unfit(why) => why.fmt(f),
            Self::Stopped => f.write_str("the machine has stopped; restart it from its disk"),
        }
    }
}

impl core::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::List;

    /// Says two things in every step.
    struct Echo;

    impl Machine for Echo {
        type Input<'a> = u8;
        type Output = u8;

        fn step<X: Outbox<u8> + ?Sized>(
            &mut self,
            _: Now,
            input: u8,
            out: &mut X,
        ) -> Result<(), Refused> {
            check_outbox(out, 2)?;
            out.push(input);
            out.push(input);
            Ok(())
        }

        fn deadline(&self) -> Option<Instant> {
            None
        }

        fn max_outputs(&self) -> usize {
            2
        }
    }

    const NOW: Now = Now::mono(0);

    #[test]
    fn a_list_is_an_outbox_with_as_much_room_as_it_has() {
        let mut out = List::<u8, 2>::new();
        assert_eq!(Echo.step(NOW, 7, &mut out), Ok(()));
        assert_eq!(&*out, &[7, 7]);
        assert_eq!(Echo.step(NOW, 8, &mut out), Err(Refused::OutboxNotEmpty));
        let needs = Refused::OutboxTooSmall { needs: 2 };
        assert_eq!(Echo.step(NOW, 7, &mut List::<u8, 1>::new()), Err(needs));
    }

    #[test]
    #[cfg(feature = "alloc")]
    fn a_vector_is_an_outbox_with_room_for_everything() {
        let mut out = Echo.step_vec(NOW, 7).unwrap();
        assert_eq!(out, [7, 7]);
        assert_eq!(Echo.step(NOW, 8, &mut out), Err(Refused::OutboxNotEmpty));
    }
}
