//! Sockets: one connection to each other member, to send; and those that others and clients open.

use super::{Event, StartError, spawn};
use quorate::id::{ClientId, GroupId, Members, Slot};
use quorate_host::council::config::Config;
use quorate_host::council::{Greeting, Packet};
use quorate_host::frame::{self, Kind};
use quorate_host::protocol::Service;
use quorate_host::signing::Reply;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Packets that may wait for a member; more are lost, for they are sent again.
const PACKETS: usize = 1_024;
/// Replies that may wait for a client.
const REPLIES: usize = 64;
/// Connections that are served at one time.
const CONNECTIONS: usize = 256;
/// How long a connection may take to be made, or a write to it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nobody tries again where nobody answered.
const PAUSE: Duration = Duration::from_millis(100);

/// Where packets for each other member go; when it is dropped, its threads end.
pub(super) struct Links {
    links: BTreeMap<Slot, SyncSender<Arc<Packet>>>,
    threads: Vec<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
}

impl Links {
    pub(super) fn start(config: &Config) -> Result<Self, StartError> {
        let mut it = Self { links: BTreeMap::new(), threads: Vec::new(), is_over: Arc::default() };
        for slot in config.machine(0).members.without(config.me).iter() {
            let Some(address) = config.address(slot).map(str::to_owned) else { continue };
            let (packets, outgoing) = sync_channel(PACKETS);
            let (group, me, is_over) = (config.group, config.me, Arc::clone(&it.is_over));
            let sending = move || link(&address, group, me, &outgoing, &is_over);
            it.threads.push(spawn("link", sending)?);
            it.links.insert(slot, packets);
        }
        Ok(it)
    }

    pub(super) fn send(&self, to: Members, packet: &Arc<Packet>) {
        for slot in to.iter() {
            if let Some(link) = self.links.get(&slot) {
                // What finds no room is lost, and sent again.
                let _ = link.try_send(Arc::clone(packet));
            }
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.links.clear();
        self.threads.drain(..).for_each(|it| drop(it.join()));
    }
}

/// Sends to one member for as long as there can be something to send, whether it is there or not.
fn link(
    address: &str,
    group: GroupId,
    me: Slot,
    outgoing: &Receiver<Arc<Packet>>,
    is_over: &AtomicBool,
) {
    let mut stream = None;
    let mut bytes = Vec::new();
    while let Ok(packet) = outgoing.recv() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        if stream.is_none() {
            stream = connect(address, group, Greeting::Member(me)).ok();
        }
        let Some(open) = &mut stream else {
            // What has been waiting is old by then.
            thread::sleep(PAUSE);
            outgoing.try_iter().for_each(drop);
            continue;
        };
        let framed = frame::encode_into(Kind::Member, group, &*packet, &mut bytes);
        if framed.is_ok() && open.write_all(&bytes).is_err() {
            stream = None;
        }
    }
}

/// Opens a connection, and says who speaks.
pub(super) fn connect(
    address: &str,
    group: GroupId,
    greeting: Greeting,
) -> Result<TcpStream, frame::Error> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(mut stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.write_all(&frame::encode(Kind::Hello, group, &greeting)?)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// The connections that are served, by number.
#[derive(Default)]
struct Served {
    open: Mutex<BTreeMap<u64, TcpStream>>,
    changed: Condvar,
}

impl Served {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, number: u64) {
        self.lock().remove(&number);
        self.changed.notify_all();
    }
}

/// Who may say who they are: the others, and the clients.
struct Known {
    group: GroupId,
    members: Members,
    clients: BTreeSet<ClientId>,
}

impl Known {
    fn has(&self, greeting: Greeting) -> bool {
        match greeting {
            Greeting::Member(slot) => self.members.contains(slot),
            Greeting::Client(client) => self.clients.contains(&client),
        }
    }
}

/// The listener; when it is dropped, its threads end, and those of its connections. Whoever takes their
/// events must be gone by then.
pub(super) struct Listening {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    served: Arc<Served>,
    accepting: Option<JoinHandle<()>>,
}

