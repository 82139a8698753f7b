//! The core's own bytes: what a snapshot is made of.
//!
//! Numbers are little-endian and of fixed width, lists are led by their length, and one value has
//! one form, so equal states give equal bytes on every target and a digest of them means
//! something. Frames and log records are the host's and use whatever codec it likes.

/// Takes bytes in order. A sink without room fails, and stays failed.
pub trait Sink {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`NoRoom`] if they do not all fit.
    fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom>;
}

/// The sink is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// The bytes are not the form of any value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// A value with exactly one form in bytes.
pub trait Codec: Sized {
    /// Writes the value.
    ///
    /// # Errors
    /// [`NoRoom`] if the sink is full.
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom>;

    /// Reads a value from the front of `bytes`, and moves `bytes` past it.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too few or have no meaning.
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed>;
}

/// Takes `count` bytes from the front of `bytes`.
///
/// # Errors
/// [`Malformed`] if there are fewer; nothing is taken.
pub fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (front, rest) = bytes.split_at_checked(count).ok_or(Malformed)?;
    *bytes = rest;
    Ok(front)
}

macro_rules! fixed_width {
    ($($number:ty),*) => {$(
        impl Codec for $number {
            fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
                sink.put(&self.to_le_bytes())
            }
            fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
                let front = take(bytes, size_of::<Self>())?;
                front.try_into().map(Self::from_le_bytes).map_err(|_| Malformed)
            }
        }
    )*};
}
fixed_width!(u8, u16, u32, u64);

macro_rules! number {
    ($($name:ty),*) => {$(
        impl Codec for $name {
            fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
                self.number().encode(sink)
            }
            fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
                u64::decode(bytes).map(Self::new)
            }
        }
    )*};
}
number!(crate::id::Index, crate::id::Term, crate::id::ClientId);
number!(crate::id::NodeId, crate::id::Incarnation, crate::id::View, crate::id::GroupId);

impl Codec for () {
    fn encode<S: Sink + ?Sized>(&self, _: &mut S) -> Result<(), NoRoom> {
        Ok(())
    }
    fn decode(_: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl Codec for crate::id::EntryId {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.term.encode(sink)?;
        self.index.encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Self { term: Codec::decode(bytes)?, index: Codec::decode(bytes)? })
    }
}

impl Codec for crate::id::Digest {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        sink.put(self.bytes())
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        take(bytes, 32)?.try_into().map(Self::new).map_err(|_| Malformed)
    }
}

impl Codec for crate::id::Slot {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.number().encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        u8::decode(bytes).map(Self::new)
    }
}

impl Codec for crate::id::Members {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.bits().encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        u32::decode(bytes).map(Self::from_bits)
    }
}

impl<T: Codec> Codec for Option<T> {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        match self {
            None => 0_u8.encode(sink),
            Some(value) => {
                1_u8.encode(sink)?;
                value.encode(sink)
            }
        }
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::decode(bytes)? {
            0 => Ok(None),
            1 => T::decode(bytes).map(Some),
            _ => Err(Malformed),
        }
    }
}

impl<const N: usize> Sink for crate::bounded::List<u8, N> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.extend(bytes).map_err(|_| NoRoom)
    }
}

/// A 64-bit digest that tells equal bytes from others that came about by accident. It is no
/// defence against a liar: Byzantine groups use the host's hash.
///
/// FNV-1a over eight bytes at a time, finished with `SplitMix64`'s mixer.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 29;
    }
    crate::rng::Rng::new(hash).draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_value_is_malformed_and_takes_nothing() {
        let mut bytes: &[u8] = &[1, 2, 3];
        assert_eq!(u32::decode(&mut bytes), Err(Malformed));
        assert_eq!(bytes, [1, 2, 3]);
        assert_eq!(Option::<u8>::decode(&mut [2, 0].as_slice()), Err(Malformed));
    }

    #[test]
    fn the_form_of_a_number_is_fixed() {
        let mut list: crate::bounded::List<u8, 16> = crate::bounded::List::new();
        Some(0x0102_0304_u32).encode(&mut list).unwrap();
        assert_eq!(&*list, &[1, 4, 3, 2, 1]);
        assert_eq!(u64::MAX.encode(&mut list).and(u64::MAX.encode(&mut list)), Err(NoRoom));
    }

    #[test]
    fn the_digest_is_golden_and_sees_every_byte() {
        assert_eq!(digest(b""), 0xc381_7c01_6ba4_ff30);
        let base = digest(b"quorate!x");
        assert_eq!(base, 0x162d_9668_483b_421a);
        for position in 0..9 {
            let mut other = *b"quorate!x";
            other[position] ^= 1;
            assert_ne!(digest(&other), base);
        }
    }
}
