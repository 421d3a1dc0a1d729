//! `negation_can_fail`: what stands under `not`, in an emptiness test, in the domain of `every` or
//! before an `else` must not be able to fail or to be undefined. An error skips its rule, so a rule
//! that should have said no is silent then, and its negation holds.

mod facts;

use std::collections::BTreeSet;

use everycall_rego::syntax_tree::{ArithOp, BoolOp, Expr, Literal, LiteralStmt, RuleHead};
use serde_json::Value;

use super::known::{self, Type};
use super::program::{Program, Target};
use super::{note, Finding, NEGATION};
use crate::rego::{number, walk, RegoFile};
use facts::Facts;

pub(super) fn lint(program: &Program<'_>, found: &mut Vec<Finding>) {
    for (file, body) in program.rules.values().flatten() {
        let args: &[_] = match body.head {
            RuleHead::Func { args, .. } => args,
            _ => &[],
        };
        let mut facts = Facts::of_arguments(args.iter().map(|arg| arg.as_ref()));
        let Some(written) = body.written else {
            let mut report = Report { program, file, found, rule: &body.rule };
            walk::head(body.head, &mut |expr| report.inside(&facts, expr));
            continue;
        };
        facts.learn(program, file, &written.query);
        let mut report = Report { program, file, found, rule: &body.rule };
        report.query(&facts, &written.query);
        written.assign.iter().for_each(|assign| report.inside_all(&facts, &assign.value));
        walk::head(body.head, &mut |expr| report.inside(&facts, expr));
        // What follows an `else` holds because this did not.
        let followed = followed_by_else(program, &body.rule, &body.place);
        if followed && decides(&body.rule) {
            let why = written.query.stmts.iter().find_map(|stmt| {
                Check { program, stack: vec![body.rule.clone()] }.statement(file, &facts, stmt)
            });
            if let Some(why) = why {
                report.note(number(written.span.line), "what stands before `else`", &why);
            }
        }
    }
}

fn decides(rule: &str) -> bool {
    matches!(rule.rsplit('.').next(), Some("decision" | "allow"))
}

/// Whether the next body of the rule in the same file is its `else`.
fn followed_by_else(program: &Program<'_>, rule: &str, place: &(String, usize)) -> bool {
    let bodies = program.rules.get(rule).into_iter().flatten().map(|(_, body)| body);
    let mut after = bodies.skip_while(|body| body.place != *place).skip(1);
    after.next().is_some_and(|next| next.written.is_some_and(|body| body.is_else))
}

/// Looks for negations in one body.
struct Report<'a, 'm> {
    program: &'a Program<'m>,
    file: &'a RegoFile,
    found: &'a mut Vec<Finding>,
    rule: &'a str,
}

impl Report<'_, '_> {
    fn query(&mut self, facts: &Facts, query: &everycall_rego::syntax_tree::Query) {
        for statement in &query.stmts {
            self.statement(facts, statement);
        }
    }

    fn statement(&mut self, facts: &Facts, statement: &LiteralStmt) {
        let line = number(statement.span.line);
        let mut check = Check { program: self.program, stack: vec![self.rule.to_owned()] };
        match &statement.literal {
            Literal::NotExpr { expr, .. } => {
                if let Some(why) = check.expression(self.file, facts, expr) {
                    self.note(line, "`not`", &why);
                }
                self.inside_all(facts, expr);
            }
            Literal::Every { domain, query, .. } => {
                if let Some(why) = check.contents(self.file, facts, domain) {
                    self.note(line, "`every`", &why);
                }
                let mut inner = facts.clone();
                inner.learn(self.program, self.file, query);
                self.query(&inner, query);
            }
            Literal::Expr { expr, .. } => self.inside_all(facts, expr),
            Literal::SomeIn { collection, .. } => self.inside_all(facts, collection),
            Literal::SomeVars { .. } => {}
        }
    }

    fn inside_all(&mut self, facts: &Facts, expr: &Expr) {
        walk::expression(expr, &mut |expr| self.inside(facts, expr));
    }

