//! Replication: a leader's entries on their way to a quorum, and the commit that follows
//! (dissertation 3.5, 3.6).
//!
//! The follower's half comes first, then the leader's. What is in flight to a follower is the
//! stretch between what it has acknowledged and what is to be sent next: no table holds it. A lost
//! message shows as a conflict at the next one, at the latest at the next heartbeat.

use super::transfer::Transfer;
use super::{Config, Configuration, Message, Output, Raft, Role, Snapshot};
use crate::bounded::List;
use crate::event::{Event, Ignored, Stopped};
use crate::id::{EntryId, Index, Members, Slot, Term};
use crate::limits;
use crate::machine::Outbox;
use crate::time::{Instant, Span};

/// What only a follower has.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Following {
    leader: Option<Slot>,
    /// The vote of this ballot was given and is not told yet.
    pub(super) vote_owed: bool,
    /// Up to where the log agrees with the leader's.
    matched: Index,
    /// Up to where the leader was told so.
    acked: Index,
    /// The leader's newest round.
    round: u64,
    /// The leader waits for an answer.
    ack_owed: bool,
}

impl Following {
    pub(super) const fn nobody() -> Self {
        Self {
            leader: None,
            vote_owed: false,
            matched: Index::ZERO,
            acked: Index::ZERO,
            round: 0,
            ack_owed: false,
        }
    }

    pub(super) const fn leader(&self) -> Option<Slot> {
        self.leader
    }

    /// Notes the leader's round; a new one is to be answered.
    pub(super) fn hear(&mut self, round: u64) {
        if round > self.round {
            self.round = round;
            self.ack_owed = true;
        }
    }

    /// Notes that the log agrees with the leader's up to `index`.
    pub(super) fn agree(&mut self, index: Index) {
        self.matched = self.matched.max(index);
    }

    /// Notes that the leader sent again what it had been told is here.
    pub(super) const fn repeat(&mut self) {
        self.ack_owed = true;
    }
}

