//! The other end: a client that blocks until it knows what became of a request.
//!
//! [`Asking`] says what is sent to which node and until when it is waited for; this gives it sockets
//! and the time. One connection per node stays open from request to request. A client is one session
//! and asks for one thing at a time; use one per thread.

use quorate::id::{GroupId, NodeId};
use quorate_host::asking::{Asking, Heard, Next, ReplyOf, SaidOf, Trouble, Work, WorkOf, welcomed};
use quorate_host::asking::{answer_to, request};
use quorate_host::frame;
use quorate_host::inbox::Inbox;
use quorate_host::life::Clock;
use quorate_host::protocol::{Ask, Hello, ReplyBody, Service, Welcome};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

pub use quorate_host::asking::Failure;

/// A client of a group.
pub struct Client<S: Service> {
    asking: Asking<S>,
    connections: BTreeMap<u8, Connection>,
    clock: Clock,
}

impl<S: Service> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("asking", &self.asking).finish_non_exhaustive()
    }
}

impl<S: Service> Client<S> {
    /// A client that knows some nodes of a group, and of the others once it hears of them. Each
    /// request ends within `timeout`, give or take what the scheduler takes.
    ///
    /// # Errors
    /// [`Failure::Refused`] if there are no nodes, or more than a group has, or there is no time.
    pub fn new(nodes: &[String], group: GroupId, timeout: Duration) -> Result<Self, Failure> {
        let asking = Asking::new(nodes, group, timeout)?;
        Ok(Self { asking, connections: BTreeMap::new(), clock: Clock::default() })
    }

    /// Has a command applied, once, and returns the response.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn command(&mut self, command: S::Command) -> Result<S::Response, Failure> {
        self.ask(&Work::Command(command))?.response()
    }

    /// Asks about the state as it is now or later, but not as it was before.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn query(&mut self, query: S::Query) -> Result<S::Answer, Failure> {
        self.ask(&Work::Query(query))?.answer()
    }

    /// The addresses known so far: those given, then those heard of.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.asking.addresses()
    }

    fn ask(&mut self, work: &WorkOf<S>) -> Result<SaidOf<S>, Failure> {
        let mut next = self.asking.begin(self.clock.now(), work);
        loop {
            let (node, heard) = match next {
                Next::Done(outcome) => return outcome,
                Next::Send { node, frame } => (node, self.send(node, &frame)),
                Next::Hear { node } => (node, self.hear(node)),
            };
            next = self.asking.hear(self.clock.now(), node, heard);
        }
    }

    fn until(&self) -> Instant {
        self.clock.at(self.asking.deadline())
    }

    fn send(&mut self, node: u8, frame: &[u8]) -> Heard<ReplyOf<S>> {
        let until = self.until();
        if !self.connections.contains_key(&node) {
            match Connection::open(self.asking.address(node), self.asking.group(), until) {
                Ok((connection, id)) => {
                    self.asking.reached(node, id);
                    self.connections.insert(node, connection);
                }
                Err(trouble) => return Heard::NotReached(trouble),
            }
        }
        let Some(connection) = self.connections.get_mut(&node) else { return Heard::Nothing };
        match connection.write(frame, until) {
            Ok(()) => self.hear(node),
            Err(error) => self.lose(node, &error),
        }
    }

    fn hear(&mut self, node: u8) -> Heard<ReplyOf<S>> {
        let (until, group) = (self.until(), self.asking.group());
        let Some(connection) = self.connections.get_mut(&node) else {
            thread::sleep(until.saturating_duration_since(Instant::now()));
            return Heard::Nothing;
        };
        match connection.read(frame::Kind::Reply, group, until) {
            Ok(reply) => reply.map_or(Heard::Nothing, Heard::Reply),
            Err(error) => self.lose(node, &error),
        }
    }

    fn lose<T>(&mut self, node: u8, error: &frame::Error) -> Heard<T> {
        self.connections.remove(&node);
        Heard::Lost(Trouble::lost(error))
    }
}

/// Asks one node something that is the same whatever the group replicates.
pub(crate) fn ask_node(
    address: &str,
    group: GroupId,
    timeout: Duration,
    ask: Ask<(), ()>,
) -> Result<ReplyBody<(), ()>, Failure> {
    let until = Instant::now().checked_add(timeout);
    let until = until.ok_or_else(|| Failure::Refused("the timeout is too long".to_owned()))?;
    let heard = || {
        let (mut connection, _) =
            Connection::open(address, group, until).map_err(Heard::NotReached)?;
        let lost = |error| Heard::Lost(Trouble::lost(&error));
        connection.write(&request(group, ask).map_err(lost)?, until).map_err(lost)?;
        let reply = connection.read(frame::Kind::Reply, group, until).map_err(lost)?;
        reply.map(Heard::Reply).ok_or(Heard::Nothing)
    };
    answer_to(heard().unwrap_or_else(|heard| heard), address, timeout)
}

/// A connection to a node, welcomed.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    inbox: Inbox,
}

impl Connection {
    fn open(address: &str, group: GroupId, until: Instant) -> Result<(Self, NodeId), Trouble> {
        let stream = connect(address, until).map_err(|error| Trouble::unreachable(&error))?;
        let mut connection = Self { stream, inbox: Inbox::default() };
        let welcome = connection.greet(group, until);
        let welcome = welcome.map_err(|error| Trouble::unwelcomed(&error, group))?;
        Ok((connection, welcomed(&welcome.ok_or_else(Trouble::silence)?)?))
    }

    fn greet(&mut self, group: GroupId, until: Instant) -> Result<Option<Welcome>, frame::Error> {
        self.stream.set_nodelay(true)?;
        self.write(&frame::encode(frame::Kind::Hello, group, &Hello::Client)?, until)?;
        self.read(frame::Kind::Hello, group, until)
    }

    fn write(&mut self, frame: &[u8], until: Instant) -> Result<(), frame::Error> {
        let Some(left) = time_left(until) else {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        };
        self.stream.set_write_timeout(Some(left))?;
        Ok(self.stream.write_all(frame)?)
    }

    /// Waits for a frame; none if it has not come whole in time.
    fn read<T: DeserializeOwned>(
        &mut self,
        expected: frame::Kind,
        group: GroupId,
        until: Instant,
    ) -> Result<Option<T>, frame::Error> {
        let mut bytes = [0; 16 << 10];
        loop {
            if let Some(value) = self.inbox.take(expected, group)? {
                return Ok(Some(value));
            }
            let Some(left) = time_left(until) else { return Ok(None) };
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(frame::Error::Closed),
                Ok(count) => {
                    self.inbox.room().extend_from_slice(bytes.get(..count).unwrap_or_default())
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }
}

/// The time until then; none if there is none.
fn time_left(until: Instant) -> Option<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}

/// Connects to the first of the address's hosts that can be reached in time.
fn connect(address: &str, until: Instant) -> io::Result<TcpStream> {
    let mut trouble = io::Error::from(io::ErrorKind::TimedOut);
    for host in resolve(address, until)? {
        let Some(left) = time_left(until) else { break };
        match TcpStream::connect_timeout(&host, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => trouble = error,
        }
    }
    Err(trouble)
}

/// Looks a name up. The operating system sets no limit to how long that takes, so a thread waits
/// in our place.
fn resolve(address: &str, until: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(number) = address.parse() {
        return Ok(vec![number]);
    }
    let (found, finding) = channel();
    let name = address.to_owned();
    thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let _ = found.send(name.to_socket_addrs().map(Iterator::collect));
    })?;
    let left = time_left(until).unwrap_or_default();
    finding.recv_timeout(left).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
