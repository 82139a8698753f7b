//! A failure detector among the nodes of one neighbourhood: who is there, as one node sees it.
//!
//! Every node watches every other (with two or three of them a sample misses the only one that
//! matters, memberlist#350), and all that they say to each other counts as a sign of life. Only those
//! who have said nothing for a quarter of their timeout are asked. One detector serves all groups of
//! a node, so it knows nodes and no slots.
//!
//! **It advises.** A verdict is for whoever may act on doubt without harm: a host tells
//! [`raft::Input::Suspect`](crate::raft::Input::Suspect), which wakes a member whose leader rests, and a
//! protocol still asks a quorum. A detector never edits a configuration, nor should its host do so
//! on a verdict alone (consul#5922).
//!
//! **State** for each peer when it was last heard, in which incarnation, whether it was asked since,
//! how long its answers take, and what is thought of it; for this node how far it doubts
//! itself.
//!
//! **Inputs** [`Input`]: ticks, words of peers, who is to be watched. **Outputs** [`Output`]: pings and
//! pongs, verdicts, health.
//!
//! **Rules**
//! 1. A peer is pinged after a quarter of its timeout of silence, and again when an answer is overdue
//!    (every sixteenth of the timeout to every eighth); once it is down, every quarter of the least
//!    timeout. Whoever talks is sent nothing.
//! 2. A peer is suspect when it has been silent for a timeout, and down when it was suspect for one. Only a
//!    tick makes a verdict worse, and only a word of the peer makes it better. So a peer that stops is
//!    suspect one timeout after its last word, and down after two, at a host that ticks on time.
//! 3. A timeout is learned, for each peer, from how long its answers take, between [`Config::timeout`] and
//!    [`Config::longest`]; see `peer.rs`.
//! 4. The detector doubts itself (Dadgar, Phillips, Currey, "Lifeguard", arXiv 1707.00788, the local
//!    health multiplier): timeouts are `1 + health` times as long. The score rises by one when a step comes
//!    late, when more than half of those watched, and at least two, are missed at once, and when a
//!    peer begins to doubt this node. It falls by one in eight timeouts without any of that: the
//!    paper lets answered probes lower it, but here traffic takes their place.
//! 5. A pause convicts nobody (restate#5156). A step that comes later than the deadline by more than a
//!    quarter of the (lengthened) timeout passes no verdict, and afterwards nobody has been silent for more
//!    than the quarter after which it is asked. Since the score rises too, a host that always
//!    ticks late is soon taken as it is.
//! 6. A node that restarts is a new [`Incarnation`]: it is alive, and the silence of the old one is not
//!    its own. Words of an earlier one do not count (al8n/memberlist#197), nor do those of one that
//!    is implausibly far ahead (memberlist#358). Nobody speaks for another: a peer's incarnation is
//!    known from itself alone.
//! 7. Whoever is doubted is told, with the ping (Lifeguard's buddy system), and which incarnation is meant.
//!    The pong refutes it. There is no other message of doubt, and so no storm of them (foca#25).
//!
//! What is refused of a peer's message is told as [`Event::Unheeded`]. What is not here: doubt does not
//! spread, so nobody's suspicion is shortened by another's; and a link that fails one way is doubted at
//! the deaf end alone.

mod config;
mod message;
mod peer;

pub use config::{Config, ConfigError};
pub use message::{Input, Message, Output, Verdict};

use crate::bounded::List;
use crate::event::{Event, Ignored};
use crate::id::{Incarnation, NodeId};
use crate::limits::{Limit, PEERS};
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::time::{Instant, Now, Span};
use peer::Peer;

/// The failure detector of one node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Detector {
    config: Config,
    now: Instant,
    /// Those it watches, by name.
    peers: List<Peer, PEERS>,
    /// The number of the last ping.
    pings: u64,
    health: Health,
    /// Most of those watched are missed.
    is_alone: bool,
    /// The latest incarnation of this node that a peer knows, if it is not this one.
    outlived_by: Incarnation,
    /// What the host was told of itself.
    told: (u8, Incarnation),
    /// When there is something to do, at the earliest.
    alarm: Option<Instant>,
}

/// How far a detector doubts itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Health {
    score: u8,
    /// When the score last changed.
    since: Instant,
}

impl Detector {
    /// The worst health; timeouts are then nine times as long. The paper's default.
    pub const WORST: u8 = 8;
    /// The score falls after so many timeouts, and a step is late after this part of one.
    const HEALS_AFTER: u64 = 8;
    const LATE_AFTER: u64 = 4;
    /// A pong, a ping and a verdict for each peer, health, and that it is outlived.
    const MOST_OUTPUTS: usize = PEERS.saturating_mul(2).saturating_add(3);

