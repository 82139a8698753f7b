//! A client of a Byzantine group: it asks all members, and believes what enough of them say alike.

use super::net::connect;
use quorate::client::broadcast::{self, Answer, Input, Kind, Outcome, Output};
use quorate::id::{ClientId, Members, Slot};
use quorate::machine::Machine as _;
use quorate::pbft::Scope;
use quorate::state_machine::{Position, StateMachine};
use quorate::time::Span;
use quorate_host::council::config::Config;
use quorate_host::council::{Answered, Asked, Greeting};
use quorate_host::frame::{self, Kind as Frame};
use quorate_host::life::Clock;
use quorate_host::protocol::Service;
use quorate_host::signing::{Keys, Reply, Request, Verifier};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Replies that may wait.
const REPLIES: usize = 256;

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Not enough members answered alike in time: what was asked may have been done, or may yet be.
    Unknown,
    /// The request is too large, or the answer makes no sense.
    Meaningless,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "not enough members answer alike; it may or may not have been done",
            Self::Meaningless => "the request is too large, or the answer makes no sense",
        })
    }
}

impl std::error::Error for Failure {}

/// An answer, and where it was executed.
pub type Said<S> = (Position, Answered<<S as StateMachine>::Response, <S as Service>::Answer>);

/// A client, connected to as many members as are there.
pub struct Client {
    config: Config,
    keys: Keys,
    scope: Scope,
    client: ClientId,
    verifier: Arc<Verifier>,
    machine: broadcast::Client<Vec<u8>, Vec<u8>>,
    links: BTreeMap<Slot, TcpStream>,
    tried: BTreeMap<Slot, Instant>,
    replies: (SyncSender<Reply>, Receiver<Reply>),
    clock: Clock,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.client)
    }
}

impl Client {
    /// A client of the group of this configuration (whose node and folder mean nothing here).
    /// `first` is above the number of every request that it has made before, in any life.
    ///
    /// # Errors
    /// What is wrong with the keys.
    pub fn new(
        config: Config,
        keys: Keys,
        client: ClientId,
        first: u64,
    ) -> Result<Self, quorate_host::signing::RollError> {
        let roll = config.roll()?;
        let scope = config.scope(&roll);
        let machine = config.machine(0);
        let members = machine.members;
        let verifier = Arc::new(Verifier::new(roll, scope, &machine));
        let (resend, give_up) = (config.timeout, Span::secs(30));
        let broadcast = broadcast::Config { members, first, resend, give_up };
        Ok(Self {
            config,
            keys,
            scope,
            client,
            verifier,
            machine: broadcast::Client::new(broadcast),
            links: BTreeMap::new(),
            tried: BTreeMap::new(),
            replies: sync_channel(REPLIES),
            clock: Clock::default(),
        })
    }

    /// Asks, and waits for the answer; tells too where it was executed.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn ask<S: Service>(
        &mut self,
        asked: &Asked<S::Command, S::Query>,
    ) -> Result<Said<S>, Failure> {
        let kind = match asked {
            Asked::Command(_) => Kind::Command,
            Asked::Read(_) => Kind::Read,
            Asked::StaleRead(_) => Kind::StaleRead,
        };
        let work = asked.to_bytes().ok_or(Failure::Meaningless)?;
        let mut input = Input::Ask { work, kind };
        loop {
            let mut out = Vec::new();
            // It asks one thing at a time, so nothing is refused.
            let _ = self.machine.step(self.clock.now(), input, &mut out);
            for output in out {
                match output {
                    Output::Send { to, sequence, .. } => self.send(to, sequence)?,
                    Output::Done(Outcome::Unknown) => return Err(Failure::Unknown),
                    Output::Done(Outcome::Done(answer)) => {
                        let said = Answered::from_bytes(&answer.answer);
                        return Ok((answer.at, said.ok_or(Failure::Meaningless)?));
                    }
                }
            }
            input = self.await_one(kind);
        }
    }

    /// The next thing that happens.
    fn await_one(&self, kind: Kind) -> Input<Vec<u8>, Vec<u8>> {
        let now = self.clock.now().mono;
        let wait = self.machine.deadline().map_or(Duration::ZERO, |at| at.since(now).into());
        match self.replies.1.recv_timeout(wait) {
            Ok(reply) => self.believe(reply, kind).unwrap_or(Input::Tick),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Input::Tick,
        }
    }

    fn believe(&self, reply: Reply, kind: Kind) -> Option<Input<Vec<u8>, Vec<u8>>> {
        let is_meant = reply.client == self.client && reply.is_stale == (kind == Kind::StaleRead);
        let reply = self.verifier.reply(reply, is_meant).ok()?;
        let at = Position { entry: reply.entry, stamp: reply.stamp };
        let answer = Answer { at, answer: reply.result.to_vec() };
        Some(Input::Reply { from: reply.from, sequence: reply.sequence, answer })
    }

    fn send(&mut self, to: Members, sequence: u64) -> Result<(), Failure> {
        let work = self.machine.work().cloned().unwrap_or_default();
        let request = Request::sign(&self.keys, &self.scope, self.client, sequence, &work);
        let request = request.ok_or(Failure::Meaningless)?;
        let group = self.config.group;
        let bytes = frame::encode(Frame::Request, group, &request);
        let bytes = bytes.map_err(|_| Failure::Meaningless)?;
        for slot in to.iter() {
            // A member that has begun another life has closed the connection to its last.
            for _ in 0..2 {
                self.reach(slot);
                match self.links.get_mut(&slot).map(|link| link.write_all(&bytes)) {
                    Some(Err(_)) => drop(self.links.remove(&slot)),
                    Some(Ok(())) | None => break,
                }
            }
        }
        Ok(())
    }

    /// Connects to a member, unless that failed a moment ago.
    fn reach(&mut self, slot: Slot) {
        let again = Duration::from_millis(200);
        let was_tried = self.tried.get(&slot).is_some_and(|at| at.elapsed() < again);
        if self.links.contains_key(&slot) || was_tried {
            return;
        }
        self.tried.insert(slot, Instant::now());
        let group = self.config.group;
        let Some(address) = self.config.address(slot) else { return };
        let Ok(stream) = connect(address, group, Greeting::Client(self.client)) else { return };
        let Ok(mut reader) = stream.try_clone() else { return };
        let replies = self.replies.0.clone();
        let reading = thread::Builder::new().name("replies".to_owned()).spawn(move || {
            let mut bytes = Vec::new();
            while let Ok(reply) = frame::read(&mut reader, &mut bytes, Frame::Reply, group) {
                if replies.send(reply).is_err() {
                    break;
                }
            }
            let _ = reader.shutdown(Shutdown::Both);
        });
        if reading.is_ok() {
            self.links.insert(slot, stream);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for link in self.links.values() {
            let _ = link.shutdown(Shutdown::Both);
        }
    }
}
