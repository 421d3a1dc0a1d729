//! The tree that patches edit: of each value, what it was when a patch first came to it.

use super::*;
use crate::builtins::arrays::place;
use crate::builtins::sets::{self, charge_finding};

/// A value under edit.
pub(super) enum Node {
    /// Not yet come to.
    Value(Value),
    Object(Vec<(Value, Node)>),
    Array {
        original: Vec<Value>,
        /// Elements that were not yet come to stand in the order of the original.
        slots: Vec<Slot>,
    },
    Set {
        original: Set,
        /// Elements that were added or, without a node, taken away.
        changes: Vec<(Value, Option<Node>)>,
    },
}

pub(super) enum Slot {
    Original(Value),
    Edited(Node),
}

impl Node {
    /// Comes to a value, so that what is in it can be told apart.
    pub(super) fn open(&mut self, budget: &mut Budget) -> Result<(), Failure> {
        let Self::Value(value) = self else { return Ok(()) };
        budget.charge(value.elements().saturating_mul(4))?;
        match value {
            Value::Object(members) => {
                let nodes = members.iter().map(|(key, value)| (key.clone(), Self::Value(value.clone())));
                *self = Self::Object(nodes.collect());
            }
            Value::Array(items) => {
                *self = Self::Array {
                    slots: items.iter().cloned().map(Slot::Original).collect(),
                    original: items.to_vec(),
                };
            }
            Value::Set(items) => *self = Self::Set { original: items.clone(), changes: Vec::new() },
            _ => {}
        }
        Ok(())
    }

    const fn is_scalar(&self) -> bool {
        matches!(self, Self::Value(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)))
    }

    pub(super) fn child(&mut self, budget: &mut Budget, key: &Value) -> Result<&mut Self, Failure> {
        self.open(budget)?;
        if matches!(self, Self::Set { .. }) {
            return self.element(budget, key);
        }
        match self {
            Self::Object(members) => {
                charge_finding(budget, key, members.len())?;
                let at = members.binary_search_by(|(own, _)| own.cmp(key)).map_err(|_| MISSING)?;
                members.get_mut(at).map(|(_, node)| node).ok_or(MISSING)
            }
            Self::Array { original, slots } => {
                let at = index(key, slots.len())?;
                if !matches!(slots.get(at), Some(Slot::Edited(_))) {
                    let value = original.get(at).ok_or(MISSING)?.clone();
                    remove_slot(budget, slots, at)?;
                    insert_slot(budget, slots, at, Self::Value(value))?;
                }
                match slots.get_mut(at) {
                    Some(Slot::Edited(node)) => Ok(node),
                    _ => Err(MISSING),
                }
            }
            _ => Err(MISSING),
        }
    }

    /// The element of a set.
    fn element(&mut self, budget: &mut Budget, key: &Value) -> Result<&mut Self, Failure> {
        let Self::Set { original, changes } = self.settle(budget, key)? else { return Err(MISSING) };
        let at = match changes.iter().position(|(own, _)| own == key) {
            Some(at) => at,
            None => {
                let value = original.get(key).ok_or(MISSING)?.clone();
                changes.push((key.clone(), Some(Self::Value(value))));
                changes.len().saturating_sub(1)
            }
        };
        // OPA does not survive it when one that was taken away is asked for.
        changes.get_mut(at).and_then(|(_, node)| node.as_mut()).ok_or(Failure::Limit)
    }

    /// Makes the changes of a set part of it where a composite element is asked for: it may be
    /// another one now.
    fn settle(&mut self, budget: &mut Budget, key: &Value) -> Result<&mut Self, Failure> {
        if let Self::Set { original, changes } = self {
            budget.charge(changes.len())?;
            charge_finding(budget, key, original.len().saturating_add(changes.len()))?;
        }
        if matches!(key, Value::Array(_) | Value::Object(_) | Value::Set(_)) {
            *self = Self::Value(self.render(budget)?);
            self.open(budget)?;
        }
        Ok(self)
    }

    pub(super) fn insert(&mut self, budget: &mut Budget, key: &Value, value: Self) -> Result<(), Failure> {
        self.open(budget)?;
        if matches!(self, Self::Set { .. }) {
            if !matches!(&value, Self::Value(value) if value == key) {
                return Err(MISSING);
            }
            let Self::Set { changes, .. } = self.settle(budget, key)? else { return Err(MISSING) };
            changes.retain(|(own, _)| own != key);
            changes.push((key.clone(), Some(value)));
            return Ok(());
        }
        match self {
            Self::Object(members) => {
                charge_finding(budget, key, members.len())?;
                budget.charge(members.len())?;
                match members.binary_search_by(|(own, _)| own.cmp(key)) {
                    Ok(at) => {
                        if let Some(member) = members.get_mut(at) {
                            *member = (key.clone(), value);
                        }
                    }
                    Err(at) => members.insert(at, (key.clone(), value)),
                }
                Ok(())
            }
            Self::Array { slots, .. } => {
                let at = index(key, slots.len())?;
                if at > slots.len() {
                    return Err(MISSING);
                }
                insert_slot(budget, slots, at, value)
            }
            _ => Err(MISSING),
        }
    }

    pub(super) fn delete(&mut self, budget: &mut Budget, key: &Value) -> Result<(), Failure> {
        self.open(budget)?;
        if matches!(self, Self::Set { .. }) {
            let Self::Set { original, changes } = self.settle(budget, key)? else { return Err(MISSING) };
            let known = changes.iter().position(|(own, _)| own == key);
            match known.and_then(|at| changes.get_mut(at)) {
                Some((_, node)) => node.take().map(drop).ok_or(MISSING)?,
                None if original.contains(key) => changes.push((key.clone(), None)),
                None => return Err(MISSING),
            }
            return Ok(());
        }
        match self {
            Self::Object(members) => {
                charge_finding(budget, key, members.len())?;
                budget.charge(members.len())?;
                let at = members.binary_search_by(|(own, _)| own.cmp(key)).map_err(|_| MISSING)?;
                members.remove(at);
                Ok(())
            }
            Self::Array { slots, .. } => {
                let at = index(key, slots.len())?;
                remove_slot(budget, slots, at)
            }
            _ => Err(MISSING),
        }
    }

    pub(super) fn render(&self, budget: &mut Budget) -> Answer {
        budget.charge(1)?;
        Ok(match self {
            Self::Value(value) => value.clone(),
            Self::Object(members) => {
                let members = members.iter().map(|(key, node)| Ok((key.clone(), node.render(budget)?)));
                Object::from(members.collect::<Result<Vec<_>, Failure>>()?).into()
            }
            Self::Array { slots, .. } => {
                let items = slots.iter().map(|slot| match slot {
                    Slot::Original(value) => Ok(value.clone()),
                    Slot::Edited(node) => node.render(budget),
                });
                items.collect::<Result<Vec<_>, Failure>>()?.into()
            }
            Self::Set { original, changes } => {
                let mut items = Vec::new();
                for (_, node) in changes {
                    if let Some(node) = node {
                        items.push(node.render(budget)?);
                    }
                }
                for item in original.iter() {
                    budget.charge(changes.len().saturating_add(1))?;
                    if !changes.iter().any(|(key, _)| key == item) {
                        items.push(item.clone());
                    }
                }
                sets::collect(budget, items)?.into()
            }
        })
    }
}

