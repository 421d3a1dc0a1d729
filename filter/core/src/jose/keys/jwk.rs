//! One JWK (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2) and the rules on it.

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use p256::pkcs8::EncodePublicKey;
use serde::de::IgnoredAny;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::set::{KeyError, KeyRules, Usage};
use super::{roca, Algorithm, Key, PublicKey};
use crate::base::json;

/// The most that a message repeats of a value, in characters: a proof's key is written by anybody.
const MAX_QUOTED: usize = 64;
/// The curves of `EC` keys.
const CURVES: [&str; 2] = ["P-256", "P-384"];
/// Of a modulus whose signatures the module checks itself.
const MAX_PSS_BITS: usize = 4_096;

/// A JWK set as it is written (RFC 7517 section 5). Unknown members are ignored, as the RFC wants;
/// so are the certificates of `x5c`, `x5t` and `x5u`.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "a JWK set")]
pub struct Jwks {
    pub(super) keys: Vec<Jwk>,
}

#[derive(Clone, Deserialize)]
#[serde(expecting = "a JWK")]
pub(super) struct Jwk {
    kty: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwk({:?}, {:?})", self.kty, self.kid)
    }
}

/// The key of a proof: see [`Key::of_jwk`].
pub(super) fn of_members(members: &Map<String, Value>, algorithm: Algorithm) -> Result<Key, KeyError> {
    let jwk = Jwk::parse(&Value::Object(members.clone()))?;
    jwk.no_secrets()?;
    if !jwk.is_for(Usage::Signature)? {
        let member = if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") { "use" } else { "key_ops" };
        return error(member, "not for verifying signatures");
    }
    let (public, spki) = jwk.public()?;
    if !algorithm.fits(&public) {
        return error("kty", format!("a key of another type than `{}` has", algorithm.as_str()));
    }
    match jwk.alg {
        Some(alg) if alg != algorithm.as_str() => {
            error("alg", format!("`{}`; expected `{}`", quoted(&alg), algorithm.as_str()))
        }
        _ => {
            is_checked_soon(algorithm, &public)?;
            Ok(Key::new(jwk.kid, algorithm, public, spki))
        }
    }
}

/// PSS is never the host's to check, and what the module needs grows with the square of the modulus.
fn is_checked_soon(algorithm: Algorithm, public: &PublicKey) -> Result<(), KeyError> {
    let PublicKey::Rsa(key) = public else { return Ok(()) };
    let bits = rsa::traits::PublicKeyParts::n(key).bits();
    match algorithm {
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 if bits > MAX_PSS_BITS => {
            let name = algorithm.as_str();
            error("n", format!("a modulus of {bits} bits; expected at most {MAX_PSS_BITS} for `{name}`"))
        }
        _ => Ok(()),
    }
}

impl Jwk {
    /// A key of a set that nobody looked at yet. The error repeats no value.
    pub(super) fn parse(value: &Value) -> Result<Self, KeyError> {
        if !value.is_object() {
            return error("", "not an object");
        }
        json::typed(value).map_err(|wrong| (wrong.path().to_owned(), "of a wrong type".to_owned()))
    }

    /// `None` for a key that is not meant for this use.
    pub(super) fn read(&self, rules: &KeyRules<'_>) -> Result<Option<Key>, KeyError> {
        self.no_secrets()?;
        if !self.is_for(rules.usage)? {
            return Ok(None);
        }
        if matches!(rules.usage, Usage::JwtSvid | Usage::Signer) && self.kid.is_none() {
            return error("kid", "missing");
        }
        let (public, spki) = self.public()?;
        let algorithm = self.algorithm(&public, rules.algorithms)?;
        is_checked_soon(algorithm, &public)?;
        Ok(Some(Key::new(self.kid.clone(), algorithm, public, spki)))
    }

