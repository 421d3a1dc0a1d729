//! Expressions: each has one value, or none.

use std::cmp::Ordering;

use everycall_rego_values::of_text;

use super::*;

/// How many members something has whose number is not known yet.
pub(super) const ANY_NUMBER: usize = 1_000;

impl<'p> Vm<'p> {
    pub(super) fn holds(&mut self, expr: &'p Expr) -> Outcome<bool> {
        if let Expr::Operator(Operator::Equal, operands) = expr {
            let (left, right) = &**operands;
            if let Expr::Const(value) = right {
                return self.is_equal(left, value);
            }
            if let Expr::Const(value) = left {
                return self.is_equal(right, value);
            }
            if let Expr::Collect(collected, _) = right {
                if self.is_other_kind(left, *collected)? {
                    return Ok(false);
                }
            }
        }
        Ok(!matches!(self.eval(expr)?, None | Some(Value::Bool(false))))
    }

    pub(super) fn is_equal(&mut self, expr: &'p Expr, value: &Value) -> Outcome<bool> {
        let same = match expr {
            Expr::Const(known) => equal(&mut self.budget, Some(known), value),
            Expr::Local(register) => {
                let known = self.registers.get(self.base.saturating_add(*register));
                equal(&mut self.budget, known, value)
            }
            Expr::Input(slot) => {
                let known = match &self.inputs {
                    Some(replaced) => replaced.get(*slot).and_then(Option::as_ref),
                    None => self.facts.fact(*slot),
                };
                equal(&mut self.budget, known, value)
            }
            expr => {
                let known = self.eval(expr)?;
                equal(&mut self.budget, known.as_ref(), value)
            }
        };
        same.map_err(spent)
    }

    /// Takes what it takes to put a value into a set, or to look for it there.
    pub(super) fn search(&mut self, value: &Value, among: usize) -> Outcome<()> {
        self.budget.charge_search(value, among).map_err(spent)
    }