/// Where OPA's elements get in each other's way as it moves them: a scalar one that was edited,
/// right before or after one that was edited and is none. It does not survive that.
fn check(slots: &[Slot], from: usize, scalar_first: bool) -> Result<(), Failure> {
    let kind = |slot: &Slot| match slot {
        Slot::Original(_) => None,
        Slot::Edited(node) => Some(node.is_scalar()),
    };
    let moved = slots.get(from..).unwrap_or_default();
    let collides = moved.windows(2).any(|two| match two {
        [a, b] => (kind(a), kind(b)) == (Some(scalar_first), Some(!scalar_first)),
        _ => false,
    });
    if collides {
        return Err(Failure::Limit);
    }
    Ok(())
}

fn insert_slot(budget: &mut Budget, slots: &mut Vec<Slot>, at: usize, node: Node) -> Result<(), Failure> {
    budget.charge(slots.len().saturating_add(1))?;
    check(slots, at, true)?;
    if at <= slots.len() {
        slots.insert(at, Slot::Edited(node));
    }
    Ok(())
}

fn remove_slot(budget: &mut Budget, slots: &mut Vec<Slot>, at: usize) -> Result<(), Failure> {
    budget.charge(slots.len())?;
    if at >= slots.len() {
        return Err(MISSING);
    }
    check(slots, at.saturating_add(1), false)?;
    slots.remove(at);
    Ok(())
}

/// A key as a place in an array: a number, its text without leading zeros, or `-` for the end.
fn index(key: &Value, length: usize) -> Result<usize, Failure> {
    let number = match key {
        Value::Number(number) => number.as_index(),
        Value::String(text) if &**text == "-" => return Ok(length),
        Value::String(text) if &**text == "0" || !text.starts_with('0') => read_index(text),
        _ => None,
    };
    number.filter(|number| *number >= 0).map(place).ok_or(MISSING)
}

/// As OPA reads a whole number: the point and zeros behind it are allowed, and digits are not asked for.
fn read_index(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    if digits.is_empty()
        || digits.len() > 19
        || !rest.bytes().all(|b| b == b'0')
        || !whole.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let number = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
    if text.starts_with('-') {
        number.checked_neg()
    } else {
        Some(number)
    }
}
