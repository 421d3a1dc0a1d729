//! regorus' interpreter, which decides where OPA can't: it goes on with undefined where a builtin fails.

use std::collections::{BTreeMap, BTreeSet};

use everycall_rego::Value;

use crate::ours::Ours;

/// As [`crate::ours::evaluate`]. A panic counts as no answer: it has some.
pub fn evaluate(modules: &[(String, String)], data: &Value, input: Option<&Value>, entry: &str) -> Ours {
    std::panic::catch_unwind(|| answer(modules, data, input, entry))
        .unwrap_or_else(|_| Ours::Refused("it panicked".to_owned()))
}

/// Its panics are not told one by one.
pub fn quiet() {
    std::panic::set_hook(Box::new(|_| ()));
}

fn answer(modules: &[(String, String)], data: &Value, input: Option<&Value>, entry: &str) -> Ours {
    let mut engine = regorus::Engine::new();
    engine.set_strict_builtin_errors(false);
    for (name, text) in modules {
        if let Err(error) = engine.add_policy(name.clone(), text.clone()) {
            return Ours::Refused(error.to_string());
        }
    }
    if let Err(error) = engine.add_data(to_regorus(data)) {
        return Ours::Error(error.to_string());
    }
    if let Some(input) = input {
        engine.set_input(to_regorus(input));
    }
    match engine.eval_query(entry.to_owned(), false) {
        Err(error) => {
            let message = error.to_string();
            match COMPILE_ERRORS.iter().any(|sign| message.contains(sign)) {
                true => Ours::Refused(message),
                false => Ours::Error(message),
            }
        }
        Ok(results) => match results.result.first().and_then(|result| result.expressions.first()) {
            None => Ours::Undefined,
            Some(expression) if expression.value == regorus::Value::Undefined => Ours::Undefined,
            Some(expression) => Ours::Value(from_regorus(&expression.value)),
        },
    }
}

/// What its messages say about programs that it doesn't take at all.
const COMPILE_ERRORS: &[&str] =
    &["could not find function", "unsafe", "is not defined", "undefined var", "recursi"];

fn to_regorus(value: &Value) -> regorus::Value {
    match value {
        Value::Set(items) => regorus::Value::from(items.iter().map(to_regorus).collect::<BTreeSet<_>>()),
        Value::Array(items) => regorus::Value::from(items.iter().map(to_regorus).collect::<Vec<_>>()),
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| (to_regorus(key), to_regorus(value)));
            regorus::Value::from(members.collect::<BTreeMap<_, _>>())
        }
        scalar => {
            regorus::Value::from_json_str(&scalar.to_json().to_string()).unwrap_or(regorus::Value::Null)
        }
    }
}

fn from_regorus(value: &regorus::Value) -> Value {
    match value {
        regorus::Value::Set(items) => {
            Value::from(items.iter().map(from_regorus).collect::<everycall_rego::Set>())
        }
        regorus::Value::Array(items) => Value::from(items.iter().map(from_regorus).collect::<Vec<_>>()),
        regorus::Value::Object(members) => Value::from(
            members
                .iter()
                .map(|(key, value)| (from_regorus(key), from_regorus(value)))
                .collect::<everycall_rego::Object>(),
        ),
        scalar => scalar.to_json_str().ok().and_then(|text| Value::from_json(&text)).unwrap_or(Value::Null),
    }
}
