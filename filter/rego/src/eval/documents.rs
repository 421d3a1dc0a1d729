//! Documents: what their rules come to, each evaluated once.

use super::expressions::{equal, shallow, ANY_NUMBER};
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

    /// Goes through the solutions of a rule, in a frame of its own. Whether its guards admit it may be known.
    /// `each` gives `None` where the head is undefined: then the body does not hold.
    pub(super) fn rule(
        &mut self,
        rule: &'p Rule,
        arguments: &[Value],
        admitted: Option<bool>,
        each: &mut dyn FnMut(&mut Vm<'p>, &'p Branch) -> Outcome<Option<Flow>>,
    ) -> Outcome<()> {
        self.step()?;
        let admitted = match (admitted, rule.branches.as_slice()) {
            (None, [branch]) => Some(self.admits(branch, arguments)?),
            (known, _) => known,
        };
        if admitted == Some(false) && self.watch.is_none() {
            return Ok(());
        }
        let (base, end) = (self.base, self.registers.len());
        self.base = end;
        if rule.frame > 0 {
            if self.registers.capacity() == 0 {
                self.registers = Vec::with_capacity(FRAMES);
            }
            self.registers.resize_with(end.saturating_add(rule.frame), || Value::Null);
        }
        let watched = self.watch.as_mut().and_then(|watch| watch.pause());
        let done = self.branches(rule, arguments, admitted, each);
        if let Some(watch) = &mut self.watch {
            watch.go_on(watched);
        }
        self.registers.truncate(end);
        self.base = base;
        done
    }

    fn branches(
        &mut self,
        rule: &'p Rule,
        arguments: &[Value],
        admitted: Option<bool>,
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
            let is_admitted = match admitted {
                Some(known) => known,
                None => self.admits(branch, arguments)?,
            };
            if !is_admitted {
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

    /// Whether all rules that may hold come to one constant, so that the first that holds decides; and which of
    /// them may, as far as that was looked at.
    fn is_one_enough(&mut self, document: &'p Document, arguments: &[Value]) -> Outcome<(bool, Admitted)> {
        let mut one: Option<&Value> = None;
        let mut admitted = Admitted::default();
        for (at, rule) in document.rules.iter().enumerate() {
            let mut may_hold = false;
            for branch in &rule.branches {
                if !self.admits(branch, arguments)? {
                    continue;
                }
                may_hold = true;
                match (branch.constant(), one) {
                    (Some(constant), None) => one = Some(constant),
                    (Some(constant), Some(known)) if constant == known => {}
                    _ => return Ok((false, admitted)),
                }
            }
            // Of several branches each is asked again.
            if rule.branches.len() == 1 || !may_hold {
                admitted.set(at, may_hold);
            }
        }
        Ok((one.is_some(), admitted))
    }

    /// The order in which OPA's index finds rules, by those of their branches that may hold.
    fn as_found(&mut self, document: &Document, arguments: &[Value]) -> Outcome<Vec<usize>> {
        let mut found: Vec<(Rank, Option<Site>, usize)> = Vec::with_capacity(document.rules.len());
        let mut passed_over = Vec::new();
        for (at, rule) in document.rules.iter().enumerate() {
            let mut first: Option<Rank> = None;
            for branch in &rule.branches {
                let mut rank = Vec::with_capacity(branch.guards.len());
                if self.guards(branch, arguments, |level, fit| rank.push((Reverse(level), fit)))? {
                    rank.extend(branch.last);
                    first = Some(match first {
                        Some(first) => first.min(rank),
                        None => rank,
                    });
                }
            }
            match first {
                Some(rank) => found.push((rank, rule.branches.first().map(|branch| branch.site), at)),
                None => passed_over.push(at),
            }
        }
        self.charge(found.len())?;
        found.sort();
        Ok(found.into_iter().map(|(.., at)| at).chain(passed_over).collect())
    }

    /// Whether the guards of a branch let it be tried.
    fn admits(&mut self, branch: &Branch, arguments: &[Value]) -> Outcome<bool> {
        self.guards(branch, arguments, |_, _| {})
    }

    /// The same; `each` is told how they fit.
    fn guards(
        &mut self,
        branch: &Branch,
        arguments: &[Value],
        mut each: impl FnMut(usize, Fit),
    ) -> Outcome<bool> {
        for guard in &branch.guards {
            let value = match &guard.operand {
                Operand::Input(slot, keys) if keys.is_empty() => self.input(*slot),
                Operand::Input(slot, keys) => {
                    keys.iter().try_fold(self.input(*slot), |value, key| Some(value?.get(key))).flatten()
                }
                Operand::Base(slot, keys) => keys
                    .iter()
                    .try_fold(self.base(*slot), |value, key| Some(value?.get_stored(key)))
                    .flatten(),
                Operand::Argument(at) => arguments.get(*at),
            };
            let Some(value) = value else { return Ok(false) };
            let (fit, work) = guard.fits(value);
            if work > 0 {
                self.charge(work)?;
            }
            if fit == Fit::No {
                return Ok(false);
            }
            self.guards_say_all &= fit.is_all();
            each(guard.level, fit);
        }
        Ok(true)
    }

    /// What is carried out for people only, while the evaluation is watched: what the decision passes over.
    /// Nothing that happens on the way counts, and all of it together takes no more than a decision may.
    pub(super) fn aside<T>(&mut self, go: impl FnOnce(&mut Self) -> Outcome<T>) {
        let Some(watch) = &mut self.watch else { return };
        let allowance = watch.begin_aside(&self.budget);
        let watched = watch.branch();
        let around = allowance.map(|allowance| std::mem::replace(&mut self.budget, allowance));
        let (depth, base, end) = (self.depth, self.base, self.registers.len());
        let mut world = self.world();
        let failed = go(self).is_err();
        if failed {
            self.registers.truncate(end);
            (self.depth, self.base) = (depth, base);
            self.swap(&mut world);
        }
        let Some(watch) = &mut self.watch else { return };
        if failed {
            watch.go_on(watched);
        }
        if let Some(around) = around {
            watch.end_aside(std::mem::replace(&mut self.budget, around));
        }
    }

    pub(super) fn stopped(&mut self, site: Site) {
        if let Some(watch) = &mut self.watch {
            watch.stop(site);
        }
    }
}

pub(super) fn below<'v>(value: &'v Value, keys: &[Value]) -> Option<&'v Value> {
    keys.iter().try_fold(value, |value, key| value.get(key))
}

fn conflict(document: &Document) -> Halt {
    Halt::Conflict(format!("data.{}", document.path.join(".")))
}

/// Which of a document's first rules their guards admit, as far as they were looked at: a bit for each.
#[derive(Default)]
struct Admitted {
    known: u64,
    may_hold: u64,
}

impl Admitted {
    fn bit(at: usize) -> u64 {
        u32::try_from(at).ok().and_then(|at| 1_u64.checked_shl(at)).unwrap_or(0)
    }

    fn set(&mut self, at: usize, may_hold: bool) {
        self.known |= Self::bit(at);
        if may_hold {
            self.may_hold |= Self::bit(at);
        }
    }

    fn get(&self, at: usize) -> Option<bool> {
        (self.known & Self::bit(at) != 0).then_some(self.may_hold & Self::bit(at) != 0)
    }
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
