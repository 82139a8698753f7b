//! The threads that listen: one accepts, and each connection has one that reads and, if it is a
//! client's, one that writes.

use crate::{Event, HANDSHAKE};
use quorate::id::{GroupId, Slot};
use quorate::membership::roster::Life;
use quorate_host::book::Book;
use quorate_host::driver;
use quorate_host::frame::{self, Kind};
use quorate_host::protocol::{Hello, Service, Welcome};
use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

/// Connections open at once, and how many of them may be clients': a member always finds room.
const CONNECTIONS: usize = 1_024;
const CLIENTS: usize = 896;
/// Replies that may wait for a client that does not read them; then it is dropped.
pub(crate) const REPLIES: usize = 4_096;
/// A client that has asked nothing for so long is taken for gone: its machine may have lost power.
const IDLE: Duration = Duration::from_secs(600);
/// The pause after the operating system gave no connection, for want of files perhaps.
const PAUSE: Duration = Duration::from_millis(50);

/// What every connection needs to know.
pub(crate) struct House<S: Service> {
    pub(crate) group: GroupId,
    pub(crate) book: SharedBook,
    pub(crate) events: SyncSender<Event<S>>,
    pub(crate) door: Arc<Door>,
}

/// The address book as the thread that steps last left it.
#[derive(Clone)]
pub(crate) struct SharedBook(Arc<RwLock<Book>>);

impl SharedBook {
    pub(crate) fn new(book: Book) -> Self {
        Self(Arc::new(RwLock::new(book)))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn replace(&self, book: &Book) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clone_from(book);
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guest {
    Stranger,
    Client,
    Member(Slot, Life),
}

impl Guest {
    /// Whether there is room for only one of the two.
    fn displaces(self, other: Self) -> bool {
        matches!((self, other), (Self::Member(slot, _), Self::Member(known, _)) if slot == known)
    }
}

/// By number.
type Guests = BTreeMap<u64, (Guest, Arc<TcpStream>)>;

/// Every open connection, so that they end with the node.
pub(crate) struct Door {
    /// Where the node listens.
    address: SocketAddr,
    /// None once the node has ended.
    guests: Mutex<Option<Guests>>,
}

impl Door {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, guests: Mutex::new(Some(BTreeMap::new())) }
    }

