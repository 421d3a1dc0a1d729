//! One body: its statements in an order in which each finds what it needs, and the steps they become.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::*;

/// How often the statements of one rule may be tried before what they need is bound; a long one counts once for each
/// so many bytes.
const MAX_WAITED: u32 = 5_000;
const BYTES_TRIED: u32 = 16;

/// A body with the parts of a head.
pub(super) struct Whole {
    /// The statements in the order in which they came.
    pub(super) literals: Vec<Literal>,
    /// The parts of the head that are none of them.
    pub(super) heads: Vec<Term>,
    pub(super) values: Vec<Expr>,
}

/// One body in the making.
pub(super) struct Body<'p, 'l> {
    pub(super) planner: &'p mut Planner<'l>,
    /// By register: how deep in closures it is at home. Variables come first.
    pub(super) depths: Vec<usize>,
    pub(super) bound: Vec<bool>,
    pub(super) depth: usize,
    /// Whether calls of statements that wait go ahead, and closures wait for what they read.
    pub(super) apart: bool,
    pub(super) steps: Vec<Step>,
    /// The statement in the making.
    pub(super) site: Site,
}

impl Body<'_, '_> {
    fn is_bound(&self, var: Var) -> bool {
        self.bound.get(var).copied().unwrap_or(false)
    }

    fn bind(&mut self, var: Var) {
        if self.bound.len() <= var {
            self.bound.resize(self.depths.len(), false);
        }
        if let Some(bound) = self.bound.get_mut(var) {
            *bound = true;
        }
    }

    /// Of two variables that are not bound yet, the one at home further out: it may be bound there later. The
    /// first of two that are at home in one body.
    fn outermost(&self, first: Var, second: Var) -> Var {
        let home = |var: Var| self.depths.get(var).copied().unwrap_or(0);
        if home(second) < home(first) {
            second
        } else {
            first
        }
    }

    /// A register for a value in between.
    fn register(&mut self) -> Var {
        self.depths.push(self.depth);
        self.depths.len().saturating_sub(1)
    }

    /// The same, bound.
    pub(super) fn temporary(&mut self) -> Var {
        let var = self.register();
        self.bind(var);
        var
    }

    fn push(&mut self, kind: StepKind) {
        self.steps.push(Step { kind, site: Site::default(), guarded: false });
    }

    /// Tries it, and leaves nothing behind where it is not ready.
    fn attempt<T>(&mut self, make: impl FnOnce(&mut Self) -> Made<T>) -> Made<T> {
        let (steps, bound) = (self.steps.len(), self.bound.clone());
        let made = make(self);
        if made.is_err() {
            self.steps.truncate(steps);
            self.bound = bound;
        }
        made
    }

    /// All statements, in an order in which each finds what it needs: in which order they came.
    pub(super) fn literals(&mut self, literals: Vec<Literal>) -> Made<Vec<Literal>> {
        let mut came = Vec::with_capacity(literals.len());
        let mut open = VecDeque::from(literals);
        let before = self.bound.clone();
        while !open.is_empty() {
            let (mut progress, mut unready) = (false, None);
            let mut later = VecDeque::new();
            while let Some(literal) = open.pop_front() {
                let first = self.steps.len();
                let around = std::mem::replace(&mut self.site, literal.site);
                let made = self.attempt(|body| body.literal(&literal));
                self.site = around;
                match made {
                    Ok(()) => {
                        progress = true;
                        for step in self.steps.iter_mut().skip(first) {
                            step.site = literal.site;
                        }
                        came.push(literal);
                    }
                    Err(Stop::Unready(var)) => {
                        self.waits(literal.site)?;
                        let parts = if self.apart { self.calls_apart(&literal)? } else { None };
                        if let Some(parts) = parts {
                            parts.into_iter().rev().for_each(|part| open.push_front(part));
                            progress = true;
                            continue;
                        }
                        if self.seems_ready(&literal.kind, &before) {
                            let message = "a closure here reads a variable of the body, and the statement waits for another: OPA does not wait for it. Put it behind what binds both";
                            return Err(Stop::Problem(self.planner.library.message(literal.site, message)));
                        }
                        unready = match unready {
                            Some((known, site)) if self.outermost(known, var) == known => Some((known, site)),
                            _ => Some((var, literal.site)),
                        };
                        later.push_back(literal);
                    }
                    Err(problem) => return Err(problem),
                }
            }
            open = later;
            if let (Some((var, site)), false) = (unready, progress) {
                // A variable of a body around this one may be bound there later.
                if self.depths.get(var).is_some_and(|home| *home < self.depth) {
                    return Err(Stop::Unready(var));
                }
                return Err(Stop::Unbound(
                    self.planner.library.message(site, "a variable here is bound by nothing"),
                ));
            }
        }
        Ok(came)
    }