    /// A detector that watches nobody yet.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong with the configuration.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            config,
            now: Instant::ORIGIN,
            peers: List::new(),
            pings: 0,
            health: Health { score: 0, since: Instant::ORIGIN },
            is_alone: false,
            outlived_by: Incarnation::ZERO,
            told: (0, Incarnation::ZERO),
            alarm: None,
        })
    }

    /// What it thinks of a peer; nothing of those it does not watch.
    #[must_use]
    pub fn verdict(&self, peer: NodeId) -> Option<Verdict> {
        self.peer(peer).map(Peer::verdict)
    }

    /// The latest incarnation of a peer that it has heard, zero if none.
    #[must_use]
    pub fn incarnation(&self, peer: NodeId) -> Option<Incarnation> {
        self.peer(peer).map(|peer| peer.incarnation)
    }

    /// After how much silence a peer is suspect, as things are.
    #[must_use]
    pub fn timeout(&self, peer: NodeId) -> Option<Span> {
        self.peer(peer).map(|peer| peer.timeout(&self.config).times(self.factor()))
    }

    /// How far it doubts itself: 0 if not at all, at most [`WORST`](Self::WORST).
    #[must_use]
    pub const fn health(&self) -> u8 {
        self.health.score
    }

    fn peer(&self, node: NodeId) -> Option<&Peer> {
        self.position(node).ok().and_then(|at| self.peers.get(at))
    }

    fn position(&self, node: NodeId) -> Result<usize, usize> {
        self.peers.binary_search_by_key(&node, |peer| peer.node)
    }

    /// By how much timeouts are multiplied.
    fn factor(&self) -> u64 {
        u64::from(self.health.score).saturating_add(1)
    }

    /// If this step is late, forgives everybody the time that this node slept: so it passes no verdict.
    fn wake<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let late = self.alarm.map_or(Span::ZERO, |alarm| self.now.since(alarm));
        if late <= self.config.timeout.divided(Self::LATE_AFTER).times(self.factor()) {
            return;
        }
        out.event(Event::Overslept { late });
        self.worsen();
        for peer in self.peers.iter_mut() {
            peer.excuse(self.now, &self.config);
        }
        self.set_alarm();
    }

    /// Time has passed.
    fn on_tick<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        self.judge();
        self.ask(out);
        self.set_alarm();
    }

    /// Thinks worse of itself.
    fn worsen(&mut self) {
        let score = self.health.score.saturating_add(1).min(Self::WORST);
        self.health = Health { score, since: self.now };
    }

    /// When it thinks better of itself, if nothing more happens.
    fn heals_at(&self) -> Option<Instant> {
        let after = self.config.timeout.times(Self::HEALS_AFTER);
        (self.health.score > 0).then(|| self.health.since.after(after))
    }

    /// Thinks of itself first, and then of the others.
    fn judge(&mut self) {
        if self.heals_at().is_some_and(|at| self.now >= at) {
            let score = self.health.score.saturating_sub(1);
            self.health = Health { score, since: self.now };
        }
        let watched = self.peers.iter().filter(|peer| peer.verdict() != Verdict::Down).count();
        let missed = self.peers.iter().filter(|peer| peer.is_missed(self.now, &self.config));
        let missed = missed.count();
        let was_alone = self.is_alone;
        self.is_alone = missed > 1 && missed.saturating_mul(2) > watched;
        if self.is_alone && !was_alone {
            self.worsen();
        }
        let factor = self.factor();
        for peer in self.peers.iter_mut() {
            peer.judge(self.now, factor, &self.config);
        }
    }

    /// Looks whether a word of a peer counts.
    fn admit(&self, from: NodeId, incarnation: Incarnation) -> Result<usize, Ignored> {
        let at = self.position(from).map_err(|_| Ignored::Stranger)?;
        let known = self.peers.get(at).ok_or(Ignored::Stranger)?.incarnation;
        if incarnation < known {
            Err(Ignored::Stale)
        } else if !incarnation.may_follow(known) {
            Err(Ignored::Implausible)
        } else {
            Ok(at)
        }
    }

    /// A peer is heard.
    fn hear(&mut self, from: NodeId, incarnation: Incarnation) -> Result<&mut Peer, Ignored> {
        let (at, factor) = (self.admit(from, incarnation)?, self.factor());
        let peer = self.peers.get_mut(at).ok_or(Ignored::Stranger)?;
        peer.hear(incarnation, self.now, &self.config);
        // What there is to do about it comes later than it would have, unless its timeout shrinks.
        let due = peer.due(factor, &self.config);
        self.alarm = Some(self.alarm.map_or(due, |alarm| alarm.min(due)));
        Ok(peer)
    }

    /// Something came in.
    fn on_word<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: NodeId,
        incarnation: Incarnation,
        out: &mut X,
    ) {
        if let Err(why) = self.hear(from, incarnation) {
            out.event(Event::Unheeded { from, why });
        }
    }

    /// A detector's message came in.
    fn on_message<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: NodeId,
        message: Message,
        out: &mut X,
    ) {
        let answer = match message {
            Message::Ping { incarnation, number, doubts } => {
                self.on_ping(from, incarnation, number, doubts).map(Some)
            }
            Message::Pong { incarnation, number } => {
                self.on_pong(from, incarnation, number).map(|()| None)
            }
        };
        match answer {
            Ok(Some(message)) => out.push(Output::Send { to: from, message }),
            Ok(None) => {}
            Err(why) => out.event(Event::Unheeded { from, why }),
        }
    }

    /// A peer asks.
    fn on_ping(
        &mut self,
        from: NodeId,
        incarnation: Incarnation,
        number: u64,
        doubts: Option<Incarnation>,
    ) -> Result<Message, Ignored> {
        let me = self.config.incarnation;
        let is_doubted = doubts == Some(me);
        let peer = self.hear(from, incarnation)?;
        let was_doubted = core::mem::replace(&mut peer.doubts, is_doubted);
        if is_doubted && !was_doubted {
            self.worsen();
        }
        match doubts {
            Some(later) if later > me && !later.may_follow(me) => return Err(Ignored::Implausible),
            Some(later) if later > me => self.outlived_by = self.outlived_by.max(later),
            _ => {}
        }
        Ok(Message::Pong { incarnation: me, number })
    }

    /// A peer answers.
    fn on_pong(
        &mut self,
        from: NodeId,
        incarnation: Incarnation,
        number: u64,
    ) -> Result<(), Ignored> {
        let at = self.admit(from, incarnation)?;
        if !self.peers.get(at).is_some_and(|peer| peer.is_answer(number)) {
            return Err(Ignored::Stale);
        }
        let (now, config) = (self.now, self.config);
        self.hear(from, incarnation)?.answer(number, now, &config);
        Ok(())
    }

    /// Those that are named, once each and in order, without this node.
    fn chosen(&self, nodes: &[NodeId]) -> Result<List<NodeId, PEERS>, Refused> {
        let mut chosen = List::new();
        for node in nodes.iter().copied().filter(|node| *node != self.config.me) {
            if let Err(at) = chosen.binary_search(&node) {
                chosen.insert(at, node).map_err(|_| Limit::Peers)?;
            }
        }
        if chosen.len() > self.config.peers { Err(Limit::Peers.into()) } else { Ok(chosen) }
    }

    /// Watches these.
    fn watch(&mut self, nodes: &[NodeId]) {
        let mut peers = List::new();
        for node in nodes {
            let known = self.peer(*node).cloned();
            // There is room, for they are no more than were chosen.
            let _ = peers.push(known.unwrap_or_else(|| Peer::new(*node, self.now)));
        }
        self.peers = peers;
        self.set_alarm();
    }

    /// Counts when there is something to do. Whatever would come after the end of time does not come.
    fn set_alarm(&mut self) {
        let (factor, end) = (self.factor(), Instant::from_micros(u64::MAX));
        let dues = self.peers.iter().map(|peer| peer.due(factor, &self.config));
        self.alarm = dues.chain(self.heals_at()).min().filter(|at| *at < end);
    }

    /// Asks whoever is to be asked.
    fn ask<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (incarnation, number) = (self.config.incarnation, self.pings.saturating_add(1));
        for peer in self.peers.iter_mut() {
            if peer.ask(number, self.now, &self.config) {
                self.pings = number;
                let is_doubted = peer.verdict() != Verdict::Alive;
                let doubts = is_doubted.then_some(peer.incarnation);
                let message = Message::Ping { incarnation, number, doubts };
                out.push(Output::Send { to: peer.node, message });
            }
        }
    }

    /// Tells what has become true.
    fn settle<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        for peer in self.peers.iter_mut() {
            if let Some((incarnation, verdict)) = peer.tell() {
                out.push(Output::Verdict { peer: peer.node, incarnation, verdict });
            }
        }
        let (score, by) = (self.health.score, self.outlived_by);
        let (told, told_by) = core::mem::replace(&mut self.told, (score, by));
        if told != score {
            out.push(Output::Health { score });
        }
        if told_by != by {
            out.push(Output::Outlived { by });
        }
    }
}

impl Machine for Detector {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn step<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Input<'_>,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, Self::MOST_OUTPUTS)?;
        let chosen = match input {
            Input::Peers(nodes) => self.chosen(nodes)?,
            _ => List::new(),
        };
        self.now = self.now.max(now.mono);
        self.wake(out);
        match input {
            Input::Tick => self.on_tick(out),
            Input::Heard { from, incarnation } => self.on_word(from, incarnation, out),
            Input::Message { from, message } => self.on_message(from, message, out),
            Input::Peers(_) => self.watch(&chosen),
        }
        self.settle(out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.alarm
    }

    fn max_outputs(&self) -> usize {
        Self::MOST_OUTPUTS
    }
}
