//! The thread that sends to one other member: connects, says who speaks, sends; then again.

use crate::greet;
use quorate_host::guests::{Ends, PAUSE, complaint};
use std::io::Write as _;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// How long a connection attempt, or a write, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends frames until there is nobody left to hand any over. Frames that wait while there is no
/// connection are old news, and dropped: the protocol sends again what matters.
pub(crate) fn run(ends: &Ends, frames: &Receiver<Arc<[u8]>>) {
    let mut complained = false;
    loop {
        match connect(ends) {
            Ok(mut stream) => {
                complained = false;
                frames.try_iter().for_each(drop);
                loop {
                    let Ok(frame) = frames.recv() else { return };
                    if stream.write_all(&frame).is_err() {
                        break;
                    }
                }
            }
            Err(Some(misfit)) if !complained => {
                complained = true;
                eprintln!("quorate: node {} at {}: {misfit}", ends.to, ends.address);
            }
            Err(_) => {}
        }
        // A dead node must not keep this thread alive after its own.
        match frames.recv_timeout(PAUSE) {
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
            _ => frames.try_iter().for_each(drop),
        }
    }
}

/// Connects; an error with a text is one that waiting will not mend.
fn connect(ends: &Ends) -> Result<TcpStream, Option<String>> {
    let addresses = ends.address.to_socket_addrs().map_err(|error| Some(error.to_string()))?;
    let mut stream = addresses
        .into_iter()
        .find_map(|address| TcpStream::connect_timeout(&address, PATIENCE).ok())
        .ok_or(None)?;
    match greet(&mut stream, ends.group, &ends.hello()) {
        Ok(welcome) => complaint(&welcome, ends.from).map_or(Ok(()), |why| Err(Some(why)))?,
        Err(quorate_host::frame::Error::Closed | quorate_host::frame::Error::Io(_)) => {
            return Err(None);
        }
        Err(error) => return Err(Some(error.to_string())),
    }
    stream.set_write_timeout(Some(PATIENCE)).map_err(|_| None)?;
    Ok(stream)
}
