//! As much of JSON Schema as the published AuthZEN schemas use. A library for all of it would turn on features of
//! `regex` for the core in the same build, and patterns in policies would mean more there than in the module.

use serde_json::Value;

/// Whether the value is as the schema says.
///
/// # Errors
/// Where it is not, and how.
///
/// # Panics
/// The schema has a keyword that is not known here: nothing could be said for sure.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    at("$", schema, value)
}

fn at(path: &str, schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        match keyword.as_str() {
            "$schema" | "$id" | "$comment" | "title" | "description" | "example" | "examples" => {}
            "type" if is(value, rule) => {}
            "type" => return Err(format!("{path} is not of type {rule}: {value}")),
            "required" => {
                for name in rule.as_array().expect("a list of names").iter().filter_map(Value::as_str) {
                    if value.as_object().is_some_and(|members| !members.contains_key(name)) {
                        return Err(format!("{path} has no `{name}`"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().expect("schemas by name") {
                    value.get(name).map_or(Ok(()), |value| at(&format!("{path}.{name}"), schema, value))?;
                }
            }
            unknown => panic!("the schema at {path} has the keyword `{unknown}`, which is not known here"),
        }
    }
    Ok(())
}

fn is(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("object") => value.is_object(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        _ => panic!("the type {name} is not known here"),
    }
}
