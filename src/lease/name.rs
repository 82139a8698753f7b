//! Names of scopes and of holders: short text, stored inline.

use crate::codec::{Codec, Malformed, NoRoom, Sink, take};
use core::fmt;

/// What a lease is for, or who holds it: 1 to 47 bytes of UTF-8, ordered as text.
///
/// Names should not be reused by a client that restarts unless it keeps its leases' tokens: put an
/// incarnation into the holder's name where it matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    // Zero beyond the length. The bytes come first, so that the derived order is that of the text.
    bytes: [u8; Name::LONGEST],
    length: u8,
}

/// The text is no name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum BadName {
    /// It is empty.
    Empty,
    /// It is longer than [`Name::LONGEST`].
    TooLong,
}

impl Name {
    /// The most bytes that a name has.
    pub const LONGEST: usize = 47;

    /// The name that reads `text`.
    ///
    /// # Errors
    /// [`BadName`] if the text is empty or too long.
    pub fn new(text: &str) -> Result<Self, BadName> {
        match text {
            "" => Err(BadName::Empty),
            text => Self::padded(text),
        }
    }

    /// The lowest name that may begin with `prefix`, which may be empty, and so may the name.
    pub(super) fn padded(prefix: &str) -> Result<Self, BadName> {
        let mut bytes = [0; Self::LONGEST];
        bytes.get_mut(..prefix.len()).ok_or(BadName::TooLong)?.copy_from_slice(prefix.as_bytes());
        let length = u8::try_from(prefix.len()).map_err(|_| BadName::TooLong)?;
        Ok(Self { bytes, length })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name is not empty"),
            Self::TooLong => write!(f, "a name has at most {} bytes", Name::LONGEST),
        }
    }
}

impl core::error::Error for BadName {}

impl Codec for Name {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.length.encode(sink)?;
        sink.put(self.as_str().as_bytes())
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let length = u8::decode(bytes)?;
        let text = core::str::from_utf8(take(bytes, usize::from(length))?);
        Self::new(text.map_err(|_| Malformed)?).map_err(|_| Malformed)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "text of 1 to {} bytes", Name::LONGEST)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Name, E> {
                Name::new(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Name {
    fn arbitrary(input: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let text: &str = input.arbitrary()?;
        let mut end = text.len().min(Self::LONGEST);
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let text = text.get(..end).filter(|text| !text.is_empty()).unwrap_or("a");
        Self::new(text).map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_name_has_1_to_47_bytes_and_reads_as_it_was_written() {
        let longest = "a".repeat(Name::LONGEST);
        assert_eq!(Name::new(&longest).unwrap().as_str(), longest);
        assert_eq!(Name::new(&format!("{longest}a")), Err(BadName::TooLong));
        assert_eq!(Name::new(""), Err(BadName::Empty));
        assert_eq!(format!("{:>6}|{:?}", Name::new("é/1").unwrap(), "é/1"), "   é/1|\"é/1\"");
    }

    #[test]
    fn names_are_ordered_as_text_even_with_zero_bytes() {
        let mut texts = ["b", "a\0b", "a", "ab", "a\0", "aa", "é", "\0"];
        let mut names = texts.map(|text| Name::new(text).unwrap());
        texts.sort_unstable();
        names.sort_unstable();
        assert_eq!(names.map(|name| std::string::String::from(name.as_str())), texts);
    }

    #[test]
    fn bytes_that_are_no_name_are_malformed() {
        for bytes in [&[0][..], &[2, b'a'], &[1, 0xff], &[48; 60], &[]] {
            assert_eq!(Name::decode(&mut &*bytes), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(Name::decode(&mut &[1, b'a'][..]), Ok(Name::new("a").unwrap()));
    }

    #[test]
    #[cfg(feature = "serde")]
    fn text_that_is_no_name_is_not_deserialized() {
        use serde::de::{Deserialize, IntoDeserializer, value::Error};
        let read =
            |text: &str| Name::deserialize(IntoDeserializer::<Error>::into_deserializer(text));
        assert_eq!(read("door"), Ok(Name::new("door").unwrap()));
        assert!(read("").is_err() && read(&"a".repeat(48)).is_err());
    }
}
