//! Policy decision points, as they are written.

use serde::Deserialize;

/// One policy decision point.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Pdp {
    /// What it speaks.
    pub protocol: PdpProtocol,
    /// The Envoy cluster that leads to it.
    pub cluster: String,
    /// The `:authority` of the calls.
    pub host: String,
    /// The path of the calls; each protocol has its rule on it.
    #[serde(default)]
    pub path: Option<String>,
    /// Names of the request's headers that an ext_authz server is told; absent: all but secret ones.
    #[serde(default)]
    pub headers: Option<Vec<String>>,
    /// How long an answer may take.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u32,
    /// Open questions per worker; one more is refused with `overloaded`.
    #[serde(default = "default_in_flight")]
    pub max_in_flight: usize,
    /// How often a call is tried again that did not reach it.
    #[serde(default = "default_connect_retries")]
    pub connect_retries: u32,
    /// Present: it is not asked for a while after failures in a row.
    #[serde(default)]
    pub breaker: Option<Breaker>,
}

/// The protocols that are spoken with a policy decision point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PdpProtocol {
    /// AuthZEN Authorization API 1.0, Access Evaluation.
    Authzen,
    /// The Data API of Open Policy Agent.
    Opa,
    /// Envoy's `envoy.service.auth.v3.Authorization`, over gRPC.
    ExtAuthz,
}

/// When to stop asking, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Breaker {
    /// Failures in a row, per worker, that open it.
    pub failures: u32,
    /// How long nothing is asked then; after it one question is tried.
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
