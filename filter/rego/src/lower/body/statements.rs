//! A statement that is ready, with what `with` replaces, as steps.

use super::*;

impl Body<'_, '_> {
    pub(super) fn literal(&mut self, literal: &Literal) -> Made<()> {
        if self.apart {
            self.is_ready(&literal.kind)?;
        }
        if literal.with.is_empty() {
            return self.kind(&literal.kind);
        }
        let values = literal.with.iter().filter_map(|with| match &with.value {
            Replacement::Value(value) => Some(value),
            Replacement::Function(_) => None,
        });
        let late = order::is_call_late(&values.collect::<Vec<_>>());
        let mut replacing = literal.with.clone();
        for with in &mut replacing {
            if let (Replacement::Value(value), true) = (&mut with.value, late) {
                *value = self.without_calls(value)?;
            }
        }
        let mut replaced = Vec::with_capacity(replacing.len());
        for with in &replacing {
            replaced.push(match (&with.target, &with.value) {
                (Target::Input(path), Replacement::Value(value)) => {
                    With::Input(path.clone(), self.whole(value)?)
                }
                (Target::Data(path), Replacement::Value(value)) => {
                    With::Data(path.clone(), self.whole(value)?)
                }
                (Target::Function(name), value) => {
                    if name == "walk" {
                        return Err(Stop::Problem(
                            self.planner.library.message(literal.site, "`walk` can't be replaced"),
                        ));
                    }
                    let at = match self.planner.mock(name) {
                        Some(known) => known,
                        None => {
                            self.planner.draft.mocked.push(name.clone());
                            self.planner.draft.mocked.len().saturating_sub(1)
                        }
                    };
                    match value {
                        Replacement::Value(value) => With::Value(at, self.whole(value)?),
                        Replacement::Function(function) => {
                            let (callee, _) = self
                                .planner
                                .callee(function)
                                .map_err(|problem| self.planner.library.message(literal.site, &problem))?;
                            if let Callee::Rule(id) = callee {
                                self.planner.draft.replacing.insert(id);
                            }
                            With::Function(at, callee)
                        }
                    }
                }
                (_, Replacement::Function(_)) => {
                    return Err(Stop::Problem(
                        self.planner.library.message(literal.site, "a function is no value"),
                    ));
                }
            });
        }
        let outer = std::mem::take(&mut self.steps);
        let made = self.kind(&literal.kind);
        let inner = std::mem::replace(&mut self.steps, outer);
        made?;
        self.push(StepKind::With(replaced, inner));
        Ok(())
    }

    fn kind(&mut self, kind: &Statement) -> Made<()> {
        match kind {
            Statement::Expr(Term::Call(Function::Operator(Operator::Equal), operands, site)) => {
                let [left, right] = operands.as_slice() else { return Ok(()) };
                let (mut left, mut right) = self.sides(left, right)?;
                if order::is_read_inside(&left) || order::is_read_inside(&right) {
                    (left, right) = (self.side(&left)?, self.side(&right)?);
                }
                if !self.attempt_references(&left, &right)? {
                    let function = Function::Operator(Operator::Equal);
                    let value = self.whole(&Term::Call(function, vec![left, right], *site))?;
                    self.push(StepKind::Test(value));
                }
                Ok(())
            }
            Statement::Expr(term) => {
                let value = self.whole(term)?;
                if let Expr::Input(slot) = &value {
                    self.planner.draft.conditions.insert((self.site, *slot));
                }
                self.push(StepKind::Test(value));
                Ok(())
            }
            // What the arguments and the result are made of is evaluated before, in this order.
            Statement::Output(result, Term::Call(function, arguments, site))
                if !matches!(result, Term::Const(_) | Term::Var(_)) =>
            {
                let mut arguments = self.before_all(arguments.iter().chain([result]).cloned().collect())?;
                let result = arguments.pop().unwrap_or(Term::Const(Value::Null));
                self.output(&result, &Term::Call(function.clone(), arguments, *site))
            }
            Statement::Output(result, call) => self.output(result, call),
            Statement::Unify(left, right) => {
                let (left, right) = &self.sides(left, right)?;
                if self.attempt_references(left, right)? {
                    return Ok(());
                }
                if order::is_read_inside(left) || order::is_read_inside(right) {
                    let made = self.attempt(|body| {
                        let (left, right) = (body.side(left)?, body.side(right)?);
                        body.unify(&left, &right)
                    });
                    if !matches!(made, Err(Stop::Unready(_))) {
                        return made;
                    }
                }
                self.unify(left, right)
            }
            Statement::SomeIn(key, value, collection) => {
                let over = self.whole(collection)?;
                let mut deferred = Vec::new();
                let key = match key {
                    Some(key) => self.pattern(key, &mut deferred)?,
                    None => Pattern::Any,
                };
                let value = self.pattern(value, &mut deferred)?;
                self.push(StepKind::Scan { over, key, value });
                self.after(deferred)
            }
            Statement::Not(inner) => {
                let mut unbound = None;
                inner.terms(&mut |term| unbound = unbound.or(self.unbound_in(term)));
                if let Some(var) = unbound {
                    return Err(Stop::Unready(var));
                }
                let operation = self.negated(inner)?;
                let steps = self.inner(|body| body.kind(&operation))?;
                self.push(StepKind::Not(steps));
                Ok(())
            }
            Statement::Every { key, value, domain, body: inside } => {
                let domain = self.whole(domain)?;
                let steps = self.closed(|body| {
                    key.iter().for_each(|key| body.bind(*key));
                    body.bind(*value);
                    body.literals(inside.to_vec()).map(|_| ())
                })?;
                self.push(StepKind::Every { domain, key: *key, value: *value, body: steps });
                Ok(())
            }
        }
    }