    /// Counts a statement that was tried too early, by its length.
    fn waits(&mut self, site: Site) -> Made<()> {
        let length = site.end.saturating_sub(site.start) / BYTES_TRIED;
        self.planner.waited = self.planner.waited.saturating_add(length).saturating_add(1);
        if self.planner.waited > MAX_WAITED {
            Err(Stop::Problem(self.planner.library.message(site, "the statements of this rule wait for each other too often: put each behind those that bind its variables")))
        } else {
            Ok(())
        }
    }

    /// What closures of a statement read of the bodies around them.
    fn closed_over(&self, kind: &Statement) -> Vec<Var> {
        let mut read = Vec::new();
        kind.in_closures(&mut |var| {
            if self.depths.get(var).is_some_and(|home| *home <= self.depth) {
                read.push(var);
            }
        });
        read
    }

    /// Whether closures read what was bound since, and nothing else that is not: OPA does not see then that the
    /// statement waits.
    fn seems_ready(&self, kind: &Statement, before: &[bool]) -> bool {
        let read = self.closed_over(kind);
        read.iter().all(|var| self.is_bound(*var))
            && read.iter().any(|var| !before.get(*var).copied().unwrap_or(false))
    }

    /// What closures read, what references begin with, and what is in calls that are parts of a statement, is
    /// bound by another statement.
    fn is_ready(&self, kind: &Statement) -> Made<()> {
        let mut needed = self.closed_over(kind);
        let mut look = |part: &Term| {
            part.visit(&mut |inner| match inner {
                Term::Ref(Head::Term(head), _) => {
                    if let Term::Var(var) = **head {
                        needed.push(var);
                    }
                }
                Term::Call(..) | Term::In(..) => inner.variables(&mut |var| needed.push(var)),
                _ => {}
            });
        };
        kind.terms(&mut |term| match (kind, term) {
            // A call that is the statement itself may find what it needs.
            (Statement::Expr(_) | Statement::Output(..) | Statement::Not(_), Term::Call(_, arguments, _)) => {
                arguments.iter().for_each(&mut look);
            }
            (
                Statement::Expr(_) | Statement::Output(..) | Statement::Not(_),
                Term::In(key, value, collection),
            ) => {
                key.iter().chain([value, collection]).for_each(|part| look(part));
            }
            (_, term) => look(term),
        });
        match needed.into_iter().find(|var| !self.is_bound(*var)) {
            Some(var) => Err(Stop::Unready(var)),
            None => Ok(()),
        }
    }

    /// A statement that waits for a variable, as several: what `with` puts in the place of something, the calls
    /// and what `every` goes through come as soon as they are ready, and the rest waits. Where one of those ends
    /// in a conflict, and what binds the variable is undefined, that can be seen.
    fn calls_apart(&mut self, literal: &Literal) -> Made<Option<Vec<Literal>>> {
        let site = literal.site;
        let mut parts = Vec::new();
        let mut rest = literal.clone();
        for with in &mut rest.with {
            if let Replacement::Value(value) = &mut with.value {
                *value = self.computed_apart(value, site, &mut parts)?;
            }
        }
        let without_with = parts.len();
        self.kind_apart(&mut rest.kind, site, &mut parts)?;
        if parts.is_empty() {
            return Ok(None);
        }
        parts.iter_mut().skip(without_with).for_each(|part| part.with.clone_from(&rest.with));
        parts.push(rest);
        Ok(Some(parts))
    }