    fn guests(&self) -> MutexGuard<'_, Option<Guests>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.guests().is_none()
    }

    /// Lets a connection in, if there is room.
    fn enter(&self, number: u64, stream: &Arc<TcpStream>) -> bool {
        let mut guests = self.guests();
        let Some(guests) = guests.as_mut().filter(|guests| guests.len() < CONNECTIONS) else {
            return false;
        };
        guests.insert(number, (Guest::Stranger, Arc::clone(stream)));
        true
    }

    /// Notes who it is, if there is room for one more such. A member has one connection: the one
    /// before is of its former life, or its machine has lost power since.
    fn introduce(&self, number: u64, guest: Guest) -> bool {
        let mut guests = self.guests();
        let Some(guests) = guests.as_mut() else { return false };
        let clients = guests.values().filter(|(other, _)| *other == Guest::Client);
        if guest == Guest::Client && clients.count() >= CLIENTS {
            return false;
        }
        for (_, former) in guests.values().filter(|(other, _)| guest.displaces(*other)) {
            let _ = former.shutdown(Shutdown::Both);
        }
        if let Some((known, _)) = guests.get_mut(&number) {
            *known = guest;
        }
        true
    }

    /// Ends the connections of members that others took the place of, or nobody.
    pub(crate) fn keep(&self, book: &Book) {
        for (guest, stream) in self.guests().iter().flat_map(|guests| guests.values()) {
            if matches!(guest, Guest::Member(slot, life) if !book.counts(*slot, *life)) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn leave(&self, number: u64) {
        if let Some(guests) = self.guests().as_mut() {
            guests.remove(&number);
        }
    }

    /// Ends every connection, and the wait for another.
    pub(crate) fn close(&self) {
        for (_, stream) in self.guests().take().into_iter().flatten().map(|(_, guest)| guest) {
            let _ = stream.shutdown(Shutdown::Both);
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
pub(crate) fn run<S: Service>(house: House<S>, listener: &TcpListener) {
    let house = Arc::new(house);
    for number in 1_u64.. {
        let accepted = listener.accept();
        if house.door.is_closed() {
            return;
        }
        let Ok((stream, from)) = accepted else {
            thread::sleep(PAUSE);
            continue;
        };
        let stream = Arc::new(stream);
        if !house.door.enter(number, &stream) {
            let _ = welcome(&stream, house.group, &Welcome::Full);
            continue;
        }
        let guests_house = Arc::clone(&house);
        let served = thread::Builder::new().spawn(move || {
            let _visit = Visit(&guests_house.door, number);
            serve(&guests_house, number, from, &stream);
        });
        if served.is_err() {
            house.door.leave(number);
        }
    }
}

fn welcome(mut stream: &TcpStream, group: GroupId, welcome: &Welcome) -> Result<(), frame::Error> {
    Ok(stream.write_all(&frame::encode(Kind::Hello, group, welcome)?)?)
}

/// Serves one connection to its end; what ends it early is worth a line.
fn serve<S: Service>(house: &House<S>, number: u64, from: SocketAddr, stream: &Arc<TcpStream>) {
    match listen(house, number, stream) {
        Ok(()) | Err(frame::Error::Closed | frame::Error::Io(_)) => {}
        Err(error) => eprintln!("quorate: connection from {from} dropped: {error}"),
    }
}

fn listen<S: Service>(
    house: &House<S>,
    number: u64,
    stream: &Arc<TcpStream>,
) -> Result<(), frame::Error> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANDSHAKE))?;
    stream.set_write_timeout(Some(HANDSHAKE))?;
    let mut reader = BufReader::with_capacity(64 << 10, &**stream);
    let hello = frame::read(&mut reader, &mut Vec::new(), Kind::Hello, house.group);
    if let Err(frame::Error::Group { .. }) = hello {
        // The frame of the answer says which group is served here, whatever stands in it.
        welcome(stream, house.group, &Welcome::NotAMember)?;
    }
    let hello: Hello = hello?;
    let me = house.book.read().me().node;
    match hello {
        Hello::Member { from, since, address, to, incarnation } => {
            let met = {
                // Who is let go meanwhile is among the guests by then, and is seen out.
                let book = house.book.read();
                let met = book.meet(from, since, (to, incarnation));
                met.inspect(|slot| {
                    house.door.introduce(number, Guest::Member(*slot, from));
                })
            };
            let slot = match met {
                Ok(slot) => slot,
                Err(why) => return welcome(stream, house.group, &why),
            };
            welcome(stream, house.group, &Welcome::Here { node: me })?;
            stream.set_read_timeout(None)?;
            let introduced = driver::Event::Introduced(slot, from, address);
            if house.events.send(Event::Driver(introduced)).is_err() {
                return Ok(());
            }
            hear_member(house, slot, &mut reader)
        }
        Hello::Client => {
            if !house.door.introduce(number, Guest::Client) {
                return welcome(stream, house.group, &Welcome::Full);
            }
            welcome(stream, house.group, &Welcome::Here { node: me })?;
            stream.set_read_timeout(Some(IDLE))?;
            let (replies, outgoing) = sync_channel(REPLIES);
            let written = Arc::clone(stream);
            thread::Builder::new().spawn(move || write_replies(&written, &outgoing))?;
            if house.events.send(Event::Opened(number, replies)).is_err() {
                return Ok(());
            }
            let heard = hear_client(house, number, &mut reader);
            let _ = house.events.send(Event::Closed(number));
            heard
        }
    }
}

fn hear_member<S: Service>(
    house: &House<S>,
    slot: Slot,
    reader: &mut BufReader<&TcpStream>,
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
    reader: &mut BufReader<&TcpStream>,
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
fn write_replies(mut stream: &TcpStream, replies: &Receiver<Vec<u8>>) {
    while let Ok(mut bytes) = replies.recv() {
        replies.try_iter().for_each(|more| bytes.extend(more));
        if stream.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate::id::{Incarnation, Index, NodeId};
    use quorate_host::book::{Entry, Page};
    use std::io::Read as _;

    /// A door, and both ends of a connection.
    fn door() -> (Door, Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let far = TcpStream::connect(address).unwrap();
        far.set_read_timeout(Some(HANDSHAKE)).unwrap();
        (Door::new(address), Arc::new(listener.accept().unwrap().0), far)
    }

    fn member(slot: u8, node: u64) -> Guest {
        let (node, incarnation) = (NodeId::new(node), Incarnation::new(7));
        Guest::Member(Slot::new(slot), Life { node, incarnation })
    }

    #[test]
    fn clients_leave_room_for_members() {
        let (door, stream, _far) = door();
        let all = 0..CONNECTIONS as u64;
        let clients = all.filter(|&n| door.enter(n, &stream) && door.introduce(n, Guest::Client));
        assert_eq!(clients.count(), CLIENTS);
        door.leave(CONNECTIONS as u64 - 1);
        let number = CONNECTIONS as u64;
        assert!(door.enter(number, &stream));
        assert!(door.introduce(number, member(1, 2)));
        assert!(!door.enter(number + 1, &stream), "but not for more than there is room for");
    }

    #[test]
    fn a_member_that_comes_again_takes_the_place_of_its_former_connection() {
        let ((door, former, mut far), (_, stream, _)) = (door(), door());
        let guest = member(1, 2);
        assert!(door.enter(1, &former) && door.introduce(1, guest));
        assert!(door.enter(2, &stream) && door.introduce(2, guest));
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "the former one is closed");
    }

    // A node that is given the slot of one that has left may come while that one's word is still heard.
    #[test]
    fn whoever_has_left_is_seen_out_although_another_has_its_slot() {
        let ((door, stream, mut far), (_, other, _)) = (door(), door());
        let (here, there) = (member(1, 2), member(2, 3));
        assert!(door.enter(1, &stream) && door.introduce(1, here));
        assert!(door.enter(2, &other) && door.introduce(2, there));
        let entry = |node| Entry {
            node: NodeId::new(node),
            incarnation: Some(Incarnation::new(7)),
            since: Index::new(node),
            address: String::new(),
            leaves: false,
        };
        let me = Life { node: NodeId::new(1), incarnation: Incarnation::new(7) };
        let members = [(Slot::new(1), entry(9)), (Slot::new(2), entry(3))].into();
        let page = Page { members, ..Page::default() };
        let book = Book::new((me, Slot::new(0), Index::ZERO), Default::default(), [].into(), page);
        door.keep(&book);
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "node 2 is not listened to any more");
        assert!(other.peek(&mut []).is_ok() && other.take_error().unwrap().is_none());
    }
}
