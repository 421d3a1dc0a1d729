//! Terms whose variables have values, as expressions: references, comprehensions and calls among them.

use super::*;

impl Body<'_, '_> {
    pub(super) fn value(&mut self, term: &Term) -> Made<Expr> {
        match term {
            Term::Const(value) => Ok(Expr::Const(value.clone())),
            Term::Var(var) if self.is_bound(*var) => Ok(Expr::Local(*var)),
            Term::Var(var) => Err(Stop::Unready(*var)),
            Term::Ref(head, keys) => self.reference(head, keys),
            Term::Array(items) => {
                let items = self.values(items)?;
                Ok(match constants(&items) {
                    Some(values) => Expr::Const(Value::from(values)),
                    None => Expr::Array(items),
                })
            }
            Term::Set(items) => {
                let items = self.values(items)?;
                Ok(match constants(&items) {
                    Some(values) => Expr::Const(Value::Set(Set::from(values))),
                    None => Expr::Set(items),
                })
            }
            Term::Object(members) => {
                let mut made = Vec::with_capacity(members.len());
                for (key, value) in members {
                    made.push((self.value(key)?, self.value(value)?));
                }
                let constant = |(key, value): &(Expr, Expr)| match (key, value) {
                    (Expr::Const(key), Expr::Const(value)) => Some((key.clone(), value.clone())),
                    _ => None,
                };
                let members: Option<Vec<(Value, Value)>> = made.iter().map(constant).collect();
                Ok(match members.and_then(Object::unique) {
                    Some(object) => Expr::Const(Value::Object(object)),
                    None => Expr::Object(made),
                })
            }
            Term::Collect(collected, closure) => self.collect(*collected, closure),
            Term::Call(function, arguments, site) => self.call(function, arguments, *site),
            Term::In(key, value, collection) => {
                let key = key.as_ref().map(|key| self.value(key)).transpose()?;
                let value = self.value(value)?;
                let collection = self.value(collection)?;
                Ok(Expr::In(Box::new((key, value, collection))))
            }
        }
    }

    fn values(&mut self, terms: &[Term]) -> Made<Vec<Expr>> {
        terms.iter().map(|term| self.value(term)).collect()
    }

    fn collect(&mut self, collected: Collected, closure: &Closure) -> Made<Expr> {
        let mut heads = Vec::new();
        let steps = self.closed(|body| {
            let terms: Vec<&Term> = closure.heads.iter().collect();
            if !order::is_call_late(&terms) {
                heads = body.with_heads(&closure.body, &terms, &[], body.site)?.values;
                return Ok(());
            }
            // Key and value are one expression.
            let mut literals = closure.body.clone();
            let mut apart = |head: &&Term| body.term_apart(head, body.site, &mut literals);
            let terms = terms.iter().map(&mut apart).collect::<Made<Vec<_>>>()?;
            heads = body.with_heads(&literals, &terms.iter().collect::<Vec<_>>(), &[], body.site)?.values;
            Ok(())
        })?;
        let value = heads.pop().unwrap_or(Expr::Const(Value::Null));
        Ok(Expr::Collect(collected, Box::new(Collect { steps, key: heads.pop(), value })))
    }

    fn call(&mut self, function: &Function, arguments: &[Term], site: Site) -> Made<Expr> {
        let mut arguments = self.values(arguments)?;
        match function {
            Function::Operator(operator) => {
                let right = arguments.pop().unwrap_or(Expr::Const(Value::Null));
                let left = arguments.pop().unwrap_or(Expr::Const(Value::Null));
                Ok(Expr::Operator(*operator, Box::new((left, right))))
            }
            Function::Walk => {
                let over = arguments.pop().unwrap_or(Expr::Const(Value::Null));
                let var = self.temporary();
                self.push(StepKind::Walk { over, result: Pattern::Bind(var) });
                Ok(Expr::Local(var))
            }
            _ => {
                if let Some(zone) = other_zone(function, &arguments) {
                    let message = format!("the time zone `{zone}` is not offered: compute in UTC");
                    return Err(Stop::Problem(self.planner.library.message(site, &message)));
                }
                let (callee, name) = self
                    .planner
                    .callee(function)
                    .map_err(|problem| self.planner.library.message(site, &problem))?;
                let mock = self.planner.mock(&name);
                Ok(Expr::Call(Box::new(Call { callee, arguments, mock, given: None })))
            }
        }
    }

