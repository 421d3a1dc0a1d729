//! Results that the filter refuses whatever the call, as far as their constants say. What only the evaluation knows is
//! taken to be right: something valid stands in for it, and the core reads the whole.

use everycall_core::config::InputFormat;
use everycall_core::obligations::{self, OBLIGATIONS};
use everycall_core::policy::read_result;
use everycall_rego::syntax_tree::{Expr, RuleHead};
use serde_json::{json, Value};

use super::program::Program;
use super::rules::value;
use super::{note, Finding, DECISION_NEVER_VALID};

pub(super) fn lint(program: &Program<'_>, found: &mut Vec<Finding>) {
    for entry in &program.entries {
        let rule = format!("{}.{}", entry.package, entry.rule);
        let mut check = |file, line, result: Option<Value>| {
            if let Some(why) = result.and_then(|result| refused(entry.format(), result)) {
                let message = format!("the filter refuses whatever this is the answer to: {why}");
                note(found, file, line, &DECISION_NEVER_VALID, message);
            }
        };
        for (file, body) in program.rules.get(&rule).into_iter().flatten() {
            let result = match body.head {
                // Parts of an object that others complete, or a function.
                RuleHead::Compr { refr, .. } if !matches!(refr.as_ref(), Expr::Var { .. }) => None,
                RuleHead::Func { .. } => None,
                RuleHead::Set { .. } => Some(json!([])),
                RuleHead::Compr { .. } => value(body).map_or(Some(json!(true)), whole),
            };
            check(file, body.line, result);
        }
        if let Some((file, line, value)) = program.defaults.get(&rule) {
            check(file, *line, whole(value));
        }
    }
}

/// A result; `None` if too little of it is known.
fn whole(value: &Expr) -> Option<Value> {
    is_written(value).then(|| plain(value, "", ""))
}

/// Why the core refuses a result, whether or not it allows where that is open.
fn refused(format: InputFormat, mut result: Value) -> Option<String> {
    let name = match format {
        InputFormat::Everycall => "allow",
        InputFormat::OpaEnvoy => "allowed",
    };
    // What is unknown is found by a lint of its own, and so is an `allow` that is no boolean.
    if let Some(Value::Object(obligations)) = result.get_mut("obligations") {
        obligations.retain(|name, _| OBLIGATIONS.contains(&name.as_str()));
    }
    let judge = |result: &Value| {
        let value = everycall_rego::Value::from(result);
        let (allow, obligations) = read_result(format, &value)?;
        obligations::check(obligations, allow)
    };
    let is_open = |allow: &Value| *allow == json!(OPEN) || name == "allow" && !allow.is_boolean();
    if !result.get(name).is_some_and(is_open) {
        return judge(&result).err().map(|denied| denied.detail);
    }
    let mut either = [true, false].map(|allow| {
        if let Some(place) = result.get_mut(name) {
            *place = json!(allow);
        }
        judge(&result).err()
    });
    // With one of them it may be fine.
    let [Some(denied), Some(_)] = &mut either else { return None };
    Some(std::mem::take(&mut denied.detail))
}

/// A text that is valid wherever one is expected, for what is not known.
const OPEN: &str = "x";

/// What is written, with something valid where it is not known. `name` is the member it is, `above` the one that holds
/// it.
fn plain(expr: &Expr, name: &str, above: &str) -> Value {
    match expr {
        Expr::String { value, .. } | Expr::RawString { value, .. } | Expr::Number { value, .. } => {
            serde_json::to_value(value).unwrap_or_default()
        }
        Expr::Bool { span, .. } => json!(span.text() == "true"),
        Expr::Null { .. } => Value::Null,
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().map(|item| plain(item, "", name)).collect()
        }
        Expr::Object { fields, .. } if is_written(expr) => {
            let members = fields.iter().filter_map(|(_, key, value)| {
                let key = text(key)?;
                let value = plain(value, &key, name);
                Some((key, value))
            });
            Value::Object(members.collect())
        }
        _ => stand_in(name, above),
    }
}

/// Whether it is a constant, or a collection of which the names are.
fn is_written(expr: &Expr) -> bool {
    match expr {
        Expr::Object { fields, .. } => fields.iter().all(|(_, key, _)| text(key).is_some()),
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Array { .. }
        | Expr::Set { .. } => true,
        _ => false,
    }
}

fn text(key: &Expr) -> Option<String> {
    match key {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(|text| text.to_string())
        }
        _ => None,
    }
}

/// Something valid for the member of this name. A name that is none is refused with whatever it holds.
fn stand_in(name: &str, above: &str) -> Value {
    match (above, name) {
        // Values of headers, whose names may be anything.
        ("set" | "headers" | "response_headers_to_add", _) => json!(OPEN),
        (_, "response") => json!({"status": 403}),
        (_, "step_up") => json!({"max_age": 1}),
        (_, "status" | "http_status") => json!(403),
        (_, "max_stream_s" | "max_age") => json!(1),
        (_, "acr_values") => json!([OPEN]),
        (_, "without_pdp") => json!(false),
        (_, "remove" | "request_headers_to_remove" | "query_parameters_to_remove") => json!([]),
        (
            _,
            "obligations"
            | "set"
            | "request_headers"
            | "response_headers"
            | "headers"
            | "response_headers_to_add"
            | "dynamic_metadata"
            | "query_parameters_to_set",
        ) => json!({}),
        _ => json!(OPEN),
    }
}
