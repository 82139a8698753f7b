//! Gossip: who is there, in a cluster of up to [`NODES`] nodes.
//!
//! SWIM (Das, Gupta, Motivala, DSN 2002) with the local health of Lifeguard (Dadgar, Phillips, Currey,
//! arXiv 1707.00788). It is for *discovery*: what it tells is a hint, and it never edits a configuration.
//! It trusts whoever it hears: hosts authenticate frames.
//!
//! **State** of each other node a [`Record`]: the incarnation, what is said of it, the address; what
//! is still to be passed on; the probe under way; who this node is, and how healthy it takes itself to be.
//!
//! **Inputs** [`Input`]: to join, to leave, a message, a tick. **Outputs** [`Output`]: messages, and what
//! became true of a node, once.
//!
//! **Rules**
//! 1. A record gives way to a later one in a total order, and to no other ([`Record::merge`]); only what
//!    lies further ahead of a node's own word than any incarnation [may
//!    follow](Incarnation::may_follow) gives way to that word (memberlist#358). Of a stranger nobody is
//!    believed but itself, if it is said to lie so far ahead of the node that hears it.
//! 2. Nobody is convicted by hearsay: a verdict makes a node that is held for alive suspect, and short
//!    of time. Each node convicts by its own timer.
//! 3. Whoever is doubted is told with a ping, raises its incarnation above the doubt, and answers so. No
//!    other word of doubt is sent to it, and its answer is not disputed (foca#25).
//! 4. Whoever asks while it takes itself for what it is not is told so in the answer.
//! 5. Every other node is probed once in each round, in an order that is drawn for each round.
//! 6. Nodes that are down, and seeds where nobody is known to be, are asked for ever, one of each in an
//!    interval: islands meet again.
//! 7. A node that slept convicts nobody: its probe is void, and suspicions begin anew.
//! 8. Nothing is unlearned but for one that comes: of those departed the oldest, never one that is
//!    there.
//! 9. Whoever comes asks a seed for the list, page by page, and goes on where it was if a page is lost.
//!
//! **A farewell** is said to four others at once, who pass it on. If all four are lost, the leaver is taken for
//! crashed: nothing else goes wrong.
//!
//! **Where it departs from SWIM** A probe is tried a second time before others are asked: on a network
//! that loses one packet in twenty, that costs a tenth of what asking three others does. And doubt,
//! its refutation and farewells do not only ride on probes: whoever hears of one first tells two others
//! at once, those at twice its own place in the list of nodes and one beyond, which makes a de Bruijn
//! graph of them: two messages a node, as many steps as the logarithm of their number, and two ways to
//! each. Of 2,000 clusters of 64 that lose one packet in twenty, none convicted somebody who was there
//! in five minutes; four did when a refutation was not passed on by who had not heard the doubt. Two
//! drawn by lot are slower by a third.
//!
//! **Where it departs from Lifeguard** No confirmation shortens a suspicion: before a second node has
//! doubted somebody for itself, and that is known, the first has passed its verdict.

mod config;
mod evidence;
mod heal;
mod hearing;
mod members;
mod message;
mod probe;
mod record;
mod rumours;

pub use config::Config;
pub use message::{Input, Kind, Message, Output, Updates};
pub use record::{Record, State, Update};

use crate::bounded::{List, Map};
use crate::event::{Event, Ignored};
use crate::id::{Incarnation, NodeId};
use crate::limits::{Limit, NODES, SEEDS, UPDATES};
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::membership::Address;
use crate::rng::Rng;
use crate::time::{Instant, Now, Span};
use members::Member;
use probe::Probe;
use rumours::Rumours;

/// Where a node's outputs go.
trait Out: Outbox<Output> {}
impl<X: Outbox<Output> + ?Sized> Out for X {}

/// What came of something that another node said.
type Heard<T = ()> = Result<T, Ignored>;

/// A node among others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gossip {
    config: Config,
    now: Instant,
    rng: Rng,
    // What this node says of itself; and whether it takes part.
    me: Record,
    is_here: bool,
    // How unwell this node takes itself to be (Lifeguard, section IV.A).
    score: u8,
    // Every other node that is known.
    members: Map<NodeId, Member, NODES>,
    rumours: Rumours,
    // What orders this round, and the place in it of the last one probed.
    round: u64,
    probed: (u64, NodeId),
    probe: Option<Probe>,
    // The number of the last probe.
    probes: u32,
    next_probe: Instant,
    next_verdict: Instant,
    next_heal: Instant,
    // Where to look for others, the next one first.
    seeds: List<Address, SEEDS>,
    // Where the list of nodes goes on that a seed is telling; none if it was told.
    joining: Option<NodeId>,
    // There is news that does not wait for a probe.
    is_urgent: bool,
    // How many more times in this interval urgent news is sent at once.
    urgent: u8,
    // The last incarnation in which this node could not speak for itself.
    outlived_by: Incarnation,
    // When there is something to do, at the earliest.
    alarm: Instant,
}

