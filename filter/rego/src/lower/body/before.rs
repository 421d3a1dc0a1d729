//! What a statement is made of, as far as it is evaluated before the statement itself.

use super::*;

impl Body<'_, '_> {
    /// The calls that a term is made of evaluated here, where it can be seen that those come first: OPA evaluates
    /// calls before all else in an expression.
    pub(super) fn calls_first<'t>(&mut self, term: &'t Term) -> Made<Cow<'t, Term>> {
        Ok(if order::is_call_late(&[term]) {
            Cow::Owned(term.map(&mut |part| self.without_calls(part))?)
        } else {
            Cow::Borrowed(term)
        })
    }

    /// The same with what it is made of evaluated here.
    pub(super) fn parts_before(&mut self, term: &Term) -> Made<Term> {
        match term {
            Term::Ref(..) => self.side(term),
            term => self.calls_first(term)?.map(&mut |part| self.before(part)),
        }
    }

    pub(super) fn before_all(&mut self, terms: Vec<Term>) -> Made<Vec<Term>> {
        match self.parts_before(&Term::Array(terms))? {
            Term::Array(terms) => Ok(terms),
            term => Ok(vec![term]),
        }
    }

    /// A reference or comprehension that stays where it is, but for what it is made of.
    pub(super) fn side(&mut self, term: &Term) -> Made<Term> {
        match term {
            Term::Ref(head, keys) => {
                let head = match head {
                    Head::Term(inner) if !matches!(**inner, Term::Var(_) | Term::Collect(..)) => {
                        Head::Term(Box::new(self.before(inner)?))
                    }
                    head => head.clone(),
                };
                Ok(Term::Ref(head, self.before_all(keys.clone())?))
            }
            Term::Collect(..) => Ok(term.clone()),
            term => self.before(term),
        }
    }

    /// The same with its calls evaluated here, as far as they are ready.
    pub(super) fn without_calls(&mut self, term: &Term) -> Made<Term> {
        match term {
            Term::Call(..) | Term::In(..) => match self.attempt(|body| body.before(term)) {
                Err(Stop::Unready(_)) => Ok(term.clone()),
                made => made,
            },
            term => term.map(&mut |part| self.without_calls(part)),
        }
    }

    /// The same with all that is computed evaluated here.
    pub(super) fn before(&mut self, term: &Term) -> Made<Term> {
        match term {
            Term::Const(_) | Term::Var(_) => Ok(term.clone()),
            Term::Array(_) | Term::Set(_) | Term::Object(_) => self.parts_before(term),
            _ => {
                let value = self.whole(term)?;
                let var = self.temporary();
                self.push(StepKind::Let(var, value));
                Ok(Term::Var(var))
            }
        }
    }
}
