//! A map of at most `N` keys, in the order of its keys.

use super::List;

/// A map of at most `N` keys, kept in the order of its keys, so that every replica lists it alike.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Map<K, V, const N: usize> {
    pairs: List<(K, V), N>,
}

impl<K: Ord, V, const N: usize> Map<K, V, N> {
    /// A map without keys.
    #[must_use]
    pub const fn new() -> Self {
        Self { pairs: List::new() }
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether it holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn position(&self, key: &K) -> Result<usize, usize> {
        // One comparison for each halving, where telling apart less, equal and greater takes two.
        let at = self.pairs.partition_point(|(k, _)| k < key);
        if self.pairs.get(at).is_some_and(|(k, _)| k == key) { Ok(at) } else { Err(at) }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.position(key).ok().and_then(|at| self.pairs.get(at)).map(|(_, value)| value)
    }

    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.position(key).ok()?;
        self.pairs.get_mut(at).map(|(_, value)| value)
    }

    /// Gives a key a value and hands back the value it had.
    ///
    /// # Errors
    /// Hands key and value back if the key is new and the map is full; the map is unchanged.
    pub fn insert(&mut self, key: K, value: V) -> Result<Option<V>, (K, V)> {
        match self.position(&key) {
            Ok(at) => Ok(self.pairs.get_mut(at).map(|pair| core::mem::replace(&mut pair.1, value))),
            Err(at) => self.pairs.insert(at, (key, value)).map(|()| None),
        }
    }

    /// Takes out a key with its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.position(key).ok()?;
        self.pairs.remove(at).map(|(_, value)| value)
    }

    /// The lowest key with its value.
    #[must_use]
    pub fn first(&self) -> Option<(&K, &V)> {
        self.pairs.first().map(|(key, value)| (key, value))
    }

    /// Drops every key.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Whether a new key would be handed back.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.pairs.is_full()
    }

    /// The keys with their values, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.pairs.iter().map(|(key, value)| (key, value))
    }

    /// The keys that are not below `from`, with their values, lowest first.
    pub fn iter_from(&self, from: &K) -> impl Iterator<Item = (&K, &V)> + use<'_, K, V, N> {
        let start = self.position(from).unwrap_or_else(|at| at);
        self.pairs.iter().skip(start).map(|(key, value)| (key, value))
    }

    /// The keys with their values to change, lowest first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.pairs.iter_mut().map(|(key, value)| (&*key, value))
    }
}

impl<K: Ord, V, const N: usize> Default for Map<K, V, N> {
    fn default() -> Self {
        Self::new()
    }
}
