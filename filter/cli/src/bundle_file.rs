//! Bundle files: the parts of a bundle as lines, below a head that somebody signs.

use everycall_core::{bundle_claims, bundle_content, json as strict, Algorithm, UnixTime, BUNDLE_TYPE};
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
    signed_file(BUNDLE_TYPE, &claims, &content, (key_id, algorithm), sign)
}

/// A file with these claims in its head, which somebody signs.
pub(crate) fn signed_file(
    typ: &str,
    claims: &Map<String, Value>,
    content: &[u8],
    (key_id, algorithm): (&str, Algorithm),
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    let header = json!({"alg": algorithm.as_str(), "kid": key_id, "typ": typ});
    let message = signing_input(&header.as_object().cloned().unwrap_or_default(), claims);
    let mut file = compact(&message, &sign(message.as_bytes())?).into_bytes();
    file.push(b'\n');
    file.extend(content);
    Ok(file)
}

/// The parts of a bundle file, as members of `bundle.inline`: what [`bundle_file`] was made of. To be
/// looked at; that somebody signed it is not.
///
/// # Errors
/// A line that is no part of a bundle.
pub fn bundle_parts(file: &[u8]) -> Result<Map<String, Value>, String> {
    let mut parts = Map::new();
    parts.insert("grants".to_owned(), json!([]));
    let lines = file.split(|byte| *byte == b'\n').enumerate().skip(1).filter(|(_, line)| !line.is_empty());
    for (index, line) in lines {
        let number = index.saturating_add(1);
        let line = strict::parse_object(line).map_err(|error| format!("line {number}: {error}"))?;
        let Some((kind, part)) = line.into_iter().next() else { continue };
        let text = |name: &str| part.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let named =
            |name: &str, member: &str| json!({text(name): part.get(member).cloned().unwrap_or_default()});
        let (name, part) = match kind.as_str() {
            "policy" => ("policies", named("file", "text")),
            "rule_set" => ("rule_sets", named("name", "options")),
            "data" => ("data", part),
            "exception" => ("exceptions", json!([part])),
            "elevation" => ("elevations", json!([part])),
            "grant" => ("grants", json!([part])),
            other => return Err(format!("line {number}: `{other}` is not a part of a bundle")),
        };
        merge(parts.entry(name).or_insert(Value::Null), part);
    }
    Ok(parts)
}

/// Adds a piece to what came before it.
fn merge(known: &mut Value, piece: Value) {
    match (known, piece) {
        (Value::Array(known), Value::Array(more)) => known.extend(more),
        (Value::Object(known), Value::Object(more)) => {
            for (name, value) in more {
                merge(known.entry(name).or_insert(Value::Null), value);
            }
        }
        (known, piece) => *known = piece,
    }
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
