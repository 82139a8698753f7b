//! Writes a recording while a node serves.

use super::witness::Witness;
use super::{Chronicle, Head, MAGIC, Record, Sum};
use crate::protocol::Service;
use quorate::Refused;
use quorate::raft::{Snapshot, Write};
use quorate::replica::{Entry, Input, Output, Replica};
use quorate::time::Now;
use serde::Serialize;
use std::fmt;

/// What a recording is written on: the runtime's file.
pub trait Tape: Send {
    /// Takes the next bytes. It may take its time until [`serve`](Tape::serve) and must not block
    /// from then on. If it takes no more it returns false, and has said why if that is worth saying.
    fn put(&mut self, bytes: &[u8]) -> bool;

    /// The replica is back: from here on the node serves.
    fn serve(&mut self);

    /// Says in one line why the recording ends here.
    fn end(&mut self, why: &str);
}

/// Records one life of a node. Whatever happens to it, the node goes on.
pub struct Recorder {
    tape: Box<dyn Tape>,
    /// How many bytes may still be written.
    room: u64,
    is_over: bool,
    witness: Witness,
    chronicle: Chronicle,
    /// Whole records that wait to be handed over.
    whole: Vec<u8>,
    /// The content of the step that is being taken, and empty between steps.
    open: Vec<u8>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// Room that is kept for saying that there is no more.
const LAST_WORDS: u64 = 32;

impl Recorder {
    /// A recorder that writes at most so many bytes.
    #[must_use]
    pub fn new(tape: Box<dyn Tape>, limit: u64) -> Self {
        Self {
            tape,
            room: limit.saturating_sub(LAST_WORDS),
            is_over: false,
            witness: Witness::default(),
            chronicle: Chronicle::default(),
            whole: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Records what a node is set up with, and its snapshot. Before this the tape is not touched:
    /// the data folder may turn out to be another's, and so the tape.
    pub(crate) fn head(&mut self, head: Head, snapshot: Option<(Snapshot, &[u8])>) {
        self.whole.extend_from_slice(&MAGIC);
        self.record(&Record::<()>::Head(head));
        if let Some((snapshot, bytes)) = snapshot {
            self.record(&Record::<()>::Snapshot(snapshot, bytes.into()));
        }
    }

    /// Records a write of a former life.
    pub(crate) fn write<C: Clone + Serialize>(&mut self, write: &Write, entries: &[Entry<C>]) {
        self.record(&Record::Write(*write, entries.into()));
        self.flush();
    }

    /// Records that the replica is back.
    pub(crate) fn begin<S: Service>(&mut self, replica: &Replica<S>) {
        let sum = self.witness.begin(replica);
        self.record(&Record::<()>::Begun(sum));
        self.flush();
        if !self.is_over {
            self.tape.serve();
        }
    }

    /// Records an input before its step, for a step may not come back.
    pub(crate) fn before<C: Clone + Serialize>(&mut self, now: Now, input: &Input<'_, C>) {
        if self.is_over {
            return;
        }
        let lapse = self.chronicle.note(now);
        let Some(form) = self.witness.form(input) else {
            return self.end("the disk confirms what was not written");
        };
        match postcard::to_stdvec(&Record::Step(lapse, form)) {
            Ok(open) => self.open = open,
            Err(_) => self.end("a command has no form in bytes"),
        }
    }

    /// Records what came of it.
    pub(crate) fn after<S: Service>(
        &mut self,
        stepped: Result<(), Refused>,
        outputs: &[Output],
        replica: &Replica<S>,
    ) {
        if self.is_over {
            return;
        }
        let sum = self.witness.see(stepped, outputs, replica);
        self.seal(Some(sum));
    }

    /// Hands over what has gathered; to be called now and then.
    pub(crate) fn flush(&mut self) {
        if !self.is_over && !self.whole.is_empty() {
            self.is_over = !self.tape.put(&self.whole);
            self.whole.clear();
        }
    }

    /// Ends the step that is being taken.
    fn seal(&mut self, sum: Option<Sum>) {
        let open = std::mem::take(&mut self.open);
        match postcard::to_extend(&sum, open) {
            Ok(content) => self.append(&content),
            Err(_) => self.end("a sum has no form in bytes"),
        }
    }

    fn record<C: Clone + Serialize>(&mut self, record: &Record<'_, C>) {
        if self.is_over {
            return;
        }
        match postcard::to_stdvec(record) {
            Ok(content) => self.append(&content),
            Err(_) => self.end("a command has no form in bytes"),
        }
    }

    /// Appends a record, if there is room for it.
    fn append(&mut self, content: &[u8]) {
        let before = self.whole.len();
        if !frame(content, &mut self.whole) {
            return self.end("a record is too large");
        }
        let needs = self.whole.len().saturating_sub(before) as u64;
        if needs > self.room {
            self.whole.truncate(before);
            if let Ok(full) = postcard::to_stdvec(&Record::<()>::Full) {
                frame(&full, &mut self.whole);
            }
            return self.end("it has reached its limit");
        }
        self.room = self.room.saturating_sub(needs);
    }

    fn end(&mut self, why: &str) {
        self.flush();
        if !self.is_over {
            self.is_over = true;
            self.tape.end(why);
        }
    }
}

/// A node that panics in a step still hands over the input of that step.
impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.is_over && !self.open.is_empty() {
            self.seal(None);
        }
        self.flush();
    }
}

/// Puts a record's content into its envelope. False if it is larger than any may be.
pub(super) fn frame(content: &[u8], into: &mut Vec<u8>) -> bool {
    let Ok(length) = u32::try_from(content.len()) else { return false };
    let length = length.to_le_bytes();
    let checked = crc32c::crc32c(&length);
    into.extend_from_slice(&length);
    into.extend_from_slice(&checked.to_le_bytes());
    into.extend_from_slice(content);
    into.extend_from_slice(&crc32c::crc32c_append(checked, content).to_le_bytes());
    true
}
