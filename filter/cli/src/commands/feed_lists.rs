//! `--revocations FILE` and `--signals FILE`: lists in the place of what the servers of feeds would send.

use std::path::{Path, PathBuf};

use everycall_core::facts::FeedKind;
use everycall_core::settings::FeedRules;
use everycall_core::sync::{read_feed, FeedHead, FeedPart, FileFault};
use everycall_core::{ConfigError, PureRust, UnixTime};
use serde_json::{json, Value};

use super::feed::{fact, one_list};
use super::{signed, Configuration, Invalid};

/// What stands in for the servers of feeds.
#[derive(clap::Args)]
pub(super) struct FeedListArgs {
    /// Take this file for what the server of `revocations.remote` sends: revocations in JSON, one a line,
    /// or a signed list; repeated for the pages of one
    #[arg(long, value_name = "FILE")]
    revocations: Vec<PathBuf>,
    /// The same for `signals.remote`
    #[arg(long, value_name = "FILE")]
    signals: Vec<PathBuf>,
}

impl FeedListArgs {
    /// The configuration after it has taken the lists as the filter would, now; without `now` the lists'
    /// times are not looked at. Lines that nobody signed have none.
    pub(super) fn apply(
        &self,
        mut configuration: Configuration,
        now: Option<UnixTime>,
    ) -> anyhow::Result<Configuration> {
        for (feed, files) in [(FeedKind::Revocations, &self.revocations), (FeedKind::Signals, &self.signals)]
        {
            if files.is_empty() {
                continue;
            }
            let Some(rules) = configuration.settings.feed_server(feed) else {
                anyhow::bail!(
                    "`--{feed}`: the configuration has no `{feed}.remote` that a file could stand in for"
                );
            };
            let facts = facts(feed, files, rules, now)?;
            configuration.take_facts_of(feed, facts);
        }
        Ok(configuration)
    }
}

fn facts(
    feed: FeedKind,
    files: &[PathBuf],
    rules: FeedRules<'_>,
    now: Option<UnixTime>,
) -> anyhow::Result<Vec<Value>> {
    let mut facts = Vec::new();
    let mut heads: Vec<FeedHead> = Vec::new();
    for file in files {
        let text = signed::read(file)?;
        let read = if is_lines(&text) {
            lines(feed, &text)
        } else {
            signed_list(feed, &text, rules, now).map(|(head, facts)| {
                heads.push(head);
                facts
            })
        };
        let read = read.and_then(|read| {
            facts.extend(read);
            let heads: Vec<&FeedHead> = heads.iter().collect();
            whole(feed, &heads, files.len(), facts.len(), rules.max_entries)
        });
        read.map_err(|fault| fault.of(feed, file))?;
    }
    Ok(facts)
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
        Self { code: fault.as_str(), messages: vec![message] }
    }

    fn of(self, feed: FeedKind, file: &Path) -> Invalid {
        let Self { code, messages } = self;
        let problem = |message| {
            (format!("{feed}.remote"), format!("`{}` is not taken ({code}): {message}", file.display()))
        };
        Invalid { problems: messages.into_iter().map(problem).collect(), unreadable: false }
    }
}

fn lines(feed: FeedKind, text: &[u8]) -> Result<Vec<Value>, Fault> {
    let mut facts = Vec::new();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1_usize..) {
        if !line.trim_ascii().is_empty() {
            let refused = |message| Fault::new(FileFault::Invalid, format!("line {number}: {message}"));
            facts.push(fact(feed, line).map_err(refused)?);
        }
    }
    Ok(facts)
}

fn signed_list(
    feed: FeedKind,
    text: &[u8],
    rules: FeedRules<'_>,
    now: Option<UnixTime>,
) -> Result<(FeedHead, Vec<Value>), Fault> {
    let read = read_feed(feed, text, rules.keys, &PureRust).and_then(|(head, facts)| {
        now.map_or(Ok(()), |now| head.judge_times(Some(rules.max_age_s), now)).map(|()| (head, facts))
    });
    read.map_err(|error| {
        let message = |error: &ConfigError| match error.path.as_str() {
            "" => error.message.clone(),
            path => format!("{path}: {}", error.message),
        };
        Fault { code: error.fault().as_str(), messages: error.errors().iter().map(message).collect() }
    })
}

/// Whether these are the first pages of one full list, or all of them if there are so many files.
fn whole(
    feed: FeedKind,
    heads: &[&FeedHead],
    files: usize,
    facts: usize,
    max_entries: usize,
) -> Result<(), Fault> {
    if facts > max_entries {
        let message = format!("{facts} {feed}; `{feed}.remote.max_entries` is {max_entries}");
        return Err(Fault::new(FileFault::TooLarge, message));
    }
    let malformed = |message| Err(Fault::new(FileFault::Malformed, message));
    match heads {
        [] => Ok(()),
        [FeedHead { about: FeedPart { since: Some(since), .. }, .. }, ..] => {
            malformed(format!("it tells what changed since the sequence {since}, and is no full list"))
        }
        heads if heads.len() == files => one_list(heads).or_else(malformed),
        _ => Ok(()),
    }
}

impl Configuration {
    fn take_facts_of(&mut self, feed: FeedKind, facts: Vec<Value>) {
        self.settings.take_facts(feed, facts.clone());
        self.feed_facts.insert(feed, facts);
    }

    /// The feeds whose servers nothing stands in for.
    fn untold(&self) -> impl Iterator<Item = FeedKind> + '_ {
        FeedKind::ALL.into_iter().filter(|feed| self.settings.feed_server(*feed).is_some())
    }

    /// What nobody has told of did not happen: for cases, which are about policies. Answers what was not
    /// looked at.
    pub(super) fn assume_nothing_told(&mut self) -> Vec<&'static str> {
        let untold: Vec<FeedKind> = self.untold().collect();
        let assume = |feed: FeedKind| {
            eprintln!("WARNING: there are no {feed} here: `--{feed} FILE` takes a list in the place of what `{feed}.remote` sends");
            self.take_facts_of(feed, Vec::new());
            match feed {
                FeedKind::Revocations => "revocations.remote",
                FeedKind::Signals => "signals.remote",
            }
        };
        untold.into_iter().map(assume).collect()
    }

    /// The filter refuses who it can't look up.
    pub(super) fn warn_of_untold(&self) {
        for feed in self.untold() {
            let refused = match feed {
                FeedKind::Revocations => "calls with a credential are refused",
                FeedKind::Signals => "calls whose policy reads `input.signals` are refused",
            };
            eprintln!("WARNING: the list of `{feed}.remote` is not known here, and {refused} for that: `--{feed} FILE` takes a file in its place");
        }
    }
}

/// Puts them in the place of the server.
pub(super) fn lay_open(document: &mut Value, feed: FeedKind, facts: &[Value]) {
    if let Some(members) = document.get_mut(feed.as_str()).and_then(Value::as_object_mut) {
        members.remove("remote");
        members.remove("keys");
        members.insert("inline".to_owned(), json!(facts));
    }
}
