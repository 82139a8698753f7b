//! A client: the other end of a group's sessions (dissertation 6.3).
//!
//! It takes one request at a time to whichever node leads, in as many attempts as that needs, and
//! says once what became of it. What the work means it does not know: the host encodes it.
//!
//! **State** the nodes and which of them is asked, the session and the number of its last command,
//! and the request under way: its stage, and how many attempts at it were not refused and so may
//! take effect unseen. **Inputs** [`Input`]. **Outputs** [`Output`], at most one a step.
//! **Invariants**
//!
//! 1. A request that is taken ends in exactly one [`Outcome`], at the latest with the first step
//!    `give_up` after it was taken. An answer to an earlier request changes nothing.
//! 2. All attempts at a command carry one number, and numbers rise. A command is taken from one
//!    session to the next only if every attempt at it was refused.
//! 3. A session's name is sent in one attempt to open it and never again: a session that the
//!    replicas have forgotten stays forgotten, and a late copy of a command cannot find it open.
//! 4. [`Outcome::NotTaken`] and [`Outcome::Rejected`] are told only if every attempt was refused.
//! 5. From one pause to the next no more attempts fail than there are nodes, whatever these say.
//!
//! Two things are for the hosts to keep: an attempt is delivered at most once (what receives
//! datagrams drops repeats), and a refusal is certain, as [`Reply`] demands.

pub mod broadcast;
mod message;

pub use message::{Reply, What};

use crate::event::{Event, Ignored};
use crate::id::{ClientId, Members, Slot};
use crate::limits::Limit;
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::rng::Rng;
use crate::time::{Instant, Now, Span};
use core::fmt;

/// How a client is set up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// A random number that nobody has drawn before, not even a former life of this client: the
    /// names of its sessions come of it.
    pub client: ClientId,
    /// How many nodes the host knows; they are called by their places in its list. At most 32.
    pub nodes: u8,
    /// Where the generator of pauses starts; best different for each client.
    pub seed: u64,
    /// How long one node may take to answer; longer than a commit takes.
    pub attempt: Span,
    /// How long a request may take in all; longer than an election takes.
    pub give_up: Span,
    /// The least pause after a refusal. Each pause doubles the next one's least, up to 32 times
    /// this; the actual one is drawn between its least and twice that.
    pub backoff: Span,
}

/// What is wrong with a [`Config`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// `nodes` is zero or above 32.
    Nodes,
    /// `attempt` or `backoff` is zero, or `give_up` is below `attempt`.
    Timeouts,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nodes => "a client knows at least one node and at most 32",
            Self::Timeouts => {
                "attempt and backoff must be above zero, and giving up not before an attempt ends"
            }
        })
    }
}

impl core::error::Error for ConfigError {}

/// What a request does to the state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Kind {
    /// It changes the state, once.
    Command,
    /// It only reads, and so may be asked as often as need be.
    Query,
}

/// What a host tells a client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Input<'a, W, R> {
    /// The deadline has passed (early and late ticks do no harm).
    Tick,
    /// Take this to the group: refused while another request is under way.
    Ask {
        /// What the host encodes, whenever it is to be sent: [`Client::work`].
        work: &'a W,
        /// What it does to the state.
        kind: Kind,
    },
    /// An answer came in. The host vouches for who sent it.
    Reply {
        /// Who sent it.
        node: u8,
        /// The attempt that it answers.
        attempt: u64,
        /// What it says.
        reply: Reply<R>,
    },
    /// There is no connection to a node, or no longer: what was sent may or may not have arrived.
    Unreachable {
        /// Which.
        node: u8,
    },
    /// The host has learned of more nodes: refused if these are fewer than before, or above 32.
    Nodes {
        /// How many it knows now.
        count: u8,
    },
}

/// What a host must do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output<R> {
    /// Send to a node; losing it does no harm.
    Send {
        /// The receiver.
        node: u8,
        /// What the answer is to name.
        attempt: u64,
        /// What to send.
        what: What,
    },
    /// The request is over.
    Done(Outcome<R>),
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome<R> {
    /// It took effect, once, or was read, and this is the answer.
    Done(R),
    /// The group says that it cannot be meant. It has no effect.
    Rejected,
    /// Nobody took it in time. It has no effect: ask again if it is still wanted.
    NotTaken,
    /// It took effect once, or has not yet. Once this client's next command is done that is
    /// settled, and a query tells.
    Unknown,
}

/// Where a request stands. `Ready` and `Over` last no longer than the step that brings them about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Stage<R> {
    /// To be sent.
    Ready,
    /// A node has been asked, and has this long to answer.
    Asked { until: Instant },
    /// Nobody is asked for this long.
    Paused { until: Instant },
    /// To be told.
    Over(Outcome<R>),
}

