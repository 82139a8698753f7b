//! The task that sends to one other member: connects, says who speaks, sends; then again.

use crate::stream::greet;
use quorate_host::frame;
use quorate_host::guests::{Ends, HANDSHAKE, PAUSE, complaint};
use quorate_host::inbox::Inbox;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// How long a connection attempt, or a write, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends frames until there is nobody left to hand any over. Frames that wait while there is no
/// connection are old news, and dropped: the protocol sends again what matters.
pub(crate) async fn run(ends: Ends, mut frames: Receiver<Arc<[u8]>>) {
    let mut complained = false;
    loop {
        match connect(&ends).await {
            Ok(mut stream) => {
                complained = false;
                while frames.try_recv().is_ok() {}
                loop {
                    let Some(frame) = frames.recv().await else { return };
                    if !matches!(timeout(PATIENCE, stream.write_all(&frame)).await, Ok(Ok(()))) {
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
        // A dead node must not keep this task alive after its own.
        if matches!(timeout(PAUSE, frames.recv()).await, Ok(None)) {
            return;
        }
        while frames.try_recv().is_ok() {}
    }
}

/// Connects; an error with a text is one that waiting will not mend.
async fn connect(ends: &Ends) -> Result<TcpStream, Option<String>> {
    let connected = timeout(PATIENCE, TcpStream::connect(&ends.address)).await.map_err(|_| None)?;
    let mut stream =
        connected.map_err(|error| error.raw_os_error().is_none().then(|| error.to_string()))?;
    let mut inbox = Inbox::default();
    let hello = ends.hello();
    let greeted = timeout(HANDSHAKE, greet(&mut stream, &mut inbox, ends.group, &hello));
    match greeted.await.map_err(|_| None)? {
        Ok(welcome) => complaint(&welcome, ends.from).map_or(Ok(stream), |why| Err(Some(why))),
        Err(frame::Error::Closed | frame::Error::Io(_)) => Err(None),
        Err(error) => Err(Some(error.to_string())),
    }
}
