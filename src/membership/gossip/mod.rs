//! Gossip: who is there, in a cluster of up to [`Gossip::nodes`](crate::limits::Gossip::nodes) nodes.
//!
//! SWIM (Das, Gupta, Motivala, DSN 2002) with the local health and the confirmations of Lifeguard
//! (Dadgar, Phillips, Currey, arXiv 1707.00788). It is for *discovery*: what it tells is a hint, and it
//! never edits a configuration. It trusts whoever it hears: hosts authenticate frames.
//!
//! **State** of each other node a [`Record`]: the incarnation, what is said of it, the address; what
//! is still to be passed on; the probe under way; who this node is, and how healthy it takes itself to be.
//!
//! **Inputs** [`Input`]: to join, to leave, a new incarnation, a message, a tick.
//!
//! **Outputs** [`Output`]: messages, and what became true of a node, once.
//!
//! **Rules**
//! 1. A record gives way to a later one in a total order, and to no other ([`Record::merge`]).
//! 2. Nobody is convicted by hearsay: a verdict makes a node that is held for alive suspect, and short
//!    of time. Each node convicts by its own timer.
//! 3. Whoever hears itself doubted raises its incarnation above the doubt, and says so.
//! 4. Whoever is told something that it knows better tells its sender, once in an interval.
//! 5. Every other node is probed once in each round, in an order that is shuffled for each round.
//! 6. Nodes that are down, and the seeds, are asked for ever, one in an interval: islands meet again.
//! 7. A node that slept convicts nobody: its probe is void, and suspicions begin anew.
//! 8. Nothing is unlearned but by eviction: of those departed the oldest, never of those present.
//!
//! **Where it departs from SWIM** A probe is tried a second time before others are asked: on a network
//! that loses one packet in twenty, that costs a tenth of what asking three others does. And doubt,
//! its refutation and farewells do not only ride on probes: whoever hears of one first tells two others
//! at once, those at twice its own place in the list of nodes and one beyond, which makes a de Bruijn
//! graph of them: two messages a node, as many steps as the logarithm of their number, and two ways to
//! each.

mod config;
mod evidence;
mod members;
mod message;
mod probe;
mod record;
mod rumours;

pub use config::Config;
pub use message::{Kind, Message, Updates};
pub use record::{Address, Conflict, Record, State, Update};

use crate::bounded::List;
use crate::event::{Event, Ignored};
use crate::id::{Incarnation, NodeId};
use crate::limits::{Gossip as Limits, Limit};
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::rng::Rng;
use crate::time::{Instant, Now, Span};
use members::{Members, Told};
use probe::Probe;
use rumours::Rumours;

/// What a node is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input<'a> {
    /// Take part, and look for others at these addresses. Again, and it looks for them anew.
    Join {
        /// At most [`Gossip::seeds`](crate::limits::Gossip::seeds); none for the first node.
        seeds: &'a [Address],
    },
    /// Say farewell, and take part no longer once [`Output::Left`] tells of this node.
    Leave,
    /// The answer to [`Output::NeedsIncarnation`]; refused unless it is higher than the present one.
    Renew {
        /// From now on this node's.
        incarnation: Incarnation,
    },
    /// A message came.
    Message {
        /// The sender's address.
        from: Address,
        /// What it says.
        message: Message,
        /// What travelled beside it.
        updates: &'a [Update],
    },
    /// The [deadline](Machine::deadline) has come.
    Tick,
}

/// What a node tells its host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::large_enum_variant, reason = "without an allocator, updates have no other place")]
pub enum Output {
    /// Send this.
    Send {
        /// Where to.
        to: Address,
        /// The message.
        message: Message,
        /// What travels beside it.
        updates: Updates,
    },
    /// A node is there that was not known.
    Up {
        /// The node.
        node: NodeId,
        /// What is known of it.
        record: Record,
    },
    /// A node is there again, or at another address.
    Rejoined {
        /// The node.
        node: NodeId,
        /// What is known of it.
        record: Record,
    },
    /// A node does not answer, and has not refuted that.
    Down {
        /// The node.
        node: NodeId,
        /// What is known of it.
        record: Record,
    },
    /// A node has left; told of this node, it may stop.
    Left {
        /// The node.
        node: NodeId,
        /// What is known of it.
        record: Record,
    },
    /// Two nodes go by one name in one incarnation. Who is known stays known. Told once of each incarnation.
    Conflict {
        /// The name.
        node: NodeId,
        /// What is known of it.
        known: Record,
        /// Where the other one is.
        other: Address,
    },
    /// This node cannot speak for itself: another goes by its name, or it was declared down in the
    /// highest incarnation there is. Renew it with a higher incarnation if it was the same node in a
    /// former life; give it another name if not, or if there is none higher.
    NeedsIncarnation {
        /// The incarnation to pass.
        above: Incarnation,
    },
}

