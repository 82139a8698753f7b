//! Frames: how messages travel on a stream.
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 4 | length of the body in bytes, little-endian |
//! | 4 | 1 | version of this format |
//! | 5 | 1 | kind of body |
//! | 6 | 2 | zero |
//! | 8 | 8 | group, little-endian |
//! | 16 | – | the body: the value in `postcard`'s format |
//! | end | 4 | CRC-32C of all bytes before it, little-endian |
//!
//! Length, version, group and kind are checked before a byte of the body is awaited, so that a
//! stranger's bytes cost nothing. How long a body may be depends on its kind: [`Kind::most`].

use postcard::ser_flavors::Flavor;
use quorate::id::GroupId;
use quorate::limits;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::io::{self, Read};

/// The version of the format that this program speaks.
pub const VERSION: u8 = 1;

/// The most bytes in a body of any kind.
pub const MOST: usize = 16 << 20;

/// The most bytes in a client's request. A batch of the largest fits a message to a member, with
/// up to a hundred bytes about each: else the group could take in what it cannot replicate.
pub const MOST_REQUEST: usize = 16_000;

/// The most bytes in a hello.
const MOST_HELLO: usize = 1_024;

const _: () = assert!((MOST_REQUEST + 100) * (limits::SERVER.batch + 1) <= MOST);

/// The bytes before the body.
pub const HEAD: usize = 16;

/// The bytes behind the body: the checksum.
const SUM: usize = 4;

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Who speaks: the first frame in each direction.
    Hello = 0,
    /// A member to a member.
    Member = 1,
    /// A client to a member.
    Request = 2,
    /// A member to a client.
    Reply = 3,
}

impl Kind {
    /// The most bytes in a body of this kind.
    #[must_use]
    pub const fn most(self) -> usize {
        match self {
            Self::Hello => MOST_HELLO,
            Self::Request => MOST_REQUEST,
            Self::Member | Self::Reply => MOST,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Hello),
            1 => Some(Self::Member),
            2 => Some(Self::Request),
            3 => Some(Self::Reply),
            _ => None,
        }
    }
}

