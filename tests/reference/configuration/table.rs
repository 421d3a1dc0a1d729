//! The rows of the table.

use serde_json::{json, Value};

use super::valid::OBJECTS;
use super::{is_required, keys_of, range, COLUMNS};
use crate::schemas::about;
use crate::tables::{linked, table, Link};

/// What the keys' sentences name, and where it is.
const LINKS: &[Link] = &[
    ("issuers[].profile", "A preset", "identity.md#profiles"),
    ("trusted_headers", "removed from the client's request", "README.md#removed-from-the-clients-request"),
    ("bundle.remote", "signed bundle files", "#bundles-from-a-server"),
    (
        "bundle.inline.rule_sets.*.input_format",
        "that of OPA's plugin for Envoy",
        "../policies/README.md#policies-of-opa-envoy",
    ),
    ("bundle.inline.rule_sets.*.shadow", "not obeyed", "../policies/README.md#shadows"),
    ("bundle.inline.grants", "Who is entitled to what", "../policies/README.md#which-grant-decides"),
    ("bundle.inline.grants[].requires_elevation", "elevation", "../policies/README.md#elevations"),
    ("bundle.inline.elevations", "approved for hours", "../policies/README.md#elevations"),
    ("bundle.inline.exceptions", "somebody answers for", "identity.md#api-keys-and-exceptions"),
    ("pdps.*.protocol", "speaks", "../policies/README.md#decision-points"),
    ("pdps.*.headers", "all but secret ones", "../policies/README.md#decision-points"),
    ("source", "Where the client's address comes from", "identity.md#the-source-address"),
    ("streams", "Admitted requests that stay open", "README.md#streams"),
    ("log.to", "into the access log", "README.md#operations"),
    ("shadow", "not obeyed", "../policies/README.md#shadows"),
    ("revocations", "was revoked", "#revocations"),
    ("signals", "known of callers and tasks", "#signals"),
    ("observe", "the first days", "../policies/README.md#the-first-days"),
];

/// What stands below a key, if it is an object, or a list or a map of them.
fn objects_below(key: &str) -> Option<(&'static str, String)> {
    let forms = [("object", ""), ("list of objects", "[]"), ("map of objects", ".*")];
    let mut forms = forms.into_iter().map(|(word, suffix)| (word, format!("{key}{suffix}")));
    forms.find(|(_, name)| OBJECTS.contains(&name.as_str()))
}

/// The word for what the schema says of a value.
pub(super) fn word(schema: &Value, part: &Value) -> String {
    let forms = part.get("anyOf").or_else(|| part.get("oneOf")).and_then(Value::as_array);
    let forms: Vec<&Value> =
        forms.into_iter().flatten().filter(|form| form.get("type") != Some(&json!("null"))).collect();
    let words = |values: &[&Value]| {
        let words = values.iter().map(|value| format!("`{}`", value.as_str().unwrap()));
        words.collect::<Vec<_>>().join(", ")
    };
    if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
        return match reference.strip_prefix("#/$defs/").unwrap() {
            "Jwks" => "JWK set".into(),
            name => word(schema, &schema["$defs"][name]),
        };
    }
    if let Some(values) = part.get("enum").and_then(Value::as_array) {
        return words(&values.iter().filter(|value| !value.is_null()).collect::<Vec<_>>());
    }
    let constants: Vec<&Value> = forms.iter().filter_map(|form| form.get("const")).collect();
    if !constants.is_empty() && constants.len() == forms.len() {
        return words(&constants);
    }
    if let [form] = forms[..] {
        return word(schema, form);
    }
    let types: Vec<&str> = match &part["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect(),
        _ => Vec::new(),
    };
    match types[..] {
        ["string"] => "text".into(),
        ["integer"] => "integer".into(),
        ["boolean"] => "boolean".into(),
        ["array"] => format!("list of {}", word(schema, &part["items"])),
        ["object"] => match &part["additionalProperties"] {
            Value::Bool(true) | Value::Null => "map of any values".into(),
            value => format!("map of {}", word(schema, value).replace("list of", "lists of")),
        },
        ["string", "number", "boolean"] => "text, number or boolean".into(),
        _ => panic!("no word for {part}"),
    }
}

/// JSON with blanks between.
fn spaced(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(spaced).collect())),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{name:?}: {}", spaced(value));
            format!("{{{}}}", list(members.iter().map(member).collect()))
        }
        other => other.to_string(),
    }
}

/// The rows of an object, those of what stands below a key behind it.
fn rows(schema: &Value, parent: &str, into: &mut Vec<Vec<String>>) {
    for key in keys_of(parent) {
        let part = about(schema, &key).unwrap_or_else(|| panic!("the schema has no `{key}`"));
        let below = objects_below(&key);
        let kind = match &below {
            Some((word, _)) => (*word).to_owned(),
            // What stands in it is said once.
            None if key == "shadow" => "object, as bundle".into(),
            None => match word(schema, part).as_str() {
                "integer" => format!("integer, {}", range(&key).unwrap()),
                other => other.to_owned(),
            },
        };
        let default = match part.get("default") {
            _ if is_required(&key) => "required".into(),
            None | Some(Value::Object(_)) => "none".into(),
            Some(Value::Array(items)) if items.is_empty() => "none".into(),
            Some(Value::String(text)) if !text.is_empty() => format!("`{text}`"),
            Some(value) => format!("`{}`", spaced(value)),
        };
        let meaning = linked(LINKS, &key, part["description"].as_str().unwrap());
        into.push(vec![format!("`{key}`"), kind, default, meaning]);
        if let Some((_, below)) = below {
            rows(schema, &below, into);
        }
    }
}

/// All keys: in their order, with their ranges and whether they are required, as the core has it; with types,
/// defaults and meanings as the schema has them. The tests below hold the one to the other.
pub fn table_of_keys() -> String {
    let mut all = Vec::new();
    rows(&crate::schemas::schema(&["config", "--resolved"]), "", &mut all);
    table(&COLUMNS, all)
}
