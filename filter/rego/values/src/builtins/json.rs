//! `json.*`, but `json.patch`.

use super::arrays::items;
use super::objects::object;
use super::sets::{charge_finding, collect};
use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::bytes::shown;
use crate::json::{read, read_first, write, Layout};
use crate::value::{Object, Value};

pub(super) const TABLE: &[Builtin] = &[
    row("json.filter", 2, |budget, values| by_paths(budget, values, true)),
    row("json.is_valid", 1, is_valid),
    row("json.marshal", 1, |budget, values| marshal(budget, values, None)),
    row("json.marshal_with_options", 2, marshal_with_options),
    row("json.patch", 2, super::json_patch::patch),
    row("json.remove", 2, |budget, values| by_paths(budget, values, false)),
    row("json.unmarshal", 1, unmarshal),
];

fn marshal(budget: &mut Budget, arguments: &[Value], layout: Layout<'_>) -> Answer {
    let value = arguments.first().ok_or(Failure::Error("a value is expected"))?;
    let json = write(budget, value, layout)?;
    let before = layout.map_or("", |(prefix, _)| prefix);
    Ok([before, json.as_str()].concat().into())
}

fn marshal_with_options(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let expected = Failure::Error("the options are `pretty`, `prefix` and `indent`");
    let (mut pretty, mut prefix, mut indent) = (None, None, None);
    for (name, value) in object(arguments, 1)?.iter() {
        match (name.as_str(), value) {
            (Some("pretty"), Value::Bool(value)) => pretty = Some(*value),
            (Some("prefix"), Value::String(value)) => prefix = Some(&**value),
            (Some("indent"), Value::String(value)) => indent = Some(&**value),
            _ => return Err(expected),
        }
    }
    let pretty = pretty.unwrap_or(prefix.is_some() || indent.is_some());
    marshal(budget, arguments, pretty.then_some((prefix.unwrap_or(""), indent.unwrap_or("\t"))))
}

fn unmarshal(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    budget.charge(text.len().saturating_mul(2))?;
    // What is no character is read as the one for that.
    match read_first(&shown(text))? {
        // OPA looks for a token that must not come, and takes `null` for none.
        (value, rest) if rest.is_empty() || rest.starts_with("null") => Ok(value),
        _ => Err(Failure::Error("one JSON text is expected")),
    }
}

fn is_valid(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let Some(Value::String(text)) = arguments.first() else { return Ok(Value::Bool(false)) };
    budget.charge(text.len().saturating_mul(2))?;
    // What is no character is read as the one for that.
    match read(&shown(text)) {
        Ok(_) => Ok(Value::Bool(true)),
        Err(Failure::Error(_)) => Ok(Value::Bool(false)),
        Err(limit) => Err(limit),
    }
}

/// The keys on the way to a value.
pub(super) type Path = Vec<Value>;

/// A path as text, with `/` between its keys, or as an array of them.
pub(super) fn path(budget: &mut Budget, value: &Value) -> Result<Path, Failure> {
    match value {
        Value::String(text) => {
            let keys = text.matches('/').count().saturating_add(1);
            budget.charge(text.len().saturating_mul(2).saturating_add(keys.saturating_mul(8)))?;
            let key = |part: &str| Value::from(part.replace("~1", "/").replace("~0", "~"));
            Ok(match &**text {
                "" => Path::new(),
                text => text.trim_start_matches('/').split('/').map(key).collect(),
            })
        }
        Value::Array(keys) => {
            budget.charge(keys.len())?;
            Ok(keys.to_vec())
        }
        _ => Err(Failure::Error("a path is expected")),
    }
}

/// With what the paths lead to, or without it.
fn by_paths(budget: &mut Budget, arguments: &[Value], keep: bool) -> Answer {
    object(arguments, 0)?;
    let mut paths = Vec::new();
    for item in items(arguments, 1)? {
        budget.charge(8)?;
        paths.push(path(budget, item)?);
    }
    // The empty one leads nowhere.
    paths.retain(|path| !path.is_empty());
    select(budget, arguments.first().unwrap_or(&Value::Null), paths, keep)
}

