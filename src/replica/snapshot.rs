//! Snapshots of a replica: the state, the sessions and the position, as bytes.
//!
//! The bytes are the position of the boundary, the configuration there, the length of the sessions,
//! the sessions, the roster, then what the state machine writes: equal replicas make equal bytes, so a transfer that
//! one leader began another may finish.

use super::{Header, Output, Replica, Sessions, Source};
use crate::bounded::List;
use crate::codec::{Codec, Malformed, NoRoom, digest};
use crate::hlc::Stamp;
use crate::id::EntryId;
use crate::limits;
use crate::machine::{Outbox, Refused};
use crate::membership::Roster;
use crate::raft::{self, Base, Configuration, Snapshot};
use crate::state_machine::{Position, StateMachine};
use crate::time::Now;

/// The most bytes that tell where a snapshot stands and who belongs to the group there: a snapshot
/// begins with them.
pub(super) const HEAD: usize = 64;

/// Who belongs to the group where a snapshot ends, by its first bytes.
pub(super) fn configuration_of(
    mut bytes: &[u8],
    boundary: EntryId,
) -> Result<Configuration, Malformed> {
    let entry = EntryId::decode(&mut bytes)?;
    Stamp::decode(&mut bytes)?;
    let configuration = Configuration::decode(&mut bytes)?;
    if entry == boundary { Ok(configuration) } else { Err(Malformed) }
}

/// A snapshot with its bytes, or as many of them as are here.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Held {
    snapshot: Snapshot,
    bytes: List<u8, { limits::MOST.snapshot }>,
}

impl Held {
    /// A snapshot whose bytes are what its name says.
    pub(super) fn from_bytes(snapshot: Snapshot, bytes: &[u8]) -> Option<Self> {
        let mut held = Self { snapshot, bytes: List::new() };
        held.bytes.extend(bytes).ok()?;
        held.is_whole().then_some(held)
    }

    /// What a log goes on from that goes on from it.
    pub(super) fn base(&self) -> Result<Base, Malformed> {
        let configuration = configuration_of(&self.bytes, self.snapshot.boundary)?;
        Ok(Base { snapshot: self.snapshot, configuration })
    }

    fn is_complete(&self) -> bool {
        self.bytes.len() == self.snapshot.size as usize
    }

    fn is_whole(&self) -> bool {
        self.is_complete() && digest(&self.bytes) == self.snapshot.digest
    }
}

impl<S: StateMachine> Replica<S> {
    /// The part of a snapshot that travels with a message.
    #[must_use]
    pub fn chunk_of(&self, header: &Header) -> &[u8] {
        let raft::Message::Chunk { offset, length, digest, .. } = header.message else {
            return &[];
        };
        let held = self.held.as_ref().filter(|held| held.snapshot.digest == digest);
        let end = offset.saturating_add(length) as usize;
        held.and_then(|held| held.bytes.get(offset as usize..end)).unwrap_or(&[])
    }

    /// The bytes of a snapshot that is to be stored.
    #[must_use]
    pub fn bytes_of(&self, snapshot: &Snapshot) -> &[u8] {
        let next = self.next.as_ref().filter(|next| next.snapshot == *snapshot);
        next.map_or(&[], |next| &next.bytes)
    }

