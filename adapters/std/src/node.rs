//! A node: the thread that steps the replica, and everything it needs started around it.

use crate::accept::{self, Door, Front};
use crate::link;
use quorate::id::GroupId;
use quorate_host::config::Config;
use quorate_host::driver::Driver;
use quorate_host::guests::{Ends, House, SharedBook};
use quorate_host::life::Clock;
use quorate_host::protocol::Service;
use quorate_host::recording::file::recorder;
use quorate_host::store;
use quorate_host::work::{AT_ONCE, EVENTS, Event, FRAMES, Link, Put, Wires, Work};
use quorate_host::writing::{self, Take};
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use quorate_host::life::{StartError, Stopped};

/// A node at work.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    stop: Stop,
    stepping: JoinHandle<Result<(), Stopped>>,
}

/// Asks a node to stop.
#[derive(Clone)]
pub struct Stop(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stop")
    }
}

impl Stop {
    /// Asks it, as [`Node::stop`] does.
    pub fn stop(&self) {
        (self.0)();
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
        let clock = Clock::default();
        let mut recorder = file.map(recorder);
        let (replica, store) = store::open_recorded(config, state, clock.now(), recorder.as_mut())
            .map_err(StartError::Open)?;
        let listen = |error| StartError::Listen { address: config.node.listen.clone(), error };
        let listener = TcpListener::bind(&config.node.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;

        let (events, inbox) = sync_channel(EVENTS);
        let (tasks, waiting) = channel();
        let house = House {
            group: GroupId::new(config.group.id),
            book: SharedBook::new(store.book().clone()),
        };
        let book = store.book().clone();
        let told = events.clone();
        let writing = spawn("disk", move || {
            let take = |how| match how {
                Take::Wait => waiting.recv().ok(),
                Take::Look => waiting.try_recv().ok(),
            };
            writing::run(store, take, |done| {
                let _ = told.send(Event::of_disk(done));
            });
        })?;
        let door = Arc::new(Door::new(address));
        let (turning_out, keeping, linking) =
            (Arc::clone(&door), Arc::clone(&door), events.clone());
        let wires = Wires {
            tasks: Box::new(move |task| tasks.send(task).is_ok()),
            link: Box::new(move |ends| link(ends, linking.clone())),
            drop_client: Box::new(move |number| turning_out.turn_out(number)),
            keep: Box::new(move |members| keeping.keep(members)),
            house: house.clone(),
        };
        let front = Front { house, events: events.clone(), door: Arc::clone(&door) };
        let accepting = spawn("accept", move || accept::run(front, &listener))?;
        let stop = Stop(Arc::new(move || {
            let _ = events.send(Event::Stop);
        }));
        let work = Work::new(Driver::new(config, replica, book).recorded_by(recorder), wires);
        let exit = Arc::clone(&door);
        let stepping = spawn("step", move || {
            let ended = run(work, clock, &inbox);
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

    /// Asks it to stop; [`wait`](Node::wait) returns then. If it leads, it hands leadership over first,
    /// and tries that for an election timeout at most.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// What asks it to stop while somebody waits.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
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

/// Puts into a channel without waiting.
pub(crate) fn put<T: Send + 'static>(to: SyncSender<T>) -> Put<T> {
    Box::new(move |value| to.try_send(value).is_ok())
}

/// Starts the thread of a link to another member.
fn link<S: Service>(ends: Ends, events: SyncSender<Event<S>>) -> Option<Link> {
    let (frames, outgoing) = sync_channel(FRAMES);
    let (to, gone) = (ends.to, move |why| drop(events.send(Event::Gone(why))));
    match spawn("link", move || link::run(&ends, &outgoing, gone)) {
        Ok(_) => Some(put(frames)),
        Err(error) => {
            eprintln!("quorate: node {to}: {error}");
            None
        }
    }
}

/// Takes what happens and keeps deadlines until the node is asked to stop and may, or must.
fn run<S: Service>(
    mut work: Work<S>,
    clock: Clock,
    inbox: &Receiver<Event<S>>,
) -> Result<(), Stopped> {
    loop {
        let wait = work.deadline().map(|at| at.since(clock.now().mono));
        let first = match inbox.recv_timeout(wait.map_or(Duration::from_secs(60), Duration::from)) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let more = inbox.try_iter().take(AT_ONCE);
        if !work.turn(clock.now(), first.into_iter().chain(more))? {
            return Ok(());
        }
    }
}
