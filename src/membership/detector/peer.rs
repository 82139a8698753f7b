//! What a detector knows of one peer: when it was heard, how long it takes to answer, and what is
//! therefore thought of it.
//!
//! **The timeout** is learned as RFC 6298 (section 2) learns a retransmission timeout: from how long a
//! ping waits for its answer. The first ping of a silence is timed; the answer to a later one will do, so
//! that what is lost counts as slowness. With the mean `m` and the mean deviation `d` of these times, a
//! peer is awaited for `m + 4d`, and its timeout is twice that, since a quarter of it passes before
//! anyone asks. A peer that talks by itself is not asked: then each timeout in which it talks counts as an
//! answer at once, so that a slow spell is not remembered for ever.

use super::{Config, Verdict};
use crate::id::{Incarnation, NodeId};
use crate::time::{Instant, Span};

/// A peer is asked after this part of its timeout of silence.
const ASKED_AFTER: u64 = 4;
/// And then again when an answer is overdue, between these parts of it.
const ASKED_AGAIN_AFTER: (u64, u64) = (16, 8);

/// What is thought of a peer, and since when, where that matters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Standing {
    Alive,
    Suspect { since: Instant },
    Down,
}

/// A peer, as one detector sees it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    /// The latest life of it that was heard.
    pub(super) incarnation: Incarnation,
    /// Whether its last ping doubted this node.
    pub(super) doubts: bool,
    standing: Standing,
    /// What the host was told of it.
    told: (Incarnation, Verdict),
    /// When it was last heard, or excused.
    heard: Instant,
    /// When it was last asked in this silence.
    asked: Option<Instant>,
    /// The ping whose answer is timed: its number, and when it was sent.
    timed: Option<(u64, Instant)>,
    /// The number of the last ping that was sent to it, and of the last that it answered.
    sent: u64,
    answered: u64,
    /// How long its answers take: the mean, the mean deviation, and when they were last learned.
    mean: Span,
    deviation: Span,
    learned: Instant,
}

impl Peer {
    pub(super) const fn new(node: NodeId, now: Instant) -> Self {
        Self {
            node,
            incarnation: Incarnation::ZERO,
            doubts: false,
            standing: Standing::Alive,
            told: (Incarnation::ZERO, Verdict::Alive),
            heard: now,
            asked: None,
            timed: None,
            sent: 0,
            answered: 0,
            mean: Span::ZERO,
            deviation: Span::ZERO,
            learned: now,
        }
    }

    pub(super) const fn verdict(&self) -> Verdict {
        match self.standing {
            Standing::Alive => Verdict::Alive,
            Standing::Suspect { .. } => Verdict::Suspect,
            Standing::Down => Verdict::Down,
        }
    }

    /// How long it may be silent, if the detector is in good health.
    pub(super) fn timeout(&self, config: &Config) -> Span {
        self.wait().times(2).max(config.timeout).min(config.longest)
    }

    /// How long an answer may take.
    fn wait(&self) -> Span {
        self.mean.plus(self.deviation.times(4))
    }

    /// How long it may be silent before it is asked.
    fn quarter(&self, config: &Config) -> Span {
        self.timeout(config).divided(ASKED_AFTER)
    }

    /// Takes a word of its latest life, or of a later one, as a sign that it lives.
    pub(super) fn hear(&mut self, incarnation: Incarnation, now: Instant, config: &Config) {
        if self.incarnation != incarnation {
            (self.incarnation, self.doubts, self.timed) = (incarnation, false, None);
        }
        let timed = self.timed.map_or(self.learned, |(_, since)| since.max(self.learned));
        if self.asked.is_none() && now.since(timed) >= self.timeout(config) {
            self.learn(Span::ZERO, now, config);
        }
        (self.standing, self.heard, self.asked) = (Standing::Alive, now, None);
    }

    /// Whether this answers a ping that was sent, later than any that was answered before.
    pub(super) const fn is_answer(&self, number: u64) -> bool {
        self.answered < number && number <= self.sent
    }

