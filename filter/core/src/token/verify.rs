//! Strict verification of compact JWS access tokens (RFC 7515, 7519; best practice RFC 8725).
//!
//! The signature is checked before any claim but `iss`, which only chooses the key set. The
//! algorithm is the key's: a token can agree with it or be refused.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde_json::{Map, Value};

use crate::identity::Identity;
use crate::json;
use crate::reason::Reason;
use crate::settings::Issuer;
use crate::signature::SignatureVerifier;
use crate::time::UnixTime;

/// The longest `sub`, actor, task or token id, in bytes. SPIFFE IDs have at most 2048.
const MAX_NAME: usize = 2048;
/// The most prior actors in a delegation chain.
const MAX_ACTORS: usize = 8;

/// Why a token is refused: the reason, and the fact behind it for the record. The text holds claim
/// values at most, never a part of the token.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// From the fixed list.
    pub reason: Reason,
    /// What was found and what was expected.
    pub detail: String,
}

fn reject<T>(reason: Reason, detail: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection { reason, detail: detail.into() })
}

/// A token that was taken apart and not yet believed.
pub struct Unverified<'a> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a compact JWS apart. `max_bytes` bounds its length.
    ///
    /// # Errors
    /// [`Reason::TokenMalformed`] for anything but three parts of strict base64url with a strict
    /// JSON object in the first two.
    pub fn parse(token: &'a str, max_bytes: usize) -> Result<Self, Rejection> {
        if token.len() > max_bytes {
            return reject(Reason::TokenMalformed, format!("the token is longer than {max_bytes} bytes"));
        }
        let mut parts = token.splitn(4, '.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return reject(Reason::TokenMalformed, "not three parts separated by dots");
        };
        let signed = token.get(..token.len().saturating_sub(signature.len()).saturating_sub(1));
        let decode = |part: &str, name: &str| match URL_SAFE_NO_PAD.decode(part) {
            Ok(bytes) => Ok(bytes),
            Err(_) => reject(Reason::TokenMalformed, format!("the {name} is not strict base64url")),
        };
        let object = |bytes: &[u8], name: &str| match json::parse_object(bytes) {
            Ok(members) => Ok(members),
            Err(_) => reject(Reason::TokenMalformed, format!("the {name} is not a strict JSON object")),
        };
        Ok(Self {
            header: object(&decode(header, "header")?, "header")?,
            claims: object(&decode(payload, "payload")?, "payload")?,
            signed: signed.unwrap_or_default(),
            signature: decode(signature, "signature")?,
        })
    }

    /// The `iss` that the token claims: good for choosing a key set and for nothing else.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}

/// Verifies one token against the issuers and answers who calls.
///
/// # Errors
/// The first rule that the token breaks.
pub fn verify(
    token: &str,
    max_bytes: usize,
    issuers: &[Issuer],
    verifier: &dyn SignatureVerifier,
    now: UnixTime,
) -> Result<Identity, Rejection> {
    let token = Unverified::parse(token, max_bytes)?;
    header_rules(&token.header)?;
    let Some(claimed) = token.claimed_issuer() else {
        return reject(Reason::TokenIssuer, "`iss` is missing or not a string");
    };
    // INVARIANT: keys are looked up below their issuer; one `kid` in two issuers is two keys.
    let Some(issuer) = issuers.iter().find(|issuer| issuer.issuer == claimed) else {
        return reject(Reason::TokenIssuer, format!("no issuer `{claimed}` is configured"));
    };
    let kid = match token.header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return reject(Reason::TokenMalformed, "`kid` is not a string"),
    };
    let Some(key) = issuer.keys.find(kid) else {
        return reject(
            Reason::TokenKeyUnknown,
            match kid {
                Some(kid) => format!("the issuer has no key `{kid}`"),
                None => "no `kid`, and the issuer has several keys".to_owned(),
            },
        );
    };
    let algorithm = key.algorithm().as_str();
    match token.header.get("alg").and_then(Value::as_str) {
        Some(alg) if alg == algorithm => {}
        Some(alg) => {
            return reject(
                Reason::TokenAlgorithm,
                format!("`alg` is `{alg}`; the key's algorithm is `{algorithm}`"),
            )
        }
        None => return reject(Reason::TokenAlgorithm, "`alg` is missing or not a string"),
    }
    match verifier.verify(key, token.signed.as_bytes(), &token.signature) {
        Ok(true) => {}
        Ok(false) => return reject(Reason::TokenSignature, "the signature does not fit the key"),
        Err(_) => return reject(Reason::VerifierUnavailable, "the signature could not be checked"),
    }
    type_rule(&token.header, issuer)?;
    identity(token.claims, issuer, key.id(), now)
}