    fn kind_apart(&mut self, kind: &mut Statement, site: Site, parts: &mut Vec<Literal>) -> Made<()> {
        let mut apart = |term: &Term| self.term_apart(term, site, parts);
        match kind {
            Statement::Expr(term @ (Term::Call(..) | Term::In(..))) => *term = term.map(&mut apart)?,
            Statement::Expr(term) => *term = apart(term)?,
            Statement::Unify(left, right) => {
                *left = apart(left)?;
                *right = apart(right)?;
            }
            Statement::Output(result, call) => {
                *call = call.map(&mut apart)?;
                *result = apart(result)?;
            }
            Statement::SomeIn(key, value, collection) => {
                for term in key.iter_mut().chain([value, collection]) {
                    *term = apart(term)?;
                }
            }
            Statement::Not(inner) => self.kind_apart(inner, site, parts)?,
            Statement::Every { domain, .. } => *domain = self.computed_apart(domain, site, parts)?,
        }
        Ok(())
    }

    /// The term without its calls and without what references begin with, each of which becomes a statement.
    fn term_apart(&mut self, term: &Term, site: Site, parts: &mut Vec<Literal>) -> Made<Term> {
        match term {
            Term::Call(..) | Term::In(..) => {
                let var = Term::Var(self.register());
                let call = term.map(&mut |part| self.term_apart(part, site, parts))?;
                parts.push(Literal { kind: Statement::Output(var.clone(), call), with: Vec::new(), site });
                Ok(var)
            }
            Term::Ref(Head::Term(head), keys) => {
                let head = self.computed_apart(head, site, parts)?;
                let keys = keys.iter().map(|key| self.term_apart(key, site, parts)).collect::<Made<_>>()?;
                Ok(Term::Ref(Head::Term(Box::new(head)), keys))
            }
            term => term.map(&mut |part| self.term_apart(part, site, parts)),
        }
    }

    /// What stands there instead of a value that is computed.
    fn computed_apart(&mut self, term: &Term, site: Site, parts: &mut Vec<Literal>) -> Made<Term> {
        let term = self.term_apart(term, site, parts)?;
        if matches!(term, Term::Const(_) | Term::Var(_)) {
            return Ok(term);
        }
        let var = Term::Var(self.register());
        parts.push(Literal { kind: Statement::Unify(var.clone(), term), with: Vec::new(), site });
        Ok(var)
    }

    fn literal(&mut self, literal: &Literal) -> Made<()> {
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

    /// The first variable of a term that has no value yet.
    fn unbound_in(&self, term: &Term) -> Option<Var> {
        let mut unbound = None;
        term.variables(&mut |var| unbound = unbound.or((!self.is_bound(var)).then_some(var)));
        unbound
    }

    /// Whether a reference, or one inside of it, finds its keys.
    fn finds(&self, term: &Term) -> bool {
        let mut found = false;
        term.visit(&mut |inner| {
            found |= matches!(inner, Term::Ref(_, keys) if keys.iter().any(|key| self.is_open(key)));
        });
        found
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

    /// The calls that a term is made of evaluated here, where it can be seen that those come first: OPA evaluates
    /// calls before all else in an expression.
    fn calls_first<'t>(&mut self, term: &'t Term) -> Made<Cow<'t, Term>> {
        Ok(if order::is_call_late(&[term]) {
            Cow::Owned(term.map(&mut |part| self.without_calls(part))?)
        } else {
            Cow::Borrowed(term)
        })
    }

    /// The same with what it is made of evaluated here.
    fn parts_before(&mut self, term: &Term) -> Made<Term> {
        match term {
            Term::Ref(..) => self.side(term),
            term => self.calls_first(term)?.map(&mut |part| self.before(part)),
        }
    }

    fn before_all(&mut self, terms: Vec<Term>) -> Made<Vec<Term>> {
        match self.parts_before(&Term::Array(terms))? {
            Term::Array(terms) => Ok(terms),
            term => Ok(vec![term]),
        }
    }

