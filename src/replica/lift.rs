//! How Raft's outputs become the replica's, and entries get their place.

use super::{Body, Entry, Header, Levels, Output, Request, entry::Window};
use crate::event::Event;
use crate::hlc::{Clock, Stamp};
use crate::id::{Index, Members};
use crate::machine::Outbox;
use crate::raft::{self, Write};
use crate::time::Now;

/// Where the payloads of entries that Raft takes in this step come from.
pub(super) enum Source<'a, C> {
    /// None are expected: what Raft appends by itself is a leader's barrier or a change.
    Nothing,
    /// A leader's message: the entries from an index on.
    Entries(Index, &'a [Entry<C>]),
    /// Clients' requests, to be stamped from a stamp on and to stand from an index on.
    Requests(Stamp, Index, &'a [Request<C>]),
    /// What is this leader's own, with its stamp.
    Own(Stamp, Body<C>),
}

/// The outbox that Raft fills, open only for the length of one of its steps.
pub(super) struct Lift<'a, C, X: ?Sized> {
    pub(super) window: &'a mut Window<C>,
    pub(super) clock: &'a mut Clock,
    pub(super) levels: &'a mut Levels,
    pub(super) source: Source<'a, C>,
    /// What a command weighs.
    pub(super) weigh: fn(&C) -> u64,
    /// Who gets no payloads.
    pub(super) witnesses: Members,
    pub(super) now: Now,
    pub(super) out: &'a mut X,
}

impl<C: Clone, X: Outbox<Output> + ?Sized> Outbox<raft::Output> for Lift<'_, C, X> {
    fn is_empty(&self) -> bool {
        true // What stands in the outbox is of this very step.
    }

    fn room(&self) -> usize {
        self.out.room()
    }

    fn push(&mut self, output: raft::Output) {
        match output {
            raft::Output::Persist { receipt, write } => {
                if let Some((first, last)) = write.entries() {
                    self.bind(first, last, &write);
                }
                self.out.push(Output::Persist { receipt, write });
            }
            raft::Output::Send { to, message } => {
                let early = self.levels.early == Some(message.term());
                let brings_entries = match message {
                    raft::Message::Append { count, .. } => count > 0,
                    raft::Message::Configure { .. } => true,
                    _ => false,
                };
                let bare = if brings_entries { to.shared(self.witnesses) } else { Members::NONE };
                for (to, bare) in [(to.minus(bare), false), (bare, true)] {
                    if !to.is_empty() {
                        let header = Header { message, early, bare };
                        self.out.push(Output::Send { to, header });
                    }
                }
            }
            raft::Output::Committed { index } => self.levels.committed = index,
            raft::Output::Leading { .. } => self.out.push(Output::Leading),
            raft::Output::Following { leader, .. } => {
                (self.levels.serving, self.levels.confirmed) = (None, None);
                self.out.push(Output::Following { leader });
            }
            raft::Output::NotTransferred { to } => self.out.push(Output::NotTransferred { to }),
            raft::Output::Unreadable { read } => self.out.push(Output::Unreadable { read }),
            raft::Output::Reading { read } => self.out.push(Output::Reading { read }),
            raft::Output::Readable { read, index } => self.levels.confirmed = Some((read, index)),
            // This floor counts the bytes that are here, and checks the whole.
            raft::Output::SnapshotReceived { .. } => {}
        }
    }

    fn weight(&self, output: &raft::Output) -> u64 {
        match *output {
            raft::Output::Send { message: raft::Message::Append { prev, count, .. }, .. } => {
                self.window.weight(prev.index.next(), prev.index.plus(u64::from(count)))
            }
            _ => 0,
        }
    }

    fn event(&mut self, event: Event) {
        self.out.event(event);
    }
}

impl<C: Clone, X: ?Sized> Lift<'_, C, X> {
    /// Puts the payloads of the entries that Raft has just taken where Raft has put them.
    fn bind(&mut self, first: Index, last: Index, write: &Write) {
        self.window.cut(first);
        let (mut index, mut newest) = (self.window.last(), None);
        while index < last {
            index = index.next();
            let entry = self.payload(index, write);
            let weight = entry.weight(self.weigh);
            newest = Some(entry.stamp);
            if self.window.push(entry, weight).is_err() {
                break; // Raft's limit is the window's; `apply` stops at what is missing.
            }
        }
        // Stamps rise along the log, so the clock need hear but the last.
        if let Some(stamp) = newest
            && self.clock.observe(self.now, stamp).is_err()
        {
            self.clock.raise(stamp); // It is committed, or this member's own.
        }
    }

    fn payload(&mut self, index: Index, write: &Write) -> Entry<C> {
        let place = |from: Index| usize::try_from(index.above(from.previous()).wrapping_sub(1));
        let given = match &self.source {
            Source::Nothing => None,
            Source::Entries(from, entries) => {
                place(*from).ok().and_then(|place| entries.get(place)).cloned()
            }
            Source::Requests(stamp, from, requests) => place(*from).ok().and_then(|place| {
                let request = requests.get(place)?.clone();
                Some(Entry { stamp: stamp.plus(place as u64), body: Body::Request(request) })
            }),
            Source::Own(stamp, body) => Some(Entry { stamp: *stamp, body: body.clone() }),
        };
        given.unwrap_or_else(|| {
            // What Raft appends by itself is a change or a leader's barrier.
            let body = match write {
                Write::Configure { .. } => Body::Change,
                _ => Body::Barrier,
            };
            // It must stand above the entry before it, even if this clock is wrong.
            let last = self.clock.last();
            let stamp = self.clock.stamp(self.now).ok().or(last.next()).unwrap_or(last);
            Entry { stamp, body }
        })
    }
}