    pub(in crate::lower) fn reference(&mut self, head: &Head, keys: &[Term]) -> Made<Expr> {
        let (mut base, rest) = match head {
            Head::Term(term) => (self.value(term)?, keys),
            Head::Input => {
                let path: Path = keys.iter().map_while(name).collect();
                let rest = keys.get(path.len()..).unwrap_or_default();
                (self.planner.input(path, self.site), rest)
            }
            Head::Data => self.data(keys)?,
        };
        let stored = matches!(base, Expr::Base(_));
        let mut known = Vec::new();
        for key in rest {
            if !self.is_open(key) {
                known.push(self.value(key)?);
                continue;
            }
            let over = get(base, std::mem::take(&mut known), stored);
            let mut deferred = Vec::new();
            let pattern = self.pattern(key, &mut deferred)?;
            let var = self.temporary();
            self.push(StepKind::Scan { over, key: pattern, value: Pattern::Bind(var) });
            self.after(deferred)?;
            base = Expr::Local(var);
        }
        Ok(get(base, known, stored))
    }

    /// Where a path below `data` leads, and the keys that are left.
    fn data<'t>(&mut self, keys: &'t [Term]) -> Made<(Expr, &'t [Term])> {
        let mut path: Path = Vec::new();
        let mut rest = keys;
        while let Some((key, after)) = rest.split_first() {
            let Some(name) = name(key) else { break };
            path.push(name);
            rest = after;
            if self.planner.tree.documents.contains_key(&path) {
                let (kind, keys) = self.planner.kind(&path)?;
                if let Kind::Function(_) = kind {
                    return Err(Stop::Problem(self.planner.at(&path, "a function is no value")));
                }
                let known = rest.iter().take_while(|key| !self.is_open(key)).count();
                let keys = known.min(keys);
                return match rest.split_at_checked(keys) {
                    Some((keys, rest)) if !keys.is_empty() && kind != Kind::Complete => {
                        let id = self.planner.document(&path, keys.len());
                        Ok((Expr::Member(id, self.values(keys)?), rest))
                    }
                    _ => Ok((Expr::Document(self.planner.document(&path, 0)), rest)),
                };
            }
            if !self.planner.has_below(&path) {
                path.extend(rest.iter().map_while(self::name));
                let rest = keys.get(path.len()..).unwrap_or_default();
                return Ok((self.planner.base(path, self.site), rest));
            }
        }
        if !self.planner.has_below(&path) {
            return Ok((self.planner.base(path, self.site), rest));
        }
        let closed = rest.iter().take_while(|key| !self.is_open(key)).count();
        let keys: Vec<Option<Arc<str>>> = rest
            .iter()
            .map(|key| match key {
                Term::Const(Value::String(name)) => Some(Arc::clone(name)),
                Term::Const(Value::Number(number)) => Some(Arc::from(number.to_string())),
                _ => None,
            })
            .collect();
        self.planner.read_below(self.site, &path)?;
        let node = self.planner.node(&path, &keys, closed);
        let (known, rest) = rest.split_at_checked(closed).unwrap_or((rest, &[]));
        Ok((Expr::Node(node, self.values(known)?), rest))
    }
}

fn get(base: Expr, keys: Vec<Expr>, stored: bool) -> Expr {
    match (base, keys.is_empty()) {
        (base, true) => base,
        (base, false) => Expr::Get { base: Box::new(base), keys, stored },
    }
}

fn constants(items: &[Expr]) -> Option<Vec<Value>> {
    let constant = |item: &Expr| match item {
        Expr::Const(value) => Some(value.clone()),
        _ => None,
    };
    items.iter().map(constant).collect()
}

/// A constant time zone that is not UTC, in a call of a builtin that takes a time and a zone.
fn other_zone(function: &Function, arguments: &[Expr]) -> Option<Arc<str>> {
    let Function::Builtin(builtin) = function else { return None };
    if !matches!(builtin.name, "time.date" | "time.clock" | "time.weekday" | "time.diff" | "time.format") {
        return None;
    }
    arguments.iter().find_map(|argument| {
        let zone = match argument {
            Expr::Array(items) => match items.get(1) {
                Some(Expr::Const(Value::String(zone))) => zone,
                _ => return None,
            },
            Expr::Const(Value::Array(items)) => match items.get(1) {
                Some(Value::String(zone)) => zone,
                _ => return None,
            },
            _ => return None,
        };
        (!matches!(&**zone, "" | "UTC")).then(|| Arc::clone(zone))
    })
}
