//! Feeds, as they are written.

use serde::{Deserialize, Serialize};

use super::{Ranged, Timeout};
#[cfg(feature = "schema")]
use crate::base::patterns;
#[cfg(feature = "schema")]
use crate::base::relations;
#[cfg(feature = "schema")]
use crate::facts::revocations::Revocation;
#[cfg(feature = "schema")]
use crate::facts::signals::Signal;
use crate::jose::keys::Jwks;

/// Where the facts of one feed come from.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object", bound = "T: Deserialize<'de>")]
#[cfg_attr(feature = "schema", schemars(rename = "{T}s", bound = "T: schemars::JsonSchema + Described"))]
#[cfg_attr(feature = "schema", schemars(description = T::FEED, transform = relations::feed))]
pub struct Feed<T> {
    /// In this document: for tests, and for what has to count now.
    #[serde(default)]
    pub inline: Option<Vec<T>>,
    /// A server of signed lists.
    #[serde(default)]
    pub remote: Option<RemoteFeed>,
    /// Who may sign; required with `remote`.
    #[serde(default)]
    pub keys: Option<Jwks>,
    /// How old the list may be, counted from its signing.
    #[serde(default)]
    pub max_age_s: Ranged<i64, 1, 86_400, 60>,
    /// What becomes of calls that rest on it when it is older.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(description = T::WHEN_STALE))]
    pub when_stale: WhenStale,
}

/// What the schema says of a feed of such facts.
#[cfg(feature = "schema")]
pub trait Described {
    /// Of the whole.
    const FEED: &'static str;
    /// Of `when_stale`.
    const WHEN_STALE: &'static str;
}

#[cfg(feature = "schema")]
impl Described for Revocation {
    const FEED: &'static str = "Facts that end tokens, callers, tasks and keys before their time: exactly one of `inline` and\n`remote`.";
    const WHEN_STALE: &'static str =
        "What becomes of calls with a credential when it is older: 503 `revocations_stale`, or judged by \
        the last list, which the record says. Without any list they are refused in both.";
}

#[cfg(feature = "schema")]
impl Described for Signal {
    const FEED: &'static str = "Facts about callers and tasks that policies read as `input.signals`: exactly one of `inline` and\n`remote`.";
    const WHEN_STALE: &'static str =
        "What becomes of calls whose policy reads signals when it is older: 503 `signals_stale`, or \
        judged by the last list, which the record says. Without any list they are refused in both.";
}

/// What becomes of calls when a feed is older than it may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WhenStale {
    /// They are refused.
    #[default]
    Refuse,
    /// They are judged by the last list; without any they are refused.
    LastKnown,
}

/// A server of a feed, behind a cluster of the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RemoteFeed {
    /// The Envoy cluster that leads to it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub cluster: String,
    /// The `:authority` of the calls.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HOST)))]
    pub host: String,
    /// The path of the list.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::PATH)))]
    pub path: String,
    /// How often it is asked, over all workers; a tenth more or less.
    #[serde(default)]
    pub interval_ms: Ranged<u32, 100, 60_000, 500>,
    /// How long an answer may take.
    #[serde(default)]
    pub timeout_ms: Timeout<2_000>,
    /// The longest list: set it to what you expect. In each worker a revocation takes about 45 bytes, a signal about
    /// 200.
    #[serde(default)]
    pub max_entries: Ranged<usize, 1, 10_000_000, 1_000_000>,
}
