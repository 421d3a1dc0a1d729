//! What is made: what comes to hold because something failed.

use super::*;

/// What an expression's value is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The body goes on unless it is false.
    Condition,
    /// It is, or is part of, what the rule comes to.
    Result,
    Other,
}

impl<'p> Look<'p> {
    pub(super) fn made_document(&mut self, id: DocumentId) {
        let Some(document) = self.plan.documents.get(id) else { return };
        if !self.made.insert(id) {
            return;
        }
        let decides = document.path.last().is_some_and(|name| matches!(&**name, "decision" | "allow"));
        for rule in document.rules.iter().chain(&document.default) {
            for branch in &rule.branches {
                let origins = Origins::of(branch);
                let mut facts = Facts::default();
                facts.learn(self.plan, &origins, &branch.steps);
                let scope = Scope { facts: &facts, origins: &origins, site: branch.site };
                self.made_steps(scope, &branch.steps);
                let heads = branch.tail.iter().chain([&branch.value]);
                heads.for_each(|head| self.made_expr(scope, head, Use::Result));
            }
            if decides {
                self.made_by_else(rule);
            }
        }
    }

    /// What follows an `else` holds because what is before it did not.
    fn made_by_else(&mut self, rule: &'p Rule) {
        let mut rest = rule.branches.as_slice();
        while let Some((branch, after)) = rest.split_first() {
            rest = after;
            let denies = !matches!(Verdict::of(&branch.value), Verdict::Yes);
            if denies && after.iter().any(|later| !matches!(Verdict::of(&later.value), Verdict::No)) {
                let why = self.lost_branch(rule, branch, &Facts::default(), &[]);
                let (facts, origins) = (Facts::default(), Origins::of(branch));
                let scope = Scope { facts: &facts, origins: &origins, site: branch.site };
                self.note(scope, Denial::Else, why);
            }
        }
    }

    pub(super) fn made_steps(&mut self, around: Scope<'_, 'p>, steps: &'p [Step]) {
        let tested = self.tested(around, steps);
        let negated = facts::negated(steps);
        for step in steps {
            let scope = Scope { site: own(step.site, around.site), ..around };
            match &step.kind {
                StepKind::Let(_, expr) if negated.contains(&step.site) => {
                    let why = self.lost_expr(scope, expr);
                    let why = why.or_else(|| self.contents(scope, expr));
                    self.note(scope, Denial::Operand, why);
                }
                StepKind::Let(register, _) if tested.contains(register) => {}
                StepKind::Test(expr) => self.made_expr(scope, expr, Use::Condition),
                StepKind::Let(_, expr) | StepKind::Match(_, expr) => self.made_expr(scope, expr, Use::Other),
                StepKind::Scan { over, .. } | StepKind::Walk { over, .. } => {
                    self.made_expr(scope, over, Use::Other);
                }
                StepKind::Not(inner) => {
                    let why = self.lost_steps(scope, inner);
                    self.note(scope, Denial::Not, why);
                }
                StepKind::Every { domain, body, .. } => {
                    let why = self.contents(scope, domain);
                    self.note(scope, Denial::Every, why);
                    let mut facts = scope.facts.clone();
                    facts.learn(self.plan, scope.origins, body);
                    self.made_steps(Scope { facts: &facts, ..scope }, body);
                }
                StepKind::With(replaced, inner) => {
                    let known = self.replaced.len();
                    self.replace(replaced);
                    self.made_steps(scope, inner);
                    self.replaced.truncate(known);
                }
            }
        }
    }

    /// Registers that are compared with nothing: what they were given is denied where that is done.
    fn tested(&self, scope: Scope<'_, 'p>, steps: &'p [Step]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&Expr> = steps
            .iter()
            .filter_map(|step| match &step.kind {
                StepKind::Test(Expr::Operator(operator, sides)) => {
                    Some(denied_contents(scope, *operator, &sides.0, &sides.1)?.1)
                }
                StepKind::Every { domain, .. } => Some(domain),
                _ => None,
            })
            .collect();
        while let Some(expr) = open.pop() {
            expr.each(&mut |inner| {
                if let Expr::Local(register) = inner {
                    if found.insert(*register) {
                        open.extend(scope.origins.given(*register));
                    }
                }
            });
        }
        found
    }

