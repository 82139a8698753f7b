//! Reading a log back, and telling a torn tail from damage.

use super::record::{self, Found, Kind};
use super::{Error, Log, Options, segment};
use crate::disk::Disk;
use std::collections::VecDeque;

/// One thing a log hands back when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The image of the last [`Log::rebase`]. Comes first, if at all.
    Base(&'a [u8]),
    /// A batch, in the order they were appended.
    Batch(&'a [u8]),
}

/// What opening a log found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// How many batches came back.
    pub batches: u64,
    /// Whether an image came back before them.
    pub base: bool,
    /// How many records of an unfinished write were dropped, as far as one can tell.
    pub dropped: u64,
}

impl<D: Disk> Log<D> {
    /// Opens the log in a folder, or starts one in an empty folder, and hands every record that
    /// survived to `replay`: all that was ever reported durable since the last image, and possibly
    /// more of what was appended after that. When this returns, all of it is durable.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a durable record is gone or a file is not what it was; then no file
    /// has been changed, and what `replay` got is to be forgotten. [`Error::Disk`] if the disk
    /// fails; opening again may succeed.
    pub fn open(
        disk: D,
        options: Options,
        mut replay: impl FnMut(Record<'_>),
    ) -> Result<(Self, Recovered), Error> {
        // A name that is seen here may not be durable yet, and all that follows builds on it.
        disk.sync_folder()?;
        if segment::list(&disk)?.is_empty() {
            start(&disk, options)?;
        }
        let segments = since_start(&disk)?;
        let oldest = segments.0.1.identity;
        let tail = read(&disk, segments, &mut replay)?;
        repair(&disk, &tail)?;
        segment::clear(&disk)?;
        segment::retire(&disk, oldest, options.segment_bytes)?;

        let Some(boot) = tail.reader.boot.checked_add(1) else {
            return Err(tail.corrupt("the boot counter has reached its end"));
        };
        let Tail { file, header: segment, reader, .. } = tail;
        let synced = reader.sequence.saturating_sub(1);
        let mut log = Log {
            disk,
            options,
            file,
            segment,
            buffer: Vec::new(),
            written: reader.offset as u64,
            sequence: synced,
            chain: reader.chain,
            synced,
            marked: reader.synced,
            content: synced,
            boot,
            poisoned: false,
        };
        // Marked in turn, or damage to it could bring back the number of this boot.
        log.add(Kind::Boot, &[])?;
        log.make_durable()?;
        log.mark()?;
        log.make_durable()?;
        Ok((log, reader.recovered))
    }
}

/// Makes the first segment. Like every segment that the log can start with, it gets its name only
/// with its first record in it.
fn start<D: Disk>(disk: &D, options: Options) -> Result<(), Error> {
    let mark = record::Header { kind: Kind::Mark, sequence: 1, synced: 0, boot: 0, chain: 0 };
    let needed = segment::HEADER.saturating_add(record::HEADER) as u64;
    let length = options.segment_bytes.max(needed);
    let salt = options.salt;
    let header =
        segment::Header { identity: 1, length, first: 1, synced: 1, salt, chain: 0, boot: 0 };
    let mut bytes = header.encode();
    mark.encode(header.seed(), &[], &mut bytes);
    segment::create(disk, &header, &bytes).map(|_| ())
}

/// An open segment and its header.
type Segment<F> = (F, segment::Header);

/// A segment that the log can start with, and those after it.
type Chain<F> = (Segment<F>, Vec<Segment<F>>);

/// The newest segment that the log can start with, and all after it in order. Those before it are
/// not even read: a rebase was about to remove them.
fn since_start<D: Disk>(disk: &D) -> Result<Chain<D::File>, Error> {
    let mut later = Vec::new();
    let mut file = String::new();
    for identity in segment::list(disk)?.into_iter().rev() {
        let segment = segment::open(disk, identity)?;
        if segment.1.starts() {
            later.reverse();
            return Ok((segment, later));
        }
        file = segment.1.name();
        later.push(segment);
    }
    Err(Error::Corrupt { file, offset: 0, why: "the segment before it is missing" })
}

/// The last segment as it was read.
struct Tail<F> {
    file: F,
    header: segment::Header,
    bytes: Vec<u8>,
    /// Behind the last record.
    reader: Reader,
}

impl<F> Tail<F> {
    fn corrupt(&self, why: &'static str) -> Error {
        let offset = self.reader.offset as u64;
        Error::Corrupt { file: self.header.name(), offset, why }
    }
}

/// Reads all segments; refuses if a record is missing that was durable.
fn read<D: Disk>(
    disk: &D,
    (first, later): Chain<D::File>,
    replay: &mut impl FnMut(Record<'_>),
) -> Result<Tail<D::File>, Error> {
    let reader = Reader::at(&first.1);
    let mut tail = read_segment(disk, first, reader, replay)?;
    for segment in later {
        // It was made when all records before it were durable, and names the last of them.
        if segment.1.chain != tail.reader.chain {
            return Err(tail.corrupt("the next segment does not continue from here"));
        }
        let reader = tail.reader.go_on();
        tail = read_segment(disk, segment, reader, replay)?;
    }

    let mut known = tail.header.synced;
    for header in record::headers(&tail.bytes, tail.reader.offset, tail.header.seed()) {
        known = known.max(header.synced);
        tail.reader.recovered.dropped = tail.reader.recovered.dropped.saturating_add(1);
    }
    if known >= tail.reader.sequence {
        return Err(tail.corrupt("a record that was durable is gone"));
    }
    Ok(tail)
}

fn read_segment<D: Disk>(
    disk: &D,
    (file, header): Segment<D::File>,
    mut reader: Reader,
    replay: &mut impl FnMut(Record<'_>),
) -> Result<Tail<D::File>, Error> {
    let Ok(length) = usize::try_from(header.length) else {
        let why = "the file is larger than this machine's memory";
        return Err(Error::Corrupt { file: header.name(), offset: 0, why });
    };
    let mut bytes = vec![0; length];
    disk.read_at(&file, 0, &mut bytes)?;
    reader.read(&bytes, &header, replay);
    Ok(Tail { file, header, bytes, reader })
}

/// A place between two records: what the next one must say, and what those before it said.
struct Reader {
    offset: usize,
    sequence: u64,
    chain: u32,
    boot: u32,
    synced: u64,
    /// Number and offset of the records in this segment that none so far says are synced.
    unsynced: VecDeque<(u64, usize)>,
    recovered: Recovered,
}

impl Reader {
    fn at(start: &segment::Header) -> Self {
        Reader {
            offset: segment::HEADER,
            sequence: start.first,
            chain: start.chain,
            boot: 0,
            synced: 0,
            unsynced: VecDeque::new(),
            recovered: Recovered { batches: 0, base: false, dropped: 0 },
        }
    }

    fn go_on(&self) -> Self {
        Reader { offset: segment::HEADER, unsynced: VecDeque::new(), ..*self }
    }

    /// Takes the records of a segment, up to the first that is not there or not the next.
    fn read(
        &mut self,
        bytes: &[u8],
        segment: &segment::Header,
        replay: &mut impl FnMut(Record<'_>),
    ) {
        let seed = segment.seed();
        self.synced = self.synced.max(segment.synced);
        while let Some(found) = record::find(bytes, self.offset, seed) {
            if found.header.sequence != self.sequence || found.header.chain != self.chain {
                break;
            }
            self.take(&found, replay);
        }
    }

    fn take(&mut self, found: &Found<'_>, replay: &mut impl FnMut(Record<'_>)) {
        let header = found.header;
        self.boot = self.boot.max(header.boot);
        self.synced = self.synced.max(header.synced);
        self.unsynced.push_back((header.sequence, self.offset));
        while self.unsynced.front().is_some_and(|(sequence, _)| *sequence <= self.synced) {
            self.unsynced.pop_front();
        }
        match header.kind {
            Kind::Batch => {
                replay(Record::Batch(found.payload));
                self.recovered.batches = self.recovered.batches.saturating_add(1);
            }
            Kind::Base => {
                replay(Record::Base(found.payload));
                self.recovered.base = true;
            }
            Kind::Boot | Kind::Mark => {}
        }
        self.offset = self.offset.saturating_add(record::size(found.payload.len()));
        self.sequence = self.sequence.saturating_add(1);
        self.chain = found.checksum;
    }
}

/// Makes the last segment durably what was read of it: the records that may not be on the disk
/// are written again, and everything behind them is zero.
fn repair<D: Disk>(disk: &D, tail: &Tail<D::File>) -> Result<(), Error> {
    let end = tail.reader.offset;
    let from = tail.reader.unsynced.front().map_or(end, |(_, offset)| *offset);
    let (kept, dropped) = tail.bytes.split_at_checked(end).unwrap_or_default();
    let mut bytes = kept.get(from..).unwrap_or_default().to_vec();
    let zeros = dropped.iter().rposition(|byte| *byte != 0).map_or(0, |it| it.saturating_add(1));
    bytes.resize(bytes.len().saturating_add(zeros), 0);
    if !bytes.is_empty() {
        disk.write_at(&tail.file, from as u64, &bytes)?;
        disk.sync(&tail.file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_another_number_is_not_the_next() {
        let segment = segment::Header {
            identity: 1,
            length: 0,
            first: 5,
            synced: 4,
            salt: 0,
            chain: 9,
            boot: 1,
        };
        let record =
            record::Header { kind: Kind::Batch, sequence: 5, synced: 4, boot: 1, chain: 9 };
        for (sequence, taken) in [(4, 0), (5, 1), (6, 0)] {
            let mut bytes = segment.encode();
            record::Header { sequence, ..record }.encode(segment.seed(), b"batch", &mut bytes);
            let mut reader = Reader::at(&segment);
            reader.read(&bytes, &segment, &mut |_| {});
            assert_eq!(reader.recovered.batches, taken, "number {sequence}");
        }
    }
}
