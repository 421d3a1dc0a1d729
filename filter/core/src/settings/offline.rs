//! Files in the place of what servers would send, for those who do not fetch.

use serde_json::Value;

use super::Settings;
use crate::base::time::UnixTime;
use crate::bundle::Bundle;
use crate::facts::content::FeedKind;
use crate::jose::keys::KeySet;
use crate::jose::signature::PureRust;
use crate::sync::signed::{FileError, FileFault};

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
    /// Whether bundles come from a server besides what the configuration holds.
    pub const fn has_bundle_server(&self) -> bool {
        self.bundle_source.remote.is_some()
    }

    /// Takes a bundle file as if the server had sent it and nothing before it: in the place of what the
    /// configuration holds, and by the rules on what is fetched. Without `now` its times are not looked at.
    ///
    /// # Errors
    /// Why the filter would not take it; what the configuration holds stays then.
    pub fn take_bundle(&mut self, file: &[u8], now: Option<UnixTime>) -> Result<(), FileError> {
        let source = &self.bundle_source;
        let max_bytes = source.remote.as_ref().map_or(usize::MAX, |remote| *remote.max_bytes);
        if file.len() > max_bytes {
            let message = format!("{} bytes; `bundle.remote.max_bytes` is {max_bytes}", file.len());
            return Err(FileError::new(FileFault::TooLarge, "", message));
        }
        let bundle = Bundle::from_signed(file, &source.keys, &PureRust, &self.limits)?;
        if let Some(head) = bundle.head() {
            if let Some(now) = now {
                head.judge_times(source.max_stale_s, now)?;
            }
            head.offer().not_older(self.bundle.head().map(|known| (known.sequence, Some(known.digest))))?;
        }
        self.bundle = bundle;
        Ok(())
    }

    /// Whether the bundle that the configuration holds may decide now.
    ///
    /// # Errors
    /// It is signed and has expired, is too old, or is not valid yet.
    pub fn judge_bundle(&self, now: UnixTime) -> Result<(), FileError> {
        self.bundle.head().map_or(Ok(()), |head| head.judge_times(self.bundle_source.max_stale_s, now))
    }

    /// What the filter asks of the lists of this feed; `None` if they come from no server.
    pub fn feed_server(&self, feed: FeedKind) -> Option<FeedRules<'_>> {
        let source = self.feed(feed)?;
        let max_entries = *source.remote.as_ref()?.max_entries;
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