    /// Whether it may be a good key of a kind that is not offered here, or not to this issuer.
    pub(super) fn is_of_another_kind(&self, rules: &KeyRules<'_>) -> bool {
        let is_other = |text: &Option<String>, known: &[&str]| {
            text.as_deref().is_some_and(|text| !known.contains(&text))
        };
        let is_other_curve = match self.kty.as_deref() {
            Some("EC") => is_other(&self.crv, &CURVES),
            Some("OKP") => is_other(&self.crv, &["Ed25519"]),
            _ => false,
        };
        let alg = self.alg.as_deref().map(Algorithm::named);
        let is_other_alg = alg.is_some_and(|alg| alg.is_none_or(|alg| !rules.algorithms.contains(&alg)));
        let is_for_nothing = rules.usage == Usage::JwtSvid && self.usage.is_none();
        self.no_secrets().is_ok()
            && (is_other(&self.kty, &["RSA", "EC", "OKP"])
                || is_other_curve
                || is_other_alg
                || is_for_nothing)
    }

    fn no_secrets(&self) -> Result<(), KeyError> {
        if self.k.is_some() || self.kty.as_deref() == Some("oct") {
            return error("kty", "a symmetric key cannot tell the issuer from its readers");
        }
        let private = [
            ("d", self.d),
            ("p", self.p),
            ("q", self.q),
            ("dp", self.dp),
            ("dq", self.dq),
            ("qi", self.qi),
            ("oth", self.oth),
        ];
        match private.iter().find(|(_, value)| value.is_some()) {
            Some((member, _)) => error(member, "a private key does not belong here"),
            None => Ok(()),
        }
    }

    fn is_for(&self, usage: Usage) -> Result<bool, KeyError> {
        let ops = self.key_ops.as_deref();
        // RFC 7517 section 4.3.
        let mut rest = ops.unwrap_or_default();
        while let [op, others @ ..] = rest {
            if others.contains(op) {
                return error("key_ops", format!("duplicate operation `{}`", quoted(op)));
            }
            rest = others;
        }
        let used = match (usage, self.usage.as_deref()) {
            // As SPIRE's discovery provider publishes them.
            (Usage::JwtSvid, None) => return error("use", "missing; expected `jwt-svid`"),
            (Usage::Signature | Usage::Signer, None | Some("sig")) => true,
            (Usage::JwtSvid, Some("jwt-svid")) => true,
            (Usage::Signature | Usage::Signer | Usage::JwtSvid, _) => false,
        };
        Ok(used && ops.is_none_or(|ops| ops.iter().any(|op| op == "verify")))
    }

    /// The one algorithm that the key serves: its `alg`, or the only one that is left without it.
    fn algorithm(&self, public: &PublicKey, allowed: &[Algorithm]) -> Result<Algorithm, KeyError> {
        let fitting: Vec<Algorithm> = Algorithm::ALL.into_iter().filter(|alg| alg.fits(public)).collect();
        let usable: Vec<Algorithm> = fitting.iter().copied().filter(|alg| allowed.contains(alg)).collect();
        let Some(alg) = self.alg.as_deref() else {
            return match usable.as_slice() {
                [only] => Ok(*only),
                [] => error("alg", format!("{} is not in the issuer's `algorithms`", or(&fitting))),
                several => {
                    let several = Algorithm::list(several, "and");
                    error("alg", format!("missing; the issuer's `algorithms` allow {several} for this key"))
                }
            };
        };
        match Algorithm::named(alg) {
            Some(alg) if usable.contains(&alg) => Ok(alg),
            Some(alg) if fitting.contains(&alg) => {
                error("alg", format!("`{}` is not in the issuer's `algorithms`", alg.as_str()))
            }
            _ => {
                let alg = quoted(alg);
                error("alg", format!("`{alg}` is not supported for this key; expected {}", or(&fitting)))
            }
        }
    }

    /// The key, and what [`Key::spki`] answers.
    fn public(&self) -> Result<(PublicKey, Vec<u8>), KeyError> {
        match self.kty.as_deref() {
            Some("RSA") => self.rsa(),
            Some("EC") => match self.curve(&CURVES)? {
                "P-256" => self.p256(),
                _ => self.p384(),
            },
            Some("OKP") => self.curve(&["Ed25519"]).and_then(|_| self.ed25519()),
            Some(other) => error("kty", format!("unsupported key type `{}`", quoted(other))),
            None => error("kty", "missing"),
        }
    }