/// Why a frame was not taken. The connection should be closed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The other end closed the connection.
    Closed,
    /// The connection failed.
    Io(io::Error),
    /// The length is beyond [`Kind::most`]: garbage, or a misguided program.
    Oversize {
        /// What the frame claims.
        length: usize,
    },
    /// The other end speaks another version.
    Version {
        /// Its version.
        theirs: u8,
    },
    /// The frame is for another group.
    Group {
        /// Its group.
        theirs: GroupId,
    },
    /// The bytes were changed on the way, or are no frame at all.
    Checksum,
    /// The bytes are whole and mean nothing here.
    Malformed,
    /// The value is too large to be sent.
    TooLarge {
        /// Its length.
        length: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::Io(error) => error.fmt(f),
            Self::Oversize { length } => {
                write!(
                    f,
                    "a frame claims {length} bytes, too many for its kind: it is no quorate frame"
                )
            }
            Self::Version { theirs } => {
                write!(f, "the other end speaks version {theirs}, this program {VERSION}")
            }
            Self::Group { theirs } => write!(f, "the frame is for group {theirs}, not this one"),
            Self::Checksum => f.write_str("a frame's checksum is wrong: it is damaged"),
            Self::Malformed => f.write_str("a frame makes no sense"),
            Self::TooLarge { length } => write!(f, "a message of {length} bytes is too large"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// Makes a frame.
///
/// # Errors
/// [`Error::TooLarge`], or [`Error::Malformed`] for a value that has no form in bytes.
pub fn encode<T: Serialize>(kind: Kind, group: GroupId, value: &T) -> Result<Vec<u8>, Error> {
    let mut frame = Vec::new();
    encode_into(kind, group, value, &mut frame)?;
    Ok(frame)
}

/// Makes a frame in a buffer that is used again; what it held is gone.
///
/// # Errors
/// As [`encode`], and what the buffer holds then means nothing.
pub fn encode_into<T: Serialize>(
    kind: Kind,
    group: GroupId,
    value: &T,
    frame: &mut Vec<u8>,
) -> Result<(), Error> {
    frame.clear();
    frame.resize(HEAD, 0);
    postcard::serialize_with_flavor(value, Tail(frame)).map_err(|_| Error::Malformed)?;
    let length = frame.len().saturating_sub(HEAD);
    let short = u32::try_from(length).ok().filter(|_| length <= kind.most());
    let short = short.ok_or(Error::TooLarge { length })?;
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&short.to_le_bytes());
    (head[4], head[5]) = (VERSION, kind as u8);
    head[8..].copy_from_slice(&group.number().to_le_bytes());
    if let Some(front) = frame.first_chunk_mut::<HEAD>() {
        *front = head;
    }
    let sum = crc32c::crc32c(frame);
    frame.extend_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// Where `postcard` puts a body: behind the bytes that are there.
struct Tail<'a>(&'a mut Vec<u8>);

impl Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        match bytes {
            // Most numbers are so short that to call for a copy would cost more than the copy.
            [byte] => self.0.push(*byte),
            _ => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Checks a frame that is here whole, and hands out its body.
///
/// # Errors
/// [`Error`]; nothing more from where it came should be read.
pub fn body_of(frame: &[u8], expected: Kind, group: GroupId) -> Result<&[u8], Error> {
    let head = frame.first_chunk().ok_or(Error::Closed)?;
    let whole = read_head(head, expected, group)?;
    if frame.len() != whole {
        return Err(Error::Closed);
    }
    let (covered, sum) = frame.split_last_chunk::<SUM>().ok_or(Error::Closed)?;
    if crc32c::crc32c(covered) != u32::from_le_bytes(*sum) {
        return Err(Error::Checksum);
    }
    Ok(covered.get(HEAD..).unwrap_or(&[]))
}

/// Looks at the bytes before a body: how long the frame is, with them, if it is what is expected.
///
/// # Errors
/// [`Error`], and nothing should be read after.
pub fn read_head(head: &[u8; HEAD], expected: Kind, group: GroupId) -> Result<usize, Error> {
    let word = |at: usize| {
        head.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
    };
    let length = word(0) as usize;
    if length > MOST {
        return Err(Error::Oversize { length });
    }
    if head[4] != VERSION {
        return Err(Error::Version { theirs: head[4] });
    }
    let theirs = GroupId::new((u64::from(word(12)) << 32) | u64::from(word(8)));
    if theirs != group {
        return Err(Error::Group { theirs });
    }
    let kind = Kind::of(head[5]).filter(|_| (head[6], head[7]) == (0, 0));
    let kind = kind.ok_or(Error::Malformed)?;
    if length > kind.most() {
        return Err(Error::Oversize { length });
    }
    if kind != expected {
        return Err(Error::Malformed);
    }
    Ok(length.saturating_add(HEAD + SUM))
}

/// Checks a frame that is here whole, and reads its value.
///
/// # Errors
/// [`Error`]; nothing more from where it came should be read.
pub fn value_of<T: DeserializeOwned>(
    frame: &[u8],
    expected: Kind,
    group: GroupId,
) -> Result<T, Error> {
    match postcard::take_from_bytes(body_of(frame, expected, group)?) {
        Ok((value, [])) => Ok(value),
        _ => Err(Error::Malformed),
    }
}

/// Reads a frame of the expected kind from a stream, into a buffer that is used again.
///
/// # Errors
/// [`Error`]; the stream should be closed.
pub fn read<T: DeserializeOwned>(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
    expected: Kind,
    group: GroupId,
) -> Result<T, Error> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head)?;
    let rest = read_head(&head, expected, group)?.saturating_sub(HEAD);
    // Grows as bytes arrive, not on the word of the length.
    buffer.clear();
    buffer.extend_from_slice(&head);
    stream.take(u64::try_from(rest).unwrap_or(u64::MAX)).read_to_end(buffer)?;
    value_of(buffer, expected, group)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId::new(7);

    fn sample() -> Vec<u8> {
        encode(Kind::Request, GROUP, &("scope", 10_u64)).unwrap()
    }

    fn read_all(mut bytes: &[u8]) -> Result<(String, u64), Error> {
        read(&mut bytes, &mut Vec::new(), Kind::Request, GROUP)
    }

    #[test]
    fn a_frame_has_golden_bytes() {
        let frame = encode(Kind::Hello, GroupId::new(1), &3_u8).unwrap();
        assert_eq!(frame[..HEAD], [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(frame[HEAD..frame.len() - SUM], [3]);
        assert_eq!(frame[frame.len() - SUM..], crc32c::crc32c(&frame[..17]).to_le_bytes());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let frame = sample();
        assert_eq!(read_all(&frame).unwrap(), ("scope".to_owned(), 10));
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read_all(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..frame.len() {
            assert!(matches!(read_all(&frame[..length]), Err(Error::Closed)), "cut at {length}");
        }
    }

    #[test]
    fn an_oversize_frame_is_refused_before_its_body_is_awaited() {
        let mut frame = sample();
        frame[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(read_all(&frame), Err(Error::Oversize { .. })));
    }

    #[test]
    fn what_a_stranger_may_make_us_wait_for_is_small() {
        let long = vec![0_u8; MOST_REQUEST];
        assert!(matches!(encode(Kind::Request, GROUP, &long), Err(Error::TooLarge { .. })));
        let member = encode(Kind::Member, GROUP, &long).unwrap();
        let mut hello = member.clone();
        hello[5] = Kind::Hello as u8;
        for (frame, is_oversize) in [(&hello, true), (&member, false)] {
            let head = &mut &frame[..HEAD];
            let refused = read::<Vec<u8>>(head, &mut Vec::new(), Kind::Hello, GROUP).unwrap_err();
            assert_eq!(matches!(refused, Error::Oversize { .. }), is_oversize, "{refused}");
            assert_eq!(matches!(refused, Error::Malformed), !is_oversize, "{refused}");
        }
    }

    #[test]
    fn another_group_or_version_is_told_apart_from_damage() {
        let other = encode(Kind::Request, GroupId::new(8), &1_u8).unwrap();
        assert!(matches!(read_all(&other), Err(Error::Group { theirs }) if theirs.number() == 8));
        let mut newer = sample();
        newer[4] = 9;
        assert!(matches!(read_all(&newer), Err(Error::Version { theirs: 9 })));
    }
}
