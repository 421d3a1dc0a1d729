//! A bounded map that forgets the oldest entry. Not an LRU: a hit does not freshen an entry, so a
//! busy entry is forgotten as soon as `capacity` younger ones came; its next use costs one miss.

use std::collections::{BTreeMap, VecDeque};

/// At most `capacity` entries that weigh at most `max_weight` together, oldest forgotten first. A
/// BTreeMap, because HashMap's keys are predictable on wasm32-unknown-unknown and the keys here are
/// chosen by clients.
#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    capacity: usize,
    max_weight: usize,
    weight: usize,
    entries: BTreeMap<K, (V, usize)>,
    // INVARIANT: holds each key of `entries` exactly once.
    oldest: VecDeque<K>,
}

impl<K: Ord + Clone, V> BoundedMap<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self::weighed(capacity, usize::MAX)
    }

    pub(crate) fn weighed(capacity: usize, max_weight: usize) -> Self {
        Self { capacity, max_weight, weight: 0, entries: BTreeMap::new(), oldest: VecDeque::new() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.insert_weighed(key, value, 0);
    }

    /// Forgets as much as the entry needs; one that is too heavy by itself is not taken.
    pub(crate) fn insert_weighed(&mut self, key: K, value: V, weight: usize) {
        if self.capacity == 0 || weight > self.max_weight {
            self.remove(&key);
            return;
        }
        self.weight = self.weight.saturating_add(weight);
        match self.entries.insert(key.clone(), (value, weight)) {
            Some((_, before)) => self.weight = self.weight.saturating_sub(before),
            None => self.oldest.push_back(key),
        }
        self.shrink();
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((_, weight)) = self.entries.remove(key) {
            self.weight = self.weight.saturating_sub(weight);
            self.oldest.retain(|other| other != key);
        }
    }

    /// Changes the bounds; forgets what no longer fits.
    pub(crate) fn set_bounds(&mut self, capacity: usize, max_weight: usize) {
        self.capacity = capacity;
        self.max_weight = max_weight;
        self.shrink();
    }

    pub(crate) fn clear(&mut self) {
        self.weight = 0;
        self.entries.clear();
        self.oldest.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn shrink(&mut self) {
        while self.oldest.len() > self.capacity || self.weight > self.max_weight {
            let Some(oldest) = self.oldest.pop_front() else { return };
            if let Some((_, weight)) = self.entries.remove(&oldest) {
                self.weight = self.weight.saturating_sub(weight);
            }
        }
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
        map.set_bounds(1, usize::MAX);
        assert_eq!((map.get(&"b"), map.get(&"c")), (None, Some(&4)));
        map.set_bounds(0, usize::MAX);
        map.insert("d", 5);
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn weights_are_bounded_and_given_back() {
        let mut map = BoundedMap::weighed(10, 100);
        map.insert_weighed("a", 1, 60);
        map.insert_weighed("a", 2, 30);
        map.insert_weighed("b", 3, 70);
        assert_eq!((map.get(&"a"), map.get(&"b")), (Some(&2), Some(&3)));
        map.insert_weighed("c", 4, 1);
        assert_eq!((map.get(&"a"), map.len()), (None, 2));
        map.remove(&"b");
        map.insert_weighed("d", 5, 99);
        assert_eq!((map.get(&"c"), map.get(&"d")), (Some(&4), Some(&5)));
        map.insert_weighed("e", 6, 101);
        assert_eq!((map.get(&"e"), map.len()), (None, 2), "too heavy: nothing else has to go for it");
    }
}
