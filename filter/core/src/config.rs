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
mod pdp;
pub mod ranges;
mod source;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::base::patterns;
#[cfg(feature = "schema")]
use crate::base::relations;
pub(crate) use crate::base::time::instant;
use crate::facts::revocations::Revocation;
use crate::facts::signals::Signal;
pub use crate::http::call::PdpProtocol;
pub use crate::http::host::{Compared, Host};
pub use crate::identity::RequiredBinding;
pub use authority::{Delegation, Elevation, Exception, Grant};
pub use bundle::{Bundle, InlineBundle, InputFormat, RemoteBundle, RuleSet};
pub use credentials::{ApiKey, Credential, Dpop, Forwarded, Mtls, Scheme};
pub use error::{ConfigError, ConfigErrors};
pub use feeds::{Feed, RemoteFeed, WhenStale};
pub use issuers::{Issuer, Keys, KindRule, Profile, RemoteKeys};
pub use log::{Log, LogRecords, LogTo, Observe};
pub(crate) use parse::{parse, parse_part, Parsed};
pub use pdp::{Breaker, Pdp};
pub use source::{Source, SourceFrom};
pub(crate) use text::{is_host, is_label, is_path, is_plain_host};

/// The one version of this format.
pub(crate) const VERSION: u32 = 1;

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

/// Bounds. Each default is stated here and nowhere else.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Limits {
    /// Steps of one evaluation.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::INSTRUCTIONS.0, max = ranges::INSTRUCTIONS.1)))]
    pub instructions: usize,
    /// Work of builtins and large comparisons in one evaluation: about the bytes that they read and write. Known from
    /// the arguments before each.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::BUILTIN_WORK.0, max = ranges::BUILTIN_WORK.1)))]
    pub builtin_work: usize,
    /// Bytes of claims, path, headers and query that an input is built from.
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
    /// Milliseconds of the processor, roughly, that a worker gives to the signatures of requests in a second; beyond
    /// them a token or proof that has to be checked is refused with `overloaded`, one that was checked passes.
    #[cfg_attr(feature = "schema", schemars(range(min = ranges::SIGNATURE_MS.0, max = ranges::SIGNATURE_MS.1)))]
    pub signature_ms: usize,
    /// The longest token.
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
            builtin_work: 125_000,
            input_bytes: 65_536,
            pdp_questions: 4,
            pdp_rounds: 2,
            max_pending: 200,
            tokens_cached: 10_000,
            tokens_cached_bytes: 16_777_216,
            signature_ms: 500,
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
    /// How often one is decided again whose policy reads the time or signals.
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
