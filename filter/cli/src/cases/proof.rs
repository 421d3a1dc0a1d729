//! The DPoP proofs of cases (RFC 9449): an honest one by default, changed where the case says so.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::{Algorithm, UnixTime};
use serde::Deserialize;
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use super::token::{override_members, KeyName, Sign};
use crate::mint::{self, MintError, TestKey};

/// A proof as a case writes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ProofSpec {
    /// Claims in the place of the honest ones; null leaves one out.
    #[serde(default)]
    claims: Map<String, Value>,
    /// Header parameters, likewise.
    #[serde(default)]
    header: Map<String, Value>,
    /// What signs it; absent: `es256`.
    key: Option<KeyName>,
    #[serde(default)]
    sign: Sign,
}

impl ProofSpec {
    /// The proof for a request with this token. `id` is its `jti`.
    ///
    /// # Errors
    /// The test key can't be read or can't sign.
    pub(super) fn mint(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        now: UnixTime,
        id: &str,
    ) -> Result<String, MintError> {
        let key = TestKey::of(self.key.map_or(Algorithm::Es256, |key| key.0))?;
        let mut head = Map::new();
        head.insert("typ".into(), json!("dpop+jwt"));
        head.insert("alg".into(), json!(key.algorithm().as_str()));
        head.insert("jwk".into(), key.bare_jwk());
        let mut body = Map::new();
        body.insert("htm".into(), json!(method));
        body.insert("htu".into(), json!(url));
        body.insert("iat".into(), json!(now.secs()));
        body.insert("jti".into(), json!(id));
        if let Some(token) = token {
            body.insert("ath".into(), json!(URL_SAFE_NO_PAD.encode(Sha256::digest(token))));
        }
        override_members(&mut head, &self.header, now);
        override_members(&mut body, &self.claims, now);
        let message = mint::signing_input(&head, &body);
        Ok(mint::compact(&message, &self.sign.apply(&key, &message)?))
    }
}
