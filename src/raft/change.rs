//! Changes of the configuration (dissertation 4; Ongaro's message of 10 July 2015 to raft-dev).
//!
//! A configuration is an entry of the log and counts, on every member, from the moment it stands
//! there, committed or not; it goes when its entry is cut. Two configurations that count at one time
//! therefore follow each other in one log, and majorities of the two must meet. That takes two rules,
//! which are one: **a leader appends a configuration only if it has committed an entry of its own term,
//! and every configuration before.** Without the first half two leaders in turn could each take a
//! different step from the same configuration, and commit both (etcd#12359 and openraft#2051 added it
//! late).
//!
//! Who begins to vote should not hold up commits, so it learns first, and is refused until it lags little
//! and was sent its last stretch of entries within an election timeout (4.2.1).
//!
//! A joint configuration that leaves itself is left by whichever leader finds it committed
//! (etcd#12136). A leader that no longer votes leads until that is committed, without counting itself,
//! and then retires: it says so to its followers first, or they could not tell.

use super::{Change, Configuration, Output, Raft, Role};
use crate::event::SteppedDown;
use crate::id::{EntryId, Members, Slot};
use crate::limits::Limit;
use crate::machine::{Outbox, Refused};
use crate::membership::roster::Sight;
use crate::time::Span;

impl Raft {
    /// Whether this leader may append a configuration now.
    fn may_change(&self) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        leading.barrier() <= self.commit && self.log.configured().at <= self.commit
    }

    /// Refuses a change that may not be made, or not now. `check` has made sure that this member leads.
    pub(super) fn check_change(&self, configuration: &Configuration) -> Result<(), Refused> {
        let last = self.log.last().index;
        if self.is_transferring() {
            return Err(Refused::Transferring);
        }
        if !self.may_change() {
            return Err(Refused::Changing);
        }
        let is_beyond = |slot: Slot| slot.position() >= self.config.limits.members;
        if configuration.members().iter().any(is_beyond)
            || !self.configuration().leads_to(configuration)
        {
            return Err(Refused::Meaningless);
        }
        if let Some(slot) = self.laggard(configuration) {
            return Err(Refused::Lagging { slot });
        }
        if self.log.changes_up_to(last) >= self.config.limits.configurations {
            return Err(Refused::Full(Limit::Configurations));
        }
        if self.room_for(self.term, last, Some(configuration)) == last {
            return Err(Refused::Full(Limit::Entries));
        }
        Ok(())
    }

    /// A slot that would begin to vote and could not keep up: commits would wait for it (pd#11236). A
    /// witness gets no payloads, and so catches up at once.
    fn laggard(&self, next: &Configuration) -> Option<Slot> {
        let (lag, last) = (u64::from(self.config.promotion_lag?), self.log.last().index);
        let Role::Leader(leading) = &self.role else { return None };
        let now = self.configuration();
        let mut new = next.electorate().minus(now.electorate()).minus(next.witnesses()).iter();
        let is_short = self.log.floor() == EntryId::ZERO && last.number() <= lag;
        let keeps_up = |slot| now.members().contains(slot) && leading.keeps_up(slot, last, lag);
        new.find(|&slot| !is_short && !keeps_up(slot))
    }

    /// What this member sees of the others, if it leads, and who of them has been silent for so long.
    pub(crate) fn sight(&self, silence: Option<Span>) -> Option<Sight> {
        let Role::Leader(leading) = &self.role else { return None };
        let (me, configuration, at) =
            (self.config.me, *self.configuration(), self.log.configured().at);
        let members = |is: &dyn Fn(Slot) -> bool| -> Members {
            configuration.members().iter().filter(|slot| is(*slot)).collect()
        };
        let unheard = |slot: Slot| match leading.peers.get(slot.position()) {
            Some(peer) if slot != me => self.now.since(peer.heard),
            _ => Span::ZERO,
        };
        let holds = |slot| match slot {
            _ if slot == me => self.disk.durable(),
            _ if leading.rests => self.log.last().index,
            _ => leading.matched(slot),
        };
        let is_fit = |slot: &Slot| {
            let votes = configuration.simple(&[Change::AddVoter(*slot)]);
            votes.is_ok_and(|votes| self.laggard(&votes).is_none())
        };
        Some(Sight {
            me,
            configuration,
            changing: self.is_transferring() || !self.may_change(),
            fit: configuration.learners().iter().filter(is_fit).collect(),
            alive: members(&|slot| unheard(slot) < self.config.election_timeout),
            informed: members(&|slot| holds(slot) >= at),
            current: members(&|slot| holds(slot) >= self.commit),
            silent: members(&|slot| silence.is_some_and(|silence| unheard(slot) >= silence)),
        })
    }

    /// Appends a configuration. `check_change` has made sure that it may.
    pub(super) fn reconfigure(&mut self, configuration: Configuration) {
        let Role::Leader(leading) = &mut self.role else { return };
        let new = configuration.members().minus(self.log.configured().configuration.members());
        self.log.append(self.term, 1);
        self.log.configure(configuration);
        leading.welcome(new.without(self.config.me), self.now, self.log.last().index);
    }

    /// Ends a change that ends by itself, as soon as that may be proposed and there is room.
    pub(super) fn leave_joint(&mut self) {
        let joint = self.configuration();
        if !joint.leaves_by_itself() {
            return;
        }
        let after = joint.leave_joint().ok();
        if let Some(after) = after.filter(|after| self.check_change(after).is_ok()) {
            self.reconfigure(after);
        }
    }

    /// Stops leading once it is committed that this member does not vote.
    pub(super) fn retire<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let newest = self.log.configured();
        let is_voter = newest.configuration.electorate().contains(self.config.me);
        if !is_voter && newest.at <= self.commit {
            self.step_down(SteppedDown::Removed, out);
        }
    }
}
