//! Documents: what their rules come to, each evaluated once.

use super::expressions::{equal, shallow, ANY_NUMBER};
use super::rules::Admitted;
use super::*;

impl<'p> Vm<'p> {
    pub(super) fn document(&mut self, id: DocumentId) -> Outcome<Option<Value>> {
        if let Some(Some(known)) = self.memo.get(id) {
            return Ok(known.clone());
        }
        let value = self.whole_document(id)?;
        if self.memo.is_empty() {
            self.memo = self.plan.documents.iter().map(|_| None).collect();
        }
        if let Some(known) = self.memo.get_mut(id) {
            *known = Some(value.clone());
        }
        Ok(value)
    }

    /// The same, for what nothing else reads: an entry.
    pub(super) fn whole_document(&mut self, id: DocumentId) -> Outcome<Option<Value>> {
        let Some(document) = self.plan.documents.get(id) else { return Ok(None) };
        if let Some(replaced) = self.replaced_document(document) {
            return Ok(replaced.cloned());
        }
        self.enter()?;
        let value = match document.kind {
            Kind::Complete => self.complete(document, &[], None)?,
            Kind::Set => Some(self.set_document(document)?),
            Kind::Object => Some(self.object_document(document, &[])?),
            Kind::Function(_) => None,
        };
        self.leave();
        Ok(value)
    }

    /// What stands at these keys of a document to which rules add. What stands at others is not evaluated,
    /// and may be in conflict.
    pub(super) fn member(&mut self, id: DocumentId, keys: Vec<Value>) -> Outcome<Option<Value>> {
        keys.iter().try_for_each(|key| self.search(key, ANY_NUMBER))?;
        let Some(document) = self.plan.documents.get(id) else { return Ok(None) };
        if let Some(replaced) = self.replaced_document(document) {
            return Ok(replaced.and_then(|value| below(value, &keys)).cloned());
        }
        if let Some(Some(Some(Some(whole)))) = document.whole.map(|whole| self.memo.get(whole)) {
            return Ok(below(whole, &keys).cloned());
        }
        let at = (id, keys);
        if let Some(known) = self.members.get(&at) {
            return Ok(known.clone());
        }
        let keys = &at.1;
        self.enter()?;
        let value = match document.kind {
            Kind::Set => self.element(document, keys)?,
            _ => below(&self.object_document(document, keys)?, keys).cloned(),
        };
        self.leave();
        self.members.insert(at, value.clone());
        Ok(value)
    }

    /// Whether `with` puts something into the place of a document.
    pub(super) fn is_replaced(&self, id: DocumentId) -> bool {
        self.plan.documents.get(id).is_some_and(|document| self.replaced_document(document).is_some())
    }

    /// What `with` puts into the place of a document, if it does.
    fn replaced_document(&self, document: &Document) -> Option<Option<&Value>> {
        let replaced = self.replaced.as_ref()?;
        replaced.puts(&document.path).then(|| descend(&replaced.data, &document.path))
    }

    /// The value of a complete document, or of a function for these arguments. What it must come to may be given:
    /// a body that comes to something else does not hold.
    pub(super) fn complete(
        &mut self,
        document: &'p Document,
        arguments: &[Value],
        given: Option<&Value>,
    ) -> Outcome<Option<Value>> {
        let mut result: Option<Value> = None;
        let (enough, admitted) = match document.one_is_enough {
            Some(known) => (known, Admitted::default()),
            None => self.is_one_enough(document, arguments)?,
        };
        let order =
            if enough && document.is_order_open { self.as_found(document, arguments)? } else { Vec::new() };
        let nth = |place: usize| {
            let at = if order.is_empty() { place } else { *order.get(place)? };
            document.rules.get(at).map(|rule| (at, rule))
        };
        let mut place = 0_usize;
        while let Some((at, rule)) = nth(place) {
            place = place.saturating_add(1);
            self.rule(rule, arguments, admitted.get(at), &mut |vm, branch| {
                let Some(value) = vm.eval(&branch.value)? else { return Ok(None) };
                if let Some(given) = given {
                    let same = equal(&mut vm.budget, Some(given), &value);
                    if !same.map_err(spent)? {
                        return Ok(None);
                    }
                }
                match &result {
                    None => result = Some(value),
                    known => {
                        let same = equal(&mut vm.budget, known.as_ref(), &value);
                        if !same.map_err(spent)? {
                            return Err(conflict(document));
                        }
                    }
                }
                Ok(Some(if enough { Flow::Enough } else { Flow::More }))
            })?;
            if enough && result.is_some() {
                for (at, rule) in (place..).map_while(nth) {
                    self.aside(|vm| {
                        vm.rule(rule, arguments, admitted.get(at), &mut |vm, branch| {
                            Ok(vm.eval(&branch.value)?.map(|_| Flow::Enough))
                        })
                    });
                }
                break;
            }
        }
        match (&document.default, &result) {
            (Some(default), None) => {
                self.rule(default, arguments, None, &mut |vm, branch| {
                    result = vm.eval(&branch.value)?;
                    Ok(Some(Flow::Enough))
                })?;
                Ok(result)
            }
            _ => Ok(result),
        }
    }

