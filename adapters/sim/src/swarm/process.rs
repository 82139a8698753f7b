//! A client of the group: it asks for one thing at a time, holds at most one lease, and writes its
//! history down.

use super::clock::Clocks;
use super::hosted::{Answer, Work};
use super::vault::{Command, Found, Query, Response};
use quorate::Machine;
use quorate::client::{self, Client, Kind, Outcome, Reply, What};
use quorate::id::ClientId;
use quorate::lease::holder::{self, Holder};
use quorate::lease::{self, Name, Token};
use quorate::time::{Instant, Span};

/// Something for a client to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// Write a register.
    Write(u8, u64),
    /// Mix a value into a register.
    Append(u8, u64),
    /// Write a register if it holds what this client last saw in it.
    Cas(u8, u64),
    /// Read a register.
    Read(u8),
    /// Take a scope for so many milliseconds.
    Acquire(u8, u64),
    /// Ask who holds a scope.
    Ask(u8),
    /// Give the lease back.
    Release,
    /// Use the resource that the lease protects, without a look at the clock.
    Use,
}

/// One operation on a register, as its client saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Which client.
    pub process: u32,
    /// Which register.
    pub key: u8,
    /// What it did.
    pub call: Call,
    /// What a conditional write expected.
    pub expected: u64,
    /// When it was asked, and when it ended.
    pub asked: u64,
    /// When it ended, if it did.
    pub ended: Option<u64>,
    /// How it ended.
    pub end: End,
}

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It may take effect at any time, or never.
    Open,
    /// It took effect; a read found this, a conditional write was taken or not.
    Done(u64),
    /// It has no effect.
    Failed,
}

/// What a client sends.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// To which member.
    pub node: u8,
    /// Which attempt.
    pub attempt: u64,
    /// What is asked.
    pub what: What,
    /// What the request is about.
    pub work: Option<Work>,
}

/// A client.
#[derive(Clone, Debug)]
pub struct Process {
    number: u32,
    client: Client<Work, Answer>,
    /// The holder of its lease.
    pub holder: Holder,
    /// Its own clocks.
    pub clocks: Clocks,
    /// The scope that the holder is about, and the request under way.
    pub scope: Option<Name>,
    request: Option<holder::Request>,
    /// What the clock showed when that was sent.
    asked_at: Instant,
    /// A lease that is over and should be given back.
    over: Option<Token>,
    /// The last token that it held, to be shown to fences even when it is over.
    pub token: Option<(Name, Token)>,
    /// What it last saw in each register.
    seen: [u64; 8],
    /// What it did.
    pub history: Vec<Operation>,
    is_busy: bool,
}

/// What a client's step came to.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// What is to be sent.
    pub sent: Option<Attempt>,
    /// The scope that is held from now on: until when on the client's clock, and until when at most
    /// by what was granted for how long after it was asked, were all civil clocks equal.
    pub held: Option<(Name, Instant, Instant)>,
    /// How a request ended.
    pub outcome: Option<Outcome<Answer>>,
}

impl Process {
    /// A client that has done nothing.
    pub fn new(number: u32, nodes: u8, seed: u64, margin: holder::Config, timeout: Span) -> Self {
        let config = client::Config {
            client: ClientId::new(seed ^ (u64::from(number) << 48)),
            nodes,
            seed,
            attempt: timeout.times(3),
            give_up: timeout.times(20),
            backoff: timeout.divided(8).plus(Span::micros(1)),
        };
        Self {
            number,
            client: Client::new(config).expect("nodes and timeouts are above zero"),
            holder: Holder::new(margin),
            clocks: Clocks::starting_at(seed % 1_000_000),
            scope: None,
            request: None,
            asked_at: Instant::ORIGIN,
            over: None,
            token: None,
            seen: [0; 8],
            history: Vec::new(),
            is_busy: false,
        }
    }

    /// Whether it can be asked for something.
    pub const fn is_idle(&self) -> bool {
        !self.is_busy
    }

    /// When it wants a tick, on its own clock.
    pub fn deadline(&self) -> Option<Instant> {
        self.client.deadline().into_iter().chain(self.holder.deadline()).min()
    }

    /// Does something, if it is idle and the call makes sense.
    pub fn call(&mut self, at: u64, call: Call) -> Came {
        let mut came = Came::default();
        if self.is_busy {
            return came;
        }
        let (work, expected) = match call {
            Call::Write(key, value) => (Work::Command(Command::Write(key, value)), 0),
            Call::Append(key, value) => (Work::Command(Command::Append(key, value)), 0),
            Call::Cas(key, value) => {
                let seen = self.seen[usize::from(key % 8)];
                (Work::Command(Command::Cas(key, seen, value)), seen)
            }
            Call::Read(key) => (Work::Query(Query::Register(key)), 0),
            Call::Ask(scope) => (Work::Query(Query::Lease(scope_of(scope))), 0),
            Call::Acquire(scope, millis) => {
                return self.acquire(at, scope_of(scope), Span::millis(millis));
            }
            Call::Release => return self.release(at),
            Call::Use => return came,
        };
        if let Call::Write(key, _) | Call::Append(key, _) | Call::Cas(key, _) | Call::Read(key) =
            call
        {
            let process = self.number;
            let (asked, ended, end) = (at, None, End::Open);
            self.history.push(Operation { process, key, call, expected, asked, ended, end });
        }
        self.ask(at, &work, &mut came);
        came
    }