impl Listening {
    pub(super) fn start<S: Service>(
        config: &Config,
        events: &SyncSender<Event<S>>,
    ) -> Result<Self, StartError> {
        let failed = |error| StartError::Listen(config.listen.clone(), error);
        let listener = TcpListener::bind(&config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (is_over, served) = <(Arc<AtomicBool>, Arc<Served>)>::default();
        let known = Arc::new(Known {
            group: config.group,
            members: config.machine(0).members.without(config.me),
            clients: config.clients.iter().map(|it| ClientId::new(it.id)).collect(),
        });
        let (over, events, all) = (Arc::clone(&is_over), events.clone(), Arc::clone(&served));
        let accepting = spawn("accept", move || accept(&listener, &over, &known, &all, &events))?;
        Ok(Self { address, is_over, served, accepting: Some(accepting) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It is waiting for a connection.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
        let _ = self.accepting.take().map(JoinHandle::join);
        let mut open = self.served.lock();
        while !open.is_empty() {
            open.values().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
            open = self.served.changed.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn accept<S: Service>(
    listener: &TcpListener,
    is_over: &AtomicBool,
    known: &Arc<Known>,
    served: &Arc<Served>,
    events: &SyncSender<Event<S>>,
) {
    let mut number = 0;
    for stream in listener.incoming() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else {
            // There may be no more files; trying at once makes it no better.
            thread::sleep(PAUSE);
            continue;
        };
        let Ok(other) = stream.try_clone() else { continue };
        let mut open = served.lock();
        if open.len() >= CONNECTIONS {
            continue;
        }
        number += 1;
        open.insert(number, other);
        drop(open);
        let (events, known, all) = (events.clone(), Arc::clone(known), Arc::clone(served));
        let connection = number;
        let serving = spawn("serve", move || {
            let answering = serve(stream, &known, connection, &events);
            let _ = events.send(Event::Closed(connection));
            let _ = answering.map(JoinHandle::join);
            all.close(connection);
        });
        if serving.is_err() {
            served.close(number);
        }
    }
}

/// Serves a connection until it ends or makes no sense; then its client's answers end too.
fn serve<S: Service>(
    mut stream: TcpStream,
    known: &Known,
    connection: u64,
    events: &SyncSender<Event<S>>,
) -> Option<JoinHandle<()>> {
    let mut bytes = Vec::new();
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let group = known.group;
    let greeting: Greeting = frame::read(&mut stream, &mut bytes, Kind::Hello, group).ok()?;
    stream.set_read_timeout(None).ok()?;
    match greeting {
        it if !known.has(it) => None,
        Greeting::Member(slot) => {
            while let Ok(packet) = frame::read(&mut stream, &mut bytes, Kind::Member, group) {
                events.send(Event::Packet(connection, slot, packet)).ok()?;
            }
            None
        }
        Greeting::Client(client) => {
            let (replies, outgoing) = sync_channel(REPLIES);
            let writer = stream.try_clone().ok()?;
            writer.set_write_timeout(Some(PATIENCE)).ok()?;
            let answering = spawn("answer", move || answer(writer, group, &outgoing)).ok()?;
            let mut is_open = events.send(Event::Opened(connection, client, replies)).is_ok();
            while is_open {
                let read = frame::read(&mut stream, &mut bytes, Kind::Request, group);
                is_open = read.is_ok_and(|it| events.send(Event::Request(connection, it)).is_ok());
            }
            Some(answering)
        }
    }
}

/// Sends a client its answers, until it is closed or does not read.
fn answer(mut stream: TcpStream, group: GroupId, outgoing: &Receiver<Arc<Reply>>) {
    for reply in outgoing {
        let framed = frame::encode(Kind::Reply, group, &*reply);
        if !framed.is_ok_and(|bytes| stream.write_all(&bytes).is_ok()) {
            // Half an answer may have gone.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}
