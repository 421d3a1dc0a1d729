//! The configuration as it is written: a mirror of the JSON, nothing resolved.
//!
//! The same document for Envoy, WasmPlugin and the command line. Unknown keys are errors
//! everywhere. `settings` turns it into what the engine runs on; nothing else reads these types.

mod parse;
mod pdp;
pub mod ranges;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::identity::Kind;
use crate::keys::{Algorithm, Jwks};
use crate::revocations::Revocation;
#[cfg(feature = "schema")]
use crate::schema::{patterns, relations};
use crate::settings::LogRecords;
use crate::signals::Signal;
pub(crate) use parse::parse;
pub use pdp::{Breaker, Pdp, PdpProtocol};

/// The whole document.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Config {
    /// The version of this format: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = crate::settings::VERSION)))]
    pub version: u32,
    /// Names the engine. Configurations with one name share caches and streams in a worker, so two
    /// listeners with different configurations must not share one.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::LABEL)))]
    pub instance: String,
    /// Who may issue credentials.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub issuers: Vec<Issuer>,
    /// Where credentials are looked for.
    #[serde(default = "default_credentials")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub credentials: Vec<Credential>,
    /// How proofs of possession are checked.
    #[serde(default)]
    pub dpop: Dpop,
    /// What client certificates are good for; absent: nothing.
    #[serde(default)]
    pub mtls: Option<Mtls>,
    /// Static keys, each allowed by an exception.
    #[serde(default)]
    pub api_keys: Vec<ApiKey>,
    /// Policies, their data and the authority records.
    pub bundle: Bundle,
    /// A second bundle, which decides too and is not obeyed. Not on a server.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(transform = relations::not_remote))]
    pub shadow: Option<Bundle>,
    /// What was revoked; absent: nothing is.
    #[serde(default)]
    pub revocations: Option<Revocations>,
    /// What is known of callers and tasks; required if a policy reads `input.signals`.
    #[serde(default)]
    pub signals: Option<Signals>,
    /// Policy decision points by name; a question that names none goes to `default`.
    #[serde(default)]
    pub pdps: BTreeMap<String, Pdp>,
    /// CIDR sets by name: those that hold the source address stand in `input.connection.networks`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(transform = relations::networks))]
    pub networks: BTreeMap<String, Vec<String>>,
    /// Bounds on what one decision, and all of them together, may take.
    #[serde(default)]
    pub limits: Limits,
    /// How long streams stay open, and when they are looked at again.
    #[serde(default)]
    pub streams: Streams,
    /// What is written down.
    #[serde(default)]
    pub log: Log,
    /// Where refusals are passed on in the first days.
    #[serde(default)]
    pub observe: Option<Observe>,
}

/// One issuer of tokens.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::issuer))]
pub struct Issuer {
    /// Equal to the tokens' `iss`, byte for byte. For the profile `spiffe`: `spiffe://` and the
    /// trust domain, which chooses the tokens by their `sub`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub issuer: String,
    /// A preset for the kind of tokens that this issuer makes; the keys below change it.
    #[serde(default)]
    pub profile: Option<Profile>,
    /// One of them must be in the tokens' `aud`, byte for byte.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(length(min = 1))))]
    pub audiences: Vec<String>,
    /// What its keys may be used for.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub algorithms: Vec<Algorithm>,
    /// The longest `exp - iat` in seconds; a profile has its own.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::MAX_LIFETIME_S.0, max = ranges::MAX_LIFETIME_S.1)))]
    pub max_lifetime_s: Option<i64>,
    /// Its keys.
    pub keys: Keys,
    /// What sort of callers its tokens are for, where no rule of `kinds` holds.
    pub kind: Kind,
    /// Claims that make it another sort of caller: the first rule that holds.
    #[serde(default)]
    pub kinds: Vec<KindRule>,
    /// What sort of callers act for a principal (`act`); without it as for other tokens.
    #[serde(default)]
    pub actor_kind: Option<Kind>,
    /// The caller's id from the claims, such as `{sub}` or `ci:{repository}`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::ID)))]
    pub id: Option<String>,
    /// The claim that names the task; a profile may have one.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub task_claim: Option<String>,
    /// Accepted `typ` values without `application/`; an empty text admits tokens without `typ`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub types: Option<Vec<String>>,
    /// Claims that must be there, besides the profile's.
    #[serde(default)]
    pub required_claims: Vec<String>,
    /// SPIFFE trust domains that ids of this issuer may belong to.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = patterns::TRUST_DOMAIN))))]
    pub trust_domains: Vec<String>,
    /// How far, in seconds, the issuer's clock may run ahead of ours: for `iat` and `nbf` only.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::LEEWAY_S.0, max = ranges::LEEWAY_S.1)))]
    pub leeway_s: i64,
    /// The proof of possession without which its tokens are refused.
    #[serde(default)]
    pub required_binding: Option<RequiredBinding>,
    /// The caller must also be the mTLS peer: its SPIFFE ID is the caller's id.
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
    /// The claim: its name, or a JSON Pointer (RFC 6901).
    pub claim: String,
    /// Its value: the text, or a member of the list of texts.
    pub value: String,
    /// The sort of caller then.
    pub kind: Kind,
}

