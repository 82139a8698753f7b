//! The other end: a client that blocks until it knows what became of a request.
//!
//! [`quorate::client`] decides whom to ask and when to ask again; this gives it sockets and the
//! time. One connection per node stays open from request to request. A client is one session and
//! asks for one thing at a time; use one per thread.

use quorate::client::{self, Input, Kind, Outcome, Output, Reply, What};
use quorate::id::{ClientId, GroupId, Members, NodeId};
use quorate::time::{Instant, Now, Span};
use quorate::{Machine, replica};
use quorate_host::frame;
use quorate_host::protocol::{self, Ask, Hello, ReplyBody, Service, Welcome};
use quorate_host::store::chance;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long one node may take before another is asked. A commit takes milliseconds.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The least pause before the nodes are asked again. An election takes some of these.
const BACKOFF: Duration = Duration::from_millis(20);

/// Why there is no answer. Each is one line: what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No node took the request in time. It has no effect.
    NoAnswer {
        /// How long was waited.
        within: Duration,
        /// What each node last did, by its address.
        nodes: Vec<(String, String)>,
    },
    /// A node took the request, and what became of it was not told in time: it took effect once,
    /// or not at all.
    Unknown {
        /// How long was waited.
        within: Duration,
    },
    /// The request cannot be meant, or these are nodes of another group. It has no effect.
    Refused(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer { within, nodes } => {
                write!(f, "no answer within {within:?}: ")?;
                for (address, why) in nodes {
                    write!(f, "{address} {why}; ")?;
                }
                f.write_str("check that most nodes run and reach each other, or wait longer")
            }
            Self::Unknown { within } => write!(
                f,
                "no word within {within:?} of what became of it: it may have taken effect or not; \
                 look at the state before asking again"
            ),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}

/// What is asked.
#[derive(Clone, Debug)]
enum Work<C, Q> {
    Command(C),
    Query(Q),
}

/// What is answered.
#[derive(Debug)]
enum Said<R, A> {
    Response(R),
    Answer(A),
}

type WorkOf<S> = Work<<S as quorate::StateMachine>::Command, <S as Service>::Query>;
type SaidOf<S> = Said<<S as quorate::StateMachine>::Response, <S as Service>::Answer>;
type InputOf<S> = Input<'static, WorkOf<S>, SaidOf<S>>;
type ReplyOf<S> = protocol::Reply<<S as quorate::StateMachine>::Response, <S as Service>::Answer>;

/// A client of a group.
pub struct Client<S: Service> {
    machine: client::Client<WorkOf<S>, SaidOf<S>>,
    outbox: Vec<Output<SaidOf<S>>>,
    group: GroupId,
    began: std::time::Instant,
    timeout: Duration,
    nodes: Vec<Node>,
    /// How many of them the machine knows.
    known: usize,
    /// What the last node said that rejected a request.
    rejection: String,
}

impl<S: Service> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// A node as the client knows it.
#[derive(Debug)]
struct Node {
    address: String,
    /// Its number, once it has said it, or another has said it of it.
    id: Option<NodeId>,
    connection: Option<Connection>,
    /// What it last did instead of answering.
    why: String,
    /// It is no node of this group, and waiting will not make it one.
    is_misfit: bool,
}

impl Node {
    fn new(address: String, id: Option<NodeId>) -> Self {
        let why = "was not asked".to_owned();
        Self { address, id, connection: None, why, is_misfit: false }
    }
}