    /// A reference or comprehension that stays where it is, but for what it is made of.
    fn side(&mut self, term: &Term) -> Made<Term> {
        match term {
            Term::Ref(head, keys) => {
                let head = match head {
                    Head::Term(inner) if !matches!(**inner, Term::Var(_) | Term::Collect(..)) => {
                        Head::Term(Box::new(self.before(inner)?))
                    }
                    head => head.clone(),
                };
                Ok(Term::Ref(head, self.before_all(keys.clone())?))
            }
            Term::Collect(..) => Ok(term.clone()),
            term => self.before(term),
        }
    }

    /// The same with its calls evaluated here, as far as they are ready.
    fn without_calls(&mut self, term: &Term) -> Made<Term> {
        match term {
            Term::Call(..) | Term::In(..) => match self.attempt(|body| body.before(term)) {
                Err(Stop::Unready(_)) => Ok(term.clone()),
                made => made,
            },
            term => term.map(&mut |part| self.without_calls(part)),
        }
    }

    /// The same with all that is computed evaluated here.
    fn before(&mut self, term: &Term) -> Made<Term> {
        match term {
            Term::Const(_) | Term::Var(_) => Ok(term.clone()),
            Term::Array(_) | Term::Set(_) | Term::Object(_) => self.parts_before(term),
            _ => {
                let value = self.whole(term)?;
                let var = self.temporary();
                self.push(StepKind::Let(var, value));
                Ok(Term::Var(var))
            }
        }
    }

    /// Steps of their own. What they bind is bound in them only.
    fn inner(&mut self, make: impl FnOnce(&mut Self) -> Made<()>) -> Made<Vec<Step>> {
        let outer = std::mem::take(&mut self.steps);
        let bound = self.bound.clone();
        let made = make(self);
        let steps = std::mem::replace(&mut self.steps, outer);
        self.bound = bound;
        made.map(|()| steps)
    }

    /// The same in a closure: variables of bodies around it are bound there or not at all.
    fn closed(&mut self, make: impl FnOnce(&mut Self) -> Made<()>) -> Made<Vec<Step>> {
        self.depth = self.depth.saturating_add(1);
        let made = self.inner(make);
        self.depth = self.depth.saturating_sub(1);
        made
    }

    /// A body, and the parts of its head. Those that read rules are statements of the body, in their order
    /// with the others, as in OPA: where one ends in a conflict, that can be seen. A part that was given has a
    /// register, and is compared with it.
    pub(super) fn with_heads(
        &mut self,
        literals: &[Literal],
        heads: &[&Term],
        given: &[Option<Var>],
        site: Site,
    ) -> Made<Whole> {
        let in_order = heads.iter().any(|head| order::may_conflict(head));
        match self.attempt(|body| body.with_heads_so(literals, heads, given, site, in_order)) {
            // A part that finds what the body or another part needs: `p[k] := input.xs[k] if k > 1`.
            Err(problem) if !in_order && heads.iter().any(|head| self.finds(head)) => {
                self.with_heads_so(literals, heads, given, site, true).map_err(|_| problem)
            }
            made => made,
        }
    }

    fn with_heads_so(
        &mut self,
        literals: &[Literal],
        heads: &[&Term],
        given: &[Option<Var>],
        site: Site,
        in_order: bool,
    ) -> Made<Whole> {
        let mut all = literals.to_vec();
        let mut parts: Vec<Term> = Vec::with_capacity(heads.len());
        for (at, head) in heads.iter().enumerate() {
            let given = given.get(at).copied().flatten();
            if given.is_none() && (!in_order || matches!(head, Term::Const(_) | Term::Var(_))) {
                parts.push((*head).clone());
                continue;
            }
            let var = Term::Var(given.unwrap_or_else(|| self.register()));
            let kind = match (given, at.saturating_add(1) == heads.len()) {
                // The element of a set: a function is told what it must come to.
                (Some(_), true) => Statement::Output(var.clone(), (*head).clone()),
                _ => Statement::Unify(var.clone(), (*head).clone()),
            };
            all.push(Literal { kind, with: Vec::new(), site });
            parts.push(var);
        }
        let literals = self.literals(all)?;
        let values = parts.iter().map(|part| self.whole(part)).collect::<Made<_>>()?;
        Ok(Whole { literals, heads: parts, values })
    }

