//! What a decision's record says of shadows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BundleRecord, SignalsRecord, Verdict};
use crate::base::reason::Reason;
use crate::base::words::words;

/// What a shadow says of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ShadowRecord {
    /// The rule set's name, or `bundle`.
    pub name: String,
    /// The shadow bundle, if it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleRecord>,
    /// `same`, `differs`, `unknown` or `error`.
    pub outcome: ShadowOutcome,
    /// `allow` or `deny`; `ask` if the outcome is `unknown`.
    pub decision: Verdict,
    /// From the list of reasons; null if it asks.
    pub reason: Option<Reason>,
    /// The policy's own code for the rule that decided.
    pub rule: Option<String>,
    /// The fact behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it read and the decision did not.
    pub read: ShadowReads,
}

/// What only a shadow read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ShadowReads {
    /// The path with the query as it came, if a policy in the form of OPA-Envoy read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_and_query: Option<String>,
    /// Values of headers.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
    /// Values of query parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub query: Map<String, Value>,
    /// Attributes of the connection.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub connection: Map<String, Value>,
    /// Signals, as `signals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signals: Option<SignalsRecord>,
}

words! {
    /// How what a shadow says compares with the decision: allow or deny, whatever the reason.
    pub enum ShadowOutcome {
        /// It says the same.
        Same = "same",
        /// It says the opposite.
        Differs = "differs",
        /// It asks a decision point what the decision did not.
        Unknown = "unknown",
        /// It came to no decision: a limit, an error, a result of no known shape, or a bundle that does not serve.
        Error = "error",
    }
}
