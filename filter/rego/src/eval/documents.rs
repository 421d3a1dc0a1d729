//! Documents: what their rules come to, each evaluated once.

use super::expressions::{equal, shallow, ANY_NUMBER};
use super::*;

impl<'p> Vm<'p> {
    pub(super) fn document(&mut self, id: DocumentId) -> Outcome<Option<Value>> {
        match self.known(id)? {
            Some(Known::Whole(value)) => Ok(value),
            Some(Known::Partly(..)) => {
                Err(self.plan.documents.get(id).map_or(Halt::Conflict(String::new()), conflict))
            }
            None => Ok(None),
        }
    }

    /// A member of a document. Of one that rules add to, others may be in conflict.
    pub(super) fn document_member(&mut self, id: DocumentId, key: &Value) -> Outcome<Option<Value>> {
        match self.known(id)? {
            Some(Known::Partly(_, conflicts)) if conflicts.contains(key) => self.document(id),
            Some(Known::Partly(value, _) | Known::Whole(Some(value))) => Ok(value.get(key).cloned()),
            _ => Ok(None),
        }
    }

    fn known(&mut self, id: DocumentId) -> Outcome<Option<Known>> {
        if let Some(Some(known)) = self.memo.get(id) {
            return Ok(Some(known.clone()));
        }
        let Some(document) = self.plan.documents.get(id) else { return Ok(None) };
        if let Some(replaced) = &self.replaced {
            if replaced.paths.iter().any(|path| document.path.starts_with(path)) {
                return Ok(Some(Known::Whole(descend(&replaced.data, &document.path).cloned())));
            }
        }
        self.enter()?;
        let value = match document.kind {
            Kind::Complete => Known::Whole(self.complete(document, &[])?),
            Kind::Set => Known::Whole(Some(self.set_document(document)?)),
            Kind::Object => self.object_document(document)?,
            Kind::Function(_) => Known::Whole(None),
        };
        self.leave();
        if let Some(known) = self.memo.get_mut(id) {
            *known = Some(value.clone());
        }
        Ok(Some(value))
    }

