//! The other end, without its sockets: what a client does with a request until it knows what became of
//! it.
//!
//! [`quorate::client`] decides whom to ask and when to ask again; this knows the nodes by their
//! addresses, encodes what they are asked and says what each of them did. The host connects, writes,
//! reads and waits.

use crate::frame;
use crate::protocol::{self, Ask, ReplyBody, Service, Status, Welcome};
use crate::store::chance;
use quorate::client::{self, Input, Kind, Outcome, Output, What};
use quorate::id::{ClientId, GroupId, Members, NodeId};
use quorate::time::{Instant, Now, Span};
use quorate::{Machine, replica};
use std::fmt;
use std::io;
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

impl Failure {
    /// Of a node that answers what was not asked.
    #[must_use]
    pub fn nonsense() -> Self {
        Self::Refused("a node answered something else; use the program of its version".to_owned())
    }
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

/// Why there is no connection, or no longer, to follow the node's address in a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// What the node did.
    pub text: String,
    /// Waiting will not help: it is no node of this group.
    pub is_lasting: bool,
}

impl Trouble {
    /// A node that did not answer the first frame in time.
    #[must_use]
    pub fn silence() -> Self {
        Self::passing("did not answer")
    }

    /// Of a connection that was not made.
    #[must_use]
    pub fn unreachable(error: &io::Error) -> Self {
        Self::passing(unreachable_for(error))
    }

    /// Of a connection that was made, and came to nothing before there was a welcome.
    #[must_use]
    pub fn unwelcomed(error: &frame::Error, group: GroupId) -> Self {
        match error {
            // A node that hears of a group that it does not serve may just hang up.
            frame::Error::Closed => Self::passing(format!(
                "hung up at once, as a node does that does not serve group {group}"
            )),
            frame::Error::Io(_) => Self::passing(describe(error)),
            _ => Self::lasting(describe(error)),
        }
    }

    /// Of a connection that was made and is gone.
    #[must_use]
    pub fn lost(error: &frame::Error) -> Self {
        Self::passing(describe(error))
    }

    fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_lasting: false }
    }

    fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_lasting: true }
    }
}

