//! Names: which variable, rule, import or builtin each of them means, and where each variable is at
//! home. The rules are OPA's: a variable that is declared belongs to its body from there on; one that
//! is not declared belongs to the outermost body that mentions it.

use std::collections::BTreeSet;
use std::sync::Arc;

use everycall_rego_values::{find, has_bytes, Arithmetic, Number, Value};
use regorus::unstable as ast;
use regorus::unstable::{ArithOp, AssignOp, BinOp, BoolOp, Expr, RuleHead};

use crate::advice;
use crate::hir::{
    Branch, Closure, Collected, Function, Head, Kind, Literal, Operator, Path, Replacement, Rule, Target,
    Term, Var, With,
};
use crate::library::{Definition, Document, Library, Module, Origin, Tree};
use crate::syntax::{self, site, string};

/// What is not offered, or means nothing, as `file:line: message`.
pub(crate) type Problem = String;

/// Resolves one definition.
pub(crate) fn rule(library: &Library, tree: &Tree, definition: &Definition) -> Result<Rule, Problem> {
    let Some(module) = library.modules.get(definition.origin.module) else {
        return Err("no module".to_owned());
    };
    let resolver = Resolver {
        library,
        tree,
        module,
        origin: definition.origin,
        depth: 0,
        depths: Vec::new(),
        scopes: Vec::new(),
    };
    resolver.rule(definition)
}

struct Scope {
    /// How many closures it is in.
    depth: usize,
    /// Names that are declared, each a variable.
    declared: Vec<(String, Var)>,
    /// Names that stand in the body itself, not in closures of it.
    mentioned: BTreeSet<String>,
    /// Those of them that were met and not declared before.
    met: Vec<(String, Var)>,
}

struct Resolver<'l> {
    library: &'l Library,
    tree: &'l Tree,
    module: &'l Module,
    origin: Origin,
    depth: usize,
    /// By variable: the depth at which it is at home.
    depths: Vec<usize>,
    scopes: Vec<Scope>,
}

/// What a name means.
enum Meaning {
    Var(Var),
    /// `input` or `data`, and a path below.
    Global(Path),
}