    /// What comes to be something else because something failed.
    fn made_expr(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr, used: Use) {
        let by_default = match used {
            Use::Condition => self.default_that(scope, expr, &|value| *value != Value::Bool(false)),
            Use::Result => self.default_that(scope, expr, &|value| *value == Value::Bool(true)),
            Use::Other => None,
        };
        self.note(scope, Denial::Default, by_default);
        match expr {
            Expr::Const(_) | Expr::Input(_) | Expr::Base(_) => {}
            // What gives a register its value is a step of its own.
            Expr::Local(_) => match scope.origins.behind(expr) {
                Expr::Local(_) => {}
                result if used == Use::Result => self.made_expr(scope, result, used),
                _ => {}
            },
            Expr::Document(id) => self.made_document(*id),
            Expr::Member(id, keys) => {
                self.made_document(*id);
                keys.iter().for_each(|key| self.made_expr(scope, key, Use::Other));
            }
            Expr::Node(node, keys) => {
                self.plan.below(*node).into_iter().for_each(|id| self.made_document(id));
                keys.iter().for_each(|key| self.made_expr(scope, key, Use::Other));
            }
            Expr::Get { base, keys, .. } => {
                self.made_expr(scope, base, Use::Other);
                keys.iter().for_each(|key| self.made_expr(scope, key, Use::Other));
            }
            Expr::Array(items) | Expr::Set(items) => {
                items.iter().for_each(|item| self.made_expr(scope, item, inner(used)));
            }
            Expr::Object(members) => members.iter().for_each(|(key, value)| {
                self.made_expr(scope, key, Use::Other);
                self.made_expr(scope, value, inner(used));
            }),
            Expr::Collect(_, collect) => {
                let mut facts = scope.facts.clone();
                facts.learn(self.plan, scope.origins, &collect.steps);
                let scope = Scope { facts: &facts, ..scope };
                self.made_steps(scope, &collect.steps);
                heads(collect).for_each(|head| self.made_expr(scope, head, Use::Other));
            }
            Expr::Operator(operator, sides) => self.made_operator(scope, *operator, &sides.0, &sides.1),
            Expr::Call(call) => {
                if let Callee::Rule(id) = call.callee {
                    self.made_document(id);
                }
                call.arguments.iter().for_each(|argument| self.made_expr(scope, argument, Use::Other));
            }
            Expr::In(parts) => {
                let (key, value, collection) = &**parts;
                if let (None, Expr::Const(all)) = (key, collection) {
                    let why = self.default_that(scope, value, &|value| all.has_member(value));
                    self.note(scope, Denial::Default, why);
                }
                key.iter()
                    .chain([value, collection])
                    .for_each(|part| self.made_expr(scope, part, Use::Other));
            }
        }
    }

    fn made_operator(&mut self, scope: Scope<'_, 'p>, operator: Operator, left: &'p Expr, right: &'p Expr) {
        let tested = denied_contents(scope, operator, left, right);
        if let Some((what, tested)) = tested {
            if let Some(why) = self.contents(scope, tested) {
                return self.note(scope, what, Some(why));
            }
        }
        for (side, other) in [(left, right), (right, left)] {
            let Expr::Const(constant) = scope.origins.behind(other) else { continue };
            let why = match operator {
                Operator::Equal => self.default_that(scope, side, &|value| value == constant),
                Operator::NotEqual => self.default_that(scope, side, &|value| value != constant),
                _ => None,
            };
            if why.is_some() {
                return self.note(scope, Denial::Default, why);
            }
        }
        // What is denied is not made.
        let denied = tested.filter(|(what, tested)| {
            *what == Denial::Emptiness || matches!(scope.origins.behind(tested), Expr::Call(_))
        });
        for side in [left, right] {
            if denied.is_none_or(|(_, tested)| !std::ptr::eq(tested, side)) {
                self.made_expr(scope, side, Use::Other);
            }
        }
    }

