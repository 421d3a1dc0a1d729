//! Changes to a module that a test should notice: each rule switched off or turned round, each
//! condition left out or turned round. A change that does not compile is none.

use std::ops::Range;

use everycall_rego::syntax_tree::{Expr, Literal, LiteralStmt, Rule, RuleBody, RuleHead, Span};

use super::{number, RegoFile};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mutant {
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The rule's path.
    pub(crate) rule: String,
    /// What was done, such as `condition left out`.
    pub(crate) change: &'static str,
    /// What it was done to, on one line.
    pub(crate) text: String,
    /// The whole module, changed.
    pub(crate) source: String,
}

/// All changes to a module, in order of its lines.
pub(crate) fn mutants(file: &RegoFile) -> Vec<Mutant> {
    let mut found = Vec::new();
    for rule in &file.module.policy {
        let path = file.rule_path(rule);
        let mut add = |line: u32, change, text: &str, source: Option<String>| {
            found.extend(source.map(|source| Mutant {
                file: file.name.clone(),
                line: number(line),
                rule: path.clone(),
                change,
                text: one_line(text),
                source,
            }));
        };
        match rule.as_ref() {
            Rule::Default { span, .. } => {
                add(span.line, "rule left out", span.text(), replace(file, range(file, span), ""));
            }
            Rule::Spec { span, bodies, .. } if bodies.is_empty() => {
                let end = range(file, span).end;
                add(span.line, "rule left out", span.text(), replace(file, end..end, " if false"));
            }
            Rule::Spec { span, head, bodies } => {
                for (index, body) in bodies.iter().enumerate() {
                    let at = if index == 0 { span } else { &body.span };
                    add(at.line, "rule left out", at.text(), without(file, body));
                    if body.query.stmts.len() > 1 {
                        add(at.line, "rule negated", at.text(), negated(file, head, body));
                    }
                    for statement in &body.query.stmts {
                        let line = statement.span.line;
                        let text = file.text.get(range(file, &statement.span)).unwrap_or_default();
                        add(
                            line,
                            "condition left out",
                            text,
                            replace(file, range(file, &statement.span), "true"),
                        );
                        add(line, "condition negated", text, turned(file, statement));
                    }
                }
            }
        }
    }
    found
}

/// The body never holds.
fn without(file: &RegoFile, body: &RuleBody) -> Option<String> {
    let inside = conditions(file, body);
    match body.query.stmts.is_empty() {
        // `else := value` without a condition.
        true => {
            let end = range(file, &body.span).end;
            replace(file, end..end, " if false")
        }
        false if in_braces(file, body) => replace(file, inside.start..inside.start, "false; "),
        false => {
            let text = file.text.get(inside.clone())?;
            replace(file, inside, &format!("{{ false; {text} }}"))
        }
    }
}

/// The body holds where it did not and the other way round. Where the rule's value needs what its
/// conditions bind, that does not compile.
fn negated(file: &RegoFile, head: &RuleHead, body: &RuleBody) -> Option<String> {
    let inside = conditions(file, body);
    let conditions = file.text.get(inside.clone())?;
    let arguments = match head {
        RuleHead::Func { args, .. } => {
            let names: Vec<&str> = args.iter().map(|argument| argument.span().text()).collect();
            format!("({})", names.join(", "))
        }
        _ => String::new(),
    };
    let name = format!("everycall_negated{arguments}");
    let with_helper = format!("{}\n\n{name} if {{\n{conditions}\n}}\n", file.text);
    let (before, after) = (with_helper.get(..inside.start)?, with_helper.get(inside.end..)?);
    Some(format!("{before}not {name}{after}"))
}

/// The condition holds where it did not. What binds names is no condition.
fn turned(file: &RegoFile, statement: &LiteralStmt) -> Option<String> {
    let whole = range(file, &statement.span);
    match &statement.literal {
        Literal::Expr { expr, .. } if !matches!(expr.as_ref(), Expr::AssignExpr { .. }) => {
            replace(file, whole.clone(), &format!("not {}", file.text.get(whole)?))
        }
        Literal::NotExpr { .. } => {
            let text = file.text.get(whole.clone())?.strip_prefix("not")?.trim_start();
            replace(file, whole, text)
        }
        _ => None,
    }
}

/// From the first condition to the end of the last.
fn conditions(file: &RegoFile, body: &RuleBody) -> Range<usize> {
    let end = range(file, &body.span).end;
    let start = body.query.stmts.first().map_or(end, |first| range(file, &first.span).start);
    start..body.query.stmts.last().map_or(end, |last| range(file, &last.span).end)
}