    /// Takes the answer to a ping, from whoever was heard just now.
    pub(super) fn answer(&mut self, number: u64, now: Instant, config: &Config) {
        self.answered = number;
        if let Some((_, since)) = self.timed.take_if(|(timed, _)| *timed <= number) {
            self.learn(now.since(since), now, config);
        }
    }

    /// Takes how long an answer took into the mean and the deviation (RFC 6298, 2.3); none counts for
    /// more than the longest timeout, so that no outage is remembered for longer than the next.
    fn learn(&mut self, took: Span, now: Instant, config: &Config) {
        let took = took.min(config.longest);
        let error = took.minus(self.mean).plus(self.mean.minus(took));
        self.deviation = self.deviation.minus(self.deviation.divided(4)).plus(error.divided(4));
        self.mean = self.mean.minus(self.mean.divided(8)).plus(took.divided(8));
        self.learned = now;
    }

    /// The detector slept. What it did not hear meanwhile is nobody's silence: the peer is to be asked,
    /// and has the rest of a timeout to answer; if it was suspect, a whole one.
    pub(super) fn excuse(&mut self, now: Instant, config: &Config) {
        self.heard = self.heard.max(now.before(self.quarter(config)));
        (self.asked, self.timed) = (None, None);
        if let Standing::Suspect { since } = &mut self.standing {
            *since = now;
        }
    }

    /// Whether it has been silent for a timeout, but is not given up.
    pub(super) fn is_missed(&self, now: Instant, config: &Config) -> bool {
        self.standing != Standing::Down && now.since(self.heard) >= self.timeout(config)
    }

    /// When it is worse than what is thought of it now, if nothing is heard.
    fn worsens_at(&self, factor: u64, config: &Config) -> Option<Instant> {
        let timeout = self.timeout(config).times(factor);
        match self.standing {
            Standing::Alive => Some(self.heard.after(timeout)),
            Standing::Suspect { since } => Some(since.after(timeout)),
            Standing::Down => None,
        }
    }

    /// Thinks worse of it, if it is time; with timeouts so many times as long.
    pub(super) fn judge(&mut self, now: Instant, factor: u64, config: &Config) {
        if self.worsens_at(factor, config).is_some_and(|at| now >= at) {
            self.standing = match self.standing {
                Standing::Alive => Standing::Suspect { since: now },
                Standing::Suspect { .. } | Standing::Down => Standing::Down,
            };
        }
    }

    /// When it is to be asked next: after a quarter of a timeout of silence, and then as soon as an answer
    /// is overdue, so that a few lost messages make nobody suspect. Whoever is down is still asked every
    /// quarter of the least timeout: it may only be that nothing comes from there, and then it must go on
    /// hearing this node; and whoever was cut off is found again (weaviate#10698, antrea#4491).
    fn ask_at(&self, config: &Config) -> Instant {
        match (self.asked, self.standing) {
            (None, _) => self.heard.after(self.quarter(config)),
            (Some(last), Standing::Down) => last.after(config.timeout.divided(ASKED_AFTER)),
            (Some(last), _) => {
                let (soonest, latest) = ASKED_AGAIN_AFTER;
                let timeout = self.timeout(config);
                last.after(self.wait().max(timeout.divided(soonest)).min(timeout.divided(latest)))
            }
        }
    }

    /// Asks it with a ping of this number, if it is time.
    pub(super) fn ask(&mut self, number: u64, now: Instant, config: &Config) -> bool {
        let is_due = now >= self.ask_at(config);
        if is_due {
            self.timed = self.timed.filter(|_| self.asked.is_some()).or(Some((number, now)));
            (self.asked, self.sent) = (Some(now), number);
        }
        is_due
    }

    /// When there is something to do about it, if nothing is heard.
    pub(super) fn due(&self, factor: u64, config: &Config) -> Instant {
        let ask_at = self.ask_at(config);
        self.worsens_at(factor, config).map_or(ask_at, |at| at.min(ask_at))
    }

    /// What is to be told of it, once.
    pub(super) fn tell(&mut self) -> Option<(Incarnation, Verdict)> {
        let now = (self.incarnation, self.verdict());
        (core::mem::replace(&mut self.told, now) != now).then_some(now)
    }
}
