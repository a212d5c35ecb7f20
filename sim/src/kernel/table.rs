//! A small sorted map whose clone is one copy and whose hash is one walk.
//!
//! The kernel is cloned and hashed for each state of a search, and its tables hold a handful of entries (about a hundred
//! at most). A sorted vector beats a tree at that size, and its order is part of its value, so that tables that were
//! filled in different orders are equal.

/// Keys in ascending order, each with one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Table<K, V> {
    entries: Vec<(K, V)>,
}

impl<K: Ord, V> Table<K, V> {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.position(key).ok().map(|at| &self.entries[at].1)
    }

    pub(super) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.position(key).ok().map(|at| &mut self.entries[at].1)
    }

    /// Adds or replaces, and gives back what was there.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.position(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.position(key).ok().map(|at| self.entries.remove(at).1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// In ascending order of the keys.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub(super) fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.entries.iter().map(|(key, _)| key)
    }

    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    fn position<Q>(&self, key: &Q) -> Result<usize, usize>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.entries.binary_search_by(|(probe, _)| probe.borrow().cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn tables_filled_in_different_orders_are_equal() {
        let (mut up, mut down) = (Table::new(), Table::new());
        for key in 0..9 {
            up.insert(key, key * 10);
            down.insert(8 - key, (8 - key) * 10);
        }
        assert_eq!(up, down);
        assert_eq!(up.insert(3, 0), Some(30));
        assert_eq!(up.remove(&3), Some(0));
        assert_eq!(up.get(&3), None);
        assert_eq!(up.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 4, 5, 6, 7, 8]);
    }
}
