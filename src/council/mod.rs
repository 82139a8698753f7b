//! A council: PBFT, the payloads that it orders, and the state machine they are for.
//!
//! This is the payload floor of a Byzantine group. Keys, hashes and the bytes that were signed are the
//! host's: it verifies what comes in, and binds payloads to digests and states to checkpoints.
//!
//! **State** the [`Pbft`] machine; the requests that wait, one of each client; the payloads of the
//! positions that are worked on; what is decided above the stable checkpoint; the state machine, what
//! each client was last answered, and the position executed. **Rules**, each in one place:
//!
//! | rule | where |
//! |---|---|
//! | what is decided is executed in order, once its payload is here | `Council::execute` |
//! | a request takes effect once, whoever has it ordered again | `session` |
//! | stamps rise from one command to the next, whatever a primary says | `Council::execute_one` |
//! | a state is told of exactly where its checkpoint stands | `Council::execute` |
//! | a state that is proved to be wrong executes nothing until it is replaced | `Council::execute` |

mod payloads;
mod request;
mod session;
#[cfg(test)]
#[cfg(feature = "alloc")] // What it says is put into a `Vec`.
mod tests;

pub use request::{Batch, Request, Work};
pub use session::Answer;

use crate::bounded::{List, Map};
use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::event::Event;
use crate::hlc::{self, Clock, Stamp};
use crate::id::{ClientId, Digest, EntryId, Index, Slot};
use crate::limits::{Limit, REQUESTS, SLOTS};
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::pbft::{
    self, Checkpoint, Message, NewView, Pbft, Phase, Receipt, Stable, Value, Verified, ViewChange,
};
use crate::state_machine::{Position, StateMachine};
use crate::time::{Instant, Now};
use payloads::Payloads;
use request::{Admitted, Pool};
use session::{Answers, term_of};

/// How a member is set up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// The member of the group.
    pub pbft: pbft::Config,
    /// The clock of a primary's stamps. The log holds every stamp, so it needs no reserve.
    pub clock: hlc::Config,
    /// The epoch: no position of one is a position of another.
    pub epoch: u32,
    /// How many positions a primary works on at one time. What comes meanwhile is ordered together.
    pub depth: u32,
}

/// What a host tells a member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input<'a, C> {
    /// The deadline has passed (early and late ticks do no harm).
    Tick,
    /// A message came in, and its signature is its sender's. With a proposal, its payload, if it came
    /// too: its digest was checked, and every client's signature in it, and it is durable.
    Message {
        /// The message.
        message: Verified<Message>,
        /// The payload.
        payload: Option<&'a [Request<C>]>,
    },
    /// As [`pbft::Input::ViewChange`].
    ViewChange(Verified<&'a ViewChange>),
    /// As [`pbft::Input::NewView`].
    NewView(Verified<NewView<'a>>),
    /// As [`pbft::Input::Stable`].
    Stable(Stable),
    /// A client's request is here, and its signature is the client's.
    Request {
        /// The digest of its bytes.
        digest: Digest,
        /// What it says.
        request: &'a Request<C>,
    },
    /// Order these together, which [`Council::to_propose`] has named: refused unless this member is the
    /// primary of a view that has begun.
    Propose {
        /// The digest of the payload, which is durable here.
        digest: Digest,
        /// What it says.
        requests: &'a [Request<C>],
    },
    /// A payload that was asked for is here; as in `Message`.
    Payload {
        /// Its digest.
        digest: Digest,
        /// What it says.
        requests: &'a [Request<C>],
    },
    /// The state of [`Output::Snapshot`] is durable, and this is its digest.
    Stored(Checkpoint),
    /// A state that was fetched: its digest is that of the checkpoint.
    Restore {
        /// What it stands for.
        checkpoint: Checkpoint,
        /// The state.
        bytes: &'a [u8],
    },
    /// The write of this receipt, and every write before it, are durable.
    Persisted(Receipt),
    /// A write failed. The machine stops for good.
    PersistFailed,
    /// The host doubts that this member lives.
    Suspect(Slot),
}

/// What a host must do. All of it in any order, once encoded, except that writes keep their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// What the protocol wants done; never a [`pbft::Output::Committed`] or [`pbft::Output::Fetch`].
    Pbft(pbft::Output),
    /// Sign [`Council::answer`] and send it to the client.
    Reply {
        /// The client.
        client: ClientId,
    },
    /// Encode [`Council::snapshot`] before the next step, make it durable, and say [`Input::Stored`].
    Snapshot {
        /// The last position executed.
        index: Index,
        /// The highest stamp executed.
        stamp: Stamp,
    },
    /// Fetch the payload from any member: it is decided, and not here.
    Payload {
        /// Where.
        index: Index,
        /// Its digest.
        digest: Digest,
    },
    /// Fetch the state of this checkpoint from any member, then say [`Input::Restore`].
    Fetch(Stable),
}

