//! Links between nodes that can be cut: each is a port that forwards to a node's own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// One direction between two nodes.
pub(super) struct Link {
    /// The port to use in place of the node's own.
    pub(super) address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Link {
    /// Opens a port that forwards to `target`.
    pub(super) fn open(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let link = Self {
            address: listener.local_addr()?,
            is_cut: Arc::new(AtomicBool::new(false)),
            open: Arc::new(Mutex::new(Vec::new())),
        };
        let (is_cut, open) = (Arc::clone(&link.is_cut), Arc::clone(&link.open));
        thread::Builder::new().name("relay".to_owned()).spawn(move || {
            for near in listener.incoming().flatten() {
                if is_cut.load(Ordering::SeqCst) {
                    continue; // Dropping it is what a broken link does.
                }
                let Ok(far) = TcpStream::connect(target) else { continue };
                forward(near, far, &open);
            }
        })?;
        Ok(link)
    }

    /// Breaks the link, with everything that is under way on it.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Mends the link.
    pub(super) fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

/// Carries bytes both ways until either end is gone.
fn forward(near: TcpStream, far: TcpStream, open: &Mutex<Vec<TcpStream>>) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ends = (near.try_clone(), far.try_clone(), near.try_clone(), far.try_clone());
    let (Ok(near_in), Ok(far_out), Ok(near_kept), Ok(far_kept)) = ends else { return };
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|stream| stream.peer_addr().is_ok());
    open.extend([near_kept, far_kept]);
    for (from, to) in [(near_in, far_out), (far, near)] {
        let _ = thread::Builder::new().name("relay".to_owned()).spawn(move || carry(from, to));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..count) else { break };
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
