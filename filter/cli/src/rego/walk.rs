//! Going through what is written.

use everycall_rego::syntax_tree::{Expr, Literal, LiteralStmt, Query, RuleBody, RuleHead};

/// Visits an expression and everything in it, outermost first; `visit` says whether to go deeper.
pub(crate) fn expression<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e Expr) -> bool) {
    if !visit(expr) {
        return;
    }
    match expr {
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().for_each(|item| expression(item, visit));
        }
        Expr::Object { fields, .. } => {
            for (_, key, value) in fields {
                expression(key, visit);
                expression(value, visit);
            }
        }
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            self::query(query, visit);
            expression(term, visit);
        }
        Expr::ObjectCompr { key, value, query, .. } => {
            self::query(query, visit);
            expression(key, visit);
            expression(value, visit);
        }
        Expr::Call { fcn, params, .. } => {
            expression(fcn, visit);
            params.iter().for_each(|param| expression(param, visit));
        }
        Expr::UnaryExpr { expr, .. } => expression(expr, visit),
        Expr::RefDot { refr, .. } => expression(refr, visit),
        Expr::RefBrack { refr, index, .. } => {
            expression(refr, visit);
            expression(index, visit);
        }
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            expression(lhs, visit);
            expression(rhs, visit);
        }
        Expr::Membership { key, value, collection, .. } => {
            key.iter().for_each(|key| expression(key, visit));
            expression(value, visit);
            expression(collection, visit);
        }
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => {}
    }
}

/// Visits the expressions of a query.
pub(crate) fn query<'e>(query: &'e Query, visit: &mut dyn FnMut(&'e Expr) -> bool) {
    query.stmts.iter().for_each(|stmt| statement(stmt, visit));
}

/// Visits the expressions of one statement.
pub(crate) fn statement<'e>(statement: &'e LiteralStmt, visit: &mut dyn FnMut(&'e Expr) -> bool) {
    match &statement.literal {
        Literal::SomeVars { .. } => {}
        Literal::SomeIn { key, value, collection, .. } => {
            key.iter().for_each(|key| expression(key, visit));
            expression(value, visit);
            expression(collection, visit);
        }
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => expression(expr, visit),
        Literal::Every { domain, query, .. } => {
            expression(domain, visit);
            self::query(query, visit);
        }
    }
}

/// Visits the expressions of a rule's head: its key and value, not its name or arguments.
pub(crate) fn head<'e>(head: &'e RuleHead, visit: &mut dyn FnMut(&'e Expr) -> bool) {
    match head {
        RuleHead::Compr { refr, assign, .. } => {
            if let Expr::RefBrack { index, .. } = refr.as_ref() {
                expression(index, visit);
            }
            assign.iter().for_each(|assign| expression(&assign.value, visit));
        }
        RuleHead::Set { key, .. } => key.iter().for_each(|key| expression(key, visit)),
        RuleHead::Func { assign, .. } => assign.iter().for_each(|assign| expression(&assign.value, visit)),
    }
}

/// Visits the expressions of one body.
pub(crate) fn body<'e>(body: &'e RuleBody, visit: &mut dyn FnMut(&'e Expr) -> bool) {
    body.assign.iter().for_each(|assign| expression(&assign.value, visit));
    query(&body.query, visit);
}
