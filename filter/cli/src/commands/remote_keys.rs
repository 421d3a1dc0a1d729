//! `--keys ISSUER=FILE`: the key set of a server out of a file, for trying a configuration where the
//! server is not at hand.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use everycall_core::jose::{KeyRules, Usage};
use everycall_core::{json, KeySet};
use serde_json::{json, Value};

use super::{settings, Configuration, Invalid};
use crate::mint;

/// Key sets that stand in for servers.
#[derive(clap::Args)]
pub(super) struct RemoteKeysArg {
    /// Take the keys of an issuer with `keys.remote` from a JWK set in a file; may be repeated
    #[arg(long, value_name = "ISSUER=FILE")]
    keys: Vec<Stored>,
}

#[derive(Clone)]
struct Stored {
    issuer: String,
    file: PathBuf,
}

impl FromStr for Stored {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((issuer, file)) if !issuer.is_empty() && !file.is_empty() => {
                Ok(Self { issuer: issuer.to_owned(), file: file.into() })
            }
            _ => Err("expected an issuer, `=` and a file".to_owned()),
        }
    }
}

impl RemoteKeysArg {
    /// The configuration with these keys inline.
    pub(super) fn apply(&self, configuration: Configuration) -> anyhow::Result<Configuration> {
        if self.keys.is_empty() {
            return Ok(configuration);
        }
        let Configuration { mut document, taken, feed_facts, .. } = configuration;
        for stored in &self.keys {
            stored.put_into(&mut document)?;
        }
        let settings = settings(&document)?;
        Ok(Configuration { document, settings, taken, feed_facts })
    }
}

impl Stored {
    fn put_into(&self, document: &mut Value) -> anyhow::Result<()> {
        let name = &self.issuer;
        let issuers = document.get_mut("issuers").and_then(Value::as_array_mut);
        let issuer = issuers
            .into_iter()
            .flatten()
            .find(|issuer| issuer.get("issuer").and_then(Value::as_str) == Some(name))
            .with_context(|| format!("`--keys`: the configuration has no issuer `{name}`"))?;
        if issuer.pointer("/keys/remote").is_none() {
            anyhow::bail!("`--keys`: the keys of `{name}` are in the configuration, not on a server");
        }
        let set = self.read(issuer)?;
        if let Some(keys) = issuer.get_mut("keys") {
            *keys = json!({"inline": set});
        }
        Ok(())
    }

    /// The set, without the keys that the filter would leave out of a server's answer.
    fn read(&self, issuer: &Value) -> anyhow::Result<Value> {
        let file = self.file.display();
        let text = std::fs::read(&self.file).with_context(|| format!("`{file}` cannot be read"))?;
        let bad = |message: String| Invalid {
            problems: vec![("--keys".to_owned(), format!("`{file}`: {message}"))],
            unreadable: false,
        };
        let algorithms = mint::algorithms(Some(issuer));
        let usage = match issuer.get("profile").and_then(Value::as_str) {
            Some("spiffe") => Usage::JwtSvid,
            _ => Usage::Signature,
        };
        let rules = KeyRules { algorithms: &algorithms, usage };
        let skipped = KeySet::fetched(&text, &rules).map_err(bad)?.skipped;
        for (path, why) in &skipped {
            eprintln!("WARNING: a key of `{}` is not used: {path}: {why}", self.issuer);
        }
        let set = json::parse(&text).map_err(|error| bad(error.to_string()))?;
        let keys = set.get("keys").and_then(Value::as_array).into_iter().flatten().enumerate();
        let is_used = |index: usize| {
            let start = format!("keys[{index}]");
            !skipped.iter().any(|(path, _)| path.starts_with(&start))
        };
        let used: Vec<&Value> = keys.filter(|(index, _)| is_used(*index)).map(|(_, key)| key).collect();
        Ok(json!({"keys": used}))
    }
}
