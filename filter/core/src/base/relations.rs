//! Which members of an object need, exclude or restrict each other. A member that is null is absent.

use schemars::Schema;
use serde_json::{json, Value};

use crate::base::patterns;

/// The member is there.
pub(crate) fn given(name: &str) -> Value {
    json!({"required": [name], "properties": {name: {"not": {"type": "null"}}}})
}

/// The member is not there.
pub(crate) fn absent(name: &str) -> Value {
    json!({"properties": {name: {"type": "null"}}})
}

fn exactly_one(names: &[&str]) -> Value {
    json!({"oneOf": names.iter().map(|name| given(name)).collect::<Vec<_>>()})
}

fn any(names: &[&str]) -> Value {
    json!({"anyOf": names.iter().map(|name| given(name)).collect::<Vec<_>>()})
}

/// The member is one of these.
pub(crate) fn is(name: &str, values: &[&str]) -> Value {
    json!({"required": [name], "properties": {name: {"enum": values}}})
}

pub(crate) fn all(schema: &mut Schema, rules: Vec<Value>) {
    schema.insert("allOf".to_owned(), Value::Array(rules));
}

pub(crate) fn keys(schema: &mut Schema) {
    all(schema, vec![exactly_one(&["inline", "remote"])]);
}

pub(crate) fn remote_keys(schema: &mut Schema) {
    let discovers = json!({"required": ["discovery"], "properties": {"discovery": {"const": true}}});
    all(schema, vec![json!({"oneOf": [given("path"), discovers]})]);
}

pub(crate) fn issuer(schema: &mut Schema) {
    let its_own = |name: &str| json!({"properties": {name: {"maxItems": 0}}});
    let spiffe = json!({"allOf": [its_own("trust_domains"), {"properties": {
        "issuer": {"pattern": patterns::SPIFFE_ISSUER},
        "algorithms": {"items": {"not": {"const": "EdDSA"}}},
    }}]});
    let other = json!({"properties": {"issuer": {"not": {"pattern": "^spiffe://"}}}});
    let rules = vec![
        json!({"if": given("profile"), "then": absent("types"), "else": given("max_lifetime_s")}),
        json!({"if": is("profile", &["spiffe"]), "then": spiffe, "else": other}),
        json!({"if": is("profile", &["spiffe", "kubernetes"]), "then": absent("id")}),
        json!({"if": given("audience_claim"), "then": {"allOf": [
            absent("profile"),
            {"required": ["required_values"], "properties": {"required_values": {"minProperties": 1}}},
        ]}}),
    ];
    all(schema, rules);
}

pub(crate) fn bundle(schema: &mut Schema) {
    let signed = any(&["signed", "remote"]);
    let rules = vec![
        any(&["inline", "signed", "remote"]),
        json!({"not": {"allOf": [given("inline"), given("signed")]}}),
        json!({"if": signed, "then": given("keys"), "else": {"allOf": [absent("keys"), absent("max_stale_s")]}}),
    ];
    all(schema, rules);
}

/// Of revocations, and of signals.
pub(crate) fn feed(schema: &mut Schema) {
    let rules = vec![
        exactly_one(&["inline", "remote"]),
        json!({"if": given("remote"), "then": given("keys"), "else": absent("keys")}),
    ];
    all(schema, rules);
}

pub(crate) fn revocation(schema: &mut Schema) {
    let issuer = json!({"allOf": [given("issuer"), given("issued_before"), absent("id")]});
    let rules = vec![
        json!({"if": is("revoke", &["issuer"]), "then": issuer, "else": given("id")}),
        json!({"if": is("revoke", &["token", "key"]), "then": given("issuer")}),
    ];
    all(schema, rules);
}

/// A shadow bundle is not fetched.
pub(crate) fn not_remote(schema: &mut Schema) {
    all(schema, vec![absent("remote")]);
}

pub(crate) fn rule_set(schema: &mut Schema) {
    all(schema, vec![json!({"if": given("entrypoint"), "then": is("input_format", &["opa-envoy"])})]);
}

pub(crate) fn grant(schema: &mut Schema) {
    let anonymous = json!({
        "properties": {"kinds": {"maxItems": 0}, "requires_elevation": {"const": false}},
        "allOf": [absent("issuer"), absent("delegation"), absent("requires_binding")],
    });
    let known = json!({"required": ["kinds"], "properties": {"kinds": {"minItems": 1}}});
    let rules = vec![
        exactly_one(&["subject", "subject_prefix", "claims"]),
        json!({"if": is("subject", &["anonymous"]), "then": anonymous, "else": known}),
        json!({"if": given("claims"), "then": {"allOf": [given("issuer"), absent("delegation")]}}),
    ];
    all(schema, rules);
}

/// Neither a claim nor its text is empty.
pub(crate) fn claims(schema: &mut Schema) {
    schema.insert("minProperties".to_owned(), json!(1));
    schema.insert("propertyNames".to_owned(), json!({"minLength": 1, "not": {"const": "/"}}));
    schema.insert("additionalProperties".to_owned(), json!({"type": "string", "minLength": 1}));
}

/// By host, as in grants.
pub(crate) fn hosts(schema: &mut Schema) {
    schema.insert("propertyNames".to_owned(), json!({"pattern": patterns::PLAIN_HOST}));
}

/// CIDR ranges by name.
pub(crate) fn networks(schema: &mut Schema) {
    let ranges = json!({"type": "array", "items": {"type": "string", "pattern": patterns::RANGE}});
    schema.insert("additionalProperties".to_owned(), ranges);
}
