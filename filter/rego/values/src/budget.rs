//! What one evaluation may cost, counted at each of its steps: what is called from there is built with the
//! evaluator (`#[inline]`), for speed. It counts no time, so that a decision comes out the same on every
//! machine and when it is made again from its record.

use std::cmp::Ordering;

use crate::value::{Object, Value};

/// Bytes of text that are compared in one unit.
const TEXT_BYTES: usize = 64;
/// Values inside each other.
pub const MAX_DEPTH: usize = 256;

/// Why a builtin gives no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Its arguments are not what it takes: undefined, as in OPA. What was expected, for people.
    Error(&'static str),
    /// The budget is used up: the evaluation ends.
    Limit,
}

/// What is left of an evaluation's limits.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Steps of the evaluation itself.
    pub steps: u64,
    /// Units of work of builtins and of making values; a unit is at most about 30 ns of the module.
    pub work: u64,
}

impl Budget {
    /// So many steps, and so many units of work.
    pub const fn new(steps: u64, work: u64) -> Self {
        Self { steps, work }
    }

    /// Takes units of work. Call it before the work is done.
    ///
    /// # Errors
    /// So much is not left.
    #[inline]
    pub fn charge(&mut self, work: usize) -> Result<(), Failure> {
        let work = u64::try_from(work).unwrap_or(u64::MAX);
        self.work = self.work.checked_sub(work).ok_or(Failure::Limit)?;
        Ok(())
    }

    /// Takes the size of a value: bytes of text and numbers, and one for each value, of the whole tree.
    ///
    /// # Errors
    /// So much is not left.
    #[inline]
    pub fn charge_size(&mut self, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Null | Value::Bool(_) => self.charge(1),
            Value::Number(number) => self.charge(number.digits()),
            Value::String(text) => self.charge(text.len().saturating_add(1)),
            Value::Array(items) => self.charge_all(items),
            Value::Set(items) => self.charge_all(items),
            Value::Object(members) => {
                self.charge(1)?;
                members.iter().try_for_each(|(key, value)| {
                    self.charge_size(key)?;
                    self.charge_size(value)
                })
            }
        }
    }

    /// How two values compare, charged as far as they are looked at.
    ///
    /// # Errors
    /// So much is not left.
    #[inline]
    pub fn compare(&mut self, a: &Value, b: &Value) -> Result<Ordering, Failure> {
        match (a, b) {
            (Value::Array(a), Value::Array(b)) => self.compare_all(a.iter(), b.iter()),
            (Value::Set(a), Value::Set(b)) => self.compare_all(a.iter(), b.iter()),
            (Value::Object(a), Value::Object(b)) => self.compare_all(flat(a), flat(b)),
            (Value::String(one), Value::String(other)) => {
                self.charge(one.len().min(other.len()) / TEXT_BYTES)?;
                Ok(one.cmp(other))
            }
            (Value::Number(one), Value::Number(_)) => {
                self.charge(one.digits())?;
                Ok(a.cmp(b))
            }
            _ => Ok(a.cmp(b)),
        }
    }

    fn compare_all<'v>(
        &mut self,
        mut a: impl Iterator<Item = &'v Value>,
        mut b: impl Iterator<Item = &'v Value>,
    ) -> Result<Ordering, Failure> {
        loop {
            self.charge(1)?;
            match (a.next(), b.next()) {
                (Some(a), Some(b)) => match self.compare(a, b)? {
                    Ordering::Equal => {}
                    order => return Ok(order),
                },
                (a, b) => return Ok(a.is_some().cmp(&b.is_some())),
            }
        }
    }

    /// Takes a search for a value among so many in their order, or its way to its place among them.
    ///
    /// # Errors
    /// So much is not left.
    pub fn charge_search(&mut self, value: &Value, among: usize) -> Result<(), Failure> {
        let looks = usize::try_from(among.checked_ilog2().unwrap_or(0)).unwrap_or_default().saturating_add(1);
        match value {
            Value::Array(_) | Value::Set(_) | Value::Object(_) => {
                for _ in 0..looks {
                    self.charge_size(value)?;
                }
                Ok(())
            }
            Value::String(text) => self.charge((text.len() / TEXT_BYTES).saturating_mul(looks)),
            Value::Number(number) => self.charge((number.digits() / TEXT_BYTES).saturating_mul(looks)),
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    fn charge_all(&mut self, items: &[Value]) -> Result<(), Failure> {
        self.charge(1)?;
        items.iter().try_for_each(|item| self.charge_size(item))
    }
}

/// Keys and values, as an object compares.
fn flat(members: &Object) -> impl Iterator<Item = &Value> {
    members.iter().flat_map(|(key, value)| [key, value])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Set;

    #[test]
    fn values_compare_as_they_are_ordered_and_what_is_looked_at_is_charged() {
        let n = |value: i64| Value::from(value);
        let object =
            |pairs: &[(i64, i64)]| Value::from(pairs.iter().map(|(a, b)| (n(*a), n(*b))).collect::<Object>());
        let all = [
            Value::Null,
            Value::Bool(false),
            n(1),
            n(2),
            Value::from(""),
            Value::from("a"),
            Value::from("ab"),
            Value::from(vec![]),
            Value::from(vec![n(1)]),
            Value::from(vec![n(1), n(2)]),
            Value::from(vec![n(2)]),
            object(&[]),
            object(&[(1, 1)]),
            object(&[(1, 1), (2, 0)]),
            object(&[(1, 2)]),
            Value::from(Set::from(vec![n(1)])),
            Value::from(Set::from(vec![n(1), Value::from("a")])),
        ];
        for a in &all {
            for b in &all {
                assert_eq!(Budget::new(0, 100).compare(a, b), Ok(a.cmp(b)));
            }
        }
        let tree = |leaf: i64| {
            (0..40).fold(Value::from(vec![n(leaf)]), |tree, _| Value::from(vec![tree.clone(), tree]))
        };
        for (a, b) in
            [(tree(1), tree(1)), (Value::from(vec![n(0), tree(1)]), Value::from(vec![n(0), tree(1)]))]
        {
            assert_eq!(Budget::new(0, 100_000).compare(&a, &b), Err(Failure::Limit));
            assert_eq!(Budget::new(0, 100_000).charge_search(&a, 1), Err(Failure::Limit));
        }
        assert_eq!(Budget::new(0, 100_000).compare(&tree(1), &tree(2)), Ok(Ordering::Less));
    }
}
