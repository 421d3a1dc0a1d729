//! What the steps of a body make sure of, whatever their order: a body holds only if all do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everycall_rego_values::{Builtin, Value};

use super::known::{checked_by, Kind};
use crate::hir::{Operator, Site};
use crate::plan::{Branch, Callee, Expr, Pattern, Plan, Register, Step, StepKind};

/// What is known in a body.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Facts {
    /// References that lead to something, by their names.
    defined: BTreeSet<String>,
    kinds: BTreeMap<String, Kind>,
    not_null: BTreeSet<String>,
}

/// What the registers of a body hold: the expressions that they were given.
pub(super) struct Origins<'p>(BTreeMap<Register, &'p Expr>);

impl<'p> Origins<'p> {
    pub(super) fn of(branch: &'p Branch) -> Self {
        let mut found = BTreeMap::new();
        let mut given = |step: &'p Step| {
            if let StepKind::Let(register, expr) = &step.kind {
                found.insert(*register, expr);
            }
        };
        branch.visit(&mut given, &mut |_| {});
        Self(found)
    }

    /// What a register was given.
    pub(super) fn given(&self, register: Register) -> Option<&'p Expr> {
        self.0.get(&register).copied()
    }

    /// What an expression is, where it is a register that was given it.
    pub(super) fn behind(&self, expr: &'p Expr) -> &'p Expr {
        match expr {
            // Each is given its value before it is read: there is no circle.
            Expr::Local(register) => self.0.get(register).map_or(expr, |inner| self.behind(inner)),
            expr => expr,
        }
    }
}

/// The statements that are negations. What `not` is applied to are steps before it, of the same statement.
pub(super) fn negated(steps: &[Step]) -> Vec<Site> {
    let not = steps.iter().filter(|step| matches!(step.kind, StepKind::Not(_)));
    not.map(|step| step.site).filter(|site| site.end > 0).collect()
}

impl Facts {
    /// What holds in other rules as well: nothing about the registers of this body.
    pub(super) fn outside(&self) -> Self {
        let global = |name: &&String| name.starts_with("input") || name.starts_with("data");
        Self {
            defined: self.defined.iter().filter(global).cloned().collect(),
            kinds: self
                .kinds
                .iter()
                .filter(|(name, _)| global(name))
                .map(|(name, kind)| (name.clone(), *kind))
                .collect(),
            not_null: self.not_null.iter().filter(global).cloned().collect(),
        }
    }

    /// The arguments of a function, with what is known of their values.
    pub(super) fn arguments(&mut self, patterns: &[Pattern], kinds: &[Kind]) {
        for (pattern, kind) in patterns.iter().zip(kinds) {
            if let Pattern::Bind(register) = pattern {
                self.kinds.insert(format!("local:{register}"), *kind);
            }
        }
    }

    /// What steps that hold make sure of.
    pub(super) fn learn<'p>(&mut self, plan: &'p Plan, origins: &Origins<'p>, steps: &'p [Step]) {
        self.learn_kinds(plan, origins, steps);
        let negated = negated(steps);
        for step in steps {
            match &step.kind {
                StepKind::Let(..) if negated.contains(&step.site) => {}
                StepKind::Test(expr) | StepKind::Let(_, expr) | StepKind::Match(_, expr) => {
                    self.all_defined(plan, origins, expr);
                }
                StepKind::Scan { over, .. } | StepKind::Walk { over, .. } => {
                    self.all_defined(plan, origins, over);
                }
                StepKind::Not(_) | StepKind::Every { .. } | StepKind::With(..) => {}
            }
        }
    }

    /// The kinds that steps check; not that there is anything.
    pub(super) fn learn_kinds<'p>(&mut self, plan: &'p Plan, origins: &Origins<'p>, steps: &'p [Step]) {
        for step in steps {
            match &step.kind {
                StepKind::Test(Expr::Call(call)) => {
                    if let (Callee::Builtin(Builtin { name, .. }), [of]) = (call.callee, &*call.arguments) {
                        if let (Some(kind), Some(of)) = (checked_by(name), name_of(plan, origins, of)) {
                            self.kinds.insert(of, kind);
                        }
                    }
                }
                StepKind::Test(Expr::Operator(operator, sides)) => {
                    let (left, right) = &**sides;
                    for (side, other) in [(left, right), (right, left)] {
                        let Expr::Const(constant) = origins.behind(other) else { continue };
                        let Some(side) = name_of(plan, origins, side) else { continue };
                        match (operator, constant) {
                            (Operator::NotEqual, Value::Null) => drop(self.not_null.insert(side)),
                            (Operator::Equal, constant) if Kind::of(constant) != Kind::Any => {
                                self.kinds.insert(side, Kind::of(constant));
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Every reference in an expression that has a value leads to something, but for those in comprehensions.
    fn all_defined<'p>(&mut self, plan: &'p Plan, origins: &Origins<'p>, expr: &'p Expr) {
        expr.each(&mut |expr| {
            if let Some(name) = name_of(plan, origins, expr) {
                self.defined.insert(name);
            }
        });
    }

    pub(super) fn is_defined(&self, name: &str) -> bool {
        self.defined.contains(name)
    }

    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        self.kinds.get(name).copied()
    }

    /// Whether what stands at this path is not `null`: that was asked, or something below it is there.
    pub(super) fn is_not_null(&self, name: &str) -> bool {
        let below =
            |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.not_null.contains(name) || self.defined.iter().any(below)
    }
}

/// The same name for the same value, by whatever register it is read; `None` for what is no reference.
pub(super) fn name_of<'p>(plan: &'p Plan, origins: &Origins<'p>, expr: &'p Expr) -> Option<String> {
    Some(match origins.behind(expr) {
        Expr::Local(register) => format!("local:{register}"),
        Expr::Input(slot) => path_name("input", plan.inputs.get(*slot)?),
        Expr::Base(slot) => path_name("data", &plan.bases.get(*slot)?.0),
        Expr::Document(id) => format!("rule:{}", plan.documents.get(*id)?.path.join(".")),
        Expr::Get { base, keys, .. } => {
            let mut name = name_of(plan, origins, base)?;
            for key in keys {
                match origins.behind(key) {
                    Expr::Const(Value::String(key)) => add_name(&mut name, key),
                    Expr::Const(key) => name.push_str(&format!("[{}]", key.to_json())),
                    key => name.push_str(&format!("[{}]", name_of(plan, origins, key)?)),
                }
            }
            name
        }
        _ => return None,
    })
}

/// A path as policies write it: `input.request.headers["x-a"]`.
pub(super) fn path_name(root: &str, names: &[Arc<str>]) -> String {
    let mut path = root.to_owned();
    names.iter().for_each(|name| add_name(&mut path, name));
    path
}

fn add_name(path: &mut String, name: &str) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(is_word) && name.starts_with(|c: char| !c.is_ascii_digit()) {
        path.push_str(&format!(".{name}"))
    } else {
        path.push_str(&format!("[{}]", serde_json::Value::from(name)))
    }
}
