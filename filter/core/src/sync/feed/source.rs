//! Where a feed comes from, and how it stands.

use serde_json::Value;

use super::head::MAX_FEED_PAGE;
use crate::base::time::UnixTime;
use crate::config::{RemoteFeed, WhenStale};
use crate::facts::content::{Content, FeedKind};
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::follower::{FetchStats, Server};
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

/// How fresh a feed is in one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeedState {
    /// There is no list yet.
    Missing,
    /// It is as young as it has to be.
    Fresh,
    /// It is older.
    Stale,
}

/// Figures of one feed in one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedStats {
    /// Which feed.
    pub feed: FeedKind,
    /// How fresh it is.
    pub state: FeedState,
    /// Number and time of signing of the list, if there is one.
    pub signed: Option<(u64, UnixTime)>,
    /// Facts that are known.
    pub entries: usize,
    /// What came of fetches. One that brought changes of another list has failed.
    pub fetches: FetchStats,
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
