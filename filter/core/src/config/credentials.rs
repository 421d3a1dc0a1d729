//! Credentials and proofs of possession, as they are written.

use serde::Deserialize;
#[cfg(feature = "schema")]
use serde::Serialize;

use super::{Leeway, Ranged};
#[cfg(feature = "schema")]
use crate::base::patterns;
use crate::base::words::words;
use crate::identity::Kind;

/// One place where a credential may stand.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, Serialize))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Credential {
    /// Name of the header.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::CREDENTIAL_HEADER)))]
    pub header: String,
    /// The scheme before the token, such as `Bearer`; empty if the token stands alone.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::SCHEME)))]
    pub scheme: String,
    /// The upstream sees the header; with `false` it is removed from whatever passes.
    #[serde(default = "forwarded")]
    pub forward: bool,
}

const fn forwarded() -> bool {
    true
}

pub(super) fn default_credentials() -> Vec<Credential> {
    ["Bearer", "DPoP"]
        .map(|scheme| Credential { header: "authorization".into(), scheme: scheme.into(), forward: true })
        .to_vec()
}

/// How old a proof may be, in seconds.
pub type ProofAge = Ranged<i64, 1, 300, 60>;

/// Proofs of possession by DPoP (RFC 9449).
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Dpop {
    /// How old a proof may be.
    pub max_age_s: ProofAge,
    /// How far the clients' clocks may run ahead of ours.
    pub leeway_s: Leeway<5>,
    /// The largest RSA key that a proof may be signed with: the client chooses it, and what it costs; a check of
    /// 8,192 bits holds a worker for 15 ms. For `PS256` and its like 4096 is the most, of issuers too: Envoy does not
    /// check those.
    pub max_rsa_bits: Ranged<usize, 2_048, 8_192, 3_072>,
    /// The scheme that clients call, if it is not that of the connection to this proxy.
    pub scheme: Option<Scheme>,
}

words! {
    /// URL schemes that a request can come by.
    pub enum Scheme {
        /// Plain text.
        Http = "http",
        /// TLS.
        Https = "https",
    }
}

/// What client certificates are good for. The listener must require and verify them.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Mtls {
    /// Trust domains that a peer may be of in order to be a caller.
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = patterns::TRUST_DOMAIN))))]
    pub trust_domains: Vec<String>,
    /// A peer without a credential in a header is a caller of this kind; without it nobody is.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Hops that speak for their clients in `x-forwarded-client-cert`.
    #[serde(default)]
    pub forwarded: Option<Forwarded>,
}

/// Trusted hops in front of this proxy.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Forwarded {
    /// Their SPIFFE IDs, exactly.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::WORKLOAD))))]
    pub hops: Vec<String>,
    /// This Envoy adds an element for its own peer (`APPEND_FORWARD`): the last one is dropped.
    pub appends: bool,
}

/// A static key of a caller that can do no better yet.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ApiKey {
    /// The part of the key that finds this record: 1 to 64 of `a-z`, `0-9`, `-`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::API_KEY_ID)))]
    pub id: String,
    /// The caller's id, for grants of the kind `legacy`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub subject: String,
    /// Base64url, at least 16 bytes.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::SALT)))]
    pub salt: String,
    /// Base64url of SHA-256 over salt and secret.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HASH)))]
    pub hash: String,
    /// The exception that allows it.
    pub exception: String,
}

/// No salt and hash: they are no secrets, but nobody needs them in a log.
impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}
