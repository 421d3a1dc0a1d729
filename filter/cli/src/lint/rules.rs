//! Rules that nothing uses, that never hold, or that allow what they should not.

use everycall_core::obligations::OBLIGATIONS;
use everycall_rego::syntax_tree::{BoolOp, Expr, Literal, RuleHead};
use everycall_rego::Plan;

use super::program::{Entry, Program, ASK};
use super::{
    note, Finding, ALLOW_NOT_BOOLEAN, ALLOW_WITHOUT_IDENTITY, CONSTANT_FALSE, DEFAULT_ALLOW,
    UNKNOWN_OBLIGATION, UNREACHABLE_RULE,
};
use crate::rego::{number, Body};

pub(super) fn lint(program: &Program<'_>, found: &mut Vec<Finding>) {
    unreachable(program, found);
    constant(program, found);
    for entry in program.entries.iter().filter(|entry| entry.ours) {
        results(program, entry, found);
    }
    for entry in &program.entries {
        let rule = format!("{}.{}", entry.package, entry.rule);
        if let Some((file, line, value)) = program.defaults.get(&rule) {
            if allows(value) == Some(true)
                || matches!(value, Expr::Bool { span, .. } if span.text() == "true")
            {
                note(
                    found,
                    file,
                    *line,
                    &DEFAULT_ALLOW,
                    "allows whatever no rule says no to: a rule that fails says nothing",
                );
            }
        }
    }
}

/// The packages of a library.
const LIBRARY: &str = "everycall.lib.";

/// Rules that no decision and no question depends on. A library offers more than one bundle uses.
fn unreachable(program: &Program<'_>, found: &mut Vec<Finding>) {
    let plans: Vec<&Plan> = program.entries.iter().filter_map(|entry| entry.plan.as_ref()).collect();
    if plans.len() < program.entries.len() {
        // What does not compile depends on nothing that can be said.
        return;
    }
    let is_used = |body: &Body<'_>| plans.iter().any(|plan| program.site(plan, body).is_some());
    for (path, bodies) in &program.rules {
        if path.starts_with(LIBRARY) {
            continue;
        }
        for (file, body) in bodies.iter().filter(|(_, body)| !is_used(body)) {
            note(found, file, body.line, &UNREACHABLE_RULE, format!("no decision depends on `{path}`"));
        }
    }
}

/// Conditions that never hold.
fn constant(program: &Program<'_>, found: &mut Vec<Finding>) {
    for (file, body) in program.rules.values().flatten() {
        let Some(written) = body.written else { continue };
        for statement in &written.query.stmts {
            let Literal::Expr { expr, .. } = &statement.literal else { continue };
            if is_false(expr) {
                let line = number(statement.span.line);
                let text = expr.span().text();
                note(
                    found,
                    file,
                    line,
                    &CONSTANT_FALSE,
                    format!("`{text}` never holds, and so does the rule"),
                );
            }
        }
    }
}

fn is_false(expr: &Expr) -> bool {
    match expr {
        Expr::Bool { span, .. } => span.text() == "false",
        Expr::BoolExpr { op, lhs, rhs, .. } => {
            let constant = |expr: &Expr| match expr {
                Expr::String { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {
                    Some(expr.span().text().to_owned())
                }
                _ => None,
            };
            match (constant(lhs), constant(rhs)) {
                (Some(left), Some(right)) => match op {
                    BoolOp::Eq => left != right,
                    BoolOp::Ne => left == right,
                    _ => false,
                },
                _ => false,
            }
        }
        _ => false,
    }
}

/// What the rule `decision` of a rule set answers.
fn results(program: &Program<'_>, entry: &Entry, found: &mut Vec<Finding>) {
    let rule = format!("{}.{}", entry.package, entry.rule);
    for (file, body) in program.rules.get(&rule).into_iter().flatten() {
        let Some(value) = value(body) else { continue };
        for (key, member) in members(value) {
            let line = number(member.span().line);
            let constant = !matches!(
                member,
                Expr::Var { .. }
                    | Expr::RefDot { .. }
                    | Expr::RefBrack { .. }
                    | Expr::Call { .. }
                    | Expr::BoolExpr { .. }
                    | Expr::Membership { .. }
            );
            if key == "allow" && constant && !matches!(member, Expr::Bool { .. }) {
                let text = member.span().text();
                note(
                    found,
                    file,
                    line,
                    &ALLOW_NOT_BOOLEAN,
                    format!("`allow` is {text}, and only a boolean is an answer"),
                );
            }
        }
        let obligations = members(value).into_iter().filter(|(key, _)| key == "obligations");
        for (name, member) in obligations.flat_map(|(_, all)| members(all)) {
            if !OBLIGATIONS.contains(&name.as_str()) {
                let line = number(member.span().line);
                let known = OBLIGATIONS.join("`, `");
                note(
                    found,
                    file,
                    line,
                    &UNKNOWN_OBLIGATION,
                    format!("`{name}` is no obligation, and the decision a refusal; expected `{known}`"),
                );
            }
        }
        let reads = entry.plan.as_ref().is_none_or(|plan| reads_identity(program, plan, body));
        if allows(value) == Some(true) && !entry.anonymous && !reads {
            note(
                found,
                file,
                body.line,
                &ALLOW_WITHOUT_IDENTITY,
                "allows without a look at who calls: nothing it depends on reads `input.identity`",
            );
        }
    }
}

/// The value of one body.
pub(super) fn value<'m>(body: &'m Body<'m>) -> Option<&'m Expr> {
    let own = body.written.and_then(|written| written.assign.as_ref()).map(|assign| assign.value.as_ref());
    own.or(match body.head {
        RuleHead::Compr { assign, .. } => assign.as_ref().map(|assign| assign.value.as_ref()),
        _ => None,
    })
}

fn members(value: &Expr) -> Vec<(String, &Expr)> {
    let Expr::Object { fields, .. } = value else { return Vec::new() };
    let text = |key: &Expr| match key {
        Expr::String { value, .. } => value.as_string().ok().map(|text| text.to_string()),
        _ => None,
    };
    fields.iter().filter_map(|(_, key, value)| Some((text(key)?, value.as_ref()))).collect()
}

/// What it says of `allow`, if that is written there.
fn allows(value: &Expr) -> Option<bool> {
    members(value).into_iter().find(|(key, _)| key == "allow").and_then(|(_, member)| match member {
        Expr::Bool { span, .. } => Some(span.text() == "true"),
        _ => None,
    })
}

/// Also by an answer: what was asked is what `ask` depends on.
fn reads_identity(program: &Program<'_>, plan: &Plan, body: &Body<'_>) -> bool {
    let Some(reads) = program.site(plan, body).map(|site| plan.body_reads(site)) else { return true };
    reads.has_member("identity") || reads.has_member("pdp") && plan.entry_reads(ASK).has_member("identity")
}
