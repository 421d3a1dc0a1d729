//! `--revocations FILE`: a list in the place of what the server of `revocations.remote` would send.

use std::path::PathBuf;

use everycall_core::{read_feed, ConfigError, FeedHead, FeedKind, FeedRules, FileFault, PureRust, UnixTime};
use serde_json::{json, Value};

use super::feed::{fact, one_list};
use super::{signed, Configuration, Invalid};

const FEED: FeedKind = FeedKind::Revocations;
const PLACE: &str = "revocations.remote";

/// What stands in for a server of revocations.
#[derive(clap::Args)]
pub(super) struct RevokedArg {
    /// Take this file for what the server of `revocations.remote` sends: revocations in JSON, one a line,
    /// or a signed list; repeated for the pages of one
    #[arg(long = "revocations", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl RevokedArg {
    /// The configuration after it has taken the list as the filter would, now; without `now` the list's
    /// times are not looked at. Lines that nobody signed have none.
    pub(super) fn apply(
        &self,
        mut configuration: Configuration,
        now: Option<UnixTime>,
    ) -> anyhow::Result<Configuration> {
        if self.files.is_empty() {
            return Ok(configuration);
        }
        let Some(rules) = configuration.settings.revocations_server() else {
            anyhow::bail!(
                "`--revocations`: the configuration has no `{PLACE}` that a file could stand in for"
            );
        };
        let mut facts = Vec::new();
        let mut heads: Vec<FeedHead> = Vec::new();
        for file in &self.files {
            let (shown, text) = (file.display(), signed::read(file)?);
            let read = match is_lines(&text) {
                true => lines(&text),
                false => signed_list(&text, rules, now).map(|(head, facts)| {
                    heads.push(head);
                    facts
                }),
            };
            let read = read.and_then(|read| {
                facts.extend(read);
                let heads: Vec<&FeedHead> = heads.iter().collect();
                whole(&heads, self.files.len(), facts.len(), rules.max_entries)
            });
            read.map_err(|Fault { code, messages }| Invalid {
                problems: messages
                    .into_iter()
                    .map(|message| (PLACE.to_owned(), format!("`{shown}` is not taken ({code}): {message}")))
                    .collect(),
                unreadable: false,
            })?;
        }
        configuration.take_revoked(facts);
        Ok(configuration)
    }
}

/// Not signed: the head of what is signed is no JSON.
fn is_lines(text: &[u8]) -> bool {
    text.trim_ascii_start().first().is_none_or(|byte| *byte == b'{')
}

/// Why a file is not taken.
struct Fault {
    /// As in `everycall.feed_refused`.
    code: &'static str,
    messages: Vec<String>,
}

impl Fault {
    fn new(fault: FileFault, message: String) -> Self {
        Self { code: fault.code(), messages: vec![message] }
    }
}

fn lines(text: &[u8]) -> Result<Vec<Value>, Fault> {
    let mut facts = Vec::new();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1_usize..) {
        if !line.trim_ascii().is_empty() {
            let refused = |message| Fault::new(FileFault::Invalid, format!("line {number}: {message}"));
            facts.push(fact(FEED, line).map_err(refused)?);
        }
    }
    Ok(facts)
}

fn signed_list(
    text: &[u8],
    rules: FeedRules<'_>,
    now: Option<UnixTime>,
) -> Result<(FeedHead, Vec<Value>), Fault> {
    let read = read_feed(FEED, text, rules.keys, &PureRust).and_then(|(head, facts)| {
        now.map_or(Ok(()), |now| head.judge_times(Some(rules.max_age_s), now)).map(|()| (head, facts))
    });
    read.map_err(|error| {
        let message = |error: &ConfigError| match error.path.as_str() {
            "" => error.message.clone(),
            path => format!("{path}: {}", error.message),
        };
        Fault { code: error.fault().code(), messages: error.errors().iter().map(message).collect() }
    })
}

/// Whether these are the first pages of one full list, or all of them if there are so many files.
fn whole(heads: &[&FeedHead], files: usize, facts: usize, max_entries: usize) -> Result<(), Fault> {
    if facts > max_entries {
        let message = format!("{facts} revocations; `{PLACE}.max_entries` is {max_entries}");
        return Err(Fault::new(FileFault::TooLarge, message));
    }
    let malformed = |message| Err(Fault::new(FileFault::Malformed, message));
    match heads {
        [] => Ok(()),
        [FeedHead { since: Some(since), .. }, ..] => {
            malformed(format!("it tells what changed since the sequence {since}, and is no full list"))
        }
        heads if heads.len() == files => one_list(heads).or_else(malformed),
        _ => Ok(()),
    }
}

impl Configuration {
    fn take_revoked(&mut self, facts: Vec<Value>) {
        self.settings.take_revocations(facts.clone());
        self.revoked = Some(facts);
    }

    /// Whether it is known here what was revoked.
    pub(super) fn knows_revoked(&self) -> bool {
        self.settings.revocations_server().is_none()
    }

    /// What nobody has told of did not happen: for cases, which are about policies. Answers what was not
    /// looked at.
    pub(super) fn assume_nothing_revoked(&mut self) -> Option<&'static str> {
        if self.knows_revoked() {
            return None;
        }
        eprintln!("WARNING: nothing is revoked here: `--revocations FILE` takes a list in the place of what `{PLACE}` sends");
        self.take_revoked(Vec::new());
        Some(PLACE)
    }

    /// The filter refuses who it can't look up.
    pub(super) fn warn_of_unknown_revoked(&self) {
        if !self.knows_revoked() {
            eprintln!("WARNING: the list of `{PLACE}` is not known here, and calls with a credential are refused for that: `--revocations FILE` takes a file in its place");
        }
    }
}

/// Puts them in the place of the server.
pub(super) fn lay_open(document: &mut Value, facts: &[Value]) {
    if let Some(revocations) = document.get_mut("revocations").and_then(Value::as_object_mut) {
        revocations.remove("remote");
        revocations.remove("keys");
        revocations.insert("inline".to_owned(), json!(facts));
    }
}
