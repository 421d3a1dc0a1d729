//! What is known of values before anything is evaluated.

use std::sync::Arc;

use everycall_rego_values::Value;

/// What a value is, as far as it matters to whether a builtin or a comparison can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A string.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An array.
    Array,
    /// A set.
    Set,
    /// An object.
    Object,
    /// Defined; nothing else is known.
    Any,
}

impl Kind {
    pub(super) const fn is_collection(self) -> bool {
        matches!(self, Self::Array | Self::Set | Self::Object)
    }

    /// What this is. Of `null` nothing is known: it takes the place of any other.
    pub(super) const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Any,
            Value::Bool(_) => Self::Boolean,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::Array,
            Value::Set(_) => Self::Set,
            Value::Object(_) => Self::Object,
        }
    }
}

/// What always stands at a path below `input`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sure {
    /// What it is.
    pub kind: Kind,
    /// So many names of its path lead to what may be `null`, and nothing is below then; 0 if none do.
    pub nullable: usize,
}

/// What is known of `input`.
pub trait InputContract {
    /// What always stands at this path; `None` where nothing may stand.
    fn sure(&self, path: &[Arc<str>]) -> Option<Sure>;
}

/// The kind that a check such as `is_number` tells.
pub(super) fn checked_by(builtin: &str) -> Option<Kind> {
    Some(match builtin {
        "is_string" => Kind::Text,
        "is_number" => Kind::Number,
        "is_boolean" => Kind::Boolean,
        "is_array" => Kind::Array,
        "is_set" => Kind::Set,
        "is_object" => Kind::Object,
        "is_null" => Kind::Any,
        _ => return None,
    })
}

/// What a builtin wants of its arguments so that it cannot fail; `None` for what can fail whatever they are,
/// such as `to_number`.
pub(super) fn wants(builtin: &str) -> Option<&'static [Kind]> {
    use Kind::{Any, Array, Number, Object, Text};
    Some(match builtin {
        "is_string" | "is_number" | "is_boolean" | "is_array" | "is_set" | "is_object" | "is_null"
        | "type_name" | "json.marshal" | "base64.is_valid" | "json.is_valid" | "semver.is_valid"
        | "regex.is_valid" => &[Any],
        "lower"
        | "upper"
        | "trim_space"
        | "strings.reverse"
        | "base64.encode"
        | "base64url.encode"
        | "base64url.encode_no_pad" => &[Text],
        "contains" | "startswith" | "endswith" | "indexof" | "indexof_n" | "split" | "trim" | "trim_left"
        | "trim_right" | "trim_prefix" | "trim_suffix" | "strings.count" => &[Text, Text],
        "replace" => &[Text, Text, Text],
        "abs" | "ceil" | "floor" | "round" | "to_number" => &[Number],
        "array.concat" => &[Array, Array],
        "array.reverse" => &[Array],
        "object.keys" => &[Object],
        // With a default there is always a value.
        "object.get" => &[Object, Any, Any],
        _ => return None,
    })
}

/// What a builtin gives.
pub(super) fn gives(builtin: &str) -> Kind {
    match builtin {
        "count" | "to_number" | "abs" | "ceil" | "floor" | "round" | "indexof" | "sum" | "strings.count"
        | "product" => Kind::Number,
        "lower"
        | "upper"
        | "trim_space"
        | "trim"
        | "trim_left"
        | "trim_right"
        | "trim_prefix"
        | "trim_suffix"
        | "concat"
        | "replace"
        | "type_name"
        | "json.marshal"
        | "substring"
        | "strings.reverse"
        | "base64.encode"
        | "base64url.encode"
        | "base64url.encode_no_pad" => Kind::Text,
        "split" | "array.concat" | "array.reverse" | "array.slice" | "sort" => Kind::Array,
        "object.keys" => Kind::Set,
        "is_string" | "is_number" | "is_boolean" | "is_array" | "is_set" | "is_object" | "is_null"
        | "contains" | "startswith" | "endswith" | "regex.match" | "glob.match" => Kind::Boolean,
        _ => Kind::Any,
    }
}
