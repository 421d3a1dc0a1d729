//! What a configuration may refer to, in its JSON Schema.

use serde_json::{json, Value};

/// The schema of a configuration as the filter takes it, with what only the command line reads.
pub(crate) fn with_references(mut schema: Value) -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let directory = "A directory in the place of `inline`, relative to this file: `**/*.rego`, `data.yaml`, `grants.yaml`, \
        `rule_sets.yaml`, `elevations.yaml` and `exceptions.yaml`.";
    let jwks = "A file with a JWK set in the place of `inline`, relative to this file.";
    let bundle = "A file in the place of `signed`, relative to this file.";
    for (kind, name, stands_for, description) in [
        ("Bundle", "directory", "inline", directory),
        ("Bundle", "file", "signed", bundle),
        ("Keys", "file", "inline", jwks),
    ] {
        let Some(kind) = schema.pointer_mut(&format!("/$defs/{kind}")) else { continue };
        widen(kind, stands_for, name);
        if let Some(rules) = kind.get_mut("allOf").and_then(Value::as_array_mut) {
            rules.push(json!({"not": {"required": [name, stands_for]}}));
        }
        if let Some(properties) = kind.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(name.to_owned(), text(description));
        }
    }
    // A set by itself, or the name of a file with one.
    let file = json!({
        "type": "object", "required": ["file"], "additionalProperties": false,
        "properties": {"file": text("A file with a JWK set, relative to this file.")},
    });
    for kind in ["Bundle", "Revocations", "Signals"] {
        let forms = schema.pointer_mut(&format!("/$defs/{kind}/properties/keys/anyOf"));
        if let Some(forms) = forms.and_then(Value::as_array_mut) {
            forms.push(file.clone());
        }
    }
    schema
}

/// Where a rule wants a member to be there, another may be there instead.
fn widen(rule: &mut Value, name: &str, other: &str) {
    match rule {
        Value::Object(members) if members.get("required") == Some(&json!([name])) => {
            *rule = json!({"anyOf": [rule.clone(), {"required": [other]}]});
        }
        Value::Object(members) => members.values_mut().for_each(|rule| widen(rule, name, other)),
        Value::Array(rules) => rules.iter_mut().for_each(|rule| widen(rule, name, other)),
        _ => {}
    }
}
