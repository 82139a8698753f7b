//! The threads that listen: one accepts, and each connection has one that reads and, if it is a
//! client's, one that writes.

use crate::node::put;
use quorate::id::{GroupId, Members, Slot};
use quorate_host::driver;
use quorate_host::frame::{self, Kind};
use quorate_host::guests::{Guest, Guests, HANDSHAKE, House, IDLE, PAUSE, REPLIES};
use quorate_host::protocol::{Service, Welcome};
use quorate_host::work::Event;
use std::io::{BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What every connection needs to know.
pub(crate) struct Front<S: Service> {
    pub(crate) house: House,
    pub(crate) events: SyncSender<Event<S>>,
    pub(crate) door: Arc<Door>,
}

/// Every open connection, so that they end with the node.
pub(crate) struct Door {
    /// Where the node listens.
    address: SocketAddr,
    /// None once the node has ended.
    guests: Mutex<Option<Guests<Arc<TcpStream>>>>,
}

impl Door {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, guests: Mutex::new(Some(Guests::default())) }
    }

    fn guests(&self) -> MutexGuard<'_, Option<Guests<Arc<TcpStream>>>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.guests().is_none()
    }

    fn enter(&self, number: u64, stream: &Arc<TcpStream>) -> bool {
        self.guests().as_mut().is_some_and(|guests| guests.enter(number, Arc::clone(stream)))
    }

    fn introduce(&self, number: u64, guest: Guest) -> bool {
        let end = |former: &Arc<TcpStream>| {
            let _ = former.shutdown(Shutdown::Both);
        };
        self.guests().as_mut().is_some_and(|guests| guests.introduce(number, guest, end))
    }

    /// Ends the connections of all members but these.
    pub(crate) fn keep(&self, members: Members) {
        let end = |stream: &Arc<TcpStream>| {
            let _ = stream.shutdown(Shutdown::Both);
        };
        self.guests().iter().for_each(|guests| guests.keep(members, end));
    }

    fn leave(&self, number: u64) {
        if let Some(guests) = self.guests().as_mut() {
            guests.leave(number);
        }
    }

    /// Ends a connection at once, whatever is still to be written.
    pub(crate) fn turn_out(&self, number: u64) {
        if let Some(stream) = self.guests().as_mut().and_then(|guests| guests.leave(number)) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends every connection, and the wait for another. Clients are not heard any more, and are left
    /// when they have their replies.
    pub(crate) fn close(&self) {
        for (guest, stream) in self.guests().take().iter().flat_map(Guests::iter) {
            let how = if guest == Guest::Client { Shutdown::Read } else { Shutdown::Both };
            let _ = stream.shutdown(how);
        }
        // The thread that accepts looks up when somebody comes: somebody does.
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let _ = TcpStream::connect_timeout(&address, HANDSHAKE);
    }
}

/// A connection for as long as it is served, however that ends.
struct Visit<'a>(&'a Door, u64);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// Accepts connections until the door is closed.
pub(crate) fn run<S: Service>(front: Front<S>, listener: &TcpListener) {
    let front = Arc::new(front);
    for number in 1_u64.. {
        let accepted = listener.accept();
        if front.door.is_closed() {
            return;
        }
        let Ok((stream, from)) = accepted else {
            thread::sleep(PAUSE);
            continue;
        };
        let stream = Arc::new(stream);
        if !front.door.enter(number, &stream) {
            let _ = welcome(&stream, front.house.group, &Welcome::Full);
            continue;
        }
        let served_by = Arc::clone(&front);
        let served = thread::Builder::new().spawn(move || {
            let front = &*served_by;
            let _visit = Visit(&front.door, number);
            serve(front, number, from, &stream);
        });
        if served.is_err() {
            front.door.leave(number);
        }
    }
}

fn welcome(mut stream: &TcpStream, group: GroupId, welcome: &Welcome) -> Result<(), frame::Error> {
    Ok(stream.write_all(&frame::encode(Kind::Hello, group, welcome)?)?)
}

/// Serves one connection to its end; what ends it early is worth a line.
fn serve<S: Service>(front: &Front<S>, number: u64, from: SocketAddr, stream: &Arc<TcpStream>) {
    match listen(front, number, stream) {
        Ok(()) | Err(frame::Error::Closed | frame::Error::Io(_)) => {}
        Err(error) => eprintln!("quorate: connection from {from} dropped: {error}"),
    }
}

fn listen<S: Service>(
    front: &Front<S>,
    number: u64,
    stream: &Arc<TcpStream>,
) -> Result<(), frame::Error> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANDSHAKE))?;
    stream.set_write_timeout(Some(HANDSHAKE))?;
    let mut reader = BufReader::with_capacity(64 << 10, &**stream);
    let house = &front.house;
    let hello = frame::read(&mut reader, &mut Vec::new(), Kind::Hello, house.group);
    if let Err(frame::Error::Group { .. }) = hello {
        // The frame of the answer says which group is served here, whatever stands in it.
        welcome(stream, house.group, &Welcome::NotAMember)?;
    }
    let (guest, said) = match house.receive(&hello?) {
        Err(refusal) => return welcome(stream, house.group, &refusal),
        Ok((guest, said)) if front.door.introduce(number, guest) => (guest, said),
        Ok(_) => return welcome(stream, house.group, &Welcome::Full),
    };
    welcome(stream, house.group, &house.here())?;
    match guest {
        Guest::Stranger => Ok(()),
        Guest::Member(slot) => {
            stream.set_read_timeout(None)?;
            let said = said.map(|(life, address)| driver::Event::Introduced(slot, life, address));
            if said.is_some_and(|said| front.events.send(Event::Driver(said)).is_err()) {
                return Ok(());
            }
            hear_member(front, slot, &mut reader)
        }
        Guest::Client => {
            stream.set_read_timeout(Some(IDLE))?;
            let (replies, outgoing) = sync_channel(REPLIES);
            let written = Arc::clone(stream);
            thread::Builder::new().spawn(move || write_replies(&written, &outgoing))?;
            if front.events.send(Event::Opened(number, put(replies))).is_err() {
                return Ok(());
            }
            let heard = hear_client(front, number, &mut reader);
            let _ = front.events.send(Event::Closed(number));
            heard
        }
    }
}

fn hear_member<S: Service>(
    front: &Front<S>,
    slot: Slot,
    reader: &mut BufReader<&TcpStream>,
) -> Result<(), frame::Error> {
    let mut buffer = Vec::new();
    loop {
        let message = frame::read(reader, &mut buffer, Kind::Member, front.house.group)?;
        if front.events.send(Event::Driver(driver::Event::Member(slot, message))).is_err() {
            return Ok(());
        }
    }
}

fn hear_client<S: Service>(
    front: &Front<S>,
    number: u64,
    reader: &mut BufReader<&TcpStream>,
) -> Result<(), frame::Error> {
    let mut buffer = Vec::new();
    loop {
        let request = frame::read(reader, &mut buffer, Kind::Request, front.house.group)?;
        if front.events.send(Event::Driver(driver::Event::Request(number, request))).is_err() {
            return Ok(());
        }
    }
}

/// Writes a client's replies, those that wait together in one go.
fn write_replies(mut stream: &TcpStream, replies: &Receiver<Vec<u8>>) {
    while let Ok(mut bytes) = replies.recv() {
        replies.try_iter().for_each(|more| bytes.extend(more));
        if stream.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}