/// A member with its state machine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Council<S: StateMachine> {
    pbft: Pbft,
    /// The latest time that it was told.
    now: Instant,
    clock: Clock,
    epoch: u32,
    depth: u32,
    machine: S,
    answers: Answers<S::Response>,
    pool: Pool<S::Command>,
    payloads: Payloads<S::Command>,
    /// What is decided, above the stable checkpoint.
    decided: Map<Index, Value, SLOTS>,
    /// The last position executed, and the last command.
    executed: Index,
    at: Position,
    /// The position whose payload was asked for.
    wanted: Index,
    /// The state that is to take the place of this one, and was asked for.
    fetching: Option<Stable>,
    /// At which checkpoint the state is proved to be wrong.
    wrong: Option<Index>,
    /// There is more to execute than one step may.
    has_more: bool,
}

impl<S: StateMachine> Council<S> {
    /// A member at the beginning of its group, or in a later life: fold in what the protocol wrote with
    /// [`replay`](Self::replay), then [`recover`](Self::recover) the newest durable state.
    ///
    /// # Errors
    /// [`pbft::ConfigError`] if the configuration contradicts itself.
    pub fn new(config: Config, machine: S) -> Result<Self, pbft::ConfigError> {
        let floor = config.pbft.floor;
        Ok(Self {
            now: Instant::ORIGIN,
            clock: Clock::new(config.clock),
            epoch: config.epoch,
            depth: config.depth.max(1),
            machine,
            answers: Answers::new(),
            pool: Pool::new(),
            payloads: Payloads::new(),
            decided: Map::new(),
            executed: floor.index,
            at: Position {
                entry: EntryId::new(term_of(config.epoch), Index::ZERO),
                stamp: floor.stamp,
            },
            wanted: floor.index,
            fetching: None,
            wrong: None,
            has_more: false,
            pbft: Pbft::new(config.pbft)?,
        })
    }

    /// Folds a write of a former life back in, in the order of writing, before the first step.
    pub fn replay(&mut self, write: &pbft::Write) {
        self.pbft.replay(write);
        self.clock.raise(self.pbft.stamped());
    }

    /// Takes on the newest state that is durable here, after [`replay`](Self::replay).
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are no state; nothing has changed.
    pub fn recover(&mut self, checkpoint: Checkpoint, bytes: &[u8]) -> Result<(), Malformed> {
        self.take_on(checkpoint, bytes)
    }

    /// The protocol.
    #[must_use]
    pub const fn pbft(&self) -> &Pbft {
        &self.pbft
    }

    /// The state machine. What a host reads of it is stale, unless an [`Output::Reply`] to a
    /// [`Work::Read`] has just told it to.
    #[must_use]
    pub const fn state(&self) -> &S {
        &self.machine
    }

    /// The last position executed.
    #[must_use]
    pub const fn executed(&self) -> Index {
        self.executed
    }

    /// The last command executed.
    #[must_use]
    pub const fn at(&self) -> Position {
        self.at
    }

