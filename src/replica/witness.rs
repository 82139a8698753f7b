//! A witness: a voter that keeps the log without its payloads.
//!
//! It is Raft alone. It counts for elections and commits as any voter does, on a machine that could not
//! hold the data, and never leads. What a majority with a witness in it has committed may lie in full on
//! one member only: while that one is away, nobody who lacks it can be elected.
//!
//! Nobody needs anything of a witness's past, so it compacts its log by itself, up to what is committed,
//! with a snapshot of nothing. When a leader sends it a snapshot, it keeps the first bytes, which say who
//! belongs to the group there.

use super::snapshot::{HEAD, configuration_of};
use super::{Header, Output};
use crate::bounded::List;
use crate::event::{Event, Ignored};
use crate::id::{EntryId, Index, Slot};
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::raft::{self, Base, Raft, Receipt, Snapshot, Write};
use crate::time::{Instant, Now};

/// What a host tells a witness.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input<'a> {
    /// The deadline has passed (early and late ticks do no harm).
    Tick,
    /// A message came in; entries that may have travelled with it are of no interest. The host vouches
    /// for the sender.
    Message {
        /// Who sent it.
        from: Slot,
        /// What it says.
        header: Header,
        /// The part of a snapshot that travelled with it.
        chunk: &'a [u8],
    },
    /// The write of this receipt, and every write before it, are durable.
    Persisted(Receipt),
    /// A write failed. The witness stops for good.
    PersistFailed,
    /// The host doubts that this member lives: it wakes a witness that rests in that one's service.
    Suspect(Slot),
}

/// A voter that keeps the log without its payloads. Of the outputs of a [`Replica`](super::Replica) it
/// makes `Persist`, which has no entries, `Send` and `Following`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Witness {
    raft: Raft,
    levels: Levels,
    /// The first bytes of the snapshot that is being received.
    head: List<u8, HEAD>,
}

/// What Raft has said in its steps, as far as a witness acts on it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Levels {
    committed: Index,
    received: Option<Snapshot>,
}

impl Witness {
    /// A witness. One that has lived before folds what was written back in with
    /// [`replay`](Self::replay), in the order of writing, before the first step.
    ///
    /// # Errors
    /// [`raft::ConfigError`] if the configuration contradicts itself.
    pub fn new(config: raft::Config) -> Result<Self, raft::ConfigError> {
        let levels = Levels { committed: Index::ZERO, received: None };
        Ok(Self { raft: Raft::new(config)?, levels, head: List::new() })
    }

    /// Folds a write of a former life back in.
    pub fn replay(&mut self, write: &Write) {
        self.raft.replay(write);
    }

    /// The Raft machine.
    #[must_use]
    pub const fn raft(&self) -> &Raft {
        &self.raft
    }

    /// All that must be on disk: what a rebase stands for.
    pub fn image(&self) -> impl Iterator<Item = Write> {
        self.raft.image()
    }

    fn below<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: raft::Input,
        out: &mut X,
    ) -> Result<(), Refused> {
        self.raft.step(now, input, &mut Lift { levels: &mut self.levels, out })
    }

    fn receive<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        from: Slot,
        message: raft::Message,
        chunk: &[u8],
        out: &mut X,
    ) -> Result<(), Refused> {
        if let raft::Message::Chunk { length, .. } = message
            && length as usize != chunk.len()
        {
            out.event(Event::Ignored { from, why: Ignored::Malformed });
            return Ok(());
        }
        let before = self.raft.incoming();
        self.below(now, raft::Input::Message { from, message }, out)?;
        let Some(incoming) = self.raft.incoming().filter(|incoming| before != Some(*incoming))
        else {
            return Ok(());
        };
        if incoming.received as usize == chunk.len() {
            self.head.truncate(0);
        }
        let wanted = HEAD.saturating_sub(self.head.len()).min(chunk.len());
        let _ = chunk.get(..wanted).map(|wanted| self.head.extend(wanted));
        let Some(snapshot) = self.levels.received.take() else { return Ok(()) };
        let next = match configuration_of(&self.head, snapshot.boundary) {
            Ok(configuration) => raft::Input::Stored(Base { snapshot, configuration }),
            Err(_) => raft::Input::Discard,
        };
        self.below(now, next, out)
    }

    /// Lets go of what is committed once the log is half full.
    fn compact<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        out: &mut X,
    ) -> Result<(), Refused> {
        let (log, limits) = (self.raft.log(), self.raft.config().limits);
        let is_long = log.last().index.above(log.floor().index) >= limits.entries as u64 / 2;
        let is_motley = log.runs().len() >= limits.runs / 2;
        let is_changed = log.configurations().skip(1).count() >= limits.configurations / 2;
        let index = self.levels.committed;
        let Some(term) = log.term_at(index).filter(|_| is_long || is_motley || is_changed) else {
            return Ok(());
        };
        let configuration = *log.configuration_at(index);
        // One that joins does not know yet who belongs to the group there.
        if index <= log.floor().index || configuration.voters().is_empty() {
            return Ok(());
        }
        let snapshot = Snapshot { boundary: EntryId::new(term, index), size: 1, digest: 0 };
        self.below(now, raft::Input::Stored(Base { snapshot, configuration }), out)
    }
}

impl Machine for Witness {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn step<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Input<'_>,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, self.max_outputs())?;
        match input {
            Input::Tick => self.below(now, raft::Input::Tick, out)?,
            Input::Message { from, header, chunk } => {
                self.receive(now, from, header.message, chunk, out)?;
            }
            Input::Persisted(receipt) => self.below(now, raft::Input::Persisted(receipt), out)?,
            Input::PersistFailed => self.below(now, raft::Input::PersistFailed, out)?,
            Input::Suspect(slot) => self.below(now, raft::Input::Suspect(slot), out)?,
        }
        if self.raft.stopped().is_some() { Ok(()) } else { self.compact(now, out) }
    }

    fn deadline(&self) -> Option<Instant> {
        self.raft.deadline()
    }

    fn max_outputs(&self) -> usize {
        // For the input, for a snapshot that is complete with it, and for the one of nothing.
        self.raft.max_outputs().saturating_mul(3)
    }
}

/// The outbox that Raft fills.
struct Lift<'a, X: ?Sized> {
    levels: &'a mut Levels,
    out: &'a mut X,
}

impl<X: Outbox<Output> + ?Sized> Outbox<raft::Output> for Lift<'_, X> {
    fn is_empty(&self) -> bool {
        true // What stands in the outbox is of this very step.
    }

    fn room(&self) -> usize {
        self.out.room()
    }

    fn push(&mut self, output: raft::Output) {
        match output {
            raft::Output::Persist { receipt, write } => {
                self.out.push(Output::Persist { receipt, write });
            }
            raft::Output::Send { to, message } => {
                let header = Header { message, early: false, bare: true };
                self.out.push(Output::Send { to, header });
            }
            raft::Output::Following { leader, .. } => self.out.push(Output::Following { leader }),
            raft::Output::Committed { index } => self.levels.committed = index,
            raft::Output::SnapshotReceived { snapshot } => self.levels.received = Some(snapshot),
            // It leads never, and takes no reads.
            raft::Output::Leading { .. }
            | raft::Output::Reading { .. }
            | raft::Output::Readable { .. }
            | raft::Output::Unreadable { .. }
            | raft::Output::NotTransferred { .. } => {}
        }
    }

    fn event(&mut self, event: Event) {
        self.out.event(event);
    }
}
