//! The verified caller.

pub(crate) mod claims;

use std::sync::Arc;

use crate::base::time::UnixTime;
use crate::base::words::words;
pub use claims::Claims;
use serde::{Deserialize, Serialize};

words! {
    /// What sort of caller an identity is. It follows from the issuer's configuration, never from the
    /// caller's word.
    pub enum Kind {
        /// A service or job.
        Workload = "workload",
        /// An AI agent.
        Agent = "agent",
        /// A person.
        Human = "human",
        /// A credential that predates workload identity.
        Legacy = "legacy",
    }
}

/// A set of sorts of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kinds(u8);

impl Kinds {
    const fn bit(kind: Kind) -> u8 {
        match kind {
            Kind::Workload => 1,
            Kind::Agent => 2,
            Kind::Human => 4,
            Kind::Legacy => 8,
        }
    }

    /// Some kind is in both.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn holds(self, kind: Kind) -> bool {
        self.0 & Self::bit(kind) != 0
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | Self::bit(kind)))
    }
}

words! {
    /// What a token is bound to, and was proven to be with.
    pub enum Binding {
        /// A key of the client (RFC 9449).
        Dpop = "dpop",
        /// The client's certificate (RFC 8705).
        Certificate = "certificate",
        /// Both of them.
        Both = "both",
    }
}

/// A caller whose credential was verified. Only the credential layer and the replay of a record
/// make one. What many tokens have in common is held once for all that are remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The caller's kind, from the issuer's configuration.
    pub kind: Kind,
    /// The caller. For a delegated token the outermost actor (RFC 8693 section 4.1), else what the
    /// issuer's `id` makes of the claims: `sub`, if nothing else is configured.
    pub id: String,
    /// The issuer as configured: `iss`; `spiffe://` and the trust domain for JWT-SVIDs and certificates, `api_keys`
    /// for those.
    pub issuer: Arc<str>,
    /// How the caller proved itself: `jwt`, `jwt_svid`, `mtls` or `api_key`.
    pub credential: Arc<str>,
    /// On whose behalf the call is made: `sub` of a delegated token.
    #[serde(alias = "principal")]
    pub on_behalf_of: Option<String>,
    /// Prior actors, nearest first, without the caller.
    pub actors: Vec<String>,
    /// The task that the credential is bound to.
    pub task: Option<String>,
    /// The `jti` claim.
    pub token_id: Option<Arc<str>>,
    /// The `kid` of the key that verified the token; the id of an API key.
    pub key_id: Option<Arc<str>>,
    /// What the token is bound to, and was proven with: `dpop`, `certificate` or `both`.
    pub bound: Option<Binding>,
    /// From when on the credential is valid: the later of `iat` and `nbf`.
    pub not_before: UnixTime,
    /// From when on the credential is not valid: the `exp` claim.
    pub expires_at: UnixTime,
    /// All verified claims.
    #[cfg_attr(feature = "schema", schemars(with = "serde_json::Map<String, serde_json::Value>"))]
    pub claims: Claims,
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
