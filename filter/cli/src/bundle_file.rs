//! Bundle files: the parts of a bundle as lines, below a head that somebody signs.

use everycall_core::{bundle_claims, bundle_content, Algorithm, UnixTime, BUNDLE_TYPE};
use serde_json::{json, Map, Value};

use crate::mint::{compact, signing_input, MintError, TestKey};

/// What a head says besides the digest.
#[derive(Debug, Clone)]
pub struct Issue {
    /// The author's name for this state of things; `None`: from the digest of the content.
    pub revision: Option<String>,
    /// Grows with each bundle.
    pub sequence: u64,
    /// When it is signed.
    pub issued_at: UnixTime,
    /// Until when it serves.
    pub expires_at: UnixTime,
}

/// The bytes of a bundle file with these parts: the members of `bundle.inline`. `sign` makes the JWS
/// signature over a message with the key of this id and algorithm.
///
/// # Errors
/// A part that has no place in a bundle or is too long, or there is no signature.
pub fn bundle_file(
    inline: &Map<String, Value>,
    issue: &Issue,
    (key_id, algorithm): (&str, Algorithm),
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    let content = bundle_content(inline)?;
    let Issue { revision, sequence, issued_at, expires_at } = issue;
    let claims = |revision: &str| bundle_claims(&content, revision, *sequence, *issued_at, *expires_at);
    let claims = match revision {
        Some(revision) => claims(revision)?,
        None => {
            let digest = claims("-")?.remove("digest");
            let digest = digest.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            claims(&digest.chars().take(16).collect::<String>())?
        }
    };
    let header = json!({"alg": algorithm.as_str(), "kid": key_id, "typ": BUNDLE_TYPE});
    let message = signing_input(&header.as_object().cloned().unwrap_or_default(), &claims);
    let mut file = compact(&message, &sign(message.as_bytes())?).into_bytes();
    file.push(b'\n');
    file.extend(content);
    Ok(file)
}

/// As [`bundle_file`], signed with a test key. TEST ONLY.
///
/// # Errors
/// As [`bundle_file`].
pub fn test_bundle_file(inline: &Value, issue: &Issue, key: &TestKey) -> Result<Vec<u8>, String> {
    let members = inline.as_object().ok_or("not an object")?;
    let sign = |message: &[u8]| key.signature(message).map_err(|error: MintError| error.to_string());
    bundle_file(members, issue, (key.id(), key.algorithm()), sign)
}
