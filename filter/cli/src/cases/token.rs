//! The tokens of cases: an honest one by default, changed where the case says so.

use everycall_core::{Algorithm, UnixTime};
use serde::Deserialize;
use serde_json::{json, Map, Value};

use super::patch;
use crate::mint::{self, MintError, TestKey};

/// A token as a case writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "cli", schemars(with = "Written"))]
#[serde(try_from = "Written")]
pub struct TokenSpec {
    form: Form,
    /// What stands before it in the header `authorization`.
    scheme: String,
}

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
        /// The test key that it is bound to.
        bind: Option<Algorithm>,
    },
}

/// A token as a case writes it: an honest one of its issuer but for what is said here.
#[derive(Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "cli", schemars(rename = "Token", transform = super::schema::token))]
#[serde(deny_unknown_fields)]
struct Written {
    /// An issuer of the configuration.
    issuer: Option<String>,
    /// Claims in the place of the honest ones; null leaves one out.
    #[serde(default)]
    claims: Map<String, Value>,
    /// Header parameters, likewise.
    #[serde(default)]
    header: Map<String, Value>,
    /// What signs it; absent: the issuer's first key.
    key: Option<KeyName>,
    sign: Option<Sign>,
    /// The test key whose thumbprint stands in `cnf`.
    bind: Option<KeyName>,
    /// This text instead of a token.
    raw: Option<String>,
    /// What stands before it in the header `authorization`; absent: `Bearer`.
    scheme: Option<String>,
}

/// What is done about the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Sign {
    /// As it has to be.
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
        let Written { issuer, claims, header, key, sign, bind, raw, scheme } = written;
        let scheme = scheme.unwrap_or_else(|| "Bearer".to_owned());
        if let Some(raw) = raw {
            let members = claims.is_empty() && header.is_empty();
            let alone = issuer.is_none() && key.is_none() && sign.is_none() && bind.is_none();
            return if members && alone {
                Ok(Self { form: Form::Raw(raw), scheme })
            } else {
                Err("`raw` stands instead of everything else but `scheme`".into())
            };
        }
        let Some(issuer) = issuer else { return Err("missing field `issuer`".into()) };
        if !claims.contains_key("sub") {
            return Err("`claims` has no `sub`; null leaves it out".into());
        }
        let (key, bind) = (key.map(|key| key.0), bind.map(|key| key.0));
        let form = Form::Signed { issuer, claims, header, key, sign: sign.unwrap_or_default(), bind };
        Ok(Self { form, scheme })
    }
}

/// A test key goes by the name of its algorithm in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct KeyName(pub(super) Algorithm);

impl TryFrom<String> for KeyName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let found = Algorithm::ALL.into_iter().find(|found| found.as_str().to_ascii_lowercase() == name);
        found.map(Self).ok_or_else(|| format!("unknown `key` `{name}`; expected an algorithm in lower case"))
    }
}

impl Sign {
    /// The signature of this key over a signing input, or what the case puts in its place.
    pub(super) fn apply(self, key: &TestKey, message: &str) -> Result<Vec<u8>, MintError> {
        let message = message.as_bytes();
        Ok(match self {
            Sign::Honest => key.signature(message)?,
            Sign::None => Vec::new(),
            Sign::Flip => {
                let mut signature = key.signature(message)?;
                signature.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                signature
            }
            Sign::Foreign => TestKey::foreign(key.algorithm())?.signature(message)?,
        })
    }
}

impl TokenSpec {
    /// The token's text under this configuration. `id` is its `jti`.
    ///
    /// # Errors
    /// The test key can't be read or can't sign.
    pub fn mint(&self, config: &Value, now: UnixTime, id: &str) -> Result<String, MintError> {
        let (issuer, claims, header, key, sign, bind) = match &self.form {
            Form::Raw(raw) => return Ok(raw.clone()),
            Form::Signed { issuer, claims, header, key, sign, bind } => {
                (issuer, claims, header, key, sign, bind)
            }
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
        if let Some(algorithm) = bind {
            let thumbprint = Value::from(TestKey::of(*algorithm)?.thumbprint()?);
            // Beside what the case puts into `cnf` itself.
            match body.entry("cnf").or_insert_with(|| json!({})) {
                Value::Object(members) => drop(members.insert("jkt".to_owned(), thumbprint)),
                other => *other = json!({"jkt": thumbprint}),
            }
        }
        let message = mint::signing_input(&head, &body);
        Ok(mint::compact(&message, &sign.apply(&key, &message)?))
    }

    /// The value of the header `authorization` with this token.
    pub(super) fn behind_scheme(&self, token: &str) -> String {
        format!("{} {token}", self.scheme)
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
pub(super) fn override_members(
    members: &mut Map<String, Value>,
    overrides: &Map<String, Value>,
    now: UnixTime,
) {
    for (name, value) in overrides {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), patch::at(value, now))),
        }
    }
}
