//! What a leader knows of its followers, and its rounds.
//!
//! What is in flight to a follower is the stretch between what it has acknowledged and what is to be sent
//! next: no table holds it. A leader numbers rounds; a follower answers each new one at once, and a round
//! that a quorum has answered confirms the leader for everything asked before it began (6.4).

use super::lease::Lease;
use super::read::Asked;
use super::transfer::Transfer;
use super::{Config, Configuration, Raft, Role};
use crate::bounded::List;
use crate::id::{Index, Members, Slot};
use crate::limits;
use crate::time::{Instant, Span};

/// What a leader knows of one follower.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Progress {
    /// Up to where it has acknowledged, and the round it had heard when it did.
    pub(super) matched: Index,
    pub(super) matched_in: u64,
    /// What to send next.
    pub(super) next: Index,
    /// Where its log parts from the leader's is not known: one message at a time.
    pub(super) probing: bool,
    /// The probe is under way.
    pub(super) waiting: bool,
    /// The newest commit and round that it was sent.
    pub(super) commit_sent: Index,
    pub(super) round_sent: u64,
    /// The newest round it has answered, and when.
    pub(super) round_heard: u64,
    pub(super) heard: Instant,
    /// It is being sent a snapshot.
    pub(super) sending: Option<super::snapshot::Sending>,
    /// A read of its that waits for a round.
    pub(super) asked: Option<Asked>,
    /// Catching up (4.2.1): where the stretch of entries ends that it is being sent, when that began,
    /// and whether it was sent the last one within an election timeout.
    stretch: Index,
    stretch_began: Instant,
    keeps_up: bool,
}

/// How a leader sends entries to a follower.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pace {
    /// One message at a time, until it is known where the two logs agree.
    Probe,
    /// As fast as the window permits.
    Replicate,
    /// None: it lacks what the leader's log no longer has, and is sent the snapshot.
    Snapshot,
}

/// What a leader knows of a follower, for those who look on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Peer {
    /// Up to where it has acknowledged the log.
    pub matched: Index,
    /// The next entry to send; while it is sent a snapshot, the one that follows it.
    pub next: Index,
    /// How it is sent entries.
    pub pace: Pace,
    /// No entry is sent before it answers.
    pub is_waiting: bool,
}

/// What only a leader has.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Leadership {
    /// Where the first entry of the term stands.
    barrier: Index,
    next_heartbeat: Instant,
    /// The newest round sent, whether another is asked for, the newest that a read waits for, the
    /// newest told.
    pub(super) round: u64,
    next_is_asked: bool,
    round_read: u64,
    round_told: u64,
    /// The followers whose reads wait for a round.
    pub(super) asking: Members,
    pub(super) lease: Lease,
    /// The group is idle, and nobody says anything.
    pub(super) rests: bool,
    /// Leadership is being handed over.
    pub(super) transfer: Option<Transfer>,
    /// By slot; those of slots that are no peers are never looked at.
    pub(super) peers: List<Progress, { limits::MOST.members }>,
}

