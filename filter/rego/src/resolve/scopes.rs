//! Which variable a name means, and which body that is at home in.

use super::names::{declarations, mention_query};
use super::*;
use crate::library::Document;

pub(super) struct Scope {
    /// How many closures it is in.
    depth: usize,
    /// Names that are declared, each a variable.
    pub(super) declared: Vec<(String, Var)>,
    /// Names that stand in the body itself, not in closures of it.
    mentioned: BTreeSet<String>,
    /// Those of them that were met and not declared before.
    met: Vec<(String, Var)>,
}

/// What a name means.
pub(super) enum Meaning {
    Var(Var),
    /// `input` or `data`, and a path below.
    Global(Path),
}

impl Resolver<'_> {
    pub(super) fn open(&mut self, mentioned: BTreeSet<String>) {
        let scope = Scope { depth: self.depth, declared: Vec::new(), mentioned, met: Vec::new() };
        self.scopes.push(scope);
    }

    /// The scope of a body, with what stands in its heads.
    pub(super) fn open_body(&mut self, query: Option<&ast::Query>, heads: &[&Expr]) {
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

    pub(super) fn close(&mut self) {
        self.scopes.pop();
    }

    fn variable(&mut self, depth: usize) -> Var {
        self.depths.push(depth);
        self.depths.len().saturating_sub(1)
    }

    pub(super) fn declare(&mut self, span: &ast::Span) -> Result<Term, Problem> {
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

    pub(super) fn meaning(&mut self, name: &str) -> Meaning {
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
    pub(super) fn global(&self, name: &str) -> Option<Path> {
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

    /// How many names the innermost scope declares.
    pub(super) fn declared_here(&self) -> usize {
        self.scopes.last().map_or(0, |scope| scope.declared.len())
    }

    pub(super) fn declared(&mut self, span: &ast::Span) -> Result<Var, Problem> {
        match self.declare(span)? {
            Term::Var(var) => Ok(var),
            _ => self.problem(span, "a name is expected"),
        }
    }
}
