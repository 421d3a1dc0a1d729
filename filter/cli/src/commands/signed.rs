//! What the commands about signed files have in common: keys, spans, and files that are replaced whole.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{anyhow, Context as _};
use everycall_core::jose::{Jwks, KeyRules, Usage};
use everycall_core::{json, Algorithm, FileError, KeySet, UnixTime};
use serde::Deserialize as _;
use serde_json::{json, Map, Value};

use super::{explain, Invalid, Outcome};
use crate::sign::SigningKey;
use crate::At;

/// Who signs, and for how long.
#[derive(clap::Args)]
pub(super) struct SignArgs {
    /// The private key: PKCS#8 in PEM, or a JWK; on P-256, P-384 or Ed25519
    #[arg(long, value_name = "FILE")]
    sign_key: std::path::PathBuf,
    /// The key's `kid`; default: the JWK's own, else the key's thumbprint
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// Sign as at this time: an RFC 3339 instant or Unix seconds
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    at: Option<At>,
}

impl SignArgs {
    pub(super) fn key(&self) -> anyhow::Result<SigningKey> {
        let shown = self.sign_key.display();
        SigningKey::read(&read(&self.sign_key)?, self.key_id.as_deref())
            .map_err(|error| anyhow!("`{shown}`: {error}"))
    }

    /// Heads hold whole seconds of it.
    pub(super) fn issued_at(&self) -> UnixTime {
        super::time(self.at)
    }
}

/// So many seconds later.
pub(super) const fn later(time: UnixTime, seconds: i64) -> UnixTime {
    UnixTime::from_secs(time.secs().saturating_add(seconds))
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))
}

/// The keys of a JWK set in a file: those who may sign.
pub(super) fn trusted(path: &Path) -> anyhow::Result<KeySet> {
    let shown = path.display();
    let set = json::parse(&read(path)?).map_err(|error| anyhow!("`{shown}`: not strict JSON: {error}"))?;
    key_set(&set).map_err(|error| anyhow!("`{shown}`: {error}"))
}

pub(super) fn key_set(set: &Value) -> Result<KeySet, String> {
    let set = Jwks::deserialize(set).map_err(|error| error.to_string())?;
    let rules = KeyRules { algorithms: &Algorithm::ALL, usage: Usage::Signer };
    KeySet::read(&set, &rules).map_err(|errors| {
        errors.iter().map(|(path, message)| format!("{path}: {message}")).collect::<Vec<_>>().join("; ")
    })
}

/// The one key that signed, to read back what was written.
pub(super) fn own_keys(key: &SigningKey) -> Result<KeySet, Invalid> {
    key_set(&json!({"keys": [key.public_jwk()]})).map_err(|message| bad("key", message))
}

pub(super) fn bad(place: &str, message: impl Into<String>) -> Invalid {
    Invalid { problems: vec![(place.to_owned(), message.into())], unreadable: false }
}

pub(super) fn invalid(error: &FileError) -> Invalid {
    let problem = |error: &everycall_core::ConfigError| (error.path.clone(), error.message.clone());
    Invalid { problems: error.errors().iter().map(problem).collect(), unreadable: false }
}

/// Says that a file is not good, and why.
pub(super) fn refuse(out: &mut dyn Write, as_json: bool, error: &FileError) -> anyhow::Result<Outcome> {
    if !as_json {
        return Err(invalid(error).into());
    }
    let errors = error.errors().iter().map(|error| json!({"path": error.path, "message": error.message}));
    let document =
        json!({"ok": false, "fault": error.fault().as_str(), "errors": errors.collect::<Vec<_>>()});
    super::write_line(out, &document)?;
    Ok(Outcome::Bad)
}

/// Whole or not at all: a server may be reading it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("`{}` cannot be written", path.display()))
}

/// One JSON object, or a row for each member. Times, which end in `_at`, are seconds there and instants
/// here.
pub(super) fn print(out: &mut dyn Write, as_json: bool, members: &[(&str, Value)]) -> anyhow::Result<()> {
    if as_json {
        let members = members.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        return super::write_line(out, &members.collect::<Map<_, _>>());
    }
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut add = |name: &str, value: &Value| {
        let text = match value {
            Value::String(text) => explain::visible(text),
            Value::Number(seconds) if name.ends_with("_at") => {
                UnixTime::from_secs(seconds.as_i64().unwrap_or_default()).to_string()
            }
            other => other.to_string(),
        };
        rows.push([explain::visible(name), text]);
    };
    for (name, value) in members {
        match value {
            Value::Object(counts) => counts.iter().for_each(|(name, count)| add(name, count)),
            Value::Null => {}
            other => add(name, other),
        }
    }
    super::table(out, &rows)?;
    Ok(())
}

/// Seconds of a text such as `24h`.
pub(super) fn span(text: &str) -> Result<i64, String> {
    let expected = || "expected a number with `s`, `m`, `h` or `d`, such as `24h`".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(expected)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    let number: i64 = number.parse().map_err(|_| expected())?;
    match number.checked_mul(seconds).filter(|span| (1..=315_360_000).contains(span)) {
        Some(span) => Ok(span),
        None => Err("expected a span of 1 second to 10 years".to_owned()),
    }
}
