//! Rules on feeds: where they come from, who signs them, and how old they may be.

use super::Resolver;
use crate::config::{ranges, RemoteFeed, Revocations};
use crate::keys::KeySet;
use crate::settings::FeedSource;

impl Resolver {
    /// What was revoked, or where that is told.
    pub(super) fn revocations(&mut self, written: Revocations) -> FeedSource {
        const PLACE: &str = "revocations";
        let Revocations { inline, remote, keys, max_age_s, when_stale } = written;
        if inline.is_some() == remote.is_some() {
            self.error(PLACE, "expected either `inline` or `remote`");
        }
        let keys = match (&remote, &keys) {
            (None, Some(_)) => {
                self.error(format!("{PLACE}.keys"), "an `inline` list is not signed");
                KeySet::default()
            }
            _ => self.signing_keys(PLACE, keys, remote.is_some()),
        };
        if let Some(remote) = &remote {
            self.remote_feed(PLACE, remote);
        }
        self.range(format!("{PLACE}.max_age_s"), max_age_s, ranges::FEED_MAX_AGE_S);
        let mut lines = Vec::new();
        for (index, line) in inline.into_iter().flatten().enumerate() {
            if let Err(message) = line.check() {
                self.error(format!("{PLACE}.inline[{index}]"), message);
            }
            lines.extend(serde_json::to_value(line));
        }
        FeedSource { inline: lines, remote, keys, max_age_s, when_stale }
    }

    fn remote_feed(&mut self, place: &str, remote: &RemoteFeed) {
        let RemoteFeed { cluster, host, path, interval_ms, timeout_ms, max_entries } = remote;
        if cluster.is_empty() {
            self.error(format!("{place}.remote.cluster"), "must not be empty");
        }
        if !super::is_host(host) {
            self.error(format!("{place}.remote.host"), format!("`{host}` is not a host"));
        }
        if !super::is_path(path) {
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
