//! A bounded map that forgets the oldest entry. Not an LRU: a hit does not freshen an entry, so a
//! busy entry is forgotten as soon as `capacity` younger ones came; its next use costs one miss.

use std::collections::{BTreeMap, VecDeque};

/// At most `capacity` entries, oldest forgotten first. A BTreeMap, because HashMap's keys are
/// predictable on wasm32-unknown-unknown and the keys here are chosen by clients.
#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    capacity: usize,
    entries: BTreeMap<K, V>,
    // INVARIANT: holds each key of `entries` exactly once.
    oldest: VecDeque<K>,
}

impl<K: Ord + Clone, V> BoundedMap<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, entries: BTreeMap::new(), oldest: VecDeque::new() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.capacity == 0 {
            return;
        }
        if self.entries.insert(key.clone(), value).is_some() {
            return;
        }
        self.oldest.push_back(key);
        while self.oldest.len() > self.capacity {
            if let Some(oldest) = self.oldest.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    /// Changes the bound; forgets what no longer fits.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        while self.oldest.len() > capacity {
            if let Some(oldest) = self.oldest.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.oldest.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_the_bound_holds() {
        let mut map = BoundedMap::new(2);
        map.insert("a", 1);
        map.insert("b", 2);
        map.insert("a", 3);
        map.insert("c", 4);
        assert_eq!((map.get(&"a"), map.get(&"b"), map.get(&"c")), (None, Some(&2), Some(&4)));
        assert_eq!(map.len(), 2);
        map.set_capacity(1);
        assert_eq!((map.get(&"b"), map.get(&"c")), (None, Some(&4)));
        map.set_capacity(0);
        map.insert("d", 5);
        assert_eq!(map.len(), 0);
    }
}
