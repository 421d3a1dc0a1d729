//! Signed files, which bundles and feeds are: their first line, a compact JWS (RFC 7515), is the only
//! signed thing in them. It names the digest of everything below, so a signature covers the whole.
//! And why one is not taken: the one before it stays in force.

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::base::json;
use crate::base::reason::{Denied, Reason};
use crate::base::time::UnixTime;
use crate::base::words::words;
use crate::config::ConfigError;
use crate::jose::checks::Checks;
use crate::jose::jws::Unverified;
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;

/// How far, in seconds, the clock of who signs may run ahead of ours.
const LEEWAY_S: i64 = 60;
/// The longest first line.
pub(crate) const MAX_HEAD: usize = 8 * 1024;
/// The one version of the format.
const VERSION: u32 = 1;
/// Bytes that one slice hashes.
const HASH_SLICE: usize = 64 * 1024;

words! {
    /// Kinds of refusals, for metrics.
    pub enum FileFault {
        /// It does not have the form of such a file.
        Malformed = "malformed",
        /// It is not signed by one of the configured keys.
        Signature = "signature",
        /// The signature could not be checked.
        Unverifiable = "unverifiable",
        /// It is not what was signed.
        Digest = "digest",
        /// It is older than one that was in force, or another one of the same sequence.
        Older = "older",
        /// It has expired, or is older than is allowed.
        Expired = "expired",
        /// It was signed in the future.
        NotYetValid = "not_yet_valid",
        /// It is larger than is allowed.
        TooLarge = "too_large",
        /// Something in it is wrong, or does not compile.
        Invalid = "invalid",
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

    /// The first thing that is wrong, without where it is.
    pub(crate) fn first(&self) -> String {
        self.errors.first().map(|error| error.message.clone()).unwrap_or_default()
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
        write!(f, "{}: {}", self.fault, shown.join("; "))?;
        let more = self.errors.len().saturating_sub(SHOWN);
        if more > 0 {
            write!(f, "; and {more} more")
        } else {
            Ok(())
        }
    }
}

impl std::error::Error for FileError {}

/// What the first line of a file says. `about` is what only its kind says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<K> {
    /// The state that its list or its bundle is in: grows with each change, and a lower one is not taken.
    pub sequence: u64,
    /// When it was signed: its age counts from then.
    pub issued_at: UnixTime,
    /// It counts until then.
    pub expires_at: UnixTime,
    /// SHA-256 of what is below.
    pub digest: [u8; 32],
    /// The length of what is below.
    pub bytes: u64,
    /// The fingerprint of the key that signed it.
    pub(crate) key: [u8; 32],
    /// What only this kind of file says.
    pub about: K,
}

/// A kind of signed file: what its head says besides what all heads say.
pub trait FileKind: DeserializeOwned {
    /// The `typ` of a head, so that no other token of the same key is one.
    const TYPE: &'static str;
    /// The claims that only this kind has.
    const CLAIMS: &'static [&'static str];

    /// The rules on them.
    ///
    /// # Errors
    /// What is wrong.
    fn check(head: &Head<Self>) -> Result<(), String>;

    /// What a file with this head is called in errors.
    fn name(head: &Head<Self>) -> String;
}

/// The claims of all heads. Times are Unix seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    v: u32,
    digest: String,
    bytes: u64,
    sequence: u64,
    iat: i64,
    exp: i64,
}

