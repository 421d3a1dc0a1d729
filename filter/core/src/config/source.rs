//! Where the client's address comes from, as it is written.

use serde::Deserialize;

use super::Ranged;

/// Where the client's address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Source {
    /// What tells it.
    pub from: SourceFrom,
    /// With `use_remote_address`: so many proxies in front are believed about who connected to them, so nobody else
    /// may reach this one. `xff_num_trusted_hops` of the proxy.
    #[serde(default)]
    pub trusted_hops: Ranged<u32, 0, 32, 0>,
}

/// What tells the client's address. What the host calls the source address is what Envoy made of
/// `x-forwarded-for`: by its defaults, and in Istio's sidecars, whatever the client wrote there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SourceFrom {
    /// The connection itself, whose address the proxy's filter `set_filter_state` in front of this one keeps as
    /// `everycall.source`. A request without it is refused.
    Connection,
    /// The host's source address, in a proxy with `use_remote_address: true`.
    UseRemoteAddress,
}
