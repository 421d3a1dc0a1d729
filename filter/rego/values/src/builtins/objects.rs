//! `object.*`.

use std::cmp::Ordering;

use super::arrays::array;
use super::json::{select, Path};
use super::sets::{charge_finding, weight};
use super::{row, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::value::{Object, Set, Value};

pub(super) const TABLE: &[Builtin] = &[
    row("object.filter", 2, |budget, values| by_keys(budget, values, true)),
    row("object.get", 3, get),
    row("object.keys", 1, keys),
    row("object.remove", 2, |budget, values| by_keys(budget, values, false)),
    row("object.subset", 2, subset),
    row("object.union", 2, union),
    row("object.union_n", 1, union_n),
];

const EXPECTED: Failure = Failure::Error("an object is expected");

/// The object in this place.
pub(super) fn object(arguments: &[Value], at: usize) -> Result<&Object, Failure> {
    arguments.get(at).and_then(Value::as_object).ok_or(EXPECTED)
}

fn get(budget: &mut Budget, arguments: &[Value]) -> Answer {
    object(arguments, 0)?;
    let [object, key, default] = arguments else { return Err(EXPECTED) };
    let path = key.as_array().unwrap_or(std::slice::from_ref(key));
    let mut found = object;
    for key in path {
        charge_finding(budget, key, found.elements())?;
        match found.get(key) {
            // Of a set, as it is asked for.
            Some(_) if found.as_set().is_some() => found = key,
            Some(inner) => found = inner,
            None => return Ok(default.clone()),
        }
    }
    Ok(found.clone())
}

fn keys(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let object = object(arguments, 0)?;
    for key in object.keys() {
        let weight = weight(budget, key)?;
        budget.charge(weight)?;
    }
    Ok(object.keys().cloned().collect::<Set>().into())
}

/// With the keys that are named, or without them.
fn by_keys(budget: &mut Budget, arguments: &[Value], keep: bool) -> Answer {
    object(arguments, 0)?;
    let [object, names] = arguments else { return Err(EXPECTED) };
    budget.charge(names.elements().saturating_mul(4))?;
    let paths: Vec<Path> = match names {
        Value::Array(items) => items.iter().map(|key| vec![key.clone()]).collect(),
        Value::Set(items) => items.iter().map(|key| vec![key.clone()]).collect(),
        Value::Object(members) => members.keys().map(|key| vec![key.clone()]).collect(),
        _ => return Err(Failure::Error("an object, an array or a set is expected")),
    };
    select(budget, object, paths, keep)
}

fn union(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let (a, b) = (object(arguments, 0)?, object(arguments, 1)?);
    if a.len() == b.len() {
        arguments.iter().try_for_each(|value| budget.charge_size(value))?;
        if a == b {
            return Ok(a.clone().into());
        }
    }
    merge(budget, a, b, false).map(Value::from)
}

fn union_n(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let mut all = Object::default();
    for item in array(arguments, 0)? {
        all = merge(budget, &all, item.as_object().ok_or(EXPECTED)?, true)?;
    }
    Ok(all.into())
}

/// Both, where `b` counts; objects at one key are merged. Keys that are equal are written as in `b`,
/// or as in `a`.
fn merge(budget: &mut Budget, a: &Object, b: &Object, keys_of_b: bool) -> Result<Object, Failure> {
    for key in a.keys().chain(b.keys()) {
        let weight = weight(budget, key)?;
        budget.charge(weight.saturating_mul(2))?;
    }
    let mut both = Vec::with_capacity(a.len().saturating_add(b.len()));
    let (mut of_a, mut of_b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let order = match (of_a.peek(), of_b.peek()) {
            (None, None) => return Ok(both.into()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let first = if order.is_le() { of_a.next() } else { None };
        let second = if order.is_ge() { of_b.next() } else { None };
        match (first, second) {
            (Some((key_of_a, first)), Some((key_of_b, second))) => {
                let key = if keys_of_b { key_of_b } else { key_of_a };
                let value = match (first, second) {
                    (Value::Object(a), Value::Object(b)) => merge(budget, a, b, keys_of_b)?.into(),
                    _ => second.clone(),
                };
                both.push((key.clone(), value));
            }
            (one, other) => both.extend(one.or(other).cloned()),
        }
    }
}

fn subset(budget: &mut Budget, arguments: &[Value]) -> Answer {
    match arguments {
        [Value::Object(_), Value::Object(_)]
        | [Value::Set(_), Value::Set(_)]
        | [Value::Array(_), Value::Array(_)] => {
            let [whole, part] = arguments else { return Err(EXPECTED) };
            within(budget, whole, part).map(Value::Bool)
        }
        // Each that is found counts, also when it is found again.
        [Value::Array(whole), Value::Set(part)] => {
            let mut found = 0_usize;
            for item in whole.iter() {
                charge_finding(budget, item, part.len())?;
                found = found.saturating_add(usize::from(part.contains(item)));
            }
            Ok(Value::Bool(!whole.is_empty() && found >= part.len()))
        }
        _ => Err(Failure::Error("two of a type, or an array and a set, are expected")),
    }
}

fn within(budget: &mut Budget, whole: &Value, part: &Value) -> Result<bool, Failure> {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, part) in part.iter() {
                charge_finding(budget, key, whole.len())?;
                match whole.get(key) {
                    Some(whole) if within(budget, whole, part)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Value::Set(whole), Value::Set(part)) => {
            for item in part.iter() {
                charge_finding(budget, item, whole.len())?;
                if !whole.contains(item) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (_, Value::Array(part)) if part.is_empty() => Ok(whole.as_array().is_some()),
        (Value::Array(whole), Value::Array(part)) => {
            let mut weights = 0_usize;
            for item in part.iter() {
                weights = weights.saturating_add(weight(budget, item)?);
            }
            for window in whole.windows(part.len()) {
                budget.charge(weights)?;
                if window == &**part {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => {
            let weight = weight(budget, part)?;
            budget.charge(weight)?;
            Ok(whole == part)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::builtins::testing::compare;

    #[test]
    fn they_answer_as_opa() {
        compare(&[
            ("object.get", r#"[{"a": 1}, "a", 9]"#, "1"),
            ("object.get", r#"[{"a": 1}, "b", 9]"#, "9"),
            ("object.get", r#"[{"a": null}, "a", 9]"#, "null"),
            ("object.get", r#"[{"a": [1, {"b": 2}]}, ["a", 1, "b"], 9]"#, "2"),
            ("object.get", r#"[{"a": [1]}, ["a", "0"], 9]"#, "9"),
            ("object.get", r#"[{"a": [1]}, ["a", -1], 9]"#, "9"),
            ("object.get", r#"[{"a": {"set": [[5]]}}, ["a", [5], 0], 9]"#, "5"),
            ("object.get", r#"[{"a": "x"}, ["a", "b"], 9]"#, "9"),
            ("object.get", r#"[{"a": 1}, [], 9]"#, r#"{"a":1}"#),
            ("object.get", r#"[{"object": [[[1], 2]]}, [1], 9]"#, "9"),
            ("object.get", r#"[{"object": [[{"set": [1]}, 2]]}, {"set": [1]}, 9]"#, "2"),
            ("object.get", r#"[[1], 0, 9]"#, "error"),
            ("object.keys", r#"[{"object": [["b", 1], [1, 1]]}]"#, r#"[1,"b"]"#),
            ("object.keys", "[[]]", "error"),
            ("object.remove", r#"[{"a": 1, "b": {"a": 2}}, ["a", "x"]]"#, r#"{"b":{"a":2}}"#),
            ("object.remove", r#"[{"a": 1, "b": 2}, {"set": ["a"]}]"#, r#"{"b":2}"#),
            ("object.remove", r#"[{"a": 1, "b": 2}, {"a": 5}]"#, r#"{"b":2}"#),
            ("object.remove", r#"[{"a": 1}, "a"]"#, "error"),
            ("object.filter", r#"[{"a": 1, "b": {"a": 2}}, ["b", "x"]]"#, r#"{"b":{"a":2}}"#),
            ("object.filter", r#"[{"a": 1, "b": 2}, {"a": 5}]"#, r#"{"a":1}"#),
            ("object.filter", r#"[{"object": [[1, 2]]}, [1.0, 3]]"#, r#"{"1.0":2}"#),
            ("object.filter", r#"[[], []]"#, "error"),
            (
                "object.union",
                r#"[{"a": {"b": 1, "c": 2}}, {"a": {"b": {}}, "d": 3}]"#,
                r#"{"a":{"b":{},"c":2},"d":3}"#,
            ),
            ("object.union", r#"[{"a": {"b": 1}}, {"a": [1]}]"#, r#"{"a":[1]}"#),
            ("object.union", r#"[{"object": [[1, 2]]}, {"object": [[1.0, 3]]}]"#, r#"{"1":3}"#),
            ("object.union", r#"[{}, []]"#, "error"),
            ("object.union_n", r#"[[{"a": {"b": 1}}, {"a": 4}, {"a": {"c": 3}}]]"#, r#"{"a":{"c":3}}"#),
            ("object.union_n", r#"[[{"object": [[1, 2]]}, {"object": [[1.0, 3]]}]]"#, r#"{"1.0":3}"#),
            ("object.union_n", "[[]]", "{}"),
            ("object.union_n", "[[1]]", "error"),
            ("object.subset", r#"[{"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1}}]"#, "true"),
            ("object.subset", r#"[{"a": [1, 2, 3]}, {"a": [2, 3]}]"#, "true"),
            ("object.subset", r#"[{"a": [1, 2, 3]}, {"a": [1, 3]}]"#, "false"),
            ("object.subset", r#"[{"a": [1]}, {"a": {"set": [1]}}]"#, "false"),
            ("object.subset", r#"[{"set": [1, 2]}, {"set": [2]}]"#, "true"),
            ("object.subset", r#"[[1, 2], {"set": [2, 1]}]"#, "true"),
            ("object.subset", r#"[[1, 1], {"set": [1, 2]}]"#, "true"),
            ("object.subset", r#"[[], {"set": []}]"#, "false"),
            ("object.subset", "[[1], []]", "true"),
            ("object.subset", "[[], []]", "true"),
            ("object.subset", r#"[{"set": [1]}, [1]]"#, "error"),
            ("object.subset", "[1, 1]", "error"),
        ]);
    }
}
