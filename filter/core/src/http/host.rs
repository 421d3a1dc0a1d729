//! Hosts as grants name them, and how the servers behind them compare paths.

use serde::Deserialize;
#[cfg(feature = "schema")]
use serde::Serialize;

/// Behind a host that grants name: with whatever port, and without one.
pub(crate) const ANY_PORT: &str = ":*";

/// What is wrong with a host.
pub(crate) const NO_HOST: &str = "is not a host in lower case such as `h`, `h:8080` or `h:*`";

/// How the server behind a host compares paths: grants and policies see them likewise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Host {
    /// Letter case: with `fold` segments are in lower case.
    pub path_case: Compared,
    /// A slash at the end: with `fold` it is not there.
    pub trailing_slash: Compared,
}

/// Whether a difference tells two paths apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, Serialize))]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// It does.
    #[default]
    Exact,
    /// It does not.
    Fold,
}
