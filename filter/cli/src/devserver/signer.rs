//! Signs with the published test keys.

use std::collections::BTreeMap;

use serde_json::{json, Map, Value};

use super::issuer::DEFAULT_LIFETIME_S;
use super::Signer;
use crate::mint::{self, TestKey};

/// For each issuer the test key that its first configured key is the public half of. An issuer
/// without one gets no tokens.
pub struct TestKeys(BTreeMap<String, (TestKey, Value)>);

/// The document as the server needs it: an issuer whose keys are on a server gets a test key of its
/// first algorithm here, for this server to be that one; an issuer of a profile gets its lifetime.
///
/// # Errors
/// A test key can't be read.
pub fn with_test_keys(mut document: Value) -> anyhow::Result<Value> {
    let issuers = document.get_mut("issuers").and_then(Value::as_array_mut);
    for issuer in issuers.into_iter().flatten().filter_map(Value::as_object_mut) {
        let is_spiffe = issuer.get("profile").is_some_and(|profile| profile == "spiffe");
        let algorithm = mint::algorithms(Some(&Value::Object(issuer.clone()))).first().copied();
        if let (Some(Value::Object(keys)), Some(algorithm)) = (issuer.get_mut("keys"), algorithm) {
            if keys.remove("remote").is_some() {
                let mut jwk = TestKey::of(algorithm)?.public_jwk();
                if let Some(members) = jwk.as_object_mut().filter(|_| is_spiffe) {
                    members.insert("use".into(), "jwt-svid".into());
                }
                keys.insert("inline".into(), json!({ "keys": [jwk] }));
            }
        }
        issuer.entry("max_lifetime_s").or_insert(DEFAULT_LIFETIME_S.into());
    }
    Ok(document)
}

impl TestKeys {
    /// The test keys that the issuers of a self-contained configuration trust.
    ///
    /// # Errors
    /// A test key can't be read.
    pub fn of(document: &Value) -> anyhow::Result<Self> {
        let mut keys = BTreeMap::new();
        let issuers = document.get("issuers").and_then(Value::as_array);
        for issuer in issuers.into_iter().flatten() {
            let name = issuer.get("issuer").and_then(Value::as_str).unwrap_or_default();
            let algorithms = mint::algorithms(Some(issuer));
            let first = issuer.pointer("/keys/inline/keys/0");
            let Some(id) = first.and_then(|jwk| mint::test_key_for(jwk, &algorithms)) else {
                eprintln!(
                    "everycall devserver: the first key of `{name}` is not a test key: no tokens for it"
                );
                continue;
            };
            let jwks = issuer.pointer("/keys/inline").cloned().unwrap_or_default();
            keys.insert(name.to_owned(), (TestKey::named(id)?, jwks));
        }
        Ok(Self(keys))
    }
}

impl Signer for TestKeys {
    fn sign(&self, issuer: &str, header: Map<String, Value>, claims: Map<String, Value>) -> Option<String> {
        self.0.get(issuer)?.0.sign(&header, &claims).ok()
    }

    fn jwks(&self, issuer: &str) -> Option<Value> {
        Some(self.0.get(issuer)?.1.clone())
    }
}
