//! Taking batches in and making them durable.

use super::record::{self, Kind};
use super::{Error, Log, segment};
use crate::disk::Disk;

/// Encoded records are written out, without a sync, when there are this many bytes of them.
const BUFFER: usize = 1024 * 1024;

impl<D: Disk> Log<D> {
    /// Adds a batch and returns its sequence number. It is durable when [`Log::sync`] has
    /// returned that number or a higher one.
    ///
    /// This touches the disk only if the segment is full or much is waiting.
    ///
    /// # Errors
    /// [`Error::TooLarge`] changes nothing. [`Error::Disk`] poisons the log.
    pub fn append(&mut self, payload: &[u8]) -> Result<u64, Error> {
        check_length(payload)?;
        self.unless_poisoned(|log| log.add(Kind::Batch, payload))
    }

    /// Makes everything appended so far durable, with one write and one sync, and returns the
    /// highest sequence number that is.
    ///
    /// # Errors
    /// [`Error::Disk`] poisons the log: whether these records are on the disk is known only after
    /// the next [`Log::open`].
    pub fn sync(&mut self) -> Result<u64, Error> {
        self.unless_poisoned(Self::make_durable)
    }

    /// Writes down what is synced, if nothing has yet, so that later damage to the last batches
    /// is known as damage. Worth calling when there is nothing else to do; does not sync.
    ///
    /// # Errors
    /// [`Error::Disk`] poisons the log.
    pub fn mark(&mut self) -> Result<(), Error> {
        self.unless_poisoned(|log| {
            if log.marked < log.content && log.content <= log.synced {
                log.encode(Kind::Mark, &[]);
            }
            log.write()
        })
    }

    /// Starts the log over from `image`, which stands for everything appended before: recovery
    /// begins with it. When this returns the image's sequence number, it is durable
    /// and the files before it are gone.
    ///
    /// # Errors
    /// [`Error::TooLarge`] changes nothing. [`Error::Disk`] poisons the log; what was synced, or
    /// the image in its place, is still there.
    pub fn rebase(&mut self, image: &[u8]) -> Result<u64, Error> {
        check_length(image)?;
        self.unless_poisoned(|log| {
            // What waits to be written is in the image.
            log.buffer.clear();
            let sequence = log.sequence.saturating_add(1);
            let segment = segment::Header { synced: sequence, ..log.next_segment(image.len()) };
            let mut bytes = segment.encode();
            let record = log.next_record(Kind::Base);
            log.chain = record.encode(segment.seed(), image, &mut bytes);
            log.start_segment(segment, &bytes)?;
            log.sequence = sequence;
            log.content = sequence;
            log.synced = sequence;
            segment::retire(&log.disk, segment.identity, log.options.segment_bytes)?;
            Ok(sequence)
        })
    }

    /// Does `act`, and nothing any more after one that failed.
    fn unless_poisoned<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        self.poisoned = true;
        let result = act(self);
        self.poisoned = result.is_err();
        result
    }

    /// Encodes a record into this segment, or into the next if it does not fit.
    pub(super) fn add(&mut self, kind: Kind, payload: &[u8]) -> Result<u64, Error> {
        // A mark must still fit behind it.
        let bytes = record::size(payload.len()).saturating_add(record::HEADER) as u64;
        let end = self.written.saturating_add(self.buffer.len() as u64);
        if end.saturating_add(bytes) > self.segment.length {
            self.make_durable()?;
            let segment = self.next_segment(payload.len());
            self.start_segment(segment, &segment.encode())?;
        }
        self.encode(kind, payload);
        if self.buffer.len() >= BUFFER {
            self.write()?;
        }
        Ok(self.sequence)
    }

    fn encode(&mut self, kind: Kind, payload: &[u8]) {
        let record = self.next_record(kind);
        self.chain = record.encode(self.segment.seed(), payload, &mut self.buffer);
        self.sequence = record.sequence;
        self.marked = record.synced;
        if kind != Kind::Mark {
            self.content = record.sequence;
        }
    }

    fn next_record(&self, kind: Kind) -> record::Header {
        record::Header {
            kind,
            sequence: self.sequence.saturating_add(1),
            synced: self.synced,
            boot: self.boot,
            chain: self.chain,
        }
    }

    /// The header of a segment after this one, long enough for such a payload and a mark.
    fn next_segment(&self, payload: usize) -> segment::Header {
        let needed = record::size(payload).saturating_add(segment::HEADER + record::HEADER);
        segment::Header {
            identity: self.segment.identity.saturating_add(1),
            length: self.options.segment_bytes.max(needed as u64),
            first: self.sequence.saturating_add(1),
            synced: self.synced,
            salt: self.options.salt,
            chain: self.chain,
            boot: self.boot,
        }
    }

    /// Goes on in a new segment that begins with `bytes`. Everything before it must be durable, or
    /// in these bytes.
    fn start_segment(&mut self, header: segment::Header, bytes: &[u8]) -> Result<(), Error> {
        self.file = segment::create(&self.disk, &header, bytes)?;
        self.segment = header;
        self.written = bytes.len() as u64;
        self.marked = header.synced;
        Ok(())
    }

    pub(super) fn make_durable(&mut self) -> Result<u64, Error> {
        self.write()?;
        if self.synced < self.sequence {
            self.disk.sync(&self.file)?;
            self.synced = self.sequence;
        }
        Ok(self.synced)
    }

    fn write(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.disk.write_at(&self.file, self.written, &self.buffer)?;
        self.written = self.written.saturating_add(self.buffer.len() as u64);
        self.buffer.clear();
        // One large record must not hold its memory for good.
        self.buffer.shrink_to(2 * BUFFER);
        Ok(())
    }
}

fn check_length(payload: &[u8]) -> Result<(), Error> {
    let length = payload.len();
    u32::try_from(length).map(|_| ()).map_err(|_| Error::TooLarge { length })
}
