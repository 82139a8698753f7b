//! A queue of at most `N` elements, open at both ends, with positions.

use super::List;
use core::hash::{Hash, Hasher};

/// A queue of at most `N` elements. Equality and hash see the elements in order, not where in the
/// storage they happen to stand.
#[derive(Clone)]
pub struct Ring<T, const N: usize> {
    // Cells before `len` positions from `head` (cyclically) are `Some`; all others are `None`.
    cells: List<Option<T>, N>,
    head: usize,
    len: usize,
}

impl<T, const N: usize> Ring<T, N> {
    /// A ring without elements.
    #[must_use]
    pub const fn new() -> Self {
        Self { cells: List::new(), head: 0, len: 0 }
    }

    /// How many elements it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many more elements it would take.
    #[must_use]
    pub const fn room(&self) -> usize {
        N.saturating_sub(self.len)
    }

    /// The cell of the element at `position`; meaningful below the number of cells.
    fn cell(&self, position: usize) -> usize {
        let cell = self.head.saturating_add(position);
        cell.checked_sub(self.cells.len()).unwrap_or(cell)
    }

    /// The element at `position`, counted from the front.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&T> {
        if position >= self.len {
            return None;
        }
        self.cells.get(self.cell(position))?.as_ref()
    }

    /// The last element.
    #[must_use]
    pub fn last(&self) -> Option<&T> {
        self.get(self.len.checked_sub(1)?)
    }

    /// Appends an element.
    ///
    /// # Errors
    /// Hands the element back if the ring is full; the ring is unchanged.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.len >= N {
            return Err(item);
        }
        if self.len == self.cells.len() {
            self.grow();
        }
        let cell = self.cell(self.len);
        if let Some(free) = self.cells.get_mut(cell) {
            *free = Some(item);
        }
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// Puts the front first again and doubles the cells, so that a queue that grows while it moves
    /// is rotated as seldom as a vector is copied.
    fn grow(&mut self) {
        self.cells.rotate_left(self.head);
        self.head = 0;
        for _ in 0..self.cells.len().max(1) {
            if self.cells.push(None).is_err() {
                break;
            }
        }
    }

    /// Takes out the first element.
    pub fn pop_front(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        let item = self.cells.get_mut(self.head)?.take();
        self.head = self.head.saturating_add(1);
        if self.head >= self.cells.len() {
            self.head = 0;
        }
        item
    }

    /// Drops the first `count` elements.
    pub fn drop_front(&mut self, count: usize) {
        for _ in 0..count.min(self.len) {
            self.pop_front();
        }
    }

    /// Drops everything from `length` on.
    pub fn truncate(&mut self, length: usize) {
        while self.len > length {
            self.len = self.len.saturating_sub(1);
            let cell = self.cell(self.len);
            if let Some(cell) = self.cells.get_mut(cell) {
                *cell = None;
            }
        }
    }

    /// The elements, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.range(0, self.len)
    }

    /// The elements from position `from` up to, and without, position `to`.
    pub fn range(&self, from: usize, to: usize) -> impl Iterator<Item = &T> + Clone {
        (from..to.min(self.len)).filter_map(|position| self.get(position))
    }
}

impl<T, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: PartialEq, const N: usize> PartialEq for Ring<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<T: Eq, const N: usize> Eq for Ring<T, N> {}

impl<T: Hash, const N: usize> Hash for Ring<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len.hash(state);
        self.iter().for_each(|item| item.hash(state));
    }
}

impl<T: core::fmt::Debug, const N: usize> core::fmt::Debug for Ring<T, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
