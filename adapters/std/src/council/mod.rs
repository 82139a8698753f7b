//! A member of a Byzantine group on std threads: IO and timers, nothing else.
//!
//! One thread steps the member, one writes to the disk, some check signatures, one for each other member
//! sends to it, one accepts connections and one reads each. [`client`] is the other end.

pub mod client;
mod net;

use net::{Links, Listening};
use quorate::id::{ClientId, Members, Slot};
use quorate_host::council::config::Config;
use quorate_host::council::{
    Done, Effect, Heard, OpenError, Packet, Seat, Store, Task, check, open,
};
use quorate_host::life::{Clock, Stopped};
use quorate_host::protocol::Service;
use quorate_host::signing::{Pool, Reply, Request};
use quorate_host::store::DiskFailed;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Events that may wait for the member; then readers of sockets wait too.
const EVENTS: usize = 4_096;
/// Packets of one connection that may wait to be checked; more are lost, for they are sent again.
const LANE: usize = 256;
/// Threads that check signatures.
const CHECKERS: usize = 2;

/// What happens to a member.
pub(crate) enum Event<S: Service> {
    /// A packet came in on this connection, unchecked.
    Packet(u64, Slot, Packet),
    /// A client's request came in, unchecked, on this connection.
    Request(u64, Request),
    /// What came in was checked.
    Heard(Slot, Heard<S>),
    /// A client has come; replies go here.
    Opened(u64, ClientId, SyncSender<Arc<Reply>>),
    /// A client has gone.
    Closed(u64),
    /// The disk has done something, or failed.
    Disk(Result<Done, DiskFailed>),
    /// It is asked to stop.
    Stop,
}

/// Whose packets are checked in turn: a connection's, for who speaks there is not known before.
type Lane = (u64, Slot);

/// What a member says instead of what it should: a liar, for demonstrations and tests.
pub type Tongue = Box<dyn FnMut(Members, Arc<Packet>) -> Vec<(Members, Arc<Packet>)> + Send>;

/// Where what happens is told, in a line each.
pub type Tell = Box<dyn FnMut(&str) + Send>;

/// Why a member did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Its folder, keys, log or state.
    Open(OpenError),
    /// It cannot listen.
    Listen(String, io::Error),
    /// The operating system gives no threads.
    Threads(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Listen(address, error) => write!(f, "cannot listen at {address}: {error}"),
            Self::Threads(error) => write!(f, "no thread can be started: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A member at work.
pub struct Node {
    address: SocketAddr,
    stop: Box<dyn Fn() + Send + Sync>,
    stepping: JoinHandle<Result<(), Stopped>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.address)
    }
}

impl Node {
    /// Brings a member back from its folder, or begins one there, and lets it work.
    ///
    /// # Errors
    /// [`StartError`]; no thread is left.
    pub fn start<S: Service>(
        config: &Config,
        state: S,
        tongue: Option<Tongue>,
        tell: Tell,
    ) -> Result<Self, StartError> {
        let (seat, store) = open(config, state).map_err(StartError::Open)?;
        let (events, inbox) = sync_channel(EVENTS);
        let listening = Listening::start(config, &events)?;
        let address = listening.address();
        let (tasks, waiting) = channel();
        let told = events.clone();
        let writing = spawn("disk", move || write(store, &waiting, &told))?;
        let (verifier, checked) = (seat.verifier(), events.clone());
        let pool = Pool::new(CHECKERS, LANE, move |(_, from): &Lane, packet| {
            if let Ok(heard) = check::<S>(&verifier, packet) {
                let _ = checked.send(Event::Heard(*from, heard));
            }
        });
        let pool = pool.map_err(StartError::Threads)?;
        let links = Links::start(config)?;
        let stop = events.clone();
        let work = Work { seat, links, tasks, tongue, tell, clients: BTreeMap::new() };
        let stepping = spawn("step", move || {
            let ended = work.run(&inbox, &pool);
            // First, so that nobody waits for room in it.
            drop(inbox);
            drop(listening);
            drop(pool);
            let _ = writing.join();
            ended
        })?;
        let stop = Box::new(move || drop(stop.send(Event::Stop)));
        Ok(Self { address, stop, stepping })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to stop; [`wait`](Node::wait) returns then.
    pub fn stop(&self) {
        (self.stop)();
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    /// [`Stopped`] if it had to stop by itself.
    pub fn wait(self) -> Result<(), Stopped> {
        self.stepping.join().unwrap_or_else(|_| Err(Stopped("the node has panicked".to_owned())))
    }
}

pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(StartError::Threads)
}

/// Performs the disk's tasks: what waits together becomes durable together.
fn write<S: Service>(mut store: Store, tasks: &Receiver<Task>, told: &SyncSender<Event<S>>) {
    while let Ok(first) = tasks.recv() {
        let all = std::iter::once(first).chain(tasks.try_iter());
        match store.perform(all) {
            Ok(done) => done.into_iter().for_each(|it| drop(told.send(Event::Disk(Ok(it))))),
            Err(failed) => return drop(told.send(Event::Disk(Err(failed)))),
        }
    }
}

/// The member with all that goes out of it.
struct Work<S: Service> {
    seat: Seat<S>,
    links: Links,
    tasks: Sender<Task>,
    tongue: Option<Tongue>,
    tell: Tell,
    clients: BTreeMap<u64, (ClientId, SyncSender<Arc<Reply>>)>,
}

impl<S: Service> Work<S> {
    fn run(mut self, inbox: &Receiver<Event<S>>, pool: &Pool<Lane, Packet>) -> Result<(), Stopped> {
        let clock = Clock::default();
        let mut effects = Vec::new();
        self.seat.wake(clock.now(), &mut effects);
        loop {
            self.perform(&mut effects);
            if let Some(why) = self.seat.council().pbft().stopped() {
                return Err(Stopped(format!("the member has stopped: {why:?}")));
            }
            let wait = self.seat.deadline().map(|at| at.since(clock.now().mono));
            let wait = wait.map_or(Duration::from_secs(60), Duration::from);
            match inbox.recv_timeout(wait) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(event) => self.take(clock, event, pool, &mut effects),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = clock.now();
            if self.seat.deadline().is_some_and(|at| at <= now.mono) {
                self.seat.tick(now, &mut effects);
            }
        }
    }

