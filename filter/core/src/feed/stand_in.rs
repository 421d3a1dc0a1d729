//! A list in the place of what a server would send, for those who do not fetch.

use serde_json::Value;

use super::FeedKind;
use crate::keys::KeySet;
use crate::settings::Settings;

/// The rules on the lists of a server.
#[derive(Debug, Clone, Copy)]
pub struct FeedRules<'s> {
    /// Of those who may sign.
    pub keys: &'s KeySet,
    /// How old a list may be, in seconds.
    pub max_age_s: i64,
    /// The longest list.
    pub max_entries: usize,
}

impl Settings {
    /// What the filter asks of the lists of this feed; `None` if they come from no server.
    pub fn feed_server(&self, feed: FeedKind) -> Option<FeedRules<'_>> {
        let source = match feed {
            FeedKind::Revocations => self.revocations.as_ref(),
            FeedKind::Signals => self.signals.as_ref(),
        }?;
        let max_entries = source.remote.as_ref()?.max_entries;
        Some(FeedRules { keys: &source.keys, max_age_s: source.max_age_s, max_entries })
    }

    /// Takes these facts as if the feed's server had told of them, and of no others, and for good. They
    /// must have been understood.
    pub fn take_facts(&mut self, feed: FeedKind, facts: Vec<Value>) {
        let source = match feed {
            FeedKind::Revocations => self.revocations.as_mut(),
            FeedKind::Signals => self.signals.as_mut(),
        };
        if let Some(source) = source {
            source.inline = facts;
            source.remote = None;
        }
    }
}
