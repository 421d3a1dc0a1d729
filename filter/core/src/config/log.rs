//! What is written down, and what is only written down for a while, as it is written.

use serde::Deserialize;

use super::Ranged;

#[cfg(feature = "schema")]
use crate::base::patterns;

/// What is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Log {
    /// Which decisions are recorded, one JSON line each; refusals that `observe` passes on are refusals, and so are
    /// decisions from which a shadow differs.
    pub records: LogRecords,
    /// Where their records go: to the proxy's log, or into the access log.
    pub to: LogTo,
    /// Bytes that a record keeps of one value of a header or query parameter; of a longer one, and of all beyond
    /// eight times as much, it keeps the beginning, the length and the SHA-256.
    pub value_bytes: Ranged<usize, 64, 65_536, 1_024>,
    /// The end of an admitted request is recorded, too, if it was open for so long, or was cut.
    pub streams_after_s: Ranged<u32, 0, 86_400, 5>,
}

/// Which decisions are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub enum LogRecords {
    /// All.
    #[default]
    All,
    /// Denials.
    Refusals,
    /// None.
    Off,
}

/// Where records of decisions go. Those of streams that ended go to the proxy's log: the access log has its
/// line by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub enum LogTo {
    /// To the proxy's log, a line each; the access log is shown the decision in short.
    #[default]
    ProxyLog,
    /// The access log is shown the record in place of the decision in short.
    AccessLog,
}

impl LogTo {
    /// Whether records wait until a tick writes them to the proxy's log.
    pub(crate) const fn is_queued(self) -> bool {
        match self {
            Self::ProxyLog => true,
            Self::AccessLog => false,
        }
    }

    /// Whether the access log is shown them.
    pub(crate) const fn is_shown(self) -> bool {
        match self {
            Self::ProxyLog => false,
            Self::AccessLog => true,
        }
    }
}

/// Where refusals of grants and policies are passed on and written down, until a day comes.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Observe {
    /// Hosts, as in grants.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::PLAIN_HOST))))]
    pub hosts: Vec<String>,
    /// Templates as in grants.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::TEMPLATE))))]
    pub paths: Vec<String>,
    /// RFC 3339; from then on refusals are refusals. At most 30 days ahead: the filter does not take a configuration
    /// with a later end, and a core without a clock observes nothing then.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub until: String,
}
