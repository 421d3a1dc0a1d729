//! `json.patch`, as OPA means it: it edits a tree that remembers what each array was when a patch
//! first came to it, and takes an element that no patch has come to from there, by its place.

use super::arrays::{array, place};
use super::json::{path, Path};
use super::sets::charge_finding;
use super::Answer;
use crate::budget::{Budget, Failure, MAX_DEPTH};
use crate::value::{Object, Set, Value};

const MISSING: Failure = Failure::Error("a patch goes to what is not there");

/// A value under edit.
enum Node {
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

enum Slot {
    Original(Value),
    Edited(Node),
}

/// What is patched.
struct Tree {
    /// `None` once it was taken away as a whole.
    root: Option<Node>,
    /// Whether OPA can note changes of an object or set, and of an array, at the root: it prepares for
    /// what the root was at first, and for nothing once that was taken away. It does not survive
    /// having to, for what took its place.
    notes: [bool; 2],
}

pub(super) fn patch(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let operations = array(arguments, 1)?;
    let document = arguments.first().unwrap_or(&Value::Null).clone();
    let notes = match document {
        Value::Object(_) | Value::Set(_) => [true, true],
        Value::Array(_) => [false, true],
        _ => [false, false],
    };
    let mut tree = Tree { root: Some(Node::Value(document)), notes };
    for operation in operations {
        let attribute = |name| operation.as_object().and_then(|own| own.get_str(name)).ok_or(MISSING);
        let name = attribute("op")?.as_str().ok_or(MISSING)?;
        let to = attribute("path")?;
        let value = match name {
            "add" | "replace" | "test" => attribute("value")?.clone(),
            "move" | "copy" => attribute("from")?.clone(),
            "remove" => Value::Null,
            _ => return Err(Failure::Error("an operation is expected")),
        };
        let to = path(budget, to)?;
        match name {
            "add" => tree.insert(budget, &to, value)?,
            "remove" => tree.delete(budget, &to)?,
            "replace" => {
                tree.delete(budget, &to)?;
                tree.insert(budget, &to, value)?;
            }
            "test" => {
                let found = tree.read(budget, &to)?;
                budget.charge_size(&value)?;
                if found != value {
                    return Err(Failure::Error("a test of a patch fails"));
                }
            }
            _ => {
                let from = path(budget, &value)?;
                let value = tree.read(budget, &from)?;
                if name == "move" {
                    tree.delete(budget, &from)?;
                }
                tree.insert(budget, &to, value)?;
            }
        }
    }
    // Nor does it when nothing is left.
    tree.root.ok_or(Failure::Limit)?.render(budget)
}

impl Tree {
    fn go(&mut self, budget: &mut Budget, path: &[Value], may_note: bool) -> Result<&mut Node, Failure> {
        let root = self.root.as_mut().ok_or(MISSING)?;
        root.open(budget)?;
        let [keys, elements] = self.notes;
        let survives = match root {
            Node::Value(_) => true,
            Node::Array { .. } => elements,
            Node::Object(_) | Node::Set { .. } => keys,
        };
        if may_note && !survives {
            return Err(Failure::Limit);
        }
        path.iter().try_fold(root, |node, key| node.child(budget, key))
    }

    fn read(&mut self, budget: &mut Budget, path: &Path) -> Answer {
        self.go(budget, path, !path.is_empty())?.render(budget)
    }

    fn insert(&mut self, budget: &mut Budget, path: &Path, value: Value) -> Result<(), Failure> {
        budget.charge_size(&value)?;
        if !is_within(&value, MAX_DEPTH.saturating_sub(path.len())) {
            return Err(Failure::Limit);
        }
        match path.split_last() {
            None => self.root = Some(Node::Value(value)),
            Some((key, path)) => self.go(budget, path, true)?.insert(budget, key, Node::Value(value))?,
        }
        Ok(())
    }

    fn delete(&mut self, budget: &mut Budget, path: &Path) -> Result<(), Failure> {
        match path.split_last() {
            None => {
                self.notes = [false, false];
                self.root.take().map(drop).ok_or(MISSING)
            }
            Some((key, path)) => {
                // Only an element of an array is gone without a note.
                let may_note = !path.is_empty()
                    || !matches!(self.root, Some(Node::Value(Value::Array(_)) | Node::Array { .. }));
                self.go(budget, path, may_note)?.delete(budget, key)
            }
        }
    }
}

/// Whether no more values than that are inside each other.
fn is_within(value: &Value, depth: usize) -> bool {
    let Some(inner) = depth.checked_sub(1) else { return false };
    match value {
        Value::Array(items) => items.iter().all(|item| is_within(item, inner)),
        Value::Set(items) => items.iter().all(|item| is_within(item, inner)),
        Value::Object(members) => {
            members.iter().all(|(key, value)| is_within(key, inner) && is_within(value, inner))
        }
        _ => true,
    }
}

impl Node {
    /// Comes to a value, so that what is in it can be told apart.
    fn open(&mut self, budget: &mut Budget) -> Result<(), Failure> {
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

    fn child(&mut self, budget: &mut Budget, key: &Value) -> Result<&mut Self, Failure> {
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

    fn insert(&mut self, budget: &mut Budget, key: &Value, value: Self) -> Result<(), Failure> {
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

    fn delete(&mut self, budget: &mut Budget, key: &Value) -> Result<(), Failure> {
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

    fn render(&self, budget: &mut Budget) -> Answer {
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
                super::sets::collect(budget, items)?.into()
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

#[cfg(test)]
mod tests;
