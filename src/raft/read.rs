//! Linearizable reads without a log entry (dissertation 6.4).
//!
//! A leader numbers rounds. A read joins the next round to begin; the round is sent with every
//! message to a follower, and a follower that hears a new one answers at once. When a quorum has
//! answered a round, no other leader can have committed anything before the round began, so every
//! read of that round or an earlier one sees everything that was acknowledged before it, once the
//! commit index of *now* is applied. There is no table of reads: their names are the rounds, which
//! the leader mints, so no late answer can stand for a newer read (etcd#20418).
//!
//! While the leader has its [lease](super::lease) a read waits for nobody.
//!
//! A follower asks its leader, one question under way at a time, for all reads that it has taken. It
//! asks the same again with every round that it hears, and gives up after an election timeout (it may
//! hear a leader that cannot hear it, or hear the answer and never the entries that it asks for), so
//! no loss leaves a read without an outcome; its numbers never repeat within a life, and the question
//! names the life. The first answer is as good as a later one, and asks for no more.
//!
//! Before an entry of its own term is committed a leader does not know what is, and confirms
//! nothing (etcd#7331); its reads wait and are not dropped (etcd#11483).

use super::{Message, Output, Raft, Role};
use crate::event::{Event, Ignored};
use crate::id::{Index, Members, Slot, Term};
use crate::machine::Outbox;
use crate::time::{Instant, Span};

/// The name of a read, and of all that wait for the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Read {
    /// The term in which it was taken.
    pub term: Term,
    /// The round of the leader that it waits for, or that it need not wait for; zero at a follower.
    pub round: u64,
    /// Its number among those of this life that wait for no round of their own.
    pub number: u64,
}

/// A follower's question that waits for a round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Asked {
    life: u64,
    number: u64,
    round: u64,
}

/// The reads that a follower has taken in its leader's service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Questions {
    /// The newest read taken, the newest asked for, the newest answered.
    taken: u64,
    asked: u64,
    told: u64,
    /// What must be committed, and on this disk, to serve the reads up to the one asked for: the answer.
    needs: Option<Index>,
    /// The question is to be asked again.
    is_lost: bool,
    /// When the oldest that is not answered was taken.
    since: Instant,
}

impl Questions {
    pub(super) const NONE: Self =
        Self { taken: 0, asked: 0, told: 0, needs: None, is_lost: false, since: Instant::ORIGIN };

    /// Counts every wait from `now`.
    pub(super) const fn begin_at(&mut self, now: Instant) {
        self.since = now;
    }

    /// Another read is taken.
    const fn take(&mut self, number: u64, now: Instant) {
        if !self.are_open() {
            self.since = now;
        }
        self.taken = number;
    }

    /// The reads up to a number are answered, or never will be.
    const fn tell(&mut self, number: u64, now: Instant) {
        (self.told, self.since, self.needs) = (number, now, None);
    }

    /// Whether a read was taken that has no outcome yet.
    pub(super) const fn are_open(&self) -> bool {
        self.taken > self.told
    }

    /// The newest read, if none has been answered for so long.
    fn in_vain(&self, now: Instant, timeout: Span) -> Option<u64> {
        (self.are_open() && now.since(self.since) >= timeout).then_some(self.taken)
    }

    /// A new round was heard: what has not been answered may have been lost.
    pub(super) const fn repeat(&mut self) {
        self.is_lost = true;
    }

    /// The question to ask now: the one under way once more, or else a new one. Reads taken since do not
    /// join the one under way, or it would wait for a later round each time.
    fn due(&mut self) -> Option<u64> {
        let is_under_way = self.asked > self.told;
        let is_lost = self.is_lost && self.needs.is_none();
        let is_due = if is_under_way { is_lost } else { self.are_open() };
        self.asked = if is_under_way { self.asked } else { self.taken };
        self.is_lost = false;
        is_due.then_some(self.asked)
    }
}

