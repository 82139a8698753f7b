//! The thread that sends to one other member: connects, says who speaks, sends; then again.

use crate::greet;
use quorate_host::frame;
use quorate_host::guests::{Ends, NoLink, PAUSE, linked};
use quorate_host::work::Gone;
use std::io::{ErrorKind, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How long a connection attempt, or a write, may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a link is idle before it looks whether the other side has hung up: so a node learns that it
/// was let go even if it has nothing to say.
const PULSE: Duration = Duration::from_millis(500);

/// Sends frames until there is nobody left to hand any over. Frames that wait while there is no
/// connection are old news, and dropped: the protocol sends again what matters.
pub(crate) fn run(ends: &Ends, frames: &Receiver<Arc<[u8]>>, gone: impl Fn(Gone)) {
    let mut complained = false;
    loop {
        match connect(ends) {
            Ok(mut stream) => {
                complained = false;
                frames.try_iter().for_each(drop);
                loop {
                    let is_lost = match frames.recv_timeout(PULSE) {
                        Ok(frame) => stream.write_all(&frame).is_err(),
                        Err(RecvTimeoutError::Timeout) => is_closed(&stream),
                        Err(RecvTimeoutError::Disconnected) => return,
                    };
                    if is_lost {
                        break;
                    }
                }
            }
            Err(NoLink::Misfit(misfit)) if !complained => {
                complained = true;
                eprintln!("quorate: node {} at {}: {misfit}", ends.to, ends.address);
            }
            Err(NoLink::Over(why)) => return gone(why),
            Err(NoLink::Silent | NoLink::Misfit(_)) => {}
        }
        // A dead node must not keep this thread alive after its own.
        match frames.recv_timeout(PAUSE) {
            Err(RecvTimeoutError::Disconnected) => return,
            _ => frames.try_iter().for_each(drop),
        }
    }
}

/// Whether the other side has hung up. It never says anything after its welcome.
fn is_closed(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let is_open = looked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    !is_open || stream.set_nonblocking(false).is_err()
}

fn connect(ends: &Ends) -> Result<TcpStream, NoLink> {
    let addresses = ends.address.to_socket_addrs();
    let addresses = addresses.map_err(|error| NoLink::Misfit(error.to_string()))?;
    let mut stream = addresses
        .into_iter()
        .find_map(|address| TcpStream::connect_timeout(&address, PATIENCE).ok())
        .ok_or(NoLink::Silent)?;
    match greet(&mut stream, ends.group, &ends.hello) {
        Ok(welcome) => linked(&welcome)?,
        Err(frame::Error::Closed | frame::Error::Io(_)) => return Err(NoLink::Silent),
        Err(error) => return Err(NoLink::Misfit(error.to_string())),
    }
    stream.set_write_timeout(Some(PATIENCE)).map_err(|_| NoLink::Silent)?;
    Ok(stream)
}
