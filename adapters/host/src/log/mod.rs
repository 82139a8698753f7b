//! A write-ahead log of opaque batches, in files of fixed size.
//!
//! One record is one group commit of the caller: [`Log::append`] takes batches,
//! [`Log::sync`] makes all of them durable with one write and one sync. [`Log::rebase`] starts
//! over from a full image of the caller's state, and the files before it go. [`Log::open`] hands
//! back the newest image and every batch after it, in order.
//!
//! # Files
//!
//! A *segment* is `0000000000000001.log` and so on, sixteen hexadecimal digits. It is zero-filled
//! when it is made, and gets that name only when it has its full length and a durable header, so
//! a segment that is short or has no valid header was damaged, not interrupted. What is
//! called `new.tmp`, `ahead.tmp` or `spare.tmp` is not a segment yet, or no longer.
//!
//! All numbers are little-endian. A segment is a header of 64 bytes (laid out in `segment.rs`),
//! then records (laid out in `record.rs`): a header of 40 bytes, the payload, zeros up to
//! a multiple of 8. What follows the last record means nothing.
//!
//! # State
//!
//! Every record has a sequence number. `synced` is the highest one known to be durable; each
//! record header carries what `synced` was when it was encoded. That is what tells a torn tail
//! from damage: the tail may end anywhere after `synced`, and nowhere before it. When
//! the caller falls idle, [`Log::mark`] writes an empty record that carries `synced` for the last
//! batches too.
//!
//! # Invariants
//!
//! 1. A record is accepted only if its checksums hold under its segment's checksum as the seed
//!    (identity, length, salt, boot), it has the expected sequence number and it names the
//!    checksum of the record before it. So a record of another segment, of a former life of this
//!    file, or out of its place is never accepted.
//! 2. A segment is made only after every record before it is durable, or replaced by an image in
//!    it, and says so in its header. So in all segments but the last there is no torn tail: what
//!    is missing there was damaged.
//! 3. In the last segment the records end at the first that is not accepted. If any record header
//!    after it, or the segment's own, carries a `synced` at or past the sequence number expected
//!    there, a durable record is gone: damage, and the log is not opened. Otherwise no sync of it
//!    ever returned, nobody was told of it, and it is dropped.
//! 4. What is dropped is overwritten with zeros, and what is kept but not known to be durable is
//!    written again, before anything is appended. Again, because after a failed sync the operating
//!    system may show bytes that never reached the disk and call them clean; zeros, so that more
//!    than invariant 1 keeps a dropped record from following a new one. A crash during this leaves
//!    the kept records as they were and some of the dropped ones: the same case once more.
//! 5. An image is written and synced before its segment gets its name, and older segments go only
//!    after that name is durable. So at every instant the newest named image is whole, and either
//!    it or all that it replaces is on the disk.
//! 6. After the first write or sync that fails, every call is refused. A sync that failed is never
//!    tried again: the second would say `Ok` of bytes that the first one lost.
//!
//! A crash is taken to leave bytes alone that were not being changed, and a folder's sync that
//! failed to fail again. What no log can tell is the damage of its very last synced record before
//! a later record or mark reached the disk, and the loss of a whole last file.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod append;
mod error;
mod record;
mod recovery;
mod segment;

pub use error::Error;
pub use recovery::{Record, Recovered};
pub use segment::prepare;

use crate::disk::Disk;

/// How a log uses its disk.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The length of a segment file in bytes: 64 MiB unless told. A record that does not fit gets
    /// a segment of its own size. Existing segments keep their length.
    pub segment_bytes: u64,
    /// Any number that those whose bytes are logged cannot guess. It goes into every checksum, so
    /// that no payload can be made to look like records after a crash has torn it.
    pub salt: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { segment_bytes: 64 * 1024 * 1024, salt: 0 }
    }
}

/// A write-ahead log, open for appending.
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: D,
    options: Options,
    /// The last segment, and what its header says.
    file: D::File,
    segment: segment::Header,
    /// Records that are encoded and not written yet; they belong at `written` in the file.
    buffer: Vec<u8>,
    written: u64,
    /// Of the last record, and its checksum.
    sequence: u64,
    chain: u32,
    /// The highest sequence number that is durable, and the highest that a record says is.
    synced: u64,
    marked: u64,
    /// The sequence number of the last record that is not a mark: what is worth marking.
    content: u64,
    boot: u32,
    /// Set by the first failure, for good.
    poisoned: bool,
}

impl<D: Disk> Log<D> {
    /// How often this log has been opened, this time included. No two openings have the same
    /// number, so it tells a completion of this life from one of a former life.
    pub fn boots(&self) -> u64 {
        u64::from(self.boot)
    }
}
