//! The file that a node is recorded in.
//!
//! It is opened when the data folder is ours, and written by a thread of its own once the node serves.
//! What was at its place before, if it is a recording, is kept as `FILE.old`: a node that is
//! started again after a crash still has the recording of the crash. What is written is handed to the
//! operating system at once and never synced: a kill loses a moment of it, a power cut more, and
//! what is left is good up to its last whole record.

use super::{MAGIC, Recorder, Tape};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// The most that a recording may take on the disk.
const LIMIT: u64 = 1 << 30;
/// Bytes that may wait to be written. If the disk falls further behind, the recording ends.
const WAITING: usize = 64 << 20;
/// How long a node that ends waits for the rest to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// A recorder that writes to a file, once the data folder is ours. If it cannot be written that is told
/// in one line, and the node does without.
#[must_use]
pub fn recorder(path: &Path) -> Recorder {
    let tape = FileTape { path: path.to_path_buf(), at: At::Rest };
    Recorder::new(Box::new(tape), LIMIT)
}

struct FileTape {
    path: PathBuf,
    at: At,
}

/// How far it has come.
enum At {
    /// Nothing was written yet.
    Rest,
    /// The node is coming back: there is time to wait for the disk.
    Start(File),
    /// The node serves, and waits for nothing.
    Work(Writing),
    End,
}

/// The thread that writes.
struct Writing {
    to: Sender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
    /// Tells why it ended early; and by its end, that all is written.
    ended: Receiver<io::Error>,
}

impl Tape for FileTape {
    fn put(&mut self, bytes: &[u8]) -> bool {
        let done = match &mut self.at {
            At::Rest => open(&self.path).and_then(|mut file| {
                file.write_all(bytes)?;
                self.at = At::Start(file);
                Ok(())
            }),
            At::Start(file) => file.write_all(bytes),
            At::Work(writing) => writing.put(bytes),
            At::End => return false,
        };
        if let Err(error) = &done {
            self.end(&error.to_string());
        }
        done.is_ok()
    }

    fn serve(&mut self) {
        if let At::Start(file) = std::mem::replace(&mut self.at, At::End) {
            match Writing::start(file) {
                Ok(writing) => self.at = At::Work(writing),
                Err(error) => self.end(&error.to_string()),
            }
        }
    }

    fn end(&mut self, why: &str) {
        self.at = At::End;
        eprintln!("quorate: {}: nothing is recorded any more: {why}", self.path.display());
    }
}

impl Writing {
    fn start(file: impl io::Write + Send + 'static) -> io::Result<Self> {
        let (to, pieces) = channel::<Vec<u8>>();
        let (failed, ended) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let written = Arc::clone(&waiting);
        let work = move || {
            if let Err(error) = write(file, &pieces, &written) {
                let _ = failed.send(error);
            }
        };
        thread::Builder::new().name("record".to_owned()).spawn(work)?;
        Ok(Self { to, waiting, ended })
    }

    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let before = self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        if before.saturating_add(bytes.len()) > WAITING {
            return Err(io::Error::other("the disk is too slow"));
        }
        self.to.send(bytes.to_vec()).map_err(|_| {
            let why = self.ended.recv_timeout(Duration::ZERO);
            why.unwrap_or_else(|_| io::Error::other("the thread that writes it has ended"))
        })
    }
}

/// Writes what comes, until nothing can come or the disk fails. Who hands more over hears of that.
fn write(
    mut file: impl io::Write,
    pieces: &Receiver<Vec<u8>>,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    for piece in pieces {
        file.write_all(&piece)?;
        waiting.fetch_sub(piece.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// A node that ends leaves a whole recording, if the disk is not stuck.
impl Drop for FileTape {
    fn drop(&mut self) {
        if let At::Work(Writing { to, ended, .. }) = std::mem::replace(&mut self.at, At::End) {
            drop(to);
            let _ = ended.recv_timeout(PATIENCE);
        }
    }
}

/// A new file. A recording that is there already is set aside; anything else is left alone.
fn open(path: &Path) -> io::Result<File> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => {
            let mut front = Vec::new();
            File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut front)?;
            if !front.is_empty() && !front.starts_with(&MAGIC[..7]) {
                return Err(io::Error::other("there is another file, which is no recording"));
            }
            let mut aside = path.as_os_str().to_owned();
            aside.push(".old");
            std::fs::rename(path, aside)?;
        }
        Ok(_) => return Err(io::Error::other("it is no file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    File::options().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes what it is given once it is let go, and then fails.
    struct Stuck(Receiver<()>);

    impl io::Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Err(io::Error::other("no room"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_falls_behind_ends_the_recording_and_makes_nobody_wait() {
        let (let_go, held) = channel();
        let writing = Writing::start(Stuck(held)).unwrap();
        let piece = vec![0; 1 << 20];
        let taken = (0..200).take_while(|_| writing.put(&piece).is_ok()).count();
        assert_eq!(taken, WAITING >> 20);
        drop(let_go);
    }

    #[test]
    fn a_disk_that_fails_is_heard_of_with_the_next_bytes() {
        let (let_go, held) = channel();
        let writing = Writing::start(Stuck(held)).unwrap();
        writing.put(b"one").unwrap();
        drop(let_go);
        let told = std::iter::repeat_with(|| {
            thread::sleep(Duration::from_millis(1));
            writing.put(b"more")
        });
        let why = told.take(10_000).find_map(Result::err).expect("it fails");
        assert_eq!(why.to_string(), "no room");
    }
}
