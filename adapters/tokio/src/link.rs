//! The task that sends to one other member: connects, says who speaks, sends; then again.

use crate::stream::greet;
use quorate_host::frame;
use quorate_host::guests::{Ends, HANDSHAKE, NoLink, PAUSE, linked};
use quorate_host::inbox::Inbox;
use quorate_host::work::Gone;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::select;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// How long a connection attempt, or a write, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends frames until there is nobody left to hand any over. Frames that wait while there is no
/// connection are old news, and dropped: the protocol sends again what matters. Tells if this node is a
/// member no more.
pub(crate) async fn run(ends: Ends, mut frames: Receiver<Arc<[u8]>>) -> Option<Gone> {
    let mut complained = false;
    loop {
        match connect(&ends).await {
            Ok(mut stream) => {
                complained = false;
                while frames.try_recv().is_ok() {}
                loop {
                    let frame = select! {
                        frame = frames.recv() => frame?,
                        // The other side never says anything after its welcome: it has hung up.
                        _ = stream.read_u8() => break,
                    };
                    if !matches!(timeout(PATIENCE, stream.write_all(&frame)).await, Ok(Ok(()))) {
                        break;
                    }
                }
            }
            Err(NoLink::Misfit(misfit)) if !complained => {
                complained = true;
                eprintln!("quorate: node {} at {}: {misfit}", ends.to, ends.address);
            }
            Err(NoLink::Over(gone)) => return Some(gone),
            Err(NoLink::Silent | NoLink::Misfit(_)) => {}
        }
        // A dead node must not keep this task alive after its own.
        if matches!(timeout(PAUSE, frames.recv()).await, Ok(None)) {
            return None;
        }
        while frames.try_recv().is_ok() {}
    }
}

async fn connect(ends: &Ends) -> Result<TcpStream, NoLink> {
    let connected = timeout(PATIENCE, TcpStream::connect(&ends.address)).await;
    let mut stream = match connected.map_err(|_| NoLink::Silent)? {
        Ok(stream) => stream,
        Err(error) if error.raw_os_error().is_some() => return Err(NoLink::Silent),
        Err(error) => return Err(NoLink::Misfit(error.to_string())), // Of a name that was looked up.
    };
    let mut inbox = Inbox::default();
    let greeted = timeout(HANDSHAKE, greet(&mut stream, &mut inbox, ends.group, &ends.hello));
    match greeted.await.map_err(|_| NoLink::Silent)? {
        Ok(welcome) => linked(&welcome).map(|()| stream),
        Err(frame::Error::Closed | frame::Error::Io(_)) => Err(NoLink::Silent),
        Err(error) => Err(NoLink::Misfit(error.to_string())),
    }
}