    pub(super) fn matches(&mut self, pattern: &'p Pattern, value: &Value) -> Outcome<bool> {
        match pattern {
            Pattern::Any => Ok(true),
            Pattern::Bind(register) => {
                self.set(*register, value.clone());
                Ok(true)
            }
            Pattern::Equal(expr) => self.is_equal(expr, value),
            Pattern::Array(patterns) => {
                let Value::Array(items) = value else { return Ok(false) };
                if items.len() != patterns.len() {
                    return Ok(false);
                }
                for (pattern, item) in patterns.iter().zip(items.iter()) {
                    if !self.matches(pattern, item)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Pattern::Object(patterns) => {
                let Value::Object(members) = value else { return Ok(false) };
                if members.len() != patterns.len() {
                    return Ok(false);
                }
                for (key, pattern) in patterns {
                    let Some(key) = self.eval(key)? else { return Ok(false) };
                    self.search(&key, members.len())?;
                    let Some(value) = members.get(&key) else { return Ok(false) };
                    if !self.matches(pattern, value)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Whether a reference says that a comprehension of this kind can't be equal to it, so that OPA does not
    /// evaluate the comprehension: it has no value, or a rule gives it one of another kind. What OPA reads from
    /// `data` itself it compares the other way round, with the comprehension's value.
    fn is_other_kind(&mut self, reference: &'p Expr, collected: Collected) -> Outcome<bool> {
        let mut base = reference;
        while let Expr::Get { base: inner, stored: false, .. } = base {
            base = inner;
        }
        let is_stored = match base {
            Expr::Local(_) | Expr::Input(_) => false,
            Expr::Document(id) | Expr::Member(id, _) => self.is_replaced(*id),
            Expr::Base(_) | Expr::Node(..) | Expr::Get { .. } => true,
            _ => return Ok(false),
        };
        Ok(match (self.eval(reference)?, collected) {
            (None, _) => true,
            (Some(Value::Array(_)), Collected::Array)
            | (Some(Value::Set(_)), Collected::Set)
            | (Some(Value::Object(_)), Collected::Object) => false,
            _ => !is_stored,
        })
    }

    pub(super) fn all(&mut self, exprs: &'p [Expr]) -> Outcome<Option<Vec<Value>>> {
        let mut values = Vec::with_capacity(exprs.len());
        for expr in exprs {
            match self.eval(expr)? {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(values))
    }

    pub(super) fn eval(&mut self, expr: &'p Expr) -> Outcome<Option<Value>> {
        match expr {
            Expr::Const(value) => Ok(Some(value.clone())),
            Expr::Local(register) => Ok(self.local(*register).cloned()),
            Expr::Input(slot) => Ok(self.input(*slot).cloned()),
            Expr::Base(slot) => Ok(self.base(*slot).cloned()),
            Expr::Document(id) => self.document(*id),
            Expr::Member(id, keys) => match self.all(keys)? {
                Some(keys) => self.member(*id, keys),
                None => Ok(None),
            },
            Expr::Node(node, keys) => self.node(*node, keys),
            Expr::Get { base, keys, stored } => self.get(base, keys, *stored),
            Expr::Array(items) => {
                self.charge(items.len())?;
                self.all(items)?.map(|items| shallow(Value::from(items))).transpose()
            }
            Expr::Set(items) => {
                self.charge(items.len())?;
                let Some(items) = self.all(items)? else { return Ok(None) };
                items.iter().try_for_each(|item| self.search(item, items.len()))?;
                shallow(Value::Set(Set::from(items))).map(Some)
            }
            Expr::Object(members) => {
                self.charge(members.len())?;
                let mut made = Vec::with_capacity(members.len());
                for (key, value) in members {
                    let Some(key) = self.eval(key)? else { return Ok(None) };
                    let Some(value) = self.eval(value)? else { return Ok(None) };
                    self.search(&key, members.len())?;
                    made.push((key, value));
                }
                shallow(Value::Object(Object::from(made))).map(Some)
            }
            Expr::Collect(collected, collect) => self.collect(*collected, collect).map(Some),
            Expr::Operator(operator, operands) => {
                let (left, right) = &**operands;
                let Some(left) = self.eval(left)? else { return Ok(None) };
                let Some(right) = self.eval(right)? else { return Ok(None) };
                self.operate(*operator, &left, &right)
            }
            Expr::Call(call) => self.call(call),
            Expr::In(parts) => {
                let (key, value, collection) = &**parts;
                let key = match key {
                    Some(key) => match self.eval(key)? {
                        Some(key) => Some(key),
                        None => return Ok(None),
                    },
                    None => None,
                };
                let Some(value) = self.eval(value)? else { return Ok(None) };
                let Some(collection) = self.eval(collection)? else { return Ok(None) };
                self.is_in(key.as_ref(), &value, &collection).map(|is_in| Some(Value::Bool(is_in)))
            }
        }
    }

    pub(super) fn is_in(&mut self, key: Option<&Value>, value: &Value, collection: &Value) -> Outcome<bool> {
        if let Some(key) = key {
            self.search(key, collection.members())?;
            let same = equal(&mut self.budget, collection.get(key), value);
            return same.map_err(spent);
        }
        if let Value::Set(items) = collection {
            self.search(value, items.len())?;
            return Ok(items.contains(value));
        }
        self.charge(collection.members())?;
        for at in 0..collection.members() {
            let member = collection.member(at).map(|(_, member)| member);
            if equal(&mut self.budget, member, value).map_err(spent)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keys are known before what they are looked up in: where one is undefined, nothing else is evaluated.
    pub(super) fn get(&mut self, base: &'p Expr, keys: &'p [Expr], stored: bool) -> Outcome<Option<Value>> {
        // There is rarely more than one.
        let (mut first, mut more) = (None, Vec::new());
        for key in keys {
            if matches!(key, Expr::Const(Value::String(_))) {
                continue;
            }
            let Some(key) = self.eval(key)? else { return Ok(None) };
            self.search(&key, ANY_NUMBER)?;
            match first {
                None => first = Some(key),
                Some(_) => more.push(key),
            }
        }
        let mut found = first.into_iter().chain(more);
        let is_put = match (base, &self.replaced) {
            (Expr::Base(slot), Some(replaced)) => {
                self.plan.bases.get(*slot).is_some_and(|(path, _)| replaced.puts(path))
            }
            _ => false,
        };
        let stored = stored && !is_put;
        let Some(mut value) = self.eval(base)? else { return Ok(None) };
        for key in keys {
            let evaluated = match key {
                Expr::Const(Value::String(_)) => None,
                _ => found.next(),
            };
            let key = match (key, &evaluated) {
                (_, Some(key)) | (Expr::Const(key), None) => key,
                _ => return Ok(None),
            };
            let inner = if stored { value.get_stored(key) } else { value.get(key) };
            match inner.cloned() {
                Some(inner) => value = inner,
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    pub(super) fn collect(&mut self, collected: Collected, collect: &'p Collect) -> Outcome<Value> {
        let mut values = Vec::new();
        let mut keys = Vec::new();
        self.closed(&collect.steps, &mut |vm| {
            vm.charge(1)?;
            if let Some(key) = &collect.key {
                let Some(key) = vm.eval(key)? else { return Ok(Flow::More) };
                let Some(value) = vm.eval(&collect.value)? else { return Ok(Flow::More) };
                vm.search(&key, ANY_NUMBER)?;
                keys.push((key, value));
            } else if let Some(value) = vm.eval(&collect.value)? {
                if collected == Collected::Set {
                    vm.search(&value, ANY_NUMBER)?;
                }
                values.push(value);
            }
            Ok(Flow::More)
        })?;
        self.charge(values.len().saturating_add(keys.len()))?;
        match collected {
            Collected::Array => shallow(Value::from(values)),
            Collected::Set => shallow(Value::Set(Set::from(values))),
            Collected::Object => {
                let made = Object::unique(keys).map(Value::Object).ok_or_else(|| {
                    Halt::Conflict("an object that is made of the solutions of a body".to_owned())
                });
                made.and_then(shallow)
            }
        }
    }

    pub(super) fn operate(
        &mut self,
        operator: Operator,
        left: &Value,
        right: &Value,
    ) -> Outcome<Option<Value>> {
        let compared = match operator {
            Operator::Equal | Operator::NotEqual => {
                let same = equal(&mut self.budget, Some(left), right);
                same.map(|same| same == matches!(operator, Operator::Equal))
            }
            Operator::Less => self.order(left, right).map(Ordering::is_lt),
            Operator::LessOrEqual => self.order(left, right).map(Ordering::is_le),
            Operator::Greater => self.order(left, right).map(Ordering::is_gt),
            Operator::GreaterOrEqual => self.order(left, right).map(Ordering::is_ge),
            Operator::Arithmetic(operator) => {
                return answered(arithmetic(&mut self.budget, operator, left, right));
            }
            Operator::And => return answered(set_and(&mut self.budget, left, right)),
            Operator::Or => return answered(set_or(&mut self.budget, left, right)),
        };
        answered(compared.map(Value::Bool))
    }

    /// How values compare. Texts that hold bytes which are no text compare by their bytes.
    fn order(&mut self, left: &Value, right: &Value) -> Result<Ordering, Failure> {
        let order = self.budget.compare(left, right)?;
        match (left, right) {
            (Value::String(left), Value::String(right)) => Ok(of_text(left).cmp(&of_text(right))),
            _ => Ok(order),
        }
    }
}

/// What is made is not too deep: values are compared, written and dropped by going down into them, and the
/// module's stack ends.
pub(super) fn shallow(value: Value) -> Outcome<Value> {
    match value.depth() {
        0..=VALUE_DEPTH => Ok(value),
        _ => Err(Halt::Limit("many values inside each other")),
    }
}

/// An error of a builtin is undefined.
pub(super) fn answered(answer: Result<Value, Failure>) -> Outcome<Option<Value>> {
    match answer {
        Ok(value) => shallow(value).map(Some),
        Err(Failure::Error(_)) => Ok(None),
        Err(Failure::Limit) => Err(spent(Failure::Limit)),
    }
}

/// Whether what is there is this value.
pub(super) fn equal(budget: &mut Budget, known: Option<&Value>, value: &Value) -> Result<bool, Failure> {
    match (known, value) {
        (None, _) => Ok(false),
        // Most are short.
        (Some(Value::String(known)), Value::String(text)) if known.len() != text.len() => Ok(false),
        (Some(known), value) => budget.compare(known, value).map(Ordering::is_eq),
    }
}