impl<S: Service> Client<S> {
    /// A client that knows some nodes of a group, and of the others once it hears of them. Each
    /// request ends within `timeout`, give or take what the scheduler takes.
    ///
    /// # Errors
    /// [`Failure::Refused`] if there are no nodes, or more than a group has, or there is no time.
    pub fn new(nodes: &[String], group: GroupId, timeout: Duration) -> Result<Self, Failure> {
        let mut known: Vec<Node> = Vec::new();
        for address in nodes {
            if known.iter().all(|node| node.address != *address) {
                known.push(Node::new(address.clone(), None));
            }
        }
        let config = client::Config {
            client: ClientId::new(chance()),
            nodes: u8::try_from(known.len()).unwrap_or(u8::MAX),
            seed: chance(),
            attempt: Span::from(ATTEMPT.min(timeout)),
            give_up: Span::from(timeout),
            backoff: Span::from(BACKOFF),
        };
        let machine =
            client::Client::new(config).map_err(|error| Failure::Refused(error.to_string()))?;
        Ok(Self {
            machine,
            outbox: Vec::new(),
            group,
            began: std::time::Instant::now(),
            timeout,
            known: known.len(),
            nodes: known,
            rejection: String::new(),
        })
    }

    /// Has a command applied, once, and returns the response.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn command(&mut self, command: S::Command) -> Result<S::Response, Failure> {
        match self.ask(&Work::Command(command), Kind::Command)? {
            Said::Response(response) => Ok(response),
            Said::Answer(_) => Err(nonsense()),
        }
    }

    /// Asks about the state as it is now or later, but not as it was before.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn query(&mut self, query: S::Query) -> Result<S::Answer, Failure> {
        match self.ask(&Work::Query(query), Kind::Query)? {
            Said::Answer(answer) => Ok(answer),
            Said::Response(_) => Err(nonsense()),
        }
    }

    /// The addresses known so far: those given, then those heard of.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.address.as_str())
    }

    fn ask(&mut self, work: &WorkOf<S>, kind: Kind) -> Result<SaidOf<S>, Failure> {
        let mut asked = 0;
        let mut output = self.step(Input::Ask { work, kind })?;
        loop {
            let input = match output {
                Some(Output::Done(outcome)) => return self.conclude(outcome),
                Some(Output::Send { node, attempt, what }) => {
                    asked = node;
                    self.send(node, attempt, what).unwrap_or_else(|| self.listen(node))
                }
                None => self.listen(asked),
            };
            output = self.step(input)?;
        }
    }

    fn step(
        &mut self,
        input: Input<'_, WorkOf<S>, SaidOf<S>>,
    ) -> Result<Option<Output<SaidOf<S>>>, Failure> {
        let now = self.now();
        let refused = |refused: quorate::Refused| Failure::Refused(refused.to_string());
        // The machine must know of a node before it hears that it leads.
        if self.known < self.nodes.len() {
            self.known = self.nodes.len();
            let count = u8::try_from(self.known).unwrap_or(u8::MAX);
            self.machine.step(now, Input::Nodes { count }, &mut self.outbox).map_err(refused)?;
            if let Some(output) = self.outbox.pop() {
                return Ok(Some(output)); // The request's time is over, whatever has come in.
            }
        }
        self.machine.step(now, input, &mut self.outbox).map_err(refused)?;
        Ok(self.outbox.pop())
    }

    fn now(&self) -> Now {
        Now::mono(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When the machine is to be called at the latest.
    fn until(&self) -> std::time::Instant {
        let deadline = self.machine.deadline().unwrap_or(Instant::ORIGIN);
        // A microsecond more: a deadline is in whole ones, and must have passed.
        let since = Duration::from_micros(deadline.as_micros().saturating_add(1));
        self.began.checked_add(since).unwrap_or(self.began)
    }

    /// Sends an attempt. What it returns, if anything, is how that came to nothing.
    fn send(&mut self, place: u8, attempt: u64, what: What) -> Option<InputOf<S>> {
        let (until, group) = (self.until(), self.group);
        let request = protocol::Request { number: attempt, ask: self.ask_of(what)? };
        let node = self.nodes.get_mut(usize::from(place))?;
        if node.connection.is_none() {
            match Connection::open(&node.address, group, until) {
                Ok((connection, id)) => {
                    node.id = Some(id);
                    node.connection = Some(connection);
                }
                Err(trouble) => {
                    (node.why, node.is_misfit) = (trouble.text, trouble.is_lasting);
                    return Some(self.not_sent(place, attempt));
                }
            }
        }
        let connection = node.connection.as_mut()?;
        let frame = match frame::encode(frame::Kind::Request, group, &request) {
            Ok(frame) => frame,
            Err(error) => {
                self.rejection = format!("the request cannot be sent: {error}; ask for less");
                return Some(Input::Reply { node: place, attempt, reply: Reply::Rejected });
            }
        };
        match connection.write(&frame, until) {
            Ok(()) => {
                "did not answer".clone_into(&mut node.why);
                None
            }
            Err(error) => {
                node.connection = None;
                node.why = describe(&error);
                Some(Input::Unreachable { node: place })
            }
        }
    }

    /// The work under way as it travels.
    fn ask_of(&self, what: What) -> Option<Ask<S::Command, S::Query>> {
        Some(match (what, self.machine.work()?.clone()) {
            (What::Open { client }, _) => Ask::Submit(replica::Request::Open { client }),
            (What::Command { client, sequence }, Work::Command(command)) => {
                Ask::Submit(replica::Request::Command { client, sequence, command })
            }
            (What::Query, Work::Query(query)) => Ask::Query(query),
            (What::Command { .. } | What::Query, _) => return None,
        })
    }

    /// A node that was not even reached has certainly not taken the attempt, as one that does not
    /// lead has not. If there is no node left that could be of this group, asking on is in vain.
    fn not_sent(&mut self, node: u8, attempt: u64) -> InputOf<S> {
        let reply = if self.nodes.iter().all(|node| node.is_misfit) {
            self.rejection = self.what_nodes_did();
            Reply::Rejected
        } else {
            Reply::NotLeader { leader: None }
        };
        Input::Reply { node, attempt, reply }
    }

    /// Waits for a node's word until the machine is to be called anyway.
    fn listen(&mut self, place: u8) -> InputOf<S> {
        let (until, group) = (self.until(), self.group);
        let open = self.nodes.get_mut(usize::from(place)).and_then(|node| node.connection.as_mut());
        let Some(connection) = open else {
            thread::sleep(until.saturating_duration_since(std::time::Instant::now()));
            return Input::Tick;
        };
        match connection.read::<ReplyOf<S>>(frame::Kind::Reply, group, until) {
            Ok(Some(protocol::Reply { number, body })) => self
                .hear(place, body)
                .map_or(Input::Tick, |reply| Input::Reply { node: place, attempt: number, reply }),
            Ok(None) => Input::Tick,
            Err(error) => {
                if let Some(node) = self.nodes.get_mut(usize::from(place)) {
                    node.connection = None;
                    node.why = describe(&error);
                }
                Input::Unreachable { node: place }
            }
        }
    }

    /// A reply as the machine hears it; none if it does not answer what is asked.
    fn hear(
        &mut self,
        place: u8,
        body: ReplyBody<S::Response, S::Answer>,
    ) -> Option<Reply<SaidOf<S>>> {
        let why;
        let reply = match (body, self.machine.work()) {
            (ReplyBody::Opened, _) => return Some(Reply::Opened),
            (ReplyBody::Done(response), Some(Work::Command(_))) => {
                return Some(Reply::Done(Said::Response(response)));
            }
            (ReplyBody::Answer(answer), Some(Work::Query(_))) => {
                return Some(Reply::Done(Said::Answer(answer)));
            }
            (ReplyBody::Superseded, _) => return Some(Reply::Superseded),
            (ReplyBody::NoSession, _) => return Some(Reply::NoSession),
            (ReplyBody::NotLeader { leader: None }, _) => {
                why = "knows no leader".to_owned();
                Reply::NotLeader { leader: None }
            }
            (ReplyBody::NotLeader { leader: Some((id, address)) }, _) => {
                why = format!("says that node {id} leads");
                Reply::NotLeader { leader: self.place_of(id, address) }
            }
            (ReplyBody::Busy(text), _) => {
                why = format!("is busy: {text}");
                Reply::Busy
            }
            (ReplyBody::Rejected(text), _) => {
                self.rejection = text;
                return Some(Reply::Rejected);
            }
            (ReplyBody::Unknown, _) => {
                why = "lost the lead".to_owned();
                Reply::Unknown
            }
            (
                ReplyBody::Done(_)
                | ReplyBody::Answer(_)
                | ReplyBody::Status(_)
                | ReplyBody::Members(_)
                | ReplyBody::Seated { .. }
                | ReplyBody::Leaving
                | ReplyBody::Left,
                _,
            ) => return None,
        };
        if let Some(node) = self.nodes.get_mut(usize::from(place)) {
            node.why = why;
        }
        Some(reply)
    }

    /// The place of a node that another speaks of, which may be the first time that it is heard of.
    /// The number decides: people and members may call one node by different addresses.
    fn place_of(&mut self, id: NodeId, address: String) -> Option<u8> {
        let by_id = self.nodes.iter().position(|node| node.id == Some(id));
        let known = by_id.or_else(|| self.nodes.iter().position(|node| node.address == address));
        let place = match known {
            Some(place) => place,
            None if self.nodes.len() < Members::MOST => {
                self.nodes.push(Node::new(address, Some(id)));
                self.nodes.len().saturating_sub(1)
            }
            None => return None,
        };
        u8::try_from(place).ok()
    }

    fn conclude(&self, outcome: Outcome<SaidOf<S>>) -> Result<SaidOf<S>, Failure> {
        let within = self.timeout;
        match outcome {
            Outcome::Done(said) => Ok(said),
            Outcome::Rejected => Err(Failure::Refused(self.rejection.clone())),
            Outcome::NotTaken => {
                let nodes = self.nodes.iter();
                let nodes = nodes.map(|node| (node.address.clone(), node.why.clone())).collect();
                Err(Failure::NoAnswer { within, nodes })
            }
            Outcome::Unknown => Err(Failure::Unknown { within }),
        }
    }

    fn what_nodes_did(&self) -> String {
        let each = self.nodes.iter().map(|node| format!("{} {}", node.address, node.why));
        format!("{}; ask a node of group {}", each.collect::<Vec<_>>().join(", "), self.group)
    }
}

pub(crate) fn nonsense() -> Failure {
    Failure::Refused("a node answered something else; use the program of its version".to_owned())
}

/// Asks one node something that is the same whatever the group replicates.
///
/// # Errors
/// [`Failure`].
pub(crate) fn ask_node(
    address: &str,
    group: GroupId,
    timeout: Duration,
    ask: Ask<(), ()>,
) -> Result<ReplyBody<(), ()>, Failure> {
    let until = std::time::Instant::now().checked_add(timeout);
    let until = until.ok_or_else(|| Failure::Refused("the timeout is too long".to_owned()))?;
    let silent = |why: String| {
        let nodes = vec![(address.to_owned(), why)];
        Failure::NoAnswer { within: timeout, nodes }
    };
    let (mut connection, _) = Connection::open(address, group, until).map_err(|trouble| {
        if trouble.is_lasting {
            Failure::Refused(format!("{address} {}", trouble.text))
        } else {
            silent(trouble.text)
        }
    })?;
    let request = protocol::Request { number: 1, ask };
    let frame = frame::encode(frame::Kind::Request, group, &request);
    frame
        .and_then(|frame| connection.write(&frame, until))
        .map_err(|error| silent(describe(&error)))?;
    let reply = connection.read::<protocol::Reply<(), ()>>(frame::Kind::Reply, group, until);
    match reply.map_err(|error| silent(describe(&error)))? {
        Some(protocol::Reply { body, .. }) => Ok(body),
        None => Err(silent("did not answer".to_owned())),
    }
}

/// Why there is no connection, to follow the node's address in a sentence.
struct Trouble {
    text: String,
    /// Waiting will not help.
    is_lasting: bool,
}

impl Trouble {
    fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_lasting: false }
    }

    fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_lasting: true }
    }
}

