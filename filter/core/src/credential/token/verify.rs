//! Strict verification of compact JWS access tokens (RFC 7515, 7519; best practice RFC 8725).
//!
//! The signature is checked before any claim but `iss` and, for JWT-SVIDs, `sub`, which only choose
//! the key set. The algorithm is the key's: a token can agree with it or be refused.

use serde_json::{Map, Value};

use super::claims::{self, Confirmation};

use super::Issuer;
use crate::base::reason::{reject, Denied, Reason};
use crate::base::spiffe::SpiffeId;
use crate::base::texts::Texts;
use crate::base::time::UnixTime;
use crate::identity::Identity;
use crate::jose::checks::Checks;
use crate::jose::jws::Unverified;
use crate::jose::keys::{Key, KeySet};
use crate::jose::signature::SignatureVerifier;

/// How many keys are tried for a token that does not say which one signed it.
const MAX_TRIES: usize = 4;

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
    Rejected(Denied),
    /// The issuer's server of keys may know better than we do.
    KeyUnknown {
        /// Index of the issuer in the settings.
        issuer: usize,
        /// The token's `kid`; `None` also if there are no keys at all.
        kid: Option<String>,
        /// What to say if it does not.
        rejection: Denied,
    },
}

impl From<Denied> for Failure {
    fn from(rejection: Denied) -> Self {
        Failure::Rejected(rejection)
    }
}

/// Verifies one token of at most `max_bytes` against these issuers, with the key sets at hand: `None` where there is
/// none. Proofs of possession belong to requests and are not looked at. What it keeps of the claims is shared with
/// `texts`.
pub(crate) fn check<'s>(
    token: &str,
    max_bytes: usize,
    issuers: &'s [Issuer],
    keys: impl FnOnce(usize, &'s Issuer) -> Option<&'s KeySet>,
    checks: Checks<'_>,
    texts: &mut Texts,
    now: UnixTime,
) -> Result<Proven, Failure> {
    let token = Unverified::parse(token, max_bytes)?;
    token.header_rules()?;
    let (index, issuer) = issuer(&token.claims, issuers)?;
    if issuer.is_spiffe() {
        // JWT-SVID section 2: no other parameter may be there.
        if let Some(name) = token.header.keys().find(|name| !["alg", "kid", "typ"].contains(&name.as_str())) {
            return reject(Reason::TokenCritical, format!("header parameter `{name}` is not accepted"));
        }
    }
    let kid = token.key_id()?;
    let Some(keys) = keys(index, issuer) else {
        let detail = format!("there are no keys of `{}`", issuer.issuer);
        let rejection = Denied { reason: Reason::KeysUnavailable, detail };
        return Err(Failure::KeyUnknown { issuer: index, kid: None, rejection });
    };
    if issuer.is_spiffe() && kid.is_none() && keys.fingerprints().nth(1).is_some() {
        // Every key of a bundle has one (SPIFFE Trust Domain and Bundle, section 4.2.1).
        return reject(Reason::TokenKeyUnknown, "no `kid`, and the trust domain has several keys");
    }
    // INVARIANT: keys are looked up below their issuer; one `kid` in two issuers is two keys.
    let candidates = match candidates(keys, kid, token.algorithm()) {
        Ok(candidates) => candidates,
        Err(rejection) => {
            return Err(match (kid, issuer.keys.inline()) {
                (Some(kid), None) => {
                    Failure::KeyUnknown { issuer: index, kid: Some(kid.to_owned()), rejection }
                }
                _ => Failure::Rejected(rejection),
            })
        }
    };
    let key = signer(&token, candidates, checks)?;
    token.type_rule(&issuer.types)?;
    let (identity, confirmation) = claims::identity(token.claims, issuer, key.id(), texts, now)?;
    Ok(Proven { identity, confirmation, issuer: index, key: *key.fingerprint() })
}

/// Verifies the signature of a compact JWS with one of these keys, by the rules of tokens for
/// header and signature. Of the payload it says nothing, and it sets no bound to the length: what
/// passes is not an access token.
///
/// # Errors
/// The first rule that it breaks.
pub fn verify_signature(jws: &str, keys: &KeySet, verifier: &dyn SignatureVerifier) -> Result<(), Denied> {
    let jws = Unverified::of_bytes(jws)?;
    jws.header_rules()?;
    let candidates = candidates(keys, jws.key_id()?, jws.algorithm())?;
    signer(&jws, candidates, Checks::unbounded(verifier)).map(|_| ())
}