    /// Whether its state may answer anyone.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.wrong.is_none()
    }

    /// What a client was last answered. The answer to a read is the host's: it reads the state when it is
    /// told of it, and only then.
    #[must_use]
    pub fn answer(&self, client: ClientId) -> Option<&Answer<S::Response>> {
        self.answers.last(client)
    }

    /// The payload of that digest, if it is here.
    #[must_use]
    pub fn payload(&self, digest: Digest) -> Option<&[Request<S::Command>]> {
        self.payloads.get(digest).map(|batch| &**batch)
    }

    /// Whether there is more to execute: then another step is due at once.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Whether a request waits to be executed.
    #[must_use]
    pub fn is_waiting(&self, digest: Digest) -> bool {
        self.pool.iter().any(|it| it.digest == digest)
    }

    /// The requests that a primary should order next, together, by the digests of their bytes: none while
    /// it works on as many positions as it may.
    pub fn to_propose(&self) -> impl Iterator<Item = (Digest, &Request<S::Command>)> + Clone {
        let view = self.pbft.view();
        let under_way = self.pbft.proposed().above(self.pbft.committed());
        let may = self.pbft.may_propose() && under_way < u64::from(self.depth);
        let all = self.pool.iter().filter(move |it| may && it.proposed != Some(view));
        all.take(crate::limits::MOST.batch).map(|it| (it.digest, &it.request))
    }

    /// Writes the state: that of the last position executed.
    ///
    /// # Errors
    /// [`NoRoom`] if it does not fit.
    pub fn snapshot<K: Sink + ?Sized>(&self, sink: &mut K) -> Result<(), NoRoom> {
        self.executed.encode(sink)?;
        self.at.entry.encode(sink)?;
        self.at.stamp.encode(sink)?;
        self.answers.encode(sink)?;
        self.machine.snapshot(sink)
    }

    fn take_on(&mut self, checkpoint: Checkpoint, mut bytes: &[u8]) -> Result<(), Malformed> {
        let bytes = &mut bytes;
        let executed = Index::decode(bytes)?;
        let at = Position { entry: Codec::decode(bytes)?, stamp: Codec::decode(bytes)? };
        let answers = Answers::decode(bytes)?;
        if (executed, at.stamp) != (checkpoint.index, checkpoint.stamp) {
            return Err(Malformed);
        }
        self.machine.restore(bytes)?;
        (self.executed, self.at, self.answers) = (executed, at, answers);
        self.clock.raise(at.stamp);
        (self.wrong, self.fetching) = (None, None);
        Ok(())
    }

    /// The position that is executed next has this value, if it is decided.
    fn next(&self) -> Option<(Index, Value)> {
        let index = self.executed.next();
        self.decided.get(&index).map(|value| (index, *value))
    }
}

impl<S: StateMachine> Machine for Council<S> {
    type Input<'a> = Input<'a, S::Command>;
    type Output = Output;

    fn step<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Input<'_, S::Command>,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, self.max_outputs())?;
        if self.pbft.stopped().is_some() {
            return Err(Refused::Stopped);
        }
        let now = Now { mono: self.now.max(now.mono), ..now };
        match input {
            Input::Tick if self.has_more => {}
            Input::Tick => self.order(now, pbft::Input::Tick, out)?,
            Input::Message { message, payload } => self.receive(now, message, payload, out)?,
            Input::ViewChange(it) => self.order(now, pbft::Input::ViewChange(it), out)?,
            Input::NewView(it) => self.order(now, pbft::Input::NewView(it), out)?,
            Input::Stable(it) => self.order(now, pbft::Input::Stable(it), out)?,
            Input::Request { digest, request } => self.request(now, digest, request, out)?,
            Input::Propose { digest, requests } => self.propose(now, digest, requests, out)?,
            Input::Payload { digest, requests } => self.arrive(now, digest, requests, out)?,
            Input::Stored(it) => self.order(now, pbft::Input::Checkpointed(it), out)?,
            Input::Restore { checkpoint, bytes } => self.restore(now, checkpoint, bytes, out)?,
            Input::Persisted(it) => self.order(now, pbft::Input::Persisted(it), out)?,
            Input::PersistFailed => self.order(now, pbft::Input::PersistFailed, out)?,
            Input::Suspect(it) => self.order(now, pbft::Input::Suspect(it), out)?,
        }
        self.now = now.mono;
        self.execute(now, out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        // One that has stopped has none.
        let deadline = self.pbft.deadline()?;
        Some(if self.has_more { Instant::ORIGIN } else { deadline })
    }

    fn max_outputs(&self) -> usize {
        // What the protocol says in the three steps that one may lead to, and the answers to the requests
        // of a position.
        let answers = crate::limits::MOST.batch;
        self.pbft.max_outputs().saturating_mul(3).saturating_add(answers).saturating_add(4)
    }
}

