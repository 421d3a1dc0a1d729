//! What the conditions of a body make sure of, whatever their order: a body holds only if all do.

use std::collections::{BTreeMap, BTreeSet};

use everycall_rego::syntax_tree::{BoolOp, Expr, Literal, Query, Ref};

use crate::lint::known::{self, Type};
use crate::lint::program::{Program, Target};
use crate::rego::{walk, RegoFile};

#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    locals: BTreeSet<String>,
    aliases: BTreeMap<String, Ref<Expr>>,
    /// Paths at which there is something.
    defined: BTreeSet<String>,
    kinds: BTreeMap<String, Type>,
    /// `input.identity` is not null.
    identity: bool,
}

impl Facts {
    pub(super) fn of_arguments<'e>(args: impl Iterator<Item = &'e Expr>) -> Self {
        let mut facts = Self::default();
        facts.arguments(args, &[]);
        facts
    }

    /// The names of arguments, with what is known of their values.
    pub(super) fn arguments<'e>(&mut self, args: impl Iterator<Item = &'e Expr>, kinds: &[Type]) {
        for (index, arg) in args.enumerate() {
            if let (Expr::Var { span, .. }, Some(kind)) = (arg, kinds.get(index)) {
                self.kinds.insert(format!("local:{}", span.text()), *kind);
            }
            self.names_in(arg);
        }
    }

    /// What holds in other rules as well: nothing about the names of this body.
    pub(super) fn outside(&self) -> Self {
        let global = |path: &&String| path.starts_with("input") || path.starts_with("data");
        Self {
            locals: BTreeSet::new(),
            aliases: BTreeMap::new(),
            defined: self.defined.iter().filter(global).cloned().collect(),
            kinds: self
                .kinds
                .iter()
                .filter(|(path, _)| global(path))
                .map(|(path, kind)| (path.clone(), *kind))
                .collect(),
            identity: self.identity,
        }
    }

    pub(super) fn is_local(&self, name: &str) -> bool {
        self.locals.contains(name)
    }

    pub(super) const fn has_identity(&self) -> bool {
        self.identity
    }

    /// What a name was assigned.
    pub(super) fn alias(&self, name: &str) -> Option<&Ref<Expr>> {
        self.aliases.get(name)
    }

    pub(super) fn is_defined(&self, program: &Program<'_>, file: &RegoFile, expr: &Expr) -> bool {
        match program.target(file, expr, &|name| self.is_local(name)) {
            Some(Target::Local(_, path)) if path.names.is_empty() && !path.dynamic => true,
            Some(Target::Rule(..)) => false,
            Some(_) => self.defined.contains(&self.canonical(program, file, expr)),
            None => false,
        }
    }

    pub(super) fn kind(&self, program: &Program<'_>, file: &RegoFile, expr: &Expr) -> Type {
        match expr {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.kinds.get(&self.canonical(program, file, expr)).copied().unwrap_or(Type::Any)
            }
            _ => Type::Any,
        }
    }

    /// What the conditions of a body that holds make sure of.
    pub(super) fn learn(&mut self, program: &Program<'_>, file: &RegoFile, query: &Query) {
        self.learn_types(program, file, query);
        for statement in &query.stmts {
            match &statement.literal {
                Literal::Expr { expr, .. } => self.all_defined(program, file, expr),
                Literal::SomeIn { collection, .. } => self.all_defined(program, file, collection),
                _ => {}
            }
        }
    }

    /// The names of a body, and the types that it checks; not that there is anything.
    pub(super) fn learn_types(&mut self, program: &Program<'_>, file: &RegoFile, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::Expr { expr, .. } => {
                    if let Expr::AssignExpr { lhs, rhs, .. } = expr.as_ref() {
                        self.names_in(lhs);
                        if let Expr::Var { span, .. } = lhs.as_ref() {
                            self.aliases.insert(span.text().to_owned(), rhs.clone());
                        }
                    }
                }
                Literal::SomeVars { vars, .. } => {
                    self.locals.extend(vars.iter().map(|name| name.text().to_owned()));
                }
                Literal::SomeIn { key, value, .. } => {
                    key.iter().for_each(|key| self.names_in(key));
                    self.names_in(value);
                }
                Literal::NotExpr { .. } | Literal::Every { .. } => {}
            }
        }
        for statement in &query.stmts {
            let Literal::Expr { expr, .. } = &statement.literal else { continue };
            match expr.as_ref() {
                Expr::Call { fcn, params, .. } => {
                    let checked = known::checked_by(fcn.span().text());
                    if let (Some(kind), [of]) = (checked, params.as_slice()) {
                        self.kinds.insert(self.canonical(program, file, of), kind);
                    }
                }
                Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } => {
                    self.same(program, file, lhs, rhs);
                    self.same(program, file, rhs, lhs);
                }
                Expr::BoolExpr { op: BoolOp::Ne, lhs, rhs, .. } => {
                    let null = matches!(rhs.as_ref(), Expr::Null { .. });
                    self.identity |= null && self.canonical(program, file, lhs) == "input.identity";
                }
                _ => {}
            }
        }
    }

    /// What is equal to something written there is of its type.
    fn same(&mut self, program: &Program<'_>, file: &RegoFile, expr: &Expr, literal: &Expr) {
        let kind = match literal {
            Expr::String { .. } | Expr::RawString { .. } => Type::Text,
            Expr::Number { .. } => Type::Number,
            Expr::Bool { .. } => Type::Boolean,
            _ => return,
        };
        self.kinds.insert(self.canonical(program, file, expr), kind);
    }

    /// Every reference in a condition that holds leads to something, but for those in comprehensions.
    fn all_defined(&mut self, program: &Program<'_>, file: &RegoFile, expr: &Expr) {
        let mut paths = Vec::new();
        walk::expression(expr, &mut |expr| match expr {
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => false,
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                paths.push(self.canonical(program, file, expr));
                true
            }
            _ => true,
        });
        for path in paths {
            self.identity |= path.starts_with("input.identity.");
            self.defined.insert(path);
        }
    }

    /// The same text for the same value, by whatever name it is called.
    fn canonical(&self, program: &Program<'_>, file: &RegoFile, expr: &Expr) -> String {
        let join = |root: &str, names: &[String]| {
            names.iter().fold(root.to_owned(), |path, name| format!("{path}.{name}"))
        };
        match program.target(file, expr, &|name| self.is_local(name)) {
            Some(Target::Input(path)) if !path.dynamic => join("input", &path.names),
            Some(Target::Data(path)) if !path.dynamic => join("data", &path.names),
            Some(Target::Rule(rule, false)) => format!("rule:{rule}"),
            Some(Target::Local(name, path)) if !path.dynamic => match self.aliases.get(&name) {
                Some(alias)
                    if matches!(
                        alias.as_ref(),
                        Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. }
                    ) =>
                {
                    // `x := x.y` is no Rego.
                    join(&self.canonical(program, file, alias), &path.names)
                }
                _ => join(&format!("local:{name}"), &path.names),
            },
            _ => expr.span().text().split_whitespace().collect(),
        }
    }

    fn names_in(&mut self, pattern: &Expr) {
        walk::expression(pattern, &mut |expr| {
            if let Expr::Var { span, .. } = expr {
                self.locals.insert(span.text().to_owned());
            }
            true
        });
    }
}
