//! What is known of values before anything is evaluated: members of `input` that are always there,
//! and builtins that fail on arguments of another type only.

/// What a value is, as far as it matters to whether a builtin or a comparison can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Type {
    Text,
    Number,
    Boolean,
    List,
    Set,
    Object,
    /// Defined; nothing else is known.
    Any,
}

impl Type {
    pub(super) const fn is_collection(self) -> bool {
        matches!(self, Self::List | Self::Set | Self::Object)
    }
}

/// Members of `input` that are there for every request, of callers with a credential where they are
/// below `identity`. Below the others nothing is sure.
const INPUT: &[(&str, Type)] = &[
    ("time", Type::Number),
    ("clock.weekday", Type::Text),
    ("clock.hour", Type::Number),
    ("clock.minute", Type::Number),
    ("clock.date", Type::Text),
    ("request", Type::Object),
    ("request.id", Type::Any),
    ("request.method", Type::Text),
    ("request.scheme", Type::Text),
    ("request.host", Type::Text),
    ("request.path", Type::Text),
    ("request.segments", Type::List),
    ("request.headers", Type::Object),
    ("request.query", Type::Object),
    ("connection", Type::Object),
    ("connection.networks", Type::List),
    ("identity", Type::Any),
    ("identity.kind", Type::Text),
    ("identity.id", Type::Text),
    ("identity.issuer", Type::Text),
    ("identity.credential", Type::Text),
    ("identity.claims", Type::Object),
    ("identity.principal", Type::Any),
    ("identity.actors", Type::List),
    ("identity.task", Type::Any),
    ("identity.expires_in", Type::Number),
    ("identity.bound", Type::Any),
    ("grant", Type::Object),
    ("grant.id", Type::Text),
    ("grant.purpose", Type::Text),
    ("grant.owner", Type::Text),
    ("grant.sensitivity", Type::Any),
    ("grant.params", Type::Object),
    ("elevation", Type::Any),
    ("exception", Type::Any),
    ("signals", Type::Object),
    ("signals.identity", Type::Object),
    ("signals.principal", Type::Object),
    ("signals.actors", Type::List),
    ("signals.task", Type::Object),
];

/// What stands at a path below `input`, if something always does.
pub(super) fn input(path: &str) -> Option<Type> {
    INPUT.iter().find(|(name, _)| *name == path).map(|(_, kind)| *kind)
}

/// The type that a check such as `is_number` tells.
pub(super) fn checked_by(builtin: &str) -> Option<Type> {
    Some(match builtin {
        "is_string" => Type::Text,
        "is_number" => Type::Number,
        "is_boolean" => Type::Boolean,
        "is_array" => Type::List,
        "is_set" => Type::Set,
        "is_object" => Type::Object,
        "is_null" => Type::Any,
        _ => return None,
    })
}

/// What a builtin wants of its arguments so that it cannot fail; `None` for what can fail whatever
/// the types are, such as `to_number`.
pub(super) fn wants(builtin: &str, arguments: usize) -> Option<Vec<Type>> {
    use Type::{Any, List, Number, Object, Text};
    Some(match builtin {
        "is_string" | "is_number" | "is_boolean" | "is_array" | "is_set" | "is_object" | "is_null"
        | "type_name" | "json.marshal" | "base64.is_valid" | "json.is_valid" | "semver.is_valid"
        | "regex.is_valid" => vec![Any; arguments],
        "lower"
        | "upper"
        | "trim_space"
        | "strings.reverse"
        | "base64.encode"
        | "base64url.encode"
        | "base64url.encode_no_pad"
        | "contains"
        | "startswith"
        | "endswith"
        | "indexof"
        | "indexof_n"
        | "split"
        | "replace"
        | "trim"
        | "trim_left"
        | "trim_right"
        | "trim_prefix"
        | "trim_suffix"
        | "strings.count" => vec![Text; arguments],
        "abs" | "ceil" | "floor" | "round" | "to_number" => vec![Number; arguments],
        "array.concat" | "array.reverse" => vec![List; arguments],
        "object.keys" => vec![Object; arguments],
        // With a default there is always a value.
        "object.get" => vec![Object, Any, Any],
        _ => return None,
    })
}

/// What a builtin gives.
pub(super) fn gives(builtin: &str) -> Type {
    match builtin {
        "count" | "to_number" | "abs" | "ceil" | "floor" | "round" | "indexof" | "sum" | "strings.count"
        | "product" => Type::Number,
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
        | "base64url.encode_no_pad" => Type::Text,
        "split" | "array.concat" | "array.reverse" | "array.slice" | "sort" => Type::List,
        "object.keys" => Type::Set,
        "is_string" | "is_number" | "is_boolean" | "is_array" | "is_set" | "is_object" | "is_null"
        | "contains" | "startswith" | "endswith" | "regex.match" | "glob.match" => Type::Boolean,
        _ => Type::Any,
    }
}
