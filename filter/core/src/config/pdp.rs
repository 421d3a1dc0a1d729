//! Policy decision points, as they are written.

use serde::Deserialize;

#[cfg(feature = "schema")]
use super::ranges;
#[cfg(feature = "schema")]
use crate::base::patterns;
#[cfg(feature = "schema")]
use crate::base::relations;
use crate::http::call::PdpProtocol;

/// One policy decision point.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::pdp))]
pub struct Pdp {
    /// What it speaks.
    pub protocol: PdpProtocol,
    /// The Envoy cluster that leads to it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub cluster: String,
    /// The `:authority` of the calls.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HOST)))]
    pub host: String,
    /// The path of the calls; each protocol has its rule on it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::PATH)))]
    pub path: Option<String>,
    /// Names of the request's headers that an ext_authz server is told; absent: all but secret ones.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = patterns::HEADER))))]
    pub headers: Option<Vec<String>>,
    /// How long an answer may take.
    #[serde(default = "default_timeout")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::TIMEOUT_MS.0, max = ranges::TIMEOUT_MS.1)))]
    pub timeout_ms: u32,
    /// Open questions per worker; one more is refused with `overloaded`.
    #[serde(default = "default_in_flight")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::MAX_IN_FLIGHT.0, max = ranges::MAX_IN_FLIGHT.1)))]
    pub max_in_flight: usize,
    /// How often a call is tried again that did not reach it.
    #[serde(default = "default_connect_retries")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::CONNECT_RETRIES.0, max = ranges::CONNECT_RETRIES.1)))]
    pub connect_retries: u32,
    /// Present: it is not asked for a while after failures in a row.
    #[serde(default)]
    pub breaker: Option<Breaker>,
}

/// When to stop asking, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Breaker {
    /// Failures in a row, per worker, that open it.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::BREAKER_FAILURES.0, max = ranges::BREAKER_FAILURES.1)))]
    pub failures: u32,
    /// How long nothing is asked then; after it one question is tried.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::BREAKER_OPEN_MS.0, max = ranges::BREAKER_OPEN_MS.1)))]
    pub open_ms: u32,
}

fn default_timeout() -> u32 {
    200
}

fn default_in_flight() -> usize {
    100
}

fn default_connect_retries() -> u32 {
    1
}
