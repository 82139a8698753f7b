//! A vector of at most `N` elements.

use core::ops::{Deref, DerefMut};

#[cfg(feature = "alloc")]
type Items<T, const N: usize> = alloc_backend::Items<T, N>;
#[cfg(not(feature = "alloc"))]
type Items<T, const N: usize> = heapless::Vec<T, N>;

/// A vector of at most `N` elements, read as a slice.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct List<T, const N: usize> {
    items: Items<T, N>,
}

impl<T, const N: usize> List<T, N> {
    /// A list without elements.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: Items::new() }
    }

    /// Appends an element.
    ///
    /// # Errors
    /// Hands the element back if the list is full; the list is unchanged.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        self.items.push(item)
    }

    /// Puts an element at `position` and moves what follows.
    ///
    /// # Errors
    /// Hands the element back if the list is full or shorter than `position`; it is unchanged.
    pub fn insert(&mut self, position: usize, item: T) -> Result<(), T> {
        if position > self.len() { Err(item) } else { self.items.insert(position, item) }
    }

    /// Takes out the element at `position` and closes the gap.
    pub fn remove(&mut self, position: usize) -> Option<T> {
        (position < self.len()).then(|| self.items.remove(position))
    }

    /// Takes out the last element.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop()
    }

    /// Drops everything from `length` on.
    pub fn truncate(&mut self, length: usize) {
        self.items.truncate(length);
    }

    /// Drops the first `count` elements.
    pub fn drop_front(&mut self, count: usize) {
        let count = count.min(self.len());
        self.rotate_left(count);
        self.truncate(self.len().saturating_sub(count));
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// Whether one more element would be handed back.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= N
    }
}

impl<T: Clone, const N: usize> List<T, N> {
    /// Appends all elements of a slice.
    ///
    /// # Errors
    /// Fails if they do not all fit; the list is unchanged.
    pub fn extend(&mut self, items: &[T]) -> Result<(), Overflow> {
        if items.len() > N.saturating_sub(self.len()) {
            return Err(Overflow);
        }
        self.items.extend_from_slice(items).map_err(|_| Overflow)
    }
}

/// The elements would not all fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overflow;

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T, const N: usize> DerefMut for List<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

/// A list travels as a sequence; one that is longer than the limit is refused, whatever length it
/// says it has.
#[cfg(feature = "serde")]
mod sequence {
    use super::List;
    use core::fmt;
    use core::marker::PhantomData;
    use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
    use serde::ser::{Serialize, Serializer};

    impl<T: Serialize, const N: usize> Serialize for List<T, N> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_seq(self.iter())
        }
    }

    impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for List<T, N> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_seq(Elements(PhantomData))
        }
    }

    struct Elements<T, const N: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Elements<T, N> {
        type Value = List<T, N>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {N} elements")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<List<T, N>, A::Error> {
            let mut list = List::new();
            while let Some(element) = from.next_element()? {
                list.push(element).map_err(|_| A::Error::invalid_length(N, &self))?;
            }
            Ok(list)
        }
    }
}

/// `Vec` behind the few calls that differ: what would pass the limit is handed back.
#[cfg(feature = "alloc")]
mod alloc_backend {
    use alloc::vec::Vec;
    use core::ops::{Deref, DerefMut};

    #[derive(Clone, PartialEq, Eq, Hash, Debug)]
    pub(super) struct Items<T, const N: usize>(Vec<T>);

    impl<T, const N: usize> Items<T, N> {
        pub(super) const fn new() -> Self {
            Self(Vec::new())
        }

        pub(super) fn push(&mut self, item: T) -> Result<(), T> {
            if self.0.len() >= N {
                return Err(item);
            }
            if self.0.len() == self.0.capacity() {
                self.grow();
            }
            self.0.push(item);
            Ok(())
        }

        pub(super) fn insert(&mut self, position: usize, item: T) -> Result<(), T> {
            if self.0.len() >= N {
                return Err(item);
            }
            if self.0.len() == self.0.capacity() {
                self.grow();
            }
            self.0.insert(position, item);
            Ok(())
        }

        /// Grows by half from one, where a `Vec` doubles from four: most lists of an idle group hold one.
        #[cold]
        #[inline(never)]
        fn grow(&mut self) {
            self.0.reserve_exact((self.0.len() / 2).max(1).min(N.saturating_sub(self.0.len())));
        }

        pub(super) fn remove(&mut self, position: usize) -> T {
            self.0.remove(position)
        }

        pub(super) fn pop(&mut self) -> Option<T> {
            self.0.pop()
        }

        pub(super) fn truncate(&mut self, length: usize) {
            self.0.truncate(length);
        }

        pub(super) fn clear(&mut self) {
            self.0.clear();
        }
    }

    impl<T: Clone, const N: usize> Items<T, N> {
        #[allow(clippy::unnecessary_wraps, reason = "the heapless backend's call can fail")]
        pub(super) fn extend_from_slice(&mut self, items: &[T]) -> Result<(), super::Overflow> {
            self.0.extend_from_slice(items);
            Ok(())
        }
    }

    impl<T, const N: usize> Deref for Items<T, N> {
        type Target = [T];
        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<T, const N: usize> DerefMut for Items<T, N> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }
}