/// Whether this node takes part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Presence {
    /// It has not joined yet.
    New,
    Here,
    /// So many more farewells, the next one then.
    Leaving {
        farewells: u8,
        at: Instant,
    },
    Left,
}

/// What one step has changed, until it is settled.
#[derive(Default)]
struct Turn {
    /// Nodes of which something became true.
    changed: List<NodeId, { Gossip::MOST_CHANGES }>,
    /// There is news that does not wait for a probe.
    is_urgent: bool,
    /// Who must hear that it is doubted here: nobody else may tell it in time.
    accused: List<NodeId, { Gossip::MOST_CHANGES }>,
    /// This node has raised its incarnation above what it heard.
    has_refuted: bool,
    /// An incarnation in which this node cannot speak for itself.
    needs: Option<Incarnation>,
    /// The time of the next verdict must be found anew.
    reckon: bool,
}

/// A node among others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gossip {
    config: Config,
    now: Instant,
    rng: Rng,
    presence: Presence,
    incarnation: Incarnation,
    // How unwell this node takes itself to be (Lifeguard, section IV.A).
    score: u8,
    members: Members,
    rumours: Rumours,
    // Whom to probe in this round, last one first.
    round: List<NodeId, { Limits::MOST.nodes }>,
    probe: Option<Probe>,
    probes: u32,
    next_probe: Instant,
    next_verdict: Option<Instant>,
    next_heal: Instant,
    // Where healing goes on: among those down, and among the seeds.
    healed: NodeId,
    seeds: List<Address, { Limits::MOST.seeds }>,
    seed: usize,
    // Where the list of nodes goes on that a seed is telling; none if it was told.
    joining: Option<NodeId>,
    // How many more seeds are asked in a hurry.
    hurry: u8,
    // How many more times in this interval urgent news is sent at once.
    urgent: u8,
    needs_told: Option<Incarnation>,
    alarm: Option<Instant>,
}

impl Gossip {
    const MOST_CHANGES: usize = Limits::MOST.updates.saturating_add(1);
    const MOST_RELAYS: usize = 4;
    const MOST_SCORE: u8 = 8;
    const MOST_URGENT: u8 = 8;
    const MOST_HURRY: u8 = 16;
    const FAREWELLS: u8 = 3;
    /// A change, a conflict or a word to the accused for each update and for the sender; a probe through
    /// relays, or a relayed one; urgent news to two; two answers; a word on this node itself.
    const MOST_OUTPUTS: usize =
        Self::MOST_CHANGES.saturating_mul(3).saturating_add(Self::MOST_RELAYS).saturating_add(8);

