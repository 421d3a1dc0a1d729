//! The configuration as it is written: a mirror of the JSON, nothing resolved.
//!
//! The same document for Envoy, WasmPlugin and the command line. Unknown keys are errors
//! everywhere. `settings` turns it into what the engine runs on; nothing else reads these types.

mod authority;
mod bundle;
mod credentials;
mod error;
mod feeds;
mod issuers;
mod log;
mod parse;
mod source;
mod text;

use std::collections::BTreeMap;

use serde::Deserialize;

#[cfg(feature = "schema")]
use crate::base::patterns;
pub use crate::base::ranged::{Ranged, Timeout};
#[cfg(feature = "schema")]
use crate::base::relations;
pub(crate) use crate::base::time::instant;
use crate::facts::revocations::Revocation;
use crate::facts::signals::Signal;
pub use crate::http::host::{Compared, Host};
pub use crate::identity::RequiredBinding;
pub use crate::pdp::{Pdp, PdpProtocol};
pub use authority::{Delegation, Elevation, Exception, Grant};
pub use bundle::{Bundle, InlineBundle, InputFormat, RemoteBundle, RuleSet};
pub use credentials::{ApiKey, Credential, Dpop, Forwarded, Mtls, ProofAge, Scheme};
pub use error::{ConfigError, ConfigErrors};
pub use feeds::{Feed, RemoteFeed, WhenStale};
pub use issuers::{Issuer, Keys, KindRule, Profile, RemoteKeys};
pub use log::{Log, LogRecords, LogTo, Observe};
pub(crate) use parse::parse;
pub use source::{Source, SourceFrom};
pub(crate) use text::{is_host, is_label, is_path, is_plain_host};

/// The one version of this format.
pub(crate) const VERSION: u32 = 1;

/// How far another clock may run ahead of ours, in seconds.
pub type Leeway<const DEFAULT: i64> = Ranged<i64, 0, 60, DEFAULT>;

/// The whole document.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Config {
    /// The version of this format.
    #[cfg_attr(feature = "schema", schemars(extend("const" = VERSION)))]
    pub version: u32,
    /// Names the engine and labels its metrics: 1 to 64 letters, digits, `-`, `_`, `.`. Configurations with one name
    /// share caches and streams in a worker, so two listeners with different configurations must not share one.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::LABEL)))]
    pub instance: String,
    /// Who may issue credentials; at least one.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub issuers: Vec<Issuer>,
    /// Where credentials are looked for.
    #[serde(default = "credentials::default_credentials")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub credentials: Vec<Credential>,
    /// Headers that are removed from the client's request otherwise, and that something in front of the filter sets
    /// and the client can't go round, such as `x-forwarded-host`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = patterns::HEADER))))]
    pub trusted_headers: Vec<String>,
    /// How DPoP proofs are checked (RFC 9449).
    #[serde(default)]
    pub dpop: Dpop,
    /// What client certificates are good for; the listener must require and verify them. Without it they are good for
    /// nothing.
    #[serde(default)]
    pub mtls: Option<Mtls>,
    /// Static keys; `everycall key new` makes them.
    #[serde(default)]
    pub api_keys: Vec<ApiKey>,
    /// Policies, their data and the authority records: one of `inline` and `signed`, or `remote`, or `remote` and one
    /// of them that serves until the server has answered.
    pub bundle: Bundle,
    /// A second bundle that decides too and is not obeyed; `inline` or `signed`, not `remote`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(transform = relations::not_remote))]
    pub shadow: Option<Bundle>,
    /// What was revoked: either `inline` or `remote`; without it nothing is.
    #[serde(default)]
    pub revocations: Option<Feed<Revocation>>,
    /// What is known of callers and tasks: either `inline` or `remote`. Required if a policy reads `input.signals`.
    #[serde(default)]
    pub signals: Option<Feed<Signal>>,
    /// Policy decision points; a question that names none goes to `default`.
    #[serde(default)]
    pub pdps: BTreeMap<String, Pdp>,
    /// How the servers behind hosts compare paths, by host as in grants: grants and policies see segments likewise,
    /// the server gets what was sent. What is not said is exact.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(transform = relations::hosts))]
    pub hosts: BTreeMap<String, Host>,
    /// Where the client's address comes from; without it it is not known: networks hold nobody, and policies see
    /// none.
    #[serde(default)]
    pub source: Option<Source>,
    /// CIDR ranges by name: those that hold the source address stand in `input.connection.networks`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(transform = relations::networks))]
    pub networks: BTreeMap<String, Vec<String>>,
    /// Bounds on one decision, and on all of them.
    #[serde(default)]
    pub limits: Limits,
    /// Admitted requests that stay open: for how long, and when they are looked at again.
    #[serde(default)]
    pub streams: Streams,
    /// What is written down.
    #[serde(default)]
    pub log: Log,
    /// Where refusals are passed on in the first days.
    #[serde(default)]
    pub observe: Option<Observe>,
}

/// Bounds.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Limits {
    /// Steps of one evaluation.
    pub instructions: Ranged<usize, 100, 10_000_000, 50_000>,
    /// Work of builtins and large comparisons in one evaluation: about the bytes that they read and write. Known from
    /// the arguments before each.
    pub builtin_work: Ranged<usize, 10_000, 1_000_000_000, 125_000>,
    /// Bytes of claims, path, headers and query that an input is built from.
    pub input_bytes: Ranged<usize, 1_024, 1_048_576, 65_536>,
    /// Questions of one decision.
    pub pdp_questions: Ranged<usize, 0, 64, 4>,
    /// Rounds of questions of one decision.
    pub pdp_rounds: Ranged<usize, 0, 16, 2>,
    /// Requests per worker that wait for an answer.
    pub max_pending: Ranged<usize, 0, 100_000, 200>,
    /// Verified tokens that are remembered per worker.
    pub tokens_cached: Ranged<usize, 0, 1_000_000, 10_000>,
    /// Bytes that they may take, roughly.
    pub tokens_cached_bytes: Ranged<usize, 0, 1_073_741_824, 16_777_216>,
    /// Milliseconds of the processor, roughly, that a worker gives to the signatures of requests in a second; beyond
    /// them a token or proof that has to be checked is refused with `overloaded`, one that was checked passes.
    pub signature_ms: Ranged<usize, 1, 1_000, 500>,
    /// The longest token.
    pub token_bytes: Ranged<usize, 256, 65_536, 8_192>,
    /// Days that an exception may last.
    pub exception_days: Ranged<usize, 1, 3_650, 90>,
    /// Hours that an elevation may last.
    pub elevation_hours: Ranged<usize, 1, 168, 8>,
    /// Minutes that one may last that breaks the glass.
    pub break_glass_minutes: Ranged<usize, 1, 1_440, 60>,
}

/// Admitted requests that stay open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Streams {
    /// How often it is looked whether one of them is over.
    pub sweep_ms: Ranged<u32, 100, 10_000, 250>,
    /// How often one is decided again whose policy reads the time or signals.
    pub redecide_s: Ranged<u32, 1, 3_600, 10>,
    /// How long one may stay open at most, whatever it rests on.
    pub max_s: Ranged<u32, 1, 604_800, 3_600>,
}