    /// The value of a term, in which one part may bind what another needs: `f(x, xs[x])`.
    pub(super) fn whole(&mut self, term: &Term) -> Made<Expr> {
        let term = if order::is_found_late(term, &|key| self.is_open(key)) {
            Cow::Owned(self.parts_before(term)?)
        } else {
            self.calls_first(term)?
        };
        self.in_place(&term)
    }

    fn in_place(&mut self, term: &Term) -> Made<Expr> {
        match self.attempt(|body| body.value(term)) {
            Err(Stop::Unready(var)) => {
                // References that find their own keys come first.
                let mut references = Vec::new();
                term.visit(&mut |inner| {
                    if let Term::Ref(_, keys) = inner {
                        if keys.iter().any(|key| matches!(key, Term::Var(_))) && !std::ptr::eq(inner, term) {
                            references.push(inner.clone());
                        }
                    }
                });
                let mut progress = false;
                for reference in &references {
                    progress |= self.attempt(|body| body.value(reference)).is_ok();
                }
                if !progress {
                    return Err(Stop::Unready(var));
                }
                // They are looked up once more, with the keys that were found.
                self.value(term)
            }
            made => made,
        }
    }

    /// Makes both sides one.
    fn unify(&mut self, left: &Term, right: &Term) -> Made<()> {
        match (left, right) {
            (Term::Array(a), Term::Array(b)) if a.len() == b.len() => {
                return self.pairs(a.iter().zip(b).collect());
            }
            (Term::Array(a), Term::Array(b)) => {
                let all: Vec<&Term> = a.iter().chain(b).collect();
                for term in all {
                    self.whole(term)?;
                }
                self.push(StepKind::Test(Expr::Const(Value::Bool(false))));
                return Ok(());
            }
            (Term::Object(a), Term::Object(b)) => {
                let key = |(key, _): &(Term, Term)| match key {
                    Term::Const(key) => Some(key.clone()),
                    _ => None,
                };
                let keys: Option<(Vec<Value>, Vec<Value>)> =
                    a.iter().map(key).collect::<Option<_>>().zip(b.iter().map(key).collect::<Option<_>>());
                if let Some((left, right)) = keys {
                    let mut pairs = Vec::new();
                    for (at, key) in left.iter().enumerate() {
                        let other =
                            right.iter().position(|other| other == key).and_then(|other| b.get(other));
                        if let Some(((_, a), (_, b))) = a.get(at).zip(other) {
                            pairs.push((a, b));
                        }
                    }
                    if pairs.len() == a.len() && a.len() == b.len() {
                        return self.pairs(pairs);
                    }
                    // They bind nothing.
                    for (_, value) in a.iter().chain(b) {
                        self.whole(value)?;
                    }
                    self.push(StepKind::Test(Expr::Const(Value::Bool(false))));
                    return Ok(());
                }
            }
            _ => {}
        }
        match self.attempt(|body| body.unify_from(left, right)) {
            Err(Stop::Unready(var)) => match self.attempt(|body| body.unify_from(right, left)) {
                Err(Stop::Unready(other)) => Err(Stop::Unready(self.outermost(var, other))),
                made => made,
            },
            made => made,
        }
    }

    fn pairs(&mut self, mut open: Vec<(&Term, &Term)>) -> Made<()> {
        while !open.is_empty() {
            let before = open.len();
            let mut unready = None;
            let mut later = Vec::new();
            for (left, right) in open {
                match self.attempt(|body| body.unify(left, right)) {
                    Ok(()) => {}
                    Err(Stop::Unready(var)) => {
                        unready = Some(unready.map_or(var, |known| self.outermost(known, var)));
                        later.push((left, right));
                    }
                    Err(problem) => return Err(problem),
                }
            }
            open = later;
            if let (Some(var), true) = (unready, open.len() == before) {
                return Err(Stop::Unready(var));
            }
        }
        Ok(())
    }