/// The number of the node that welcomes a client.
///
/// # Errors
/// [`Trouble`], if it does not.
pub fn welcomed(welcome: &Welcome) -> Result<NodeId, Trouble> {
    match welcome {
        Welcome::Here { node } => Ok(*node),
        Welcome::Full => Err(Trouble::passing("has no room for a connection")),
        _ => Err(Trouble::lasting("takes this program for a member")),
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

/// What is asked.
#[derive(Clone, Debug)]
pub enum Work<C, Q> {
    /// A command, to be applied once.
    Command(C),
    /// A linearizable read.
    Query(Q),
}

/// What is answered.
#[derive(Debug)]
pub enum Said<R, A> {
    /// To a command.
    Response(R),
    /// To a query.
    Answer(A),
}

/// What a service is asked.
pub type WorkOf<S> = Work<<S as quorate::StateMachine>::Command, <S as Service>::Query>;
/// What a service answers.
pub type SaidOf<S> = Said<<S as quorate::StateMachine>::Response, <S as Service>::Answer>;
/// A service's reply as it travels.
pub type ReplyOf<S> =
    protocol::Reply<<S as quorate::StateMachine>::Response, <S as Service>::Answer>;

type InputOf<'a, S> = Input<'a, WorkOf<S>, SaidOf<S>>;

/// What the host is to do next. Nodes are called by their places: see [`Asking::address`].
#[derive(Debug)]
pub enum Next<T> {
    /// Send this to a node, over a connection that is there or is made, and hear.
    Send {
        /// The node.
        node: u8,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Hear what the node says that was asked last, until [`Asking::deadline`].
    Hear {
        /// The node.
        node: u8,
    },
    /// The request is over.
    Done(Result<T, Failure>),
}

/// What the host hears of a node.
#[derive(Debug)]
pub enum Heard<T> {
    /// A reply.
    Reply(T),
    /// There was no connection, and none came about: it has certainly not taken anything.
    NotReached(Trouble),
    /// The connection is gone; what was sent may have arrived.
    Lost(Trouble),
    /// Nothing in time.
    Nothing,
}

/// A node as the client knows it.
#[derive(Debug)]
struct Node {
    address: String,
    /// Its number, once it has said it, or another has said it of it.
    id: Option<NodeId>,
    /// What it last did instead of answering.
    why: String,
    /// It is no node of this group, and waiting will not make it one.
    is_misfit: bool,
}

impl Node {
    fn new(address: String, id: Option<NodeId>) -> Self {
        Self { address, id, why: "was not asked".to_owned(), is_misfit: false }
    }
}

/// One client of a group: one session, one request at a time.
pub struct Asking<S: Service> {
    machine: client::Client<WorkOf<S>, SaidOf<S>>,
    outbox: Vec<Output<SaidOf<S>>>,
    group: GroupId,
    timeout: Duration,
    nodes: Vec<Node>,
    /// How many of them the machine knows.
    known: usize,
    /// The node that was asked last, and in which attempt.
    asked: (u8, u64),
    /// What the last node said that rejected a request.
    rejection: String,
}

impl<S: Service> fmt::Debug for Asking<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl<S: Service> Asking<S> {
    /// A client that knows some nodes of a group, and of the others once it hears of them. Each
    /// request ends within `timeout`.
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
            timeout,
            known: known.len(),
            nodes: known,
            asked: (0, 0),
            rejection: String::new(),
        })
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// The addresses known so far: those given, then those heard of. Each has the place of its node.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.address.as_str())
    }

    /// Where a node is; empty if it is none that was named.
    #[must_use]
    pub fn address(&self, node: u8) -> &str {
        self.nodes.get(usize::from(node)).map_or("", |node| &node.address)
    }

    /// Until when the host may wait for a node.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.machine.deadline().unwrap_or(Instant::ORIGIN)
    }

    /// Notes the number that a node welcomed us with.
    pub fn reached(&mut self, node: u8, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            (node.id, node.is_misfit) = (Some(id), false);
        }
    }

    /// Begins a request, and no other until it is [`Next::Done`].
    pub fn begin(&mut self, now: Now, work: &WorkOf<S>) -> Next<SaidOf<S>> {
        let kind = match work {
            Work::Command(_) => Kind::Command,
            Work::Query(_) => Kind::Query,
        };
        self.step(now, Input::Ask { work, kind })
    }

    /// Goes on, with what was heard of a node.
    pub fn hear(&mut self, now: Now, node: u8, heard: Heard<ReplyOf<S>>) -> Next<SaidOf<S>> {
        let input = match heard {
            Heard::Reply(protocol::Reply { number, body }) => self
                .reply(node, body)
                .map_or(Input::Tick, |reply| Input::Reply { node, attempt: number, reply }),
            Heard::NotReached(trouble) => {
                self.note(node, trouble);
                self.not_sent()
            }
            Heard::Lost(trouble) => {
                self.note(node, trouble);
                Input::Unreachable { node }
            }
            Heard::Nothing => Input::Tick,
        };
        self.step(now, input)
    }

    fn note(&mut self, node: u8, trouble: Trouble) {
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            (node.why, node.is_misfit) = (trouble.text, trouble.is_lasting);
        }
    }

    fn step(&mut self, now: Now, input: InputOf<'_, S>) -> Next<SaidOf<S>> {
        // The machine must know of a node before it hears that it leads.
        if self.known < self.nodes.len() {
            self.known = self.nodes.len();
            let count = u8::try_from(self.known).unwrap_or(u8::MAX);
            let more = self.machine.step(now, Input::Nodes { count }, &mut self.outbox);
            // If that tells something, the request's time is over, whatever has come in.
            if more.is_err() || !self.outbox.is_empty() {
                return self.next(now, more);
            }
        }
        let stepped = self.machine.step(now, input, &mut self.outbox);
        self.next(now, stepped)
    }

    fn next(&mut self, now: Now, stepped: Result<(), quorate::Refused>) -> Next<SaidOf<S>> {
        if let Err(refused) = stepped {
            return Next::Done(Err(Failure::Refused(refused.to_string())));
        }
        match self.outbox.pop() {
            None => Next::Hear { node: self.asked.0 },
            Some(Output::Done(outcome)) => Next::Done(self.conclude(outcome)),
            Some(Output::Send { node, attempt, what }) => {
                self.asked = (node, attempt);
                if let Some(node) = self.nodes.get_mut(usize::from(node)) {
                    "did not answer".clone_into(&mut node.why); // Until it does something else.
                }
                match self.frame(attempt, what) {
                    Ok(frame) => Next::Send { node, frame },
                    Err(error) => {
                        self.rejection =
                            format!("the request cannot be sent: {error}; ask for less");
                        let reply = client::Reply::Rejected;
                        self.step(now, Input::Reply { node, attempt, reply })
                    }
                }
            }
        }
    }

    /// The work under way as it travels.
    fn frame(&self, number: u64, what: What) -> Result<Vec<u8>, frame::Error> {
        let ask: Ask<&S::Command, &S::Query> = match (what, self.machine.work()) {
            (What::Open { client }, _) => Ask::Submit(replica::Request::Open { client }),
            (What::Command { client, sequence }, Some(Work::Command(command))) => {
                Ask::Submit(replica::Request::Command { client, sequence, command })
            }
            (What::Query, Some(Work::Query(query))) => Ask::Query(query),
            (What::Command { .. } | What::Query, _) => return Err(frame::Error::Malformed),
        };
        frame::encode(frame::Kind::Request, self.group, &protocol::Request { number, ask })
    }

    /// A node that was not even reached has certainly not taken the attempt, as one that does not
    /// lead has not. If there is no node left that could be of this group, asking on is in vain.
    fn not_sent(&mut self) -> InputOf<'static, S> {
        let reply = if self.nodes.iter().all(|node| node.is_misfit) {
            self.rejection = self.what_nodes_did();
            client::Reply::Rejected
        } else {
            client::Reply::NotLeader { leader: None }
        };
        let (node, attempt) = self.asked;
        Input::Reply { node, attempt, reply }
    }

    /// A reply as the machine hears it; none if it does not answer what is asked.
    fn reply(
        &mut self,
        place: u8,
        body: ReplyBody<S::Response, S::Answer>,
    ) -> Option<client::Reply<SaidOf<S>>> {
        use client::Reply;
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

impl<R, A> Said<R, A> {
    /// The response to a command.
    ///
    /// # Errors
    /// [`Failure::Refused`], if it is none.
    pub fn response(self) -> Result<R, Failure> {
        match self {
            Self::Response(response) => Ok(response),
            Self::Answer(_) => Err(Failure::nonsense()),
        }
    }

    /// The answer to a query.
    ///
    /// # Errors
    /// [`Failure::Refused`], if it is none.
    pub fn answer(self) -> Result<A, Failure> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Response(_) => Err(Failure::nonsense()),
        }
    }
}