    /// Emptiness tests, and negations in comprehensions.
    fn inside(&mut self, facts: &Facts, expr: &Expr) -> bool {
        let line = number(expr.span().line);
        let mut check = Check { program: self.program, stack: vec![self.rule.to_owned()] };
        match expr {
            Expr::BoolExpr { op, lhs, rhs, .. } => {
                let tested = emptiness(op, lhs, rhs).or_else(|| emptiness(&turned(op), rhs, lhs));
                if let Some(why) = tested.and_then(|tested| check.contents(self.file, facts, tested)) {
                    self.note(line, "an emptiness test", &why);
                } else {
                    let tested = denied(op, lhs, rhs).or_else(|| denied(op, rhs, lhs));
                    if let Some(why) = tested.and_then(|tested| check.with_default(self.file, facts, tested))
                    {
                        self.note(line, "a comparison with a default", &why);
                    }
                }
                true
            }
            Expr::ArrayCompr { query, .. }
            | Expr::SetCompr { query, .. }
            | Expr::ObjectCompr { query, .. } => {
                let mut inner = facts.clone();
                inner.learn(self.program, self.file, query);
                self.query(&inner, query);
                true
            }
            _ => true,
        }
    }

    fn note(&mut self, line: usize, what: &str, why: &str) {
        let message = format!(
            "{what} holds where what it denies fails: {why}; check that it is there, and its type, beside the negation"
        );
        note(self.found, self.file, line, &NEGATION, message);
    }
}

/// What is compared with nothing: `count(x) == 0`, `x == set()`, `x == []`.
fn emptiness<'e>(op: &BoolOp, lhs: &'e Expr, rhs: &Expr) -> Option<&'e Expr> {
    let zero = matches!(rhs, Expr::Number { span, .. } if span.text() == "0");
    let one = matches!(rhs, Expr::Number { span, .. } if span.text() == "1");
    let nothing = match rhs {
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.is_empty(),
        Expr::Object { fields, .. } => fields.is_empty(),
        // `set()`
        Expr::Call { fcn, params, .. } => fcn.span().text() == "set" && params.is_empty(),
        _ => false,
    };
    let tests = match op {
        BoolOp::Eq => zero || nothing,
        BoolOp::Le => zero || nothing,
        BoolOp::Lt => one,
        _ => false,
    };
    tests.then_some(lhs)
}

/// `x == false` and `x != true`.
fn denied<'e>(op: &BoolOp, lhs: &'e Expr, rhs: &Expr) -> Option<&'e Expr> {
    let is = |text: &str| matches!(rhs, Expr::Bool { span, .. } if span.text() == text);
    ((*op == BoolOp::Eq && is("false")) || (*op == BoolOp::Ne && is("true"))).then_some(lhs)
}

fn turned(op: &BoolOp) -> BoolOp {
    match op {
        BoolOp::Lt => BoolOp::Gt,
        BoolOp::Le => BoolOp::Ge,
        BoolOp::Gt => BoolOp::Lt,
        BoolOp::Ge => BoolOp::Le,
        other => other.clone(),
    }
}

/// Whether something can fail or be undefined, and how. Each answer is the reason, for people.
struct Check<'a, 'm> {
    program: &'a Program<'m>,
    /// The rules that are looked into, for those that refer to each other.
    stack: Vec<String>,
}

