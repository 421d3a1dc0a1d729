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
    /// The path of the calls. `authzen`: without it `/access/v1/evaluation`; `opa`: needed, such as
    /// `/v1/data/shop/allow`; `ext_authz` has its own.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::PATH)))]
    pub path: Option<String>,
    /// `ext_authz` only: the request's headers that it is told, and no others; without it all but secret ones.
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
    /// How often Envoy tries again when the PDP has not seen the call; all within `timeout_ms`.
    #[serde(default = "default_connect_retries")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::CONNECT_RETRIES.0, max = ranges::CONNECT_RETRIES.1)))]
    pub connect_retries: u32,
    /// Leaves it alone for a while after failures in a row.
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
    /// How long questions fail at once then; after it one is tried, and its answer decides.
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
