//! What the suites on signatures and keys share.

use everycall_core::jose::{Jwks, KeyRules, Usage};
use everycall_core::token::verify_signature;
use everycall_core::Denied;
use everycall_core::{Algorithm, KeySet};
use serde_json::{json, Value};

use crate::suite::{verifier, CaseResult};

/// A configured key set of these JWKs.
pub fn key_set(keys: &[Value], algorithms: &[Algorithm]) -> Result<KeySet, String> {
    let jwks: Jwks = serde_json::from_value(json!({ "keys": keys })).map_err(|error| error.to_string())?;
    let rules = KeyRules { algorithms, usage: Usage::Signature };
    KeySet::read(&jwks, &rules).map_err(|errors| {
        let errors = errors.iter().map(|(path, message)| format!("{path}: {message}"));
        errors.collect::<Vec<_>>().join("; ")
    })
}

/// As [`key_set`], of the answer of a server.
pub fn fetched_key_set(keys: &[Value], algorithms: &[Algorithm]) -> Result<KeySet, String> {
    let rules = KeyRules { algorithms, usage: Usage::Signature };
    let body = json!({ "keys": keys }).to_string();
    KeySet::fetched(body.as_bytes(), &rules).map(|fetched| fetched.keys)
}

/// The JWK without its private members.
pub fn public(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    let members = jwk.as_object_mut().expect("a JWK");
    members.retain(|name, _| !["d", "p", "q", "dp", "dq", "qi"].contains(&name.as_str()));
    jwk
}

/// The signature of a compact JWS with these keys, in pure Rust.
pub fn verify(jws: &str, keys: &Result<KeySet, String>) -> Result<(), String> {
    let keys = keys.as_ref().map_err(|error| format!("key set: {error}"))?;
    verify_signature(jws, keys, verifier()).map_err(|Denied { reason, detail }| format!("{reason}: {detail}"))
}

/// A case that is to be refused for this reason: any other would show nothing.
pub fn refused(id: impl Into<String>, reason: &str, got: Result<(), String>) -> CaseResult {
    let for_this = got.as_ref().is_err_and(|why| why.contains(reason));
    let case = CaseResult::compare(id, false, got);
    CaseResult { agrees: for_this, note: format!("{}; expected `{reason}`", case.note), ..case }
}

/// The offered algorithm of this name; none for others, and no key is usable then.
pub fn algorithms(name: &Value) -> Vec<Algorithm> {
    name.as_str().and_then(Algorithm::named).into_iter().collect()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("expected text, got {value}"))
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("expected a list, got {value}"))
}