    /// Takes a snapshot when half the log, or half its runs or its changes of the configuration, are
    /// held and enough of them applied, or when a follower's log is nearly full; not while another is on
    /// its way in or to the disk and, while there is room, not while one is on its way to a follower.
    pub(super) fn take_snapshot<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        // One that a leader began to send, and that the log has overtaken, will not be finished.
        let applied = self.applied.entry.index;
        self.next.take_if(|next| !next.is_complete() && next.snapshot.boundary.index <= applied);
        if self.next.is_some() || !self.has_much_to_let_go() {
            return;
        }
        // A member that joins does not know yet who belongs to the group where its log ends, and no log
        // goes on from a snapshot that does not say so.
        if self.raft.log().configuration_at(applied).voters().is_empty() {
            return;
        }
        let limits = self.raft.config().limits;
        let is_crowded = self.window.len() >= limits.entries.saturating_sub(limits.entries / 4);
        if self.raft.is_sending() && !is_crowded {
            return;
        }
        let mut bytes = List::new();
        if self.write_state(&mut bytes).is_err() || bytes.len() > limits.snapshot {
            return; // The log fills up, and then requests are refused.
        }
        let Ok(size) = u32::try_from(bytes.len()) else { return };
        let snapshot = Snapshot { boundary: self.applied.entry, size, digest: digest(&bytes) };
        self.next = Some(Held { snapshot, bytes });
        out.push(Output::Store { snapshot });
    }

    fn has_much_to_let_go(&self) -> bool {
        let (limits, log) = (&self.raft.config().limits, self.raft.log());
        let applied = self.applied.entry.index;
        let to_let_go = usize::try_from(applied.above(log.floor().index)).unwrap_or(usize::MAX);
        let is_long = || self.window.len() >= limits.entries / 2 && to_let_go >= limits.entries / 4;
        let is_motley = || {
            log.runs().len() >= limits.runs / 2
                && log.runs().first().is_some_and(|run| run.last <= applied)
        };
        // A leader leaves this much room for later leaders; a member whose floor is lower than that
        // leader's makes it, or it could not follow the leader in its office.
        let is_changed = || {
            let changes = log.configurations().skip(1);
            changes.clone().count() >= limits.configurations / 2
                && changes.clone().any(|change| change.at <= applied)
        };
        let is_full =
            || !self.raft.leads() && self.window.len().saturating_add(limits.runs) > limits.entries;
        to_let_go > 0 && (is_long() || is_motley() || is_changed() || is_full())
    }

    fn write_state(&self, bytes: &mut List<u8, { limits::MOST.snapshot }>) -> Result<(), NoRoom> {
        self.applied.entry.encode(bytes)?;
        self.applied.stamp.encode(bytes)?;
        self.raft.log().configuration_at(self.applied.entry.index).encode(bytes)?;
        self.sessions.encode(bytes)?;
        self.roster.encode(bytes)?;
        self.state.snapshot(bytes)
    }

    /// Takes on the state of a snapshot.
    pub(super) fn restore(&mut self, held: &Held) -> Result<(), Malformed> {
        let mut bytes: &[u8] = &held.bytes;
        let entry = EntryId::decode(&mut bytes)?;
        let stamp = Stamp::decode(&mut bytes)?;
        Configuration::decode(&mut bytes)?;
        if entry != held.snapshot.boundary {
            return Err(Malformed);
        }
        let sessions = Sessions::decode(&mut bytes, self.raft.config().limits.sessions)?;
        let roster = Roster::decode(&mut bytes)?;
        self.state.restore(bytes)?;
        (self.sessions, self.roster) = (sessions, roster);
        self.applied = Position { entry, stamp };
        self.levels.committed = self.levels.committed.max(entry.index);
        self.clock.raise(stamp);
        Ok(())
    }

    /// Puts a part that Raft has accepted behind the parts that are here; checks the whole.
    pub(super) fn stage<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        before: Option<raft::Incoming>,
        chunk: &[u8],
        out: &mut X,
    ) -> Result<(), Refused> {
        if let Some(before) = before.filter(|_| self.raft.incoming().is_none()) {
            self.next.take_if(|next| next.snapshot == before.snapshot); // It is no longer needed.
        }
        let Some(incoming) = self.raft.incoming().filter(|incoming| before != Some(*incoming))
        else {
            return Ok(());
        };
        let snapshot = incoming.snapshot;
        if self.next.as_ref().is_none_or(|next| next.snapshot != snapshot) {
            self.next = Some(Held { snapshot, bytes: List::new() });
        }
        let received = incoming.received as usize;
        let fits = self
            .next
            .as_mut()
            .is_some_and(|next| next.bytes.extend(chunk).is_ok() && next.bytes.len() == received);
        let is_complete = incoming.received == snapshot.size;
        let is_whole = self.next.as_ref().is_some_and(Held::is_whole);
        if !fits || (is_complete && !is_whole) {
            self.next = None;
            return self.below(now, raft::Input::Discard, Source::Nothing, out);
        }
        if is_complete {
            out.push(Output::Store { snapshot });
        }
        Ok(())
    }

    /// A snapshot is durable: it becomes the floor, and the state too if it is ahead of it.
    pub(super) fn stored<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        snapshot: Snapshot,
        out: &mut X,
    ) -> Result<(), Refused> {
        // Another may have taken its place since, or the same one that is being sent once more.
        let is_meant = |next: &mut Held| next.snapshot == snapshot && next.is_complete();
        let Some(held) = self.next.take_if(is_meant) else { return Ok(()) };
        let Ok(base) = held.base() else {
            self.stop(out);
            return Ok(());
        };
        self.below(now, raft::Input::Stored(base), Source::Nothing, out)?;
        if self.raft.log().floor() != snapshot.boundary {
            return Ok(());
        }
        if self.applied.entry.index < snapshot.boundary.index {
            if self.restore(&held).is_err() {
                self.stop(out);
                return Ok(());
            }
            out.push(Output::Applied { index: snapshot.boundary.index });
        }
        self.held = Some(held);
        Ok(())
    }
}
