//! The record of a stream's end.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::identity::Identity;

/// The end of an admitted request. The schema's version is `v`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StreamRecord {
    /// The schema's version: 2.
    pub v: u32,
    /// `stream_ended`. A decision's record has none.
    pub event: &'static str,
    /// The decision id: that of the request's record.
    pub id: String,
    /// When it ended, in Unix seconds.
    pub time: UnixTime,
    /// Which engine decided.
    pub instance: Arc<str>,
    /// `closed`: one of its sides ended it. Else from the list of reasons.
    pub reason: StreamEnd,
    /// The fact behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// It did not end by itself.
    pub cut: bool,
    /// Seconds from its admission to its end.
    pub open_s: f64,
    /// Bytes from the client, headers included; null if Envoy does not tell.
    pub bytes_received: Option<u64>,
    /// Bytes to the client, headers included; null if Envoy does not tell.
    pub bytes_sent: Option<u64>,
    /// The verified caller; null without one.
    pub identity: Option<StreamIdentity>,
    /// The id of the grant; null for a request that `observe` passed on.
    pub grant: Option<String>,
    /// The id of the elevation; null without one.
    pub elevation: Option<String>,
}

/// The caller of a stream that ended: by what revocations name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StreamIdentity {
    /// The caller.
    pub id: String,
    /// Who vouches for it.
    pub issuer: String,
    /// On whose behalf.
    pub on_behalf_of: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// `jti`.
    pub token_id: Option<String>,
    /// `kid`, or the id of an API key.
    pub key_id: Option<String>,
}

impl From<&Identity> for StreamIdentity {
    fn from(identity: &Identity) -> Self {
        let Identity { id, issuer, on_behalf_of, task, token_id, key_id, .. } = identity;
        Self {
            id: id.clone(),
            issuer: issuer.as_ref().to_owned(),
            on_behalf_of: on_behalf_of.clone(),
            task: task.clone(),
            token_id: token_id.as_deref().map(str::to_owned),
            key_id: key_id.as_deref().map(str::to_owned),
        }
    }
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamEnd {
    /// One of its sides ended it.
    Closed,
    /// What it rested on ended.
    Over(Reason),
}

impl StreamEnd {
    /// The code in records and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            StreamEnd::Closed => "closed",
            StreamEnd::Over(reason) => reason.code(),
        }
    }
}

impl fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for StreamEnd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
