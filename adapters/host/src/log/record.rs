//! One record: a header of 40 bytes, the payload, zeros up to a multiple of 8.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 4 | kind: `data`, `base`, `boot` or `mark` |
//! | 4 | 4 | length of the payload |
//! | 8 | 8 | sequence number |
//! | 16 | 8 | synced: the highest sequence number that was durable when this was encoded |
//! | 24 | 4 | boot: the opening of the log that wrote this |
//! | 28 | 4 | chain: the header checksum of the record before |
//! | 32 | 4 | checksum of the payload |
//! | 36 | 4 | checksum of the 36 bytes before |
//!
//! Checksums are CRC-32C and start from the segment's own checksum, so the same bytes are
//! no record elsewhere. The header has its own: what it says of `synced` is good evidence even if
//! its payload is torn, and a search for headers reads every byte once, whatever lengths they say.

use crc32c::crc32c_append;

/// Bytes of a record's header.
pub(super) const HEADER: usize = 40;

/// Records begin at multiples of this.
pub(super) const ALIGN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A batch of the caller's.
    Batch,
    /// A full image of the caller's state.
    Base,
    /// The log was opened.
    Boot,
    /// Says only what is synced.
    Mark,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Batch, Kind::Base, Kind::Boot, Kind::Mark];

    fn code(self) -> [u8; 4] {
        *match self {
            Kind::Batch => b"data",
            Kind::Base => b"base",
            Kind::Boot => b"boot",
            Kind::Mark => b"mark",
        }
    }

    fn of(code: [u8; 4]) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// What a record says beside its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) sequence: u64,
    pub(super) synced: u64,
    pub(super) boot: u32,
    pub(super) chain: u32,
}

/// A record found in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) header: Header,
    pub(super) payload: &'a [u8],
    /// Of its header: what the next record has as its chain.
    pub(super) checksum: u32,
}

/// The bytes a record with such a payload takes.
pub(super) fn size(payload: usize) -> usize {
    let bytes = HEADER.saturating_add(payload);
    bytes.checked_next_multiple_of(ALIGN).unwrap_or(usize::MAX)
}

impl Header {
    /// Adds the record to `into` and returns its checksum. The payload is at most [`u32::MAX`]
    /// long, which [`super::Log`] sees to.
    pub(super) fn encode(&self, seed: u32, payload: &[u8], into: &mut Vec<u8>) -> u32 {
        let start = into.len();
        into.reserve(size(payload.len()));
        into.extend_from_slice(&self.kind.code());
        into.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        into.extend_from_slice(&self.sequence.to_le_bytes());
        into.extend_from_slice(&self.synced.to_le_bytes());
        into.extend_from_slice(&self.boot.to_le_bytes());
        into.extend_from_slice(&self.chain.to_le_bytes());
        into.extend_from_slice(&crc32c_append(seed, payload).to_le_bytes());
        let checksum = crc32c_append(seed, into.get(start..).unwrap_or_default());
        into.extend_from_slice(&checksum.to_le_bytes());
        into.extend_from_slice(payload);
        into.resize(start.saturating_add(size(payload.len())), 0);
        checksum
    }
}

/// The record at `offset`, if one is there, whole.
pub(super) fn find(bytes: &[u8], offset: usize, seed: u32) -> Option<Found<'_>> {
    let (header, length, payload_checksum, checksum) = read(bytes, offset, seed)?;
    let start = offset.checked_add(HEADER)?;
    let payload = bytes.get(start..start.checked_add(length)?)?;
    let whole = crc32c_append(seed, payload) == payload_checksum;
    whole.then_some(Found { header, payload, checksum })
}

/// All record headers from `offset` on, whether their payloads are whole or not.
pub(super) fn headers(bytes: &[u8], offset: usize, seed: u32) -> impl Iterator<Item = Header> {
    let offsets = (offset..bytes.len()).step_by(ALIGN);
    offsets.filter_map(move |at| read(bytes, at, seed)).map(|(header, ..)| header)
}

/// A header, the payload's length and checksum, and the header's own checksum.
fn read(bytes: &[u8], offset: usize, seed: u32) -> Option<(Header, usize, u32, u32)> {
    let (covered, checksum) = bytes.get(offset..)?.first_chunk::<HEADER>()?.split_last_chunk()?;
    let mut fields = Fields(covered);
    let kind = Kind::of(fields.take()?)?;
    let length = fields.u32()?;
    let sequence = fields.u64()?;
    let synced = fields.u64()?;
    let (boot, chain, payload_checksum) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let checksum = u32::from_le_bytes(*checksum);
    let header = Header { kind, sequence, synced, boot, chain };
    let valid = crc32c_append(seed, covered) == checksum;
    valid.then_some((header, length as usize, payload_checksum, checksum))
}

/// Numbers read off the front of a slice.
pub(super) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
