//! Bundles, as they are written: where they come from, and what those hold that the configuration holds.

use std::collections::BTreeMap;

use serde::Deserialize;
#[cfg(feature = "schema")]
use serde::Serialize;
use serde_json::{Map, Value};

#[cfg(feature = "schema")]
use super::authority::Grant;
use super::authority::{Elevation, Exception};
use super::{Ranged, Timeout};
#[cfg(feature = "schema")]
use crate::base::patterns;
#[cfg(feature = "schema")]
use crate::base::relations;
use crate::jose::keys::Jwks;

/// Where policies and authority records come from: one of `inline` and `signed`, a server, or both;
/// then what is in this document serves until the server has answered.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::bundle))]
pub struct Bundle {
    /// In this document, which has at most 512 KiB and 40,000 values of JSON, some 2,000 grants: a worker reads it at
    /// once. What is larger comes from a server.
    #[serde(default)]
    pub inline: Option<InlineBundle>,
    /// The text of a signed bundle file.
    #[serde(default)]
    pub signed: Option<String>,
    /// A server of signed bundle files.
    #[serde(default)]
    pub remote: Option<RemoteBundle>,
    /// Who may sign; required with `signed` and `remote`.
    #[serde(default)]
    pub keys: Option<Jwks>,
    /// How old a signed bundle may be, counted from its signing; without it only its own end counts.
    #[serde(default)]
    pub max_stale_s: Option<Ranged<i64, 1, 31_536_000>>,
}

/// A server of bundle files, behind a cluster of the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RemoteBundle {
    /// The Envoy cluster that leads to it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub cluster: String,
    /// The `:authority` of the calls.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HOST)))]
    pub host: String,
    /// The path of the file.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::PATH)))]
    pub path: String,
    /// How long an answer may take.
    #[serde(default)]
    pub timeout_ms: Timeout<10_000>,
    /// How often it is asked, over all workers.
    #[serde(default)]
    pub interval_s: Ranged<i64, 1, 86_400, 10>,
    /// The largest file; Envoy takes no answer of more than 32 MiB.
    #[serde(default)]
    pub max_bytes: Ranged<usize, 1_024, 33_554_432, 10_485_760>,
}

/// A bundle that is a part of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct InlineBundle {
    /// File name to Rego.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
    /// What policies see as `data`.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// Options of rule sets, by the name that grants call them as `policy`; one that no grant names is an error.
    #[serde(default)]
    pub rule_sets: BTreeMap<String, RuleSet>,
    /// Who is entitled to what.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Grant>"))]
    pub grants: Vec<Value>,
    /// What is approved for hours.
    #[serde(default)]
    pub elevations: Vec<Elevation>,
    /// What the rules forbid and somebody answers for, until a date.
    #[serde(default)]
    pub exceptions: Vec<Exception>,
}

/// Options of one rule set.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::rule_set))]
pub struct RuleSet {
    /// What its rules are given and answer: our own form, or that of OPA's plugin for Envoy.
    pub input_format: InputFormat,
    /// With `opa-envoy`: package and rule that decide; without it `envoy.authz.allow`.
    pub entrypoint: Option<String>,
    /// A rule set that decides too and is not obeyed; a grant need not name it.
    pub shadow: Option<String>,
}

/// Forms of what a rule set is given and answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, Serialize))]
pub enum InputFormat {
    /// Our own.
    #[default]
    #[serde(rename = "everycall")]
    Everycall,
    /// That of OPA's plugin for Envoy.
    #[serde(rename = "opa-envoy")]
    OpaEnvoy,
}
