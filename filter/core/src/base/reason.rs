//! The fixed list of reasons. Responses, records, metrics and the reference all derive
//! from this one table.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The part of a decision that came to the outcome, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Is this filter able to decide at all?
    Service,
    /// Is the request unambiguous?
    Request,
    /// Who is calling, with what proof?
    Credential,
    /// Is this identity entitled to this route?
    Grant,
    /// Is there a time-bound approval, where the grant requires one?
    Elevation,
    /// Does the Rego rule set let this request proceed?
    Policy,
    /// What did the policy decision point say?
    Pdp,
}

macro_rules! reasons {
    (@ observable) => { true };
    (@) => { false };
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $status:literal, $layer:ident $(, $observable:ident)?;)+) => {
        /// Why a decision came out as it did.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Reason {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $variant,)+
        }

        impl Reason {
            /// All reasons, in the order of the table.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),+];

            /// The short code that stands in records, metrics and responses.
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code),+ }
            }

            /// The HTTP status of the answer; 200 where the request is passed on.
            pub const fn status(self) -> u16 {
                match self { $(Reason::$variant => $status),+ }
            }

            /// The layer that this reason belongs to.
            pub const fn layer(self) -> Layer {
                match self { $(Reason::$variant => Layer::$layer),+ }
            }

            /// Whether the request is passed on all the same where `observe` is on.
            pub const fn observable(self) -> bool {
                match self { $(Reason::$variant => reasons!(@ $($observable)?)),+ }
            }

            /// One sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Reason::$variant => concat!($($doc),+)),+ }
            }
        }
    };
}

