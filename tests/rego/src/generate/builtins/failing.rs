//! Calls of builtins that fail, or not, by what they get.

use super::Arg::{Any, ArrAny, Num, Of, Str};

use super::{call, Call, Out, ADDRESS, SEMVER, WORD};

/// Calls that fail, or not, by what they get: text, guard.
pub const FAILING: &[Call] = &[
    call(
        "to_number",
        &[Of(&["\"x\"", "\"1\"", "\"\"", "\"nan\"", "\" 1\"", "input.user", "input.n", "input.nil"])],
        Out::Num,
        "a in {false, true, null} | numeric(a)",
    ),
    call(
        "div",
        &[Num, Of(&["0", "1", "input.n", "input.nil", "input.m"])],
        Out::Num,
        "is_number(a); is_number(b); b != 0",
    ),
    call(
        "rem",
        &[Num, Of(&["0", "3", "input.n", "input.nil"])],
        Out::Num,
        "is_number(a); is_number(b); b != 0; floor(a) == a; floor(b) == b",
    ),
    call("plus", &[Num, Any], Out::Num, "is_number(a); is_number(b)"),
    call("mul", &[Any, Num], Out::Num, "is_number(a); is_number(b)"),
    call("count", &[Any], Out::Num, "type_name(a) in {\"array\", \"object\", \"set\", \"string\"}"),
    call("lower", &[Any], Out::Str, "is_string(a)"),
    call("startswith", &[Any, WORD], Out::Bool, "is_string(a); is_string(b)"),
    call("contains", &[Str, Any], Out::Bool, "is_string(a); is_string(b)"),
    call("max", &[Any], Out::Any, "type_name(a) in {\"array\", \"set\"}"),
    call(
        "json.unmarshal",
        &[Of(&["\"{\"", "\"\"", "\"[1]\"", "input.user", "input.nil"])],
        Out::Any,
        "is_string(a); json.is_valid(a)",
    ),
    call(
        "semver.compare",
        &[Of(&["\"1.0\"", "\"1.0.0\"", "\"v1.0.0\"", "input.user"]), SEMVER],
        Out::Num,
        "is_string(a); semver.is_valid(a)",
    ),
    call(
        "regex.match",
        &[Of(&["\"[\"", "\"a\"", "\"(\"", "\"(?=a)\"", "input.nil"]), Str],
        Out::Bool,
        "is_string(a); is_string(b); regex.is_valid(a)",
    ),
    call(
        "net.cidr_contains",
        &[Of(&["\"10.0.0.0/33\"", "\"10.0.0.0/8\"", "\"x\"", "input.user"]), ADDRESS],
        Out::Bool,
        "is_string(a); net.cidr_is_valid(a)",
    ),
    call("object.get", &[Any, Str, Any], Out::Any, "is_object(a)"),
    call("object.keys", &[Any], Out::SetStr, "is_object(a)"),
    call("array.concat", &[Any, ArrAny], Out::ArrAny, "is_array(a); is_array(b)"),
    call(
        "base64.decode",
        &[Of(&["\"YQ==\"", "\"%\"", "\"YQ\"", "input.nil"])],
        Out::Str,
        "is_string(a); base64.is_valid(a)",
    ),
    call(
        "concat",
        &[WORD, Of(&["input.roles", "input.mixed", "input.nil", "input.tags"])],
        Out::Str,
        "type_name(b) in {\"array\", \"set\"}; every x in b { is_string(x) }",
    ),
    call(
        "upper",
        &[Of(&["input.nil", "input.n", "input.user", "input.claims.role"])],
        Out::Str,
        "is_string(a)",
    ),
    call("abs", &[Any], Out::Num, "is_number(a)"),
    call(
        "numbers.range",
        // No number that is large: OPA makes all of them.
        &[Of(&["1", "1.5", "input.nil", "input.user"]), Of(&["3", "input.flag"])],
        Out::ArrNum,
        "is_number(a); is_number(b); floor(a) == a; floor(b) == b",
    ),
    call(
        "sum",
        &[Of(&["input.nums", "input.mixed", "input.nil", "data.base.list"])],
        Out::Num,
        "type_name(a) in {\"array\", \"set\"}; every x in a { is_number(x) }",
    ),
];