/// The request under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Request<W, R> {
    work: W,
    kind: Kind,
    give_up_at: Instant,
    /// The first attempt of the request, or since its session is open: what answers an older one
    /// is about something else.
    first: u64,
    /// Attempts at the command that were sent and not refused: each may take effect unseen.
    unsettled: u64,
    /// Attempts in a row that failed without a pause.
    failed: u8,
    /// The least length of the next pause.
    pause: Span,
    stage: Stage<R>,
}

/// One end of a session.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Client<W, R> {
    config: Config,
    rng: Rng,
    now: Instant,
    /// The node that is asked.
    node: u8,
    /// The node whose turn it was when last no leader was known.
    turn: u8,
    session: Option<ClientId>,
    /// The number of the last command.
    sequence: u64,
    /// The number of the last attempt of all.
    attempt: u64,
    request: Option<Request<W, R>>,
}

impl<W, R> Client<W, R> {
    /// A client that has not asked for anything yet.
    ///
    /// # Errors
    /// [`ConfigError`] if the configuration contradicts itself.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        if config.nodes == 0 || usize::from(config.nodes) > Members::MOST {
            return Err(ConfigError::Nodes);
        }
        let has_zero = config.attempt == Span::ZERO || config.backoff == Span::ZERO;
        if has_zero || config.give_up < config.attempt {
            return Err(ConfigError::Timeouts);
        }
        Ok(Self {
            rng: Rng::new(config.seed),
            now: Instant::ORIGIN,
            node: 0,
            turn: 0,
            session: None,
            sequence: 0,
            attempt: 0,
            request: None,
            config,
        })
    }

    /// What the request under way is about, if one is.
    #[must_use]
    pub fn work(&self) -> Option<&W> {
        self.request.as_ref().map(|request| &request.work)
    }
}

impl<W: Clone + 'static, R> Machine for Client<W, R> {
    type Input<'a> = Input<'a, W, R>;
    type Output = Output<R>;

    fn step<X: Outbox<Output<R>> + ?Sized>(
        &mut self,
        now: Now,
        input: Input<'_, W, R>,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, self.max_outputs())?;
        self.check(&input)?;
        self.now = self.now.max(now.mono);
        match input {
            Input::Tick => self.tick(),
            Input::Ask { work, kind } => self.begin(work.clone(), kind),
            Input::Reply { node, attempt, reply } => {
                if let Err(why) = self.hear(node, attempt, reply) {
                    out.event(Event::Ignored { from: Slot::new(node), why });
                }
            }
            Input::Unreachable { node } => self.unreachable(node),
            Input::Nodes { count } => self.config.nodes = count,
        }
        self.settle(out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let request = self.request.as_ref()?;
        match request.stage {
            Stage::Asked { until } | Stage::Paused { until } => Some(until.min(request.give_up_at)),
            Stage::Ready | Stage::Over(_) => Some(self.now),
        }
    }

    fn max_outputs(&self) -> usize {
        1
    }
}