impl<S: StateMachine> Council<S> {
    /// Steps the protocol, and takes what is meant for this floor.
    fn order<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: pbft::Input<'_>,
        out: &mut X,
    ) -> Result<(), Refused> {
        let Self { pbft, decided, wrong, .. } = self;
        let mut lift = Lift { out, decided, wrong, has_turned: false };
        pbft.step(now, input, &mut lift)?;
        let has_turned = lift.has_turned;
        if has_turned {
            let pbft = &self.pbft;
            let low = pbft.stable().checkpoint.index;
            self.payloads.keep_only(low, |digest| pbft.works_on(digest));
        }
        Ok(())
    }

    fn receive<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        message: Verified<Message>,
        payload: Option<&[Request<S::Command>]>,
        out: &mut X,
    ) -> Result<(), Refused> {
        let Message::Vote(vote) = *message.message() else {
            return self.order(now, pbft::Input::Message { message, is_here: false }, out);
        };
        let digest = vote.value.digest;
        let is_proposal = vote.phase == Phase::Prepare
            && vote.view == self.pbft.view()
            && message.from() == self.pbft.primary()
            && self.pbft.is_in_window(vote.index);
        let is_here = match payload.filter(|_| is_proposal) {
            Some(requests) => self.payloads.keep(digest, vote.index, requests),
            None => self.payloads.get(digest).is_some(),
        };
        let taken = self.order(now, pbft::Input::Message { message, is_here }, out);
        if is_proposal && !self.pbft.works_on(digest) {
            // It was not taken: a liar's proposals take no room.
            self.payloads.forget(digest);
        } else if is_proposal && payload.is_some() && is_here {
            // What the view began with, say, was lacked until now.
            return self.order(now, pbft::Input::Available(digest), out);
        }
        taken
    }

    /// A client's request waits, unless it was executed: then its answer is told again.
    fn request<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        digest: Digest,
        request: &Request<S::Command>,
        out: &mut X,
    ) -> Result<(), Refused> {
        let Request { client, sequence, .. } = *request;
        if let Some(last) = self.answers.last(client).filter(|last| last.sequence >= sequence) {
            // What a read was told is the host's to repeat: the state has moved on since.
            if last.sequence == sequence && last.response.is_some() && self.is_sound() {
                out.push(Output::Reply { client });
            }
            return Ok(());
        }
        match self.pool.admit(digest, request) {
            Admitted::New(instead) => {
                let forgotten = instead.as_slice();
                self.order(now, pbft::Input::Executed(forgotten), out)?;
                self.order(now, pbft::Input::Request(digest), out)
            }
            Admitted::Known => Ok(()),
            Admitted::Full => Err(Refused::Full(Limit::Watched)),
        }
    }

    fn propose<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        digest: Digest,
        requests: &[Request<S::Command>],
        out: &mut X,
    ) -> Result<(), Refused> {
        if requests.is_empty() || digest == Digest::NULL {
            return Err(Refused::Meaningless);
        }
        if !self.pbft.may_propose() {
            // It tells why not.
            let stamp = self.pbft.stamped().plus(1);
            return self.order(now, pbft::Input::Propose(Value { digest, stamp }), out);
        }
        let (mut clock, count) = (self.clock.clone(), requests.len() as u64);
        clock.raise(self.pbft.stamped());
        let stamp = clock.clone().stamps(now, count).map_err(Refused::Clock)?;
        let value = Value { digest, stamp };
        if !self.payloads.keep(digest, self.pbft.proposed().next(), requests) {
            return Err(Refused::Full(Limit::Slots));
        }
        clock.raise(stamp.plus(count.saturating_sub(1)));
        self.clock = clock;
        self.pool.proposed(requests, self.pbft.view());
        self.order(now, pbft::Input::Propose(value), out)
    }

    /// A payload is here that was asked for; another is not kept.
    fn arrive<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        digest: Digest,
        requests: &[Request<S::Command>],
        out: &mut X,
    ) -> Result<(), Refused> {
        let is_decided = self.next().filter(|(_, value)| value.digest == digest);
        let at = is_decided.map_or_else(|| self.pbft.position_of(digest), |(index, _)| Some(index));
        match at.filter(|at| self.payloads.keep(digest, *at, requests)) {
            Some(_) => self.order(now, pbft::Input::Available(digest), out),
            None => Ok(()),
        }
    }

    fn restore<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        checkpoint: Checkpoint,
        bytes: &[u8],
        out: &mut X,
    ) -> Result<(), Refused> {
        let is_wanted = self.fetching.is_some_and(|it| it.checkpoint == checkpoint);
        if !is_wanted || self.take_on(checkpoint, bytes).is_err() {
            return Err(Refused::Meaningless);
        }
        // Requests that were executed elsewhere wait no longer, or a view would be left for them.
        let mut done: List<Digest, REQUESTS> = List::new();
        for (client, last) in self.answers.iter() {
            if let Some(digest) = self.pool.forget(client, last) {
                // The list has as many places as the pool.
                let _ = done.push(digest);
            }
        }
        self.order(now, pbft::Input::Executed(&done), out)
    }

    /// Executes what is decided, in order: one position a step, so that the host can encode the state, and
    /// read of it, as it is there.
    fn execute<X: Outbox<Output> + ?Sized>(&mut self, now: Now, out: &mut X) {
        self.has_more = false;
        let stable = self.pbft.stable();
        let low = stable.checkpoint.index;
        let is_wanted = self.executed < low || self.wrong.is_some_and(|at| at <= low);
        if is_wanted && self.fetching != Some(stable) {
            // What was decided below it may be lost for good.
            self.fetching = Some(stable);
            out.push(Output::Fetch(stable));
        }
        if is_wanted || !self.is_sound() {
            return;
        }
        self.fetching = None;
        let Some((index, value)) = self.next() else { return };
        if self.execute_one(now, index, value, out) {
            let interval = u64::from(self.pbft.config().interval);
            if index.number().checked_rem(interval) == Some(0) {
                out.push(Output::Snapshot { index, stamp: self.at.stamp });
            }
            self.has_more = self.next().is_some();
        }
    }

    /// Executes a position, if its payload is here.
    fn execute_one<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        index: Index,
        value: Value,
        out: &mut X,
    ) -> bool {
        if !value.is_null() {
            let Some(batch) = self.payloads.get(value.digest) else {
                if self.wanted < index {
                    self.wanted = index;
                    out.push(Output::Payload { index, digest: value.digest });
                }
                return false;
            };
            for (request, nth) in batch.iter().zip(0_u64..) {
                let Request { client, sequence, ref work } = *request;
                if !self.answers.expects(client, sequence) {
                    continue;
                }
                // A primary's stamps may overlap those before; time does not go back for that.
                let stamp = value.stamp.plus(nth).max(self.at.stamp.plus(1));
                let entry = EntryId::new(term_of(self.epoch), self.at.entry.index.next());
                self.at = Position { entry, stamp };
                let response = match work {
                    Work::Command(command) => Some(self.machine.apply(self.at, command)),
                    Work::Read => None,
                };
                self.answers.remember(client, Answer { sequence, at: self.at, response });
                out.push(Output::Reply { client });
            }
        }
        self.executed = index;
        self.clock.raise(self.at.stamp);
        self.settle_requests(now, value, out);
        true
    }

    /// What was executed waits no longer.
    fn settle_requests<X: Outbox<Output> + ?Sized>(&mut self, now: Now, value: Value, out: &mut X) {
        let mut done: List<Digest, { crate::limits::MOST.batch }> = List::new();
        if let Some(batch) = self.payloads.get(value.digest) {
            for request in batch.iter() {
                if let Some(digest) = self.pool.forget(request.client, request.sequence) {
                    // The batch has no more requests than there are places.
                    let _ = done.push(digest);
                }
            }
        }
        if !done.is_empty() {
            // Refused only by a machine that has stopped, which watches over nothing.
            let _ = self.order(now, pbft::Input::Executed(&done), out);
        }
    }
}

