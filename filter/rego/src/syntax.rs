//! Parts of the syntax tree that regorus' parser makes.

use std::sync::Arc;

use regorus::unstable as ast;
use regorus::unstable::{Expr, Rule, RuleHead};

use crate::hir::{Path, Site};
use crate::library::Origin;

/// The components of a path that holds nothing but names.
pub(crate) fn constant_path(expr: &Expr) -> Path {
    let (mut names, _) = components(expr);
    names.shrink_to_fit();
    names
}

/// The components of a reference as far as they are texts, and whether there are more.
pub(crate) fn components(expr: &Expr) -> (Path, bool) {
    let mut chain = Vec::new();
    let mut open = expr;
    loop {
        match open {
            Expr::RefDot { refr, field, .. } => {
                chain.push(Some(Arc::from(field.0.text())));
                open = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                chain.push(string(index));
                open = refr;
            }
            Expr::Var { span, .. } => {
                chain.push(Some(Arc::from(span.text())));
                break;
            }
            _ => {
                chain.push(None);
                break;
            }
        }
    }
    let all = chain.len();
    let names: Path = chain.into_iter().rev().map_while(|name| name).collect();
    let more = names.len() < all;
    (names, more)
}

/// The text of a string literal.
pub(crate) fn string(expr: &Expr) -> Option<Arc<str>> {
    match expr {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(|text| Arc::from(&**text))
        }
        _ => None,
    }
}

/// The constant components of a rule's head, and whether there are others behind them.
pub(crate) fn head_path(rule: &Rule) -> (Path, bool) {
    match rule {
        Rule::Default { refr, .. } => components(refr),
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Func { refr, .. } | RuleHead::Set { refr, .. } => {
                components(refr)
            }
        },
    }
}

/// A place in a module, of which a part that begins at this origin was parsed.
pub(crate) fn site(origin: Origin, span: &ast::Span) -> Site {
    Site {
        module: u32::try_from(origin.module).unwrap_or(u32::MAX),
        start: origin.start.saturating_add(span.start),
        end: origin.start.saturating_add(span.end),
        line: origin.line.saturating_add(span.line),
    }
}
