//! From verified claims to the caller: the rules on claims, and who it is that calls.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde_json::{Map, Value};

use super::profile::lookup;

use super::Issuer;
use crate::base::reason::{reject, Denied, Reason};
use crate::base::spiffe::SpiffeId;
use crate::base::texts::Texts;
use crate::base::time::UnixTime;
use crate::config::Profile;
use crate::identity::{Binding, Claims, Identity, Kind};

/// The longest `sub`, actor, task or token id, in bytes. SPIFFE IDs have at most 2048.
const MAX_NAME: usize = 2048;
/// The most prior actors in a delegation chain.
const MAX_ACTORS: usize = 8;

/// What a token is bound to (RFC 7800): proof of all of it must come with each request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confirmation {
    /// The SHA-256 thumbprint of a DPoP key (RFC 9449 section 6.1).
    pub(crate) jkt: Option<String>,
    /// The SHA-256 digest of the client's certificate (RFC 8705 section 3.1).
    pub(crate) x5t: Option<Box<[u8; 32]>>,
}

impl Confirmation {
    pub(crate) const fn binding(&self) -> Option<Binding> {
        match (&self.jkt, &self.x5t) {
            (None, None) => None,
            (Some(_), None) => Some(Binding::Dpop),
            (None, Some(_)) => Some(Binding::Certificate),
            (Some(_), Some(_)) => Some(Binding::Both),
        }
    }
}

/// The rules on claims, and who the caller is.
pub(super) fn identity(
    claims: Map<String, Value>,
    issuer: &Issuer,
    key_id: Option<&str>,
    texts: &mut Texts,
    now: UnixTime,
) -> Result<(Identity, Confirmation), Denied> {
    audience(&claims, issuer)?;
    let (not_before, expires_at) = validity(&claims, issuer, now)?;
    for claim in &issuer.required_claims {
        if lookup(&claims, claim).is_none_or(|value| value.is_null() || value == "") {
            return reject(Reason::TokenClaims, format!("`{claim}` is missing"));
        }
    }
    for (claim, value) in &issuer.required_values {
        if !holds(&claims, claim, value) {
            return reject(Reason::TokenClaims, format!("`{claim}` is not `{value}`"));
        }
    }
    let confirmation = confirmation(&claims)?;
    let subject = match issuer.id.fill(&claims) {
        Ok(id) if is_name(&id) => id,
        Ok(_) => return reject(Reason::TokenClaims, "the caller's id is not a plain name"),
        Err(why) => return reject(Reason::TokenClaims, why),
    };
    profile_rules(&claims, issuer, &subject)?;
    let task = match issuer.task_claim.as_deref() {
        Some(claim) => name(&claims, claim)?,
        None => None,
    };
    let token_id = name(&claims, "jti")?;
    let mut actors = actors(&claims, issuer)?;
    // RFC 8693 section 4.1: who acts does so for whom `sub` names, whatever claims ids are made of.
    if !actors.is_empty() && name(&claims, "sub")?.is_none() {
        return reject(Reason::TokenClaims, "`act` without `sub`: nobody is acted for");
    }
    for id in actors.iter().chain([&subject]) {
        trust_domain(id, issuer)?;
    }
    // RFC 8693 section 4.1: the outermost actor is the current one; `sub` is the principal.
    let (id, on_behalf_of) =
        if actors.is_empty() { (subject, None) } else { (actors.remove(0), Some(subject)) };
    let identity = Identity {
        // The claims tell of the subject. Who acts for it may be of another kind.
        kind: issuer.actor_kind.filter(|_| on_behalf_of.is_some()).unwrap_or_else(|| kind(&claims, issuer)),
        id,
        issuer: texts.share(&issuer.issuer),
        credential: texts.share(issuer.credential()),
        on_behalf_of,
        actors,
        task,
        token_id: token_id.map(|id| texts.share(&id)),
        key_id: key_id.map(|id| texts.share(id)),
        bound: confirmation.binding(),
        not_before,
        expires_at,
        claims: Claims::new(claims, texts),
    };
    Ok((identity, confirmation))
}