    /// The value on the right, in the form on the left.
    fn unify_from(&mut self, form: &Term, value: &Term) -> Made<()> {
        let value = self.whole(value)?;
        let mut deferred = Vec::new();
        match form {
            // What is no form is a value, too.
            Term::Var(_) | Term::Array(_) | Term::Object(_) => match self.pattern(form, &mut deferred)? {
                Pattern::Bind(var) => self.push(StepKind::Let(var, value)),
                Pattern::Equal(other) => {
                    self.push(StepKind::Test(Expr::Operator(Operator::Equal, Box::new((other, value)))));
                }
                pattern => self.push(StepKind::Match(pattern, value)),
            },
            _ => {
                let other = self.whole(form)?;
                self.push(StepKind::Test(Expr::Operator(Operator::Equal, Box::new((other, value)))));
            }
        }
        self.after(deferred)
    }

    /// What a value must be. Parts that are computed are bound first and compared behind it, when all of
    /// the form is bound.
    pub(super) fn pattern<'t>(
        &mut self,
        term: &'t Term,
        deferred: &mut Vec<(Var, &'t Term)>,
    ) -> Made<Pattern> {
        match term {
            Term::Var(var) if self.is_bound(*var) => Ok(Pattern::Equal(Expr::Local(*var))),
            Term::Var(var) => {
                if self.depths.get(*var).is_some_and(|home| *home != self.depth) {
                    return Err(Stop::Unready(*var));
                }
                self.bind(*var);
                Ok(Pattern::Bind(*var))
            }
            Term::Const(value) => Ok(Pattern::Equal(Expr::Const(value.clone()))),
            Term::Array(items) => Ok(Pattern::Array(
                items.iter().map(|item| self.pattern(item, deferred)).collect::<Made<_>>()?,
            )),
            Term::Object(members) => {
                let mut keys = Vec::with_capacity(members.len());
                for (key, _) in members {
                    keys.push(self.whole(key)?);
                }
                let mut patterns = Vec::with_capacity(members.len());
                for (key, (_, value)) in keys.into_iter().zip(members) {
                    patterns.push((key, self.pattern(value, deferred)?));
                }
                Ok(Pattern::Object(patterns))
            }
            _ => {
                let var = self.temporary();
                deferred.push((var, term));
                Ok(Pattern::Bind(var))
            }
        }
    }

    pub(super) fn after(&mut self, deferred: Vec<(Var, &Term)>) -> Made<()> {
        let mut open = deferred;
        while !open.is_empty() {
            let before = open.len();
            let mut unready = None;
            let mut later = Vec::new();
            for (var, term) in open {
                let compared = self.attempt(|body| {
                    let value = body.whole(term)?;
                    body.push(StepKind::Test(Expr::Operator(
                        Operator::Equal,
                        Box::new((Expr::Local(var), value)),
                    )));
                    Ok(())
                });
                match compared {
                    Ok(()) => {}
                    Err(Stop::Unready(missing)) => {
                        unready = Some(unready.map_or(missing, |known| self.outermost(known, missing)));
                        later.push((var, term));
                    }
                    Err(problem) => return Err(problem),
                }
            }
            open = later;
            if let (Some(var), true) = (unready, open.len() == before) {
                return Err(Stop::Unready(var));
            }
        }
        Ok(())
    }

    /// A key that is to be found rather than looked up.
    fn is_open(&self, key: &Term) -> bool {
        match key {
            Term::Var(var) => !self.is_bound(*var),
            Term::Array(items) => items.iter().any(|item| self.is_open(item)),
            Term::Object(members) => members.iter().any(|(_, value)| self.is_open(value)),
            _ => false,
        }
    }