impl Raft {
    /// Enters a leader's service for this term: what every message of a leader begins with.
    ///
    /// `Err` holds the answer, if any, to a message that is none of this term's leader.
    pub(super) fn follow<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        round: u64,
        out: &mut X,
    ) -> Result<(), Option<Message>> {
        if term < self.term {
            // An old leader learns that it is one (etcd#8501).
            return Err(Some(Message::Stale { term: self.term }));
        }
        self.adopt(term, out);
        let has_other = self.leader().is_some_and(|leader| leader != from);
        if self.leads() || has_other {
            out.event(Event::Ignored { from, why: Ignored::Impossible });
            return Err(None);
        }
        self.promised_until = self.now.after(self.config.election_timeout);
        self.set_alarm();
        if !matches!(&self.role, Role::Follower(following) if following.leader.is_some()) {
            self.role = Role::Follower(Following { leader: Some(from), ..Following::nobody() });
        }
        if let Role::Follower(following) = &mut self.role {
            following.hear(round);
        }
        Ok(())
    }

    pub(super) fn on_append<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        message: &Message,
        out: &mut X,
    ) -> Option<Message> {
        let (term, prev, entries, count, commit, round) = match *message {
            Message::Append { term, prev, entries, count, commit, round } => {
                (term, prev, entries, count, commit, round)
            }
            Message::Configure { term, prev, of, committed, .. } => {
                let commit = if committed { prev.index.next() } else { Index::ZERO };
                (term, prev, of, 1, commit, 0)
            }
            _ => return None,
        };
        let configuration = match message {
            Message::Configure { configuration, .. } => Some(configuration),
            _ => None,
        };
        if let Err(answer) = self.follow(from, term, round, out) {
            return answer;
        }
        let (floor, last) = (self.log.floor(), prev.index.plus(u64::from(count)));
        let lowest = EntryId::new(entries, prev.index.next().max(floor.index));
        if self.rules_out(prev) || (lowest.index <= last && self.rules_out(lowest)) {
            return self.contradicted(from, out);
        }
        // Below the floor everything is committed, so it is the same in every log.
        if prev.index >= floor.index && !self.log.contains(prev) {
            let (hint, round) = (self.log.could_match(prev), self.answer());
            return Some(Message::Conflict { term, rejected: prev.index, hint, round });
        }
        let first = prev.index.max(floor.index).next();
        let agreed = match self.log.first_other(first, last, entries) {
            Some(from_here) => self.accept(from, (from_here, last), entries, configuration, out),
            None => last,
        };
        self.commit_to(commit.min(agreed));
        if let Role::Follower(following) = &mut self.role {
            // What there was no room for waits for the next round, or the leader would send it, and
            // this member answer, as fast as the network permits.
            if count > 0 && agreed == last && agreed <= following.acked {
                following.repeat();
            }
            // What the floor covers is committed, and so is in the leader's log.
            following.agree(agreed.max(floor.index));
        }
        None
    }

    /// Takes in entries from `first` to `last` that this log does not hold, in place of what it
    /// holds there. Returns up to where it then agrees with the leader's.
    fn accept<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        (first, last): (Index, Index),
        term: Term,
        configuration: Option<&Configuration>,
        out: &mut X,
    ) -> Index {
        let before = first.previous();
        if self.rules_out(EntryId::new(term, first)) {
            self.contradicted(from, out);
            return before;
        }
        let follows = self.log.term_at(before).is_some_and(|before| before <= term);
        let last = last.min(self.room_for(term, before, configuration));
        if !follows || last == before {
            let why = if follows { Ignored::NoRoom } else { Ignored::Malformed };
            // Whoever sends entries sends no snapshot: one that an earlier leader began, and will
            // not finish, must not keep this member from taking one of its own to make room.
            self.incoming = None;
            out.event(Event::Ignored { from, why });
            return before;
        }
        if first <= self.log.last().index {
            out.event(Event::Truncated { from: first });
            self.log.cut(first);
            self.disk.cut(first);
        }
        self.log.append(term, last.above(before));
        if let Some(configuration) = configuration {
            self.log.configure(*configuration);
        }
        last
    }

    /// Another entry than the committed one has come: more has failed than Raft tolerates.
    pub(super) fn contradicted<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        out: &mut X,
    ) -> Option<Message> {
        out.event(Event::Ignored { from, why: Ignored::Impossible });
        self.stop(Stopped::CommittedConflict, |event| out.event(event));
        None
    }

    /// The leader's round, for an answer that stands in for an acknowledgement.
    pub(super) fn answer(&mut self) -> u64 {
        let Role::Follower(following) = &mut self.role else { return 0 };
        following.ack_owed = false;
        following.round
    }

    /// Tells the leader what matches and is on disk. It waits for the ballot too: a member that
    /// forgot the term could let an older leader take back what it had acknowledged.
    pub(super) fn tell_ack<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (term, durable, on_disk) = (self.term, self.disk.durable(), self.disk.has_ballot());
        let Role::Follower(following) = &mut self.role else { return };
        let Some(leader) = following.leader else { return };
        let matched = following.matched.min(durable);
        if on_disk && (following.ack_owed || matched > following.acked) {
            following.ack_owed = false;
            following.acked = following.acked.max(matched);
            let message = Message::Matched { term, matched, round: following.round };
            out.push(Output::Send { to: Members::only(leader), message });
        }
    }
}

/// What a leader knows of one follower.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Progress {
    /// Up to where it has acknowledged, and the round it had heard when it did.
    matched: Index,
    matched_in: u64,
    /// What to send next.
    next: Index,
    /// Where its log parts from the leader's is not known: one message at a time.
    probing: bool,
    /// The probe is under way.
    waiting: bool,
    /// The newest commit and round that it was sent.
    commit_sent: Index,
    round_sent: u64,
    /// The newest round it has answered, and when.
    round_heard: u64,
    heard: Instant,
    /// It is being sent a snapshot.
    sending: Option<super::snapshot::Sending>,
}