/// From when and until when the token is valid. `iat` may be missing from a JWT-SVID only; its
/// life is then counted from now on.
fn validity(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    now: UnixTime,
) -> Result<(UnixTime, UnixTime), Denied> {
    let expires_at = numeric_date(claims, "exp")?;
    let issued_at = if claims.contains_key("iat") || !issuer.is_spiffe() {
        Some(numeric_date(claims, "iat")?)
    } else {
        None
    };
    let not_before = if claims.contains_key("nbf") { Some(numeric_date(claims, "nbf")?) } else { None };
    let lifetime = expires_at.secs().saturating_sub(issued_at.unwrap_or(now).secs());
    // One that has expired is told so, whatever its life was counted from.
    if issued_at.is_some() && lifetime <= 0 || lifetime > issuer.max_lifetime_s {
        let max = issuer.max_lifetime_s;
        return reject(Reason::TokenLifetime, format!("the token lives {lifetime} s; expected 1 to {max} s"));
    }
    // The leeway is for an issuer whose clock runs ahead. There is none at the end of a life.
    let from = not_before.max(issued_at).map_or(0, UnixTime::secs);
    let early = UnixTime::from_secs(from.saturating_sub(*issuer.leeway_s));
    valid_at(early, expires_at, now)?;
    Ok((early, expires_at))
}

/// The rule that is checked again whenever a verified token is used. `exp` is the first instant at
/// which the token is not valid (RFC 7519 section 4.1.4).
pub(crate) fn valid_at(not_before: UnixTime, expires_at: UnixTime, now: UnixTime) -> Result<(), Denied> {
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

/// RFC 7519 section 4.1.3: one of our audiences is in `aud`, byte for byte; or, where there is none, in the claim that
/// the issuer has in its place.
fn audience(claims: &Map<String, Value>, issuer: &Issuer) -> Result<(), Denied> {
    let instead = || issuer.audience_claim.as_deref().and_then(|claim| lookup(claims, claim));
    let found: Option<Vec<&str>> = match claims.get("aud").or_else(instead) {
        Some(Value::String(one)) => Some(vec![one]),
        // All of them must be strings: an audience that is not understood is no audience.
        Some(Value::Array(all)) => all.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let Some(found) = found else {
        return reject(Reason::TokenAudience, "`aud` is missing or not text");
    };
    let ours = |audience: &str| issuer.audiences.iter().any(|own| own == audience);
    if !found.iter().any(|audience| ours(audience)) {
        return reject(
            Reason::TokenAudience,
            format!("`aud` does not name {}", crate::base::texts::list(&issuer.audiences)),
        );
    }
    // OpenID Connect Core section 3.1.3.7, 4 and 5.
    if issuer.preset.profile == Some(Profile::Oidc) && found.len() > 1 {
        match claims.get("azp").and_then(Value::as_str) {
            Some(azp) if ours(azp) => {}
            _ => return reject(Reason::TokenAudience, "several audiences, and `azp` is not one of ours"),
        }
    }
    Ok(())
}

/// What the issuer's profile asks for besides types and required claims.
fn profile_rules(claims: &Map<String, Value>, issuer: &Issuer, id: &str) -> Result<(), Denied> {
    match issuer.preset.profile {
        Some(Profile::Kubernetes) if claims.get("sub").and_then(Value::as_str) != Some(id) => {
            reject(Reason::TokenClaims, "`sub` and the `kubernetes.io` claims disagree")
        }
        // JWT-SVID section 3.1.
        Some(Profile::Spiffe) if SpiffeId::parse(id).map_or(true, |id| id.path().is_empty()) => {
            reject(Reason::TokenSubject, format!("`{id}` is not the SPIFFE ID of a workload"))
        }
        _ => Ok(()),
    }
}

/// An id that reads like a SPIFFE ID is one, of a trust domain that the issuer may speak for.
fn trust_domain(id: &str, issuer: &Issuer) -> Result<(), Denied> {
    if !id.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:")) {
        return Ok(());
    }
    match SpiffeId::parse(id) {
        Ok(parsed) if issuer.trust_domains.iter().any(|own| own == parsed.trust_domain()) => Ok(()),
        Ok(parsed) => reject(
            Reason::TokenSubject,
            format!("the issuer does not speak for the trust domain `{}`", parsed.trust_domain()),
        ),
        Err(why) => reject(Reason::TokenSubject, format!("`{id}` is not a SPIFFE ID: {why}")),
    }
}

/// Whether a claim is this text, or has it in its list.
fn holds(claims: &Map<String, Value>, claim: &str, wanted: &str) -> bool {
    match lookup(claims, claim) {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Array(list)) => list.iter().any(|item| item == wanted),
        _ => false,
    }
}

