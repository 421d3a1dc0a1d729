//! Rules on feeds: where they come from, who signs them, and how old they may be.

use serde_json::Value;

use super::Resolver;
use crate::bundle::Bundle;
use crate::config::{is_host, is_path, ranges, RemoteFeed, Revocations, Signals};
use crate::feed::{Content as _, FeedKind, FeedSource, Full};
use crate::keys::Jwks;
use crate::keys::KeySet;
use crate::time::UnixTime;

impl Resolver {
    /// What was revoked, or where that is told.
    pub(super) fn revocations(&mut self, written: Revocations) -> FeedSource {
        let Revocations { inline, remote, keys, max_age_s, when_stale } = written;
        let inline = inline.map(|lines| lines.iter().map(serde_json::to_value).collect());
        let (inline, keys) = self.feed(FeedKind::Revocations, inline, remote.as_ref(), keys, max_age_s);
        FeedSource { inline, remote, keys, max_age_s, when_stale }
    }

    /// What is known of callers and tasks, or where that is told.
    pub(super) fn signals(&mut self, written: Signals) -> FeedSource {
        let Signals { inline, remote, keys, max_age_s, when_stale } = written;
        let inline = inline.map(|lines| lines.iter().map(serde_json::to_value).collect());
        let (inline, keys) = self.feed(FeedKind::Signals, inline, remote.as_ref(), keys, max_age_s);
        let mut known = crate::signals::Signals::default();
        // What is wrong with a line was said.
        let lines = inline.iter().all(|line| known.stage(line.clone()).is_ok());
        if let (true, Err(Full(which))) = (lines, known.commit(usize::MAX, UnixTime::default(), usize::MAX)) {
            self.error("signals.inline", which);
        }
        FeedSource { inline, remote, keys, max_age_s, when_stale }
    }

    /// A bundle whose policies read signals, where there are none. Of a bundle on a server it can't be known
    /// yet: there, such a policy decides nothing.
    pub(super) fn reads_no_signals(&mut self, bundle: &Bundle) {
        if let Some(rules) = bundle.rule_sets.iter().find(|rules| rules.reads_signals()) {
            let package = rules.package();
            self.error("signals", format!("missing; the rule set `{package}` reads `input.signals`"));
        }
    }

    /// The rules on a feed: its lines in the configuration, or who signs those of its server.
    fn feed(
        &mut self,
        kind: FeedKind,
        inline: Option<Result<Vec<Value>, serde_json::Error>>,
        remote: Option<&RemoteFeed>,
        keys: Option<Jwks>,
        max_age_s: i64,
    ) -> (Vec<Value>, KeySet) {
        let place = kind.as_str();
        if inline.is_some() == remote.is_some() {
            self.error(place, "expected either `inline` or `remote`");
        }
        let keys = match (remote, &keys) {
            (None, Some(_)) => {
                self.error(format!("{place}.keys"), "an `inline` list is not signed");
                KeySet::default()
            }
            _ => self.signing_keys(place, keys, remote.is_some()),
        };
        if let Some(remote) = remote {
            self.remote_feed(place, remote);
        }
        self.range(format!("{place}.max_age_s"), max_age_s, ranges::FEED_MAX_AGE_S);
        let lines = match inline.transpose() {
            Ok(lines) => lines.unwrap_or_default(),
            Err(error) => {
                self.error(format!("{place}.inline"), error.to_string());
                Vec::new()
            }
        };
        for (index, line) in lines.iter().enumerate() {
            if let Err(message) = kind.check(line.clone()) {
                self.error(format!("{place}.inline[{index}]"), message);
            }
        }
        (lines, keys)
    }

    fn remote_feed(&mut self, place: &str, remote: &RemoteFeed) {
        let RemoteFeed { cluster, host, path, interval_ms, timeout_ms, max_entries } = remote;
        if cluster.is_empty() {
            self.error(format!("{place}.remote.cluster"), "must not be empty");
        }
        if !is_host(host) {
            self.error(format!("{place}.remote.host"), format!("`{host}` is not a host"));
        }
        if !is_path(path) {
            self.error(format!("{place}.remote.path"), format!("`{path}` is not a path"));
        }
        let entries = i64::try_from(*max_entries).unwrap_or(i64::MAX);
        for (name, value, range) in [
            ("interval_ms", i64::from(*interval_ms), ranges::FEED_INTERVAL_MS),
            ("timeout_ms", i64::from(*timeout_ms), ranges::TIMEOUT_MS),
            ("max_entries", entries, ranges::FEED_ENTRIES),
        ] {
            self.range(format!("{place}.remote.{name}"), value, range);
        }
    }
}
