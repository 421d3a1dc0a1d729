//! What is known of the value of an expression, and what always stands where a reference leads.

use super::*;

impl<'p> Look<'p> {
    pub(super) fn kinds(&self, scope: Scope<'_, 'p>, exprs: &'p [Expr]) -> Vec<Kind> {
        exprs.iter().map(|expr| self.kind(scope, expr)).collect()
    }

    /// What is known of the value of an expression.
    pub(super) fn kind(&self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Kind {
        let named = name_of(self.plan, scope.origins, expr).and_then(|name| scope.facts.kind(&name));
        if let Some(kind) = named.filter(|kind| *kind != Kind::Any) {
            return kind;
        }
        match scope.origins.behind(expr) {
            Expr::Const(value) => Kind::of(value),
            Expr::Array(_) => Kind::Array,
            Expr::Set(_) => Kind::Set,
            Expr::Object(_) => Kind::Object,
            Expr::In(_) => Kind::Boolean,
            Expr::Collect(collected, _) => match collected {
                crate::hir::Collected::Array => Kind::Array,
                crate::hir::Collected::Set => Kind::Set,
                crate::hir::Collected::Object => Kind::Object,
            },
            Expr::Operator(operator, sides) => match operator {
                Operator::And | Operator::Or => Kind::Set,
                Operator::Arithmetic(Arithmetic::Minus) if self.kind(scope, &sides.0) == Kind::Set => {
                    Kind::Set
                }
                Operator::Arithmetic(_) => Kind::Number,
                _ => Kind::Boolean,
            },
            Expr::Call(call) => match call.callee {
                Callee::Builtin(builtin) => known::gives(builtin.name),
                Callee::Now => Kind::Number,
                Callee::Rule(_) => Kind::Any,
            },
            Expr::Document(id) => {
                self.plan.documents.get(*id).map_or(Kind::Any, |document| self.made_kind(document))
            }
            Expr::Node(_, keys) if keys.is_empty() => Kind::Object,
            expr => self.sure(scope, expr).unwrap_or(Kind::Any),
        }
    }

    fn made_kind(&self, document: &'p Document) -> Kind {
        match document.kind {
            Made::Set => return Kind::Set,
            Made::Object => return Kind::Object,
            Made::Function(_) => return Kind::Any,
            Made::Complete => {}
        }
        let facts = Facts::default();
        let branches = document.rules.iter().chain(&document.default).flat_map(|rule| &rule.branches);
        let kinds: BTreeSet<Kind> = branches
            .map(|branch| {
                let origins = Origins::of(branch);
                self.kind(Scope { facts: &facts, origins: &origins, site: branch.site }, &branch.value)
            })
            .collect();
        match kinds.len() {
            1 => kinds.first().copied().unwrap_or(Kind::Any),
            _ => Kind::Any,
        }
    }

    /// What always stands where a reference leads.
    pub(super) fn sure(&self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Option<Kind> {
        if let Some(path) = self.input_path(scope, expr) {
            let is_replaced =
                self.replaced.iter().any(|other| path.starts_with(other) || other.starts_with(&path));
            if is_replaced {
                return None;
            }
            if path.is_empty() {
                return Some(Kind::Object);
            }
            let sure = self.input.sure(&path)?;
            let may_be_null = path.get(..sure.nullable).filter(|names| !names.is_empty());
            let is_there =
                may_be_null.is_none_or(|names| scope.facts.is_not_null(&path_name("input", names)));
            return is_there.then_some(sure.kind);
        }
        match scope.origins.behind(expr) {
            Expr::Base(slot) => self.plan.bases.get(*slot)?.1.as_ref().map(Kind::of),
            Expr::Get { base, keys, .. } => {
                let Expr::Base(slot) = scope.origins.behind(base) else { return None };
                let value = self.plan.bases.get(*slot)?.1.as_ref()?;
                let mut keys = keys.iter();
                let found = keys.try_fold(value, |value, key| match scope.origins.behind(key) {
                    Expr::Const(key) => value.get(key),
                    _ => None,
                });
                found.map(Kind::of)
            }
            _ => None,
        }
    }

    /// The path below `input` that an expression reads, if that is known.
    fn input_path(&self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Option<Path> {
        match scope.origins.behind(expr) {
            Expr::Input(slot) => self.plan.inputs.get(*slot).cloned(),
            Expr::Get { base, keys, .. } => {
                let mut path = self.input_path(scope, base)?;
                for key in keys {
                    path.push(match scope.origins.behind(key) {
                        Expr::Const(Value::String(name)) => Arc::clone(name),
                        _ => return None,
                    });
                }
                Some(path)
            }
            _ => None,
        }
    }
}
