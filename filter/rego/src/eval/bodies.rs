//! Bodies: step by step, with a way back where a step has several results.

use super::*;

impl<'p> Vm<'p> {
    pub(super) fn block(&mut self, steps: &'p [Step], then: Then<'_, 'p>) -> Outcome<Flow> {
        let mut rest = steps;
        while let Some((step, after)) = rest.split_first() {
            self.step()?;
            if step.guarded && self.guards_say_all {
                rest = after;
                continue;
            }
            let goes_on = match &step.kind {
                StepKind::Test(expr) => self.holds(expr)?,
                StepKind::Let(register, expr) => match self.eval(expr)? {
                    Some(value) => {
                        self.set(*register, value);
                        true
                    }
                    None => false,
                },
                StepKind::Match(pattern, expr) => match self.lent(expr) {
                    Some(value) => self.matches(pattern, value)?,
                    None => match self.eval(expr)? {
                        Some(value) => self.matches(pattern, &value)?,
                        None => false,
                    },
                },
                StepKind::Not(inner) => !self.is_solved(inner)?,
                StepKind::Every { domain, key, value, body } => self.every(domain, *key, *value, body)?,
                StepKind::Scan { over: Expr::Node(node, keys), key, value } if keys.is_empty() => {
                    return self.nested(|vm| vm.scan_node(step.site, *node, [key, value], after, then));
                }
                StepKind::Scan { over, key, value } => {
                    let Some(over) = self.eval(over)? else {
                        self.stopped(step.site);
                        return Ok(Flow::More);
                    };
                    return self.nested(|vm| vm.scan(step.site, &over, key, value, after, then));
                }
                StepKind::Walk { over, result } => {
                    let Some(over) = self.eval(over)? else {
                        self.stopped(step.site);
                        return Ok(Flow::More);
                    };
                    return self.nested(|vm| vm.walk(&mut Vec::new(), &over, result, after, then));
                }
                StepKind::With(replaced, inner) => {
                    return self.nested(|vm| vm.with(step.site, replaced, inner, after, then));
                }
            };
            if !goes_on {
                self.stopped(step.site);
                return Ok(Flow::More);
            }
            rest = after;
        }
        then(self)
    }

    pub(super) fn nested<T>(&mut self, go: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        self.enter()?;
        let done = go(self)?;
        self.leave();
        Ok(done)
    }

    /// Steps of a body of its own, of which only the solutions count.
    pub(super) fn closed(&mut self, steps: &'p [Step], then: Then<'_, 'p>) -> Outcome<Flow> {
        let watched = self.watch.as_mut().and_then(|watch| watch.pause());
        let flow = self.nested(|vm| vm.block(steps, then))?;
        if let Some(watch) = &mut self.watch {
            watch.go_on(watched);
        }
        Ok(flow)
    }

    pub(super) fn is_solved(&mut self, steps: &'p [Step]) -> Outcome<bool> {
        Ok(self.closed(steps, &mut |_| Ok(Flow::Enough))? == Flow::Enough)
    }

    pub(super) fn scan(
        &mut self,
        site: Site,
        over: &Value,
        key: &'p Pattern,
        value: &'p Pattern,
        after: &'p [Step],
        then: Then<'_, 'p>,
    ) -> Outcome<Flow> {
        let mut any = false;
        for at in 0..over.members() {
            self.step()?;
            let Some((found, member)) = over.member(at) else { continue };
            let fits = match key {
                Pattern::Any => true,
                key => self.matches(key, &found)?,
            };
            if fits && self.matches(value, member)? {
                any = true;
                if self.block(after, &mut *then)? == Flow::Enough {
                    return Ok(Flow::Enough);
                }
            }
        }
        if !any {
            self.stopped(site);
        }
        Ok(Flow::More)
    }

    /// The same over a part of the tree of rules, of which nothing is evaluated before it is reached.
    fn scan_node(
        &mut self,
        site: Site,
        node: usize,
        [key, value]: [&'p Pattern; 2],
        after: &'p [Step],
        then: Then<'_, 'p>,
    ) -> Outcome<Flow> {
        let Some(node) = self.plan.nodes.get(node) else { return Ok(Flow::More) };
        let mut any = false;
        for name in self.names(node).iter() {
            self.step()?;
            if !self.matches(key, name)? {
                continue;
            }
            let Some(found) = self.child(node, name)? else { continue };
            if self.matches(value, &found)? {
                any = true;
                if self.block(after, &mut *then)? == Flow::Enough {
                    return Ok(Flow::Enough);
                }
            }
        }
        if !any {
            self.stopped(site);
        }
        Ok(Flow::More)
    }

    pub(super) fn walk(
        &mut self,
        path: &mut Vec<Value>,
        over: &Value,
        result: &'p Pattern,
        after: &'p [Step],
        then: Then<'_, 'p>,
    ) -> Outcome<Flow> {
        self.step()?;
        self.charge(path.len().saturating_add(1))?;
        let here = Value::from(vec![Value::from(path.clone()), over.clone()]);
        if self.matches(result, &here)? && self.block(after, &mut *then)? == Flow::Enough {
            return Ok(Flow::Enough);
        }
        for at in 0..over.members() {
            let Some((key, value)) = over.member(at) else { continue };
            path.push(key);
            let flow = self.nested(|vm| vm.walk(path, value, result, after, &mut *then))?;
            path.pop();
            if flow == Flow::Enough {
                return Ok(flow);
            }
        }
        Ok(Flow::More)
    }

    pub(super) fn every(
        &mut self,
        domain: &'p Expr,
        key: Option<Register>,
        value: Register,
        body: &'p [Step],
    ) -> Outcome<bool> {
        // Over what has no members it does not hold.
        let Some(domain) = self.eval(domain)? else { return Ok(false) };
        if !matches!(domain, Value::Array(_) | Value::Set(_) | Value::Object(_)) {
            return Ok(false);
        }
        for at in 0..domain.members() {
            self.step()?;
            let Some((found, member)) = domain.member(at) else { continue };
            if let Some(key) = key {
                self.set(key, found);
            }
            self.set(value, member.clone());
            if !self.is_solved(body)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
