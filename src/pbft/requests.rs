//! The requests that wait to be executed, and how long they have.
//!
//! Each has a time of its own, so a primary that serves all but one client is left for that one (a timer
//! for progress as such would not see it). First it is forwarded, for the primary may not have it; when
//! its time has run out again, the view is left. The times begin anew with each view.

use super::{Output, Pbft};
use crate::bounded::List;
use crate::event::ViewLeft;
use crate::id::{Digest, Slot};
use crate::limits::REQUESTS;
use crate::machine::Outbox;
use crate::time::{Instant, Span};

/// A request that waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Waiting {
    request: Digest,
    since: Instant,
    was_forwarded: bool,
}

/// The requests that wait, the longest first.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Requests {
    waiting: List<Waiting, REQUESTS>,
}

impl Requests {
    pub(super) const fn new() -> Self {
        Self { waiting: List::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn position(&self, request: Digest) -> Option<usize> {
        self.waiting.iter().position(|it| it.request == request)
    }

    pub(super) fn has_room_for(&self, request: Digest) -> bool {
        !self.waiting.is_full() || self.position(request).is_some()
    }

    /// Watches over a request from now on; one that is watched over keeps its time.
    pub(super) fn watch(&mut self, request: Digest, since: Instant) {
        if self.position(request).is_none() {
            // Whether there is room was checked.
            let _ = self.waiting.push(Waiting { request, since, was_forwarded: false });
        }
    }

    /// These wait no longer.
    pub(super) fn forget(&mut self, requests: &[Digest]) {
        for request in requests {
            if let Some(position) = self.position(*request) {
                self.waiting.remove(position);
            }
        }
    }

    /// All begin to wait anew.
    pub(super) fn begin_at(&mut self, now: Instant) {
        self.waiting.iter_mut().for_each(|it| (it.since, it.was_forwarded) = (now, false));
    }

    /// When the time of the first has run out.
    pub(super) fn deadline(&self, timeout: Span) -> Option<Instant> {
        self.waiting.first().map(|it| it.since.after(timeout))
    }
}

impl Pbft {
    /// Forwards what has waited its time, and leaves the view for what has waited it twice.
    pub(super) fn look_after_requests<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (now, timeout, to) = (self.now, self.timeout(), self.primary());
        let is_due = |it: &Waiting| now >= it.since.after(timeout);
        while let Some(first) = self.requests.waiting.first().copied().filter(is_due) {
            if first.was_forwarded {
                if self.committed <= self.opened {
                    // The view has decided nothing of its own.
                    self.fruitless = self.fruitless.saturating_add(1);
                }
                return self.leave(self.view.next(), ViewLeft::RequestOverdue, out);
            }
            self.requests.waiting.remove(0);
            let again = Waiting { since: now, was_forwarded: true, ..first };
            // Its own place has just become free.
            let _ = self.requests.waiting.push(again);
            if to != self.config.me {
                out.push(Output::Forward { request: first.request, to });
            }
        }
    }

    /// The host doubts that a member lives: if the primary is waited for, its time is over.
    pub(super) fn suspect<X: Outbox<Output> + ?Sized>(&mut self, slot: Slot, out: &mut X) {
        let is_waited_for = !self.requests.is_empty() || self.committed < self.voted;
        if self.is_active() && slot == self.primary() && slot != self.config.me && is_waited_for {
            self.leave(self.view.next(), ViewLeft::Suspected, out);
        }
    }
}