impl Raft {
    /// Takes a read. `check` has made sure that there is a leader.
    pub(super) fn read<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (term, index, at_once) = (self.term, self.commit, self.may_serve() && self.has_lease());
        let next = self.reads.saturating_add(1);
        let (round, number) = match &mut self.role {
            Role::Leader(leading) if at_once => (leading.read_at_once(self.now), next),
            Role::Leader(leading) => (leading.read_in_round(), 0),
            Role::Follower(following) => {
                following.questions.take(next, self.now);
                (0, next)
            }
            Role::Canvasser { .. } | Role::Candidate { .. } => return,
        };
        self.reads = self.reads.max(number);
        let read = Read { term, round, number };
        out.push(Output::Reading { read });
        if at_once {
            out.push(Output::Readable { read, index });
        }
    }

    /// Whether this leader knows what is committed: an entry of its own term is.
    fn may_serve(&self) -> bool {
        matches!(&self.role, Role::Leader(leading) if leading.barrier() <= self.commit)
    }

    /// Tells which reads may be served.
    pub(super) fn tell_reads<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (me, term, index) = (self.config.me, self.term, self.commit);
        let may_serve = self.may_serve();
        let configuration = &self.log.configured().configuration;
        let Role::Leader(leading) = &mut self.role else { return };
        if !leading.awaits_reads() && !leading.lease.is_timing() {
            return;
        }
        let confirmed = leading.round_confirmed(configuration, me);
        leading.lease.confirmed(confirmed);
        if !may_serve {
            return;
        }
        if let Some(round) = leading.reads_in(confirmed) {
            out.push(Output::Readable { read: Read { term, round, number: 0 }, index });
        }
        for slot in leading.asking.iter() {
            let Some(peer) = leading.peers.get_mut(slot.position()) else { continue };
            let Some(asked) = peer.asked.take_if(|asked| asked.round <= confirmed) else {
                continue;
            };
            leading.asking = leading.asking.without(slot);
            let Asked { life, number, .. } = asked;
            let message = Message::ReadIndexReply { term, life, number, index };
            out.push(Output::Send { to: Members::only(slot), message });
        }
    }

    /// Asks the leader for the reads of a follower.
    pub(super) fn ask_for_read<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (term, life, timeout) = (self.term, self.config.boot, self.config.election_timeout);
        let committed = self.commit.min(self.disk.durable());
        let Role::Follower(following) = &mut self.role else { return };
        let Some(leader) = following.leader() else { return };
        let needs = following.questions.needs;
        if let Some(index) = needs.filter(|needs| *needs <= committed) {
            let number = following.questions.asked;
            following.questions.tell(number, self.now);
            out.push(Output::Readable { read: Read { term, round: 0, number }, index });
        }
        if let Some(number) = following.questions.in_vain(self.now, timeout) {
            following.questions.tell(number, self.now);
            out.push(Output::Unreadable { read: Read { term, round: 0, number } });
        }
        if let Some(number) = following.questions.due() {
            let message = Message::ReadIndex { term, life, number };
            out.push(Output::Send { to: Members::only(leader), message });
        }
    }

    /// A follower wants to read.
    pub(super) fn on_read_index<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        (life, number): (u64, u64),
        out: &mut X,
    ) -> Option<Message> {
        if term < self.term {
            return Some(Message::Stale { term: self.term });
        }
        self.adopt(term, out);
        let at_once = self.may_serve() && self.has_lease();
        let (index, audience) = (self.commit, self.audience());
        let Role::Leader(leading) = &mut self.role else {
            out.event(Event::Ignored { from, why: Ignored::Stale });
            return None;
        };
        if at_once {
            return Some(Message::ReadIndexReply { term, life, number, index });
        }
        if !audience.contains(from) {
            out.event(Event::Ignored { from, why: Ignored::Stranger });
            return None;
        }
        let next = leading.round.saturating_add(1);
        let peer = leading.peers.get_mut(from.position())?;
        if peer.asked.is_none_or(|asked| (asked.life, asked.number) != (life, number)) {
            peer.asked = Some(Asked { life, number, round: next });
            leading.asking = leading.asking.with(from);
            leading.join_round();
        }
        None
    }

    /// The leader says what must be applied for reads up to a number.
    pub(super) fn on_read_index_reply<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        (life, number): (u64, u64),
        index: Index,
        out: &mut X,
    ) -> Option<Message> {
        if term > self.term {
            return self.adopt(term, out);
        }
        let mine = self.config.boot;
        match &mut self.role {
            Role::Follower(following)
                if term == self.term
                    && following.leader() == Some(from)
                    && life == mine
                    && following.questions.told < number
                    && number == following.questions.asked =>
            {
                following.questions.needs.get_or_insert(index);
            }
            _ => out.event(Event::Ignored { from, why: Ignored::Stale }),
        }
        None
    }
}
