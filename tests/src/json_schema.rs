//! As much of JSON Schema (draft 2020-12) as our schemas, AuthZEN's and Istio's use. A keyword that is not known
//! here is a panic: nothing is passed over.
//!
//! A crate for all of it would turn on features of `regex` and `serde_json` that the module is built without, and
//! cargo unifies features: the native tests would then run another Rego than Envoy does.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

thread_local! {
    /// Compiled once: a document meets each pattern many times.
    static PATTERNS: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

/// What a keyword of some dialect says of a value; `None` if it is not one of that dialect.
pub type Dialect = fn(keyword: &str, rule: &Value, value: &Value) -> Option<Vec<String>>;

/// Whether the value is as the schema says.
///
/// # Errors
/// Everything that is not: where, and how.
///
/// # Panics
/// The schema can't be read.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let found = violations(schema, value, "$", |_, _, _| None);
    match found.is_empty() {
        true => Ok(()),
        false => Err(found.join("; ")),
    }
}

/// Everything about a value, which stands at `path`, that the schema does not admit.
///
/// # Panics
/// The schema can't be read.
pub fn violations(schema: &Value, value: &Value, path: &str, dialect: Dialect) -> Vec<String> {
    let mut found = Vec::new();
    Checker { root: schema, dialect }.at(path, schema, value, &mut found);
    found
}

struct Checker<'s> {
    root: &'s Value,
    dialect: Dialect,
}

impl Checker<'_> {
    fn at(&self, path: &str, schema: &Value, value: &Value, found: &mut Vec<String>) {
        let rules = match schema {
            Value::Object(rules) => rules,
            Value::Bool(true) => return,
            Value::Bool(false) => return found.push(format!("{path}: unknown")),
            _ => panic!("{path}: {schema} is no schema"),
        };
        for (keyword, rule) in rules {
            let breaks = match self.applicator(path, keyword, rule, rules, value, found) {
                Some(breaks) => breaks,
                None => match (self.dialect)(keyword, rule, value) {
                    Some(messages) => {
                        found.extend(messages.into_iter().map(|message| format!("{path}: {message}")));
                        false
                    }
                    None => !holds(keyword, rule, value)
                        .unwrap_or_else(|| panic!("{path}: the keyword `{keyword}` is not known here")),
                },
            };
            if breaks {
                found.push(format!("{path}: {value} breaks {keyword} {rule}"));
            }
        }
    }

    fn admits(&self, path: &str, schema: &Value, value: &Value) -> bool {
        let mut found = Vec::new();
        self.at(path, schema, value, &mut found);
        found.is_empty()
    }

    /// Keywords that hold other schemas, and what is said about members by name. `None` for any other; whether
    /// the rule is broken as a whole, if what is found below does not say it.
    fn applicator(
        &self,
        path: &str,
        keyword: &str,
        rule: &Value,
        rules: &Map<String, Value>,
        value: &Value,
        found: &mut Vec<String>,
    ) -> Option<bool> {
        let empty = Map::new();
        let members = value.as_object().unwrap_or(&empty);
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let schemas = || rule.as_array().unwrap_or_else(|| panic!("{path}: {keyword} is no list")).iter();
        match keyword {
            "$ref" => {
                let pointer =
                    rule.as_str().and_then(|text| text.strip_prefix('#')).expect("of this document");
                let schema =
                    self.root.pointer(pointer).unwrap_or_else(|| panic!("{path}: {rule} is nowhere"));
                self.at(path, schema, value, found);
            }
            "properties" => {
                for (name, schema) in rule.as_object().expect("schemas by name") {
                    if let Some(member) = members.get(name) {
                        self.at(&format!("{path}.{name}"), schema, member, found);
                    }
                }
            }
            "additionalProperties" => {
                let known = rules.get("properties").and_then(Value::as_object).unwrap_or(&empty);
                for (name, member) in members.iter().filter(|(name, _)| !known.contains_key(*name)) {
                    self.at(&format!("{path}.{name}"), rule, member, found);
                }
            }
            "propertyNames" => {
                for name in members.keys() {
                    self.at(&format!("{path}.{name}"), rule, &Value::from(name.as_str()), found);
                }
            }
            "required" => {
                for name in schemas().map(|name| name.as_str().expect("a name")) {
                    if value.is_object() && !members.contains_key(name) {
                        found.push(format!("{path}.{name}: missing"));
                    }
                }
            }
            "prefixItems" => {
                for (index, (schema, item)) in schemas().zip(items).enumerate() {
                    self.at(&format!("{path}[{index}]"), schema, item, found);
                }
            }
            "items" => {
                let before = rules.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                for (index, item) in items.iter().enumerate().skip(before) {
                    self.at(&format!("{path}[{index}]"), rule, item, found);
                }
            }
            "allOf" => schemas().for_each(|schema| self.at(path, schema, value, found)),
            "anyOf" => return Some(!schemas().any(|schema| self.admits(path, schema, value))),
            "oneOf" => {
                return Some(schemas().filter(|schema| self.admits(path, schema, value)).count() != 1);
            }
            "not" => return Some(self.admits(path, rule, value)),
            "if" => {
                let branch = if self.admits(path, rule, value) { "then" } else { "else" };
                if let Some(schema) = rules.get(branch) {
                    self.at(path, schema, value, found);
                }
            }
            "then" | "else" => {}
            _ => return None,
        }
        Some(false)
    }
}

