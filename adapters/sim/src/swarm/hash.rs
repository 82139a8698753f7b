//! One way to fold anything into a number: the same on every target, in every build, on every run.

use std::hash::{Hash, Hasher};

/// A fold of everything that it was given, in order. Not for anything that somebody attacks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fold(u64);

impl Fold {
    /// A fold that goes on from a number.
    pub const fn from(start: u64) -> Self {
        Self(start)
    }

    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        let folded = self.0 ^ (self.0 >> 32);
        folded.wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }
    fn write_u16(&mut self, n: u16) {
        self.mix(u64::from(n));
    }
    fn write_u32(&mut self, n: u32) {
        self.mix(u64::from(n));
    }
    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }
    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }
    fn write_isize(&mut self, n: isize) {
        self.mix(n as u64);
    }
}

/// Folds one thing, from a number on.
pub fn fold(start: u64, thing: &impl Hash) -> u64 {
    let mut fold = Fold::from(start);
    thing.hash(&mut fold);
    fold.finish()
}