impl Leadership {
    pub(super) fn new(config: &Config, now: Instant, members: Members, barrier: Index) -> Self {
        let mut leading = Self {
            barrier,
            next_heartbeat: now.after(config.heartbeat),
            round: 0,
            next_is_asked: false,
            round_read: 0,
            round_told: 0,
            asking: Members::NONE,
            lease: Lease::none(),
            rests: false,
            transfer: None,
            peers: List::new(),
        };
        leading.welcome(members, now, barrier);
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
            asked: None,
            stretch: next,
            stretch_began: now,
            keeps_up: false,
        };
        self.asking = self.asking.minus(members);
        for slot in members.iter() {
            while self.peers.len() <= slot.position() && self.peers.push(unknown()).is_ok() {}
            if let Some(peer) = self.peers.get_mut(slot.position()) {
                *peer = unknown();
            }
        }
    }

    /// Keeps nothing of anybody, for as long as the group rests.
    pub(super) fn forget(&mut self) {
        self.peers = List::new();
    }

    pub(super) const fn barrier(&self) -> Index {
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

    /// Takes all followers as heard at `now`, and the last heartbeat as sent then.
    pub(super) fn begin_at(&mut self, now: Instant, heartbeat: Span) {
        self.next_heartbeat = now.after(heartbeat);
        self.peers.iter_mut().for_each(|peer| (peer.heard, peer.stretch_began) = (now, now));
    }

    /// The same without its lease, and with nobody's pace known.
    pub(super) fn without_time(&mut self, now: Instant, heartbeat: Span) {
        self.begin_at(now, heartbeat);
        self.lease.end();
    }

    /// Begins a round if a heartbeat is due; what was sent and not answered may go out again.
    pub(super) fn beat(&mut self, now: Instant, heartbeat: Span) {
        if now < self.next_heartbeat {
            return;
        }
        self.next_heartbeat = now.after(heartbeat);
        self.next_round(now);
        self.transfer.iter_mut().for_each(|transfer| transfer.told = false);
        for sending in self.peers.iter_mut().filter_map(|peer| peer.sending.as_mut()) {
            sending.resend();
        }
    }

    /// Names the round that a read arriving now must wait for: the next to begin.
    pub(super) const fn join_round(&mut self) -> u64 {
        self.next_is_asked = true;
        self.round.saturating_add(1)
    }

    /// The same for a read of this member's own.
    pub(super) fn read_in_round(&mut self) -> u64 {
        if self.round_read <= self.round_told {
            self.round_told = self.round; // No read waits for any round up to this one.
        }
        self.round_read = self.join_round();
        self.round_read
    }

    /// The name of a read that need not wait: that of the newest round. If another is asked for, it
    /// begins, for whoever waits for it need not wait any more, and no name is told twice.
    pub(super) fn read_at_once(&mut self, now: Instant) -> u64 {
        if self.next_is_asked {
            self.next_round(now);
        }
        self.round_told = self.round_told.max(self.round);
        self.round
    }

    fn next_round(&mut self, now: Instant) {
        (self.round, self.next_is_asked) = (self.round.saturating_add(1), false);
        self.lease.begins(self.round, now);
    }

    /// Whether a read waits for a round.
    pub(super) const fn awaits_reads(&self) -> bool {
        self.round_read > self.round_told || !self.asking.is_empty()
    }

    /// Begins the round that was asked for, unless one is under way.
    pub(super) fn begin_round(&mut self, configuration: &Configuration, me: Slot, now: Instant) {
        if self.next_is_asked && self.round_confirmed(configuration, me) >= self.round {
            self.next_round(now);
        }
    }

    /// The newest round that a quorum has answered.
    pub(super) fn round_confirmed(&self, configuration: &Configuration, me: Slot) -> u64 {
        let heard = |slot: Slot| match self.peers.get(slot.position()) {
            _ if slot == me => self.round,
            Some(peer) => peer.round_heard,
            None => 0,
        };
        configuration.reached(heard).unwrap_or(0)
    }

    /// The newest read of this member's own that a confirmed round serves, if it was not told.
    pub(super) fn reads_in(&mut self, confirmed: u64) -> Option<u64> {
        let is_news = self.round_read > self.round_told && confirmed > self.round_told;
        self.round_told = if is_news { confirmed } else { self.round_told };
        is_news.then_some(confirmed)
    }

    /// Whether a slot can begin to vote without holding up commits: it lacks at most `lag` entries of
    /// a log that ends at `last`, and keeps up.
    pub(super) fn keeps_up(&self, slot: Slot, last: Index, lag: u64) -> bool {
        let is_near = |peer: &Progress| peer.keeps_up && last.above(peer.matched) <= lag;
        self.peers.get(slot.position()).is_some_and(is_near)
    }

    /// Whether one of these members, heard within `timeout`, is being sent a snapshot.
    pub(super) fn is_sending(&self, to: Members, now: Instant, timeout: Span) -> bool {
        let is_sent = |peer: &Progress| peer.sending.is_some() && now.since(peer.heard) < timeout;
        to.iter().any(|slot| self.peers.get(slot.position()).is_some_and(is_sent))
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

    /// Whether every one of these members has told that it is where the log ends, and has answered
    /// the newest round.
    pub(super) fn all_are_at(&self, last: Index, members: Members) -> bool {
        let is_there = |peer: &Progress| peer.matched == last && peer.round_heard == self.round;
        let mut all = members.iter();
        self.round > 0 && all.all(|slot| self.peers.get(slot.position()).is_some_and(is_there))
    }
}

impl Raft {
    /// What this member knows of those it sends its log to, by slot; nothing unless it leads.
    pub fn peers(&self) -> impl Iterator<Item = (Slot, Peer)> {
        let leading = if let Role::Leader(leading) = &self.role { Some(leading) } else { None };
        let audience = leading.map_or(Members::NONE, |_| self.audience());
        audience.iter().filter_map(move |slot| {
            if leading?.rests {
                let (matched, pace) = (self.log.last().index, Pace::Replicate);
                return Some((
                    slot,
                    Peer { matched, next: matched.next(), pace, is_waiting: false },
                ));
            }
            let progress = leading?.peers.get(slot.position())?;
            let under_way = progress.next.previous().above(progress.matched);
            let (pace, is_waiting) = match progress {
                _ if progress.next <= self.log.floor().index => (Pace::Snapshot, true),
                Progress { probing: true, waiting, .. } => (Pace::Probe, *waiting),
                _ => (Pace::Replicate, under_way >= self.config.limits.window as u64),
            };
            let next = progress.next.max(self.log.floor().index.next());
            Some((slot, Peer { matched: progress.matched, next, pace, is_waiting }))
        })
    }
}

impl Progress {
    /// A follower says how much of a snapshot it holds.
    pub(super) fn received(&mut self, digest: u64, received: u32) {
        if let Some(sending) = &mut self.sending {
            sending.received(digest, received);
        }
    }

    /// Begins the next stretch of entries, up to `last`, if the follower has what the one before was
    /// to bring.
    pub(super) fn measure(&mut self, last: Index, now: Instant, timeout: Span) {
        if self.matched >= self.stretch {
            self.keeps_up = now.since(self.stretch_began) < timeout;
            (self.stretch, self.stretch_began) = (last, now);
        }
    }
}
