//! Calls: of builtins, of functions that rules are, and of what `with` puts into their place.

use super::expressions::{answered, ANY_NUMBER};
use super::*;

impl<'p> Vm<'p> {
    pub(super) fn call(&mut self, call: &'p Call) -> Outcome<Option<Value>> {
        // Most take one or two: those need no room elsewhere.
        match call.arguments.as_slice() {
            [only] => match self.eval(only)? {
                Some(only) => self.apply(call, &[only]),
                None => Ok(None),
            },
            [first, second] => {
                let Some(first) = self.eval(first)? else { return Ok(None) };
                let Some(second) = self.eval(second)? else { return Ok(None) };
                self.apply(call, &[first, second])
            }
            arguments => match self.all(arguments)? {
                Some(arguments) => self.apply(call, &arguments),
                None => Ok(None),
            },
        }
    }

    fn apply(&mut self, call: &'p Call, arguments: &[Value]) -> Outcome<Option<Value>> {
        let given = match &call.given {
            Some(given) => match self.eval(given)? {
                Some(given) => Some(given),
                None => return Ok(None),
            },
            None => None,
        };
        let given = given.as_ref();
        let mock = call.mock.and_then(|mock| self.mocks.iter().rev().find(|(at, _)| *at == mock));
        match mock.map(|(_, mock)| mock.clone()) {
            None => self.invoke(call.callee, arguments, given),
            Some(Mock::Value(value)) => Ok(Some(value)),
            Some(Mock::Callee(callee)) => {
                // Inside of what stands in its place, a function is what it was. What was evaluated is known on
                // both sides, as in OPA: whoever reads a rule first decides which functions it sees.
                let mocks = std::mem::take(&mut self.mocks);
                let value = self.invoke(callee, arguments, given)?;
                self.mocks = mocks;
                Ok(value)
            }
        }
    }

    fn invoke(
        &mut self,
        callee: Callee,
        arguments: &[Value],
        given: Option<&Value>,
    ) -> Outcome<Option<Value>> {
        match callee {
            Callee::Builtin(builtin) => answered((builtin.call)(&mut self.budget, arguments)),
            Callee::Now => Ok(self.facts.now_ns().map(|now| Value::Number(Number::from(now)))),
            Callee::Rule(id) => {
                let Some(document) = self.plan.documents.get(id) else { return Ok(None) };
                self.step()?;
                if !document.is_given {
                    return self.nested(|vm| vm.complete(document, arguments, None));
                }
                arguments.iter().try_for_each(|argument| self.search(argument, ANY_NUMBER))?;
                let at = (id, arguments.to_vec());
                if let Some(known) = self.members.get(&at) {
                    return Ok(known.clone());
                }
                let value = self.nested(|vm| vm.complete(document, arguments, given))?;
                if value.is_some() {
                    self.members.insert(at, value.clone());
                }
                Ok(value)
            }
        }
    }
}
