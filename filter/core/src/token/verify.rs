//! Strict verification of compact JWS access tokens (RFC 7515, 7519; best practice RFC 8725).
//!
//! The signature is checked before any claim but `iss` and, for JWT-SVIDs, `sub`, which only choose
//! the key set. The algorithm is the key's: a token can agree with it or be refused.

use serde_json::{Map, Value};

use super::claims::{self, Confirmation};
use super::{reject, Rejection, Texts, Unverified};
use crate::identity::Identity;
use crate::keys::{Key, KeySet};
use crate::reason::Reason;
use crate::settings::{Issuer, Settings};
use crate::signature::SignatureVerifier;
use crate::spiffe::SpiffeId;
use crate::time::UnixTime;

/// A token that was believed.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) identity: Identity,
    pub(crate) confirmation: Confirmation,
    /// Index of the issuer in the settings.
    pub(crate) issuer: usize,
    /// The fingerprint of the key that signed it.
    pub(crate) key: [u8; 32],
}

/// Why a token is not believed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It breaks a rule.
    Rejected(Rejection),
    /// The issuer's server of keys may know better than we do.
    KeyUnknown {
        /// Index of the issuer in the settings.
        issuer: usize,
        /// The token's `kid`; `None` also if there are no keys at all.
        kid: Option<String>,
        /// What to say if it does not.
        rejection: Rejection,
    },
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Failure::Rejected(rejection)
    }
}

/// Verifies one token against the issuers whose keys are in the configuration, and answers who
/// calls. Proofs of possession belong to requests and are not looked at.
///
/// # Errors
/// The first rule that the token breaks.
pub fn verify(
    token: &str,
    settings: &Settings,
    verifier: &dyn SignatureVerifier,
    now: UnixTime,
) -> Result<Identity, Rejection> {
    match check(token, settings, |_, issuer| issuer.keys.inline(), verifier, &mut Texts::default(), now) {
        Ok(proven) => Ok(proven.identity),
        Err(Failure::Rejected(rejection) | Failure::KeyUnknown { rejection, .. }) => Err(rejection),
    }
}

/// As [`verify`], with the key sets at hand: `None` where there is none. What it keeps of the claims is shared
/// with `texts`.
pub(crate) fn check<'s>(
    token: &str,
    settings: &'s Settings,
    keys: impl FnOnce(usize, &'s Issuer) -> Option<&'s KeySet>,
    verifier: &dyn SignatureVerifier,
    texts: &mut Texts,
    now: UnixTime,
) -> Result<Proven, Failure> {
    let token = Unverified::parse(token, settings.limits.token_bytes)?;
    token.header_rules()?;
    let (index, issuer) = issuer(&token.claims, &settings.issuers)?;
    if issuer.is_spiffe() {
        // JWT-SVID section 2: no other parameter may be there.
        if let Some(name) = token.header.keys().find(|name| !["alg", "kid", "typ"].contains(&name.as_str())) {
            return reject(Reason::TokenCritical, format!("header parameter `{name}` is not accepted"));
        }
    }
    let kid = token.key_id()?;
    let Some(keys) = keys(index, issuer) else {
        let detail = format!("there are no keys of `{}`", issuer.issuer);
        let rejection = Rejection { reason: Reason::KeysUnavailable, detail };
        return Err(Failure::KeyUnknown { issuer: index, kid: None, rejection });
    };
    // INVARIANT: keys are looked up below their issuer; one `kid` in two issuers is two keys.
    let key = match find(keys, kid) {
        Ok(key) => key,
        Err(rejection) => {
            return Err(match (kid, issuer.keys.inline()) {
                (Some(kid), None) => {
                    Failure::KeyUnknown { issuer: index, kid: Some(kid.to_owned()), rejection }
                }
                _ => Failure::Rejected(rejection),
            })
        }
    };
    token.signed_by(key, verifier)?;
    token.type_rule(&issuer.types)?;
    let (identity, confirmation) = claims::identity(token.claims, issuer, key.id(), texts, now)?;
    Ok(Proven { identity, confirmation, issuer: index, key: *key.fingerprint() })
}

/// Verifies the signature of a compact JWS with one of these keys, by the rules of [`verify`] for
/// header and signature. Of the payload it says nothing, and it sets no bound to the length: what
/// passes is not an access token.
///
/// # Errors
/// The first rule that it breaks.
pub fn verify_signature(jws: &str, keys: &KeySet, verifier: &dyn SignatureVerifier) -> Result<(), Rejection> {
    let jws = Unverified::of_bytes(jws)?;
    jws.header_rules()?;
    jws.signed_by(find(keys, jws.key_id()?)?, verifier)
}

fn find<'k>(keys: &'k KeySet, kid: Option<&str>) -> Result<&'k Key, Rejection> {
    match (keys.find(kid), kid) {
        (Some(key), _) => Ok(key),
        (None, Some(kid)) => reject(Reason::TokenKeyUnknown, format!("the issuer has no key `{kid}`")),
        (None, None) => reject(Reason::TokenKeyUnknown, "no `kid`, and the issuer has several keys"),
    }
}

/// The issuer that a token claims to be of: by `iss`, else a trust domain by `sub`.
fn issuer<'s>(claims: &Map<String, Value>, issuers: &'s [Issuer]) -> Result<(usize, &'s Issuer), Rejection> {
    let named = match claims.get("iss") {
        None => None,
        Some(Value::String(iss)) => Some(iss.as_str()),
        Some(_) => return reject(Reason::TokenIssuer, "`iss` is not a string"),
    };
    let by = |test: &dyn Fn(&Issuer) -> bool| issuers.iter().enumerate().find(|(_, issuer)| test(issuer));
    if let Some(iss) = named {
        if let Some(found) = by(&|issuer| !issuer.is_spiffe() && issuer.issuer == iss) {
            return Ok(found);
        }
    }
    let subject = claims.get("sub").and_then(Value::as_str).and_then(|sub| SpiffeId::parse(sub).ok());
    if let Some(subject) = subject {
        let domain = subject.trust_domain();
        if let Some(found) =
            by(&|issuer| issuer.is_spiffe() && issuer.trust_domains.iter().any(|own| own == domain))
        {
            return Ok(found);
        }
    }
    match named {
        Some(iss) => reject(Reason::TokenIssuer, format!("no issuer `{iss}` is configured")),
        None => reject(Reason::TokenIssuer, "`iss` is missing, and `sub` is of no configured trust domain"),
    }
}
