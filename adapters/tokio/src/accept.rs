//! The task that accepts connections, and one for each of them.

use crate::stream::{read, say};
use quorate::id::{Members, Slot};
use quorate_host::frame::{self, Kind};
use quorate_host::guests::{Guest, Guests, HANDSHAKE, House, IDLE, PAUSE, REPLIES};
use quorate_host::inbox::Inbox;
use quorate_host::protocol::{Service, Welcome};
use quorate_host::{driver, work::Event};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// How long a node that ends lets its clients take their last replies.
const GOODBYE: Duration = Duration::from_secs(1);

/// Every open connection.
#[derive(Debug, Default)]
pub(crate) struct Door(Mutex<Guests<AbortHandle>>);

impl Door {
    fn guests(&self) -> MutexGuard<'_, Guests<AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn introduce(&self, number: u64, guest: Guest) -> bool {
        self.guests().introduce(number, guest, AbortHandle::abort)
    }

    /// Ends the connections of all members but these.
    pub(crate) fn keep(&self, members: Members) {
        self.guests().keep(members, AbortHandle::abort);
    }

    /// Ends a connection at once, whatever is still to be written.
    pub(crate) fn turn_out(&self, number: u64) {
        if let Some(visit) = self.guests().leave(number) {
            visit.abort();
        }
    }
}

/// What every connection needs to know.
pub(crate) struct Front<S: Service> {
    pub(crate) house: House,
    pub(crate) events: mpsc::Sender<Event<S>>,
    pub(crate) door: Arc<Door>,
}

/// A connection for as long as it is served, however that ends.
struct Visit<S: Service>(Arc<Front<S>>, u64);

impl<S: Service> Drop for Visit<S> {
    fn drop(&mut self) {
        self.0.door.guests().leave(self.1);
    }
}

/// Accepts connections until the node ends. Then the port is free, members are left at once, and
/// clients when they have their replies.
pub(crate) async fn run<S: Service>(
    front: Arc<Front<S>>,
    listener: TcpListener,
    mut ended: oneshot::Receiver<()>,
) {
    let mut visits = JoinSet::new();
    let mut number: u64 = 0;
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            Some(_) = visits.join_next() => continue,
            _ = &mut ended => break,
        };
        let Ok((mut stream, from)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        if !front.door.guests().has_room() {
            let _ = timeout(PAUSE, say(&mut stream, front.house.group, &Welcome::Full)).await;
            continue;
        }
        number = number.saturating_add(1);
        // Held until the visit is entered: it cannot introduce itself before.
        let mut guests = front.door.guests();
        guests.enter(number, visits.spawn(serve(Arc::clone(&front), number, from, stream)));
    }
    drop(listener);
    for (guest, visit) in front.door.guests().iter() {
        if guest != Guest::Client {
            visit.abort();
        }
    }
    let _ = timeout(GOODBYE, async { while visits.join_next().await.is_some() {} }).await;
    visits.shutdown().await;
}

/// Serves one connection to its end; what ends it early is worth a line.
async fn serve<S: Service>(
    front: Arc<Front<S>>,
    number: u64,
    from: SocketAddr,
    mut stream: TcpStream,
) {
    // Not before it runs: a runtime that ends drops what is spawned at once, under the lock.
    let visit = Visit(front, number);
    match listen(&visit, &mut stream).await {
        Ok(()) | Err(frame::Error::Closed | frame::Error::Io(_)) => {}
        Err(error) => eprintln!("quorate: connection from {from} dropped: {error}"),
    }
}

/// What the other end must do in time.
async fn within<T>(
    time: Duration,
    does: impl Future<Output = Result<T, frame::Error>>,
) -> Result<T, frame::Error> {
    timeout(time, does)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

async fn listen<S: Service>(
    Visit(front, number): &Visit<S>,
    stream: &mut TcpStream,
) -> Result<(), frame::Error> {
    stream.set_nodelay(true)?;
    let (house, mut inbox) = (&front.house, Inbox::default());
    let (mut from, mut to) = stream.split();
    let hello = read(&mut from, &mut inbox, Kind::Hello, house.group);
    let hello = within(HANDSHAKE, hello).await;
    if let Err(frame::Error::Group { .. }) = hello {
        // The frame of the answer says which group is served here, whatever stands in it.
        within(HANDSHAKE, say(&mut to, house.group, &Welcome::NotAMember)).await?;
    }
    let ((guest, said), welcome) = match house.receive(&hello?) {
        Err(refusal) => ((Guest::Stranger, None), refusal),
        Ok((guest, said)) if front.door.introduce(*number, guest) => ((guest, said), house.here()),
        Ok(_) => ((Guest::Stranger, None), Welcome::Full),
    };
    within(HANDSHAKE, say(&mut to, house.group, &welcome)).await?;
    match guest {
        Guest::Stranger => Ok(()),
        Guest::Member(slot) => {
            if let Some((life, address)) = said {
                let said = driver::Event::Introduced(slot, life, address);
                let _ = front.events.send(Event::Driver(said)).await;
            }
            hear_member(front, slot, &mut from, &mut inbox).await
        }
        Guest::Client => {
            let (replies, outgoing) = mpsc::channel(REPLIES);
            let replies = Box::new(move |frame| replies.try_send(frame).is_ok());
            if front.events.send(Event::Opened(*number, replies)).await.is_err() {
                return Ok(());
            }
            let ended = select! {
                ended = hear_client(front, *number, &mut from, &mut inbox) => ended,
                ended = write_replies(&mut to, outgoing) => ended,
            };
            let _ = front.events.send(Event::Closed(*number)).await;
            ended
        }
    }
}

async fn hear_member<S: Service>(
    front: &Front<S>,
    slot: Slot,
    from: &mut ReadHalf<'_>,
    inbox: &mut Inbox,
) -> Result<(), frame::Error> {
    loop {
        let message = read(from, inbox, Kind::Member, front.house.group).await?;
        let event = Event::Driver(driver::Event::Member(slot, message));
        if front.events.send(event).await.is_err() {
            return Ok(());
        }
    }
}

async fn hear_client<S: Service>(
    front: &Front<S>,
    number: u64,
    from: &mut ReadHalf<'_>,
    inbox: &mut Inbox,
) -> Result<(), frame::Error> {
    loop {
        let request = read(from, inbox, Kind::Request, front.house.group);
        let event = Event::Driver(driver::Event::Request(number, within(IDLE, request).await?));
        if front.events.send(event).await.is_err() {
            pending::<()>().await; // The node ends; replies that wait are written first.
        }
    }
}

/// Writes a client's replies, those that wait together in one go.
async fn write_replies(
    to: &mut WriteHalf<'_>,
    mut replies: mpsc::Receiver<Vec<u8>>,
) -> Result<(), frame::Error> {
    while let Some(mut bytes) = replies.recv().await {
        while let Ok(more) = replies.try_recv() {
            bytes.extend(more);
        }
        within(HANDSHAKE, async { Ok(to.write_all(&bytes).await?) }).await?;
    }
    Ok(())
}
