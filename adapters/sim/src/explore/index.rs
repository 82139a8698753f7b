//! Values by number: equal values get one number, and what was worked out once is found again.
//!
//! A state of a model is made of parts that recur in thousands of states. Each part is kept once,
//! and a state is a few numbers. Equality is exact: a hash says only where to look. The hash is
//! fixed, so a run takes the same course every time.

use std::hash::{Hash, Hasher};

/// Equal values get one number, in the order of their coming.
#[derive(Clone, Debug)]
pub struct Numbered<T> {
    items: Vec<T>,
    /// A power of two of cells, at most half of them taken: a number and one, or zero.
    cells: Vec<u32>,
}

impl<T: Hash + Eq> Numbered<T> {
    /// No values.
    pub fn new() -> Self {
        Self { items: Vec::new(), cells: vec![0; 16] }
    }

    /// The number of a value, and whether it is new.
    ///
    /// # Panics
    /// If there are more values than numbers of 32 bits.
    pub fn number(&mut self, item: T) -> (u32, bool) {
        let mask = self.cells.len() - 1;
        let mut at = hash(&item) as usize & mask;
        while self.cells[at] != 0 {
            let number = self.cells[at] - 1;
            if self.items[number as usize] == item {
                return (number, false);
            }
            at = (at + 1) & mask;
        }
        self.items.push(item);
        self.cells[at] = u32::try_from(self.items.len()).expect("memory ends before numbers do");
        if self.items.len() * 2 > self.cells.len() {
            self.spread();
        }
        (self.items.len() as u32 - 1, true)
    }

    fn spread(&mut self) {
        let mask = self.cells.len() * 2 - 1;
        self.cells = vec![0; mask + 1];
        for (item, number) in self.items.iter().zip(1..) {
            let mut at = hash(item) as usize & mask;
            while self.cells[at] != 0 {
                at = (at + 1) & mask;
            }
            self.cells[at] = number;
        }
    }
}

impl<T> Numbered<T> {
    /// The value of a number.
    ///
    /// # Panics
    /// If the number was never given.
    pub fn get(&self, number: u32) -> &T {
        &self.items[number as usize]
    }

    /// How many different values have come.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none has come.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes taken, without what the values own elsewhere.
    pub fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<T>() + self.cells.capacity() * size_of::<u32>()
    }
}

impl<T: Hash + Eq> Default for Numbered<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What came of a pair of numbers, once it was worked out.
#[derive(Clone, Debug)]
pub struct Known<V> {
    /// A power of two of cells, at most half of them taken.
    cells: Vec<Option<(u32, u32, V)>>,
    taken: usize,
}

impl<V: Copy> Known<V> {
    /// Nothing is known.
    pub fn new() -> Self {
        Self { cells: vec![None; 16], taken: 0 }
    }

    /// What came of a pair.
    pub fn get(&self, one: u32, other: u32) -> Option<V> {
        let (_, _, value) = self.cells[self.place(one, other)]?;
        Some(value)
    }

    /// Takes note of what came of a pair.
    pub fn put(&mut self, one: u32, other: u32, value: V) {
        if self.taken * 2 >= self.cells.len() {
            let twice = vec![None; self.cells.len() * 2];
            let old = std::mem::replace(&mut self.cells, twice);
            for (one, other, value) in old.into_iter().flatten() {
                let place = self.place(one, other);
                self.cells[place] = Some((one, other, value));
            }
        }
        let place = self.place(one, other);
        self.taken += usize::from(self.cells[place].is_none());
        self.cells[place] = Some((one, other, value));
    }

    /// Where a pair stands, or the free cell where it would stand.
    fn place(&self, one: u32, other: u32) -> usize {
        let mask = self.cells.len() - 1;
        let mut at = hash(&(one, other)) as usize & mask;
        while let Some((a, b, _)) = &self.cells[at] {
            if (*a, *b) == (one, other) {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Option<(u32, u32, V)>>()
    }
}

impl<V: Copy> Default for Known<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// A hash that is the same in every run.
pub fn hash<T: Hash + ?Sized>(item: &T) -> u64 {
    let mut mix = Mix(0);
    item.hash(&mut mix);
    mix.finish()
}

/// Multiplies and rotates, eight bytes at a time.
struct Mix(u64);

impl Mix {
    const fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, n: u8) {
        self.word(n.into());
    }
    fn write_u32(&mut self, n: u32) {
        self.word(n.into());
    }
    fn write_u64(&mut self, n: u64) {
        self.word(n);
    }
    fn write_usize(&mut self, n: usize) {
        self.word(n as u64);
    }
    /// The low bits choose the cell, so the high ones, which all input has reached, come down.
    fn finish(&self) -> u64 {
        let z = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        z ^ (z >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_get_one_number_and_others_another() {
        let mut numbered = Numbered::new();
        for round in 0..2 {
            for n in 0..10_000_u64 {
                assert_eq!(numbered.number(n * n), (n as u32, round == 0));
            }
        }
        assert_eq!((numbered.len(), *numbered.get(99)), (10_000, 99 * 99));
    }

    #[test]
    fn what_is_known_of_a_pair_is_not_known_of_its_mirror() {
        let mut known = Known::new();
        (0..5_000_u32).for_each(|n| known.put(n, n + 1, n));
        known.put(7, 8, 70);
        assert_eq!((known.get(7, 8), known.get(8, 7)), (Some(70), None));
        assert!((8..5_000).all(|n| known.get(n, n + 1) == Some(n)));
    }
}
