//! What is known of terms and keys from how they are written.

use super::*;

/// Whether two keys are the same constant or variable.
pub(super) fn is_written_alike(one: &Term, other: &Term) -> bool {
    match (one, other) {
        (Term::Const(one), Term::Const(other)) => one == other,
        (Term::Var(one), Term::Var(other)) => one == other,
        _ => false,
    }
}

/// How OPA orders what is written in a set, which is the order in which it is evaluated: by kind, and within each
/// by its parts. Of variables nothing is known.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Written<'t> {
    Scalar(&'t Value),
    Var,
    Name(&'t str),
    Reference(Vec<Written<'t>>),
    Array(Vec<Written<'t>>),
    Object(Vec<[Written<'t>; 2]>),
    Set(Vec<Written<'t>>),
    Call(Vec<Written<'t>>),
    Other,
}

impl<'t> Written<'t> {
    pub(super) fn of(term: &'t Term) -> Self {
        let all = |terms: &'t [Term]| terms.iter().map(Self::of);
        match term {
            Term::Const(value) if value.is_scalar() => Self::Scalar(value),
            Term::Var(_) => Self::Var,
            Term::Ref(head, keys) => {
                let head = match head {
                    Head::Data => Self::Name("data"),
                    Head::Input => Self::Name("input"),
                    Head::Term(_) => Self::Var,
                };
                Self::Reference(std::iter::once(head).chain(all(keys)).collect())
            }
            Term::Array(items) => Self::Array(all(items).collect()),
            Term::Object(members) => {
                Self::Object(members.iter().map(|(key, value)| [Self::of(key), Self::of(value)]).collect())
            }
            Term::Set(items) => Self::Set(all(items).collect()),
            Term::Call(function, arguments, _) => {
                Self::Call(Self::name(function).into_iter().chain(all(arguments)).collect())
            }
            Term::Const(_) | Term::Collect(..) | Term::In(..) => Self::Other,
        }
    }

    /// Parts of a function's name.
    fn name(function: &'t Function) -> Vec<Self> {
        match function {
            Function::Builtin(builtin) => builtin.name.split('.').map(Self::Name).collect(),
            Function::Rule(path) => {
                std::iter::once("data").chain(path.iter().map(|name| &**name)).map(Self::Name).collect()
            }
            Function::Operator(_) | Function::Walk | Function::Now => Vec::new(),
        }
    }
}

/// Whether a scalar that is a key is one of a later field, too: of two values the last one is there.
pub(super) fn is_written_again<S>(fields: &[(S, ast::Ref<Expr>, ast::Ref<Expr>)], at: usize) -> bool {
    let Some(text) = fields.get(at).and_then(|(_, key, _)| scalar_text(key)) else { return false };
    fields.iter().skip(at.saturating_add(1)).any(|(_, key, _)| scalar_text(key) == Some(text))
}

/// What a scalar is written as.
fn scalar_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::String { span, .. }
        | Expr::RawString { span, .. }
        | Expr::Number { span, .. }
        | Expr::Bool { span, .. }
        | Expr::Null { span, .. } => Some(span.text()),
        _ => None,
    }
}
