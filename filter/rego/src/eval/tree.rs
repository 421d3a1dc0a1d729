//! Parts of `data` that hold rules, read as a whole or by keys that are found when they are read.

use super::documents::below;
use super::*;

/// To find what stands at one name, and put it beside the others.
const NAME: usize = 8;

impl<'p> Vm<'p> {
    pub(super) fn node(&mut self, node: usize, keys: &'p [Expr]) -> Outcome<Option<Value>> {
        let Some(mut node) = self.plan.nodes.get(node) else { return Ok(None) };
        let Some(keys) = self.all(keys)? else { return Ok(None) };
        let mut rest = keys.as_slice();
        while let Some((key, after)) = rest.split_first() {
            let name = key.as_str();
            let child = name.and_then(|name| node.child(name));
            let found = match child {
                Some(Child::Node(inner)) => {
                    let Some(inner) = self.plan.nodes.get(inner) else { return Ok(None) };
                    (node, rest) = (inner, after);
                    continue;
                }
                Some(Child::Document(_, Some((id, known)))) if after.len() >= known => {
                    let (known, beyond) = after.split_at_checked(known).unwrap_or((after, &[]));
                    (self.member(id, known.to_vec())?, beyond)
                }
                Some(Child::Document(id, _)) => (self.document(id)?, after),
                None => {
                    let base = descend(self.data(), &node.path);
                    return Ok(rest
                        .iter()
                        .try_fold(base, |value, key| value.map(|value| value.get_stored(key)))
                        .flatten()
                        .cloned());
                }
            };
            let (found, after) = found;
            return Ok(found.as_ref().and_then(|found| below(found, after)).cloned());
        }
        self.tree(node).map(Some)
    }

    pub(super) fn data(&self) -> &Value {
        match &self.replaced {
            Some(replaced) => &replaced.data,
            None => &self.plan.data,
        }
    }

    /// The names below a node, of data and of rules.
    pub(super) fn names(&self, node: &crate::plan::Node) -> Set {
        let base = match descend(self.data(), &node.path) {
            Some(Value::Object(members)) => members.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let rules = node.children.iter().map(|(name, _)| Value::String(Arc::clone(name)));
        base.into_iter().chain(rules).collect()
    }

    /// What a node holds at a name: what its rules come to, or the data there.
    pub(super) fn child(&mut self, node: &'p crate::plan::Node, name: &Value) -> Outcome<Option<Value>> {
        let base = descend(self.data(), &node.path).and_then(|base| base.get(name)).cloned();
        let child = name.as_str().and_then(|name| node.child(name));
        match child {
            Some(Child::Node(inner)) => match self.plan.nodes.get(inner) {
                Some(inner) => self.nested(|vm| vm.tree(inner)).map(Some),
                None => Ok(base),
            },
            // Where there is data, too, it counts, as in OPA where nobody looked for it before.
            Some(Child::Document(id, _)) if base.is_none() => self.document(id),
            _ => Ok(base),
        }
    }

    /// All of a node: what its rules come to, and the data beside them.
    fn tree(&mut self, node: &'p crate::plan::Node) -> Outcome<Value> {
        if let Some(replaced) = &self.replaced {
            if replaced.puts(&node.path) {
                if let Some(base) = descend(&replaced.data, &node.path) {
                    return Ok(base.clone());
                }
            }
        }
        self.charge(node.children.len().saturating_mul(NAME))?;
        let names = self.names(node);
        self.charge(names.len().saturating_mul(NAME))?;
        let mut members = Vec::with_capacity(names.len());
        for name in names.iter() {
            if let Some(value) = self.child(node, name)? {
                members.push((name.clone(), value));
            }
        }
        Ok(Value::Object(Object::from(members)))
    }
}

/// What stands at a path of base data.
pub(crate) fn stored<'v>(data: &'v Value, path: &[Arc<str>]) -> Option<&'v Value> {
    path.iter().try_fold(data, |value, name| value.get_stored(&Value::String(Arc::clone(name))))
}
