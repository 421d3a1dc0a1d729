//! A list in the place of what a server would send, for those who do not fetch.

use serde_json::Value;

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
    /// What the filter asks of lists of revocations; `None` if they come from no server.
    pub fn revocations_server(&self) -> Option<FeedRules<'_>> {
        let source = self.revocations.as_ref()?;
        let max_entries = source.remote.as_ref()?.max_entries;
        Some(FeedRules { keys: &source.keys, max_age_s: source.max_age_s, max_entries })
    }

    /// Takes these revocations as if the server had told of them, and of no others, and for good. They
    /// must have been understood.
    pub fn take_revocations(&mut self, facts: Vec<Value>) {
        if let Some(source) = &mut self.revocations {
            source.inline = facts;
            source.remote = None;
        }
    }
}