    fn value(&mut self, term: &Term) -> Made<Expr> {
        match term {
            Term::Const(value) => Ok(Expr::Const(value.clone())),
            Term::Var(var) if self.is_bound(*var) => Ok(Expr::Local(*var)),
            Term::Var(var) => Err(Stop::Unready(*var)),
            Term::Ref(head, keys) => self.reference(head, keys),
            Term::Array(items) => {
                let items = self.values(items)?;
                Ok(match constants(&items) {
                    Some(values) => Expr::Const(Value::from(values)),
                    None => Expr::Array(items),
                })
            }
            Term::Set(items) => {
                let items = self.values(items)?;
                Ok(match constants(&items) {
                    Some(values) => Expr::Const(Value::Set(Set::from(values))),
                    None => Expr::Set(items),
                })
            }
            Term::Object(members) => {
                let mut made = Vec::with_capacity(members.len());
                for (key, value) in members {
                    made.push((self.value(key)?, self.value(value)?));
                }
                let constant = |(key, value): &(Expr, Expr)| match (key, value) {
                    (Expr::Const(key), Expr::Const(value)) => Some((key.clone(), value.clone())),
                    _ => None,
                };
                let members: Option<Vec<(Value, Value)>> = made.iter().map(constant).collect();
                Ok(match members.and_then(Object::unique) {
                    Some(object) => Expr::Const(Value::Object(object)),
                    None => Expr::Object(made),
                })
            }
            Term::Collect(collected, closure) => self.collect(*collected, closure),
            Term::Call(function, arguments, site) => self.call(function, arguments, *site),
            Term::In(key, value, collection) => {
                let key = key.as_ref().map(|key| self.value(key)).transpose()?;
                let value = self.value(value)?;
                let collection = self.value(collection)?;
                Ok(Expr::In(Box::new((key, value, collection))))
            }
        }
    }

    fn values(&mut self, terms: &[Term]) -> Made<Vec<Expr>> {
        terms.iter().map(|term| self.value(term)).collect()
    }

    fn collect(&mut self, collected: Collected, closure: &Closure) -> Made<Expr> {
        let mut heads = Vec::new();
        let steps = self.closed(|body| {
            let terms: Vec<&Term> = closure.heads.iter().collect();
            if !order::is_call_late(&terms) {
                heads = body.with_heads(&closure.body, &terms, &[], body.site)?.values;
                return Ok(());
            }
            // Key and value are one expression.
            let mut literals = closure.body.clone();
            let mut apart = |head: &&Term| body.term_apart(head, body.site, &mut literals);
            let terms = terms.iter().map(&mut apart).collect::<Made<Vec<_>>>()?;
            heads = body.with_heads(&literals, &terms.iter().collect::<Vec<_>>(), &[], body.site)?.values;
            Ok(())
        })?;
        let value = heads.pop().unwrap_or(Expr::Const(Value::Null));
        Ok(Expr::Collect(collected, Box::new(Collect { steps, key: heads.pop(), value })))
    }

    fn call(&mut self, function: &Function, arguments: &[Term], site: Site) -> Made<Expr> {
        let mut arguments = self.values(arguments)?;
        match function {
            Function::Operator(operator) => {
                let right = arguments.pop().unwrap_or(Expr::Const(Value::Null));
                let left = arguments.pop().unwrap_or(Expr::Const(Value::Null));
                Ok(Expr::Operator(*operator, Box::new((left, right))))
            }
            Function::Walk => {
                let over = arguments.pop().unwrap_or(Expr::Const(Value::Null));
                let var = self.temporary();
                self.push(StepKind::Walk { over, result: Pattern::Bind(var) });
                Ok(Expr::Local(var))
            }
            _ => {
                if let Some(zone) = other_zone(function, &arguments) {
                    let message = format!("the time zone `{zone}` is not offered: compute in UTC");
                    return Err(Stop::Problem(self.planner.library.message(site, &message)));
                }
                let (callee, name) = self
                    .planner
                    .callee(function)
                    .map_err(|problem| self.planner.library.message(site, &problem))?;
                let mock = self.planner.mock(&name);
                Ok(Expr::Call(Box::new(Call { callee, arguments, mock, given: None })))
            }
        }
    }