reasons! {
    /// All layers agree.
    Allowed = "allowed", 200, Policy;
    /// A layer said no, and `observe` passes the request on: the record's `would_refuse` says why.
    Observed = "observed", 200, Service;
    /// No valid configuration or bundle is loaded, it changed while the request waited and can't be decided again, or the host withholds the request, its source address or the time.
    NotReady = "not_ready", 503, Service;
    /// The bundle has expired, or is older than `bundle.max_stale_s`.
    BundleStale = "bundle_stale", 503, Service;
    /// The policy reads signals, and there is no list of them yet, or it is older than `signals.max_age_s`.
    SignalsStale = "signals_stale", 503, Service;
    /// Too many requests wait for an answer already (`limits.max_pending`, `pdps.*.max_in_flight`), or this second's part for signatures is spent (`limits.signature_ms`).
    Overloaded = "overloaded", 503, Service;
    /// What decides has changed, and too little of an open stream's request was kept to decide it again.
    StreamNotKept = "stream_not_kept", 503, Service;
    /// The stream was open for as long as the policy's `max_stream_s`, or `streams.max_s`, lets it.
    DurationCap = "duration_cap", 503, Service;
    /// The path is missing, malformed or can be read in two ways.
    PathAmbiguous = "path_ambiguous", 400, Request;
    /// The path and the query are longer than 16 KiB.
    PathTooLong = "path_too_long", 414, Request;
    /// The host is missing or is not a plain host name with an optional port.
    HostInvalid = "host_invalid", 400, Request;
    /// The method is missing or is not a token of upper-case letters.
    MethodInvalid = "method_invalid", 400, Request;
    /// The policy reads a header whose value is not UTF-8.
    HeaderInvalid = "header_invalid", 400, Request;
    /// The policy reads the query, and it holds a bad escape or is not UTF-8.
    QueryInvalid = "query_invalid", 400, Request;
    /// More than one credential was presented, or one that can be read in two ways.
    CredentialAmbiguous = "credential_ambiguous", 400, Credential;
    /// No credential was presented, and no anonymous grant covers the route.
    CredentialMissing = "credential_missing", 401, Credential, observable;
    /// The token is not a strict compact JWS with JSON objects inside.
    TokenMalformed = "token_malformed", 401, Credential;
    /// The token is longer than `limits.token_bytes`.
    TokenTooLarge = "token_too_large", 401, Credential;
    /// The token's `alg` is not the algorithm of its key.
    TokenAlgorithm = "token_algorithm", 401, Credential;
    /// The token has critical header parameters, or ones that change how it is read.
    TokenCritical = "token_critical", 401, Credential;
    /// The token's `typ` is not one that the issuer's tokens have.
    TokenType = "token_type", 401, Credential;
    /// The token's issuer is missing or not configured.
    TokenIssuer = "token_issuer", 401, Credential;
    /// The issuer has no key with the token's `kid`.
    TokenKeyUnknown = "token_key_unknown", 401, Credential;
    /// The issuer's keys are not at hand, or may be too old to have the token's.
    KeysUnavailable = "keys_unavailable", 503, Credential;
    /// The signature does not fit the key.
    TokenSignature = "token_signature", 401, Credential;
    /// A claim is missing, or has the wrong type or form.
    TokenClaims = "token_claims", 401, Credential;
    /// An id in the token is not one that its issuer may assert.
    TokenSubject = "token_subject", 401, Credential;
    /// The token is meant for another audience.
    TokenAudience = "token_audience", 401, Credential;
    /// The token has expired.
    TokenExpired = "token_expired", 401, Credential;
    /// The token is not valid yet, or was issued in the future.
    TokenNotYetValid = "token_not_yet_valid", 401, Credential;
    /// The token lives longer than its issuer's `max_lifetime_s`, or its profile's ceiling.
    TokenLifetime = "token_lifetime", 401, Credential;
    /// The token is bound to a key or certificate and the proof is missing, or it must be bound and is not.
    BindingMissing = "binding_missing", 401, Credential;
    /// The DPoP proof is malformed, too old, for another request or token, or by another key.
    DpopInvalid = "dpop_invalid", 401, Credential;
    /// The DPoP proof was used before.
    DpopReplayed = "dpop_replayed", 401, Credential;
    /// It can't be told whether the DPoP proof was used before.
    DpopUnavailable = "dpop_unavailable", 503, Credential;
    /// The token is bound to another certificate than the client's.
    CertificateMismatch = "certificate_mismatch", 401, Credential;
    /// The client's certificate does not tell who it is, or a trusted hop does not.
    PeerInvalid = "peer_invalid", 401, Credential;
    /// The client's certificate is of somebody else than the token.
    PeerMismatch = "peer_mismatch", 401, Credential;
    /// There is no such API key.
    ApiKeyInvalid = "api_key_invalid", 401, Credential;
    /// The exception that allows the credential is not valid now.
    ExceptionExpired = "exception_expired", 401, Credential;
    /// The token, its caller, task, key or issuer was revoked.
    Revoked = "revoked", 401, Credential;
    /// There is no list of revocations yet, or it is older than `revocations.max_age_s`.
    RevocationsStale = "revocations_stale", 503, Credential;
    /// The signature could not be checked.
    VerifierUnavailable = "verifier_unavailable", 503, Credential;
    /// No grant admits this identity to this route now.
    NotGranted = "not_granted", 403, Grant, observable;
    /// The grant requires a token that is bound to a key or certificate, and the caller's is not.
    BindingRequired = "binding_required", 403, Grant, observable;
    /// The grant requires an elevation, and the caller has none for it.
    ElevationRequired = "elevation_required", 403, Elevation, observable;
    /// The caller's elevation has not begun, is over, or is not for this source, kind of caller or principal.
    ElevationInactive = "elevation_inactive", 403, Elevation, observable;
    /// The caller's elevation breaks the glass, and the request does not give one reason of 10 to 200 printable characters.
    BreakGlassReason = "break_glass_reason", 403, Elevation, observable;
    /// The policy said no.
    PolicyDenied = "policy_denied", 403, Policy, observable;
    /// No rule of the policy allowed the request.
    PolicyUndefined = "policy_undefined", 403, Policy, observable;
    /// The policy's result, or a question of it, does not have the agreed shape.
    PolicyResult = "policy_result", 403, Policy, observable;
    /// The policy reached a limit: instructions, work of builtins, input size, questions or rounds.
    PolicyLimit = "policy_limit", 403, Policy, observable;
    /// The policy could not be evaluated.
    PolicyError = "policy_error", 403, Policy, observable;
    /// The user has to authenticate in another way, or again, before the policy says yes.
    StepUpRequired = "step_up_required", 401, Policy, observable;
    /// An obligation came with the decision that is not understood here.
    ObligationUnknown = "obligation_unknown", 403, Policy, observable;
    /// An obligation is malformed, forbidden, or makes no sense for the outcome.
    ObligationInvalid = "obligation_invalid", 403, Policy, observable;
    /// The policy decision point said no, and no rule allowed the request without it.
    PdpDenied = "pdp_denied", 403, Pdp, observable;
    /// A question to the policy decision point failed, so an allow does not count.
    PdpUnavailable = "pdp_unavailable", 503, Pdp, observable;
}

impl Reason {
    /// Whether the request is passed on.
    pub const fn is_allow(self) -> bool {
        matches!(self, Reason::Allowed | Reason::Observed)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why something is refused, inside: what becomes a refusal of the call.
#[derive(Debug, Clone, PartialEq)]
pub struct Denied {
    /// From the fixed list.
    pub reason: Reason,
    /// What was found and what was expected, for the record. Values of claims at most, never a part of a token.
    pub detail: String,
}

/// For whatever the caller refuses with.
pub(crate) fn reject<T, E: From<Denied>>(reason: Reason, detail: impl Into<String>) -> Result<T, E> {
    Err(Denied { reason, detail: detail.into() }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }

    /// Forged, malformed and revoked is refused on the first day, too, and so is what we can't decide.
    #[test]
    fn what_is_missing_may_be_observed_and_what_is_wrong_may_not() {
        for reason in Reason::ALL.iter().copied() {
            let expected = match reason.layer() {
                Layer::Service | Layer::Request => false,
                Layer::Credential => reason == Reason::CredentialMissing,
                Layer::Grant | Layer::Elevation | Layer::Policy | Layer::Pdp => !reason.is_allow(),
            };
            assert_eq!(reason.observable(), expected, "{reason}");
        }
    }

    #[test]
    fn only_allowed_is_a_success() {
        for reason in Reason::ALL {
            assert_eq!(reason.is_allow(), reason.status() == 200, "{reason}");
            assert!(matches!(reason.status(), 200 | 400 | 401 | 403 | 414 | 503), "{reason}");
        }
    }
}
