//! `json.patch`, as OPA means it: it edits a tree that remembers what each array was when a patch
//! first came to it, and takes an element that no patch has come to from there, by its place.

mod nodes;

use super::arrays::array;
use super::json::{path, Path};
use super::Answer;
use crate::budget::{Budget, Failure, MAX_DEPTH};
use crate::value::{Object, Set, Value};
use nodes::Node;

const MISSING: Failure = Failure::Error("a patch goes to what is not there");

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

#[cfg(test)]
mod tests;
