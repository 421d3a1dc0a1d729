//! A map whose look-ups cost the same however large it is, and that neither grows nor drops at once.

use std::borrow::Borrow;
use std::hash::{DefaultHasher, Hash, Hasher};

use hashbrown::hash_table::{Entry, HashTable};

const TABLES: usize = 256;

/// 256 hash tables. One alone would stop a worker for as long as all its entries take to move when it
/// grows; of these each moves its own share.
///
/// Its keys come from a bundle that somebody signed, so that a hash without a secret does: who only
/// asks for a key can't make two others collide.
#[derive(Debug)]
pub(super) struct ShardedMap<K, V> {
    tables: Vec<HashTable<(K, V)>>,
    len: usize,
}

impl<K, V> Default for ShardedMap<K, V> {
    fn default() -> Self {
        Self { tables: (0..TABLES).map(|_| HashTable::new()).collect(), len: 0 }
    }
}

impl<K: Hash + Eq, V> ShardedMap<K, V> {
    /// How many entries were added.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = hash(key);
        let found = self.tables.get(table(hash))?.find(hash, |(known, _)| known.borrow() == key);
        found.map(|(_, value)| value)
    }

    /// The value of the key; added if it is new.
    pub(super) fn slot(&mut self, key: K) -> Option<&mut V>
    where
        V: Default,
    {
        let of = hash(&key);
        let entries = self.tables.get_mut(table(of))?;
        let entry = entries.entry(of, |(known, _)| *known == key, |(known, _)| hash(known));
        if matches!(entry, Entry::Vacant(_)) {
            self.len = self.len.saturating_add(1);
        }
        Some(&mut entry.or_insert_with(|| (key, V::default())).into_mut().1)
    }

    /// Adds an entry whose key is not there yet.
    pub(super) fn add(&mut self, key: K, value: V) {
        let of = hash(&key);
        if let Some(table) = self.tables.get_mut(table(of)) {
            table.insert_unique(of, (key, value), |(known, _)| hash(known));
            self.len = self.len.saturating_add(1);
        }
    }

    /// Drops at least `many` entries if there are as many; whether there are more. Nothing may be
    /// asked of it afterwards.
    pub(super) fn take_apart(&mut self, many: usize) -> bool {
        let mut dropped = 0_usize;
        while dropped < many {
            let Some(table) = self.tables.pop() else { return false };
            dropped = dropped.saturating_add(table.len());
        }
        true
    }
}

fn hash<Q: Hash + ?Sized>(key: &Q) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// By bits that a table doesn't find its entries by: it takes the lower half.
fn table(hash: u64) -> usize {
    usize::from(hash.to_be_bytes()[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_added_and_nothing_else() {
        let mut map: ShardedMap<String, u32> = ShardedMap::default();
        assert!(map.is_empty());
        for at in 0..10_000 {
            assert_eq!(map.get(at.to_string().as_str()), None);
            map.add(at.to_string(), at);
        }
        assert!((0..10_000).all(|at| map.get(at.to_string().as_str()) == Some(&at)));
        assert_eq!((map.len(), map.get("10000"), map.get("")), (10_000, None, None));
    }

    #[test]
    fn no_table_holds_much_more_than_its_share() {
        let mut map: ShardedMap<(u32, u32), ()> = ShardedMap::default();
        (0..100_000).for_each(|at| map.add((at / 7, at), ()));
        let largest = map.tables.iter().map(HashTable::len).max();
        assert!(largest < Some(600), "{largest:?}");
    }

    #[test]
    fn is_taken_apart_in_parts() {
        let mut map: ShardedMap<u32, ()> = ShardedMap::default();
        (0..10_000).for_each(|at| map.add(at, ()));
        let mut parts = 1;
        while map.take_apart(100) {
            parts += 1;
        }
        assert!((50..=100).contains(&parts), "{parts}");
        assert_eq!(map.get(&1), None);
        assert!(!map.take_apart(100));
    }
}