impl<K: FileKind> Head<K> {
    /// Reads and verifies a first line. Of times it says nothing. `what` those are whose keys these are.
    pub(crate) fn read(
        line: &[u8],
        what: &str,
        keys: &KeySet,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Self, FileError> {
        let error = |fault, message: String| FileError::new(fault, "line 1", message);
        let rejected = |Denied { reason, detail }| {
            let fault = match reason {
                Reason::TokenMalformed | Reason::TokenCritical | Reason::TokenType => FileFault::Malformed,
                Reason::VerifierUnavailable => FileFault::Unverifiable,
                _ => FileFault::Signature,
            };
            error(fault, detail)
        };
        let text =
            std::str::from_utf8(line).map_err(|_| error(FileFault::Malformed, "not text".to_owned()))?;
        let jws = Unverified::parse(text, MAX_HEAD).map_err(rejected)?;
        jws.header_rules().map_err(rejected)?;
        jws.type_rule(&[K::TYPE]).map_err(rejected)?;
        let unknown = |message: String| error(FileFault::Signature, message);
        let id = jws.key_id().map_err(rejected)?;
        let id = id.ok_or_else(|| unknown("no `kid`: whoever signs files names the key".to_owned()))?;
        let key = keys.find(id).ok_or_else(|| unknown(format!("no key `{id}` may sign {what}")))?;
        jws.signed_by(key, Checks::unbounded(verifier)).map_err(rejected)?;
        Self::of(jws.claims, *key.fingerprint()).map_err(|message| error(FileFault::Malformed, message))
    }

    /// The header and the claims of a file's first line, whoever signed them: to look at, not to decide by.
    ///
    /// # Errors
    /// It is not the head of such a file.
    pub fn unverified(file: &[u8]) -> Result<(Map<String, Value>, Self), String> {
        let line = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let text = std::str::from_utf8(line).map_err(|_| "line 1: not text".to_owned())?;
        let jws = Unverified::parse(text, MAX_HEAD).map_err(|denied| format!("line 1: {}", denied.detail))?;
        let head = Self::of_claims(jws.claims).map_err(|wrong| format!("line 1: {wrong}"))?;
        Ok((jws.header, head))
    }

    /// What these claims say, which nobody has signed yet.
    ///
    /// # Errors
    /// They are not those of such a head.
    pub fn of_claims(claims: Map<String, Value>) -> Result<Self, String> {
        Self::of(claims, [0; 32])
    }

    fn of(claims: Map<String, Value>, key: [u8; 32]) -> Result<Self, String> {
        let is_own = |(name, _): &(String, Value)| K::CLAIMS.contains(&name.as_str());
        let (own, all): (Map<_, _>, Map<_, _>) = claims.into_iter().partition(is_own);
        let typed = json::typed(&Value::Object(all)).map_err(|wrong| wrong.to_string())?;
        let Claims { v, digest, bytes, sequence, iat, exp } = typed;
        if v != VERSION {
            return Err(format!("`v` is {v}; expected {VERSION}"));
        }
        if iat < 0 || exp <= iat {
            return Err(format!("`exp` is {exp} and `iat` is {iat}: it ends before it begins"));
        }
        let digest = URL_SAFE_NO_PAD.decode(digest).ok().and_then(|digest| digest.try_into().ok());
        let head = Self {
            sequence,
            issued_at: UnixTime::from_secs(iat),
            expires_at: UnixTime::from_secs(exp),
            digest: digest.ok_or("`digest` is not SHA-256 in base64url")?,
            bytes,
            key,
            about: json::typed(&Value::Object(own)).map_err(|wrong| wrong.to_string())?,
        };
        K::check(&head)?;
        Ok(head)
    }

    /// Whether it counts now; `max_age_s` is a bound on its age.
    ///
    /// # Errors
    /// [`FileFault::Expired`] or [`FileFault::NotYetValid`].
    pub fn judge_times(&self, max_age_s: Option<i64>, now: UnixTime) -> Result<(), FileError> {
        let error = |fault, message| Err(FileError::new(fault, "", message));
        let name = K::name(self);
        if now >= self.expires_at {
            return error(FileFault::Expired, format!("{name} expired at {}", self.expires_at));
        }
        let age = now.secs().saturating_sub(self.issued_at.secs());
        if age < -LEEWAY_S {
            return error(FileFault::NotYetValid, format!("{name} is not valid before {}", self.issued_at));
        }
        match max_age_s {
            Some(max) if age > max => {
                error(FileFault::Expired, format!("{name} is {age} s old; at most {max} are allowed"))
            }
            _ => Ok(()),
        }
    }
}

/// The bytes of a file whose head was read: hashed in slices, and then read line by line.
pub(crate) struct SignedFile<K> {
    head: Head<K>,
    text: Vec<u8>,
    /// Where what the head tells of begins.
    below: usize,
    /// Everything before this was hashed, or read.
    at: usize,
    /// Until it is known that this is what was signed.
    hash: Option<Sha256>,
}

impl<K: FileKind> SignedFile<K> {
    /// Takes the bytes of a file and verifies its head.
    ///
    /// # Errors
    /// There is no head, or it is not one of these keys.
    pub(crate) fn begin(
        text: Vec<u8>,
        what: &str,
        keys: &KeySet,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Self, FileError> {
        let end = text.iter().take(MAX_HEAD.saturating_add(1)).position(|byte| *byte == b'\n');
        let line = end.and_then(|end| text.get(..end)).ok_or_else(|| {
            let message = format!("no line end in {MAX_HEAD} bytes: not a signed file");
            FileError::new(FileFault::Malformed, "line 1", message)
        })?;
        let (head, below) = (Head::read(line, what, keys, verifier)?, line.len().saturating_add(1));
        Ok(Self { head, text, below, at: below, hash: Some(Sha256::new()) })
    }

    pub(crate) const fn head(&self) -> &Head<K> {
        &self.head
    }

    /// Its first line, with its end.
    pub(crate) fn first_line(&self) -> &[u8] {
        self.text.get(..self.below).unwrap_or_default()
    }

    /// The bytes that it was begun with.
    pub(crate) fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// Hashes one slice; whether there is more of that to do.
    ///
    /// # Errors
    /// What is below the head is not what was signed.
    pub(crate) fn hash(&mut self) -> Result<bool, FileError> {
        let Some(mut hash) = self.hash.take() else { return Ok(false) };
        let wrong = |message: String| Err(FileError::new(FileFault::Digest, "line 1", message));
        let follow = self.text.len().saturating_sub(self.below);
        if u64::try_from(follow) != Ok(self.head.bytes) {
            return wrong(format!("{follow} bytes follow; {} were signed", self.head.bytes));
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let (slice, more) = rest.split_at_checked(HASH_SLICE).unwrap_or((rest, &[]));
        hash.update(slice);
        self.at = self.at.saturating_add(slice.len());
        if !more.is_empty() {
            self.hash = Some(hash);
            return Ok(true);
        }
        if hash.finalize()[..] != self.head.digest {
            return wrong("`digest` is not that of what follows".to_owned());
        }
        self.at = self.below;
        Ok(false)
    }

    /// The next line without its end, of at most `max` bytes; `None` after the last one.
    ///
    /// # Errors
    /// It is longer, or has no end. No line comes after that.
    pub(crate) fn line(&mut self, max: usize) -> Option<Result<&[u8], String>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        match rest.iter().take(max.saturating_add(1)).position(|byte| *byte == b'\n') {
            Some(end) => {
                self.at = self.at.saturating_add(end).saturating_add(1);
                rest.get(..end).map(Ok)
            }
            None => {
                let is_long = rest.len() > max;
                self.at = self.text.len();
                Some(Err(if is_long {
                    format!("longer than {max} bytes")
                } else {
                    "it has no end".to_owned()
                }))
            }
        }
    }
}
