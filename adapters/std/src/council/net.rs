//! Sockets: one connection to each other member, to send; and those that others and clients open.

use super::{Event, StartError, spawn};
use quorate::id::{GroupId, Members, Slot};
use quorate_host::council::config::Config;
use quorate_host::council::{Greeting, Packet};
use quorate_host::frame::{self, Kind};
use quorate_host::protocol::Service;
use quorate_host::signing::Reply;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
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

/// Where packets for each other member go.
pub(super) struct Links(BTreeMap<Slot, SyncSender<Arc<Packet>>>);

impl Links {
    pub(super) fn start(config: &Config) -> io::Result<Self> {
        let mut links = BTreeMap::new();
        for slot in config.machine(0).members.without(config.me).iter() {
            let Some(address) = config.address(slot).map(str::to_owned) else { continue };
            let (packets, outgoing) = sync_channel(PACKETS);
            let (group, me) = (config.group, config.me);
            thread::Builder::new()
                .name("link".to_owned())
                .spawn(move || link(&address, group, me, &outgoing))?;
            links.insert(slot, packets);
        }
        Ok(Self(links))
    }

    pub(super) fn send(&self, to: Members, packet: &Arc<Packet>) {
        for slot in to.iter() {
            if let Some(link) = self.0.get(&slot) {
                // What finds no room is lost, and sent again.
                let _ = link.try_send(Arc::clone(packet));
            }
        }
    }
}

/// Sends to one member for as long as there can be something to send, whether it is there or not.
fn link(address: &str, group: GroupId, me: Slot, outgoing: &Receiver<Arc<Packet>>) {
    let mut stream = None;
    let mut bytes = Vec::new();
    while let Ok(packet) = outgoing.recv() {
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

/// The listener, until it is stopped.
pub(super) struct Listening {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Listening {
    pub(super) fn start<S: Service>(
        config: &Config,
        events: &SyncSender<Event<S>>,
    ) -> Result<Self, StartError> {
        let failed = |error| StartError::Listen(config.listen.clone(), error);
        let listener = TcpListener::bind(&config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, events, group) = (Arc::clone(&is_over), events.clone(), config.group);
        let accepting = spawn("accept", move || accept(&listener, &over, group, &events))?;
        Ok(Self { address, is_over, accepting })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// No more connections are taken; those that are there end when nobody reads what they bring.
    pub(super) fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It is waiting for a connection.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
        let _ = self.accepting.join();
    }
}

fn accept<S: Service>(
    listener: &TcpListener,
    is_over: &AtomicBool,
    group: GroupId,
    events: &SyncSender<Event<S>>,
) {
    let open = Arc::new(AtomicUsize::new(0));
    let mut number = 0;
    for stream in listener.incoming() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        number += 1;
        let (events, counted, connection) = (events.clone(), Arc::clone(&open), number);
        let serving = spawn("serve", move || {
            let _ = serve(stream, group, connection, &events);
            let _ = events.send(Event::Closed(connection));
            counted.fetch_sub(1, Ordering::Relaxed);
        });
        if serving.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Reads a connection until it ends or makes no sense.
fn serve<S: Service>(
    mut stream: TcpStream,
    group: GroupId,
    connection: u64,
    events: &SyncSender<Event<S>>,
) -> Result<(), frame::Error> {
    let mut bytes = Vec::new();
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let greeting = frame::read(&mut stream, &mut bytes, Kind::Hello, group)?;
    stream.set_read_timeout(None)?;
    let gone = |_| frame::Error::Closed;
    match greeting {
        Greeting::Member(slot) => loop {
            let packet = frame::read(&mut stream, &mut bytes, Kind::Member, group)?;
            events.send(Event::Packet(slot, packet)).map_err(gone)?;
        },
        Greeting::Client(client) => {
            let (replies, outgoing) = sync_channel(REPLIES);
            let writer = stream.try_clone()?;
            writer.set_write_timeout(Some(PATIENCE))?;
            events.send(Event::Opened(connection, client, replies)).map_err(gone)?;
            let answering = spawn("answer", move || answer(writer, group, &outgoing));
            if answering.is_err() {
                return Err(frame::Error::Closed);
            }
            loop {
                let request = frame::read(&mut stream, &mut bytes, Kind::Request, group)?;
                events.send(Event::Request(connection, request)).map_err(gone)?;
            }
        }
    }
}

fn answer(mut stream: TcpStream, group: GroupId, outgoing: &Receiver<Arc<Reply>>) {
    loop {
        match outgoing.recv_timeout(Duration::from_secs(60)) {
            Ok(reply) => {
                let framed = frame::encode(Kind::Reply, group, &*reply);
                if !framed.is_ok_and(|bytes| stream.write_all(&bytes).is_ok()) {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
