//! The threads that listen: one accepts, and each connection has one that reads and, if it is a
//! client's, one that writes.

use crate::{Event, HANDSHAKE};
use quorate::id::{GroupId, NodeId, Slot};
use quorate_host::driver;
use quorate_host::frame::{self, Kind};
use quorate_host::protocol::{Hello, Service, Welcome};
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Connections served at once.
const CONNECTIONS: usize = 1_024;
/// Replies that may wait for a client that does not read them; then it is dropped.
pub(crate) const REPLIES: usize = 4_096;

/// What every connection needs to know.
pub(crate) struct House<S: Service> {
    pub(crate) group: GroupId,
    pub(crate) me: NodeId,
    /// By slot.
    pub(crate) members: Vec<NodeId>,
    pub(crate) events: SyncSender<Event<S>>,
}

/// Accepts connections for as long as the node lives.
pub(crate) fn run<S: Service>(house: House<S>, listener: &TcpListener) {
    let house = Arc::new(house);
    let open = Arc::new(AtomicUsize::new(0));
    for (number, stream) in (1_u64..).zip(listener.incoming()) {
        let Ok(mut stream) = stream else { continue };
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            let _ = welcome(&mut stream, house.group, &Welcome::Full);
            continue;
        }
        let (house, open_here) = (Arc::clone(&house), Arc::clone(&open));
        let spawned = thread::Builder::new().spawn(move || {
            serve(&house, number, stream);
            open_here.fetch_sub(1, Ordering::Relaxed);
        });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn welcome(stream: &mut TcpStream, group: GroupId, welcome: &Welcome) -> Result<(), frame::Error> {
    Ok(stream.write_all(&frame::encode(Kind::Hello, group, welcome)?)?)
}

/// Serves one connection to its end; what ends it early is worth a line.
fn serve<S: Service>(house: &House<S>, number: u64, stream: TcpStream) {
    let from = stream.peer_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string());
    match listen(house, number, stream) {
        Ok(()) | Err(frame::Error::Closed | frame::Error::Io(_)) => {}
        Err(error) => eprintln!("quorate: connection from {from} dropped: {error}"),
    }
}

fn listen<S: Service>(
    house: &House<S>,
    number: u64,
    mut stream: TcpStream,
) -> Result<(), frame::Error> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANDSHAKE))?;
    stream.set_write_timeout(Some(HANDSHAKE))?;
    let mut reader = BufReader::with_capacity(64 << 10, stream.try_clone()?);
    let hello: Hello = frame::read(&mut reader, &mut Vec::new(), Kind::Hello, house.group)?;
    stream.set_read_timeout(None)?;
    match hello {
        Hello::Member { to, .. } if to != house.me => {
            welcome(&mut stream, house.group, &Welcome::NotThatNode { node: house.me })
        }
        Hello::Member { from, .. } => {
            let Some(slot) = house.members.iter().position(|member| *member == from) else {
                return welcome(&mut stream, house.group, &Welcome::NotAMember);
            };
            welcome(&mut stream, house.group, &Welcome::Here { node: house.me })?;
            hear_member(house, Slot::new(u8::try_from(slot).unwrap_or(u8::MAX)), &mut reader)
        }
        Hello::Client => {
            welcome(&mut stream, house.group, &Welcome::Here { node: house.me })?;
            let (replies, outgoing) = sync_channel(REPLIES);
            if house.events.send(Event::Opened(number, replies)).is_err() {
                return Ok(());
            }
            let _ = thread::Builder::new().spawn(move || write_replies(stream, &outgoing));
            let heard = hear_client(house, number, &mut reader);
            let _ = house.events.send(Event::Closed(number));
            heard
        }
    }
}

fn hear_member<S: Service>(
    house: &House<S>,
    slot: Slot,
    reader: &mut BufReader<TcpStream>,
) -> Result<(), frame::Error> {
    let mut buffer = Vec::new();
    loop {
        let message = frame::read(reader, &mut buffer, Kind::Member, house.group)?;
        if house.events.send(Event::Driver(driver::Event::Member(slot, message))).is_err() {
            return Ok(());
        }
    }
}

fn hear_client<S: Service>(
    house: &House<S>,
    number: u64,
    reader: &mut BufReader<TcpStream>,
) -> Result<(), frame::Error> {
    let mut buffer = Vec::new();
    loop {
        let request = frame::read(reader, &mut buffer, Kind::Request, house.group)?;
        if house.events.send(Event::Driver(driver::Event::Request(number, request))).is_err() {
            return Ok(());
        }
    }
}

/// Writes a client's replies, those that wait together in one go.
fn write_replies(mut stream: TcpStream, replies: &Receiver<Vec<u8>>) {
    while let Ok(mut bytes) = replies.recv() {
        replies.try_iter().for_each(|more| bytes.extend(more));
        if stream.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}
