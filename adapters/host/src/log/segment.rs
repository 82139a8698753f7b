//! One segment file: its name, its header, how it comes and goes.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `QUORLOG1` |
//! | 8 | 8 | identity, the file's name in hexadecimal; grows by one |
//! | 16 | 8 | length of the file |
//! | 24 | 8 | sequence number of the first record |
//! | 32 | 8 | synced: the highest sequence number that was durable when the file got its name |
//! | 40 | 8 | salt |
//! | 48 | 4 | chain: the header checksum of the record before the first |
//! | 52 | 4 | boot: the opening of the log that made this |
//! | 56 | 4 | zero |
//! | 60 | 4 | CRC-32C of the 60 bytes before, the seed of every checksum in the segment |
//!
//! If `synced` includes the first record, that record was in the file when it got its name, and
//! the log can start here: it is an image, or the first record ever. In any other segment `synced`
//! is the last record of the segment before.

use super::Error;
use super::record::Fields;
use crate::disk::{self, Disk};
use crc32c::crc32c;

/// Bytes of a segment's header.
pub(super) const HEADER: usize = 64;

const MAGIC: &[u8; 8] = b"QUORLOG1";

/// A segment in the making, by the log or ahead of it. One that an opening finds was never
/// finished, and a failed sync may have lost any of it: it is made anew.
const NEW: &str = "new.tmp";
const AHEAD: &str = "ahead.tmp";

/// A file of full, durable length and no meaning, to become a segment: one that was prepared, or
/// an old segment, to be written again.
const SPARE: &str = "spare.tmp";

/// The spare is filled in pieces of this size, so that no sync of the log waits for long.
const PIECE: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) identity: u64,
    pub(super) length: u64,
    pub(super) first: u64,
    pub(super) synced: u64,
    pub(super) salt: u64,
    pub(super) chain: u32,
    pub(super) boot: u32,
}

impl Header {
    /// Whether the log can be read from this segment on, without those before it.
    pub(super) fn starts(&self) -> bool {
        self.synced >= self.first
    }

    pub(super) fn name(&self) -> String {
        name(self.identity)
    }

    /// The start of every checksum in this segment: no other segment has it.
    pub(super) fn seed(&self) -> u32 {
        crc32c(&self.covered())
    }

    /// The header as it is written.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.covered();
        bytes.extend_from_slice(&self.seed().to_le_bytes());
        bytes
    }

    fn covered(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(MAGIC);
        for number in [self.identity, self.length, self.first, self.synced, self.salt] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.chain, self.boot, 0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8; HEADER]) -> Option<Header> {
        let mut fields = Fields(bytes);
        fields.take::<8>()?;
        let header = Header {
            identity: fields.u64()?,
            length: fields.u64()?,
            first: fields.u64()?,
            synced: fields.u64()?,
            salt: fields.u64()?,
            chain: fields.u32()?,
            boot: fields.u32()?,
        };
        // Comparing all bytes checks what is not kept, too: the magic, the zero and the checksum.
        (header.encode() == bytes).then_some(header)
    }
}

/// The identities of all segments, in order.
pub(super) fn list<D: Disk>(disk: &D) -> Result<Vec<u64>, Error> {
    let identity = |found: &String| {
        let identity = u64::from_str_radix(found.strip_suffix(".log")?, 16).ok()?;
        (name(identity) == *found).then_some(identity)
    };
    Ok(disk.list()?.iter().filter_map(identity).collect())
}

/// Makes a segment that begins with `bytes`, its header and what may follow it, and gives it its
/// name when all of it is durable.
pub(super) fn create<D: Disk>(disk: &D, header: &Header, bytes: &[u8]) -> Result<D::File, Error> {
    let file = match claim_spare(disk, header.length)? {
        Some(file) => file,
        None => disk.create(NEW, header.length)?,
    };
    disk.write_at(&file, 0, bytes)?;
    disk.sync(&file)?;
    disk.rename(NEW, &header.name())?;
    disk.sync_folder()?;
    Ok(disk.open(&header.name())?)
}

