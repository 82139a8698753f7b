//! A follower: it takes in what its leader sends, and says what of it is here (dissertation 3.5).
//!
//! Entries are cut only where another leader's entry really differs, never at or below commit. What is
//! acknowledged matches the leader's log *and* is on disk, and the ballot too.

use super::read::Questions;
use super::{Configuration, Message, Output, Raft, Role};
use crate::event::{Event, Ignored, Stopped};
use crate::id::{EntryId, Index, Members, Slot, Term};
use crate::machine::Outbox;
use crate::time::Instant;

/// What only a follower has.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Following {
    leader: Option<Slot>,
    /// When it was last heard.
    heard: Instant,
    /// The vote of this ballot was given and is not told yet.
    pub(super) vote_owed: bool,
    /// Up to where the log agrees with the leader's.
    matched: Index,
    /// Up to where the leader was told so, or is told so with what is on its way to the disk.
    acked: Index,
    /// The leader's newest round.
    round: u64,
    /// The leader waits for an answer.
    ack_owed: bool,
    /// The reads taken.
    pub(super) questions: Questions,
    /// The leader has fallen silent, and need not be heard.
    pub(super) rests: bool,
}

impl Following {
    pub(super) const fn nobody() -> Self {
        Self {
            leader: None,
            heard: Instant::ORIGIN,
            vote_owed: false,
            matched: Index::ZERO,
            acked: Index::ZERO,
            round: 0,
            ack_owed: false,
            questions: Questions::NONE,
            rests: false,
        }
    }

    pub(super) const fn leader(&self) -> Option<Slot> {
        self.leader
    }

    /// When the leader was last heard.
    pub(super) fn heard(&self) -> Option<Instant> {
        self.leader.map(|_| self.heard)
    }

    /// The same with everything that it waits for begun at `now`.
    pub(super) const fn without_time(&mut self, now: Instant) {
        self.heard = now;
        self.questions.begin_at(now);
    }

    /// Notes the leader's round; a new one is to be answered.
    pub(super) fn hear(&mut self, round: u64) {
        if round > self.round {
            self.round = round;
            self.ack_owed = true;
            self.questions.repeat();
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
            following.heard = self.now;
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
        let durable = self.disk.durable();
        if let Role::Follower(following) = &mut self.role {
            if agreed > durable {
                // What is here already is told with what is on its way to the disk.
                following.acked = following.acked.max(durable.min(prev.index));
            }
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