impl<W, R> Client<W, R> {
    /// Refuses what a host may not ask now, before anything changes.
    fn check(&self, input: &Input<'_, W, R>) -> Result<(), Refused> {
        match input {
            Input::Ask { .. } if self.request.is_some() => Err(Refused::Full(Limit::Requests)),
            Input::Nodes { count }
                if *count < self.config.nodes || usize::from(*count) > Members::MOST =>
            {
                Err(Refused::Meaningless)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, work: W, kind: Kind) {
        if kind == Kind::Command {
            self.sequence = self.sequence.saturating_add(1);
        }
        self.request = Some(Request {
            work,
            kind,
            give_up_at: self.now.after(self.config.give_up),
            first: self.attempt.saturating_add(1),
            unsettled: 0,
            failed: 0,
            pause: self.config.backoff,
            stage: Stage::Ready,
        });
    }

    /// Takes an answer in. One that decides counts whichever attempt it is for, if that was at the
    /// same work in the same session; a refusal tells about the newest alone.
    fn hear(&mut self, node: u8, attempt: u64, reply: Reply<R>) -> Result<(), Ignored> {
        if attempt > self.attempt || node >= self.config.nodes {
            return Err(Ignored::Impossible);
        }
        let Some(request) = &mut self.request else { return Err(Ignored::Stale) };
        if attempt < request.first {
            return Err(Ignored::Stale);
        }
        let is_open = request.kind == Kind::Query || self.session.is_some();
        let is_asked = matches!(request.stage, Stage::Asked { .. });
        let is_newest = is_asked && (node, attempt) == (self.node, self.attempt);
        match reply {
            Reply::Done(answer) if is_open => {
                request.stage = Stage::Over(Outcome::Done(answer));
                self.node = node;
            }
            Reply::Opened if !is_open => {
                request.first = self.attempt.saturating_add(1);
                request.stage = Stage::Ready;
                self.session = Some(self.name(attempt));
                self.node = node;
            }
            _ if !is_newest => return Err(Ignored::Stale),
            Reply::NotLeader { leader } => {
                request.refused();
                self.retry(leader.filter(|&leader| leader != node));
            }
            Reply::Busy => {
                request.refused();
                self.pause();
            }
            Reply::Rejected => {
                request.refused();
                request.end(Outcome::Rejected);
            }
            Reply::NoSession if request.kind == Kind::Command => {
                request.refused();
                self.lose_session();
            }
            Reply::Superseded if request.kind == Kind::Command && is_open => {
                // Somebody else goes by this session's name, so it is of no more use.
                self.session = None;
                request.end(Outcome::Unknown);
            }
            Reply::Unknown => self.retry(None),
            _ => return Err(Ignored::Impossible),
        }
        Ok(())
    }

    fn unreachable(&mut self, node: u8) {
        let stage = self.request.as_ref().map(|request| &request.stage);
        if node == self.node && matches!(stage, Some(Stage::Asked { .. })) {
            self.retry(None);
        }
    }

    fn tick(&mut self) {
        let Some(request) = &mut self.request else { return };
        match request.stage {
            Stage::Asked { until } if until <= self.now => self.retry(None),
            Stage::Paused { until } if until <= self.now => request.stage = Stage::Ready,
            _ => {}
        }
    }

    /// The session is gone, and with it what tells a copy of the command from another command: one
    /// that may have taken effect in it must not be sent in the next.
    fn lose_session(&mut self) {
        self.session = None;
        let Some(request) = &mut self.request else { return };
        if request.unsettled > 0 {
            request.end(Outcome::Unknown);
        } else {
            self.retry(Some(self.node));
        }
    }

    /// Asks the node that is said to lead, or the next in turn: at once, or after a pause when as
    /// many attempts have failed as there are nodes, lest two nodes that name each other be asked
    /// as fast as they answer.
    fn retry(&mut self, leader: Option<u8>) {
        let nodes = self.config.nodes;
        let Some(request) = &mut self.request else { return };
        request.failed = request.failed.saturating_add(1);
        request.stage = Stage::Ready;
        let all_failed = request.failed >= nodes;
        match leader.filter(|&leader| leader < nodes && !all_failed) {
            Some(leader) => self.node = leader,
            None => self.take_turns(),
        }
        if all_failed {
            self.pause();
        }
    }

    /// Moves on to the next node. The turn stands apart from the node that is asked, so every node
    /// gets its turn, whoever the others name.
    fn take_turns(&mut self) {
        for _ in 0..2 {
            let next = self.turn.saturating_add(1);
            self.turn = if next < self.config.nodes { next } else { 0 };
            if self.turn != self.node {
                break; // The node that has just failed is passed over, if there is another.
            }
        }
        self.node = self.turn;
    }

    fn pause(&mut self) {
        let Some(request) = &mut self.request else { return };
        let jitter = Span::micros(self.rng.below(request.pause.as_micros()));
        request.stage = Stage::Paused { until: self.now.after(request.pause.plus(jitter)) };
        request.pause = request.pause.times(2).min(self.config.backoff.times(32));
        request.failed = 0;
    }

    /// Gives up what is late, tells what is over, and sends what is ready.
    fn settle<X: Outbox<Output<R>> + ?Sized>(&mut self, out: &mut X) {
        let Some(mut request) = self.request.take() else { return };
        if request.give_up_at <= self.now && !matches!(request.stage, Stage::Over(_)) {
            request.end(Outcome::NotTaken);
        }
        match request.stage {
            Stage::Over(outcome) => {
                out.push(Output::Done(outcome));
                return;
            }
            Stage::Ready => {
                self.attempt = self.attempt.saturating_add(1);
                let what = match (request.kind, self.session) {
                    (Kind::Query, _) => What::Query,
                    (Kind::Command, None) => What::Open { client: self.name(self.attempt) },
                    (Kind::Command, Some(client)) => {
                        request.unsettled = request.unsettled.saturating_add(1);
                        What::Command { client, sequence: self.sequence }
                    }
                };
                request.stage = Stage::Asked { until: self.now.after(self.config.attempt) };
                out.push(Output::Send { node: self.node, attempt: self.attempt, what });
            }
            Stage::Asked { .. } | Stage::Paused { .. } => {}
        }
        self.request = Some(request);
    }

    /// The name of the session that an attempt is to open. It is mixed, so that clients numbered
    /// one after the other do not come across each other's.
    fn name(&self, attempt: u64) -> ClientId {
        let own = Rng::new(self.config.client.number()).draw();
        ClientId::new(own.wrapping_add(attempt))
    }
}

impl<W, R> Request<W, R> {
    /// The newest attempt has no effect. (One to open a session has none in any case.)
    fn refused(&mut self) {
        self.unsettled = self.unsettled.saturating_sub(1);
    }

    /// Ends the request in an outcome that promises no effect, if that is certain.
    fn end(&mut self, outcome: Outcome<R>) {
        self.stage = Stage::Over(if self.unsettled > 0 { Outcome::Unknown } else { outcome });
    }
}
