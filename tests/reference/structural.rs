//! The structural schemas of Kubernetes' custom resources, as far as ours reach: JSON Schemas in which an object
//! has no member but those that are named, and with rules in CEL. A rule that is not understood is an error.

use everycall_tests::json_schema;
use serde_json::Value;

const OPEN: &str = "x-kubernetes-preserve-unknown-fields";
const RULES: &str = "x-kubernetes-validations";

/// Everything about a value that its schema does not admit.
pub fn violations(value: &Value, schema: &Value, path: &str) -> Vec<String> {
    let mut schema = schema.clone();
    close(&mut schema);
    json_schema::violations(&schema, value, path, dialect)
}

/// Writes out that nothing else is a member.
fn close(schema: &mut Value) {
    let Some(rules) = schema.as_object_mut() else { return };
    let is_open =
        rules.get(OPEN) == Some(&Value::Bool(true)) || rules.get("type") != Some(&Value::from("object"));
    if !is_open && !rules.contains_key("additionalProperties") {
        rules.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for below in ["items", "additionalProperties"] {
        rules.get_mut(below).into_iter().for_each(close);
    }
    rules
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
        .for_each(|(_, below)| close(below));
}

fn dialect(keyword: &str, rule: &Value, value: &Value) -> Option<Vec<String>> {
    let rules = match keyword {
        RULES => rule.as_array()?,
        OPEN | "nullable" => return Some(Vec::new()),
        _ => return None,
    };
    let messages = rules.iter().map(|rule| rule["message"].as_str().unwrap_or_default());
    Some(messages.filter(|message| !holds(message, value).unwrap_or(false)).map(str::to_owned).collect())
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
        "only support waypointMatch when context is WAYPOINT" => {
            let is_waypoint = value.get("context").is_some_and(|context| context == "WAYPOINT");
            is_waypoint == value.get("waypoint").is_some()
        }
        "wildcard is not supported in selector" => !value.as_str()?.contains('*'),
        "only one of targetRefs or workloadSelector can be set" => {
            ["workloadSelector", "targetRefs"].iter().filter(|name| value.get(**name).is_some()).count() <= 1
        }
        _ => return None,
    })
}