    /// What a call gives. Where that is known, a function is told what it must come to.
    fn output(&mut self, result: &Term, call: &Term) -> Made<()> {
        if !matches!(call, Term::Call(Function::Rule(_), ..)) || self.unbound_in(result).is_some() {
            return self.kind(&Statement::Unify(result.clone(), call.clone()));
        }
        let result = self.before(result)?;
        let (value, mut call) = (self.whole(&result)?, self.whole(call)?);
        if let Expr::Call(call) = &mut call {
            call.given = Some(self.whole(&result)?);
            if let Callee::Rule(id) = call.callee {
                self.planner.draft.given.insert(id);
            }
        }
        self.push(StepKind::Test(Expr::Operator(Operator::Equal, Box::new((value, call)))));
        Ok(())
    }

    /// The sides of an equality, in their order: calls are evaluated before them, and a reference before a
    /// comprehension.
    fn sides(&mut self, left: &Term, right: &Term) -> Made<(Term, Term)> {
        let (left, right) = self.sides_without_calls(left, right)?;
        Ok(match (&left, &right) {
            (Term::Collect(..), Term::Ref(..)) => (right, left),
            _ => (left, right),
        })
    }

    /// The same with their calls evaluated here, where it can be seen that those come first.
    fn sides_without_calls(&mut self, left: &Term, right: &Term) -> Made<(Term, Term)> {
        if !order::is_call_late(&[left, right]) && !order::is_call_late(&[right, left]) {
            return Ok((left.clone(), right.clone()));
        }
        let left = self.without_calls(left)?;
        Ok((left, self.without_calls(right)?))
    }

    /// Two references, of which one finds its keys: the left one comes first, with all that it finds. `false` if
    /// this is something else, or a variable is not bound yet.
    fn attempt_references(&mut self, left: &Term, right: &Term) -> Made<bool> {
        if !matches!((left, right), (Term::Ref(..), Term::Ref(..)))
            || !(self.finds(left) || self.finds(right))
        {
            return Ok(false);
        }
        let made = self.attempt(|body| {
            // The keys of both come before.
            let (left, right) = (&body.side(left)?, &body.side(right)?);
            let first = body.whole(left)?;
            let var = body.temporary();
            body.push(StepKind::Let(var, first));
            let second = body.whole(right)?;
            body.push(StepKind::Test(Expr::Operator(Operator::Equal, Box::new((Expr::Local(var), second)))));
            Ok(())
        });
        match made {
            Ok(()) => Ok(true),
            Err(Stop::Unready(_)) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// What a negation denies: one operation. What it is applied to is evaluated before, as in OPA, so that
    /// a negation does not hold because of an operand that is undefined.
    fn negated(&mut self, kind: &Statement) -> Made<Statement> {
        Ok(match kind {
            Statement::Unify(left, right) => {
                let (left, right) = self.sides_without_calls(left, right)?;
                Statement::Unify(self.side(&left)?, self.side(&right)?)
            }
            Statement::Output(result, Term::Call(function, arguments, site)) => {
                let arguments = self.before_all(arguments.clone())?;
                Statement::Output(self.before(result)?, Term::Call(function.clone(), arguments, *site))
            }
            Statement::Expr(Term::Call(Function::Operator(Operator::Equal), operands, site)) => {
                let operands = match operands.as_slice() {
                    [left, right] => <[Term; 2]>::from(self.sides_without_calls(left, right)?).to_vec(),
                    others => others.to_vec(),
                };
                let sides = operands.iter().map(|side| self.side(side)).collect::<Made<_>>()?;
                Statement::Expr(Term::Call(Function::Operator(Operator::Equal), sides, *site))
            }
            Statement::Expr(term) => Statement::Expr(self.parts_before(term)?),
            other => other.clone(),
        })
    }
}