/// Only what paths lead to, or all but that.
pub(super) fn select(budget: &mut Budget, value: &Value, mut paths: Vec<Path>, keep: bool) -> Answer {
    for key in paths.iter().flatten() {
        charge_finding(budget, key, paths.len())?;
    }
    // Those that begin alike are next to each other, and one that ends comes before those that go on.
    paths.sort();
    Selection { budget, keep }.of(value, &paths, 0)
}

struct Selection<'s> {
    budget: &'s mut Budget,
    keep: bool,
}

impl Selection<'_> {
    fn of(&mut self, value: &Value, paths: &[Path], depth: usize) -> Answer {
        Ok(match value {
            Value::Object(members) => {
                let mut selected = Vec::new();
                let keys = paths.chunk_by(|a, b| a.get(depth) == b.get(depth)).count();
                for (key, value) in members.iter() {
                    let (value, named) = self.child(key, value, paths, depth)?;
                    // OPA goes through what is fewer: a number is written as it is there.
                    let key = named.filter(|_| self.keep && members.len() < keys).unwrap_or(key);
                    selected.extend(value.map(|value| (key.clone(), value)));
                }
                Object::from(selected).into()
            }
            Value::Array(items) => {
                let mut selected = Vec::new();
                for (at, item) in items.iter().enumerate() {
                    selected.extend(self.child(&Value::from(at.to_string()), item, paths, depth)?.0);
                }
                selected.into()
            }
            Value::Set(items) => {
                let mut selected = Vec::new();
                for item in items.iter() {
                    selected.extend(self.child(item, item, paths, depth)?.0);
                }
                collect(self.budget, selected)?.into()
            }
            scalar => scalar.clone(),
        })
    }

    /// What stays of the value at a key, and the key as a path names it.
    fn child<'p>(
        &mut self,
        key: &Value,
        value: &Value,
        paths: &'p [Path],
        depth: usize,
    ) -> Result<(Option<Value>, Option<&'p Value>), Failure> {
        charge_finding(self.budget, key, paths.len())?;
        let start = paths.partition_point(|path| path.get(depth).is_some_and(|own| own < key));
        let from = paths.get(start..).unwrap_or_default();
        let group = from.get(..from.partition_point(|path| path.get(depth) == Some(key))).unwrap_or_default();
        let inner = depth.saturating_add(1);
        Ok(match group.first() {
            None => ((!self.keep).then(|| value.clone()), None),
            Some(path) if path.len() == inner => (self.keep.then(|| value.clone()), path.get(depth)),
            Some(path) => (Some(self.of(value, group, inner)?), path.get(depth)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::testing::compare;

    #[test]
    fn text_is_read_and_written_as_in_opa() {
        compare(&[
            (
                "json.marshal",
                r#"[{"b": 1.50, "a": "<>&\u2028\u007f\u0001\n\b/é\"\\"}]"#,
                r#""{\"a\":\"\\u003c\\u003e\\u0026\\u2028\u007f\\u0001\\n\\b/é\\\"\\\\\",\"b\":1.50}""#
                    .replace(r"\u007f", "\u{7f}")
                    .as_str(),
            ),
            ("json.marshal", r#"[{"set": [3, "x", 1]}]"#, r#""[1,3,\"x\"]""#),
            (
                "json.marshal",
                r#"[{"object": [[["<é"], 1], [{"object": [[1, 2]]}, 3], [null, 4]]}]"#,
                r#""{\"[\\\"\\\\u003cé\\\"]\":1,\"null\":4,\"{\\\"1\\\":2}\":3}""#,
            ),
            ("json.marshal", r#"[{"object": [["1", 2], [1, 3]]}]"#, r#""{\"1\":2}""#),
            (
                "json.marshal_with_options",
                r#"[{"a": [1, {}]}, {"prefix": ">", "indent": "--"}]"#,
                r#""\u003e{\n\u003e--\"a\": [\n\u003e----1,\n\u003e----{}\n\u003e--]\n\u003e}""#,
            ),
            ("json.marshal_with_options", r#"[[1], {"pretty": true}]"#, r#""[\n\t1\n]""#),
            ("json.marshal_with_options", r#"[[1], {"pretty": false, "indent": "x"}]"#, r#""[1]""#),
            ("json.marshal_with_options", r#"[[], {"prefix": "x"}]"#, r#""x[]""#),
            ("json.marshal_with_options", r#"[1, {"other": 1}]"#, "error"),
            ("json.unmarshal", r#"["{\"a\": 1, \"a\": [1.0, -0, 1E+5]}"]"#, r#"{"a":[1.0,-0,1E+5]}"#),
            ("json.unmarshal", r#"["\"\\ud83d\\ude00\\ud800\\u0041\\udc00\""]"#, "\"😀\u{fffd}A\u{fffd}\""),
            ("json.unmarshal", r#"["01"]"#, "error"),
            ("json.unmarshal", r#"["[1,]"]"#, "error"),
            ("json.unmarshal", r#"["1 2"]"#, "error"),
            ("json.unmarshal", r#"["\ufeff1"]"#, "error"),
            ("json.unmarshal", r#"[" 1 nullx"]"#, "1"),
            ("json.is_valid", r#"[" 1 nullx"]"#, "false"),
            ("json.is_valid", r#"["\"\\x\""]"#, "false"),
            ("json.is_valid", r#"[1]"#, "false"),
        ]);
        let deep = format!(r#"["{}{}"]"#, "[".repeat(500), "]".repeat(500));
        compare(&[("json.unmarshal", &deep, "limit"), ("json.is_valid", &deep, "limit")]);
    }

    #[test]
    fn paths_lead_where_they_do_in_opa() {
        compare(&[
            ("json.filter", r#"[{"a": {"b": 1, "c": 2}, "d": 3}, ["a/b", "x"]]"#, r#"{"a":{"b":1}}"#),
            ("json.filter", r#"[{"a": {"b": 1}}, {"set": ["/a/b", "a"]}]"#, r#"{"a":{"b":1}}"#),
            (
                "json.filter",
                r#"[{"a/b": 1, "c~d": 2, "": 3}, ["a~1b", "c~0d", "/"]]"#,
                r#"{"":3,"a/b":1,"c~d":2}"#,
            ),
            ("json.filter", r#"[{"a": [1, 2, 3]}, ["a/2", "a/0"]]"#, r#"{"a":[1,3]}"#),
            ("json.filter", r#"[{"a": [1, 2]}, [["a", 0]]]"#, r#"{"a":[]}"#),
            ("json.filter", r#"[{"a": 1}, ["a/b"]]"#, r#"{"a":1}"#),
            ("json.filter", r#"[{"a": 1}, ["", []]]"#, "{}"),
            ("json.filter", r#"[{"a": 1}, [1]]"#, "error"),
            ("json.filter", r#"[{"a": 1}, "a"]"#, "error"),
            ("json.remove", r#"[{"a": [1, {"b": 2, "c": 3}]}, ["a/0", "a/1/b"]]"#, r#"{"a":[{"c":3}]}"#),
            ("json.remove", r#"[{"a": {"set": [1, [2]]}}, [["a", 1], ["a", [2], "0"]]]"#, r#"{"a":[[]]}"#),
            ("json.remove", r#"[{"a": 1}, ["a/b", ""]]"#, r#"{"a":1}"#),
            ("json.remove", r#"[[], []]"#, "error"),
        ]);
    }

    #[test]
    fn bytes_that_are_no_text_are_read_as_in_opa() {
        let text = Value::String(crate::bytes::to_text(b"{\"\xff\":1,\"\xff@\":2}".to_vec()).into());
        let mut budget = Budget::new(1000, 1000);
        let read = unmarshal(&mut budget, std::slice::from_ref(&text)).ok();
        assert!(read == Value::from_json("{\"\u{fffd}\":1,\"\u{fffd}@\":2}"));
        assert!(is_valid(&mut budget, &[text]) == Ok(Value::Bool(true)));
    }
}
