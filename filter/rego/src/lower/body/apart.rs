//! A statement that waits, as several: what is ready of it comes before the rest.

use super::*;

impl Body<'_, '_> {
    /// A statement that waits for a variable, as several: what `with` puts in the place of something, the calls
    /// and what `every` goes through come as soon as they are ready, and the rest waits. Where one of those ends
    /// in a conflict, and what binds the variable is undefined, that can be seen.
    pub(super) fn calls_apart(&mut self, literal: &Literal) -> Made<Option<Vec<Literal>>> {
        let site = literal.site;
        let mut parts = Vec::new();
        let mut rest = literal.clone();
        for with in &mut rest.with {
            if let Replacement::Value(value) = &mut with.value {
                *value = self.computed_apart(value, site, &mut parts)?;
            }
        }
        let without_with = parts.len();
        self.kind_apart(&mut rest.kind, site, &mut parts)?;
        if parts.is_empty() {
            return Ok(None);
        }
        parts.iter_mut().skip(without_with).for_each(|part| part.with.clone_from(&rest.with));
        parts.push(rest);
        Ok(Some(parts))
    }

    fn kind_apart(&mut self, kind: &mut Statement, site: Site, parts: &mut Vec<Literal>) -> Made<()> {
        let mut apart = |term: &Term| self.term_apart(term, site, parts);
        match kind {
            Statement::Expr(term @ (Term::Call(..) | Term::In(..))) => *term = term.map(&mut apart)?,
            Statement::Expr(term) => *term = apart(term)?,
            Statement::Unify(left, right) => {
                *left = apart(left)?;
                *right = apart(right)?;
            }
            Statement::Output(result, call) => {
                *call = call.map(&mut apart)?;
                *result = apart(result)?;
            }
            Statement::SomeIn(key, value, collection) => {
                for term in key.iter_mut().chain([value, collection]) {
                    *term = apart(term)?;
                }
            }
            Statement::Not(inner) => self.kind_apart(inner, site, parts)?,
            Statement::Every { domain, .. } => *domain = self.computed_apart(domain, site, parts)?,
        }
        Ok(())
    }

    /// The term without its calls and without what references begin with, each of which becomes a statement.
    pub(super) fn term_apart(&mut self, term: &Term, site: Site, parts: &mut Vec<Literal>) -> Made<Term> {
        match term {
            Term::Call(..) | Term::In(..) => {
                let var = Term::Var(self.register());
                let call = term.map(&mut |part| self.term_apart(part, site, parts))?;
                parts.push(Literal { kind: Statement::Output(var.clone(), call), with: Vec::new(), site });
                Ok(var)
            }
            Term::Ref(Head::Term(head), keys) => {
                let head = self.computed_apart(head, site, parts)?;
                let keys = keys.iter().map(|key| self.term_apart(key, site, parts)).collect::<Made<_>>()?;
                Ok(Term::Ref(Head::Term(Box::new(head)), keys))
            }
            term => term.map(&mut |part| self.term_apart(part, site, parts)),
        }
    }

    /// What stands there instead of a value that is computed.
    fn computed_apart(&mut self, term: &Term, site: Site, parts: &mut Vec<Literal>) -> Made<Term> {
        let term = self.term_apart(term, site, parts)?;
        if matches!(term, Term::Const(_) | Term::Var(_)) {
            return Ok(term);
        }
        let var = Term::Var(self.register());
        parts.push(Literal { kind: Statement::Unify(var.clone(), term), with: Vec::new(), site });
        Ok(var)
    }
}