fn describe(error: &frame::Error) -> String {
    match error {
        frame::Error::Closed => "closed the connection".to_owned(),
        frame::Error::Io(error) => unreachable_for(error),
        frame::Error::Version { theirs } => {
            format!("speaks version {theirs} and this program version {}", frame::VERSION)
        }
        frame::Error::Group { theirs } => format!("serves group {theirs}"),
        other => format!("is not understood ({other})"),
    }
}

fn unreachable_for(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => format!("cannot be reached ({})", error.kind()),
        None => format!("cannot be reached ({error})"), // Of a name that was looked up.
    }
}

/// A connection to a node, welcomed.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// What has come in, from the start of a frame on. So a wait may end within a frame and the
    /// next go on with it.
    inbox: Vec<u8>,
}

impl Connection {
    fn open(
        address: &str,
        group: GroupId,
        until: std::time::Instant,
    ) -> Result<(Self, NodeId), Trouble> {
        let stream =
            connect(address, until).map_err(|error| Trouble::passing(unreachable_for(&error)))?;
        let mut connection = Self { stream, inbox: Vec::new() };
        let welcome = connection.greet(group, until).map_err(|error| match error {
            // A node that hears of a group that it does not serve may just hang up.
            frame::Error::Closed => Trouble::passing(format!(
                "hung up at once, as a node does that does not serve group {group}"
            )),
            frame::Error::Io(_) => Trouble::passing(describe(&error)),
            _ => Trouble::lasting(describe(&error)),
        })?;
        match welcome {
            Some(Welcome::Here { node }) => Ok((connection, node)),
            Some(Welcome::Full) => Err(Trouble::passing("has no room for a connection")),
            Some(_) => Err(Trouble::lasting("takes this program for a member")),
            None => Err(Trouble::passing("did not answer")),
        }
    }