/// What only a leader has.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Leadership {
    barrier: EntryId,
    next_heartbeat: Instant,
    /// The newest round sent, the newest asked for, the newest a read waits for, the newest told.
    round: u64,
    round_asked: u64,
    round_read: u64,
    round_told: u64,
    /// Leadership is being handed over.
    pub(super) transfer: Option<Transfer>,
    /// By slot; those of slots that are no peers are never looked at.
    peers: List<Progress, { limits::MOST.members }>,
}

impl Leadership {
    pub(super) fn new(config: &Config, now: Instant, members: Members, barrier: EntryId) -> Self {
        let mut leading = Self {
            barrier,
            next_heartbeat: now.after(config.heartbeat),
            round: 0,
            round_asked: 0,
            round_read: 0,
            round_told: 0,
            transfer: None,
            peers: List::new(),
        };
        leading.welcome(members, now, barrier.index);
        leading
    }

    /// Knows nothing yet of these members' logs, whatever it knew of who had their slots before.
    pub(super) fn welcome(&mut self, members: Members, now: Instant, next: Index) {
        let unknown = || Progress {
            matched: Index::ZERO,
            matched_in: 0,
            next,
            probing: true,
            waiting: false,
            commit_sent: Index::ZERO,
            round_sent: 0,
            round_heard: 0,
            heard: now,
            sending: None,
        };
        for slot in members.iter() {
            while self.peers.len() <= slot.position() && self.peers.push(unknown()).is_ok() {}
            if let Some(peer) = self.peers.get_mut(slot.position()) {
                *peer = unknown();
            }
        }
    }

    pub(super) const fn barrier(&self) -> EntryId {
        self.barrier
    }

    /// When a heartbeat is due, or a transfer has been in vain.
    pub(super) fn next_deadline(&self) -> Instant {
        let transfer = self.transfer.map_or(self.next_heartbeat, |transfer| transfer.until());
        self.next_heartbeat.min(transfer)
    }

    /// Up to where a follower is known to hold the log.
    pub(super) fn matched(&self, slot: Slot) -> Index {
        self.peers.get(slot.position()).map_or(Index::ZERO, |peer| peer.matched)
    }

    /// Takes all followers as heard at `now`, and the heartbeat as just sent.
    pub(super) fn begin_at(&mut self, now: Instant, heartbeat: Span) {
        self.next_heartbeat = now.after(heartbeat);
        self.peers.iter_mut().for_each(|peer| peer.heard = now);
    }

    /// Begins a round if a heartbeat is due; what was sent and not answered may go out again.
    pub(super) fn beat(&mut self, now: Instant, heartbeat: Span) {
        if now < self.next_heartbeat {
            return;
        }
        self.next_heartbeat = now.after(heartbeat);
        self.round = self.round.saturating_add(1).max(self.round_asked);
        self.round_asked = self.round;
        self.transfer.iter_mut().for_each(|transfer| transfer.told = false);
        for sending in self.peers.iter_mut().filter_map(|peer| peer.sending.as_mut()) {
            sending.resend();
        }
    }

    /// Names the round that a read arriving now must wait for: the next to begin.
    pub(super) fn join_round(&mut self, configuration: &Configuration, me: Slot) -> u64 {
        self.round_asked = self.round.saturating_add(1);
        if self.round_read <= self.round_told {
            self.round_told = self.round; // No read waits for any round up to this one.
        }
        self.round_read = self.round_asked;
        self.begin_round(configuration, me);
        self.round_read
    }

    /// Begins the round that was asked for, unless one is under way.
    fn begin_round(&mut self, configuration: &Configuration, me: Slot) {
        if self.round_asked > self.round && self.round_confirmed(configuration, me) >= self.round {
            self.round = self.round_asked;
        }
    }

    fn round_confirmed(&self, configuration: &Configuration, me: Slot) -> u64 {
        let heard = |slot: Slot| match self.peers.get(slot.position()) {
            Some(peer) if slot != me => peer.round_heard,
            _ => self.round,
        };
        configuration.reached(heard).unwrap_or(0)
    }

