//! `with`: evaluations that see another `input`, other data or other functions.

use super::expressions::shallow;
use super::tree::stored;
use super::*;

impl<'p> Vm<'p> {
    pub(super) fn with(
        &mut self,
        site: Site,
        replaced: &'p [With],
        inner: &'p [Step],
        after: &'p [Step],
        then: Then<'_, 'p>,
    ) -> Outcome<Flow> {
        let Some(mut other) = self.replace(replaced)? else {
            self.stopped(site);
            return Ok(Flow::More);
        };
        self.swap(&mut other);
        let flow = self.block(inner, &mut |vm| {
            vm.swap(&mut other);
            let flow = vm.block(after, &mut *then)?;
            vm.swap(&mut other);
            Ok(flow)
        })?;
        self.swap(&mut other);
        Ok(flow)
    }

    pub(super) fn swap(&mut self, other: &mut World) {
        std::mem::swap(&mut self.inputs, &mut other.inputs);
        std::mem::swap(&mut self.replaced, &mut other.replaced);
        std::mem::swap(&mut self.mocks, &mut other.mocks);
        std::mem::swap(&mut self.memo, &mut other.memo);
        std::mem::swap(&mut self.members, &mut other.members);
    }

    /// What evaluations see now.
    pub(super) fn world(&self) -> World {
        World {
            inputs: self.inputs.clone(),
            replaced: self.replaced.clone(),
            mocks: self.mocks.clone(),
            memo: self.memo.clone(),
            members: self.members.clone(),
        }
    }

    /// What evaluations see while these are replaced; `None` if a replacement is undefined.
    pub(super) fn replace(&mut self, all: &'p [With]) -> Outcome<Option<World>> {
        let mut world = World {
            inputs: self.inputs.clone(),
            replaced: self.replaced.clone(),
            mocks: self.mocks.clone(),
            memo: Vec::new(),
            members: BTreeMap::new(),
        };
        self.charge(self.plan.documents.len().saturating_add(self.plan.inputs.len()))?;
        for with in all {
            match with {
                With::Input(path, value) => {
                    let Some(value) = self.eval(value)? else { return Ok(None) };
                    let before = match world.inputs.take() {
                        Some(before) => before,
                        None => (0..self.plan.inputs.len()).map(|at| self.facts.fact(at).cloned()).collect(),
                    };
                    let mut inputs = Vec::with_capacity(before.len());
                    for (read, before) in self.plan.inputs.iter().zip(before) {
                        inputs.push(if read.starts_with(path) {
                            descend(&value, read.get(path.len()..).unwrap_or_default()).cloned()
                        } else if path.starts_with(read) {
                            let below = path.get(read.len()..).unwrap_or_default();
                            Some(self.put(before.as_ref(), below, &value)?)
                        } else {
                            before
                        });
                    }
                    world.inputs = Some(inputs);
                }
                With::Data(path, value) => {
                    let Some(value) = self.eval(value)? else { return Ok(None) };
                    let before = world.replaced.take();
                    let (mut paths, data) = match before {
                        Some(before) => (before.paths, before.data),
                        None => (Vec::new(), self.plan.data.clone()),
                    };
                    let data = self.put(Some(&data), path, &value)?;
                    self.charge(self.plan.bases.len())?;
                    paths.push(path.clone());
                    let mut replaced = ReplacedData { paths, data, bases: Vec::new() };
                    let base = |(at, _): &(Path, _)| {
                        if replaced.puts(at) {
                            descend(&replaced.data, at).cloned()
                        } else {
                            stored(&replaced.data, at).cloned()
                        }
                    };
                    replaced.bases = self.plan.bases.iter().map(base).collect();
                    world.replaced = Some(Box::new(replaced));
                }
                With::Value(at, value) => {
                    let Some(value) = self.eval(value)? else { return Ok(None) };
                    world.mocks.push((*at, Mock::Value(value)));
                }
                With::Function(at, callee) => world.mocks.push((*at, Mock::Callee(*callee))),
            }
        }
        Ok(Some(world))
    }

    /// The value with another one at a path.
    fn put(&mut self, value: Option<&Value>, path: &[Arc<str>], new: &Value) -> Outcome<Value> {
        let Some((name, rest)) = path.split_first() else { return Ok(new.clone()) };
        let members = value.and_then(Value::as_object);
        let inner = self.put(members.and_then(|members| members.get_str(name)), rest, new)?;
        self.charge(members.map_or(0, |members| members.len()))?;
        let mut members = members.map(|members| members.to_vec()).unwrap_or_default();
        members.push((Value::String(Arc::clone(name)), inner));
        shallow(Value::Object(Object::from(members)))
    }
}

/// What changes while `with` replaces something.
pub(super) struct World {
    inputs: Option<Vec<Option<Value>>>,
    replaced: Option<Box<ReplacedData>>,
    mocks: Vec<(usize, Mock)>,
    memo: Vec<Option<Option<Value>>>,
    members: BTreeMap<(DocumentId, Vec<Value>), Option<Value>>,
}
