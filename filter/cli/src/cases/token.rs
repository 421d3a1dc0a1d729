//! The tokens of cases: an honest one by default, changed where the case says so.

use everycall_core::{Algorithm, UnixTime};
use serde::Deserialize;
use serde_json::{json, Map, Value};

use super::patch;
use crate::mint::{self, MintError, TestKey};

/// A token as a case writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct TokenSpec(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// This text instead of a token.
    Raw(String),
    Signed {
        issuer: String,
        claims: Map<String, Value>,
        header: Map<String, Value>,
        key: Option<Algorithm>,
        sign: Sign,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    issuer: Option<String>,
    #[serde(default)]
    claims: Map<String, Value>,
    #[serde(default)]
    header: Map<String, Value>,
    key: Option<String>,
    sign: Option<Sign>,
    raw: Option<String>,
}

/// What is done about the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sign {
    #[default]
    Honest,
    /// It is empty.
    None,
    /// One of its bits is flipped.
    Flip,
    /// It is by another key of the same algorithm, which nobody trusts.
    Foreign,
}

impl TryFrom<Written> for TokenSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { issuer, claims, header, key, sign, raw } = written;
        if let Some(raw) = raw {
            let alone =
                issuer.is_none() && claims.is_empty() && header.is_empty() && key.is_none() && sign.is_none();
            return if alone {
                Ok(Self(Form::Raw(raw)))
            } else {
                Err("`raw` stands instead of everything else".into())
            };
        }
        let Some(issuer) = issuer else { return Err("missing field `issuer`".into()) };
        if !claims.contains_key("sub") {
            return Err("`claims` has no `sub`; null leaves it out".into());
        }
        let key = key.map(|key| key_algorithm(&key)).transpose()?;
        Ok(Self(Form::Signed { issuer, claims, header, key, sign: sign.unwrap_or_default() }))
    }
}

/// A test key goes by the name of its algorithm in lower case.
fn key_algorithm(name: &str) -> Result<Algorithm, String> {
    let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str().to_ascii_lowercase() == name);
    found.ok_or_else(|| format!("unknown `key` `{name}`; expected an algorithm in lower case"))
}

impl TokenSpec {
    /// The token's text under this configuration. `id` is its `jti`.
    ///
    /// # Errors
    /// The test key can't be read or can't sign.
    pub fn mint(&self, config: &Value, now: UnixTime, id: &str) -> Result<String, MintError> {
        let (issuer, claims, header, key, sign) = match &self.0 {
            Form::Raw(raw) => return Ok(raw.clone()),
            Form::Signed { issuer, claims, header, key, sign } => (issuer, claims, header, key, sign),
        };
        let configured = config.get("issuers").and_then(Value::as_array).into_iter().flatten();
        let configured = configured.into_iter().find(|entry| entry.get("issuer") == Some(&json!(issuer)));
        let trusted = trusted_keys(configured);
        let key = match (key, trusted.first()) {
            (Some(algorithm), _) => TestKey::of(*algorithm)?,
            (None, Some((_, id))) => TestKey::named(id)?,
            (None, None) => TestKey::es256()?,
        };
        let kid = trusted.iter().find(|(_, id)| *id == key.id()).and_then(|(kid, _)| kid.clone());
        let mut head = key.header();
        head.extend(kid.map(|kid| ("kid".to_owned(), Value::from(kid))));
        let mut body = Map::new();
        body.insert("iss".into(), json!(issuer));
        if let Some(audience) = configured.and_then(|issuer| issuer.pointer("/audiences/0")) {
            body.insert("aud".into(), json!([audience]));
        }
        body.insert("iat".into(), json!(now.secs()));
        body.insert("exp".into(), json!(patch::moment(300, now).secs()));
        body.insert("jti".into(), json!(id));
        override_members(&mut head, header, now);
        override_members(&mut body, claims, now);
        let message = mint::signing_input(&head, &body);
        let signature = match sign {
            Sign::Honest => key.signature(message.as_bytes())?,
            Sign::None => Vec::new(),
            Sign::Flip => {
                let mut signature = key.signature(message.as_bytes())?;
                signature.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                signature
            }
            Sign::Foreign => TestKey::foreign(key.algorithm())?.signature(message.as_bytes())?,
        };
        Ok(mint::compact(&message, &signature))
    }
}

/// The test keys that an issuer of the configuration trusts, in order: `kid` and test key id.
fn trusted_keys(issuer: Option<&Value>) -> Vec<(Option<String>, &'static str)> {
    let keys = issuer.and_then(|issuer| issuer.pointer("/keys/inline/keys")).and_then(Value::as_array);
    let algorithms = mint::algorithms(issuer);
    let kid = |jwk: &Value| jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
    let id = |jwk: &Value| mint::test_key_for(jwk, &algorithms);
    keys.into_iter().flatten().filter_map(|jwk| Some((kid(jwk), id(jwk)?))).collect()
}

/// Whole members are replaced, not merged: a claim is exactly what the case says. Null removes.
fn override_members(members: &mut Map<String, Value>, overrides: &Map<String, Value>, now: UnixTime) {
    for (name, value) in overrides {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), patch::at(value, now))),
        }
    }
}
