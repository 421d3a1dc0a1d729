//! All steps and expressions of a branch, one by one.

use super::*;

impl Branch {
    /// Calls `on_step` for each step, and `on_expr` for each expression, also inside of others: of negations,
    /// comprehensions and heads.
    pub(crate) fn visit<'p>(&'p self, on_step: &mut dyn FnMut(&'p Step), on_expr: &mut dyn FnMut(&'p Expr)) {
        visit_steps(&self.steps, on_step, on_expr);
        self.tail.iter().chain([&self.value]).for_each(|expr| visit(expr, on_step, on_expr));
    }
}

fn visit_steps<'p>(steps: &'p [Step], on_step: &mut dyn FnMut(&'p Step), on_expr: &mut dyn FnMut(&'p Expr)) {
    for step in steps {
        on_step(step);
        match &step.kind {
            StepKind::Test(expr) | StepKind::Let(_, expr) => visit(expr, on_step, on_expr),
            StepKind::Match(pattern, expr) | StepKind::Walk { over: expr, result: pattern } => {
                visit(expr, on_step, on_expr);
                pattern.visit(on_step, on_expr);
            }
            StepKind::Scan { over, key, value } => {
                visit(over, on_step, on_expr);
                key.visit(on_step, on_expr);
                value.visit(on_step, on_expr);
            }
            StepKind::Not(inner) => visit_steps(inner, on_step, on_expr),
            StepKind::Every { domain, body, .. } => {
                visit(domain, on_step, on_expr);
                visit_steps(body, on_step, on_expr);
            }
            StepKind::With(replaced, inner) => {
                for with in replaced {
                    if let With::Input(_, value) | With::Data(_, value) | With::Value(_, value) = with {
                        visit(value, on_step, on_expr);
                    }
                }
                visit_steps(inner, on_step, on_expr);
            }
        }
    }
}

fn visit<'p>(expr: &'p Expr, on_step: &mut dyn FnMut(&'p Step), on_expr: &mut dyn FnMut(&'p Expr)) {
    on_expr(expr);
    if let Expr::Collect(_, collect) = expr {
        visit_steps(&collect.steps, on_step, on_expr);
        collect.key.iter().chain([&collect.value]).for_each(|head| visit(head, on_step, on_expr));
    }
    expr.parts(&mut |part| visit(part, on_step, on_expr));
}

impl Pattern {
    fn visit<'p>(&'p self, on_step: &mut dyn FnMut(&'p Step), on_expr: &mut dyn FnMut(&'p Expr)) {
        match self {
            Self::Any | Self::Bind(_) => {}
            Self::Equal(expr) => visit(expr, on_step, on_expr),
            Self::Array(items) => items.iter().for_each(|item| item.visit(on_step, on_expr)),
            Self::Object(members) => members.iter().for_each(|(key, value)| {
                visit(key, on_step, on_expr);
                value.visit(on_step, on_expr);
            }),
        }
    }
}

impl Expr {
    /// Calls `each` for the expressions that this one is made of; of a comprehension for none.
    pub(crate) fn parts<'p>(&'p self, each: &mut dyn FnMut(&'p Expr)) {
        match self {
            Self::Const(_)
            | Self::Local(_)
            | Self::Input(_)
            | Self::Base(_)
            | Self::Document(_)
            | Self::Collect(..) => {}
            Self::Member(_, items) | Self::Node(_, items) | Self::Array(items) | Self::Set(items) => {
                items.iter().for_each(each);
            }
            Self::Get { base, keys, .. } => {
                each(base);
                keys.iter().for_each(each);
            }
            Self::Object(members) => members.iter().for_each(|(key, value)| {
                each(key);
                each(value);
            }),
            Self::Operator(_, sides) => {
                each(&sides.0);
                each(&sides.1);
            }
            Self::Call(call) => call.arguments.iter().chain(&call.given).for_each(each),
            Self::In(parts) => {
                let (key, value, collection) = &**parts;
                key.iter().chain([value, collection]).for_each(each);
            }
        }
    }

    /// Calls `each` for this expression and all inside of it, but for what is in comprehensions.
    pub(crate) fn each<'p>(&'p self, each: &mut dyn FnMut(&'p Expr)) {
        each(self);
        self.parts(&mut |part| part.each(each));
    }
}
