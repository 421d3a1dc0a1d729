//! Issuers of tokens and their keys, as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Leeway, Ranged, Timeout};
#[cfg(feature = "schema")]
use crate::base::patterns;
#[cfg(feature = "schema")]
use crate::base::relations;
use crate::identity::{Kind, RequiredBinding};
use crate::jose::keys::{Algorithm, Jwks};

/// One issuer of tokens.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::issuer))]
pub struct Issuer {
    /// Equal to the tokens' `iss`, byte for byte; for the profile `spiffe`: `spiffe://` and the trust domain, which
    /// chooses the tokens by their `sub`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub issuer: String,
    /// A preset for what the tokens look like; the keys below change it.
    #[serde(default)]
    pub profile: Option<Profile>,
    /// One of them must be in the tokens' `aud`, byte for byte.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(length(min = 1))))]
    pub audiences: Vec<String>,
    /// The claim that names the audience in tokens without `aud`, such as `client_id`; not with a profile, and only with
    /// `required_values` that tell these tokens from others of the issuer.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub audience_claim: Option<String>,
    /// What its keys may be used for; a token never chooses.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub algorithms: Vec<Algorithm>,
    /// The longest `exp - iat`, in seconds; a profile has a ceiling of its own.
    #[serde(default)]
    pub max_lifetime_s: Option<Ranged<i64, 1, 86_400>>,
    /// Its keys.
    pub keys: Keys,
    /// What sort of callers its tokens are for, where no rule of `kinds` holds.
    pub kind: Kind,
    /// Claims that tell another sort of caller; the first rule that holds.
    #[serde(default)]
    pub kinds: Vec<KindRule>,
    /// What sort of callers act for a principal (`act`); without it as for other tokens.
    #[serde(default)]
    pub actor_kind: Option<Kind>,
    /// The caller's id from claims, such as `ci:{repository}`; without it the profile's, or `{sub}`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::ID)))]
    pub id: Option<String>,
    /// The claim that names the task; a profile may have one.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub task_claim: Option<String>,
    /// Accepted `typ` values without `application/`; the empty text admits tokens without `typ`. Without it the
    /// profile's, or `["", "jwt", "at+jwt"]`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub types: Option<Vec<String>>,
    /// Claims that must be there, besides the profile's.
    #[serde(default)]
    pub required_claims: Vec<String>,
    /// Claims that must have this text, or hold it in their list, such as `token_use: access`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("additionalProperties" = {"type": "string", "minLength": 1})))]
    pub required_values: BTreeMap<String, String>,
    /// SPIFFE trust domains that its ids may be of; any other SPIFFE ID is refused.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = patterns::TRUST_DOMAIN))))]
    pub trust_domains: Vec<String>,
    /// How far the issuer's clock may run ahead of ours, for `iat` and `nbf` only.
    #[serde(default)]
    pub leeway_s: Leeway<5>,
    /// The proof of possession without which its tokens are refused.
    #[serde(default)]
    pub required_binding: Option<RequiredBinding>,
    /// The caller's id must be the SPIFFE ID of the mTLS peer as well.
    #[serde(default)]
    pub peer_match: bool,
}

/// Presets for issuers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Profile {
    /// JWT-SVIDs of one trust domain.
    #[serde(rename = "spiffe")]
    Spiffe,
    /// Projected service-account tokens.
    #[serde(rename = "kubernetes")]
    Kubernetes,
    /// OIDC tokens of GitHub Actions jobs.
    #[serde(rename = "github-actions")]
    GithubActions,
    /// ID tokens of GitLab CI jobs.
    #[serde(rename = "gitlab-ci")]
    GitlabCi,
    /// OpenID Connect ID tokens.
    #[serde(rename = "oidc")]
    Oidc,
    /// OAuth access tokens (RFC 9068).
    #[serde(rename = "at+jwt")]
    AccessToken,
}

/// A claim that tells the sort of caller.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct KindRule {
    /// The claim: its name, or a JSON Pointer such as `/realm_access/roles`.
    pub claim: String,
    /// Its value, or a member of its list.
    pub value: String,
    /// The sort of caller then.
    pub kind: Kind,
}

/// Where an issuer's keys come from: exactly one of the two.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::keys))]
pub struct Keys {
    /// A JWK set (RFC 7517); private, symmetric and weak keys are errors.
    #[serde(default)]
    pub inline: Option<Jwks>,
    /// A server of key sets.
    #[serde(default)]
    pub remote: Option<RemoteKeys>,
}

/// A server of key sets, behind a cluster of the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::remote_keys))]
pub struct RemoteKeys {
    /// The Envoy cluster that leads to it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub cluster: String,
    /// The `:authority` of the calls, and the only server that discovery may name.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HOST)))]
    pub host: String,
    /// The path of the key set; left out with `discovery`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::PATH)))]
    pub path: Option<String>,
    /// Find the path by OpenID Connect Discovery below the issuer's own path.
    #[serde(default)]
    pub discovery: bool,
    /// How long an answer may take.
    #[serde(default)]
    pub timeout_ms: Timeout<2_000>,
    /// How long a set is fresh, unless its `max-age` or `spiffe_refresh_hint` is shorter; not below `interval_s`.
    #[serde(default)]
    pub refresh_s: Ranged<i64, 1, 86_400, 300>,
    /// The least time between two fetches over all workers, also for unknown keys and after failures.
    #[serde(default)]
    pub interval_s: Ranged<i64, 1, 3_600, 10>,
    /// How old keys may be and still serve while the server is down; not below `refresh_s`.
    #[serde(default)]
    pub max_stale_s: Ranged<i64, 1, 604_800, 3_600>,
    /// How long a request waits for keys.
    #[serde(default)]
    pub wait_ms: Ranged<u32, 0, 60_000, 1_000>,
    /// Requests per worker that wait for this issuer's keys.
    #[serde(default)]
    pub max_waiting: Ranged<usize, 0, 10_000, 100>,
}
