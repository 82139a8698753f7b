//! A node: the thread that steps the replica, and everything it needs started around it.

use crate::accept::{self, Door, House, SharedBook};
use crate::link::{self, Ends};
use crate::{Event, Gone, disk, record};
use quorate::id::{GroupId, NodeId, Slot};
use quorate::time::{Instant, Now, Wall};
use quorate_host::book::{Book, Entry};
use quorate_host::config::Config;
use quorate_host::driver::{self, Driver, Io};
use quorate_host::folder;
use quorate_host::protocol::Service;
use quorate_host::store::{self, OpenError, Task};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

/// Events that may wait for the thread that steps; then readers of sockets wait too.
const EVENTS: usize = 4_096;
/// Frames that may wait for a member; more are dropped, for they are sent again.
const FRAMES: usize = 1_024;
/// Events that are taken before time is looked at again.
const AT_ONCE: usize = 512;

/// A node at work.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    stop: StopSender,
    stepping: JoinHandle<Result<(), Stopped>>,
}

/// Why a node did not start, in one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder, the log or the clock does not permit it.
    Open(OpenError),
    /// The address to listen on cannot be had.
    Listen {
        /// The address.
        address: String,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The operating system gives no more threads.
    Threads(std::io::Error),
}

impl StartError {
    /// Whether the configuration is to blame, rather than the state of the machine.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Open(OpenError::Folder(
                folder::Error::OtherIdentity { .. }
                    | folder::Error::OtherFormat { .. }
                    | folder::Error::NotOurs { .. }
            ))
        )
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Listen { address, error } => {
                write!(f, "cannot listen on {address}: {error}; choose another address or port")
            }
            Self::Threads(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a node stopped by itself, in one line.
#[derive(Debug)]
pub struct Stopped(String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stopped {}

/// Asks a node to stop.
#[derive(Clone)]
struct StopSender(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for StopSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopSender")
    }
}

impl Node {
    /// Brings a node back from its data folder, or begins one there, and lets it work.
    ///
    /// # Errors
    /// [`StartError`]; nothing on the disk was changed and no thread is left.
    pub fn start<S: Service>(config: &Config, state: S) -> Result<Self, StartError> {
        Self::start_recorded(config, state, None)
    }

    /// The same, and records this life in a file, if one is named. A file that cannot be written is
    /// told in one line, and the node does without; a recording that is there already is kept as
    /// `FILE.old`. See [`recording`](quorate_host::recording).
    ///
    /// # Errors
    /// As [`start`](Node::start).
    pub fn start_recorded<S: Service>(
        config: &Config,
        state: S,
        file: Option<&Path>,
    ) -> Result<Self, StartError> {
        let clock = HostClock::new();
        let mut recorder = file.map(record::recorder);
        let (replica, store) = store::open_recorded(config, state, clock.now(), recorder.as_mut())
            .map_err(StartError::Open)?;
        let listen = |error| StartError::Listen { address: config.node.listen.clone(), error };
        let listener = TcpListener::bind(&config.node.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;

        let (events, inbox) = sync_channel(EVENTS);
        let (tasks, waiting) = channel();
        let (to_disk, group, book) =
            (events.clone(), GroupId::new(config.group.id), store.book().clone());
        let writing = spawn("disk", move || disk::run(store, &waiting, &to_disk))?;
        let door = Arc::new(Door::new(address));
        let shared = SharedBook::new(book.clone());
        let house =
            House { group, book: shared.clone(), events: events.clone(), door: Arc::clone(&door) };
        let links = Links { group, links: BTreeMap::new(), events: events.clone() };
        let mut wires = Wires {
            links,
            door: Arc::clone(&door),
            book: shared,
            clients: BTreeMap::new(),
            tasks,
            disk_is_gone: false,
            leader: None,
        };
        wires.members(&book);
        let accepting = spawn("accept", move || accept::run(house, &listener))?;
        let stop = StopSender(Arc::new(move || {
            let _ = events.send(Event::Stop);
        }));
        let driver = Driver::new(config, replica, book).recorded_by(recorder);
        let exit = Arc::clone(&door);
        let stepping = spawn("step", move || {
            let ended = run(driver, clock, wires, &inbox);
            drop(inbox); // Who waits to hand an event over waits no longer.
            exit.close();
            let _ = (accepting.join(), writing.join());
            ended
        });
        let stepping = stepping.inspect_err(|_| door.close())?;
        Ok(Self { address, stop, stepping })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to stop; [`wait`](Node::wait) returns then.
    pub fn stop(&self) {
        (self.stop.0)();
    }

    /// Waits until it has stopped: its port and its data folder are free then.
    ///
    /// # Errors
    /// [`Stopped`] if it had to stop by itself.
    pub fn wait(self) -> Result<(), Stopped> {
        self.stepping.join().unwrap_or_else(|_| Err(Stopped("the node has panicked".to_owned())))
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(StartError::Threads)
}

/// The threads that send to the other members, each with its frames.
struct Links<S: Service> {
    group: GroupId,
    links: BTreeMap<Slot, (Entry, SyncSender<Arc<[u8]>>)>,
    events: SyncSender<Event<S>>,
}

impl<S: Service> Links<S> {
    /// Starts a thread for each member that has come or moved, and lets those end that have gone.
    fn follow(&mut self, book: &Book) {
        let is_there = |slot: &Slot, entry: &Entry| {
            book.others().any(|(it, other)| (it, other) == (*slot, entry))
        };
        self.links.retain(|slot, (entry, _)| is_there(slot, entry));
        for (slot, entry) in book.others() {
            let Some(hello) = book.hello(slot).filter(|_| !self.links.contains_key(&slot)) else {
                continue;
            };
            let (frames, outgoing) = sync_channel(FRAMES);
            let (group, to, address) = (self.group, entry.node, entry.address.clone());
            let (ends, events) = (Ends { group, hello, to, address }, self.events.clone());
            let gone = move |why| drop(events.send(Event::Gone(why)));
            match spawn("link", move || link::run(&ends, &outgoing, gone)) {
                Ok(_) => drop(self.links.insert(slot, (entry.clone(), frames))),
                // When the book next changes it is tried again; meanwhile the member hears nothing.
                Err(error) => eprintln!("quorate: node {}: {error}", entry.node),
            }
        }
    }
}

/// Monotonic time since the node began, and civil time.
#[derive(Clone, Copy)]
struct HostClock(std::time::Instant);

impl HostClock {
    fn new() -> Self {
        Self(std::time::Instant::now())
    }

    fn now(self) -> Now {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now {
            // One microsecond in: the origin itself stands for "at once".
            mono: Instant::from_micros(micros(self.0.elapsed()).saturating_add(1)),
            wall: since_epoch.ok().map(|span| Wall::from_micros(micros(span))),
        }
    }
}

/// What the driver's effects go out on.
struct Wires<S: Service> {
    links: Links<S>,
    door: Arc<Door>,
    book: SharedBook,
    clients: BTreeMap<u64, SyncSender<Vec<u8>>>,
    tasks: Sender<Task>,
    /// The thread that writes has ended.
    disk_is_gone: bool,
    /// The last leader told of.
    leader: Option<NodeId>,
}

impl<S: Service> Io for Wires<S> {
    fn send(&mut self, to: Slot, frame: &Arc<[u8]>) {
        if let Some((_, link)) = self.links.links.get(&to) {
            let _ = link.try_send(Arc::clone(frame));
        }
    }

    fn reply(&mut self, connection: u64, frame: Vec<u8>) {
        let full = |client: &SyncSender<Vec<u8>>| client.try_send(frame).is_err();
        if self.clients.get(&connection).is_some_and(full) {
            self.clients.remove(&connection);
        }
    }

    fn disk(&mut self, task: Task) {
        self.disk_is_gone |= self.tasks.send(task).is_err();
    }

    fn leader(&mut self, node: Option<NodeId>) {
        // Between two leaders there is none for a moment: that is not worth a line.
        if let Some(node) = node.filter(|_| node != self.leader) {
            eprintln!("quorate: node {node} leads");
            self.leader = Some(node);
        }
    }

    fn members(&mut self, book: &Book) {
        self.book.replace(book);
        self.links.follow(book);
        self.door.keep(book);
    }
}

/// Takes what happens and keeps deadlines until the node is asked to stop or must.
fn run<S: Service>(
    mut driver: Driver<S>,
    clock: HostClock,
    mut wires: Wires<S>,
    inbox: &Receiver<Event<S>>,
) -> Result<(), Stopped> {
    let mut batch = Vec::new();
    loop {
        let wait = driver.deadline().map(|at| at.since(clock.now().mono));
        let wait = wait.map_or(Duration::from_secs(60), Duration::from);
        match inbox.recv_timeout(wait) {
            Ok(event) => batch.push(event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        batch.extend(inbox.try_iter().take(AT_ONCE));
        let now = clock.now();
        let mut failure = None;
        let mut events = Vec::with_capacity(batch.len().saturating_add(1));
        for event in batch.drain(..) {
            match event {
                Event::Driver(event) => events.push(event),
                Event::Opened(connection, replies) => {
                    wires.clients.insert(connection, replies);
                }
                Event::Closed(connection) => {
                    wires.clients.remove(&connection);
                }
                Event::DiskFailed(why) => {
                    events.push(driver::Event::DiskFailed);
                    failure = Some(why);
                }
                Event::Gone(Gone::Left) => return Ok(()),
                Event::Gone(Gone::Outlived(by)) => {
                    let what = "a later life of this node";
                    return Err(Stopped(format!("{what} ({by}) is a member; the node stops")));
                }
                Event::Stop => return Ok(()),
            }
        }
        // After the messages: what has come in may have put the deadline off.
        let is_late = driver.deadline().is_some_and(|at| at <= now.mono);
        if is_late {
            events.push(driver::Event::Tick);
        }
        driver.take(now, events.into_iter(), &mut wires);
        if wires.disk_is_gone && failure.is_none() {
            // Unless it has panicked it has said why before it ended.
            failure = inbox.try_iter().find_map(|event| match event {
                Event::DiskFailed(why) => Some(why),
                _ => None,
            });
            failure.get_or_insert_with(|| "the thread that writes has ended".to_owned());
        }
        if driver.book().have_left() {
            return Ok(());
        }
        if let Some(why) = failure {
            return Err(Stopped(format!("{why}; the node stops, what was acknowledged is kept")));
        }
        if let Some(why) = driver.replica().raft().stopped() {
            return Err(Stopped(format!("the replica has stopped: {why:?}")));
        }
    }
}
