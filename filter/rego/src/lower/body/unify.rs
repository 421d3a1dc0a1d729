//! What two sides must be to be one, and the forms that values must have.

use super::*;

impl Body<'_, '_> {
    /// Makes both sides one.
    pub(super) fn unify(&mut self, left: &Term, right: &Term) -> Made<()> {
        match (left, right) {
            (Term::Array(a), Term::Array(b)) if a.len() == b.len() => {
                return self.pairs(a.iter().zip(b).collect());
            }
            (Term::Array(a), Term::Array(b)) => {
                let all: Vec<&Term> = a.iter().chain(b).collect();
                for term in all {
                    self.whole(term)?;
                }
                self.push(StepKind::Test(Expr::Const(Value::Bool(false))));
                return Ok(());
            }
            (Term::Object(a), Term::Object(b)) => {
                let key = |(key, _): &(Term, Term)| match key {
                    Term::Const(key) => Some(key.clone()),
                    _ => None,
                };
                let keys: Option<(Vec<Value>, Vec<Value>)> =
                    a.iter().map(key).collect::<Option<_>>().zip(b.iter().map(key).collect::<Option<_>>());
                if let Some((left, right)) = keys {
                    let mut pairs = Vec::new();
                    for (at, key) in left.iter().enumerate() {
                        let other =
                            right.iter().position(|other| other == key).and_then(|other| b.get(other));
                        if let Some(((_, a), (_, b))) = a.get(at).zip(other) {
                            pairs.push((a, b));
                        }
                    }
                    if pairs.len() == a.len() && a.len() == b.len() {
                        return self.pairs(pairs);
                    }
                    // They bind nothing.
                    for (_, value) in a.iter().chain(b) {
                        self.whole(value)?;
                    }
                    self.push(StepKind::Test(Expr::Const(Value::Bool(false))));
                    return Ok(());
                }
            }
            _ => {}
        }
        match self.attempt(|body| body.unify_from(left, right)) {
            Err(Stop::Unready(var)) => match self.attempt(|body| body.unify_from(right, left)) {
                Err(Stop::Unready(other)) => Err(Stop::Unready(self.outermost(var, other))),
                made => made,
            },
            made => made,
        }
    }

    fn pairs(&mut self, mut open: Vec<(&Term, &Term)>) -> Made<()> {
        while !open.is_empty() {
            let before = open.len();
            let mut unready = None;
            let mut later = Vec::new();
            for (left, right) in open {
                match self.attempt(|body| body.unify(left, right)) {
                    Ok(()) => {}
                    Err(Stop::Unready(var)) => {
                        unready = Some(unready.map_or(var, |known| self.outermost(known, var)));
                        later.push((left, right));
                    }
                    Err(problem) => return Err(problem),
                }
            }
            open = later;
            if let (Some(var), true) = (unready, open.len() == before) {
                return Err(Stop::Unready(var));
            }
        }
        Ok(())
    }

    /// The value on the right, in the form on the left.
    fn unify_from(&mut self, form: &Term, value: &Term) -> Made<()> {
        let value = self.whole(value)?;
        let mut deferred = Vec::new();
        match form {
            // What is no form is a value, too.
            Term::Var(_) | Term::Array(_) | Term::Object(_) => match self.pattern(form, &mut deferred)? {
                Pattern::Bind(var) => self.push(StepKind::Let(var, value)),
                Pattern::Equal(other) => {
                    self.push(StepKind::Test(Expr::Operator(Operator::Equal, Box::new((other, value)))));
                }
                pattern => self.push(StepKind::Match(pattern, value)),
            },
            _ => {
                let other = self.whole(form)?;
                self.push(StepKind::Test(Expr::Operator(Operator::Equal, Box::new((other, value)))));
            }
        }
        self.after(deferred)
    }

    /// What a value must be. Parts that are computed are bound first and compared behind it, when all of
    /// the form is bound.
    pub(in crate::lower) fn pattern<'t>(
        &mut self,
        term: &'t Term,
        deferred: &mut Vec<(Var, &'t Term)>,
    ) -> Made<Pattern> {
        match term {
            Term::Var(var) if self.is_bound(*var) => Ok(Pattern::Equal(Expr::Local(*var))),
            Term::Var(var) => {
                if self.depths.get(*var).is_some_and(|home| *home != self.depth) {
                    return Err(Stop::Unready(*var));
                }
                self.bind(*var);
                Ok(Pattern::Bind(*var))
            }
            Term::Const(value) => Ok(Pattern::Equal(Expr::Const(value.clone()))),
            Term::Array(items) => Ok(Pattern::Array(
                items.iter().map(|item| self.pattern(item, deferred)).collect::<Made<_>>()?,
            )),
            Term::Object(members) => {
                let mut keys = Vec::with_capacity(members.len());
                for (key, _) in members {
                    keys.push(self.whole(key)?);
                }
                let mut patterns = Vec::with_capacity(members.len());
                for (key, (_, value)) in keys.into_iter().zip(members) {
                    patterns.push((key, self.pattern(value, deferred)?));
                }
                Ok(Pattern::Object(patterns))
            }
            _ => {
                let var = self.temporary();
                deferred.push((var, term));
                Ok(Pattern::Bind(var))
            }
        }
    }

    pub(in crate::lower) fn after(&mut self, deferred: Vec<(Var, &Term)>) -> Made<()> {
        let mut open = deferred;
        while !open.is_empty() {
            let before = open.len();
            let mut unready = None;
            let mut later = Vec::new();
            for (var, term) in open {
                let compared = self.attempt(|body| {
                    let value = body.whole(term)?;
                    body.push(StepKind::Test(Expr::Operator(
                        Operator::Equal,
                        Box::new((Expr::Local(var), value)),
                    )));
                    Ok(())
                });
                match compared {
                    Ok(()) => {}
                    Err(Stop::Unready(missing)) => {
                        unready = Some(unready.map_or(missing, |known| self.outermost(known, missing)));
                        later.push((var, term));
                    }
                    Err(problem) => return Err(problem),
                }
            }
            open = later;
            if let (Some(var), true) = (unready, open.len() == before) {
                return Err(Stop::Unready(var));
            }
        }
        Ok(())
    }
}
