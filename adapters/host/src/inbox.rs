//! What has come in on a stream, frame by frame: a wait may end within a frame, and the next goes on
//! with it.

use crate::frame::{self, Error, Kind};
use quorate::id::GroupId;
use serde::de::DeserializeOwned;

/// Bytes that have come in and are not yet read as frames.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// Where the first frame begins that was not taken.
    at: usize,
}

impl Inbox {
    /// Takes the first frame out, if it is here whole. What is in front of one that is not has been
    /// checked: it never holds more than a frame of that kind may have, and what came with it.
    ///
    /// # Errors
    /// [`Error`]; nothing more should be read.
    pub fn take<T: DeserializeOwned>(
        &mut self,
        expected: Kind,
        group: GroupId,
    ) -> Result<Option<T>, Error> {
        let here = self.bytes.get(self.at..).unwrap_or_default();
        let Some(head) = here.first_chunk() else { return Ok(None) };
        let length = frame::read_head(head, expected, group)?;
        let Some(whole) = here.get(..length) else { return Ok(None) };
        let value = frame::value_of(whole, expected, group)?;
        self.at = self.at.saturating_add(length);
        Ok(Some(value))
    }

    /// Where more bytes go: at the end of this. Only grows as they arrive.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.at.min(self.bytes.len()));
        self.at = 0;
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId::new(7);

    #[test]
    fn frames_that_arrive_in_any_pieces_are_taken_whole_and_in_order() {
        let frames: Vec<u8> =
            (1..=3_u64).flat_map(|n| frame::encode(Kind::Request, GROUP, &n).unwrap()).collect();
        for piece in 1..=frames.len() {
            let (mut inbox, mut taken) = (Inbox::default(), Vec::new());
            for bytes in frames.chunks(piece) {
                inbox.room().extend_from_slice(bytes);
                while let Some(n) = inbox.take::<u64>(Kind::Request, GROUP).unwrap() {
                    taken.push(n);
                }
            }
            assert_eq!(taken, [1, 2, 3], "pieces of {piece}");
            assert!(inbox.room().is_empty());
        }
    }
}
