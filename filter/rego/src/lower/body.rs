//! One body: its statements in an order in which each finds what it needs, and the steps they become.

mod apart;
mod before;
mod statements;
mod unify;
mod values;

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

    /// A key that is to be found rather than looked up.
    fn is_open(&self, key: &Term) -> bool {
        match key {
            Term::Var(var) => !self.is_bound(*var),
            Term::Array(items) => items.iter().any(|item| self.is_open(item)),
            Term::Object(members) => members.iter().any(|(_, value)| self.is_open(value)),
            _ => false,
        }
    }
}