    pub(super) fn reference(&mut self, head: &Head, keys: &[Term]) -> Made<Expr> {
        let (mut base, rest) = match head {
            Head::Term(term) => (self.value(term)?, keys),
            Head::Input => {
                let path: Path = keys.iter().map_while(name).collect();
                let rest = keys.get(path.len()..).unwrap_or_default();
                (self.planner.input(path, self.site), rest)
            }
            Head::Data => self.data(keys)?,
        };
        let stored = matches!(base, Expr::Base(_));
        let mut known = Vec::new();
        for key in rest {
            if !self.is_open(key) {
                known.push(self.value(key)?);
                continue;
            }
            let over = get(base, std::mem::take(&mut known), stored);
            let mut deferred = Vec::new();
            let pattern = self.pattern(key, &mut deferred)?;
            let var = self.temporary();
            self.push(StepKind::Scan { over, key: pattern, value: Pattern::Bind(var) });
            self.after(deferred)?;
            base = Expr::Local(var);
        }
        Ok(get(base, known, stored))
    }

    /// Where a path below `data` leads, and the keys that are left.
    fn data<'t>(&mut self, keys: &'t [Term]) -> Made<(Expr, &'t [Term])> {
        let mut path: Path = Vec::new();
        let mut rest = keys;
        while let Some((key, after)) = rest.split_first() {
            let Some(name) = name(key) else { break };
            path.push(name);
            rest = after;
            if self.planner.tree.documents.contains_key(&path) {
                let (kind, keys) = self.planner.kind(&path)?;
                if let Kind::Function(_) = kind {
                    return Err(Stop::Problem(self.planner.at(&path, "a function is no value")));
                }
                let known = rest.iter().take_while(|key| !self.is_open(key)).count();
                let keys = known.min(keys);
                return match rest.split_at_checked(keys) {
                    Some((keys, rest)) if !keys.is_empty() && kind != Kind::Complete => {
                        let id = self.planner.document(&path, keys.len());
                        Ok((Expr::Member(id, self.values(keys)?), rest))
                    }
                    _ => Ok((Expr::Document(self.planner.document(&path, 0)), rest)),
                };
            }
            if !self.planner.has_below(&path) {
                path.extend(rest.iter().map_while(self::name));
                let rest = keys.get(path.len()..).unwrap_or_default();
                return Ok((self.planner.base(path), rest));
            }
        }
        if !self.planner.has_below(&path) {
            return Ok((self.planner.base(path), rest));
        }
        let closed = rest.iter().take_while(|key| !self.is_open(key)).count();
        let keys: Vec<Option<Arc<str>>> = rest
            .iter()
            .map(|key| match key {
                Term::Const(Value::String(name)) => Some(Arc::clone(name)),
                Term::Const(Value::Number(number)) => Some(Arc::from(number.to_string())),
                _ => None,
            })
            .collect();
        self.planner.read_below(self.site, &path)?;
        let node = self.planner.node(&path, &keys, closed);
        let (known, rest) = rest.split_at_checked(closed).unwrap_or((rest, &[]));
        Ok((Expr::Node(node, self.values(known)?), rest))
    }
}

fn get(base: Expr, keys: Vec<Expr>, stored: bool) -> Expr {
    match (base, keys.is_empty()) {
        (base, true) => base,
        (base, false) => Expr::Get { base: Box::new(base), keys, stored },
    }
}

fn constants(items: &[Expr]) -> Option<Vec<Value>> {
    let constant = |item: &Expr| match item {
        Expr::Const(value) => Some(value.clone()),
        _ => None,
    };
    items.iter().map(constant).collect()
}

/// A constant time zone that is not UTC, in a call of a builtin that takes a time and a zone.
fn other_zone(function: &Function, arguments: &[Expr]) -> Option<Arc<str>> {
    let Function::Builtin(builtin) = function else { return None };
    if !matches!(builtin.name, "time.date" | "time.clock" | "time.weekday" | "time.diff" | "time.format") {
        return None;
    }
    arguments.iter().find_map(|argument| {
        let zone = match argument {
            Expr::Array(items) => match items.get(1) {
                Some(Expr::Const(Value::String(zone))) => zone,
                _ => return None,
            },
            Expr::Const(Value::Array(items)) => match items.get(1) {
                Some(Value::String(zone)) => zone,
                _ => return None,
            },
            _ => return None,
        };
        (!matches!(&**zone, "" | "UTC")).then(|| Arc::clone(zone))
    })
}