    fn acquire(&mut self, at: u64, scope: Name, duration: Span) -> Came {
        let mut came = Came::default();
        let mut out = Vec::new();
        let now = self.clocks.show(at);
        if self.holder.step(now, holder::Input::Acquire, &mut out).is_err() {
            return came;
        }
        for output in out {
            if let holder::Output::AcquireNow { request } = output {
                (self.request, self.asked_at) = (Some(request), now.mono);
            }
        }
        self.scope = Some(scope);
        let holder = Name::new(&format!("client {}", self.number)).expect("a short name");
        let command = lease::Command::Acquire { scope, holder, duration };
        self.ask(at, &Work::Command(Command::Lease(command)), &mut came);
        came
    }

    fn release(&mut self, at: u64) -> Came {
        let mut came = Came::default();
        let held = self.holder.held().map(|(token, _)| token).or(self.over.take());
        let (Some(scope), Some(token)) = (self.scope, held) else { return came };
        let mut out = Vec::new();
        // Letting go is never refused.
        let _ = self.holder.step(self.clocks.show(at), holder::Input::Release, &mut out);
        let command = lease::Command::Release { scope, token };
        self.ask(at, &Work::Command(Command::Lease(command)), &mut came);
        came
    }

    fn ask(&mut self, at: u64, work: &Work, came: &mut Came) {
        let kind = match work {
            Work::Command(_) => Kind::Command,
            Work::Query(_) => Kind::Query,
        };
        self.is_busy = true;
        self.step(at, client::Input::Ask { work, kind }, came);
    }

    /// The deadline has passed.
    pub fn tick(&mut self, at: u64) -> Came {
        let mut came = Came::default();
        self.step(at, client::Input::Tick, &mut came);
        self.hold(at, holder::Input::Tick, &mut came);
        came
    }

    /// A member answered.
    pub fn hear(&mut self, at: u64, node: u8, attempt: u64, reply: Reply<Answer>) -> Came {
        let mut came = Came::default();
        self.step(at, client::Input::Reply { node, attempt, reply }, &mut came);
        came
    }

    /// A member cannot be reached.
    pub fn unreachable(&mut self, at: u64, node: u8) -> Came {
        let mut came = Came::default();
        self.step(at, client::Input::Unreachable { node }, &mut came);
        came
    }

    fn step(&mut self, at: u64, input: client::Input<'_, Work, Answer>, came: &mut Came) {
        let mut out = Vec::new();
        if self.client.step(self.clocks.show(at), input, &mut out).is_err() {
            return;
        }
        for output in out {
            match output {
                client::Output::Send { node, attempt, what } => {
                    let work = self.client.work().cloned();
                    came.sent = Some(Attempt { node, attempt, what, work });
                }
                client::Output::Done(outcome) => {
                    self.is_busy = false;
                    self.ended(at, &outcome, came);
                    came.outcome = Some(outcome);
                }
            }
        }
    }

    /// The request is over: write it down, and tell the holder.
    fn ended(&mut self, at: u64, outcome: &Outcome<Answer>, came: &mut Came) {
        if let Some(last) = self.history.last_mut().filter(|last| last.ended.is_none()) {
            last.ended = Some(at);
            let key = usize::from(last.key % 8);
            last.end = match (outcome, last.call) {
                (Outcome::Done(Answer::Found(Found::Register(value))), _) => {
                    self.seen[key] = *value;
                    End::Done(*value)
                }
                (Outcome::Done(Answer::Response(Response::Taken(taken))), call) => {
                    if let (Call::Write(_, value) | Call::Cas(_, value), true) = (call, *taken) {
                        self.seen[key] = value;
                    }
                    End::Done(u64::from(*taken))
                }
                (Outcome::NotTaken | Outcome::Rejected, _) => End::Failed,
                _ => End::Open,
            };
        }
        let request = self.request.take();
        let Outcome::Done(Answer::Response(Response::Lease(response))) = outcome else { return };
        let held = self.holder.held().map(|(token, _)| token);
        match (*response, request, held) {
            (lease::Response::Granted { token, duration, .. }, Some(request), _) => {
                // Its clock may lose one part in a thousand on civil ones.
                let most = self.asked_at.after(duration.minus(duration.divided(1_000)));
                self.hold(at, holder::Input::Granted { request, token, duration }, came);
                came.held = came.held.map(|(scope, until, _)| (scope, until, most));
            }
            (lease::Response::NotHeld | lease::Response::Expired { .. }, Some(_), Some(token)) => {
                self.hold(at, holder::Input::NotHeld { token }, came);
            }
            _ => {}
        }
    }

    fn hold(&mut self, at: u64, input: holder::Input, came: &mut Came) {
        let mut out = Vec::new();
        if self.holder.step(self.clocks.show(at), input, &mut out).is_err() {
            return;
        }
        for output in out {
            match output {
                holder::Output::Held { token, until } => {
                    if let Some(scope) = self.scope {
                        came.held = Some((scope, until, until));
                        self.token = Some((scope, token));
                    }
                }
                holder::Output::Lost { token } => self.over = Some(token),
                holder::Output::RenewNow { token, request } if !self.is_busy => {
                    if let Some(scope) = self.scope {
                        self.asked_at = self.clocks.show(at).mono;
                        self.request = Some(request);
                        let command = lease::Command::Renew { scope, token };
                        self.ask(at, &Work::Command(Command::Lease(command)), came);
                    }
                }
                // It is told again.
                holder::Output::RenewNow { .. } | holder::Output::AcquireNow { .. } => {}
            }
        }
    }

    /// Whether it believes at a true time that it holds a scope.
    pub fn believes(&self, at: u64, scope: Name) -> bool {
        let now = self.clocks.show(at).mono;
        self.scope == Some(scope) && self.holder.held().is_some_and(|(_, until)| now < until)
    }
}

/// The scope of that number.
pub(super) fn scope_of(number: u8) -> Name {
    Name::new(&format!("scope {number}")).expect("a short name")
}
