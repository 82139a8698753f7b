//! Replication: a leader's entries on their way to a quorum, and the commit that follows
//! (dissertation 3.5, 3.6).
//!
//! A lost message shows as a conflict at the next one, at the latest at the next heartbeat.

use super::leadership::Progress;
use super::{Message, Output, Raft, Role, Snapshot};
use crate::event::{Event, Ignored};
use crate::id::{EntryId, Index, Members, Slot, Term};
use crate::machine::Outbox;

impl Raft {
    /// The progress of a follower that answers in this term, if this member leads.
    pub(super) fn heard<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        round: u64,
        out: &mut X,
    ) -> Option<&mut Progress> {
        self.adopt(term, out);
        match &mut self.role {
            Role::Leader(leading) if term == self.term && round <= leading.round => {
                let peer = leading.peers.get_mut(from.position())?;
                peer.heard = self.now;
                peer.round_heard = peer.round_heard.max(round);
                Some(peer)
            }
            _ => {
                out.event(Event::Ignored { from, why: Ignored::Stale });
                None
            }
        }
    }

    pub(super) fn on_matched<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        matched: Index,
        round: u64,
        out: &mut X,
    ) -> Option<Message> {
        let (last, floor) = (self.log.last().index, self.log.floor().index);
        let (now, timeout) = (self.now, self.config.election_timeout);
        let is_gated = self.config.promotion_lag.is_some();
        let peer = self.heard(from, term, round, out)?;
        if matched > last {
            out.event(Event::Ignored { from, why: Ignored::Impossible });
            return None;
        }
        if matched > peer.matched {
            (peer.matched, peer.matched_in) = (matched, round);
        }
        if matched >= floor {
            peer.sending = None;
        }
        peer.next = peer.next.max(peer.matched.next());
        (peer.probing, peer.waiting) = (false, false);
        let matched = peer.matched;
        if is_gated {
            peer.measure(last, now, timeout);
        }
        if let Role::Leader(leading) = &mut self.role {
            leading.lease.acknowledged(from, matched);
        }
        None
    }

    pub(super) fn on_conflict<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        (term, round): (Term, u64),
        rejected: Index,
        hint: EntryId,
        out: &mut X,
    ) -> Option<Message> {
        // What this log holds at or below the hint could be in the follower's as well.
        let next = self.log.could_match(hint).index.next();
        let peer = self.heard(from, term, round, out)?;
        if rejected <= peer.matched {
            // Late, and of no use now; or, if it has heard a newer round than when it
            // acknowledged, proof that it lost what it had.
            let lost = round > peer.matched_in;
            let why = Ignored::Stale;
            let late = Event::Ignored { from, why };
            let event = Event::LogLost { by: from, matched: peer.matched };
            out.event(if lost { event } else { late });
            return None;
        }
        if peer.probing && rejected.next() != peer.next {
            out.event(Event::Ignored { from, why: Ignored::Stale });
            return None;
        }
        peer.next = next.min(rejected).max(peer.matched.next());
        (peer.probing, peer.waiting) = (true, false);
        None
    }

    /// Commits what a quorum holds, if it is of this term: an older entry that a quorum holds can
    /// still be replaced, until one of this term stands above it (3.6.2, figure 3.7).
    pub(super) fn advance_commit(&mut self) {
        let (me, durable) = (self.config.me, self.disk.durable());
        let configuration = &self.log.configured().configuration;
        let Role::Leader(leading) = &mut self.role else { return };
        leading.begin_round(configuration, me, self.now);
        if self.commit == self.log.last().index {
            return;
        }
        let held = configuration.committed(|slot| match leading.peers.get(slot.position()) {
            _ if slot == me => Some(durable),
            peer => peer.map(|peer| peer.matched),
        });
        if self.log.term_at(held) == Some(self.term) {
            self.commit_to(held);
        }
    }

    /// Sends every follower what it lacks. Twice in one step at most: an acknowledgement makes
    /// room for two messages, so a stream to a follower that lags doubles until it fills.
    pub(super) fn tell_entries<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let mut lacking = self.audience();
        for _ in 0..2 {
            lacking = lacking.iter().filter(|&slot| self.lacks_something(slot, out)).collect();
            let mut untold = lacking;
            while let Some(first) = untold.iter().next() {
                let Some(message) = self.news_for(first, out) else { break };
                let alike =
                    |&slot: &Slot| slot == first || self.news_for(slot, out) == Some(message);
                let to: Members = untold.iter().filter(alike).collect();
                to.iter().for_each(|slot| self.sent(slot, &message));
                untold = untold.minus(to);
                out.push(Output::Send { to, message });
            }
        }
    }

    /// Whether there is anything to say to a follower now.
    fn lacks_something<X: Outbox<Output> + ?Sized>(&self, slot: Slot, out: &X) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        let Some(peer) = leading.peers.get(slot.position()) else { return false };
        if peer.round_sent < leading.round {
            return true;
        }
        let last = self.log.last().index;
        if peer.next > last {
            // News of a commit, unless it can ride on entries that are still to come.
            return self.commit == last && peer.commit_sent < self.commit;
        }
        if let Some(snapshot) = self.snapshot.filter(|_| peer.next <= self.log.floor().index) {
            return peer.sending.is_none_or(|sending| sending.is_due(&snapshot));
        }
        if peer.probing { !peer.waiting } else { self.window_of(peer, out) > 0 }
    }

    /// How many more entries may be on their way to a follower.
    fn window_of<X: Outbox<Output> + ?Sized>(&self, peer: &Progress, out: &X) -> u64 {
        let (limits, under_way) = (&self.config.limits, peer.next.previous().above(peer.matched));
        if under_way > 0
            && self.weight(peer.matched, under_way, out) >= u64::from(limits.window_bytes)
        {
            return 0;
        }
        (limits.window as u64).saturating_sub(under_way)
    }

    /// What so many entries after one weigh: whoever takes the outputs knows.
    fn weight<X: Outbox<Output> + ?Sized>(&self, before: Index, count: u64, out: &X) -> u64 {
        let (term, entries, commit, round) = (self.term, self.term, Index::ZERO, 0);
        let prev = EntryId::new(term, before);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let message = Message::Append { term, prev, entries, count, commit, round };
        out.weight(&Output::Send { to: Members::NONE, message })
    }

    /// How many of so many entries may travel in one message: one in any case.
    fn fitting<X: Outbox<Output> + ?Sized>(&self, before: Index, count: u64, out: &X) -> u64 {
        let fits =
            |count| self.weight(before, count, out) <= u64::from(self.config.limits.batch_bytes);
        if count <= 1 || fits(count) {
            return count;
        }
        let (mut fitting, mut too_many) = (1, count);
        while too_many.saturating_sub(fitting) > 1 {
            let middle = fitting.midpoint(too_many);
            if fits(middle) {
                fitting = middle;
            } else {
                too_many = middle;
            }
        }
        fitting
    }

    /// What to say to a follower.
    fn news_for<X: Outbox<Output> + ?Sized>(&self, slot: Slot, out: &X) -> Option<Message> {
        let Role::Leader(leading) = &self.role else { return None };
        let (peer, term, round) = (leading.peers.get(slot.position())?, self.term, leading.round);
        let (last, commit) = (self.log.last(), self.commit);
        if peer.next > last.index {
            let (prev, entries) = (last, term);
            return Some(Message::Append { term, prev, entries, count: 0, commit, round });
        }
        let index = peer.next.previous();
        if let (None, Some(snapshot)) = (self.log.term_at(index), self.snapshot) {
            let chunk = self.config.limits.chunk;
            let (offset, length) = super::snapshot::Sending::part(peer.sending, &snapshot, chunk);
            let Snapshot { boundary, digest, size } = snapshot;
            return Some(Message::Chunk { term, boundary, digest, size, offset, length, round });
        }
        let prev = EntryId::new(self.log.term_at(index)?, index);
        let batch = self.config.limits.batch as u64;
        let most = match (peer.probing, peer.waiting) {
            (true, true) => 0,
            (true, false) => batch, // How far it lags is not known, so the window says nothing.
            (false, _) => self.window_of(peer, out).min(batch),
        };
        let run = self.log.run_at(peer.next);
        let (entries, there) = run.map_or((term, 0), |run| (run.term, run.last.above(index)));
        let there = match self.log.next_change(peer.next) {
            // It goes by itself, after word of the round, which it has no room for.
            Some(change) if change.at == peer.next => {
                if most > 0 && peer.round_sent == round {
                    let (configuration, committed) =
                        (change.configuration, change.at <= self.commit);
                    let of = entries;
                    return Some(Message::Configure { term, prev, of, configuration, committed });
                }
                0
            }
            Some(change) => there.min(change.at.previous().above(index)),
            None => there,
        };
        let count = self.fitting(index, there.min(most), out);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Some(Message::Append { term, prev, entries, count, commit, round })
    }

    /// Takes note of what was said to a follower.
    fn sent(&mut self, slot: Slot, message: &Message) {
        let (snapshot, commit) = (self.snapshot, self.commit);
        let Role::Leader(leading) = &mut self.role else { return };
        let round = leading.round;
        let Some(peer) = leading.peers.get_mut(slot.position()) else { return };
        peer.round_sent = round;
        match (*message, snapshot) {
            (Message::Append { count, .. }, _) => {
                peer.commit_sent = commit;
                if peer.probing {
                    peer.waiting = peer.waiting || count > 0;
                } else {
                    peer.next = peer.next.plus(u64::from(count));
                }
            }
            (Message::Configure { .. }, _) if peer.probing => peer.waiting = true,
            (Message::Configure { .. }, _) => peer.next = peer.next.next(),
            (Message::Chunk { .. }, Some(snapshot)) => {
                peer.sending = Some(super::snapshot::Sending::after(peer.sending, &snapshot));
            }
            _ => {}
        }
    }
}