    /// A node that has not joined yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let limits = config.limits.within();
        let relays = config.relays.min(Self::MOST_RELAYS);
        Self {
            config: Config { relays, limits, ..config },
            now: Instant::ORIGIN,
            rng: Rng::new(config.seed),
            presence: Presence::New,
            incarnation: config.incarnation,
            score: 0,
            members: Members::new(limits),
            rumours: Rumours::new(limits.rumours),
            round: List::new(),
            probe: None,
            probes: 0,
            next_probe: Instant::ORIGIN,
            next_verdict: None,
            next_heal: Instant::ORIGIN,
            healed: NodeId::ZERO,
            seeds: List::new(),
            seed: 0,
            joining: None,
            hurry: 0,
            urgent: Self::MOST_URGENT,
            needs_told: None,
            alarm: None,
        }
    }

    /// What this node says of itself.
    #[must_use]
    pub fn me(&self) -> Record {
        let state = match self.presence {
            Presence::New | Presence::Here => State::Alive,
            Presence::Leaving { .. } | Presence::Left => State::Left,
        };
        Record { incarnation: self.incarnation, state, address: self.config.address }
    }

    /// What is known of a node.
    #[must_use]
    pub fn record(&self, node: NodeId) -> Option<Record> {
        if node == self.config.me {
            return Some(self.me());
        }
        self.members.get(node).map(|member| member.record)
    }

    /// The other nodes that are known, in the order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, Record)> {
        self.members.iter().map(|(node, member)| (node, member.record))
    }

    /// How unwell this node takes itself to be, from 0 to 8: its probes take so many times longer, and
    /// so do its suspicions (Lifeguard, section IV.A).
    #[must_use]
    pub const fn local_health(&self) -> u8 {
        self.score
    }

    /// A span as a node in this state of health takes it.
    fn stretched(&self, span: Span) -> Span {
        span.times(u64::from(self.score).saturating_add(1))
    }

    fn worsen(&mut self) {
        self.score = self.score.saturating_add(1).min(Self::MOST_SCORE);
    }

    fn join(&mut self, seeds: &[Address]) {
        if self.presence == Presence::Left {
            self.incarnation = self.incarnation.next();
        }
        self.seeds.clear();
        // The step has refused more than fit.
        let _ = self.seeds.extend(seeds);
        self.presence = Presence::Here;
        self.seed = 0;
        let has_some = self.seeds.iter().any(|seed| *seed != self.config.address);
        self.joining = has_some.then_some(NodeId::ZERO);
        self.hurry = Self::MOST_HURRY;
        let offset = self.rng.below(self.config.probe_interval.as_micros());
        self.next_probe = self.now.after(Span::micros(offset));
        self.next_heal = self.now;
        self.rumours.spread(self.config.me);
    }

    fn leave(&mut self) {
        self.presence = Presence::Leaving { farewells: Self::FAREWELLS, at: self.now };
        self.probe = None;
        self.rumours.spread(self.config.me);
    }

    /// Says farewell to some, several times, and is then gone.
    fn say_farewell<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let Presence::Leaving { farewells, at } = self.presence else { return };
        if self.now < at {
            return;
        }
        self.rumours.spread(self.config.me);
        for (_, record) in self.some_present(Self::MOST_RELAYS, NodeId::ZERO).iter() {
            self.send(record.address, Kind::News, None, out);
        }
        let (farewells, at) =
            (farewells.saturating_sub(1), self.now.after(self.config.probe_timeout));
        self.presence = Presence::Leaving { farewells, at };
        if farewells == 0 {
            self.presence = Presence::Left;
            out.push(Output::Left { node: self.config.me, record: self.me() });
        }
    }

    /// A node that slept convicts nobody: what it did not hear meanwhile it could not hear.
    fn check_sleep<X: Outbox<Output> + ?Sized>(&mut self, turn: &mut Turn, out: &mut X) {
        let Some(alarm) = self.alarm else { return };
        let late = self.now.since(alarm);
        if late <= self.config.probe_timeout {
            return;
        }
        out.event(Event::Overslept { late });
        self.worsen();
        self.probe = None;
        self.next_probe = self.next_probe.max(self.now.after(self.config.probe_timeout));
        let now = self.now;
        let suspects = self.members.iter_mut().map(|(_, member)| member);
        suspects.filter(|m| m.record.state == State::Suspect).for_each(|m| m.since = now);
        turn.reckon = true;
    }

    fn tick<X: Outbox<Output> + ?Sized>(&mut self, turn: &mut Turn, out: &mut X) {
        match self.presence {
            Presence::Here => {
                self.convict(turn, out);
                self.go_on_probing(turn, out);
                self.heal(out);
            }
            Presence::Leaving { .. } => self.say_farewell(out),
            Presence::New | Presence::Left => {}
        }
    }

    /// Sends a message with what there is room for beside it, first what its receiver must hear.
    fn send<X: Outbox<Output> + ?Sized>(
        &mut self,
        to: Address,
        kind: Kind,
        first: Option<Update>,
        out: &mut X,
    ) {
        let mut updates = Updates::new();
        if let Some(update) = first {
            let _ = updates.push(update);
        }
        if !self.rumours.is_empty() {
            self.add_rumours(first.map(|update| update.node), &mut updates);
        }
        let message = Message { sender: self.config.me, incarnation: self.incarnation, kind };
        out.push(Output::Send { to, message, updates });
    }

    fn add_rumours(&mut self, except: Option<NodeId>, updates: &mut Updates) {
        let count = self.members.active().saturating_add(2);
        let rounds = usize::BITS.saturating_sub(count.saturating_sub(1).leading_zeros());
        let most = u8::try_from(rounds).unwrap_or(u8::MAX).saturating_mul(self.config.multiplier);
        let (me, mine, room) = (self.config.me, self.me(), self.config.limits.updates);
        let members = &self.members;
        self.rumours.send(most.max(1), |node| {
            if updates.len() >= room {
                return false;
            }
            let known = members.get(node).map(|member| (member.record, member.by));
            let known = if node == me { Some((mine, me)) } else { known };
            if let Some((record, by)) = known.filter(|_| except != Some(node)) {
                let _ = updates.push(Update { node, record, by });
            }
            true
        });
    }

    /// Tells what has become true, and what does not wait.
    fn settle<X: Outbox<Output> + ?Sized>(&mut self, turn: &Turn, out: &mut X) {
        for node in turn.changed.iter().copied() {
            self.tell(node, out);
        }
        if let Some(above) = turn.needs.filter(|above| self.needs_told != Some(*above)) {
            self.needs_told = Some(above);
            out.push(Output::NeedsIncarnation { above });
        }
        if turn.is_urgent && self.urgent > 0 && self.presence == Presence::Here {
            self.urgent = self.urgent.saturating_sub(1);
            self.tell_at_once(out);
        }
        for node in turn.accused.iter().copied() {
            self.accuse(node, out);
        }
        if turn.reckon {
            self.next_verdict = self
                .members
                .iter()
                .filter(|(_, member)| member.record.state == State::Suspect)
                .map(|(_, member)| self.verdict_at(member))
                .min();
        }
        // Later than now, unless this is the end of time.
        let later = self.now.after(Span::micros(1));
        self.alarm = self.next_alarm().map(|at| at.max(later)).filter(|at| *at > self.now);
    }

    fn tell<X: Outbox<Output> + ?Sized>(&mut self, node: NodeId, out: &mut X) {
        let Some(member) = self.members.get_mut(node) else { return };
        let record = member.record;
        let (told, output) = match (member.told, record.state) {
            (Told::Nothing, State::Alive | State::Suspect) => {
                (Told::Up, Output::Up { node, record })
            }
            (Told::Gone, State::Alive | State::Suspect) => {
                (Told::Up, Output::Rejoined { node, record })
            }
            (Told::Up, State::Down) => (Told::Gone, Output::Down { node, record }),
            (Told::Up, State::Left) => (Told::Gone, Output::Left { node, record }),
            _ => return,
        };
        member.told = told;
        out.push(output);
    }

    fn next_alarm(&self) -> Option<Instant> {
        match self.presence {
            Presence::New | Presence::Left => None,
            Presence::Leaving { at, .. } => Some(at),
            Presence::Here => {
                let probe = match &self.probe {
                    Some(probe) => Some(probe.due()),
                    None => (self.members.active() > 0).then_some(self.next_probe),
                };
                let heals = self.members.departed() > 0 || !self.seeds.is_empty();
                let heal = heals.then_some(self.next_heal);
                let first = |a: Option<Instant>, b: Option<Instant>| match (a, b) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                first(first(probe, heal), self.next_verdict)
            }
        }
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
            Input::Join { .. } if matches!(self.presence, Presence::Leaving { .. }) => {
                return Err(Refused::Meaningless);
            }
            Input::Join { seeds } if seeds.len() > self.config.limits.seeds => {
                return Err(Limit::Seeds.into());
            }
            Input::Leave if self.presence != Presence::Here => return Err(Refused::Meaningless),
            Input::Renew { incarnation } if incarnation <= self.incarnation => {
                return Err(Refused::Meaningless);
            }
            _ => {}
        }
        self.now = self.now.max(now.mono);
        let mut turn = Turn::default();
        self.check_sleep(&mut turn, out);
        match input {
            Input::Join { seeds } => self.join(seeds),
            Input::Leave => self.leave(),
            Input::Renew { incarnation } => self.renew(incarnation, &mut turn),
            Input::Message { from, message, updates } => {
                self.hear(from, message, updates, &mut turn, out);
            }
            Input::Tick => self.tick(&mut turn, out),
        }
        self.settle(&turn, out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.alarm
    }

    fn max_outputs(&self) -> usize {
        Self::MOST_OUTPUTS
    }
}

fn ignored(node: NodeId, why: Ignored) -> Event {
    Event::Unheeded { from: node, why }
}