fn kind(claims: &Map<String, Value>, issuer: &Issuer) -> Kind {
    let rule = issuer.kinds.iter().find(|rule| holds(claims, &rule.claim, &rule.value));
    rule.map_or(issuer.kind, |rule| rule.kind)
}

/// `cnf` (RFC 7800 section 3.1). A member that is not understood is a binding that can't be checked.
fn confirmation(claims: &Map<String, Value>) -> Result<Confirmation, Denied> {
    let members = match claims.get("cnf") {
        None => return Ok(Confirmation::default()),
        Some(Value::Object(members)) if !members.is_empty() => members,
        Some(_) => return reject(Reason::TokenClaims, "`cnf` is not an object with members"),
    };
    let mut confirmation = Confirmation::default();
    for (name, value) in members {
        let digest = value
            .as_str()
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        match (name.as_str(), digest) {
            ("jkt", Some(_)) => confirmation.jkt = value.as_str().map(str::to_owned),
            ("x5t#S256", Some(digest)) => confirmation.x5t = Some(Box::new(digest)),
            ("jkt" | "x5t#S256", None) => {
                return reject(Reason::TokenClaims, format!("`cnf.{name}` is not a SHA-256 in base64url"))
            }
            _ => return reject(Reason::BindingMissing, format!("no proof is accepted for `cnf.{name}`")),
        }
    }
    Ok(confirmation)
}

/// A NumericDate: a finite number of seconds that is not negative; fractions round to the past.
pub(super) fn numeric_date(claims: &Map<String, Value>, claim: &str) -> Result<UnixTime, Denied> {
    // Beyond this year 9999 bound, arithmetic on dates would have edges to think about.
    const LAST: f64 = 253_402_300_799.0;
    match claims.get(claim).and_then(Value::as_f64) {
        #[allow(clippy::cast_possible_truncation)] // in range by the guard
        Some(secs) if (0.0..=LAST).contains(&secs) => Ok(UnixTime::from_secs(secs.floor() as i64)),
        Some(_) => reject(Reason::TokenClaims, format!("`{claim}` is out of range")),
        None => reject(Reason::TokenClaims, format!("`{claim}` is missing or not a number")),
    }
}

/// A claim that names something: text without control characters, not empty, not endless. Numbers
/// of runs and jobs are names too.
fn name(claims: &Map<String, Value>, claim: &str) -> Result<Option<String>, Denied> {
    match lookup(claims, claim) {
        None => Ok(None),
        Some(Value::String(text)) if is_name(text) => Ok(Some(text.clone())),
        Some(Value::Number(number)) if number.is_u64() && claim != "jti" => Ok(Some(number.to_string())),
        Some(_) => reject(Reason::TokenClaims, format!("`{claim}` is not a plain name")),
    }
}

pub(super) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The actors of RFC 8693 section 4.1, outermost first; `may_act` (section 4.4) says who may be it.
fn actors(claims: &Map<String, Value>, issuer: &Issuer) -> Result<Vec<String>, Denied> {
    // One `sub` at two issuers is two parties, and grants know this issuer's only.
    let is_foreign = |party: &Map<String, Value>| party.get("iss").is_some_and(|iss| *iss != *issuer.issuer);
    let mut actors = Vec::new();
    let mut next = claims.get("act");
    while let Some(actor) = next {
        let Some(actor) = actor.as_object() else {
            return reject(Reason::TokenClaims, "`act` is not an object");
        };
        if actors.len() > MAX_ACTORS {
            return reject(Reason::TokenClaims, format!("`act` is nested more than {MAX_ACTORS} deep"));
        }
        if is_foreign(actor) {
            return reject(Reason::TokenClaims, "`act` names an actor of another issuer");
        }
        // As for the subject: an actor whose `sub` reads like somebody's id is not that party.
        match issuer.id.fill(actor) {
            Ok(id) if is_name(&id) => actors.push(id),
            Ok(_) => return reject(Reason::TokenClaims, "`act` has no plain `sub`"),
            Err(why) => return reject(Reason::TokenClaims, format!("`act`: {why}")),
        }
        next = actor.get("act");
    }
    if let (Some(may_act), Some(actor)) = (claims.get("may_act"), claims.get("act")) {
        let named = may_act.get("sub").is_some_and(|sub| Some(sub) == actor.get("sub"));
        if !named || may_act.as_object().is_none_or(is_foreign) {
            return reject(Reason::TokenClaims, "`may_act` does not name the actor");
        }
    }
    Ok(actors)
}