impl Resolver<'_> {
    fn problem<T>(&self, span: &ast::Span, message: &str) -> Result<T, Problem> {
        Err(self.library.message(site(self.origin, span), message))
    }

    fn rule(mut self, definition: &Definition) -> Result<Rule, Problem> {
        let rule = &*definition.rule;
        let place = site(self.origin, rule.span());
        let mut arguments = Vec::new();
        let mut branches = Vec::new();
        let mut contains = false;
        match rule {
            ast::Rule::Default { args, value, .. } => {
                self.open(BTreeSet::new());
                for argument in args {
                    arguments.push(self.pattern(argument, Some(0))?);
                }
                let value = self.term(value)?;
                branches.push(Branch { site: place, body: Vec::new(), value, tail: Vec::new() });
            }
            ast::Rule::Spec { head, bodies, .. } => {
                let (refr, assign) = match head {
                    RuleHead::Compr { refr, assign, .. } => (refr, assign.as_ref()),
                    RuleHead::Set { refr, .. } => (refr, None),
                    RuleHead::Func { refr, assign, args, .. } => {
                        // Names in the head's arguments are the function's own.
                        self.open(BTreeSet::new());
                        for argument in args {
                            arguments.push(self.pattern(argument, Some(0))?);
                        }
                        (refr, assign.as_ref())
                    }
                };
                let key = match head {
                    RuleHead::Set { refr, key, span } => match key {
                        Some(key) if self.says_contains(refr, key) => Some(key),
                        _ => return self.problem(span, "a rule needs `contains`, `if` or a value"),
                    },
                    _ => None,
                };
                contains = key.is_some();
                let tail = tail_of(refr, definition.named);
                if bodies.iter().skip(1).any(|body| !body.is_else) {
                    return self.problem(rule.span(), "several bodies behind one head: write the head again");
                }
                if bodies.len() > 1 && (contains || !tail.is_empty()) {
                    return self.problem(rule.span(), "`else` has no place where a rule makes members");
                }
                let one = bodies.is_empty().then_some(None);
                for (at, body) in bodies.iter().map(Some).chain(one).enumerate() {
                    let assign = if at == 0 { assign } else { body.and_then(|body| body.assign.as_ref()) };
                    let value = key.or(assign.map(|assign| &assign.value));
                    let mut heads: Vec<&Expr> = value.iter().map(|value| &***value).collect();
                    for key in &tail {
                        if let Key::Expr(key) = key {
                            heads.push(key);
                        }
                    }
                    self.open_body(body.map(|body| &*body.query), &heads);
                    let statements = match body {
                        Some(body) => self.body(&body.query)?,
                        None => Vec::new(),
                    };
                    let value = match value {
                        Some(value) => self.term(value)?,
                        None => Term::Const(Value::Bool(true)),
                    };
                    let mut keys = Vec::with_capacity(tail.len());
                    for key in &tail {
                        keys.push(match key {
                            Key::Name(name) => Term::Const(Value::from(*name)),
                            Key::Expr(key) => self.term(key)?,
                        });
                    }
                    self.close();
                    let place = match (at, body) {
                        (0, _) | (_, None) => place,
                        (_, Some(body)) => site(self.origin, &body.span),
                    };
                    branches.push(Branch { site: place, body: statements, value, tail: keys });
                }
            }
        }
        Ok(Rule { site: place, arguments, contains, branches, depths: self.depths })
    }

    /// A set's rule is written with a word; `p["a"]` without value or body comes out of the parser as one, too.
    fn says_contains(&self, refr: &Expr, key: &Expr) -> bool {
        let (before, behind) = (site(self.origin, refr.span()).end, site(self.origin, key.span()).start);
        let between = usize::try_from(before).ok().zip(usize::try_from(behind).ok());
        let text = between.and_then(|(start, end)| self.module.text.get(start..end));
        text.is_some_and(|text| text.contains("contains"))
    }

    fn open(&mut self, mentioned: BTreeSet<String>) {
        let scope = Scope { depth: self.depth, declared: Vec::new(), mentioned, met: Vec::new() };
        self.scopes.push(scope);
    }

    /// The scope of a body, with what stands in its heads.
    fn open_body(&mut self, query: Option<&ast::Query>, heads: &[&Expr]) {
        let mut mentioned = BTreeSet::new();
        heads.iter().for_each(|head| mention(head, &mut mentioned));
        if let Some(query) = query {
            mention_query(query, &mut mentioned);
            // A closure does not mean what is declared behind it.
            let declared = declarations(query);
            mentioned.retain(|name| !declared.contains(name));
        }
        self.open(mentioned);
    }

    fn close(&mut self) {
        self.scopes.pop();
    }

    fn variable(&mut self, depth: usize) -> Var {
        self.depths.push(depth);
        self.depths.len().saturating_sub(1)
    }

    fn declare(&mut self, span: &ast::Span) -> Result<Term, Problem> {
        let name = span.text();
        let var = self.variable(self.depth);
        let Some(scope) = self.scopes.last_mut() else { return Ok(Term::Var(var)) };
        if name != "_" {
            if scope.declared.iter().any(|(known, _)| known == name) {
                return self.problem(span, &format!("`{name}` is declared twice"));
            }
            if scope.met.iter().any(|(known, _)| known == name) {
                return self.problem(span, &format!("`{name}` is used above its declaration"));
            }
            if matches!(name, "input" | "data") {
                return self.problem(span, &format!("`{name}` can't be declared"));
            }
            scope.declared.push((name.to_owned(), var));
        }
        Ok(Term::Var(var))
    }

    fn meaning(&mut self, name: &str) -> Meaning {
        if name == "_" {
            return Meaning::Var(self.variable(self.depth));
        }
        for scope in self.scopes.iter().rev() {
            if let Some((_, var)) = scope.declared.iter().find(|(known, _)| known == name) {
                return Meaning::Var(*var);
            }
        }
        if let Some(path) = self.global(name) {
            return Meaning::Global(path);
        }
        let last = self.scopes.len().saturating_sub(1);
        let home = self.scopes.iter().position(|scope| scope.mentioned.contains(name)).unwrap_or(last);
        let depth = match self.scopes.get(home) {
            Some(scope) => match scope.met.iter().find(|(known, _)| known == name) {
                Some((_, var)) => return Meaning::Var(*var),
                None => scope.depth,
            },
            None => self.depth,
        };
        let var = self.variable(depth);
        if let Some(scope) = self.scopes.get_mut(home) {
            scope.met.push((name.to_owned(), var));
        }
        Meaning::Var(var)
    }

    /// What a name means that is no variable.
    fn global(&self, name: &str) -> Option<Path> {
        if matches!(name, "input" | "data") {
            return Some(vec![Arc::from(name)]);
        }
        let mut path = self.module.package.clone();
        path.push(Arc::from(name));
        let mut below =
            self.tree.documents.range(path.clone()..).take_while(|(known, _)| known.starts_with(&path));
        if below.any(|(_, document)| self.is_of_package(document)) {
            path.insert(0, Arc::from("data"));
            return Some(path);
        }
        self.module.imports.iter().find(|(alias, _)| alias == name).map(|(_, path)| path.clone())
    }

    /// Whether a document below this package is one of its rules, and not of a package below.
    fn is_of_package(&self, document: &Document) -> bool {
        document.definitions.iter().any(|definition| self.library.is_of(definition, &self.module.package))
    }

    fn body(&mut self, query: &ast::Query) -> Result<Vec<Literal>, Problem> {
        let mut literals = Vec::with_capacity(query.stmts.len());
        for statement in &query.stmts {
            let mut with = Vec::new();
            for modifier in &statement.with_mods {
                with.push(self.with(modifier)?);
            }
            let place = site(self.origin, &statement.span);
            let kind = match &statement.literal {
                ast::Literal::SomeVars { vars, .. } => {
                    for var in vars {
                        self.declare(var)?;
                    }
                    continue;
                }
                ast::Literal::SomeIn { key, value, collection, .. } => {
                    let (mut names, mut read) = (BTreeSet::new(), BTreeSet::new());
                    key.iter().chain([value]).for_each(|pattern| declares(pattern, &mut names));
                    mention(collection, &mut read);
                    if let Some(name) = names.intersection(&read).find(|name| *name != "_") {
                        let message = format!("`{name}` is declared here and read in what it is a member of: give it another name");
                        return self.problem(collection.span(), &message);
                    }
                    let collection = self.term(collection)?;
                    let before = self.declared_here();
                    let key = key.as_ref().map(|key| self.pattern(key, Some(before))).transpose()?;
                    Kind::SomeIn(key, self.pattern(value, Some(before))?, collection)
                }
                ast::Literal::Expr { expr, .. } => self.statement(expr)?,
                ast::Literal::NotExpr { expr, span } => {
                    if matches!(&**expr, Expr::AssignExpr { op: AssignOp::ColEq, .. }) {
                        return self.problem(span, "`:=` has no place behind `not`");
                    }
                    Kind::Not(Box::new(self.statement(expr)?))
                }
                ast::Literal::Every { key, value, domain, query, .. } => {
                    let domain = self.term(domain)?;
                    self.depth = self.depth.saturating_add(1);
                    self.open_body(Some(query), &[]);
                    let key = key.as_ref().map(|key| self.declared(key)).transpose()?;
                    let value = self.declared(value)?;
                    let body = Arc::new(self.body(query)?);
                    self.close();
                    self.depth = self.depth.saturating_sub(1);
                    Kind::Every { key, value, domain, body }
                }
            };
            literals.push(Literal { kind, with, site: place });
        }
        Ok(literals)
    }

    /// How many names the innermost scope declares.
    fn declared_here(&self) -> usize {
        self.scopes.last().map_or(0, |scope| scope.declared.len())
    }

    fn declared(&mut self, span: &ast::Span) -> Result<Var, Problem> {
        match self.declare(span)? {
            Term::Var(var) => Ok(var),
            _ => self.problem(span, "a name is expected"),
        }
    }

    fn statement(&mut self, expr: &Expr) -> Result<Kind, Problem> {
        match expr {
            Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } => {
                let value = self.term(rhs)?;
                Ok(Kind::Unify(self.pattern(lhs, None)?, value))
            }
            Expr::AssignExpr { op: AssignOp::Eq, lhs, rhs, .. } => {
                Ok(Kind::Unify(self.term(lhs)?, self.term(rhs)?))
            }
            // What a function gives may be written as its last argument.
            Expr::Call { fcn, params, span, .. } => {
                let function = self.called(fcn, span)?;
                let mut arguments =
                    params.iter().map(|param| self.term(param)).collect::<Result<Vec<_>, _>>()?;
                let place = site(self.origin, span);
                match self.arity(&function) {
                    Some(arity) if arguments.len() == arity.saturating_add(1) => {
                        let result = arguments.pop().unwrap_or(Term::Const(Value::Null));
                        Ok(Kind::Output(result, Term::Call(function, arguments, place)))
                    }
                    // As a statement it is `==` by its name.
                    _ if arguments.len() == 2
                        && matches!(function, Function::Builtin(builtin) if builtin.name == "equal") =>
                    {
                        Ok(Kind::Expr(Term::Call(Function::Operator(Operator::Equal), arguments, place)))
                    }
                    _ => Ok(Kind::Expr(self.call(function, arguments, span)?)),
                }
            }
            _ => Ok(Kind::Expr(self.term(expr)?)),
        }
    }

    /// A term whose names are declared by it, as in `[x, {"a": y}] := …`, function heads and `some … in`.
    /// Where a name may stand twice, the second one is the first: one that was declared after so many others.
    fn pattern(&mut self, expr: &Expr, twice: Option<usize>) -> Result<Term, Problem> {
        match expr {
            Expr::Var { span, .. } => {
                let names = self.scopes.last().zip(twice);
                let known = names.and_then(|(scope, before)| {
                    scope
                        .declared
                        .iter()
                        .skip(before)
                        .find(|(known, _)| known == span.text())
                        .map(|(_, var)| *var)
                });
                match known {
                    Some(var) => Ok(Term::Var(var)),
                    None => self.declare(span),
                }
            }
            Expr::Array { items, .. } => {
                Ok(Term::Array(items.iter().map(|item| self.pattern(item, twice)).collect::<Result<_, _>>()?))
            }
            Expr::Object { fields, .. } => {
                let mut members = Vec::with_capacity(fields.len());
                for (_, key, value) in fields {
                    members.push((self.term(key)?, self.pattern(value, twice)?));
                }
                Ok(Term::Object(members))
            }
            _ => self.term(expr),
        }
    }

    fn term(&mut self, expr: &Expr) -> Result<Term, Problem> {
        let operator = |operator| Function::Operator(operator);
        match expr {
            Expr::String { .. } | Expr::RawString { .. } => match string(expr) {
                Some(text) if has_bytes(&text) => {
                    self.problem(expr.span(), "the characters U+10FF80 to U+10FFFF are not offered")
                }
                Some(text) => Ok(Term::Const(Value::String(text))),
                None => self.problem(expr.span(), "not a string"),
            },
            Expr::Number { span, .. } => match Number::parse(span.text()) {
                Some(number) => Ok(Term::Const(Value::Number(number))),
                None => self.problem(span, "not a number that can be computed with"),
            },
            Expr::Bool { span, .. } => Ok(Term::Const(Value::Bool(span.text() == "true"))),
            Expr::Null { .. } => Ok(Term::Const(Value::Null)),
            Expr::Var { span, .. } => Ok(match self.meaning(span.text()) {
                Meaning::Var(var) => Term::Var(var),
                Meaning::Global(path) => reference(&path, Vec::new()),
            }),
            Expr::Array { items, .. } => Ok(Term::Array(self.terms(items)?)),
            Expr::Set { items, .. } => {
                let mut items = self.terms(items)?;
                items.sort_by(|a, b| Written::of(a).cmp(&Written::of(b)));
                Ok(Term::Set(items))
            }
            Expr::Object { fields, .. } => {
                let mut members = Vec::with_capacity(fields.len());
                for (at, (_, key, value)) in fields.iter().enumerate() {
                    if is_written_again(fields, at) {
                        continue;
                    }
                    let (key, value) = (self.term(key)?, self.term(value)?);
                    // Of a key that is written twice the last value counts, and the others are not there.
                    members.retain(|(known, _)| !is_written_alike(known, &key));
                    members.push((key, value));
                }
                members.sort_by(|(a, _), (b, _)| Written::of(a).cmp(&Written::of(b)));
                Ok(Term::Object(members))
            }
            Expr::ArrayCompr { term, query, .. } => self.closure(Collected::Array, &[term], query),
            Expr::SetCompr { term, query, .. } => self.closure(Collected::Set, &[term], query),
            Expr::ObjectCompr { key, value, query, .. } => {
                self.closure(Collected::Object, &[key, value], query)
            }
            Expr::Call { fcn, params, span, .. } => {
                let function = self.called(fcn, span)?;
                let arguments = self.terms(params)?;
                self.call(function, arguments, span)
            }
            Expr::UnaryExpr { span, expr, .. } => self.minus(expr, span),
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::BinExpr { op, lhs, rhs, span, .. } => {
                let op = match op {
                    BinOp::Intersection => Operator::And,
                    BinOp::Union => Operator::Or,
                };
                let operands = self.operands(lhs, rhs, false)?;
                Ok(Term::Call(operator(op), operands, site(self.origin, span)))
            }
            Expr::BoolExpr { op, lhs, rhs, span, .. } => {
                let op = match op {
                    BoolOp::Lt => Operator::Less,
                    BoolOp::Le => Operator::LessOrEqual,
                    BoolOp::Eq => Operator::Equal,
                    BoolOp::Ge => Operator::GreaterOrEqual,
                    BoolOp::Gt => Operator::Greater,
                    BoolOp::Ne => Operator::NotEqual,
                };
                let operands = self.operands(lhs, rhs, true)?;
                Ok(Term::Call(operator(op), operands, site(self.origin, span)))
            }
            Expr::ArithExpr { op, lhs, rhs, span, .. } => {
                let op = match op {
                    ArithOp::Add => Operator::Arithmetic(Arithmetic::Plus),
                    ArithOp::Sub => Operator::Arithmetic(Arithmetic::Minus),
                    ArithOp::Mul => Operator::Arithmetic(Arithmetic::Times),
                    ArithOp::Div => Operator::Arithmetic(Arithmetic::Divide),
                    ArithOp::Mod => Operator::Arithmetic(Arithmetic::Remainder),
                };
                let operands = self.operands(lhs, rhs, false)?;
                Ok(Term::Call(operator(op), operands, site(self.origin, span)))
            }
            Expr::AssignExpr { span, .. } => {
                self.problem(span, "an assignment has no place in an expression")
            }
            Expr::Membership { key, value, collection, .. } => {
                let key = key.as_ref().map(|key| self.term(key)).transpose()?.map(Box::new);
                Ok(Term::In(key, Box::new(self.term(value)?), Box::new(self.term(collection)?)))
            }
        }
    }

    fn operands(&mut self, lhs: &Expr, rhs: &Expr, is_compared: bool) -> Result<Vec<Term>, Problem> {
        match rhs {
            // Whatever follows would be a part of this operand, which it is only where both are compared.
            Expr::UnaryExpr { span, expr, .. } if is_infix(expr) && !(is_compared && is_computed(expr)) => {
                self.problem(
                    span,
                    "a minus in the middle of an expression: put it and its operand into brackets",
                )
            }
            rhs => Ok(vec![self.term(lhs)?, self.term(rhs)?]),
        }
    }

    /// A minus before a reference or a call. The parser takes all that follows for its operand: it belongs to the
    /// first.
    fn minus(&mut self, expr: &Expr, span: &ast::Span) -> Result<Term, Problem> {
        let behind = span.text().strip_prefix('-').unwrap_or_default().trim_start();
        let term = self.term(expr)?;
        let negated =
            if behind.starts_with(['(', '-']) { None } else { negated(term, site(self.origin, span)) };
        match negated {
            Some(term) => Ok(term),
            None => {
                self.problem(span, "a minus stands before a number, a reference or a call: write `0 - …`")
            }
        }
    }

    fn terms(&mut self, all: &[ast::Ref<Expr>]) -> Result<Vec<Term>, Problem> {
        all.iter().map(|expr| self.term(expr)).collect()
    }

    fn closure(
        &mut self,
        collected: Collected,
        heads: &[&ast::Ref<Expr>],
        query: &ast::Query,
    ) -> Result<Term, Problem> {
        self.depth = self.depth.saturating_add(1);
        let written: Vec<&Expr> = heads.iter().map(|head| &***head).collect();
        self.open_body(Some(query), &written);
        let body = self.body(query)?;
        let heads = heads.iter().map(|head| self.term(head)).collect::<Result<_, _>>()?;
        self.close();
        self.depth = self.depth.saturating_sub(1);
        Ok(Term::Collect(collected, Arc::new(Closure { body, heads })))
    }

    fn reference(&mut self, expr: &Expr) -> Result<Term, Problem> {
        let mut keys = Vec::new();
        let mut open = expr;
        loop {
            match open {
                Expr::RefDot { refr, field, .. } => {
                    keys.push(Term::Const(Value::from(field.0.text())));
                    open = refr;
                }
                Expr::RefBrack { refr, index, .. } => {
                    keys.push(self.term(index)?);
                    open = refr;
                }
                _ => break,
            }
        }
        keys.reverse();
        if let Expr::Var { span, .. } = open {
            return Ok(match self.meaning(span.text()) {
                Meaning::Var(var) => Term::Ref(Head::Term(Box::new(Term::Var(var))), keys),
                Meaning::Global(path) => reference(&path, keys),
            });
        }
        let head = self.term(open)?;
        Ok(Term::Ref(Head::Term(Box::new(head)), keys))
    }

    fn function(&mut self, expr: &Expr) -> Result<Function, Problem> {
        let (names, more) = syntax::components(expr);
        let Some((first, rest)) = names.split_first().filter(|_| !more) else {
            return self.problem(expr.span(), "not the name of a function");
        };
        if self.scopes.iter().any(|scope| scope.declared.iter().any(|(known, _)| **known == **first)) {
            return self.problem(expr.span(), &format!("`{first}` is a variable and no function"));
        }
        if let Some(global) = self.global(first) {
            let path: Path = global.iter().chain(rest).cloned().collect();
            if path.first().is_some_and(|root| &**root == "data") {
                return Ok(Function::Rule(path.into_iter().skip(1).collect()));
            }
            return self.problem(expr.span(), "not the name of a function");
        }
        let name = names.join(".");
        match name.as_str() {
            "walk" => Ok(Function::Walk),
            "time.now_ns" => Ok(Function::Now),
            _ => match find(&name) {
                Some(builtin) => Ok(Function::Builtin(builtin)),
                None => {
                    let instead = advice::builtin(&name).unwrap_or("no function has this name");
                    self.problem(expr.span(), &format!("`{name}` is not offered: {instead}"))
                }
            },
        }
    }

    fn arity(&self, function: &Function) -> Option<usize> {
        match function {
            Function::Builtin(builtin) => Some(builtin.arguments),
            Function::Operator(_) => Some(2),
            Function::Walk => Some(1),
            Function::Now => Some(0),
            Function::Rule(path) => {
                let document = self.tree.documents.get(path)?;
                document.definitions.iter().find_map(|definition| match &*definition.rule {
                    ast::Rule::Spec { head: RuleHead::Func { args, .. }, .. } => Some(args.len()),
                    _ => None,
                })
            }
        }
    }

    fn call(&mut self, function: Function, arguments: Vec<Term>, span: &ast::Span) -> Result<Term, Problem> {
        match self.arity(&function) {
            Some(arity) if arity == arguments.len() => {
                Ok(Term::Call(function, arguments, site(self.origin, span)))
            }
            Some(arity) => self.problem(
                span,
                &format!("a function of {arity} arguments is called with {}", arguments.len()),
            ),
            None => self.problem(span, "no function has this name"),
        }
    }

    /// The function that a call names. A bracket that starts a line comes out of the parser as that of a call.
    fn called(&mut self, name: &Expr, span: &ast::Span) -> Result<Function, Problem> {
        if span.text().split_once('(').is_some_and(|(name, _)| name.contains('\n')) {
            return self.problem(
                span,
                "a line that starts with a bracket is read as the arguments of the line above: turn it round",
            );
        }
        self.function(name)
    }

    fn with(&mut self, modifier: &ast::WithModifier) -> Result<With, Problem> {
        let (names, _) = syntax::components(&modifier.refr);
        let name = names.join(".");
        let target = match names.split_first() {
            Some((first, rest)) => match self.global(first) {
                Some(global) => {
                    let path: Path = global.iter().skip(1).chain(rest).cloned().collect();
                    let is_input = global.first().is_some_and(|root| &**root == "input");
                    if is_input {
                        Target::Input(path)
                    } else if self.arity(&Function::Rule(path.clone())).is_some() {
                        Target::Function(format!("data.{}", path.join(".")))
                    } else {
                        let above = |end| {
                            path.get(..end).is_some_and(|above| self.tree.documents.contains_key(above))
                        };
                        if (1..path.len()).any(above) {
                            return self.problem(&modifier.span, "`with` can't replace a part of a rule");
                        }
                        Target::Data(path)
                    }
                }
                None if find(&name).is_some() || matches!(name.as_str(), "walk" | "time.now_ns") => {
                    Target::Function(name)
                }
                None => {
                    let message = format!(
                        "`{name}` is not offered: {}",
                        advice::builtin(&name).unwrap_or("no function has this name")
                    );
                    return self.problem(&modifier.span, &message);
                }
            },
            None => return self.problem(&modifier.span, "nothing is replaced"),
        };
        if let Target::Function(_) = &target {
            // Another function may stand in its place, by its name alone.
            let by_name = match &*modifier.r#as {
                expr @ (Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. }) => {
                    self.function(expr).ok().filter(|function| self.arity(function).is_some())
                }
                _ => None,
            };
            if let Some(function) = by_name {
                return Ok(With { target, value: Replacement::Function(function) });
            }
        }
        Ok(With { target, value: Replacement::Value(self.term(&modifier.r#as)?) })
    }
}

/// Whether two keys are the same constant or variable.
fn is_written_alike(one: &Term, other: &Term) -> bool {
    match (one, other) {
        (Term::Const(one), Term::Const(other)) => one == other,
        (Term::Var(one), Term::Var(other)) => one == other,
        _ => false,
    }
}

/// `data.a.b` and keys below.
fn reference(path: &Path, keys: Vec<Term>) -> Term {
    let head = match path.first() {
        Some(root) if &**root == "input" => Head::Input,
        _ => Head::Data,
    };
    let names = path.iter().skip(1).map(|name| Term::Const(Value::String(Arc::clone(name))));
    Term::Ref(head, names.chain(keys).collect())
}

/// How OPA orders what is written in a set, which is the order in which it is evaluated: by kind, and within each
/// by its parts. Of variables nothing is known.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Written<'t> {
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
    fn of(term: &'t Term) -> Self {
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

/// A component of a head's reference.
enum Key<'a> {
    Name(&'a str),
    Expr(&'a Expr),
}

/// How many keys the definition's head has below its document: of what it adds to a set, the element is one.
pub(crate) fn head_keys(definition: &Definition) -> usize {
    match &*definition.rule {
        ast::Rule::Spec { head: RuleHead::Compr { refr, .. }, .. } => tail_of(refr, definition.named).len(),
        ast::Rule::Spec { head: RuleHead::Set { refr, .. }, .. } => {
            tail_of(refr, definition.named).len().saturating_add(1)
        }
        _ => 0,
    }
}

/// What stands behind the first components of a head's reference.
fn tail_of(refr: &Expr, named: usize) -> Vec<Key<'_>> {
    let mut keys = Vec::new();
    let mut open = refr;
    loop {
        match open {
            Expr::RefDot { refr, field, .. } => {
                keys.push(Key::Name(field.0.text()));
                open = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                keys.push(Key::Expr(index));
                open = refr;
            }
            _ => break,
        }
    }
    keys.reverse();
    keys.split_off(named.saturating_sub(1).min(keys.len()))
}

/// Names that a body declares, wherever in it.
fn declarations(query: &ast::Query) -> BTreeSet<String> {
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
fn declares(pattern: &Expr, into: &mut BTreeSet<String>) {
    match pattern {
        Expr::Var { span, .. } => drop(into.insert(span.text().to_owned())),
        Expr::Array { items, .. } => items.iter().for_each(|item| declares(item, into)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| declares(value, into)),
        _ => {}
    }
}

/// Names in a body, but not in closures of it.
fn mention_query(query: &ast::Query, into: &mut BTreeSet<String>) {
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

/// Two operands with something between them.
const fn is_infix(expr: &Expr) -> bool {
    is_computed(expr) || matches!(expr, Expr::BoolExpr { .. } | Expr::Membership { .. })
}

const fn is_computed(expr: &Expr) -> bool {
    matches!(expr, Expr::ArithExpr { .. } | Expr::BinExpr { .. })
}

/// The same with a minus before its first operand; `None` where that is no number, reference or call.
fn negated(term: Term, at: crate::hir::Site) -> Option<Term> {
    Some(match term {
        Term::Call(Function::Operator(operator), mut operands, site) => {
            let first = negated(operands.first()?.clone(), at)?;
            *operands.first_mut()? = first;
            Term::Call(Function::Operator(operator), operands, site)
        }
        Term::In(None, value, collection) => Term::In(None, Box::new(negated(*value, at)?), collection),
        Term::In(Some(key), value, collection) => {
            Term::In(Some(Box::new(negated(*key, at)?)), value, collection)
        }
        Term::Const(Value::Number(number)) => {
            Term::Const(Value::Number(Number::parse(&format!("-{number}"))?))
        }
        Term::Var(_) | Term::Ref(..) | Term::Call(..) => {
            let operands = vec![Term::Const(Value::from(0_i64)), term];
            Term::Call(Function::Operator(Operator::Arithmetic(Arithmetic::Minus)), operands, at)
        }
        Term::Const(_) | Term::Array(_) | Term::Set(_) | Term::Object(_) | Term::Collect(..) => return None,
    })
}

/// Whether a scalar that is a key is one of a later field, too: of two values the last one is there.
fn is_written_again<S>(fields: &[(S, ast::Ref<Expr>, ast::Ref<Expr>)], at: usize) -> bool {
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

fn mention(expr: &Expr, into: &mut BTreeSet<String>) {
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