/// Proofs of possession that an issuer can insist on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequiredBinding {
    /// DPoP (RFC 9449).
    Dpop,
    /// The client's certificate (RFC 8705).
    Certificate,
    /// One of the two.
    Any,
}

impl RequiredBinding {
    /// In words, behind "a token".
    pub(crate) const fn bound_to(self) -> &'static str {
        match self {
            RequiredBinding::Dpop => "bound by DPoP",
            RequiredBinding::Certificate => "bound to the client's certificate",
            RequiredBinding::Any => "bound by DPoP or to the client's certificate",
        }
    }
}

/// Where an issuer's keys come from: exactly one of the two.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::keys))]
pub struct Keys {
    /// A JWK set.
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
    /// The `:authority` of the calls.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HOST)))]
    pub host: String,
    /// The path of the key set; absent with `discovery`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::PATH)))]
    pub path: Option<String>,
    /// Find the path by OpenID Connect Discovery below the issuer's own path.
    #[serde(default)]
    pub discovery: bool,
    /// How long an answer may take.
    #[serde(default = "default_keys_timeout")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::TIMEOUT_MS.0, max = ranges::TIMEOUT_MS.1)))]
    pub timeout_ms: u32,
    /// How often the set is fetched, unless the server's `max-age` is shorter.
    #[serde(default = "default_refresh")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::REFRESH_S.0, max = ranges::REFRESH_S.1)))]
    pub refresh_s: i64,
    /// The least time between two fetches over all workers, also for unknown keys and failures.
    #[serde(default = "default_interval")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::KEYS_INTERVAL_S.0, max = ranges::KEYS_INTERVAL_S.1)))]
    pub interval_s: i64,
    /// How old keys may be and still serve while the server is down.
    #[serde(default = "default_max_stale")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::KEYS_MAX_STALE_S.0, max = ranges::KEYS_MAX_STALE_S.1)))]
    pub max_stale_s: i64,
    /// How long a request waits for keys.
    #[serde(default = "default_keys_wait")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::KEYS_WAIT_MS.0, max = ranges::KEYS_WAIT_MS.1)))]
    pub wait_ms: u32,
    /// Requests per worker that wait for keys of this issuer.
    #[serde(default = "default_max_waiting")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::MAX_WAITING.0, max = ranges::MAX_WAITING.1)))]
    pub max_waiting: usize,
}

/// One place where a credential may stand.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, Serialize))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Credential {
    /// Header name.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::CREDENTIAL_HEADER)))]
    pub header: String,
    /// The scheme before the token, such as `Bearer`; empty if the token stands alone.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::SCHEME)))]
    pub scheme: String,
}

