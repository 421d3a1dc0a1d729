//! `--bundle FILE`: a bundle file in the place of what the server of `bundle.remote` would send. Feeds
//! that stand for those of servers. And a configuration with its bundle laid open, for commands that look
//! into it.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::Context as _;
use everycall_core::{FileError, Settings, UnixTime};
use serde_json::{json, Value};

use super::{feed_lists, settings, Configuration, Invalid};
use crate::bundle_file::bundle_parts;

/// What stands in for a server of bundles.
#[derive(clap::Args)]
pub(super) struct BundleArg {
    /// Take this bundle file for what the server of `bundle.remote` sends
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

impl BundleArg {
    /// The configuration after it has taken the file as the filter would, now; without `now` the
    /// bundle's times are not looked at.
    pub(super) fn apply(
        &self,
        mut configuration: Configuration,
        now: Option<UnixTime>,
    ) -> anyhow::Result<Configuration> {
        let Some(file) = &self.bundle else { return Ok(configuration) };
        if !configuration.settings.has_bundle_server() {
            anyhow::bail!(
                "`--bundle`: the configuration has no `bundle.remote` that a file could stand in for"
            );
        }
        let shown = file.display();
        let text = std::fs::read(file).with_context(|| format!("`{shown}` cannot be read"))?;
        configuration.settings.take_bundle(&text, now).map_err(|error| {
            let why = format!("`{shown}` is not taken ({})", error.fault().as_str());
            not_taken("bundle.remote", &why, &error)
        })?;
        configuration.taken = Some(text);
        Ok(configuration)
    }
}

/// Each mistake with the line that it is in.
fn not_taken(place: &str, why: &str, error: &FileError) -> Invalid {
    let problem = |error: &everycall_core::ConfigError| {
        let text = match error.path.as_str() {
            "" => format!("{why}: {}", error.message),
            path => format!("{why}: {path}: {}", error.message),
        };
        (place.to_owned(), text)
    };
    Invalid { problems: error.errors().iter().map(problem).collect(), unreadable: false }
}

/// A configuration as it would be with its bundle in `bundle.inline`.
pub(super) struct Opened<'c> {
    pub(super) document: Cow<'c, Value>,
    /// Where its bundle really is.
    pub(super) place: &'static str,
}

impl Configuration {
    /// Its settings once more: an engine takes them.
    pub(super) fn again(&self) -> Result<Settings, Invalid> {
        let mut settings = settings(&self.document)?;
        if let Some(text) = &self.taken {
            settings
                .take_bundle(text, None)
                .map_err(|error| not_taken("bundle.remote", "not taken", &error))?;
        }
        for (feed, facts) in &self.feed_facts {
            settings.take_facts(*feed, facts.clone());
        }
        Ok(settings)
    }

    /// Its bundle laid open, and what stands in for the servers of feeds. What is signed was verified
    /// when the configuration was read.
    pub(super) fn opened(&self) -> anyhow::Result<Opened<'_>> {
        let mut opened = self.opened_bundle()?;
        for (feed, facts) in &self.feed_facts {
            feed_lists::lay_open(opened.document.to_mut(), *feed, facts);
        }
        Ok(opened)
    }

    fn opened_bundle(&self) -> anyhow::Result<Opened<'_>> {
        let signed = self.document.pointer("/bundle/signed").and_then(Value::as_str).map(str::as_bytes);
        let (text, place) = match (&self.taken, signed) {
            (Some(text), _) => (text.as_slice(), "bundle.remote"),
            (None, Some(text)) => (text, "bundle.signed"),
            (None, None) => {
                return Ok(Opened { document: Cow::Borrowed(&self.document), place: "bundle.inline" })
            }
        };
        let mut document = self.document.clone();
        if let Some(bundle) = document.get_mut("bundle") {
            open(bundle, text)?;
        }
        Ok(Opened { document: Cow::Owned(document), place })
    }

    /// The shadow's bundle laid open in the place of the one that decides.
    pub(super) fn opened_shadow(&self) -> anyhow::Result<Option<Opened<'_>>> {
        let Some(shadow) = self.document.get("shadow") else { return Ok(None) };
        let mut bundle = shadow.clone();
        let place = match shadow.get("signed").and_then(Value::as_str) {
            Some(text) => {
                open(&mut bundle, text.as_bytes())?;
                "shadow.signed"
            }
            None => "shadow.inline",
        };
        let mut document = self.document.clone();
        if let Some(members) = document.as_object_mut() {
            members.insert("bundle".to_owned(), bundle);
        }
        Ok(Some(Opened { document: Cow::Owned(document), place }))
    }

    /// The places of bundles whose content is not known here.
    pub(super) fn unread(&self) -> &'static [&'static str] {
        if self.settings.has_bundle_server() && self.taken.is_none() {
            &["bundle.remote"]
        } else {
            &[]
        }
    }

    /// Whether there is a bundle to look at.
    pub(super) fn has_bundle(&self) -> bool {
        let holds = |name: &str| self.document.pointer(&format!("/bundle/{name}")).is_some();
        self.taken.is_some() || holds("inline") || holds("signed")
    }

    /// Nobody should take silence about a bundle for praise.
    pub(super) fn warn_of_unread(&self) {
        for place in self.unread() {
            let instead =
                if self.has_bundle() { ", only what serves until its server has answered" } else { "" };
            eprintln!("WARNING: the bundle of `{place}` was not looked at{instead}: `--bundle FILE` takes a file in its place");
        }
    }

    /// For commands that can do nothing without a bundle.
    pub(super) fn needs_bundle(&self) -> anyhow::Result<()> {
        if self.has_bundle() {
            Ok(())
        } else {
            anyhow::bail!(
            "`bundle.remote`: the bundle is on a server, and nothing is fetched here; `--bundle FILE` takes a bundle file in its place"
        )
        }
    }

    /// As the filter takes a bundle that is fetched: not outside of its times.
    pub(super) fn judge_bundle(&self, now: UnixTime) -> Result<(), Invalid> {
        self.settings.judge_bundle(now).map_err(|error| not_taken("bundle.signed", "not taken", &error))
    }
}

/// Puts the parts of a bundle file in the place of all that says where a bundle comes from, but for a
/// server: the rules on what is on one are others.
fn open(bundle: &mut Value, text: &[u8]) -> anyhow::Result<()> {
    let parts = bundle_parts(text).map_err(anyhow::Error::msg)?;
    match bundle.as_object_mut() {
        Some(members) if members.contains_key("remote") => {
            members.remove("signed");
            members.insert("inline".to_owned(), Value::Object(parts));
        }
        _ => *bundle = json!({"inline": parts}),
    }
    Ok(())
}
