//! Exceptions: what the rules forbid and somebody answers for, until a date. API keys exist only as
//! exceptions.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::base::reason::{Denied, Reason};
use crate::base::time::UnixTime;

/// How an API key starts.
pub const API_KEY_PREFIX: &str = "ek_";
/// What stands for the issuer of a caller with an API key.
pub(crate) const API_KEY_ISSUER: &str = "api_keys";
/// The fewest bytes of a salt.
pub(crate) const MIN_SALT: usize = 16;

/// One documented exception, resolved.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Unique name.
    pub id: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it is needed.
    pub reason: String,
    /// What makes up for it.
    pub compensating_control: String,
    /// From when on it is valid.
    pub valid_from: UnixTime,
    /// From when on it is not.
    pub valid_until: UnixTime,
}

/// A static key; what it holds does not tell the secret.
pub(crate) struct ApiKey {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) salt: Vec<u8>,
    pub(crate) hash: [u8; 32],
    /// The name of its exception.
    pub(crate) exception: String,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// What the configuration holds of a secret: SHA-256 over salt and secret. Enough for a secret of
/// 128 random bits, which nobody guesses; not for passwords.
pub fn api_key_hash(salt: &[u8], secret: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(secret).finalize().into()
}

/// Whether this can be the id in an API key.
pub fn is_api_key_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The key that `ek_<id>_<secret>` is.
///
/// # Errors
/// [`Reason::ApiKeyInvalid`]; the same words whether the id or the secret is wrong.
pub(crate) fn find<'k>(text: &str, keys: &'k [ApiKey]) -> Result<&'k ApiKey, Denied> {
    let invalid = || Denied { reason: Reason::ApiKeyInvalid, detail: "no such API key".to_owned() };
    let (id, secret) =
        text.strip_prefix(API_KEY_PREFIX).and_then(|rest| rest.split_once('_')).ok_or_else(invalid)?;
    let key = keys.iter().find(|key| key.id == id).ok_or_else(invalid)?;
    if bool::from(api_key_hash(&key.salt, secret).ct_eq(&key.hash)) {
        Ok(key)
    } else {
        Err(invalid())
    }
}

impl Exception {
    /// # Errors
    /// [`Reason::ExceptionExpired`] outside its validity.
    pub(crate) fn valid_at(&self, now: UnixTime) -> Result<(), Denied> {
        if (self.valid_from..self.valid_until).contains(&now) {
            Ok(())
        } else {
            Err(Denied {
                reason: Reason::ExceptionExpired,
                detail: format!(
                    "exception `{}` is valid from {} to {}",
                    self.id, self.valid_from, self.valid_until
                ),
            })
        }
    }
}
