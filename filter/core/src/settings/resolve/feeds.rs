//! Rules on feeds: where they come from, who signs them, and how old they may be.

use serde::Serialize;
use serde_json::Value;

use super::Resolver;
use crate::base::time::UnixTime;
use crate::bundle::Bundle;
use crate::config;
use crate::facts::content::{Content as _, FeedKind, Full};
use crate::facts::signals::Signals;
use crate::jose::keys::KeySet;
use crate::sync::feed::FeedSource;

impl Resolver {
    /// The rules on a feed: its lines in the configuration, or who signs those of its server.
    pub(super) fn feed<T: Serialize>(&mut self, kind: FeedKind, written: config::Feed<T>) -> FeedSource {
        let config::Feed { inline, remote, keys, max_age_s, when_stale } = written;
        let place = kind.as_str();
        if inline.is_some() == remote.is_some() {
            self.error(place, "expected either `inline` or `remote`");
        }
        let keys = match (&remote, &keys) {
            (None, Some(_)) => {
                self.error(format!("{place}.keys"), "an `inline` list is not signed");
                KeySet::default()
            }
            _ => self.signing_keys(place, keys, remote.is_some()),
        };
        if let Some(remote) = &remote {
            self.server(&format!("{place}.remote"), &remote.cluster, &remote.host);
            self.path(&format!("{place}.remote.path"), &remote.path);
        }
        let mut lines = Vec::new();
        for (index, fact) in inline.iter().flatten().enumerate() {
            let line = serde_json::to_value(fact).map_err(|error| error.to_string());
            match line.and_then(|line| kind.check(line.clone()).map(|()| line)) {
                Ok(line) => lines.push(line),
                Err(message) => self.error(format!("{place}.inline[{index}]"), message),
            }
        }
        if kind == FeedKind::Signals {
            self.signals_fit(&lines);
        }
        FeedSource { inline: lines, remote, keys, max_age_s: *max_age_s, when_stale }
    }

    /// There may be only so many signals about one thing.
    fn signals_fit(&mut self, lines: &[Value]) {
        let mut known = Signals::default();
        let staged = lines.iter().all(|line| known.stage(line.clone()).is_ok());
        if let (true, Err(Full(which))) = (staged, known.commit(usize::MAX, UnixTime::default(), usize::MAX))
        {
            self.error("signals.inline", which);
        }
    }

    /// A bundle whose policies read signals, where there are none. Of a bundle on a server it can't be known
    /// yet: there, such a policy decides nothing.
    pub(super) fn reads_no_signals(&mut self, bundle: &Bundle) {
        if let Some(rules) = bundle.rule_sets.iter().find(|rules| rules.reads_signals()) {
            let package = rules.package();
            self.error("signals", format!("missing; the rule set `{package}` reads `input.signals`"));
        }
    }
}