    fn take(
        &mut self,
        clock: Clock,
        event: Event<S>,
        pool: &Pool<Lane, Packet>,
        effects: &mut Vec<Effect>,
    ) {
        let now = clock.now();
        let examine = |seat: &Seat<S>, lane, packet| {
            if seat.wants(&packet) {
                // What finds no room is sent again.
                let _ = pool.offer(lane, packet);
            }
        };
        match event {
            Event::Packet(connection, from, packet) => {
                examine(&self.seat, (connection, from), packet);
            }
            Event::Request(connection, request) => {
                let is_theirs = self.clients.get(&connection);
                if is_theirs.is_some_and(|it| it.0 == request.client) {
                    let packet = Packet::Request(Box::new(request));
                    examine(&self.seat, (connection, quorate::pbft::CLIENT), packet);
                }
            }
            Event::Heard(from, heard) => self.seat.hear(now, from, heard, effects),
            Event::Opened(connection, client, replies) => {
                self.clients.insert(connection, (client, replies));
            }
            Event::Closed(connection) => drop(self.clients.remove(&connection)),
            Event::Disk(Ok(done)) => self.seat.done(now, done, effects),
            Event::Disk(Err(failed)) => {
                (self.tell)(&format!("the disk has failed: {failed}"));
                self.seat.disk_failed(now, effects);
            }
            Event::Stop => {}
        }
    }

    fn perform(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(to, packet) => {
                    let said = match &mut self.tongue {
                        Some(tongue) => tongue(to, packet),
                        None => vec![(to, packet)],
                    };
                    said.iter().for_each(|(to, packet)| self.links.send(*to, packet));
                }
                Effect::Reply(reply) => {
                    let reply = Arc::new(*reply);
                    let theirs = self.clients.values().filter(|it| it.0 == reply.client);
                    // A client that does not read asks again.
                    theirs.for_each(|it| drop(it.1.try_send(Arc::clone(&reply))));
                }
                // If nobody takes it, the disk has failed, and has said so.
                Effect::Disk(task) => drop(self.tasks.send(task)),
                Effect::Accuse(accusation) => {
                    (self.tell)(&format!("member {} is proved to lie", accusation.by()));
                }
                Effect::Told(output) => self.tell_output(output),
                Effect::Event(quorate::Event::Overslept { late }) => {
                    (self.tell)(&format!("it slept {} ms too long", late.as_millis()));
                }
                // For those who count.
                Effect::Event(_) => {}
            }
        }
    }

    fn tell_output(&mut self, output: quorate::pbft::Output) {
        use quorate::pbft::Output;
        match output {
            Output::Entered { view, primary } => {
                (self.tell)(&format!("view {view} begins; member {primary} proposes"));
            }
            Output::Left { next } => (self.tell)(&format!("left for view {next}")),
            Output::Diverged { .. } => (self.tell)("this state is wrong; another is fetched"),
            _ => {}
        }
    }
}
