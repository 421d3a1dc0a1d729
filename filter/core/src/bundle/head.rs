//! What the first line of a bundle file says.

use std::sync::Arc;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::base::time::UnixTime;
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::floor::Offer;
use crate::sync::signed::{self, FileError, FileFault};

/// The `typ` of a head, so that no other token of the same key is one.
pub const BUNDLE_TYPE: &str = "everycall-bundle+jwt";
/// The one version of the format.
const VERSION: u32 = 1;

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
    pub revision: Arc<str>,
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
    /// [`FileFault::Expired`](crate::FileFault::Expired) or
    /// [`FileFault::NotYetValid`](crate::FileFault::NotYetValid).
    pub fn judge_times(&self, now: UnixTime, max_stale_s: Option<i64>) -> Result<(), FileError> {
        let Self { revision, issued_at, expires_at, .. } = self;
        signed::judge_times(
            &format_args!("the bundle `{revision}`"),
            *issued_at,
            *expires_at,
            max_stale_s,
            now,
        )
    }

    /// The header and the claims of a file's first line, whoever signed them: to look at, not to
    /// decide by.
    ///
    /// # Errors
    /// It is not a head.
    pub fn unverified(file: &[u8]) -> Result<(Map<String, Value>, Self), String> {
        let (header, claims) = signed::unverified_head(file)?;
        Ok((header, Self::of(&claims, [0; 32])?))
    }

    /// To be compared with what was in force.
    pub(crate) fn offer(&self) -> Offer<'_> {
        Offer { name: &self.revision, sequence: self.sequence, digest: Some(self.digest) }
    }

    /// Reads and verifies the first line. Of times it says nothing.
    pub(super) fn read(
        line: &[u8],
        keys: &KeySet,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Self, FileError> {
        let (claims, key) = signed::read_head(line, BUNDLE_TYPE, "bundles", keys, verifier)?;
        Self::of(&claims, key).map_err(|message| FileError::new(FileFault::Malformed, "line 1", message))
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
            revision: revision.as_str().into(),
            sequence: *sequence,
            issued_at: UnixTime::from_secs(*iat),
            expires_at: UnixTime::from_secs(*exp),
            digest: digest.ok_or("`digest` is not SHA-256 in base64url")?,
            bytes: *bytes,
            key,
        })
    }
}
