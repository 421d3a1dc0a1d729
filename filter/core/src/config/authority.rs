//! The authority records of a bundle, as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::RequiredBinding;
#[cfg(feature = "schema")]
use crate::base::patterns;
#[cfg(feature = "schema")]
use crate::base::relations;
use crate::identity::Kind;

/// One entitlement.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::grant))]
pub struct Grant {
    /// Unique name: 1 to 64 letters, digits, `-`, `_`, `.`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::LABEL)))]
    pub id: String,
    /// Who answers for it.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub owner: String,
    /// Why it exists.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub purpose: String,
    /// The caller's id, exactly; `anonymous` for a route that needs no credential and is open to verified callers
    /// too. A grant has either this or one of the next two.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::NOT_BLANK)))]
    pub subject: Option<String>,
    /// All callers whose SPIFFE ID goes on behind this text, which ends with `/`: `spiffe://shop.example/ns/ci/`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::BELOW)))]
    pub subject_prefix: Option<String>,
    /// All callers whose token has these claims, by name or JSON Pointer, with exactly these texts. Needs `issuer`;
    /// never matches a token with `act`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(transform = relations::claims))]
    pub claims: Option<BTreeMap<String, String>>,
    /// The sorts of callers that it is for; must be left out for `anonymous`.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Only callers that this issuer vouches for; `spiffe://` and the trust domain for certificates, `api_keys` for
    /// those.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Hosts in lower case, as the proxy routes by them: `host` is without a port, `host:8080` with this one,
    /// `host:*` with any port or none.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("uniqueItems" = true), inner(regex(pattern = patterns::PLAIN_HOST))))]
    pub hosts: Vec<String>,
    /// Methods in upper case.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::METHOD))))]
    pub methods: Vec<String>,
    /// Templates over decoded segments: `/orders/{order}/items`, `/files/{rest...}` (one or more segments; a trailing
    /// slash is an empty last one), `*` for CONNECT and OPTIONS.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::TEMPLATE))))]
    pub paths: Vec<String>,
    /// Templates of what it does not admit, whatever `paths` says.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(regex(pattern = patterns::TEMPLATE))))]
    pub except: Option<Vec<String>>,
    /// The rule set: `refunds` is the package `everycall.refunds`; without it `everycall`.
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
    /// Calls on behalf of a principal are admitted too.
    #[serde(default)]
    pub delegation: Option<Delegation>,
    /// Admits paths that hold `;`.
    #[serde(default)]
    pub semicolons: bool,
    /// The caller must have an active elevation for this grant.
    #[serde(default)]
    pub requires_elevation: bool,
    /// The sorts of callers that may break the glass; `[]` is nobody.
    #[serde(default = "default_break_glass_kinds")]
    pub break_glass_kinds: Vec<Kind>,
    /// What the caller's token must be bound to. A client certificate that is the credential counts as `certificate`.
    #[serde(default)]
    pub requires_binding: Option<RequiredBinding>,
}

/// On whose behalf a grant's subject may call.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Delegation {
    /// On behalf of these only; without it of any.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub on_behalf_of: Option<Vec<String>>,
    /// Only these may have acted before the caller; `[]` is nobody. Without it anybody.
    #[serde(default)]
    pub actors: Option<Vec<String>>,
}

/// One elevation: for a while, what a grant gives only then.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Elevation {
    /// Unique name: 1 to 64 letters, digits, `-`, `_`, `.`.
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
    /// Who approved it; not the subject, unless it breaks the glass.
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
    /// RFC 3339; not active from then on; at most `limits.elevation_hours` after `valid_from`, or
    /// `limits.break_glass_minutes`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub valid_until: String,
    /// Names of `networks`, one of which must hold the source address; without it from anywhere.
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
    /// Unique name: 1 to 64 letters, digits, `-`, `_`, `.`.
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
    /// RFC 3339; not valid from then on; at most `limits.exception_days` after `valid_from`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub valid_until: String,
}

fn default_break_glass_kinds() -> Vec<Kind> {
    vec![Kind::Human]
}