/// Proofs of possession by DPoP (RFC 9449).
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Dpop {
    /// How old a proof may be.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::PROOF_AGE_S.0, max = ranges::PROOF_AGE_S.1)))]
    pub max_age_s: i64,
    /// How far the clients' clocks may run ahead of ours.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::LEEWAY_S.0, max = ranges::LEEWAY_S.1)))]
    pub leeway_s: i64,
    /// The scheme that clients call, if it is not that of the connection to this proxy.
    pub scheme: Option<Scheme>,
}

impl Default for Dpop {
    fn default() -> Self {
        Self { max_age_s: 60, leeway_s: 5, scheme: None }
    }
}

/// URL schemes that a request can come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

/// What client certificates are good for. The listener must require and verify them.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Mtls {
    /// Trust domains that a peer's SPIFFE ID may belong to.
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = patterns::TRUST_DOMAIN))))]
    pub trust_domains: Vec<String>,
    /// Present: a peer without a credential in a header is a caller of this kind.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Present: peers that speak for their clients in `x-forwarded-client-cert`.
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
    /// This proxy's connection manager adds an element for its own peer (`APPEND_FORWARD`).
    pub appends: bool,
}

/// A static key of a caller that can do no better yet.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ApiKey {
    /// The part of the key that finds this record.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::API_KEY_ID)))]
    pub id: String,
    /// The caller's id, for grants.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub subject: String,
    /// Base64url, at least 16 bytes.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::SALT)))]
    pub salt: String,
    /// Base64url of SHA-256 over salt and secret.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HASH)))]
    pub hash: String,
    /// The id of the exception that allows it.
    pub exception: String,
}

/// No salt and hash: they are no secrets, but nobody needs them in a log.
impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// Where policies and authority records come from: one of `inline` and `signed`, a server, or both;
/// then what is in this document serves until the server has answered.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::bundle))]
pub struct Bundle {
    /// In this document.
    #[serde(default)]
    pub inline: Option<InlineBundle>,
    /// The text of a signed bundle file.
    #[serde(default)]
    pub signed: Option<String>,
    /// A server of signed bundle files.
    #[serde(default)]
    pub remote: Option<RemoteBundle>,
    /// The JWK set of those who may sign.
    #[serde(default)]
    pub keys: Option<Jwks>,
    /// How old a signed bundle may be, counted from its `iat`; absent: until its `exp`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::BUNDLE_MAX_STALE_S.0, max = ranges::BUNDLE_MAX_STALE_S.1)))]
    pub max_stale_s: Option<i64>,
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
    #[serde(default = "default_bundle_timeout")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::TIMEOUT_MS.0, max = ranges::TIMEOUT_MS.1)))]
    pub timeout_ms: u32,
    /// How often it is asked, over all workers.
    #[serde(default = "default_interval")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::BUNDLE_INTERVAL_S.0, max = ranges::BUNDLE_INTERVAL_S.1)))]
    pub interval_s: i64,
    /// The largest file.
    #[serde(default = "default_bundle_bytes")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::BUNDLE_BYTES.0, max = ranges::BUNDLE_BYTES.1)))]
    pub max_bytes: usize,
}

/// Facts that end tokens, callers, tasks and keys before their time: exactly one of `inline` and
/// `remote`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::feed))]
pub struct Revocations {
    /// In this document.
    #[serde(default)]
    pub inline: Option<Vec<Revocation>>,
    /// A server of signed lists.
    #[serde(default)]
    pub remote: Option<RemoteFeed>,
    /// The JWK set of those who may sign.
    #[serde(default)]
    pub keys: Option<Jwks>,
    /// How old the list may be, counted from when it was signed.
    #[serde(default = "default_feed_age")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::FEED_MAX_AGE_S.0, max = ranges::FEED_MAX_AGE_S.1)))]
    pub max_age_s: i64,
    /// What becomes of calls with a credential when it is older.
    #[serde(default)]
    pub when_stale: WhenStale,
}

