//! Signed files, which bundles and feeds are: their first line, a compact JWS (RFC 7515), is the only
//! signed thing in them. It names the digest of everything below, so a signature covers the whole.
//! And why one is not taken: the one before it stays in force.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::base::json;
use crate::base::reason::{Denied, Reason};
use crate::base::time::UnixTime;
use crate::config::ConfigError;
use crate::jose::checks::Checks;
use crate::jose::jws::Unverified;
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;

/// How far, in seconds, the clock of who signs may run ahead of ours.
const LEEWAY_S: i64 = 60;
/// The longest first line.
pub(crate) const MAX_HEAD: usize = 8 * 1024;

/// Kinds of refusals, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileFault {
    /// It does not have the form of such a file.
    Malformed,
    /// It is not signed by one of the configured keys.
    Signature,
    /// The signature could not be checked.
    Unverifiable,
    /// It is not what was signed.
    Digest,
    /// It is older than one that was in force, or another one of the same sequence.
    Older,
    /// It has expired, or is older than is allowed.
    Expired,
    /// It was signed in the future.
    NotYetValid,
    /// It is larger than is allowed.
    TooLarge,
    /// Something in it is wrong, or does not compile.
    Invalid,
}

impl FileFault {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Signature,
        Self::Unverifiable,
        Self::Digest,
        Self::Older,
        Self::Expired,
        Self::NotYetValid,
        Self::TooLarge,
        Self::Invalid,
    ];

    /// The word for it in metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Signature => "signature",
            Self::Unverifiable => "unverifiable",
            Self::Digest => "digest",
            Self::Older => "older",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
        }
    }
}

/// A file that is not taken, and everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    fault: FileFault,
    errors: Vec<ConfigError>,
}

impl FileError {
    pub(crate) fn invalid(errors: Vec<ConfigError>) -> Self {
        Self { fault: FileFault::Invalid, errors }
    }

    pub(crate) fn new(fault: FileFault, at: &str, message: impl Into<String>) -> Self {
        Self { fault, errors: vec![ConfigError::new(at, message)] }
    }

    /// Its kind.
    pub const fn fault(&self) -> FileFault {
        self.fault
    }

    /// What is wrong, never empty; each with the line it is in.
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

/// One line, however much is wrong.
impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let text = |error: &ConfigError| match error.path.as_str() {
            "" => error.message.clone(),
            path => format!("{path}: {}", error.message),
        };
        let shown: Vec<String> = self.errors.iter().take(SHOWN).map(text).collect();
        write!(f, "{}: {}", self.fault.code(), shown.join("; "))?;
        match self.errors.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for FileError {}

/// The first line of a file, and what is below.
pub(crate) fn split(text: &[u8]) -> Result<(&[u8], &[u8]), FileError> {
    let end = text.iter().take(MAX_HEAD.saturating_add(1)).position(|byte| *byte == b'\n');
    let parts = end.and_then(|end| text.split_at_checked(end));
    let (line, rest) = parts.ok_or_else(|| {
        let message = format!("no line end in {MAX_HEAD} bytes: not a signed file");
        FileError::new(FileFault::Malformed, "line 1", message)
    })?;
    Ok((line, rest.split_first().map_or(&[], |(_, rest)| rest)))
}

/// Reads a first line of this `typ` and verifies it. Answers its claims and the fingerprint of the key
/// that signed them. `what` those are whose keys these are. Of times it says nothing.
pub(crate) fn read_head<C: DeserializeOwned>(
    line: &[u8],
    typ: &str,
    what: &str,
    keys: &KeySet,
    verifier: &dyn SignatureVerifier,
) -> Result<(C, [u8; 32]), FileError> {
    let malformed = |message: String| FileError::new(FileFault::Malformed, "line 1", message);
    let text = std::str::from_utf8(line).map_err(|_| malformed("not text".into()))?;
    let rejected = |rejection: Denied| {
        let fault = match rejection.reason {
            Reason::TokenMalformed | Reason::TokenCritical | Reason::TokenType => FileFault::Malformed,
            Reason::VerifierUnavailable => FileFault::Unverifiable,
            _ => FileFault::Signature,
        };
        FileError::new(fault, "line 1", rejection.detail)
    };
    let jws = Unverified::parse(text, MAX_HEAD).map_err(rejected)?;
    jws.header_rules().map_err(rejected)?;
    jws.type_rule(&[typ]).map_err(rejected)?;
    let key_id = jws.key_id().map_err(rejected)?;
    let unknown = |message: String| FileError::new(FileFault::Signature, "line 1", message);
    let id = key_id.ok_or_else(|| unknown("no `kid`: whoever signs files names the key".to_owned()))?;
    let key = keys.find(id).ok_or_else(|| unknown(format!("no key `{id}` may sign {what}")))?;
    jws.signed_by(key, Checks::unbounded(verifier)).map_err(rejected)?;
    let claims = json::typed(&Value::Object(jws.claims)).map_err(|wrong| malformed(wrong.to_string()))?;
    Ok((claims, *key.fingerprint()))
}

/// The header and the claims of a file's first line, whoever signed them: to look at, not to decide by.
///
/// # Errors
/// It is not such a line.
pub(crate) fn unverified_head<C: DeserializeOwned>(file: &[u8]) -> Result<(Map<String, Value>, C), String> {
    let line = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = std::str::from_utf8(line).map_err(|_| "line 1: not text".to_owned())?;
    let jws =
        Unverified::parse(text, MAX_HEAD).map_err(|rejection| format!("line 1: {}", rejection.detail))?;
    let claims = json::typed(&Value::Object(jws.claims)).map_err(|wrong| format!("line 1: {wrong}"))?;
    Ok((jws.header, claims))
}

/// Whether `name`, signed at `issued_at` and good until `expires_at`, counts now; `max_age_s` is a
/// bound on its age.
///
/// # Errors
/// [`FileFault::Expired`] or [`FileFault::NotYetValid`].
pub(crate) fn judge_times(
    name: &dyn fmt::Display,
    issued_at: UnixTime,
    expires_at: UnixTime,
    max_age_s: Option<i64>,
    now: UnixTime,
) -> Result<(), FileError> {
    let error = |fault, message| Err(FileError::new(fault, "", message));
    if now >= expires_at {
        return error(FileFault::Expired, format!("{name} expired at {expires_at}"));
    }
    let age = now.secs().saturating_sub(issued_at.secs());
    if age < -LEEWAY_S {
        return error(FileFault::NotYetValid, format!("{name} is not valid before {issued_at}"));
    }
    match max_age_s {
        Some(max) if age > max => {
            error(FileFault::Expired, format!("{name} is {age} s old; at most {max} are allowed"))
        }
        _ => Ok(()),
    }
}
