//! Where a feed comes from, and how it stands.

use serde_json::Value;

use super::head::MAX_FEED_PAGE;
use crate::config::{RemoteFeed, WhenStale};
use crate::facts::content::Content;
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::follower::Server;
use crate::sync::signed::MAX_HEAD;

/// The largest answer.
const MAX_BODY: usize = MAX_FEED_PAGE + MAX_HEAD + 1;

/// Where a feed comes from, and how old it may be.
#[derive(Debug)]
pub(crate) struct FeedSource {
    /// What the configuration holds.
    pub(crate) inline: Vec<Value>,
    /// `None`: there is no more than that.
    pub(crate) remote: Option<RemoteFeed>,
    /// Of those who may sign.
    pub(crate) keys: KeySet,
    pub(crate) max_age_s: i64,
    pub(crate) when_stale: WhenStale,
}

/// What is in force besides the feed.
pub(crate) struct World<'w> {
    pub(crate) source: &'w FeedSource,
    pub(crate) verifier: &'w dyn SignatureVerifier,
    pub(crate) content: &'w mut dyn Content,
}

impl World<'_> {
    pub(super) fn max_entries(&self) -> usize {
        self.source.remote.as_ref().map_or(0, |remote| *remote.max_entries)
    }
}

/// The server of a feed.
pub(crate) fn server(RemoteFeed { cluster, host, path, interval_ms, timeout_ms, .. }: &RemoteFeed) -> Server {
    Server {
        cluster: cluster.clone(),
        host: host.clone(),
        path: path.clone(),
        accept: "application/x-ndjson",
        timeout_ms: **timeout_ms,
        interval_ms: (**interval_ms).into(),
        max_body: MAX_BODY,
    }
}