/// Facts about callers and tasks that policies read as `input.signals`: exactly one of `inline` and
/// `remote`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::feed))]
pub struct Signals {
    /// In this document.
    #[serde(default)]
    pub inline: Option<Vec<Signal>>,
    /// A server of signed lists.
    #[serde(default)]
    pub remote: Option<RemoteFeed>,
    /// The JWK set of those who may sign.
    #[serde(default)]
    pub keys: Option<Jwks>,
    /// How old the list may be, counted from when it was signed.
    #[serde(default = "default_feed_age")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::FEED_MAX_AGE_S.0, max = ranges::FEED_MAX_AGE_S.1)))]
    pub max_age_s: i64,
    /// What becomes of calls whose policy reads signals when it is older.
    #[serde(default)]
    pub when_stale: WhenStale,
}

/// What becomes of calls when a feed is older than it may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WhenStale {
    /// They are refused.
    #[default]
    Refuse,
    /// They are judged by the last list; without any they are refused.
    LastKnown,
}

/// A server of a feed, behind a cluster of the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RemoteFeed {
    /// The Envoy cluster that leads to it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub cluster: String,
    /// The `:authority` of the calls.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HOST)))]
    pub host: String,
    /// The path of the list.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::PATH)))]
    pub path: String,
    /// How often it is asked, over all workers; a tenth more or less.
    #[serde(default = "default_feed_interval")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::FEED_INTERVAL_MS.0, max = ranges::FEED_INTERVAL_MS.1)))]
    pub interval_ms: u32,
    /// How long an answer may take.
    #[serde(default = "default_feed_timeout")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::TIMEOUT_MS.0, max = ranges::TIMEOUT_MS.1)))]
    pub timeout_ms: u32,
    /// The longest list.
    #[serde(default = "default_feed_entries")]
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::FEED_ENTRIES.0, max = ranges::FEED_ENTRIES.1)))]
    pub max_entries: usize,
}

/// A bundle that is a part of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct InlineBundle {
    /// File name to Rego text.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
    /// What policies see as `data`.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// Options of rule sets, by the name that grants call them.
    #[serde(default)]
    pub rule_sets: BTreeMap<String, RuleSet>,
    /// Who is entitled to what.
    pub grants: Vec<Grant>,
    /// What is approved for hours.
    #[serde(default)]
    pub elevations: Vec<Elevation>,
    /// Who may do what the rules forbid, until when, and what makes up for it.
    #[serde(default)]
    pub exceptions: Vec<Exception>,
}

/// Options of one rule set.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::rule_set))]
pub struct RuleSet {
    /// The form of its input and result.
    pub input_format: InputFormat,
    /// With `opa-envoy`: the rule that decides, package and name; absent: `envoy.authz.allow`.
    pub entrypoint: Option<String>,
    /// The name of a rule set that decides too and is not obeyed.
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

/// One elevation: for a while, what a grant gives only then.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Elevation {
    /// Unique name.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::LABEL)))]
    pub id: String,
    /// Who answers for it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub owner: Option<String>,
    /// The caller's id, exactly.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub subject: String,
    /// The ids of the grants that it is for.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("uniqueItems" = true)))]
    pub grants: Vec<String>,
    /// Who approved it: not the subject, unless it breaks the glass.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub approver: String,
    /// Its number in the system that it comes from.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub ticket: String,
    /// Why it is needed.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub reason: String,
    /// RFC 3339; not active before.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub valid_from: String,
    /// RFC 3339; not active from then on. At most `limits.elevation_hours` later, or
    /// `limits.break_glass_minutes`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub valid_until: String,
    /// Names of networks, one of which must hold the source address; absent: from anywhere.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub networks: Option<Vec<String>>,
    /// For emergencies: may be approved by the subject, and each request has to give a reason.
    #[serde(default)]
    pub break_glass: bool,
}

/// One documented exception.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Exception {
    /// Unique name.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::LABEL)))]
    pub id: String,
    /// Who answers for it.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub owner: String,
    /// Why it is needed.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub reason: String,
    /// What makes up for it.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub compensating_control: String,
    /// RFC 3339; not valid before.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub valid_from: String,
    /// RFC 3339; not valid from then on. At most `limits.exception_days` later.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub valid_until: String,
}

