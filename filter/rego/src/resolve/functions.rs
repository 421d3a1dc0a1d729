//! Functions by their names, their calls, and what `with` puts into the place of something.

use super::*;
use crate::advice;
use crate::hir::{Replacement, Target};

impl Resolver<'_> {
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

    pub(super) fn arity(&self, function: &Function) -> Option<usize> {
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

    pub(super) fn call(
        &mut self,
        function: Function,
        arguments: Vec<Term>,
        span: &ast::Span,
    ) -> Result<Term, Problem> {
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
    pub(super) fn called(&mut self, name: &Expr, span: &ast::Span) -> Result<Function, Problem> {
        if span.text().split_once('(').is_some_and(|(name, _)| name.contains('\n')) {
            return self.problem(
                span,
                "a line that starts with a bracket is read as the arguments of the line above: turn it round",
            );
        }
        self.function(name)
    }

    pub(super) fn with(&mut self, modifier: &ast::WithModifier) -> Result<With, Problem> {
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