fn in_braces(file: &RegoFile, body: &RuleBody) -> bool {
    let first = body.query.stmts.first();
    first.is_some_and(|first| range(file, &first.span).start > range(file, &body.query.span).start)
}

/// The bytes of a span. The parser's spans of texts leave out the quotes, and so do spans that start
/// or end with one.
fn range(file: &RegoFile, span: &Span) -> Range<usize> {
    let (start, end) = (number(span.start), number(span.end));
    let quote = |at: usize| matches!(file.text.as_bytes().get(at), Some(b'"' | b'`'));
    let before = start.checked_sub(1).filter(|at| quote(*at));
    before.unwrap_or(start)..if quote(end) { end.saturating_add(1) } else { end }
}

fn replace(file: &RegoFile, range: Range<usize>, new: &str) -> Option<String> {
    let (before, after) = (file.text.get(..range.start)?, file.text.get(range.end..)?);
    Some(format!("{before}{new}{after}"))
}

/// The first line, and how it goes on.
fn one_line(text: &str) -> String {
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> Vec<(usize, &'static str, String)> {
        let file = RegoFile::parse("a.rego", text).unwrap();
        let mutants = mutants(&file);
        for mutant in &mutants {
            RegoFile::parse("a.rego", &mutant.source).unwrap_or_else(|error| panic!("{mutant:?}: {error}"));
        }
        let head = text.lines().next().unwrap_or_default();
        mutants
            .into_iter()
            .map(|mutant| {
                let source = mutant.source.strip_prefix(head).unwrap().trim().to_owned();
                (mutant.line, mutant.change, source)
            })
            .collect()
    }

    #[test]
    fn each_rule_and_each_condition_is_changed() {
        let row = |line, change, source: &str| (line, change, source.to_owned());
        assert_eq!(
            changes("package p\na := 1 if x > 1"),
            [
                row(2, "rule left out", "a := 1 if { false; x > 1 }"),
                row(2, "condition left out", "a := 1 if true"),
                row(2, "condition negated", "a := 1 if not x > 1"),
            ]
        );
        assert_eq!(
            changes("package p\nf(x) if {\n\ty := x # why\n\tnot y\n} else := 2"),
            [
                row(2, "rule left out", "f(x) if {\n\tfalse; y := x # why\n\tnot y\n} else := 2"),
                row(2, "rule negated", "f(x) if {\n\tnot everycall_negated(x)\n} else := 2\n\neverycall_negated(x) if {\ny := x # why\n\tnot y\n}"),
                row(3, "condition left out", "f(x) if {\n\ttrue # why\n\tnot y\n} else := 2"),
                row(4, "condition left out", "f(x) if {\n\ty := x # why\n\ttrue\n} else := 2"),
                row(4, "condition negated", "f(x) if {\n\ty := x # why\n\ty\n} else := 2"),
                row(5, "rule left out", "f(x) if {\n\ty := x # why\n\tnot y\n} else := 2 if false"),
            ]
        );
        assert_eq!(
            changes("package p\na := \"x\"\nb if { `c` in input.c; d == \"e\" }"),
            [
                row(2, "rule left out", "a := \"x\" if false\nb if { `c` in input.c; d == \"e\" }"),
                row(3, "rule left out", "a := \"x\"\nb if { false; `c` in input.c; d == \"e\" }"),
                row(3, "rule negated", "a := \"x\"\nb if { not everycall_negated }\n\neverycall_negated if {\n`c` in input.c; d == \"e\"\n}"),
                row(3, "condition left out", "a := \"x\"\nb if { true; d == \"e\" }"),
                row(3, "condition negated", "a := \"x\"\nb if { not `c` in input.c; d == \"e\" }"),
                row(3, "condition left out", "a := \"x\"\nb if { `c` in input.c; true }"),
                row(3, "condition negated", "a := \"x\"\nb if { `c` in input.c; not d == \"e\" }"),
            ]
        );
        assert_eq!(
            changes("package p\ndefault a := false\nb := input.x\nc contains x if some x in [1]"),
            [
                row(2, "rule left out", "b := input.x\nc contains x if some x in [1]"),
                row(
                    3,
                    "rule left out",
                    "default a := false\nb := input.x if false\nc contains x if some x in [1]"
                ),
                row(
                    4,
                    "rule left out",
                    "default a := false\nb := input.x\nc contains x if { false; some x in [1] }"
                ),
                row(4, "condition left out", "default a := false\nb := input.x\nc contains x if true"),
            ]
        );
    }
}