    pub(super) fn set_document(&mut self, document: &'p Document) -> Outcome<Value> {
        let mut items = Vec::new();
        for rule in &document.rules {
            self.rule(rule, &[], None, &mut |vm, branch| {
                let Some(value) = vm.eval(&branch.value)? else { return Ok(None) };
                vm.charge(1)?;
                vm.search(&value, ANY_NUMBER)?;
                items.push(value);
                Ok(Some(Flow::More))
            })?;
        }
        self.charge(items.len())?;
        shallow(Value::Set(Set::from(items)))
    }

    /// The element of a set, if rules add it.
    fn element(&mut self, document: &'p Document, keys: &[Value]) -> Outcome<Option<Value>> {
        let mut found = None;
        for rule in &document.rules {
            self.rule(rule, keys, None, &mut |vm, branch| {
                let Some(value) = vm.eval(&branch.value)? else { return Ok(None) };
                vm.charge(1)?;
                found = Some(value);
                Ok(Some(Flow::More))
            })?;
        }
        Ok(found)
    }

    /// An object to which rules add; of its members those that the keys lead to.
    fn object_document(&mut self, document: &'p Document, given: &[Value]) -> Outcome<Value> {
        let mut members: Vec<Member> = Vec::new();
        for rule in &document.rules {
            self.rule(rule, given, None, &mut |vm, branch| {
                let mut keys = Vec::with_capacity(branch.tail.len());
                for key in &branch.tail {
                    let Some(key) = vm.eval(key)? else { return Ok(None) };
                    keys.push(key);
                }
                let Some(value) = vm.eval(&branch.value)? else { return Ok(None) };
                vm.charge(keys.len().saturating_add(1))?;
                keys.iter().chain([&value]).try_for_each(|part| vm.search(part, ANY_NUMBER))?;
                members.push(Member { keys, contains: rule.contains, value });
                Ok(Some(Flow::More))
            })?;
        }
        self.charge(members.len())?;
        members.sort_unstable();
        let made = by_key(&members, 0)
            .map(|(key, here)| Some((key.clone(), member(here, 0)?)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| conflict(document))?;
        shallow(Value::Object(Object::from(made)))
    }
}

pub(super) fn below<'v>(value: &'v Value, keys: &[Value]) -> Option<&'v Value> {
    keys.iter().try_fold(value, |value, key| value.get(key))
}

fn conflict(document: &Document) -> Halt {
    Halt::Conflict(format!("data.{}", document.path.join(".")))
}

/// What one solution adds to an object.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    keys: Vec<Value>,
    contains: bool,
    value: Value,
}

/// Members, in order, by their keys at this depth.
fn by_key(members: &[Member], depth: usize) -> impl Iterator<Item = (&Value, &[Member])> {
    members
        .chunk_by(move |a, b| a.keys.get(depth) == b.keys.get(depth))
        .filter_map(move |here| Some((here.first()?.keys.get(depth)?, here)))
}

/// What solutions with the same keys up to this depth come to; `None` if one place has two values.
fn member(here: &[Member], depth: usize) -> Option<Value> {
    let first = here.first()?;
    let ends = |member: &Member| member.keys.len() == depth.saturating_add(1);
    if !here.iter().any(ends) {
        let depth = depth.saturating_add(1);
        let members = by_key(here, depth).map(|(key, here)| Some((key.clone(), member(here, depth)?)));
        return members.collect::<Option<Vec<_>>>().map(|members| Value::Object(Object::from(members)));
    }
    if !here.iter().all(|member| ends(member) && member.contains == first.contains) {
        return None;
    }
    if first.contains {
        return Some(Value::Set(here.iter().map(|member| member.value.clone()).collect()));
    }
    here.iter().all(|member| member.value == first.value).then(|| first.value.clone())
}