impl Gossip {
    /// Whatever would come at the end of time does not come.
    const NEVER: Instant = Instant::from_micros(u64::MAX);
    const MOST_CHANGES: usize = UPDATES.saturating_add(1);
    const MOST_RELAYS: usize = 4;
    const MOST_TOLD: usize = 2;
    const MOST_SCORE: u8 = 8;
    const MOST_URGENT: u8 = 8;
    /// A change and a word to the accused for each update and for the sender; a probe through relays, or
    /// farewells; urgent news to two; two answers; one that is down, and a seed.
    const MOST_OUTPUTS: usize =
        Self::MOST_CHANGES.saturating_mul(2).saturating_add(Self::MOST_RELAYS).saturating_add(9);

    /// A node that has not joined yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (nodes, updates) = (config.nodes.clamp(1, NODES), config.updates.clamp(2, UPDATES));
        let relays = config.relays.min(Self::MOST_RELAYS);
        // Zero is what is known before anything is heard.
        let incarnation = config.incarnation.max(Incarnation::new(1));
        let mut rng = Rng::new(config.seed);
        Self {
            config: Config { relays, nodes, updates, ..config },
            now: Instant::ORIGIN,
            me: Record { incarnation, state: State::Alive, address: config.address },
            is_here: false,
            score: 0,
            members: Map::new(),
            rumours: Rumours::default(),
            round: config.seed,
            probed: (0, NodeId::ZERO),
            probe: None,
            // What answers a probe of a former life answers none of this one.
            probes: u32::try_from(rng.draw() >> 32).unwrap_or(0),
            rng,
            next_probe: Instant::ORIGIN,
            next_verdict: Self::NEVER,
            next_heal: Instant::ORIGIN,
            seeds: List::new(),
            joining: None,
            is_urgent: false,
            urgent: Self::MOST_URGENT,
            outlived_by: Incarnation::ZERO,
            alarm: Self::NEVER,
        }
    }

    /// What this node says of itself.
    #[must_use]
    pub const fn me(&self) -> Record {
        self.me
    }

    /// What is known of a node.
    #[must_use]
    pub fn record(&self, node: NodeId) -> Option<Record> {
        if node == self.config.me { Some(self.me) } else { self.known(node) }
    }

    /// The other nodes that are known, in the order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = Update> {
        self.members.iter().map(|(node, member)| Update { node: *node, record: member.record })
    }

    /// How unwell this node takes itself to be, from 0 to 8: its probes take so many times longer, and
    /// so do its suspicions (Lifeguard, section IV.A).
    #[must_use]
    pub const fn local_health(&self) -> u8 {
        self.score
    }

    /// When a span is over, as a node in this state of health takes it.
    fn after(&self, span: Span) -> Instant {
        self.now.after(span.times(u64::from(self.score).saturating_add(1)))
    }

    fn worsen(&mut self) {
        self.score = self.score.saturating_add(1).min(Self::MOST_SCORE);
    }

    /// A node that slept convicts nobody: what it did not hear meanwhile it could not hear.
    fn check_sleep<X: Out + ?Sized>(&mut self, out: &mut X) {
        let late = self.now.since(self.alarm);
        if late <= self.config.probe_timeout {
            return;
        }
        out.event(Event::Overslept { late });
        self.worsen();
        self.probe = None;
        self.next_probe = self.next_probe.max(self.now.after(self.config.probe_timeout));
        self.excuse();
    }

    /// Tells what does not wait, and finds when there is something to do.
    fn settle<X: Out + ?Sized>(&mut self, out: &mut X) {
        let is_urgent = core::mem::take(&mut self.is_urgent);
        if !self.is_here {
            self.alarm = Self::NEVER;
            return;
        }
        if is_urgent && self.urgent > 0 {
            self.urgent = self.urgent.saturating_sub(1);
            self.tell_at_once(out);
        }
        let probe = self.probe.map_or(self.next_probe, |probe| probe.due);
        let next = probe.min(self.next_heal).min(self.next_verdict);
        self.alarm = next.max(self.now.after(Span::micros(1)));
    }
}

impl Machine for Gossip {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn step<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Input<'_>,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, Self::MOST_OUTPUTS)?;
        match input {
            Input::Join { seeds } if seeds.len() > SEEDS => return Err(Limit::Seeds.into()),
            Input::Leave if !self.is_here => return Err(Refused::Meaningless),
            _ => {}
        }
        self.now = self.now.max(now.mono);
        self.check_sleep(out);
        match input {
            Input::Join { seeds } => self.join(seeds),
            Input::Leave => self.leave(out),
            Input::Message { from, message, updates } => {
                if let Err(why) = self.hear(from, message, updates, out) {
                    out.event(Event::Unheeded { from: message.sender, why });
                }
            }
            Input::Tick if self.is_here => {
                self.convict(out);
                self.go_on_probing(out);
                self.heal(out);
            }
            Input::Tick => {}
        }
        self.settle(out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        (self.alarm < Self::NEVER).then_some(self.alarm)
    }

    fn max_outputs(&self) -> usize {
        Self::MOST_OUTPUTS
    }
}
