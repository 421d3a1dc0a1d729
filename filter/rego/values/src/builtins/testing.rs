//! Calls of builtins as tests write them.

use super::find;
use crate::budget::{Budget, Failure};
use crate::json::write;
use crate::value::{Object, Set, Value};

/// An object with the one member `set` stands for a set of its elements, and one with `object` for an
/// object of pairs.
fn value(json: Value) -> Value {
    let all = |items: &[Value]| items.iter().cloned().map(value).collect::<Vec<_>>();
    match &json {
        Value::Array(items) => all(items).into(),
        Value::Object(members) => match (members.get_str("set"), members.get_str("object")) {
            (Some(items), _) => Set::from(all(items.as_array().unwrap())).into(),
            (_, Some(pairs)) => {
                let pair = |pair: &Value| match &all(pair.as_array().unwrap())[..] {
                    [key, value] => (key.clone(), value.clone()),
                    _ => panic!("a pair is expected"),
                };
                pairs.as_array().unwrap().iter().map(pair).collect::<Object>().into()
            }
            _ => members.iter().map(|(k, v)| (k.clone(), value(v.clone()))).collect::<Object>().into(),
        },
        _ => json,
    }
}

/// The arguments of a call, as the elements of a JSON array.
pub(crate) fn arguments(json: &str) -> Vec<Value> {
    value(Value::from_json(json).unwrap()).as_array().unwrap().to_vec()
}

/// What a call comes to, as JSON, or `error`, or `limit`.
pub(crate) fn ask(name: &str, json: &str) -> String {
    let mut budget = Budget::new(1_000_000, 1_000_000);
    let (builtin, arguments) = (find(name).unwrap(), arguments(json));
    assert_eq!(builtin.arguments, arguments.len(), "{name}");
    match (builtin.call)(&mut budget, &arguments) {
        Ok(value) => write(&mut Budget::new(0, u64::MAX), &value, None).unwrap(),
        Err(Failure::Error(_)) => "error".to_owned(),
        Err(Failure::Limit) => "limit".to_owned(),
    }
}

/// Asks all of them, and compares. A row: name, arguments, and what OPA says.
pub(crate) fn compare(rows: &[(&str, &str, &str)]) {
    for (name, arguments, expected) in rows {
        assert_eq!(ask(name, arguments), *expected, "{name}({arguments})");
    }
}
