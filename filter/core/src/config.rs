//! The configuration as it is written: a mirror of the JSON, nothing resolved.
//!
//! The same document for Envoy, WasmPlugin and the command line. Unknown keys are errors
//! everywhere. `settings` turns it into what the engine runs on; nothing else reads these types.

mod parse;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::identity::Kind;
use crate::keys::{Algorithm, Jwks};
use crate::settings::LogRecords;
pub(crate) use parse::parse;

/// The whole document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Config {
    /// The version of this format: 1.
    pub version: u32,
    /// Names the engine. Configurations with one name share caches and streams in a worker, so two
    /// listeners with different configurations must not share one.
    pub instance: String,
    /// Who may issue credentials.
    pub issuers: Vec<Issuer>,
    /// Where credentials are looked for.
    #[serde(default = "default_credentials")]
    pub credentials: Vec<Credential>,
    /// Policies, their data and the authority records.
    pub bundle: Bundle,
    /// Policy decision points by name; a question that names none goes to `default`.
    #[serde(default)]
    pub pdps: BTreeMap<String, Pdp>,
    /// CIDR sets by name: those that hold the source address stand in `input.connection.networks`.
    #[serde(default)]
    pub networks: BTreeMap<String, Vec<String>>,
    /// Bounds on what one decision, and all of them together, may take.
    #[serde(default)]
    pub limits: Limits,
    /// What is written down.
    #[serde(default)]
    pub log: Log,
}

/// One issuer of tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Issuer {
    /// Equal to the tokens' `iss`, byte for byte.
    pub issuer: String,
    /// One of them must be in the tokens' `aud`, byte for byte.
    pub audiences: Vec<String>,
    /// What its keys may be used for.
    pub algorithms: Vec<Algorithm>,
    /// The longest `exp - iat` in seconds.
    pub max_lifetime_s: i64,
    /// Its keys.
    pub keys: Keys,
    /// What sort of callers its tokens are for.
    pub kind: Kind,
    /// The claim that names the task.
    #[serde(default)]
    pub task_claim: Option<String>,
    /// Accepted `typ` values without `application/`; an empty text admits tokens without `typ`.
    #[serde(default = "default_types")]
    pub types: Vec<String>,
    /// How far, in seconds, the issuer's clock may run ahead of ours: for `iat` and `nbf` only.
    #[serde(default)]
    pub leeway_s: i64,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Keys {
    /// A JWK set.
    pub inline: Jwks,
}

/// One place where a credential may stand.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Credential {
    /// Header name.
    pub header: String,
    /// The scheme before the token, such as `Bearer`; empty if the token stands alone.
    #[serde(default)]
    pub scheme: String,
}

/// Where policies and authority records come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Bundle {
    /// In this document.
    pub inline: InlineBundle,
}

/// A bundle that is a part of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct InlineBundle {
    /// File name to Rego text.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
    /// What policies see as `data`.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// Who is entitled to what.
    pub grants: Vec<Grant>,
    /// Not supported yet: must be empty.
    #[serde(default)]
    pub elevations: Vec<Value>,
    /// Not supported yet: must be empty.
    #[serde(default)]
    pub exceptions: Vec<Value>,
}

/// One entitlement.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Grant {
    /// Unique name.
    pub id: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it exists.
    pub purpose: String,
    /// The caller's id, exactly, or `anonymous` for a route that needs no credential.
    pub subject: String,
    /// The caller's kind; absent for `anonymous`.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Hosts, exactly, lower case.
    pub hosts: Vec<String>,
    /// Methods, exactly.
    pub methods: Vec<String>,
    /// Path templates: `/orders/{order}/items`, `/files/{rest...}`.
    pub paths: Vec<String>,
    /// The rule set: `refunds` means package `everycall.refunds`. Absent: package `everycall`.
    #[serde(default)]
    pub policy: Option<String>,
    /// How sensitive what lies behind it is; for policies.
    #[serde(default)]
    pub sensitivity: Option<String>,
    /// RFC 3339; not admitted before.
    #[serde(default)]
    pub valid_from: Option<String>,
    /// RFC 3339; not admitted from then on.
    #[serde(default)]
    pub valid_until: Option<String>,
    /// Present: calls on behalf of a principal are admitted too.
    #[serde(default)]
    pub delegation: Option<Delegation>,
    /// Admits paths that hold `;`.
    #[serde(default)]
    pub semicolons: bool,
}

/// On whose behalf a grant's subject may call.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Delegation {
    /// Exactly these; absent: any principal.
    #[serde(default)]
    pub principals: Option<Vec<String>>,
}

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
    /// The path of the calls.
    #[serde(default = "default_pdp_path")]
    pub path: String,
    /// How long an answer may take.
    #[serde(default = "default_pdp_timeout")]
    pub timeout_ms: u32,
    /// Open questions per worker; one more is refused with `overloaded`.
    #[serde(default = "default_pdp_in_flight")]
    pub max_in_flight: usize,
}

/// The protocols that are spoken with a policy decision point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PdpProtocol {
    /// AuthZEN Authorization API 1.0.
    Authzen,
}

/// Bounds. Each default is stated here and nowhere else.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Limits {
    /// VM instructions of one evaluation.
    pub instructions: usize,
    /// Bytes of claims, headers, path and query that a policy input may be built from.
    pub input_bytes: usize,
    /// Questions of one decision.
    pub pdp_questions: usize,
    /// Rounds of questions of one decision.
    pub pdp_rounds: usize,
    /// Requests per worker that wait for an answer.
    pub max_pending: usize,
    /// Verified tokens that are remembered per worker.
    pub tokens_cached: usize,
    /// Length of a token.
    pub token_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instructions: 50_000,
            input_bytes: 65_536,
            pdp_questions: 4,
            pdp_rounds: 2,
            max_pending: 200,
            tokens_cached: 10_000,
            token_bytes: 8_192,
        }
    }
}

/// What is written down.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Log {
    /// Which decisions go to the proxy's log, one JSON line each.
    pub records: LogRecords,
}

fn default_credentials() -> Vec<Credential> {
    vec![Credential { header: "authorization".into(), scheme: "Bearer".into() }]
}

fn default_types() -> Vec<String> {
    vec![String::new(), "jwt".into(), "at+jwt".into()]
}

fn default_pdp_path() -> String {
    "/access/v1/evaluation".into()
}

fn default_pdp_timeout() -> u32 {
    200
}

fn default_pdp_in_flight() -> usize {
    100
}
