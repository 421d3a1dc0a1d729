//! A bounded memory of what came in: the oldest is forgotten, and the count says so.

use std::collections::VecDeque;

use serde_json::Value;

/// The last so many values.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: usize,
    total: u64,
    items: VecDeque<Value>,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, total: 0, items: VecDeque::new() }
    }

    pub(super) fn push(&mut self, item: Value) {
        while self.items.len() >= self.capacity.max(1) {
            self.items.pop_front();
        }
        self.items.push_back(item);
        self.total = self.total.saturating_add(1);
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.total = 0;
    }

    /// How many came since the last clear, the forgotten ones too.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The remembered ones, oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.items.iter()
    }

    /// What a `GET` answers: the count and all that is remembered.
    pub(super) fn to_json(&self, name: &str) -> Value {
        serde_json::json!({"total": self.total, name: self.items})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_and_is_still_counted() {
        let mut ring = Ring::new(2);
        (1..=3).for_each(|n| ring.push(Value::from(n)));
        assert_eq!(ring.to_json("n"), serde_json::json!({"total": 3, "n": [2, 3]}));
        ring.clear();
        assert_eq!((ring.total(), ring.iter().count()), (0, 0));
    }
}