    /// The newest round that a quorum has answered, if a read waits for it and was not told.
    pub(super) fn confirmed_reads(
        &mut self,
        configuration: &Configuration,
        me: Slot,
    ) -> Option<u64> {
        if self.round_read <= self.round_told {
            return None;
        }
        let confirmed = self.round_confirmed(configuration, me);
        let news = confirmed > self.round_told;
        self.round_told = self.round_told.max(confirmed);
        news.then_some(confirmed)
    }

    /// Whether a follower heard within `timeout` is being sent a snapshot.
    pub(super) fn is_sending(&self, now: Instant, timeout: Span) -> bool {
        self.peers.iter().any(|peer| peer.sending.is_some() && now.since(peer.heard) < timeout)
    }

    /// Since when a quorum, this member included, has been heard without a break.
    pub(super) fn quorum_heard(
        &self,
        configuration: &Configuration,
        me: Slot,
        now: Instant,
    ) -> Instant {
        let heard = |slot: Slot| match self.peers.get(slot.position()) {
            Some(peer) if slot != me => peer.heard,
            _ => now,
        };
        configuration.reached(heard).unwrap_or(Instant::ORIGIN)
    }
}

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
        leading.begin_round(configuration, me);
        let held = configuration.committed(|slot| match leading.peers.get(slot.position()) {
            Some(peer) if slot != me => Some(peer.matched),
            _ => Some(durable),
        });
        if self.log.term_at(held) == Some(self.term) {
            self.commit_to(held);
        }
    }

    /// Sends every follower what it lacks. Twice in one step at most: an acknowledgement makes
    /// room for two messages, so a stream to a follower that lags doubles until it fills.
    pub(super) fn tell_entries<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        for _ in 0..2 {
            let mut lacking: Members =
                self.audience().iter().filter(|&slot| self.lacks_something(slot)).collect();
            while let Some(message) = lacking.iter().next().and_then(|slot| self.news_for(slot)) {
                let alike = |&slot: &Slot| self.news_for(slot) == Some(message);
                let to: Members = lacking.iter().filter(alike).collect();
                to.iter().for_each(|slot| self.sent(slot, &message));
                lacking = to.iter().fold(lacking, Members::without);
                out.push(Output::Send { to, message });
            }
        }
    }

    /// Whether there is anything to say to a follower now.
    fn lacks_something(&self, slot: Slot) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        let Some(peer) = leading.peers.get(slot.position()) else { return false };
        if peer.round_sent < leading.round {
            return true;
        }
        if let Some(snapshot) = self.snapshot.filter(|_| peer.next <= self.log.floor().index) {
            return peer.sending.is_none_or(|sending| sending.is_due(&snapshot));
        }
        let last = self.log.last().index;
        if peer.next <= last {
            return if peer.probing { !peer.waiting } else { self.window_of(peer) > 0 };
        }
        // News of a commit, unless it can ride on entries that are still to come.
        self.commit == last && peer.commit_sent < self.commit
    }

    /// How many more entries may be on their way to a follower.
    fn window_of(&self, peer: &Progress) -> u64 {
        let under_way = peer.next.previous().above(peer.matched);
        (self.config.limits.window as u64).saturating_sub(under_way)
    }

    /// What to say to a follower.
    fn news_for(&self, slot: Slot) -> Option<Message> {
        let Role::Leader(leading) = &self.role else { return None };
        let (peer, term, round) = (leading.peers.get(slot.position())?, self.term, leading.round);
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
            (false, _) => self.window_of(peer).min(batch),
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
        let count = u32::try_from(there.min(most)).unwrap_or(u32::MAX);
        Some(Message::Append { term, prev, entries, count, commit: self.commit, round })
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

impl Progress {
    /// A follower says how much of a snapshot it holds.
    pub(super) fn received(&mut self, digest: u64, received: u32) {
        if let Some(sending) = &mut self.sending {
            sending.received(digest, received);
        }
    }
}