/// The keys of a set that may have signed a token: at least one.
fn candidates<'k, 'i>(
    keys: &'k KeySet,
    kid: Option<&'i str>,
    algorithm: Option<&'i str>,
) -> Result<impl Iterator<Item = &'k Key> + use<'k, 'i>, Denied> {
    let candidates = keys.candidates(kid, algorithm);
    match (candidates.clone().take(MAX_TRIES.saturating_add(1)).count(), kid) {
        (1..=MAX_TRIES, _) => Ok(candidates),
        (0, Some(kid)) => reject(Reason::TokenKeyUnknown, format!("the issuer has no key `{kid}`")),
        (0, None) => {
            reject(Reason::TokenKeyUnknown, "no `kid`, and no key of the issuer serves the token's algorithm")
        }
        _ => reject(
            Reason::TokenKeyUnknown,
            format!("no `kid`, and more than {MAX_TRIES} keys of the issuer serve the token's algorithm"),
        ),
    }
}

/// The one of these keys that signed it.
fn signer<'k, P>(
    token: &Unverified<'_, P>,
    candidates: impl Iterator<Item = &'k Key>,
    checks: Checks<'_>,
) -> Result<&'k Key, Denied> {
    let mut wrong = None;
    for key in candidates {
        match token.signed_by(key, checks) {
            Ok(()) => return Ok(key),
            Err(rejection) if rejection.reason == Reason::TokenSignature => wrong = Some(rejection),
            Err(rejection) => return Err(rejection),
        }
    }
    match wrong {
        Some(rejection) => Err(rejection),
        None => reject(Reason::TokenKeyUnknown, "no key may have signed it"),
    }
}

/// The issuer that a token claims to be of: by `iss`, else a trust domain by `sub`.
fn issuer<'s>(claims: &Map<String, Value>, issuers: &'s [Issuer]) -> Result<(usize, &'s Issuer), Denied> {
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use base64::Engine as _;
    use serde_json::json;

    use super::*;
    use crate::jose::keys::{Algorithm, KeyRules, Usage};
    use crate::jose::signature::Unavailable;

    /// Says no so often, then yes.
    struct Tries(Cell<usize>, usize);

    impl SignatureVerifier for Tries {
        fn verify(&self, _: &Key, _: &[u8], _: &[u8]) -> Result<bool, Unavailable> {
            self.0.set(self.0.get().saturating_add(1));
            Ok(self.0.get() > self.1)
        }
    }

    #[test]
    fn without_a_kid_few_keys_are_tried() {
        let keys = |count: usize| {
            let point = |name: &str| json!(name);
            // The base point of P-256 (FIPS 186-4, D.1.2.3).
            let (x, y) = (
                "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
                "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
            );
            let key = |kid: usize| json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": kid.to_string(), "x": point(x), "y": point(y)});
            let set = json!({"keys": (0..count).map(key).collect::<Vec<_>>()});
            let rules = KeyRules { algorithms: &[Algorithm::Es256], usage: Usage::Signature };
            KeySet::fetched(set.to_string().as_bytes(), &rules).unwrap().keys
        };
        let tried = |count: usize, header: Value, wrong: usize| {
            let [header, claims] = [header, json!({})].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
            let jws = format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([1; 64]));
            let tries = Tries(Cell::new(0), wrong);
            let result = verify_signature(&jws, &keys(count), &tries);
            (result.map_err(|rejection| rejection.reason), tries.0.get())
        };
        let es256 = || json!({"alg": "ES256"});
        for (count, wrong, expected) in [
            (1, 0, (Ok(()), 1)),
            (4, 0, (Ok(()), 1)),
            (4, 3, (Ok(()), 4)),
            (4, 4, (Err(Reason::TokenSignature), 4)),
            // Each costs, and nobody chose them.
            (5, 0, (Err(Reason::TokenKeyUnknown), 0)),
        ] {
            assert_eq!(tried(count, es256(), wrong), expected, "{count} {wrong}");
        }
        let named = |kid: &str| json!({"alg": "ES256", "kid": kid});
        assert_eq!(tried(5, named("3"), 0), (Ok(()), 1));
        assert_eq!(tried(5, named("3"), 1), (Err(Reason::TokenSignature), 1), "no other is tried");
        assert_eq!(tried(5, named("7"), 0), (Err(Reason::TokenKeyUnknown), 0));
        assert_eq!(tried(4, json!({"alg": "ES384"}), 0), (Err(Reason::TokenKeyUnknown), 0));
        assert_eq!(tried(4, json!({}), 0), (Err(Reason::TokenKeyUnknown), 0));
    }
}
