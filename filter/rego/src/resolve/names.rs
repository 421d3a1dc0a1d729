//! The names that a body declares, and those that stand in it.

use super::written::is_written_again;
use super::*;

/// Names that a body declares, wherever in it.
pub(super) fn declarations(query: &ast::Query) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for statement in &query.stmts {
        match &statement.literal {
            ast::Literal::SomeVars { vars, .. } => names.extend(vars.iter().map(|var| var.text().to_owned())),
            ast::Literal::SomeIn { key, value, .. } => {
                key.iter().for_each(|key| declares(key, &mut names));
                declares(value, &mut names);
            }
            ast::Literal::Expr { expr, .. } => {
                if let Expr::AssignExpr { op: AssignOp::ColEq, lhs, .. } = &**expr {
                    declares(lhs, &mut names);
                }
            }
            _ => {}
        }
    }
    names
}

/// Names that a pattern declares.
pub(super) fn declares(pattern: &Expr, into: &mut BTreeSet<String>) {
    match pattern {
        Expr::Var { span, .. } => drop(into.insert(span.text().to_owned())),
        Expr::Array { items, .. } => items.iter().for_each(|item| declares(item, into)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| declares(value, into)),
        _ => {}
    }
}

/// Names in a body, but not in closures of it.
pub(super) fn mention_query(query: &ast::Query, into: &mut BTreeSet<String>) {
    for statement in &query.stmts {
        match &statement.literal {
            ast::Literal::SomeVars { .. } => {}
            ast::Literal::SomeIn { key, value, collection, .. } => {
                key.iter().for_each(|key| mention(key, into));
                mention(value, into);
                mention(collection, into);
            }
            ast::Literal::Expr { expr, .. } | ast::Literal::NotExpr { expr, .. } => mention(expr, into),
            ast::Literal::Every { domain, .. } => mention(domain, into),
        }
        statement.with_mods.iter().for_each(|modifier| mention(&modifier.r#as, into));
    }
}

pub(super) fn mention(expr: &Expr, into: &mut BTreeSet<String>) {
    match expr {
        Expr::Var { span, .. } => drop(into.insert(span.text().to_owned())),
        Expr::Array { items, .. } | Expr::Set { items, .. } | Expr::Call { params: items, .. } => {
            items.iter().for_each(|item| mention(item, into));
        }
        Expr::Object { fields, .. } => fields.iter().enumerate().for_each(|(at, (_, key, value))| {
            mention(key, into);
            if !is_written_again(fields, at) {
                mention(value, into);
            }
        }),
        Expr::UnaryExpr { expr, .. } => mention(expr, into),
        Expr::RefDot { refr, .. } => mention(refr, into),
        Expr::RefBrack { refr, index, .. } => {
            mention(refr, into);
            mention(index, into);
        }
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            mention(lhs, into);
            mention(rhs, into);
        }
        Expr::Membership { key, value, collection, .. } => {
            key.iter().for_each(|key| mention(key, into));
            mention(value, into);
            mention(collection, into);
        }
        Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {}
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. } => {}
    }
}