/// One entitlement.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::grant))]
pub struct Grant {
    /// Unique name.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::LABEL)))]
    pub id: String,
    /// Who answers for it.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub owner: String,
    /// Why it exists.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub purpose: String,
    /// The caller's id, exactly, or `anonymous` for a route that needs no credential. One of this,
    /// `subject_prefix` and `claims`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub subject: Option<String>,
    /// Callers below this SPIFFE ID: a text such as `spiffe://shop.example/ns/ci/`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::BELOW)))]
    pub subject_prefix: Option<String>,
    /// Callers whose token claims all of this: claim, by name or JSON Pointer (RFC 6901), to text.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(transform = relations::claims))]
    pub claims: Option<BTreeMap<String, String>>,
    /// The sorts of callers that it is for; absent for `anonymous`.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Present: only callers that this issuer vouches for.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Hosts, exactly, lower case.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("uniqueItems" = true), inner(regex(pattern = patterns::PLAIN_HOST))))]
    pub hosts: Vec<String>,
    /// Methods, exactly.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::METHOD))))]
    pub methods: Vec<String>,
    /// Path templates: `/orders/{order}/items`, `/files/{rest...}`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::TEMPLATE))))]
    pub paths: Vec<String>,
    /// The rule set: `refunds` means package `everycall.refunds`. Absent: package `everycall`.
    #[serde(default)]
    pub policy: Option<String>,
    /// How sensitive what lies behind it is; for policies.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub sensitivity: Option<String>,
    /// Which system it comes from; recorded.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub source: Option<String>,
    /// Its number there; recorded.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub ticket: Option<String>,
    /// RFC 3339; not admitted before.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub valid_from: Option<String>,
    /// RFC 3339; not admitted from then on.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub valid_until: Option<String>,
    /// Present: calls on behalf of a principal are admitted too.
    #[serde(default)]
    pub delegation: Option<Delegation>,
    /// Admits paths that hold `;`.
    #[serde(default)]
    pub semicolons: bool,
    /// The caller must have an active elevation for this grant.
    #[serde(default)]
    pub requires_elevation: bool,
    /// The sorts of callers that may break the glass.
    #[serde(default = "default_break_glass_kinds")]
    pub break_glass_kinds: Vec<Kind>,
    /// What the caller's token must be bound to.
    #[serde(default)]
    pub requires_binding: Option<RequiredBinding>,
}

/// On whose behalf a grant's subject may call.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Delegation {
    /// Exactly these; absent: any principal.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub principals: Option<Vec<String>>,
    /// The prior actors that may stand in the chain; an empty list: none. Absent: any.
    #[serde(default)]
    pub actors: Option<Vec<String>>,
}

