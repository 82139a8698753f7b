//! A node: the task that steps the replica, and everything it needs started around it.

use crate::accept::{self, Door, Front};
use crate::handle::Handle;
use crate::link;
use quorate::id::GroupId;
use quorate_host::book::{Book, written};
use quorate_host::config::Config;
use quorate_host::driver::Driver;
use quorate_host::guests::{Ends, House, SharedBook};
use quorate_host::life::{Clock, StartError, Stopped};
use quorate_host::protocol::Service;
use quorate_host::recording::Recorder;
use quorate_host::store::{self, Store, Task};
use quorate_host::work::{AT_ONCE, EVENTS, Event, FRAMES, Link, Put, Wires, Work};
use quorate_host::writing::{self, Take};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep_until;

/// Tasks that may wait for the disk. Nothing is taken in unless there is room for what may come of all
/// that is taken in at once.
const TASKS: usize = 8_192;
const ROOM: usize = 4 * AT_ONCE;
/// How long a request of a node's own handle may take: some elections.
const WITHIN: Duration = Duration::from_secs(10);

/// A node at work. To drop it is to shut it down without looking on.
#[derive(Debug)]
pub struct Node<S: Service> {
    address: SocketAddr,
    handle: Handle<S>,
    /// What the work was stopped by: none while it goes on.
    ended: watch::Receiver<Option<Result<(), Stopped>>>,
    /// The node is asked to stop when this is gone.
    stay: oneshot::Sender<()>,
}

impl<S: Service> Node<S> {
    /// Brings a node back from its data folder, or begins one there, and lets it work.
    ///
    /// # Errors
    /// [`StartError`]; nothing on the disk was changed.
    pub async fn start(config: &Config, state: S) -> Result<Self, StartError> {
        Self::start_recorded(config, state, None).await
    }

