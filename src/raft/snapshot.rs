//! Snapshots: the one way to catch up when the log no longer reaches back (dissertation 5).
//!
//! A member compacts its log when a snapshot of its own state is durable on it, and sends that
//! snapshot to whoever needs what the log no longer has: in parts, one under way at a time, each
//! answered by how much is there. A transfer is named by the snapshot alone, so it goes on where
//! it stopped, under a later leader too if that one's snapshot is the same.
//!
//! A received snapshot takes the log's place only when it is durable, only on a member that does
//! not lead, and only if the log does not hold its boundary: else the log may hold acknowledged
//! entries above it (NuRaft#407, camunda#6092).

use super::{Base, Message, Output, Raft, Role, Snapshot};
use crate::event::{Event, Ignored, Stopped};
use crate::id::{Slot, Term};
use crate::machine::Outbox;

/// A snapshot that this member is being sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Incoming {
    /// Which one.
    pub snapshot: Snapshot,
    /// How many of its bytes are here.
    pub received: u32,
}

/// A snapshot on its way to a follower.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sending {
    digest: u64,
    /// How many bytes the follower has.
    received: u32,
    /// A part is under way.
    waiting: bool,
}

impl Sending {
    /// Whether a part of this snapshot should be sent now.
    pub(super) const fn is_due(self, snapshot: &Snapshot) -> bool {
        self.digest != snapshot.digest || (!self.waiting && self.received < snapshot.size)
    }

    /// The part to send: where it begins, and how long it is.
    pub(super) fn part(sending: Option<Self>, snapshot: &Snapshot, chunk: usize) -> (u32, u32) {
        let transfer = sending.filter(|sending| sending.digest == snapshot.digest);
        let offset = transfer.map_or(0, |sending| sending.received);
        if transfer.is_some_and(|sending| sending.waiting) {
            return (offset, 0);
        }
        let chunk = u32::try_from(chunk).unwrap_or(u32::MAX);
        (offset, snapshot.size.saturating_sub(offset).min(chunk))
    }

    /// The transfer, once a part has been sent.
    pub(super) fn after(sending: Option<Self>, snapshot: &Snapshot) -> Self {
        let transfer = sending.filter(|sending| sending.digest == snapshot.digest);
        let received = transfer.map_or(0, |sending| sending.received);
        Self { digest: snapshot.digest, received, waiting: true }
    }

    pub(super) const fn resend(&mut self) {
        self.waiting = false;
    }

    pub(super) const fn received(&mut self, digest: u64, received: u32) {
        if self.digest == digest && (self.received != received || !self.waiting) {
            (self.received, self.waiting) = (received, false);
        }
    }
}

impl Raft {
    /// The durable snapshot at the floor of the log: its bytes must be at hand while members may
    /// need them.
    #[must_use]
    pub const fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot
    }

    /// Whether a follower that answers is being sent the snapshot.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        leading.is_sending(self.audience(), self.now, self.config.election_timeout)
    }

    /// The snapshot that this member is being sent.
    #[must_use]
    pub const fn incoming(&self) -> Option<Incoming> {
        self.incoming
    }

    pub(super) fn on_chunk<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        message: &Message,
        out: &mut X,
    ) -> Option<Message> {
        let &Message::Chunk { term, boundary, digest, size, offset, length, round } = message
        else {
            return None;
        };
        if let Err(answer) = self.follow(from, term, round, out) {
            return answer;
        }
        let snapshot = Snapshot { boundary, size, digest };
        if self.rules_out(boundary) {
            return self.contradicted(from, out);
        }
        if boundary.index <= self.commit || self.log.contains(boundary) {
            // It covers nothing that is not here: what is committed is the same everywhere.
            self.commit_to(boundary.index);
            self.incoming = None;
            if let Role::Follower(following) = &mut self.role {
                following.agree(boundary.index);
                following.repeat();
            }
            return None;
        }
        if snapshot.size as usize > self.config.limits.snapshot {
            out.event(Event::Ignored { from, why: Ignored::NoRoom });
            return None;
        }
        if !self.disk.has_ballot() {
            return None; // What a term has taught must not outlive the term; it is sent again.
        }
        let mut incoming = self
            .incoming
            .filter(|incoming| incoming.snapshot == snapshot)
            .unwrap_or(Incoming { snapshot, received: 0 });
        let was_complete = incoming.received == snapshot.size;
        if offset == incoming.received {
            incoming.received = offset.saturating_add(length);
        }
        self.incoming = Some(incoming);
        if incoming.received == snapshot.size && !was_complete {
            out.push(Output::SnapshotReceived { snapshot });
        }
        let (received, round) = (incoming.received, self.answer());
        Some(Message::Received { term, digest, received, round })
    }

    pub(super) fn on_received<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        (term, round): (Term, u64),
        digest: u64,
        received: u32,
        out: &mut X,
    ) -> Option<Message> {
        let size = self.snapshot.map_or(0, |snapshot| snapshot.size);
        let peer = self.heard(from, term, round, out)?;
        if received <= size {
            peer.received(digest, received);
        }
        None
    }

    /// A snapshot is durable on this member.
    pub(super) fn stored<X: Outbox<Output> + ?Sized>(&mut self, base: Base, out: &mut X) {
        let Base { snapshot, configuration } = base;
        let boundary = snapshot.boundary;
        if boundary.index <= self.log.floor().index {
            return;
        }
        if self.rules_out(boundary) {
            return self.stop(Stopped::CommittedConflict, |event| out.event(event));
        }
        if self.log.contains(boundary) {
            self.log.compact(boundary);
            out.event(Event::Compacted { boundary });
        } else if matches!(self.role, Role::Follower(_)) {
            let from = self.log.floor().index.next();
            self.disk.cut(from);
            self.log.reset(boundary, configuration);
            out.event(Event::Installed { boundary });
        } else {
            // The tail may be winning an election just now; it is sent again if it is needed.
            self.incoming = None;
            return;
        }
        self.snapshot = Some(snapshot);
        self.commit_to(boundary.index);
        self.disk.covered(boundary.index);
        self.incoming = None;
        if let Role::Follower(following) = &mut self.role
            && following.leader().is_some()
        {
            following.agree(boundary.index);
        }
    }
}