/// Bounds. Each default is stated here and nowhere else.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Limits {
    /// VM instructions of one evaluation.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::INSTRUCTIONS.0, max = ranges::INSTRUCTIONS.1)))]
    pub instructions: usize,
    /// Work of builtins and large comparisons in one evaluation: about the bytes that they read and write.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::BUILTIN_WORK.0, max = ranges::BUILTIN_WORK.1)))]
    pub builtin_work: usize,
    /// Bytes of claims, headers, path and query that a policy input may be built from.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::INPUT_BYTES.0, max = ranges::INPUT_BYTES.1)))]
    pub input_bytes: usize,
    /// Questions of one decision.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::PDP_QUESTIONS.0, max = ranges::PDP_QUESTIONS.1)))]
    pub pdp_questions: usize,
    /// Rounds of questions of one decision.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::PDP_ROUNDS.0, max = ranges::PDP_ROUNDS.1)))]
    pub pdp_rounds: usize,
    /// Requests per worker that wait for an answer.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::MAX_PENDING.0, max = ranges::MAX_PENDING.1)))]
    pub max_pending: usize,
    /// Verified tokens that are remembered per worker.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::TOKENS_CACHED.0, max = ranges::TOKENS_CACHED.1)))]
    pub tokens_cached: usize,
    /// Bytes that they may take, roughly.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::TOKENS_CACHED_BYTES.0, max = ranges::TOKENS_CACHED_BYTES.1)))]
    pub tokens_cached_bytes: usize,
    /// Length of a token.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::TOKEN_BYTES.0, max = ranges::TOKEN_BYTES.1)))]
    pub token_bytes: usize,
    /// Days that an exception may last.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::EXCEPTION_DAYS.0, max = ranges::EXCEPTION_DAYS.1)))]
    pub exception_days: usize,
    /// Hours that an elevation may last.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::ELEVATION_HOURS.0, max = ranges::ELEVATION_HOURS.1)))]
    pub elevation_hours: usize,
    /// Minutes that one may last that breaks the glass.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::BREAK_GLASS_MINUTES.0, max = ranges::BREAK_GLASS_MINUTES.1)))]
    pub break_glass_minutes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instructions: 50_000,
            builtin_work: 2_000_000,
            input_bytes: 65_536,
            pdp_questions: 4,
            pdp_rounds: 2,
            max_pending: 200,
            tokens_cached: 10_000,
            tokens_cached_bytes: 16_777_216,
            token_bytes: 8_192,
            exception_days: 90,
            elevation_hours: 8,
            break_glass_minutes: 60,
        }
    }
}

/// Admitted requests that stay open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Streams {
    /// How often it is looked whether one of them is over.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::SWEEP_MS.0, max = ranges::SWEEP_MS.1)))]
    pub sweep_ms: u32,
    /// How often one is decided again whose policy reads the time.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::REDECIDE_S.0, max = ranges::REDECIDE_S.1)))]
    pub redecide_s: u32,
    /// How long one may stay open at most, whatever it rests on.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::STREAM_MAX_S.0, max = ranges::STREAM_MAX_S.1)))]
    pub max_s: u32,
}

impl Default for Streams {
    fn default() -> Self {
        Self { sweep_ms: 250, redecide_s: 10, max_s: 3_600 }
    }
}

/// What is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Log {
    /// Which decisions go to the proxy's log, one JSON line each.
    pub records: LogRecords,
    /// The end of an admitted request is recorded, too, if it was open for so long, or was cut.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::STREAMS_AFTER_S.0, max = ranges::STREAMS_AFTER_S.1)))]
    pub streams_after_s: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self { records: LogRecords::default(), streams_after_s: 5 }
    }
}

/// Where refusals of grants and policies are passed on and written down, until a day comes.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Observe {
    /// Hosts, exactly, lower case.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::PLAIN_HOST))))]
    pub hosts: Vec<String>,
    /// Path templates, as in grants.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::TEMPLATE))))]
    pub paths: Vec<String>,
    /// RFC 3339; from then on refusals are refusals. At most 30 days ahead.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub until: String,
}

fn default_credentials() -> Vec<Credential> {
    ["Bearer", "DPoP"]
        .map(|scheme| Credential { header: "authorization".into(), scheme: scheme.into() })
        .to_vec()
}

fn default_feed_interval() -> u32 {
    500
}

fn default_feed_timeout() -> u32 {
    2_000
}

fn default_feed_entries() -> usize {
    1_000_000
}

fn default_feed_age() -> i64 {
    60
}

fn default_bundle_timeout() -> u32 {
    10_000
}

fn default_bundle_bytes() -> usize {
    10_485_760
}

fn default_break_glass_kinds() -> Vec<Kind> {
    vec![Kind::Human]
}

fn default_keys_timeout() -> u32 {
    2_000
}

fn default_refresh() -> i64 {
    300
}

fn default_interval() -> i64 {
    10
}

fn default_max_stale() -> i64 {
    3_600
}

fn default_keys_wait() -> u32 {
    1_000
}

fn default_max_waiting() -> usize {
    100
}
