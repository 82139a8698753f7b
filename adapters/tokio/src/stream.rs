//! Frames on a socket, and a client's connection to a node.

use quorate::id::{GroupId, NodeId};
use quorate_host::asking::{Trouble, welcomed};
use quorate_host::frame::{self, Kind};
use quorate_host::inbox::Inbox;
use quorate_host::protocol::{Hello, Welcome};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How much is asked of the operating system at once.
const PIECE: usize = 16 << 10;

/// Reads a frame. To drop this before it is ready loses nothing: what has come is in the inbox.
pub(crate) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    inbox: &mut Inbox,
    kind: Kind,
    group: GroupId,
) -> Result<T, frame::Error> {
    loop {
        if let Some(value) = inbox.take(kind, group)? {
            return Ok(value);
        }
        let room = inbox.room();
        room.reserve(PIECE);
        if from.read_buf(room).await? == 0 {
            return Err(frame::Error::Closed);
        }
    }
}

/// Writes a hello, or the answer to one.
pub(crate) async fn say<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    group: GroupId,
    what: &T,
) -> Result<(), frame::Error> {
    Ok(to.write_all(&frame::encode(Kind::Hello, group, what)?).await?)
}

/// Says hello on a new connection and waits to be welcomed.
pub(crate) async fn greet(
    stream: &mut TcpStream,
    inbox: &mut Inbox,
    group: GroupId,
    hello: &Hello,
) -> Result<Welcome, frame::Error> {
    stream.set_nodelay(true)?;
    say(stream, group, hello).await?;
    read(stream, inbox, Kind::Hello, group).await
}

/// A client's connection to a node, welcomed.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    inbox: Inbox,
    group: GroupId,
}

impl Line {
    pub(crate) async fn open(
        address: &str,
        group: GroupId,
        until: Instant,
    ) -> Result<(Self, NodeId), Trouble> {
        let connected = timeout_at(until, TcpStream::connect(address)).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let mut stream = connected.map_err(|error| Trouble::unreachable(&error))?;
        let mut inbox = Inbox::default();
        let greeted = timeout_at(until, greet(&mut stream, &mut inbox, group, &Hello::Client));
        let welcome = greeted.await.map_err(|_| Trouble::silence())?;
        let welcome = welcome.map_err(|error| Trouble::unwelcomed(&error, group))?;
        Ok((Self { stream, inbox, group }, welcomed(&welcome)?))
    }

    pub(crate) async fn write(&mut self, frame: &[u8], until: Instant) -> Result<(), frame::Error> {
        let written = timeout_at(until, self.stream.write_all(frame)).await;
        Ok(written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    }

    /// Waits for a reply; none if it has not come whole in time.
    pub(crate) async fn reply<T: DeserializeOwned>(
        &mut self,
        until: Instant,
    ) -> Result<Option<T>, frame::Error> {
        let reply = read(&mut self.stream, &mut self.inbox, Kind::Reply, self.group);
        timeout_at(until, reply).await.map_or(Ok(None), |reply| reply.map(Some))
    }
}