    /// A rule that is such a value by default or by an `else`, while a body before it that would come to another
    /// can be lost.
    fn default_that(
        &mut self,
        scope: Scope<'_, 'p>,
        expr: &'p Expr,
        is_such: &dyn Fn(&Value) -> bool,
    ) -> Why {
        let (id, kinds) = match scope.origins.behind(expr) {
            Expr::Document(id) => (*id, Vec::new()),
            Expr::Call(call) => match call.callee {
                Callee::Rule(id) => (id, self.kinds(scope, &call.arguments)),
                _ => return None,
            },
            _ => return None,
        };
        let document = self.plan.documents.get(id)?;
        let facts = scope.facts.outside();
        let such = |branch: &Branch| match &branch.value {
            Expr::Const(value) => is_such(value),
            _ => false,
        };
        let is_default_such = document.default.iter().flat_map(|rule| &rule.branches).any(such);
        for rule in &document.rules {
            let last = rule.branches.iter().rposition(such).filter(|_| !is_default_such);
            let before = if is_default_such { rule.branches.len() } else { last.unwrap_or(0) };
            let mut others = rule.branches.iter().take(before).filter(|branch| !such(branch));
            let why = others.find_map(|branch| self.lost_branch(rule, branch, &facts, &kinds));
            if why.is_some() {
                return why;
            }
        }
        None
    }
}

const fn inner(used: Use) -> Use {
    match used {
        Use::Result => Use::Result,
        _ => Use::Other,
    }
}

/// What is compared with nothing, or held below a bound: fewer members are not more than that.
fn denied_contents<'p>(
    scope: Scope<'_, 'p>,
    operator: Operator,
    left: &'p Expr,
    right: &'p Expr,
) -> Option<(Denial, &'p Expr)> {
    let constant = |side: &'p Expr| match scope.origins.behind(side) {
        Expr::Const(value) => Some(value),
        _ => None,
    };
    let is_nothing = |value: &Value| match value {
        Value::Number(_) => integer(value) == Some(0),
        Value::String(text) => matches!(&**text, "" | "[]" | "{}"),
        Value::Array(_) | Value::Set(_) | Value::Object(_) => value.members() == 0,
        Value::Null | Value::Bool(_) => false,
    };
    let bound = |upper: &'p Expr, by: &'p Expr| {
        let is_none = constant(by)
            .is_some_and(|by| is_nothing(by) || integer(by) == Some(1) && operator != Operator::Equal);
        // The least of fewer is not less.
        let is_least = |side: &'p Expr| {
            matches!(scope.origins.behind(side), Expr::Call(call)
                if matches!(call.callee, Callee::Builtin(builtin) if builtin.name == "min"))
        };
        match (is_least(upper), is_least(by)) {
            (_, true) => Some((Denial::Bound, by)),
            (true, false) => None,
            (false, false) => Some((if is_none { Denial::Emptiness } else { Denial::Bound }, upper)),
        }
    };
    match operator {
        Operator::Equal => [(left, right), (right, left)]
            .into_iter()
            .find(|(_, nothing)| constant(nothing).is_some_and(is_nothing))
            .map(|(tested, _)| (Denial::Emptiness, tested)),
        Operator::Less | Operator::LessOrEqual => bound(left, right),
        Operator::Greater | Operator::GreaterOrEqual => bound(right, left),
        _ => None,
    }
}

/// What a rule's value says, whatever the reason it gives.
#[derive(Clone, Copy)]
enum Verdict {
    Yes,
    No,
    Unknown,
}

impl Verdict {
    fn of(value: &Expr) -> Self {
        match value {
            Expr::Const(Value::Bool(true)) => Self::Yes,
            Expr::Const(Value::Bool(false)) => Self::No,
            Expr::Const(object @ Value::Object(members)) => {
                let says = ["allow", "allowed"].iter().find_map(|name| object.get_str(name));
                let is_plain =
                    members.keys().all(|key| matches!(key.as_str(), Some("allow" | "allowed" | "reason")));
                match says {
                    Some(Value::Bool(false)) => Self::No,
                    Some(Value::Bool(true)) if is_plain => Self::Yes,
                    _ => Self::Unknown,
                }
            }
            _ => Self::Unknown,
        }
    }
}
