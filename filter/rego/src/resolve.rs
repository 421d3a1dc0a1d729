//! Names: which variable, rule, import or builtin each of them means, and where each variable is at
//! home. The rules are OPA's: a variable that is declared belongs to its body from there on; one that
//! is not declared belongs to the outermost body that mentions it.

mod functions;
mod heads;
mod names;
mod scopes;
mod terms;
mod written;

use std::collections::BTreeSet;
use std::sync::Arc;

use everycall_rego_values::{find, Value};
use regorus::unstable as ast;
use regorus::unstable::{AssignOp, Expr, RuleHead};

use crate::hir::{Branch, Function, Head, Kind, Literal, Operator, Path, Rule, Term, Var, With};
use crate::library::{Definition, Library, Module, Origin, Tree};
use crate::syntax::{self, site};
pub(crate) use heads::head_keys;
use heads::{tail_of, Key};
use names::{declares, mention};
use scopes::Scope;

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
}