/// A question to one node that is the same whatever the group replicates, as it travels.
///
/// # Errors
/// [`frame::Error::TooLarge`].
pub fn request(group: GroupId, ask: Ask<(), ()>) -> Result<Vec<u8>, frame::Error> {
    frame::encode(frame::Kind::Request, group, &protocol::Request { number: 1, ask })
}

/// What came of it.
///
/// # Errors
/// [`Failure`], as the node at `address` alone would have it.
pub fn answer_to(
    heard: Heard<protocol::Reply<(), ()>>,
    address: &str,
    within: Duration,
) -> Result<ReplyBody<(), ()>, Failure> {
    let trouble = match heard {
        Heard::Reply(protocol::Reply { body, .. }) => return Ok(body),
        Heard::NotReached(trouble) | Heard::Lost(trouble) => trouble,
        Heard::Nothing => Trouble::silence(),
    };
    if trouble.is_lasting {
        return Err(Failure::Refused(format!("{address} {}", trouble.text)));
    }
    let nodes = vec![(address.to_owned(), trouble.text)];
    Err(Failure::NoAnswer { within, nodes })
}

/// How a node is, if that was its answer.
///
/// # Errors
/// [`Failure::Refused`], if it was not.
pub fn status_in(answer: ReplyBody<(), ()>) -> Result<Status, Failure> {
    match answer {
        ReplyBody::Status(status) => Ok(status),
        _ => Err(Failure::nonsense()),
    }
}
