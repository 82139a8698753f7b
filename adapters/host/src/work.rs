//! What a node does with what happens to it, whatever its runtime: hands it to the driver in turns, puts
//! what comes of it on its way, and knows when the node is to end.

use crate::driver::{self, Driver, Io};
use crate::life::Stopped;
use crate::protocol::Service;
use crate::store::{DiskFailed, Done, Task};
use quorate::id::{NodeId, Slot};
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

/// Where frames for each member go, by slot; none for this node itself.
pub type Links = Vec<Option<Put<Arc<[u8]>>>>;

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
    /// Where frames for each member go.
    pub links: Links,
    /// Where tasks for the disk go.
    pub tasks: Put<Task>,
    /// What is done with a client that does not read its replies.
    pub drop_client: Box<dyn Fn(u64) + Send>,
}

/// A node's replica with all that goes out of it.
pub struct Work<S: Service> {
    driver: Driver<S>,
    out: Out,
}

struct Out {
    wires: Wires,
    clients: BTreeMap<u64, Put<Vec<u8>>>,
    disk_is_gone: bool,
    /// The last leader told of.
    leader: Option<NodeId>,
}

impl Io for Out {
    fn send(&mut self, to: Slot, frame: &Arc<[u8]>) {
        if let Some(Some(link)) = self.wires.links.get(to.position()) {
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
}

impl<S: Service> Work<S> {
    /// The work of a node that begins.
    #[must_use]
    pub fn new(driver: Driver<S>, wires: Wires) -> Self {
        let out = Out { wires, clients: BTreeMap::new(), disk_is_gone: false, leader: None };
        Self { driver, out }
    }

    /// When it wants a turn at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.driver.deadline()
    }

    /// One turn: takes what has happened, and keeps the deadline. False once the node has been asked to
    /// stop and may.
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
        Ok(!self.driver.has_handed_over(now.mono))
    }
}