/// The protocol's outbox: what is decided stays on this floor, and the rest goes on.
struct Lift<'a, X: ?Sized> {
    out: &'a mut X,
    decided: &'a mut Map<Index, Value, SLOTS>,
    wrong: &'a mut Option<Index>,
    has_turned: bool,
}

impl<X: Outbox<Output> + ?Sized> Outbox<pbft::Output> for Lift<'_, X> {
    fn is_empty(&self) -> bool {
        true
    }
    fn room(&self) -> usize {
        self.out.room()
    }
    fn push(&mut self, output: pbft::Output) {
        match output {
            pbft::Output::Committed { index, value } => {
                // The window has as many positions.
                let _ = self.decided.insert(index, value);
            }
            // Whoever has not executed so much fetches it.
            pbft::Output::Fetch(_) => {}
            pbft::Output::Stable(stable) => {
                let low = stable.checkpoint.index;
                while let Some(first) = self.decided.first().map(|it| *it.0).filter(|it| *it <= low)
                {
                    self.decided.remove(&first);
                }
                self.has_turned = true;
                self.out.push(Output::Pbft(output));
            }
            pbft::Output::Diverged { mine, .. } => {
                *self.wrong = Some(mine.index);
                self.out.push(Output::Pbft(output));
            }
            pbft::Output::Entered { .. } => {
                self.has_turned = true;
                self.out.push(Output::Pbft(output));
            }
            _ => self.out.push(Output::Pbft(output)),
        }
    }
    fn event(&mut self, event: Event) {
        self.out.event(event);
    }
}