/// Rules on header parameters that hold whatever the key is.
fn header_rules(header: &Map<String, Value>) -> Result<(), Rejection> {
    // RFC 7515 section 4.1.11 and RFC 7797: we understand no extension. `enc` and `zip` belong to
    // JWE. `jku`, `x5u`, `jwk` and `x5c` are not looked at: the key comes from configuration.
    for name in ["crit", "b64", "enc", "zip"] {
        if header.contains_key(name) {
            return reject(Reason::TokenCritical, format!("header parameter `{name}` is not accepted"));
        }
    }
    Ok(())
}

/// RFC 8725 section 3.11: a token of another type is not an access token. Media type rules: the
/// case does not matter, and `application/` may be left out.
fn type_rule(header: &Map<String, Value>, issuer: &Issuer) -> Result<(), Rejection> {
    let typ = match header.get("typ") {
        // An empty text in `types` stands for tokens without `typ`, and for those only.
        None if issuer.types.iter().any(String::is_empty) => return Ok(()),
        None => return reject(Reason::TokenType, format!("no `typ`; expected {}", list(&issuer.types))),
        Some(Value::String(typ)) => typ,
        Some(_) => return reject(Reason::TokenType, "`typ` is not a string"),
    };
    let lower = typ.to_ascii_lowercase();
    let short = lower.strip_prefix("application/").unwrap_or(&lower);
    match !short.is_empty() && issuer.types.iter().any(|accepted| accepted == short) {
        true => Ok(()),
        false => reject(Reason::TokenType, format!("`typ` is `{typ}`; expected {}", list(&issuer.types))),
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// The rules on claims, and who the caller is.
fn identity(
    claims: Map<String, Value>,
    issuer: &Issuer,
    key_id: Option<&str>,
    now: UnixTime,
) -> Result<Identity, Rejection> {
    audience(&claims, issuer)?;
    let expires_at = numeric_date(&claims, "exp")?;
    let issued_at = numeric_date(&claims, "iat")?;
    let not_before = match claims.contains_key("nbf") {
        true => numeric_date(&claims, "nbf")?.max(issued_at),
        false => issued_at,
    };
    let lifetime = expires_at.secs().saturating_sub(issued_at.secs());
    if lifetime <= 0 || lifetime > issuer.max_lifetime_s {
        let max = issuer.max_lifetime_s;
        return reject(Reason::TokenLifetime, format!("the token lives {lifetime} s; expected 1 to {max} s"));
    }
    // The leeway is for an issuer whose clock runs ahead. There is none at the end of a life.
    let early = UnixTime::from_secs(not_before.secs().saturating_sub(issuer.leeway_s));
    valid_at(early, expires_at, now)?;
    // RFC 7800: a bound token is worth nothing without its proof.
    if claims.contains_key("cnf") {
        return reject(
            Reason::BindingMissing,
            "the token is bound by `cnf`, and no proof is accepted for it",
        );
    }
    let subject = name(&claims, "sub")?
        .ok_or_else(|| Rejection { reason: Reason::TokenClaims, detail: "`sub` is missing".into() })?;
    let task = match issuer.task_claim.as_deref() {
        Some(claim) => name(&claims, claim)?,
        None => None,
    };
    let token_id = name(&claims, "jti")?;
    let mut actors = actors(&claims)?;
    // RFC 8693 section 4.1: the outermost actor is the current one; `sub` is the principal.
    let (id, principal) = match actors.is_empty() {
        true => (subject, None),
        false => (actors.remove(0), Some(subject)),
    };
    Ok(Identity {
        kind: issuer.kind,
        id,
        issuer: issuer.issuer.clone(),
        credential: "jwt".into(),
        principal,
        actors,
        task,
        token_id,
        key_id: key_id.map(str::to_owned),
        not_before: early,
        expires_at,
        claims,
    })
}

/// The rule that is checked again whenever a verified token is used. `exp` is the first instant at
/// which the token is not valid (RFC 7519 section 4.1.4).
pub(crate) fn valid_at(not_before: UnixTime, expires_at: UnixTime, now: UnixTime) -> Result<(), Rejection> {
    if now >= expires_at {
        return reject(
            Reason::TokenExpired,
            format!("`exp` {} is not after {}", expires_at.secs(), now.secs()),
        );
    }
    if now < not_before {
        return reject(
            Reason::TokenNotYetValid,
            format!("valid from {} on; now is {}", not_before.secs(), now.secs()),
        );
    }
    Ok(())
}

/// RFC 7519 section 4.1.3: one of our audiences is in `aud`, byte for byte.
fn audience(claims: &Map<String, Value>, issuer: &Issuer) -> Result<(), Rejection> {
    let found: Option<Vec<&str>> = match claims.get("aud") {
        Some(Value::String(one)) => Some(vec![one]),
        // All of them must be strings: an audience that is not understood is no audience.
        Some(Value::Array(all)) => all.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let Some(found) = found else {
        return reject(Reason::TokenAudience, "`aud` is missing or not text");
    };
    match found.iter().any(|audience| issuer.audiences.iter().any(|own| own == audience)) {
        true => Ok(()),
        false => reject(Reason::TokenAudience, format!("`aud` does not name {}", list(&issuer.audiences))),
    }
}

/// A NumericDate: a finite number of seconds that is not negative; fractions round to the past.
fn numeric_date(claims: &Map<String, Value>, claim: &str) -> Result<UnixTime, Rejection> {
    // Beyond this year 9999 bound, arithmetic on dates would have edges to think about.
    const LAST: f64 = 253_402_300_799.0;
    match claims.get(claim).and_then(Value::as_f64) {
        #[allow(clippy::cast_possible_truncation)] // in range by the guard
        Some(secs) if (0.0..=LAST).contains(&secs) => Ok(UnixTime::from_secs(secs.floor() as i64)),
        Some(_) => reject(Reason::TokenClaims, format!("`{claim}` is out of range")),
        None => reject(Reason::TokenClaims, format!("`{claim}` is missing or not a number")),
    }
}

/// A claim that names something: text without control characters, not empty, not endless.
fn name(claims: &Map<String, Value>, claim: &str) -> Result<Option<String>, Rejection> {
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::String(text)) if is_name(text) => Ok(Some(text.clone())),
        Some(_) => reject(Reason::TokenClaims, format!("`{claim}` is not a plain name")),
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The actors of RFC 8693 section 4.1, outermost first.
fn actors(claims: &Map<String, Value>) -> Result<Vec<String>, Rejection> {
    let mut actors = Vec::new();
    let mut next = claims.get("act");
    while let Some(actor) = next {
        let id = actor.get("sub").and_then(Value::as_str).filter(|id| is_name(id));
        match id {
            Some(id) if actors.len() <= MAX_ACTORS => actors.push(id.to_owned()),
            Some(_) => {
                return reject(Reason::TokenClaims, format!("`act` is nested more than {MAX_ACTORS} deep"))
            }
            None => return reject(Reason::TokenClaims, "`act` has no plain `sub`"),
        }
        next = actor.get("act");
    }
    Ok(actors)
}