    fn rsa(&self) -> Result<(PublicKey, Vec<u8>), KeyError> {
        let n = rsa::BigUint::from_bytes_be(&decode("n", self.n.as_deref())?);
        let e = rsa::BigUint::from_bytes_be(&decode("e", self.e.as_deref())?);
        let bits = n.bits();
        if !(2048..=8192).contains(&bits) {
            return error("n", format!("a modulus of {bits} bits; expected 2048 to 8192"));
        }
        let modulus = n.to_bytes_be();
        if modulus.last().is_some_and(|byte| byte & 1 == 0) {
            return error("n", "an even modulus");
        }
        if roca::is_flawed(&modulus) {
            return error("n", "made by a library whose keys can be factored (CVE-2017-15361)");
        }
        // 3 and its like are sound in theory and broken by every sloppy padding check; large ones take up to four times
        // as long to check.
        if e != rsa::BigUint::from(65_537_u32) {
            return error("e", "expected the exponent 65537");
        }
        let key = rsa::RsaPublicKey::new_with_max_size(n, e, 8192)
            .map_err(|wrong| ("n".to_owned(), format!("unusable RSA key: {wrong}")))?;
        let spki = spki(&key)?;
        Ok((PublicKey::Rsa(key), spki))
    }

    fn p256(&self) -> Result<(PublicKey, Vec<u8>), KeyError> {
        match p256::PublicKey::from_sec1_bytes(&self.point(32)?) {
            Ok(key) => Ok((PublicKey::P256(key.into()), spki(&key)?)),
            Err(_) => error("x", "not a point of the curve P-256"),
        }
    }

    fn p384(&self) -> Result<(PublicKey, Vec<u8>), KeyError> {
        match p384::PublicKey::from_sec1_bytes(&self.point(48)?) {
            Ok(key) => Ok((PublicKey::P384(key.into()), spki(&key)?)),
            Err(_) => error("x", "not a point of the curve P-384"),
        }
    }

    /// Uncompressed (SEC 1 section 2.3.3), with coordinates of this many bytes.
    fn point(&self, length: usize) -> Result<Vec<u8>, KeyError> {
        let mut point = vec![4];
        point.extend(fixed("x", self.x.as_deref(), length)?);
        point.extend(fixed("y", self.y.as_deref(), length)?);
        Ok(point)
    }

    fn ed25519(&self) -> Result<(PublicKey, Vec<u8>), KeyError> {
        let bytes = fixed("x", self.x.as_deref(), 32)?;
        let key = ed25519_dalek::VerifyingKey::try_from(bytes.as_slice()).ok();
        // A second spelling of a point would be a second thumbprint of one key.
        let key = key.filter(|key| key.to_edwards().compress().as_bytes() == key.as_bytes());
        match key.filter(|key| !key.is_weak()) {
            Some(key) => Ok((PublicKey::Ed25519(key), Vec::new())),
            None => error("x", "not a usable Ed25519 key"),
        }
    }

    fn curve(&self, expected: &[&'static str]) -> Result<&'static str, KeyError> {
        let names = expected.iter().map(|crv| format!("`{crv}`")).collect::<Vec<_>>().join(" or ");
        let Some(crv) = self.crv.as_deref() else {
            return error("crv", format!("missing; expected {names}"));
        };
        match expected.iter().find(|known| **known == crv) {
            Some(known) => Ok(known),
            None => error("crv", format!("unsupported curve `{}`; expected {names}", quoted(crv))),
        }
    }
}

fn error<T>(member: &str, message: impl Into<String>) -> Result<T, KeyError> {
    Err((member.to_owned(), message.into()))
}

fn or(algorithms: &[Algorithm]) -> String {
    Algorithm::list(algorithms, "or")
}

pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn spki(key: &impl EncodePublicKey) -> Result<Vec<u8>, KeyError> {
    match key.to_public_key_der() {
        Ok(document) => Ok(document.into_vec()),
        Err(_) => error("kty", "cannot be encoded"),
    }
}

fn decode(member: &str, text: Option<&str>) -> Result<Vec<u8>, KeyError> {
    let Some(text) = text else { return error(member, "missing") };
    URL_SAFE_NO_PAD.decode(text).or_else(|_| error(member, "not base64url without padding"))
}

fn fixed(member: &str, text: Option<&str>, length: usize) -> Result<Vec<u8>, KeyError> {
    let bytes = decode(member, text)?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        error(member, format!("{} bytes; expected {length}", bytes.len()))
    }
}