    /// The value of a complete document, or of a function for these arguments.
    pub(super) fn complete(&mut self, document: &'p Document, arguments: &[Value]) -> Outcome<Option<Value>> {
        let mut result: Option<Value> = None;
        // Where all rules that may hold come to one constant, the first that holds decides.
        let mut constants =
            document.rules.iter().filter(|rule| self.may_hold(rule, arguments)).map(|rule| &rule.constant);
        let enough = match constants.next() {
            Some(Some(first)) => constants.all(|constant| constant.as_ref() == Some(first)),
            _ => false,
        };
        let mut rest = document.rules.iter();
        while let Some(rule) = rest.next() {
            self.rule(rule, arguments, &mut |vm, branch| {
                let Some(value) = vm.eval(&branch.value)? else { return Ok(None) };
                match &result {
                    None => result = Some(value),
                    known => {
                        let same = equal(&mut vm.budget, known.as_ref(), &value);
                        if !same.map_err(|_| Halt::Limit("much work"))? {
                            return Err(conflict(document));
                        }
                    }
                }
                Ok(Some(if enough { Flow::Enough } else { Flow::More }))
            })?;
            if enough && result.is_some() {
                for rule in rest {
                    self.aside(|vm| {
                        vm.rule(rule, arguments, &mut |vm, branch| {
                            Ok(vm.eval(&branch.value)?.map(|_| Flow::Enough))
                        })
                    });
                }
                break;
            }
        }
        match (&document.default, &result) {
            (Some(default), None) => {
                self.rule(default, arguments, &mut |vm, branch| {
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
            self.rule(rule, &[], &mut |vm, branch| {
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

    pub(super) fn object_document(&mut self, document: &'p Document) -> Outcome<Known> {
        let mut members: Vec<Member> = Vec::new();
        for rule in &document.rules {
            self.rule(rule, &[], &mut |vm, branch| {
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
        let mut conflicts = Vec::new();
        let mut made = Vec::new();
        for (key, here) in by_key(&members, 0) {
            match member(here, 0) {
                Some(value) => made.push((key.clone(), value)),
                None => conflicts.push(key.clone()),
            }
        }
        let value = shallow(Value::Object(Object::from(made)))?;
        Ok(match conflicts.is_empty() {
            true => Known::Whole(Some(value)),
            false => Known::Partly(value, Arc::from(conflicts)),
        })
    }

    /// Goes through the solutions of a rule, in a frame of its own. `each` gives `None` where the head is
    /// undefined: then the body does not hold.
    pub(super) fn rule(
        &mut self,
        rule: &'p Rule,
        arguments: &[Value],
        each: &mut dyn FnMut(&mut Vm<'p>, &'p Branch) -> Outcome<Option<Flow>>,
    ) -> Outcome<()> {
        self.step()?;
        let (base, end) = (self.base, self.registers.len());
        self.base = end;
        self.registers.resize(end.saturating_add(rule.frame), Value::Null);
        let watched = self.watch.as_mut().and_then(|watch| watch.pause());
        let done = self.branches(rule, arguments, each);
        if let Some(watch) = &mut self.watch {
            watch.go_on(watched);
        }
        self.registers.truncate(end);
        self.base = base;
        done
    }

    pub(super) fn branches(
        &mut self,
        rule: &'p Rule,
        arguments: &[Value],
        each: &mut dyn FnMut(&mut Vm<'p>, &'p Branch) -> Outcome<Option<Flow>>,
    ) -> Outcome<()> {
        for (pattern, value) in rule.arguments.iter().zip(arguments) {
            if !self.matches(pattern, value)? {
                return Ok(());
            }
        }
        for branch in &rule.branches {
            if let Some(watch) = &mut self.watch {
                watch.enter(branch.site);
            }
            if !self.admits(branch, arguments) {
                // Where it would have stopped without the index.
                self.aside(|vm| vm.block(&branch.steps, &mut |_| Ok(Flow::Enough)));
                continue;
            }
            let mut found = false;
            self.block(&branch.steps, &mut |vm| {
                let Some(flow) = each(vm, branch)? else { return Ok(Flow::More) };
                found = true;
                if let Some(watch) = &mut vm.watch {
                    watch.hold(branch.site);
                }
                Ok(flow)
            })?;
            if found {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the guards of any of its branches let it be tried.
    fn may_hold(&mut self, rule: &Rule, arguments: &[Value]) -> bool {
        rule.branches.iter().any(|branch| self.admits(branch, arguments))
    }

    fn admits(&mut self, branch: &Branch, arguments: &[Value]) -> bool {
        branch.guards.iter().all(|guard| {
            let value = match &guard.operand {
                Operand::Input(slot, keys) => {
                    keys.iter().try_fold(self.input(*slot), |value, key| Some(value?.get(key))).flatten()
                }
                Operand::Base(slot, keys) => {
                    keys.iter().try_fold(self.base(*slot), |value, key| Some(in_store(value?, key))).flatten()
                }
                Operand::Argument(at) => arguments.get(*at),
            };
            value.is_some() && guard.equals.as_ref().is_none_or(|equals| value == Some(equals))
        })
    }

    /// What is carried out for people only, while the evaluation is watched: what the decision passes over.
    /// Nothing that happens on the way counts.
    pub(super) fn aside<T>(&mut self, go: impl FnOnce(&mut Self) -> Outcome<T>) {
        if self.watch.is_none() {
            return;
        }
        let (budget, depth, base, end) = (self.budget.clone(), self.depth, self.base, self.registers.len());
        let mut world = self.world();
        let watched = self.watch.as_ref().and_then(|watch| watch.branch());
        if go(self).is_err() {
            self.registers.truncate(end);
            (self.depth, self.base) = (depth, base);
            self.swap(&mut world);
            if let Some(watch) = &mut self.watch {
                watch.go_on(watched);
            }
        }
        self.budget = budget;
    }

    pub(super) fn stopped(&mut self, site: Site) {
        if let Some(watch) = &mut self.watch {
            watch.stop(site);
        }
    }
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
