//! Every folder that a crash may leave behind.
//!
//! A [`RecordingDisk`] writes down what is done to it and what its user promised to whom when. An
//! [`Enumerator`] then stops the [`Recording`] after every operation and makes the folders that a
//! crash at this point may leave, as [`Disk`](quorate_host::disk::Disk) describes them:
//!
//! - of what was written to a file since its last sync, any part, in any order: whole writes,
//!   sectors, cuts at a byte, holes; its new length with or without the bytes;
//! - of the names made, moved or removed since the last sync of the folder, any, in their order, and
//!   each whole;
//! - after a sync that failed, any part of what it should have written, whatever later syncs say.
//!
//! A file that is left under two names, because only the second of two moves survived, becomes two
//! files of one content here: that a write to one is a write to both is not seen.
//!
//! The method is that of ALICE (Pillai and others, OSDI 2014) and CrashMonkey (Mohan and others,
//! OSDI 2018). All of this is finite and too much, so it is exhaustive up to the bounds in
//! [`Limits`] and drawn from a seed beyond them; [`Count`] says how much was which. Equal seeds
//! visit equal folders in equal order.

mod crash;
mod enumerator;
mod parts;
mod recording;
#[cfg(test)]
mod tests;

pub use enumerator::{Count, Enumerator, Failure, Limits};
pub use recording::{RecordedFile, Recording, RecordingDisk};

use std::collections::BTreeMap;

/// What a folder holds: the content of each file, by name.
pub type Folder = BTreeMap<String, Vec<u8>>;

/// A fingerprint of bytes: every eight of them are multiplied to 128 bits, which are folded.
fn fingerprint(start: u64, bytes: &[u8]) -> u64 {
    let fold = |hash: u64, word: u64| {
        let wide = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15;
        (wide as u64 ^ (wide >> 64) as u64).rotate_left(29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = fold(start ^ 0x243f_6a88_85a3_08d3, bytes.len() as u64);
    let hash = words.iter().fold(hash, |hash, word| fold(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| fold(hash, u64::from(*byte)))
}
