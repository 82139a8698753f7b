//! Handing leadership over (dissertation 3.10).
//!
//! A leader that is asked to takes no more requests, brings the log of its successor up to its own, and
//! tells it to campaign at once. The successor skips the question whether it would be elected, and the
//! others skip the promise that binds them to the leader: their leader itself has asked. Nothing else is
//! skipped, so at worst nobody is elected.
//!
//! It ends when the successor's term is heard of; or, after an election timeout, in vain, and requests
//! are taken again (openraft#1749: an unreachable successor kept a group without a leader that writes).
//! What the successor is told names the leader's last entry: a late copy of it, or one that overtakes
//! what it speaks of, makes nobody campaign (openraft#1805).

use super::{Message, Output, Raft, Role};
use crate::event::{Event, Ignored};
use crate::id::{EntryId, Members, Slot, Term};
use crate::machine::{Outbox, Refused};
use crate::time::Instant;

/// Leadership that is being handed over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Transfer {
    to: Slot,
    /// When it has been in vain.
    until: Instant,
    /// The successor was told, and a heartbeat has not passed since.
    pub(super) told: bool,
}

impl Transfer {
    pub(super) const fn until(&self) -> Instant {
        self.until
    }
}

impl Raft {
    /// Refuses a successor who cannot lead, and another while one is waited for: whoever asks again and
    /// again must not keep requests out for longer, and each that was taken has one outcome. `check` has
    /// made sure that this member leads.
    pub(super) fn check_transfer(&self, to: Slot) -> Result<(), Refused> {
        if self.is_transferring() {
            return Err(Refused::Transferring);
        }
        let configuration = self.configuration();
        let electable = configuration.voters().minus(configuration.witnesses());
        if electable.without(self.config.me).contains(to) {
            Ok(())
        } else {
            Err(Refused::Meaningless)
        }
    }

    /// Whether leadership is being handed over.
    #[must_use]
    pub const fn is_transferring(&self) -> bool {
        matches!(&self.role, Role::Leader(leading) if leading.transfer.is_some())
    }

    /// Begins to hand leadership over.
    pub(super) fn transfer(&mut self, to: Slot) {
        let until = self.now.after(self.config.election_timeout);
        if let Role::Leader(leading) = &mut self.role {
            leading.transfer = Some(Transfer { to, until, told: false });
        }
    }

    /// Takes requests again if it has been in vain.
    pub(super) fn end_transfer<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let Role::Leader(leading) = &mut self.role else { return };
        if let Some(transfer) = leading.transfer.take_if(|transfer| self.now >= transfer.until) {
            out.push(Output::NotTransferred { to: transfer.to });
        }
    }

    /// Tells the successor to campaign, once its log is the leader's.
    pub(super) fn tell_transfer<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (term, last) = (self.term, self.log.last());
        let Role::Leader(leading) = &mut self.role else { return };
        let Some(Transfer { to, told: false, .. }) = leading.transfer else { return };
        if leading.matched(to) == last.index {
            leading.transfer.iter_mut().for_each(|transfer| transfer.told = true);
            leading.lease.named(to, last.index);
            out.push(Output::Send {
                to: Members::only(to),
                message: Message::Campaign { term, last },
            });
        }
    }

    /// The leader of this term wants this member to take its place.
    pub(super) fn on_campaign<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        last: EntryId,
        out: &mut X,
    ) -> Option<Message> {
        if term < self.term {
            return Some(Message::Stale { term: self.term });
        }
        self.adopt(term, out);
        let is_meant = self.leader() == Some(from) && self.log.last() == last;
        if is_meant && !self.leads() && self.may_campaign() {
            self.campaign(true, out);
        } else {
            out.event(Event::Ignored { from, why: Ignored::Stale });
        }
        None
    }
}
