//! What a node does with what happens to it, whatever its runtime: hands it to the driver in turns, puts
//! what comes of it on its way, and knows when the node is to end.

use crate::book::{Book, Entry};
use crate::driver::{self, Driver, Io};
use crate::guests::{Ends, House};
use crate::life::Stopped;
use crate::protocol::Service;
use crate::store::{DiskFailed, Done, Task};
use quorate::id::{Incarnation, Members, NodeId, Slot};
use quorate::time::{Instant, Now};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events that may wait for the driver; then readers of sockets wait too.
pub const EVENTS: usize = 4_096;
/// Frames that may wait for a member; more are dropped, for they are sent again.
pub const FRAMES: usize = 1_024;
/// Events that are taken before time is looked at again.
pub const AT_ONCE: usize = 512;

/// Puts something into a channel without waiting; false if it is full or nobody is there. The channel
/// ends with it.
pub type Put<T> = Box<dyn Fn(T) -> bool + Send>;

/// Sends frames to one member; more than may wait are lost.
pub type Link = Put<Arc<[u8]>>;

/// Why a node is no member any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gone {
    /// It has left.
    Left,
    /// A later life of it is a member.
    Outlived(Incarnation),
}

/// What happens to a node.
pub enum Event<S: Service> {
    /// Something for the replica.
    Driver(driver::Event<S>),
    /// A client has come; replies go here.
    Opened(u64, Put<Vec<u8>>),
    /// A client has gone.
    Closed(u64),
    /// The disk failed, and why.
    DiskFailed(DiskFailed),
    /// This node is no member any more.
    Gone(Gone),
    /// The node is asked to stop.
    Stop,
}

impl<S: Service> Event<S> {
    /// What the disk tells.
    #[must_use]
    pub fn of_disk(told: Result<Done, DiskFailed>) -> Self {
        told.map_or_else(Self::DiskFailed, |done| Self::Driver(driver::Event::Disk(done)))
    }
}

/// What the driver's effects go out on.
pub struct Wires {
    /// Where tasks for the disk go.
    pub tasks: Put<Task>,
    /// Begins to send to another member; none if that cannot be.
    pub link: Box<dyn Fn(Ends) -> Option<Link> + Send>,
    /// What is done with a client that does not read its replies.
    pub drop_client: Box<dyn Fn(u64) + Send>,
    /// Ends the connections of all members but these.
    pub keep: Box<dyn Fn(Members) + Send>,
    /// Who may come in.
    pub house: House,
}

/// A node's replica with all that goes out of it.
pub struct Work<S: Service> {
    driver: Driver<S>,
    out: Out,
}

struct Out {
    wires: Wires,
    /// Where frames for each other member go.
    links: BTreeMap<Slot, (Entry, Link)>,
    clients: BTreeMap<u64, Put<Vec<u8>>>,
    disk_is_gone: bool,
    /// The last leader told of.
    leader: Option<NodeId>,
}

impl Io for Out {
    fn send(&mut self, to: Slot, frame: &Arc<[u8]>) {
        if let Some((_, link)) = self.links.get(&to) {
            link(Arc::clone(frame));
        }
    }

    fn reply(&mut self, connection: u64, frame: Vec<u8>) {
        if self.clients.get(&connection).is_some_and(|client| !client(frame)) {
            self.clients.remove(&connection);
            (self.wires.drop_client)(connection);
        }
    }

    fn disk(&mut self, task: Task) {
        self.disk_is_gone |= !(self.wires.tasks)(task);
    }

    fn leader(&mut self, node: Option<NodeId>) {
        // Between two leaders there is none for a moment: that is not worth a line.
        if let Some(node) = node.filter(|_| node != self.leader) {
            eprintln!("quorate: node {node} leads");
            self.leader = Some(node);
        }
    }

    /// Begins to send to each member that has come or moved, and ends it for those that have gone.
    fn members(&mut self, book: &Book) {
        self.wires.house.book.replace(book);
        let is_there = |slot: &Slot, entry: &Entry| {
            book.others().any(|(it, other)| (it, other) == (*slot, entry))
        };
        self.links.retain(|slot, (entry, _)| is_there(slot, entry));
        for (slot, entry) in book.others() {
            let Some(hello) = book.hello(slot).filter(|_| !self.links.contains_key(&slot)) else {
                continue;
            };
            let (group, to, address) = (self.wires.house.group, entry.node, entry.address.clone());
            // When the book next changes it is tried again; meanwhile the member hears nothing.
            if let Some(link) = (self.wires.link)(Ends { group, hello, to, address }) {
                self.links.insert(slot, (entry.clone(), link));
            }
        }
        (self.wires.keep)(book.others().map(|(slot, _)| slot).collect());
    }
}

impl<S: Service> Work<S> {
    /// The work of a node that begins.
    #[must_use]
    pub fn new(driver: Driver<S>, wires: Wires) -> Self {
        let (links, clients) = (BTreeMap::new(), BTreeMap::new());
        let mut out = Out { wires, links, clients, disk_is_gone: false, leader: None };
        out.members(driver.book());
        Self { driver, out }
    }

    /// When it wants a turn at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.driver.deadline()
    }

    /// One turn: takes what has happened, and keeps the deadline. False once the node has left its group,
    /// or has been asked to stop and may.
    ///
    /// # Errors
    /// [`Stopped`], if the node cannot go on.
    pub fn turn(
        &mut self,
        now: Now,
        happened: impl Iterator<Item = Event<S>>,
    ) -> Result<bool, Stopped> {
        let mut failure = None;
        let mut events = Vec::with_capacity(AT_ONCE);
        let mut is_idle = true;
        for event in happened {
            is_idle = false;
            match event {
                Event::Driver(event) => events.push(event),
                Event::Opened(connection, replies) => {
                    self.out.clients.insert(connection, replies);
                }
                Event::Closed(connection) => {
                    self.out.clients.remove(&connection);
                }
                Event::DiskFailed(failed) => {
                    events.push(driver::Event::DiskFailed);
                    failure = Some(failed);
                }
                Event::Gone(Gone::Left) => return Ok(false),
                Event::Gone(Gone::Outlived(by)) => {
                    let what = "a later life of this node";
                    return Err(Stopped(format!("{what} ({by}) is a member; the node stops")));
                }
                Event::Stop => events.push(driver::Event::HandOver),
            }
        }
        // After the messages: what has come in may have put the deadline off.
        if self.deadline().is_some_and(|at| at <= now.mono) {
            events.push(driver::Event::Tick);
        }
        self.driver.take(now, events.into_iter(), &mut self.out);
        if let Some(failed) = failure {
            return Err(failed.into());
        }
        // Unless it has panicked it has told why before it ended, and that comes first.
        if self.out.disk_is_gone && is_idle {
            return Err(DiskFailed("the thread that writes has ended".to_owned()).into());
        }
        if let Some(why) = self.driver.replica().raft().stopped() {
            return Err(Stopped(format!("the replica has stopped: {why:?}")));
        }
        Ok(!self.driver.book().have_left() && !self.driver.has_handed_over(now.mono))
    }
}