/// Whether a keyword's rule on the value itself holds; `None` for a keyword that is not known.
fn holds(keyword: &str, rule: &Value, value: &Value) -> Option<bool> {
    let number = rule.as_f64();
    let limit = || number.expect("a number");
    #[allow(clippy::cast_precision_loss)] // nothing here is that long
    let within = |size: Option<usize>, at_most: bool| {
        size.is_none_or(|size| if at_most { size as f64 <= limit() } else { size as f64 >= limit() })
    };
    let text = value.as_str();
    let characters = text.map(|text| text.chars().count());
    let items = value.as_array();
    let members = value.as_object().map(Map::len);
    Some(match keyword {
        "$schema" | "$id" | "$comment" | "$defs" | "title" | "description" | "default" | "example"
        | "examples" | "format" => true,
        "type" => match rule {
            Value::Array(names) => names.iter().any(|name| is_a(value, name)),
            name => is_a(value, name),
        },
        "enum" => rule.as_array().expect("a list").contains(value),
        "const" => rule == value,
        "minimum" => value.as_f64().is_none_or(|value| value >= limit()),
        "maximum" => value.as_f64().is_none_or(|value| value <= limit()),
        "minLength" => within(characters, false),
        "maxLength" => within(characters, true),
        "minItems" => within(items.map(Vec::len), false),
        "maxItems" => within(items.map(Vec::len), true),
        "minProperties" => within(members, false),
        "maxProperties" => within(members, true),
        "uniqueItems" => {
            let repeats =
                |items: &Vec<Value>| items.iter().enumerate().any(|(at, item)| items[..at].contains(item));
            rule != &Value::Bool(true) || !items.is_some_and(repeats)
        }
        "pattern" => text.is_none_or(|text| fits(text, rule.as_str().expect("a text"))),
        _ => return None,
    })
}

fn fits(text: &str, pattern: &str) -> bool {
    PATTERNS.with_borrow_mut(|patterns| {
        let compile = || Regex::new(pattern).expect("a pattern of both dialects");
        patterns.entry(pattern.to_owned()).or_insert_with(compile).is_match(text)
    })
}

fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("null") => value.is_null(),
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        // A number with a fraction of zero is one, too.
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => panic!("the type {name} is not known here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Each keyword: what it admits, and what it does not.
    #[test]
    fn each_keyword_admits_and_refuses() {
        for (schema, good, bad) in [
            (json!({"type": "integer"}), json!([1, -1, 1.0]), json!([1.5, "1", null, true])),
            (json!({"type": ["string", "null"]}), json!(["", null]), json!([1, [], {}])),
            (json!({"enum": ["a", 1]}), json!(["a", 1]), json!(["b", 2, null])),
            (json!({"const": true}), json!([true]), json!([false, 1, "true"])),
            (json!({"minimum": 1, "maximum": 3}), json!([1, 3, "x"]), json!([0, 3.5])),
            (json!({"minLength": 1, "maxLength": 2}), json!(["é", "ab", 1]), json!(["", "abc"])),
            (json!({"minItems": 1, "maxItems": 2}), json!([[1], [1, 2], {}]), json!([[], [1, 2, 3]])),
            (json!({"uniqueItems": true}), json!([[1, 2], []]), json!([[1, 2, 1]])),
            (
                json!({"minProperties": 1, "maxProperties": 1}),
                json!([{"a": 1}, []]),
                json!([{}, {"a": 1, "b": 1}]),
            ),
            (json!({"pattern": "^a+$"}), json!(["a", "aa", 1]), json!(["", "b", "ab"])),
            (json!({"required": ["a"]}), json!([{"a": null}, "x"]), json!([{}, {"b": 1}])),
            (
                json!({"properties": {"a": {"type": "null"}}}),
                json!([{"a": null}, {"b": 1}, 1]),
                json!([{"a": 1}]),
            ),
            (
                json!({"properties": {"a": true}, "additionalProperties": false}),
                json!([{"a": 1}, {}, 1]),
                json!([{"b": 1}]),
            ),
            (json!({"additionalProperties": {"type": "null"}}), json!([{"a": null}]), json!([{"a": 1}])),
            (json!({"propertyNames": {"minLength": 2}}), json!([{"ab": 1}]), json!([{"a": 1}])),
            (json!({"items": {"type": "null"}}), json!([[null], [], 1]), json!([[null, 1]])),
            (
                json!({"prefixItems": [{"type": "null"}], "items": {"type": "string"}}),
                json!([[null, "a"], []]),
                json!([["a"], [null, null]]),
            ),
            (json!({"allOf": [{"minimum": 1}, {"maximum": 1}]}), json!([1]), json!([0, 2])),
            (json!({"anyOf": [{"minimum": 1}, {"type": "null"}]}), json!([1, null]), json!([0])),
            (json!({"oneOf": [{"minimum": 1}, {"maximum": 2}]}), json!([0, 3]), json!([1, 2])),
            (json!({"not": {"type": "null"}}), json!([1]), json!([null])),
            (
                json!({"if": {"type": "null"}, "then": false, "else": {"minimum": 1}}),
                json!([1]),
                json!([null, 0]),
            ),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"minimum": 1}}}), json!([1]), json!([0])),
        ] {
            for value in good.as_array().unwrap() {
                assert_eq!(check(&schema, value), Ok(()), "{schema}");
            }
            for value in bad.as_array().unwrap() {
                assert!(check(&schema, value).is_err(), "{schema} admits {value}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "`unevaluatedProperties` is not known")]
    fn an_unknown_keyword_is_not_passed_over() {
        let _ = check(&json!({"unevaluatedProperties": false}), &json!({}));
    }
}
