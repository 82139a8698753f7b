//! The host on std threads: IO and timers, nothing else.
//!
//! One thread steps the replica (`node`), one writes to the disk, one per other member sends to it
//! (`link`), one accepts connections and two serve each (`accept`). They meet in one channel of
//! events, and all but those that are just connecting end with the node. `client` and `ask` are the other end.
//! What any host does with all that is in `quorate_host`.

mod accept;
pub mod ask;
pub mod client;
pub mod council;
mod link;
pub mod node;

use quorate_host::frame;
use quorate_host::guests::HANDSHAKE;
use quorate_host::protocol::Welcome;
use std::net::TcpStream;

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
