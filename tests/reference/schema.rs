//! The structural schemas of Kubernetes' custom resources, as far as ours reach. A keyword or a rule
//! that is not understood is an error: nothing is passed over.
//!
//! The crate `jsonschema` would do it too, but it turns on features of `regex` and `serde_json` that
//! the module is built without, and cargo unifies features: the native tests would then run another
//! Rego than Envoy does.

use serde_json::{Map, Value};

/// Everything about a value that its schema does not admit.
pub fn violations(value: &Value, schema: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    check(value, schema, path, &mut found);
    found
}

fn check(value: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    let empty = Map::new();
    let schema = schema.as_object().unwrap_or(&empty);
    for (keyword, rule) in schema {
        let number = rule.as_u64();
        let size = |limit: fn(u64, u64) -> bool, size: usize| !limit(size as u64, number.unwrap_or(u64::MAX));
        let wrong = match (keyword.as_str(), value) {
            ("description" | "format" | "nullable" | "default", _) => false,
            ("type", _) => !is_a(value, rule.as_str().unwrap_or_default()),
            ("enum", _) => !rule.as_array().is_some_and(|options| options.contains(value)),
            ("minLength", Value::String(text)) => size(|size, limit| size >= limit, text.chars().count()),
            ("maxLength", Value::String(text)) => size(|size, limit| size <= limit, text.chars().count()),
            ("maxProperties", Value::Object(members)) => size(|size, limit| size <= limit, members.len()),
            ("pattern", Value::String(text)) => !fits(text, rule.as_str().unwrap_or_default(), path, found),
            ("required", Value::Object(members)) => {
                let names = rule.as_array().into_iter().flatten().filter_map(Value::as_str);
                let missing: Vec<&str> = names.filter(|name| !members.contains_key(*name)).collect();
                found.extend(missing.iter().map(|name| format!("{path}.{name}: missing")));
                false
            }
            ("properties" | "additionalProperties", Value::Object(_)) => false,
            ("x-kubernetes-preserve-unknown-fields", _) => false,
            ("x-kubernetes-validations", _) => {
                for rule in rule.as_array().into_iter().flatten() {
                    let message = rule["message"].as_str().unwrap_or_default();
                    if !holds(message, value).unwrap_or(false) {
                        found.push(format!("{path}: {message}"));
                    }
                }
                false
            }
            _ => {
                found.push(format!("{path}: the keyword `{keyword}` is not understood here"));
                false
            }
        };
        if wrong {
            found.push(format!("{path}: {value} breaks {keyword} {rule}"));
        }
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let known = schema.get("properties").and_then(|known| known.get(name));
        match known.or_else(|| schema.get("additionalProperties")) {
            Some(schema) => check(member, schema, &path, found),
            None => found.push(format!("{path}: unknown")),
        }
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => false,
    }
}

/// The patterns that ours meet, by hand.
fn fits(text: &str, pattern: &str, path: &str, found: &mut Vec<String>) -> bool {
    match pattern {
        "(^$|^[a-f0-9]{64}$)" => text.is_empty() || is_sha256(text),
        _ => {
            found.push(format!("{path}: the pattern `{pattern}` is not understood here"));
            true
        }
    }
}

/// 64 hexadecimal digits in lower case.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The CEL rules that ours meet, by their message; `None` for any other.
fn holds(message: &str, value: &Value) -> Option<bool> {
    let names = || value.as_object().into_iter().flatten().map(|(name, _)| name);
    Some(match message {
        "wildcard not allowed in label value match" => !value.as_str()?.contains('*'),
        "wildcard not allowed in label key match" => names().all(|name| !name.contains('*')),
        "key must not be empty" => names().all(|name| !name.is_empty()),
        "url must have schema one of [http, https, file, oci]" => {
            ["http://", "https://", "file://", "oci://"]
                .iter()
                .any(|scheme| value.as_str().is_some_and(|url| url.starts_with(scheme)))
        }
        "only one of targetRefs or selector can be set" => {
            ["selector", "targetRef", "targetRefs"].iter().filter(|name| value.get(**name).is_some()).count()
                <= 1
        }
        _ => return None,
    })
}
