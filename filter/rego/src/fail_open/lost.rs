//! What is lost: what does not hold because something failed.

use super::*;

impl<'p> Look<'p> {
    /// Whether any body of a document can fail instead of saying no.
    pub(super) fn lost_document(&mut self, id: DocumentId, facts: &Facts, kinds: Vec<Kind>) -> Why {
        let key = (id, kinds, facts.outside());
        if let Some(known) = self.lost.get(&key) {
            return known.clone();
        }
        let document = self.plan.documents.get(id)?;
        let branches =
            document.rules.iter().flat_map(|rule| rule.branches.iter().map(move |branch| (rule, branch)));
        let why = { branches }.find_map(|(rule, branch)| self.lost_branch(rule, branch, &key.2, &key.1));
        self.lost.insert(key, why.clone());
        why
    }

    pub(super) fn lost_branch(
        &mut self,
        rule: &'p Rule,
        branch: &'p Branch,
        facts: &Facts,
        kinds: &[Kind],
    ) -> Why {
        if self.left == 0 {
            return Some("the rules are too many to be looked through".to_owned());
        }
        self.left = self.left.saturating_sub(1);
        let origins = Origins::of(branch);
        let mut facts = facts.clone();
        facts.arguments(&rule.arguments, kinds);
        facts.learn_kinds(self.plan, &origins, &branch.steps);
        let scope = Scope { facts: &facts, origins: &origins, site: branch.site };
        let why = self.lost_steps(scope, &branch.steps);
        why.or_else(|| branch.tail.iter().chain([&branch.value]).find_map(|head| self.lost_expr(scope, head)))
    }

    pub(super) fn lost_steps(&mut self, scope: Scope<'_, 'p>, steps: &'p [Step]) -> Why {
        steps
            .iter()
            .find_map(|step| self.lost_step(Scope { site: own(step.site, scope.site), ..scope }, step))
    }

    fn lost_step(&mut self, scope: Scope<'_, 'p>, step: &'p Step) -> Why {
        match &step.kind {
            StepKind::Test(expr) | StepKind::Let(_, expr) => self.lost_expr(scope, expr),
            StepKind::Match(pattern, expr) => {
                self.lost_expr(scope, expr).or_else(|| self.lost_pattern(scope, pattern))
            }
            StepKind::Scan { over, key, value } => {
                let why = self.collection(scope, over).or_else(|| self.lost_pattern(scope, key));
                why.or_else(|| self.lost_pattern(scope, value))
            }
            StepKind::Walk { over, result } => {
                self.lost_expr(scope, over).or_else(|| self.lost_pattern(scope, result))
            }
            // It is lost where what it denies is made.
            StepKind::Not(inner) => {
                let (found, made) = (std::mem::take(&mut self.found), std::mem::take(&mut self.made));
                self.made_steps(scope, inner);
                self.made = made;
                std::mem::replace(&mut self.found, found).into_iter().next().map(|found| found.why)
            }
            StepKind::Every { domain, body, .. } => {
                let why = self.collection(scope, domain);
                why.or_else(|| {
                    let mut facts = scope.facts.clone();
                    facts.learn_kinds(self.plan, scope.origins, body);
                    self.lost_steps(Scope { facts: &facts, ..scope }, body)
                })
            }
            StepKind::With(replaced, inner) => {
                let values = replaced.iter().filter_map(|with| match with {
                    With::Input(_, value) | With::Data(_, value) | With::Value(_, value) => Some(value),
                    With::Function(..) => None,
                });
                let why = { values }.find_map(|value| self.lost_expr(scope, value));
                why.or_else(|| {
                    let known = self.replaced.len();
                    self.replace(replaced);
                    let why = self.lost_steps(scope, inner);
                    self.replaced.truncate(known);
                    why
                })
            }
        }
    }

    fn lost_pattern(&mut self, scope: Scope<'_, 'p>, pattern: &'p Pattern) -> Why {
        match pattern {
            Pattern::Any | Pattern::Bind(_) => None,
            Pattern::Equal(expr) => self.lost_expr(scope, expr),
            Pattern::Array(items) => items.iter().find_map(|item| self.lost_pattern(scope, item)),
            Pattern::Object(members) => members.iter().find_map(|(key, value)| {
                self.lost_expr(scope, key).or_else(|| self.lost_pattern(scope, value))
            }),
        }
    }