    fn greet(
        &mut self,
        group: GroupId,
        until: std::time::Instant,
    ) -> Result<Option<Welcome>, frame::Error> {
        self.stream.set_nodelay(true)?;
        self.write(&frame::encode(frame::Kind::Hello, group, &Hello::Client)?, until)?;
        self.read(frame::Kind::Hello, group, until)
    }

    fn write(&mut self, frame: &[u8], until: std::time::Instant) -> Result<(), frame::Error> {
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
        until: std::time::Instant,
    ) -> Result<Option<T>, frame::Error> {
        let mut bytes = [0; 16 << 10];
        loop {
            if let Some(value) = self.take(expected, group)? {
                return Ok(Some(value));
            }
            let Some(left) = time_left(until) else { return Ok(None) };
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(frame::Error::Closed),
                Ok(count) => self.inbox.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }

    /// Takes the first frame out of the inbox, if it is whole.
    fn take<T: DeserializeOwned>(
        &mut self,
        expected: frame::Kind,
        group: GroupId,
    ) -> Result<Option<T>, frame::Error> {
        let Some(head) = self.inbox.first_chunk() else { return Ok(None) };
        let length = frame::read_head(head, expected, group)?;
        let Some(whole) = self.inbox.get(..length) else { return Ok(None) };
        let value = frame::value_of(whole, expected, group)?;
        self.inbox.drain(..length);
        Ok(Some(value))
    }
}

/// The time until then; none if there is none.
fn time_left(until: std::time::Instant) -> Option<Duration> {
    let left = until.saturating_duration_since(std::time::Instant::now());
    (!left.is_zero()).then_some(left)
}

/// Connects to the first of the address's hosts that can be reached in time.
fn connect(address: &str, until: std::time::Instant) -> io::Result<TcpStream> {
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
fn resolve(address: &str, until: std::time::Instant) -> io::Result<Vec<SocketAddr>> {
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
