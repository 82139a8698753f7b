//! The host on std threads: IO and timers, nothing else.
//!
//! One thread steps the replica (`node`), one writes to the disk (`disk`), one per other member
//! sends to it (`link`), one accepts connections and two serve each (`accept`). They meet in
//! one channel of events, and all but those that are just connecting end with the node. A node that
//! is recorded has one more (`record`). `client` and `ask` are the other end.

mod accept;
pub mod ask;
pub mod client;
mod disk;
mod link;
pub mod node;
mod record;

use quorate_host::protocol::Welcome;
use quorate_host::{driver, frame};
use std::net::TcpStream;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// How long either side waits for the first frame of the other.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);

/// What reaches the thread that steps.
pub(crate) enum Event<S: quorate_host::protocol::Service> {
    /// Something for the replica.
    Driver(driver::Event<S>),
    /// A client has come; replies go here.
    Opened(u64, SyncSender<Vec<u8>>),
    /// A client has gone.
    Closed(u64),
    /// The disk failed, and why.
    DiskFailed(String),
    /// This node is no member any more.
    Gone(Gone),
    /// The host is asked to stop.
    Stop,
}

/// Why a node is no member any more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gone {
    /// It has left.
    Left,
    /// A later life of it is a member.
    Outlived(quorate::id::Incarnation),
}

/// Says hello on a new connection and waits to be welcomed.
pub(crate) fn greet(
    stream: &mut TcpStream,
    group: quorate::id::GroupId,
    hello: &quorate_host::protocol::Hello,
) -> Result<Welcome, frame::Error> {
    use std::io::Write as _;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANDSHAKE))?;
    stream.set_write_timeout(Some(HANDSHAKE))?;
    stream.write_all(&frame::encode(frame::Kind::Hello, group, hello)?)?;
    let welcome = frame::read(stream, &mut Vec::new(), frame::Kind::Hello, group)?;
    stream.set_read_timeout(None)?;
    Ok(welcome)
}