    /// Whether an expression can fail or be undefined. A register has a value, which may have lost members: where
    /// it got none, the body that gave it does not hold.
    pub(super) fn lost_expr(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Why {
        match expr {
            Expr::Const(_) => None,
            Expr::Local(_) => self.contents(scope, expr),
            Expr::Input(_) | Expr::Base(_) | Expr::Get { .. } => self.lost_reference(scope, expr),
            Expr::Document(id) => self.lost_document(*id, scope.facts, Vec::new()),
            // That nothing stands at the keys is what the rules say.
            Expr::Member(id, keys) => {
                let why = self.lost_all(scope, keys);
                why.or_else(|| self.lost_document(*id, scope.facts, Vec::new()))
            }
            Expr::Node(node, keys) => {
                let why = self.lost_all(scope, keys);
                let why = why.or_else(|| {
                    self.plan
                        .below(*node)
                        .into_iter()
                        .find_map(|id| self.lost_document(id, scope.facts, Vec::new()))
                });
                why.or_else(|| (!keys.is_empty()).then(|| self.at(scope, expr, "may be absent")))
            }
            Expr::Array(items) | Expr::Set(items) => self.lost_all(scope, items),
            Expr::Object(members) => members
                .iter()
                .find_map(|(key, value)| self.lost_expr(scope, key).or_else(|| self.lost_expr(scope, value))),
            Expr::Collect(_, collect) => {
                let mut facts = scope.facts.clone();
                facts.learn_kinds(self.plan, scope.origins, &collect.steps);
                let scope = Scope { facts: &facts, ..scope };
                let why = self.lost_steps(scope, &collect.steps);
                why.or_else(|| heads(collect).find_map(|head| self.lost_expr(scope, head)))
            }
            Expr::Operator(operator, sides) => self.lost_operator(scope, *operator, &sides.0, &sides.1),
            Expr::Call(call) => self.lost_call(scope, call),
            Expr::In(parts) => {
                let (key, value, collection) = &**parts;
                let why = key.iter().chain([value]).find_map(|part| self.lost_expr(scope, part));
                why.or_else(|| self.collection(scope, collection))
            }
        }
    }

    fn lost_all(&mut self, scope: Scope<'_, 'p>, exprs: &'p [Expr]) -> Why {
        exprs.iter().find_map(|expr| self.lost_expr(scope, expr))
    }

    fn lost_operator(
        &mut self,
        scope: Scope<'_, 'p>,
        operator: Operator,
        left: &'p Expr,
        right: &'p Expr,
    ) -> Why {
        use Operator::{And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, Or};
        let kinds = (self.kind(scope, left), self.kind(scope, right));
        let wanted = match operator {
            Equal | NotEqual => return self.lost_expr(scope, left).or_else(|| self.lost_expr(scope, right)),
            // Values of different kinds are ordered by their kinds: null is less than any number.
            Less | LessOrEqual | Greater | GreaterOrEqual => {
                let why = self.lost_expr(scope, left).or_else(|| self.lost_expr(scope, right));
                let other = "may be of another type than what it is compared with";
                return why.or_else(|| match kinds {
                    (Kind::Any, _) => Some(self.at(scope, left, other)),
                    (_, Kind::Any) => Some(self.at(scope, right, other)),
                    (left, right) if left != right => Some(self.statement(scope, "compares different types")),
                    _ => None,
                });
            }
            And | Or => Kind::Set,
            Operator::Arithmetic(Arithmetic::Minus) if kinds.0 == Kind::Set => Kind::Set,
            Operator::Arithmetic(_) => Kind::Number,
        };
        let why = self.typed(scope, left, wanted).or_else(|| self.typed(scope, right, wanted));
        let is_zero = |value: &Value| integer(value).is_none_or(|number| number == 0);
        let divides = matches!(operator, Operator::Arithmetic(Arithmetic::Divide | Arithmetic::Remainder))
            && !matches!(scope.origins.behind(right), Expr::Const(value) if !is_zero(value));
        why.or_else(|| divides.then(|| self.statement(scope, "may divide by zero")))
    }

    fn lost_call(&mut self, scope: Scope<'_, 'p>, call: &'p Call) -> Why {
        let name = match call.callee {
            Callee::Now => return None,
            Callee::Rule(id) => {
                let why = self.lost_all(scope, &call.arguments);
                let kinds = self.kinds(scope, &call.arguments);
                return why.or_else(|| self.lost_document(id, scope.facts, kinds));
            }
            Callee::Builtin(builtin) => builtin.name,
        };
        let fails = |look: &Self| look.statement_of(scope, &format!("`{name}` can fail"));
        match (name, call.arguments.as_slice()) {
            ("count", [of]) if self.kind(scope, of) == Kind::Text => self.lost_expr(scope, of),
            ("count", [of]) => self.collection(scope, of),
            ("concat", [between, texts]) => {
                let items = match scope.origins.behind(texts) {
                    Expr::Array(items) => items.iter().all(|item| self.kind(scope, item) == Kind::Text),
                    Expr::Const(Value::Array(items)) => items.iter().all(|item| item.as_str().is_some()),
                    _ => false,
                };
                let why = self.typed(scope, between, Kind::Text).or_else(|| self.lost_expr(scope, texts));
                why.or_else(|| (!items).then(|| fails(self)))
            }
            // A pattern that is written there was compiled when the policy was tried out.
            ("regex.match" | "glob.match", [pattern, rest @ .., text])
                if matches!(scope.origins.behind(pattern), Expr::Const(Value::String(_))) =>
            {
                self.lost_all(scope, rest).or_else(|| self.typed(scope, text, Kind::Text))
            }
            (_, arguments) => match known::wants(name) {
                Some(wanted) => {
                    let mut pairs = arguments.iter().zip(wanted);
                    pairs.find_map(|(argument, wanted)| self.typed(scope, argument, *wanted))
                }
                None => Some(fails(self)),
            },
        }
    }

    /// Something that is gone through: another value than a collection has no members.
    fn collection(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Why {
        let why = self.lost_expr(scope, expr);
        why.or_else(|| {
            if self.kind(scope, expr).is_collection() {
                None
            } else {
                Some(self.at(scope, expr, "may be no collection"))
            }
        })
    }

    fn typed(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr, wanted: Kind) -> Why {
        let why = self.lost_expr(scope, expr);
        why.or_else(|| {
            if wanted == Kind::Any || self.kind(scope, expr) == wanted {
                None
            } else {
                Some(self.at(scope, expr, "may be of another type"))
            }
        })
    }

    fn lost_reference(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Why {
        if let Expr::Get { keys, .. } = expr {
            if let Some(why) = keys.iter().find_map(|key| self.lost_expr(scope, key)) {
                return Some(why);
            }
        }
        let is_defined =
            name_of(self.plan, scope.origins, expr).is_some_and(|name| scope.facts.is_defined(&name));
        if is_defined || self.sure(scope, expr).is_some() {
            return None;
        }
        if let Expr::Get { base, .. } = expr {
            if let Some(why) = self.lost_expr(scope, base) {
                return Some(why);
            }
        }
        Some(self.at(scope, expr, "may be absent"))
    }
}
