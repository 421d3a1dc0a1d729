//! `is_*` and `type_name`.

use super::{row, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[
    row("is_array", 1, |_, values| is(values, "array")),
    row("is_boolean", 1, |_, values| is(values, "boolean")),
    row("is_null", 1, |_, values| is(values, "null")),
    row("is_number", 1, |_, values| is(values, "number")),
    row("is_object", 1, |_, values| is(values, "object")),
    row("is_set", 1, |_, values| is(values, "set")),
    row("is_string", 1, |_, values| is(values, "string")),
    row("type_name", 1, type_name),
];

/// False where it is not, as in OPA.
fn is(values: &[Value], name: &str) -> Answer {
    match values {
        [value] if value.type_name() == name => Ok(Value::Bool(true)),
        _ => Ok(Value::Bool(false)),
    }
}

fn type_name(_: &mut Budget, values: &[Value]) -> Answer {
    values.first().map(|value| Value::from(value.type_name())).ok_or(Failure::Error("a value is expected"))
}