impl Check<'_, '_> {
    /// Whether members can be missing from a collection: one that rules or a comprehension build.
    fn contents(&mut self, file: &RegoFile, facts: &Facts, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Call { fcn, params, .. } => {
                let name = fcn.span().text();
                let builtin = known::wants(name, params.len()).is_some() || known::gives(name) != Type::Any;
                match builtin || name == "union" || name == "intersection" || name == "sort" {
                    true => params.iter().find_map(|param| self.contents(file, facts, param)),
                    false => self.call(file, facts, name, params),
                }
            }
            Expr::BinExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
                self.contents(file, facts, lhs).or_else(|| self.contents(file, facts, rhs))
            }
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {
                self.expression(file, facts, expr)
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().find_map(|item| self.contents(file, facts, item))
            }
            _ => match self.program.target(file, expr, &|name| facts.is_local(name))? {
                Target::Rule(rule, _) => self.rule_contents(&rule, facts),
                Target::Local(name, path) if path.names.is_empty() => {
                    let aliased = facts.alias(&name)?.clone();
                    self.contents(file, facts, &aliased)
                }
                _ => None,
            },
        }
    }

    /// A rule that collects, or whose value is made of what others collect.
    fn rule_contents(&mut self, rule: &str, facts: &Facts) -> Option<String> {
        let collects = self.program.rules.get(rule).into_iter().flatten().any(|(_, body)| {
            matches!(body.head, RuleHead::Set { .. })
                || matches!(body.head, RuleHead::Compr { refr, .. } if matches!(refr.as_ref(), Expr::RefBrack { .. }))
        });
        if collects {
            return self.rule(rule, facts, None);
        }
        if self.stack.iter().any(|open| open == rule) {
            return None;
        }
        self.stack.push(rule.to_owned());
        let program = self.program;
        let why = program.rules.get(rule).into_iter().flatten().find_map(|(file, body)| {
            let mut inner = facts.outside();
            body.written.iter().for_each(|written| inner.learn(program, file, &written.query));
            let RuleHead::Compr { assign: Some(assign), .. } = body.head else { return None };
            self.contents(file, &inner, &assign.value)
        });
        self.stack.pop();
        why
    }

    /// A rule that has a value also where its bodies fail.
    fn with_default(&mut self, file: &RegoFile, facts: &Facts, expr: &Expr) -> Option<String> {
        match self.program.target(file, expr, &|name| facts.is_local(name))? {
            Target::Rule(rule, _) if self.program.defaults.contains_key(&rule) => {
                self.rule(&rule, facts, None)
            }
            _ => None,
        }
    }

    /// Whether any body of a rule can fail instead of saying no.
    fn rule(&mut self, rule: &str, facts: &Facts, arguments: Option<&[Type]>) -> Option<String> {
        if self.stack.iter().any(|open| open == rule) {
            return None;
        }
        self.stack.push(rule.to_owned());
        let program = self.program;
        let why = program.rules.get(rule).into_iter().flatten().find_map(|(file, body)| {
            let mut inner = facts.outside();
            if let RuleHead::Func { args, .. } = body.head {
                inner.arguments(args.iter().map(|arg| arg.as_ref()), arguments.unwrap_or_default());
            }
            if let Some(written) = body.written {
                inner.learn_types(program, file, &written.query);
                let why = written.query.stmts.iter().find_map(|stmt| self.statement(file, &inner, stmt));
                if why.is_some() {
                    return why;
                }
            }
            let mut why = None;
            let value = match body.head {
                RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
                    assign.as_ref().map(|assign| &assign.value)
                }
                RuleHead::Set { key, .. } => key.as_ref(),
            };
            if let Some(value) = value {
                why = self.expression(file, &inner, value);
            }
            why
        });
        self.stack.pop();
        why
    }

    fn statement(&mut self, file: &RegoFile, facts: &Facts, statement: &LiteralStmt) -> Option<String> {
        match &statement.literal {
            // Under a second negation a failure says no again.
            Literal::NotExpr { .. } | Literal::SomeVars { .. } => None,
            Literal::Expr { expr, .. } => self.expression(file, facts, expr),
            Literal::SomeIn { collection, .. } => self.collection(file, facts, collection),
            Literal::Every { domain, query, .. } => self.collection(file, facts, domain).or_else(|| {
                let mut inner = facts.clone();
                inner.learn_types(self.program, file, query);
                query.stmts.iter().find_map(|stmt| self.statement(file, &inner, stmt))
            }),
        }
    }

    /// Something that is gone through: another value than a collection has no members.
    fn collection(&mut self, file: &RegoFile, facts: &Facts, expr: &Expr) -> Option<String> {
        let why = self.expression(file, facts, expr);
        why.or_else(|| match self.kind(file, facts, expr).is_collection() {
            true => None,
            false => Some(self.at(file, expr, "may be no collection")),
        })
    }

    fn typed(&mut self, file: &RegoFile, facts: &Facts, expr: &Expr, wanted: Type) -> Option<String> {
        let why = self.expression(file, facts, expr);
        why.or_else(|| match wanted == Type::Any || self.kind(file, facts, expr) == wanted {
            true => None,
            false => Some(self.at(file, expr, "may be of another type")),
        })
    }

    /// Whether an expression can fail or be undefined.
    fn expression(&mut self, file: &RegoFile, facts: &Facts, expr: &Expr) -> Option<String> {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => None,
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.reference(file, facts, expr)
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().find_map(|item| self.expression(file, facts, item))
            }
            Expr::Object { fields, .. } => fields.iter().find_map(|(_, key, value)| {
                self.expression(file, facts, key).or_else(|| self.expression(file, facts, value))
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.comprehension(file, facts, query, &[term.as_ref()])
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.comprehension(file, facts, query, &[key.as_ref(), value.as_ref()])
            }
            Expr::Call { fcn, params, .. } => self.call(file, facts, fcn.span().text(), params),
            Expr::UnaryExpr { expr, .. } => self.typed(file, facts, expr, Type::Number),
            Expr::BinExpr { lhs, rhs, .. } => {
                self.typed(file, facts, lhs, Type::Set).or_else(|| self.typed(file, facts, rhs, Type::Set))
            }
            Expr::BoolExpr { op: BoolOp::Eq | BoolOp::Ne, lhs, rhs, .. } => {
                self.expression(file, facts, lhs).or_else(|| self.expression(file, facts, rhs))
            }
            // Values of different types are ordered by their types: null is less than any number.
            Expr::BoolExpr { lhs, rhs, .. } => {
                let why = self.expression(file, facts, lhs).or_else(|| self.expression(file, facts, rhs));
                let (left, right) = (self.kind(file, facts, lhs), self.kind(file, facts, rhs));
                why.or_else(|| match (left, right) {
                    (Type::Any, _) => {
                        Some(self.at(file, lhs, "may be of another type than what it is compared with"))
                    }
                    (_, Type::Any) => {
                        Some(self.at(file, rhs, "may be of another type than what it is compared with"))
                    }
                    (left, right) if left != right => Some(self.at(file, expr, "compares different types")),
                    _ => None,
                })
            }
            Expr::ArithExpr { op, lhs, rhs, .. } => {
                let sets = self.kind(file, facts, lhs) == Type::Set && *op == ArithOp::Sub;
                let wanted = if sets { Type::Set } else { Type::Number };
                let why =
                    self.typed(file, facts, lhs, wanted).or_else(|| self.typed(file, facts, rhs, wanted));
                let nonzero = matches!(rhs.as_ref(), Expr::Number { span, .. } if span.text() != "0");
                why.or_else(|| match matches!(op, ArithOp::Div | ArithOp::Mod) && !nonzero {
                    true => Some(self.at(file, expr, "may divide by zero")),
                    false => None,
                })
            }
            Expr::AssignExpr { rhs, .. } => self.expression(file, facts, rhs),
            Expr::Membership { key, value, collection, .. } => {
                let inner = key.iter().find_map(|key| self.expression(file, facts, key));
                let inner = inner.or_else(|| self.expression(file, facts, value));
                inner.or_else(|| self.collection(file, facts, collection))
            }
        }
    }

    fn comprehension(
        &mut self,
        file: &RegoFile,
        facts: &Facts,
        query: &everycall_rego::syntax_tree::Query,
        terms: &[&Expr],
    ) -> Option<String> {
        let mut inner = facts.clone();
        inner.learn_types(self.program, file, query);
        let why = query.stmts.iter().find_map(|stmt| self.statement(file, &inner, stmt));
        why.or_else(|| terms.iter().find_map(|term| self.expression(file, &inner, term)))
    }

    fn call(
        &mut self,
        file: &RegoFile,
        facts: &Facts,
        name: &str,
        params: &[everycall_rego::syntax_tree::Ref<Expr>],
    ) -> Option<String> {
        if let Some(function) = self.function(file, name) {
            let why = params.iter().find_map(|param| self.expression(file, facts, param));
            let kinds: Vec<Type> = params.iter().map(|param| self.kind(file, facts, param)).collect();
            return why.or_else(|| self.rule(&function, facts, Some(&kinds)));
        }
        match (name, params) {
            ("set", []) => None,
            ("count", [of]) => match self.kind(file, facts, of) {
                Type::Text => self.expression(file, facts, of),
                _ => self.collection(file, facts, of),
            },
            ("concat", [between, texts]) => {
                let plain = matches!(texts.as_ref(), Expr::Array { items, .. }
                    if items.iter().all(|item| self.kind(file, facts, item) == Type::Text));
                let why = self
                    .typed(file, facts, between, Type::Text)
                    .or_else(|| self.expression(file, facts, texts));
                why.or_else(|| (!plain).then(|| self.fails(file, name, params)))
            }
            // A pattern that is written there was compiled when the policy was tried out.
            ("regex.match" | "glob.match", [pattern, rest @ ..])
                if matches!(pattern.as_ref(), Expr::String { .. } | Expr::RawString { .. }) =>
            {
                let text = rest.last()?;
                rest.iter()
                    .find_map(|rest| self.expression(file, facts, rest))
                    .or_else(|| self.typed(file, facts, text, Type::Text))
            }
            _ => match known::wants(name, params.len()) {
                Some(wanted) => {
                    let missing = name == "object.get" && params.len() != 3;
                    let why = params
                        .iter()
                        .zip(wanted)
                        .find_map(|(param, wanted)| self.typed(file, facts, param, wanted));
                    why.or_else(|| missing.then(|| self.fails(file, name, params)))
                }
                None => Some(self.fails(file, name, params)),
            },
        }
    }

    fn fails(
        &self,
        file: &RegoFile,
        name: &str,
        params: &[everycall_rego::syntax_tree::Ref<Expr>],
    ) -> String {
        let line = params.first().map_or(0, |param| param.span().line);
        format!("`{name}` can fail ({}:{line})", file.name)
    }

    /// The rule that a call means, if it is no builtin.
    fn function(&self, file: &RegoFile, name: &str) -> Option<String> {
        let own = format!("{}.{name}", file.package);
        if self.program.is_rule(&own) {
            return Some(own);
        }
        let (first, rest) = name.split_once('.')?;
        if first == "data" {
            return self.program.is_rule(rest).then(|| rest.to_owned());
        }
        let import = file.module.imports.iter().find_map(|import| {
            let path = import.refr.span().text();
            let last = path.rsplit('.').next().unwrap_or(path);
            let called = import.r#as.as_ref().map_or(last, |name| name.text());
            (called == first)
                .then(|| path.strip_prefix("data.").map(|path| format!("{path}.{rest}")))
                .flatten()
        })?;
        self.program.is_rule(&import).then_some(import)
    }

    fn reference(&mut self, file: &RegoFile, facts: &Facts, expr: &Expr) -> Option<String> {
        let indices = brackets(expr).into_iter().find_map(|index| self.expression(file, facts, index));
        if indices.is_some() {
            return indices;
        }
        if facts.is_defined(self.program, file, expr) {
            return None;
        }
        match self.program.target(file, expr, &|name| facts.is_local(name))? {
            Target::Rule(rule, part) => {
                self.rule(&rule, facts, None).or_else(|| part.then(|| self.at(file, expr, "may be absent")))
            }
            Target::Input(path) => {
                let name = path.names.join(".");
                let identity =
                    path.names.first().is_some_and(|first| first == "identity") && path.names.len() > 1;
                let there = known::input(&name).is_some() && (!identity || facts.has_identity());
                (path.dynamic || !(there || name.is_empty())).then(|| self.at(file, expr, "may be absent"))
            }
            Target::Data(path) => {
                let there = !path.dynamic && at(&self.program.data, &path.names).is_some();
                (!there).then(|| self.at(file, expr, "may be absent"))
            }
            Target::Local(_, path) => {
                (path.dynamic || !path.names.is_empty()).then(|| self.at(file, expr, "may be absent"))
            }
        }
    }

    /// What is known of the value of an expression.
    fn kind(&self, file: &RegoFile, facts: &Facts, expr: &Expr) -> Type {
        let known = facts.kind(self.program, file, expr);
        if known != Type::Any {
            return known;
        }
        match expr {
            Expr::String { .. } | Expr::RawString { .. } => Type::Text,
            Expr::Number { .. } | Expr::UnaryExpr { .. } => Type::Number,
            Expr::ArithExpr { lhs, .. } => match self.kind(file, facts, lhs) {
                Type::Set => Type::Set,
                _ => Type::Number,
            },
            Expr::Bool { .. } | Expr::BoolExpr { .. } | Expr::Membership { .. } => Type::Boolean,
            Expr::Array { .. } | Expr::ArrayCompr { .. } => Type::List,
            Expr::Set { .. } | Expr::SetCompr { .. } | Expr::BinExpr { .. } => Type::Set,
            Expr::Object { .. } | Expr::ObjectCompr { .. } => Type::Object,
            Expr::Call { fcn, params, .. } => match self.function(file, fcn.span().text()) {
                Some(_) => Type::Any,
                None if fcn.span().text() == "set" && params.is_empty() => Type::Set,
                None => known::gives(fcn.span().text()),
            },
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                match self.program.target(file, expr, &|name| facts.is_local(name)) {
                    Some(Target::Input(path)) if !path.dynamic => {
                        known::input(&path.names.join(".")).unwrap_or(Type::Any)
                    }
                    Some(Target::Data(path)) if !path.dynamic => {
                        at(&self.program.data, &path.names).map_or(Type::Any, type_of)
                    }
                    Some(Target::Rule(rule, false)) => self.rule_kind(&rule),
                    _ => Type::Any,
                }
            }
            Expr::Null { .. } | Expr::AssignExpr { .. } => Type::Any,
        }
    }

    fn rule_kind(&self, rule: &str) -> Type {
        let bodies = self.program.rules.get(rule).into_iter().flatten();
        let kinds: BTreeSet<Type> = bodies
            .map(|(file, body)| match body.head {
                RuleHead::Set { .. } => Type::Set,
                RuleHead::Compr { refr, .. } if matches!(refr.as_ref(), Expr::RefBrack { .. }) => {
                    Type::Object
                }
                RuleHead::Compr { assign: Some(assign), .. } => {
                    self.kind(file, &Facts::default(), &assign.value)
                }
                _ => Type::Boolean,
            })
            .collect();
        match kinds.len() {
            1 => kinds.first().copied().unwrap_or(Type::Any),
            _ => Type::Any,
        }
    }

    fn at(&self, file: &RegoFile, expr: &Expr, what: &str) -> String {
        let text: Vec<&str> = expr.span().text().split_whitespace().collect();
        format!("`{}` {what} ({}:{})", text.join(" "), file.name, expr.span().line)
    }
}

/// The expressions in brackets of a reference.
fn brackets(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let mut inner = expr;
    while let Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } = inner {
        if let Expr::RefBrack { index, .. } = inner {
            found.push(index.as_ref());
        }
        inner = refr;
    }
    found
}

fn at<'v>(data: &'v Value, names: &[String]) -> Option<&'v Value> {
    names.iter().try_fold(data, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}

fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Any,
        Value::Bool(_) => Type::Boolean,
        Value::Number(_) => Type::Number,
        Value::String(_) => Type::Text,
        Value::Array(_) => Type::List,
        Value::Object(_) => Type::Object,
    }
}