/// Makes the spare this log's, if it has this length. Its old name is gone for good before it is
/// written to, or after a crash it could be taken for a spare again.
fn claim_spare<D: Disk>(disk: &D, length: u64) -> Result<Option<D::File>, disk::Error> {
    if !has_spare(disk, length)? {
        return Ok(None);
    }
    disk.rename(SPARE, NEW)?;
    disk.sync_folder()?;
    let file = disk.open(NEW)?;
    Ok((disk.length(&file)? == length).then_some(file))
}

fn has_spare<D: Disk>(disk: &D, length: u64) -> Result<bool, disk::Error> {
    match disk.open(SPARE) {
        Ok(file) => Ok(disk.length(&file)? == length),
        Err(disk::Error::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the file that the next segment will be, if there is none, so that the log does not have
/// to fill one with zeros when it needs it.
///
/// Costs next to nothing if the file is there, so it may be called every second or so. It may run
/// on another thread than the log, on a disk of its own over the same folder, once the log is open;
/// not twice at a time. Without it the log is as safe, and now and then slow.
///
/// # Errors
/// If the disk fails or is full. The log itself is not touched.
pub fn prepare<D: Disk>(disk: &D, options: &super::Options) -> Result<(), disk::Error> {
    if has_spare(disk, options.segment_bytes)? {
        return Ok(());
    }
    if let Err(error) = fill_ahead(disk, options.segment_bytes) {
        // Half a file only takes room that may be needed. The first error is the one to tell.
        let _ = disk.remove(AHEAD);
        return Err(error);
    }
    disk.rename(AHEAD, SPARE)
}

fn fill_ahead<D: Disk>(disk: &D, length: u64) -> Result<(), disk::Error> {
    let file = disk.create(AHEAD, 0)?;
    let mut filled: u64 = 0;
    while filled < length {
        let left = length.saturating_sub(filled);
        let piece = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        disk.write_at(&file, filled, &vec![0; piece])?;
        disk.sync(&file)?;
        filled = filled.saturating_add(piece as u64);
    }
    Ok(())
}

/// Reads and checks a segment's header.
pub(super) fn open<D: Disk>(disk: &D, identity: u64) -> Result<(D::File, Header), Error> {
    let file = disk.open(&name(identity))?;
    let length = disk.length(&file)?;
    let corrupt = |offset, why| Err(Error::Corrupt { file: name(identity), offset, why });
    if length < HEADER as u64 {
        return corrupt(length, "the file is shorter than a header");
    }
    let mut bytes = [0; HEADER];
    disk.read_at(&file, 0, &mut bytes)?;
    match Header::decode(&bytes) {
        None => corrupt(0, "the header is not valid"),
        Some(header) if header.identity != identity => {
            corrupt(8, "the header is that of another segment")
        }
        Some(header) if header.length != length => {
            corrupt(length.min(header.length), "the file does not have the length it was made with")
        }
        Some(header) => Ok((file, header)),
    }
}

/// Removes what was never finished.
pub(super) fn clear<D: Disk>(disk: &D) -> Result<(), Error> {
    for name in disk.list()?.iter().filter(|name| [NEW, AHEAD].contains(&name.as_str())) {
        disk.remove(name)?;
    }
    Ok(())
}

/// Removes all segments before `start`. One of length `keep` becomes the spare: to write where
/// something was written before is what makes a sync cheap.
pub(super) fn retire<D: Disk>(disk: &D, start: u64, keep: u64) -> Result<(), Error> {
    let mut has_spare = has_spare(disk, keep)?;
    for identity in list(disk)?.into_iter().take_while(|it| *it < start) {
        let name = name(identity);
        if !has_spare && disk.length(&disk.open(&name)?)? == keep {
            disk.rename(&name, SPARE)?;
            has_spare = true;
        } else {
            disk.remove(&name)?;
        }
    }
    Ok(disk.sync_folder()?)
}

fn name(identity: u64) -> String {
    format!("{identity:016x}.log")
}
