//! What the search has tried in vain: sets of operations that were given a place, with the state
//! after them.
//!
//! It is exact: a set that it knows is one that was put in. It is bounded too, so it may forget, and
//! then the search only takes longer. There are two generations; when the young one has grown to
//! its half of the room it becomes the old one, and what was the old one is gone.

use std::hash::{DefaultHasher, Hash, Hasher as _};

/// How much is remembered, in bytes, both generations together. What states own elsewhere is not
/// counted.
const ROOM: usize = 256 << 20;

/// What was tried in vain.
pub(super) struct Failed<S> {
    young: Generation<S>,
    old: Generation<S>,
    /// How many are in a generation that is full.
    full: usize,
    /// The furthest first return of all that was ever put in.
    furthest: u32,
}

impl<S: Eq + Hash> Failed<S> {
    /// Nothing, for sets of so many words.
    pub(super) fn new(words: usize) -> Self {
        Self::with_room(words, ROOM)
    }

    fn with_room(words: usize, room: usize) -> Self {
        // The table has between two and four numbers for each that is in it.
        let each = (words + 1) * size_of::<u64>() + size_of::<S>() + 4 * size_of::<u32>();
        let full = (room / 2 / each).max(1);
        Self { young: Generation::new(words), old: Generation::new(words), full, furthest: 0 }
    }

    /// Whether this was tried in vain, as far as is remembered.
    pub(super) fn has(&self, first_return: u32, lifted: &[u64], state: &S) -> bool {
        // Most searches run ahead of what has failed.
        if first_return > self.furthest || self.young.states.is_empty() {
            return false;
        }
        let hash = hash(first_return, lifted, state);
        self.young.has(hash, first_return, lifted, state)
            || self.old.has(hash, first_return, lifted, state)
    }

    /// Remembers that this was tried in vain.
    pub(super) fn put(&mut self, first_return: u32, lifted: &[u64], state: S) {
        if self.young.states.len() >= self.full {
            let words = lifted.len();
            self.old = std::mem::replace(&mut self.young, Generation::new(words));
        }
        self.furthest = self.furthest.max(first_return);
        let hash = hash(first_return, lifted, &state);
        self.young.put(hash, first_return, lifted, state);
    }
}

fn hash<S: Hash>(first_return: u32, lifted: &[u64], state: &S) -> u64 {
    // Its keys are fixed, and nothing depends on them but the time that it takes.
    let mut hasher = DefaultHasher::new();
    hasher.write_u32(first_return);
    for word in lifted {
        hasher.write_u64(*word);
    }
    state.hash(&mut hasher);
    hasher.finish()
}

/// A hash table that only grows.
struct Generation<S> {
    /// Numbers of what is in, from 1, where their hashes say or at the next free place; 0 is free.
    table: Vec<u32>,
    /// For each that is in: the first return, then the set.
    words: Vec<u64>,
    /// And the state.
    states: Vec<S>,
    stride: usize,
}

impl<S: Eq + Hash> Generation<S> {
    fn new(words: usize) -> Self {
        Self { table: Vec::new(), words: Vec::new(), states: Vec::new(), stride: words + 1 }
    }

    fn key(&self, number: usize) -> (&u64, &[u64]) {
        let key = &self.words[number * self.stride..][..self.stride];
        key.split_first().expect("the stride is not zero")
    }

    fn has(&self, hash: u64, first_return: u32, lifted: &[u64], state: &S) -> bool {
        self.places(hash).map_while(|place| (self.table[place] as usize).checked_sub(1)).any(
            |number| {
                self.key(number) == (&u64::from(first_return), lifted)
                    && self.states[number] == *state
            },
        )
    }

    fn put(&mut self, hash: u64, first_return: u32, lifted: &[u64], state: S) {
        if self.states.len() * 2 >= self.table.len() {
            self.grow();
        }
        self.words.push(first_return.into());
        self.words.extend_from_slice(lifted);
        self.states.push(state);
        self.enter(hash, self.states.len());
    }

    fn enter(&mut self, hash: u64, number: usize) {
        let free = self.places(hash).find(|place| self.table[*place] == 0);
        let free = free.expect("half of the table is free");
        self.table[free] = u32::try_from(number).expect("the room is under 2^32 bytes");
    }

    fn grow(&mut self) {
        self.table = vec![0; (self.table.len() * 2).max(1 << 10)];
        for number in 0..self.states.len() {
            let (first_return, lifted) = self.key(number);
            let first_return = u32::try_from(*first_return).expect("it was one when it was put in");
            self.enter(hash(first_return, lifted, &self.states[number]), number + 1);
        }
    }

    /// The places of a hash, best first.
    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<S> {
        let size = self.table.len();
        let first = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0);
        (0..size).map(move |offset| (first + offset) & (size - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_known_and_nothing_else_is() {
        let mut failed = Failed::new(2);
        for n in 0..5_000 {
            failed.put(n, &[u64::from(n), 7], n % 3);
        }
        for n in 0..5_000 {
            assert!(failed.has(n, &[u64::from(n), 7], &(n % 3)));
            assert!(!failed.has(n, &[u64::from(n), 7], &((n + 1) % 3)));
            assert!(!failed.has(n, &[u64::from(n), 8], &(n % 3)));
            assert!(!failed.has(n + 1, &[u64::from(n), 7], &(n % 3)));
        }
    }

    #[test]
    fn a_full_memory_keeps_what_is_recent_and_forgets_the_rest() {
        let mut failed = Failed::with_room(1, 100 * (16 + 4 + 16));
        assert_eq!(failed.full, 50);
        for n in 0..1_000_u32 {
            failed.put(n, &[0], n);
            assert!(failed.young.states.len() <= 50 && failed.old.states.len() <= 50);
        }
        assert!((950..1_000).all(|n| failed.has(n, &[0], &n)));
        assert!((0..900).all(|n| !failed.has(n, &[0], &n)));
    }
}