    /// The same, and records this life with a recorder, if one is given. See
    /// [`recording`](quorate_host::recording).
    ///
    /// # Errors
    /// As [`start`](Node::start).
    pub async fn start_recorded(
        config: &Config,
        state: S,
        mut recorder: Option<Recorder>,
    ) -> Result<Self, StartError> {
        let (clock, opened_with) = (Clock::default(), config.clone());
        let opening = spawn_blocking(move || {
            let opened = store::open_recorded(&opened_with, state, clock.now(), recorder.as_mut());
            opened.map(|(replica, store)| (replica, store, recorder))
        });
        let opened = opening.await.map_err(|error| StartError::Threads(error.into()))?;
        let (replica, store, recorder) = opened.map_err(StartError::Open)?;
        let listen = |error| StartError::Listen { address: config.node.listen.clone(), error };
        let listener = TcpListener::bind(&config.node.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;

        let (events, inbox) = mpsc::channel(EVENTS);
        let (group, book) = (GroupId::new(config.group.id), store.book().clone());
        let house = House { group, book: SharedBook::new(book.clone()) };
        let nodes = addresses(&book);
        let disk = Disk::start(store).map_err(StartError::Threads)?;
        let door = Arc::new(Door::default());
        let (turning_out, keeping, linking) =
            (Arc::clone(&door), Arc::clone(&door), events.clone());
        let wires = Wires {
            tasks: put(disk.tasks.clone()),
            link: Box::new(move |ends| Some(link(ends, linking.clone()))),
            drop_client: Box::new(move |number| turning_out.turn_out(number)),
            keep: Box::new(move |members| keeping.keep(members)),
            house: house.clone(),
        };
        let (stay, asked) = oneshot::channel();
        let (ending, accepted) = oneshot::channel();
        let front = Arc::new(Front { house, events, door });
        let accepting = tokio::spawn(accept::run(front, listener, accepted));
        let work = Work::new(Driver::new(config, replica, book).recorded_by(recorder), wires);
        let (end, ended) = watch::channel(None);
        tokio::spawn(async move {
            let (outcome, disk) = run(work, clock, inbox, disk, asked).await;
            drop(ending); // And everything that goes out has been handed over.
            let _ = accepting.await;
            disk.end().await;
            end.send_replace(Some(outcome));
        });
        let handle = Handle::new(&nodes, group, WITHIN);
        let handle = handle.map_err(|error| StartError::Threads(io::Error::other(error)))?;
        Ok(Self { address, handle, ended, stay })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle on the node's group, which asks this node first.
    #[must_use]
    pub fn handle(&self) -> Handle<S> {
        self.handle.clone()
    }

    /// Waits until it has ended by itself, for it has left its group.
    ///
    /// # Errors
    /// [`Stopped`] if it had to: its disk has failed, for instance.
    pub async fn ended(&self) -> Result<(), Stopped> {
        outcome(self.ended.clone()).await
    }

    /// Stops it. If it leads, it hands leadership over first, and tries that for an election timeout at
    /// most; what was handed to the disk is written, and clients get the replies that wait. Then its
    /// port and its data folder are free.
    ///
    /// # Errors
    /// [`Stopped`] if it had stopped by itself before.
    pub async fn shutdown(self) -> Result<(), Stopped> {
        let Self { ended, stay, .. } = self;
        drop(stay);
        outcome(ended).await
    }
}

async fn outcome(mut ended: watch::Receiver<Option<Result<(), Stopped>>>) -> Result<(), Stopped> {
    let panicked = || Err(Stopped("the node has panicked".to_owned()));
    let outcome = ended.wait_for(Option::is_some).await;
    outcome.map_or_else(|_| panicked(), |outcome| outcome.clone().unwrap_or_else(panicked))
}

fn put<T: Send + 'static>(to: mpsc::Sender<T>) -> Put<T> {
    Box::new(move |value| to.try_send(value).is_ok())
}

/// The addresses of all members, this node's own first.
fn addresses(book: &Book) -> Vec<String> {
    let others = book.others().map(|(_, entry)| entry.address.clone());
    std::iter::once(written(book.address())).chain(others).collect()
}

/// Starts the task of a link to another member. It ends when nobody can hand it frames.
fn link<S: Service>(ends: Ends, events: mpsc::Sender<Event<S>>) -> Link {
    let (frames, outgoing) = mpsc::channel(FRAMES);
    tokio::spawn(async move {
        if let Some(gone) = link::run(ends, outgoing).await {
            let _ = events.send(Event::Gone(gone)).await;
        }
    });
    put(frames)
}

/// The disk is a thread of its own: a sync takes as long as it takes, and no task may wait for it.
struct Disk<S: Service> {
    tasks: mpsc::Sender<Task>,
    /// Apart from all other events, and always taken: or the node and its disk, both full, would wait
    /// for each other.
    done: mpsc::Receiver<Event<S>>,
    writing: thread::JoinHandle<()>,
}

impl<S: Service> Disk<S> {
    fn start(store: Store) -> io::Result<Self> {
        let (tasks, mut waiting) = mpsc::channel(TASKS);
        let (told, done) = mpsc::channel(AT_ONCE);
        let writing = thread::Builder::new().name("disk".to_owned()).spawn(move || {
            let take = |how| match how {
                Take::Wait => waiting.blocking_recv(),
                Take::Look => waiting.try_recv().ok(),
            };
            writing::run(store, take, |done| {
                let _ = told.blocking_send(Event::of_disk(done));
            });
        })?;
        Ok(Self { tasks, done, writing })
    }

    /// Waits until all tasks are done.
    async fn end(self) {
        let Self { tasks, done, writing } = self;
        drop((tasks, done));
        let _ = spawn_blocking(|| writing.join()).await;
    }
}

/// Takes what happens and keeps deadlines until the node is asked to stop and may, or must.
async fn run<S: Service>(
    mut work: Work<S>,
    clock: Clock,
    mut inbox: mpsc::Receiver<Event<S>>,
    mut disk: Disk<S>,
    mut asked: oneshot::Receiver<()>,
) -> (Result<(), Stopped>, Disk<S>) {
    let (mut batch, mut is_asked) = (Vec::new(), false);
    loop {
        let far = clock.now().mono.after(quorate::time::Span::secs(60));
        let until = clock.at(work.deadline().unwrap_or(far));
        let may_take = disk.tasks.capacity() >= ROOM;
        select! {
            biased;
            _ = &mut asked, if !is_asked => {
                is_asked = true;
                batch.push(Event::Stop);
            }
            Some(done) = disk.done.recv() => batch.push(done),
            Some(event) = inbox.recv(), if may_take => batch.push(event),
            () = sleep_until(until.into()) => {}
        }
        let done = std::iter::from_fn(|| disk.done.try_recv().ok());
        batch.extend(done.take(AT_ONCE));
        let events = std::iter::from_fn(|| inbox.try_recv().ok());
        batch.extend(events.take(if may_take { AT_ONCE } else { 0 }));
        match work.turn(clock.now(), batch.drain(..)) {
            Ok(true) => {}
            Ok(false) => return (Ok(()), disk),
            Err(stopped) => return (Err(stopped), disk),
        }
    }
}
