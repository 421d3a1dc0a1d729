//! The first line of a bundle file: a compact JWS (RFC 7515), the only signed thing in it. It names
//! the digest of everything below, so a signature covers the whole.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{BundleError, BundleFault};
use crate::keys::KeySet;
use crate::reason::Reason;
use crate::signature::SignatureVerifier;
use crate::time::UnixTime;
use crate::token::{Rejection, Unverified};

/// The `typ` of a head, so that no other token of the same key is one.
pub const BUNDLE_TYPE: &str = "everycall-bundle+jwt";
/// The one version of the format.
const VERSION: u32 = 1;
/// How far, in seconds, the clock of who signs may run ahead of ours.
const LEEWAY_S: i64 = 60;
/// The longest head.
pub(super) const MAX_HEAD: usize = 8 * 1024;

/// What is signed, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    v: u32,
    digest: String,
    bytes: u64,
    revision: String,
    sequence: u64,
    iat: i64,
    exp: i64,
}

/// What a signed bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleHead {
    /// Its author's name for this state of things.
    pub revision: String,
    /// Grows with each bundle; a lower one is not taken.
    pub sequence: u64,
    /// When it was signed: its age counts from then.
    pub issued_at: UnixTime,
    /// It serves until then.
    pub expires_at: UnixTime,
    /// SHA-256 of what is below.
    pub digest: [u8; 32],
    /// The length of what is below.
    pub bytes: u64,
    /// The fingerprint of the key that signed it.
    pub(crate) key: [u8; 32],
}

/// The claims of a head over this content, to be signed with the header
/// `{"alg", "kid", "typ": BUNDLE_TYPE}`. Times are Unix seconds.
///
/// # Errors
/// The revision is not 1 to 128 printable ASCII characters, or it ends before it begins.
pub fn bundle_claims(
    content: &[u8],
    revision: &str,
    sequence: u64,
    issued_at: UnixTime,
    expires_at: UnixTime,
) -> Result<Map<String, Value>, String> {
    let claims = Claims {
        v: VERSION,
        digest: URL_SAFE_NO_PAD.encode(Sha256::digest(content)),
        bytes: u64::try_from(content.len()).map_err(|error| error.to_string())?,
        revision: revision.to_owned(),
        sequence,
        iat: issued_at.secs(),
        exp: expires_at.secs(),
    };
    BundleHead::of(&claims, [0; 32])?;
    match serde_json::to_value(claims) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err("the head is not JSON".to_owned()),
    }
}

impl BundleHead {
    /// Whether its bundle may decide now; `max_stale_s` is a bound on its age.
    ///
    /// # Errors
    /// [`BundleFault::Expired`] or [`BundleFault::NotYetValid`].
    pub fn judge_times(&self, now: UnixTime, max_stale_s: Option<i64>) -> Result<(), BundleError> {
        let error = |fault, message| Err(BundleError::new(fault, "", message));
        let Self { revision, issued_at, expires_at, .. } = self;
        if now >= *expires_at {
            return error(BundleFault::Expired, format!("the bundle `{revision}` expired at {expires_at}"));
        }
        let age = now.secs().saturating_sub(issued_at.secs());
        if age < -LEEWAY_S {
            let message = format!("the bundle `{revision}` is not valid before {issued_at}");
            return error(BundleFault::NotYetValid, message);
        }
        match max_stale_s {
            Some(max) if age > max => error(
                BundleFault::Expired,
                format!("the bundle `{revision}` is {age} s old; at most {max} are allowed"),
            ),
            _ => Ok(()),
        }
    }

    /// The header and the claims of a file's first line, whoever signed them: to look at, not to
    /// decide by.
    ///
    /// # Errors
    /// It is not a head.
    pub fn unverified(file: &[u8]) -> Result<(Map<String, Value>, Self), String> {
        let line = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let text = std::str::from_utf8(line).map_err(|_| "not a bundle file".to_owned())?;
        let jws =
            Unverified::parse(text, MAX_HEAD).map_err(|rejection| format!("line 1: {}", rejection.detail))?;
        let claims = serde_path_to_error::deserialize(Value::Object(jws.claims))
            .map_err(|error| format!("line 1: {error}"))?;
        Ok((jws.header, Self::of(&claims, [0; 32])?))
    }

    /// Reads and verifies the first line. Of times it says nothing.
    pub(super) fn read(
        line: &[u8],
        keys: &KeySet,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Self, BundleError> {
        let malformed = |message: String| BundleError::new(BundleFault::Malformed, "line 1", message);
        let text = std::str::from_utf8(line).map_err(|_| malformed("not text".into()))?;
        let rejected = |rejection: Rejection| {
            let fault = match rejection.reason {
                Reason::TokenMalformed | Reason::TokenCritical | Reason::TokenType => BundleFault::Malformed,
                Reason::VerifierUnavailable => BundleFault::Unverifiable,
                _ => BundleFault::Signature,
            };
            BundleError::new(fault, "line 1", rejection.detail)
        };
        let jws = Unverified::parse(text, MAX_HEAD).map_err(rejected)?;
        jws.header_rules().map_err(rejected)?;
        jws.type_rule(&[BUNDLE_TYPE]).map_err(rejected)?;
        let key_id = jws.key_id().map_err(rejected)?;
        let key = keys.find(key_id).ok_or_else(|| {
            let message = match key_id {
                Some(id) => format!("no key `{id}` may sign bundles"),
                None => "no `kid`, and there is more than one key".to_owned(),
            };
            BundleError::new(BundleFault::Signature, "line 1", message)
        })?;
        jws.signed_by(key, verifier).map_err(rejected)?;
        let claims = serde_path_to_error::deserialize(Value::Object(jws.claims))
            .map_err(|error| malformed(error.to_string()))?;
        Self::of(&claims, *key.fingerprint()).map_err(malformed)
    }

    fn of(claims: &Claims, key: [u8; 32]) -> Result<Self, String> {
        let Claims { v, digest, bytes, revision, sequence, iat, exp } = claims;
        if *v != VERSION {
            return Err(format!("`v` is {v}; expected {VERSION}"));
        }
        if !(1..=128).contains(&revision.len()) || !revision.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("`revision` is not 1 to 128 printable ASCII characters".into());
        }
        if *iat < 0 || exp <= iat {
            return Err(format!("`exp` is {exp} and `iat` is {iat}: it ends before it begins"));
        }
        let digest = URL_SAFE_NO_PAD.decode(digest).ok().and_then(|digest| digest.try_into().ok());
        Ok(Self {
            revision: revision.clone(),
            sequence: *sequence,
            issued_at: UnixTime::from_secs(*iat),
            expires_at: UnixTime::from_secs(*exp),
            digest: digest.ok_or("`digest` is not SHA-256 in base64url")?,
            bytes: *bytes,
            key,
        })
    }
}
