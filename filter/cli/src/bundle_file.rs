//! Bundle files: the parts of a bundle as lines, below a head that somebody signs.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::bundle::{BundleHead, BundleName, MAX_BUNDLE_LINE};
use everycall_core::json::{self as strict, MAX_VALUES};
use everycall_core::sync::FileKind;
use everycall_core::{Algorithm, UnixTime};
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use crate::mint::{compact, signing_input, MintError, TestKey};

/// How much data goes into one line, roughly.
const DATA_LINE: usize = 32 * 1024;

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
    signed_file(BundleName::TYPE, &claims, &content, (key_id, algorithm), sign)
}

/// The content of a bundle file for an inline bundle: `policies`, `data`, `rule_sets`, `exceptions`, `elevations`
/// and `grants`. The same bundle gives the same bytes. What the parts say is not looked at.
///
/// # Errors
/// An unknown part, or one that is longer than a line may be.
pub fn bundle_content(inline: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let mut lines = Lines::default();
    const LISTS: [(&str, &str); 3] =
        [("exceptions", "exception"), ("elevations", "elevation"), ("grants", "grant")];
    let known = |name: &&String| {
        matches!(name.as_str(), "policies" | "data" | "rule_sets")
            || LISTS.iter().any(|(list, _)| list == name)
    };
    if let Some(name) = inline.keys().find(|name| !known(name)) {
        return Err(format!("`{name}` is not a part of a bundle"));
    }
    for (file, text) in inline.get("policies").and_then(Value::as_object).into_iter().flatten() {
        lines.push(&format!("policy `{file}`"), &json!({"policy": {"file": file, "text": text}}))?;
    }
    match inline.get("data") {
        Some(Value::Object(data)) => lines.data(&mut Vec::new(), data)?,
        Some(_) => return Err("`data` is not an object".into()),
        None => {}
    }
    for (name, options) in inline.get("rule_sets").and_then(Value::as_object).into_iter().flatten() {
        lines
            .push(&format!("rule set `{name}`"), &json!({"rule_set": {"name": name, "options": options}}))?;
    }
    for (list, name) in LISTS {
        for (index, item) in inline.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let line: Map<String, Value> = [(name.to_owned(), item.clone())].into_iter().collect();
            lines.push(&format!("{list}[{index}]"), &Value::Object(line))?;
        }
    }
    Ok(lines.bytes)
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    fn push(&mut self, what: &str, value: &Value) -> Result<(), String> {
        let text = value.to_string();
        if text.len() > MAX_BUNDLE_LINE {
            return Err(format!("{what}: {} bytes; a line holds at most {MAX_BUNDLE_LINE}", text.len()));
        }
        let values = strict::values(value);
        if values > MAX_VALUES {
            return Err(format!("{what}: {values} values; a line holds at most {MAX_VALUES}"));
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(b'\n');
        Ok(())
    }

    /// Data is cut between the members of objects; each piece holds its whole path.
    fn data(&mut self, path: &mut Vec<String>, members: &Map<String, Value>) -> Result<(), String> {
        let mut piece = Map::new();
        let mut size: usize = 0;
        for (name, value) in members {
            let length = value.to_string().len();
            match value {
                Value::Object(below) if length > DATA_LINE => {
                    path.push(name.clone());
                    self.data(path, below)?;
                    path.pop();
                }
                _ => {
                    if size.saturating_add(length) > DATA_LINE {
                        self.piece(path, std::mem::take(&mut piece))?;
                        size = 0;
                    }
                    size = size.saturating_add(length).saturating_add(name.len());
                    piece.insert(name.clone(), value.clone());
                }
            }
        }
        self.piece(path, piece)
    }

    fn piece(&mut self, path: &[String], members: Map<String, Value>) -> Result<(), String> {
        if members.is_empty() {
            return Ok(());
        }
        let name = members.keys().next().cloned().unwrap_or_default();
        let wrap = |value, name: &String| Value::Object([(name.clone(), value)].into_iter().collect());
        let data = path.iter().rev().fold(Value::Object(members), wrap);
        let what = format!("data.{}", path.iter().chain([&name]).cloned().collect::<Vec<_>>().join("."));
        self.push(&what, &json!({"data": data}))
    }
}

/// The claims of a head over this content, to be signed. Times are Unix seconds.
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
    let claims = claims(json!({"revision": revision}), content, sequence, (issued_at, expires_at));
    BundleHead::of_claims(claims.clone()).map(|_| claims)
}

/// What all heads say, beside what is only of this kind.
pub(crate) fn claims(
    own: Value,
    content: &[u8],
    sequence: u64,
    (issued_at, expires_at): (UnixTime, UnixTime),
) -> Map<String, Value> {
    let all = json!({
        "v": 1,
        "digest": URL_SAFE_NO_PAD.encode(Sha256::digest(content)),
        "bytes": content.len(),
        "sequence": sequence,
        "iat": issued_at.secs(),
        "exp": expires_at.secs(),
    });
    [all, own].into_iter().filter_map(|part| part.as_object().cloned()).flatten().collect()
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
