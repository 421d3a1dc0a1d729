//! Key sets (RFC 7517): strict about what a key is for, so that a token never chooses.

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use p256::pkcs8::EncodePublicKey as _;
use serde::{Deserialize, Serialize};

/// The `kid` of every published test key starts like this.
pub const TEST_KEY_PREFIX: &str = "test-only-";

/// A JWS algorithm that is offered. No HS*, no none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// The JWS `alg` value (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }
}

/// A public key with its one algorithm.
pub(crate) enum PublicKey {
    Rs256(rsa::RsaPublicKey),
    Es256(p256::ecdsa::VerifyingKey),
    EdDsa(ed25519_dalek::VerifyingKey),
}

/// One usable key of an issuer.
pub struct Key {
    id: Option<String>,
    public: PublicKey,
    spki: Vec<u8>,
}

impl Key {
    /// The `kid`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The one algorithm that this key serves.
    pub const fn algorithm(&self) -> Algorithm {
        match self.public {
            PublicKey::Rs256(_) => Algorithm::Rs256,
            PublicKey::Es256(_) => Algorithm::Es256,
            PublicKey::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// The key as SubjectPublicKeyInfo in DER (RFC 5280 section 4.1), for the host's crypto.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    pub(crate) const fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {})", self.id, self.algorithm().as_str())
    }
}

/// The usable keys of one issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A member of a key set that can't be used: its path below the set, and why.
pub(crate) type KeyError = (String, String);

impl KeySet {
    /// Reads a JWK set. `algorithms` bounds what its keys may be used for; a key without `alg`
    /// serves the one algorithm of its type.
    ///
    /// # Errors
    /// Each key that is malformed, private, weak, of another algorithm, or repeats a `kid`.
    pub(crate) fn read(set: &Jwks, algorithms: &[Algorithm]) -> Result<Self, Vec<KeyError>> {
        let mut keys: Vec<Key> = Vec::new();
        let mut errors = Vec::new();
        for (index, jwk) in set.keys.iter().enumerate() {
            match jwk.read(algorithms) {
                Ok(None) => {}
                Ok(Some(key)) if keys.iter().any(|other| other.id == key.id) => {
                    let kid = key.id.as_deref().unwrap_or_default();
                    errors.push((format!("keys[{index}].kid"), format!("duplicate key id `{kid}`")));
                }
                Ok(Some(key)) => keys.push(key),
                Err((member, message)) => errors.push((format!("keys[{index}].{member}"), message)),
            }
        }
        if keys.is_empty() && errors.is_empty() {
            errors.push(("keys".into(), "holds no key for signatures".into()));
        }
        match errors.is_empty() {
            true => Ok(Self { keys }),
            false => Err(errors),
        }
    }

    /// The ids of the keys that have one.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(Key::id)
    }

    /// The key with this id. A token without `kid` is served only where there is no choice.
    pub fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.keys.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(_), keys) => keys.iter().find(|key| key.id() == id),
        }
    }
}

/// A JWK set as it is written (RFC 7517 section 5). Unknown members are ignored, as the RFC wants.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "a JWK set")]
pub struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Clone, Deserialize)]
#[serde(expecting = "a JWK")]
struct Jwk {
    kty: String,
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
    d: Option<serde::de::IgnoredAny>,
    k: Option<serde::de::IgnoredAny>,
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwk({}, {:?})", self.kty, self.kid)
    }
}

impl Jwk {
    /// `None` for a key that is not for signatures.
    fn read(&self, algorithms: &[Algorithm]) -> Result<Option<Key>, KeyError> {
        let error = |member: &str, message: String| Err((member.to_owned(), message));
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Ok(None);
        }
        if self.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
            return Ok(None);
        }
        if self.d.is_some() {
            return error("d", "a private key does not belong here".into());
        }
        if self.k.is_some() || self.kty == "oct" {
            return error("kty", "a symmetric key cannot tell the issuer from its readers".into());
        }
        let (public, spki) = match self.kty.as_str() {
            "RSA" => self.rsa()?,
            "EC" => self.p256()?,
            "OKP" => self.ed25519()?,
            other => return error("kty", format!("unsupported key type `{other}`")),
        };
        let key = Key { id: self.kid.clone(), public, spki };
        let algorithm = key.algorithm();
        if self.alg.as_deref().is_some_and(|alg| alg != algorithm.as_str()) {
            let alg = self.alg.as_deref().unwrap_or_default();
            return error(
                "alg",
                format!("`{alg}` is not supported for this key; expected `{}`", algorithm.as_str()),
            );
        }
        if !algorithms.contains(&algorithm) {
            return error("alg", format!("`{}` is not in the issuer's `algorithms`", algorithm.as_str()));
        }
        Ok(Some(key))
    }

    fn rsa(&self) -> Result<(PublicKey, Vec<u8>), KeyError> {
        let n = rsa::BigUint::from_bytes_be(&decode("n", self.n.as_deref())?);
        let e = rsa::BigUint::from_bytes_be(&decode("e", self.e.as_deref())?);
        let bits = n.bits();
        if !(2048..=8192).contains(&bits) {
            return Err(("n".into(), format!("a modulus of {bits} bits; expected 2048 to 8192")));
        }
        let key = rsa::RsaPublicKey::new_with_max_size(n, e, 8192)
            .map_err(|error| ("e".to_owned(), format!("unusable RSA key: {error}")))?;
        let spki = key.to_public_key_der().map_err(|_| ("n".to_owned(), "cannot be encoded".to_owned()))?;
        Ok((PublicKey::Rs256(key), spki.as_bytes().to_vec()))
    }

    fn p256(&self) -> Result<(PublicKey, Vec<u8>), KeyError> {
        self.curve("P-256")?;
        let mut point = vec![4]; // uncompressed (SEC 1 section 2.3.3)
        point.extend(fixed("x", self.x.as_deref(), 32)?);
        point.extend(fixed("y", self.y.as_deref(), 32)?);
        let key = p256::PublicKey::from_sec1_bytes(&point)
            .map_err(|_| ("x".to_owned(), "not a point of the curve P-256".to_owned()))?;
        let spki = key.to_public_key_der().map_err(|_| ("x".to_owned(), "cannot be encoded".to_owned()))?;
        Ok((PublicKey::Es256(key.into()), spki.as_bytes().to_vec()))
    }

    fn ed25519(&self) -> Result<(PublicKey, Vec<u8>), KeyError> {
        self.curve("Ed25519")?;
        let bytes = fixed("x", self.x.as_deref(), 32)?;
        let point: [u8; 32] =
            bytes.as_slice().try_into().map_err(|_| ("x".to_owned(), "expected 32 bytes".to_owned()))?;
        match ed25519_dalek::VerifyingKey::from_bytes(&point) {
            Ok(key) if !key.is_weak() => Ok((PublicKey::EdDsa(key), Vec::new())),
            _ => Err(("x".into(), "not a usable Ed25519 key".into())),
        }
    }

    fn curve(&self, expected: &str) -> Result<(), KeyError> {
        match self.crv.as_deref() {
            Some(crv) if crv == expected => Ok(()),
            Some(crv) => Err(("crv".into(), format!("unsupported curve `{crv}`; expected `{expected}`"))),
            None => Err(("crv".into(), format!("missing; expected `{expected}`"))),
        }
    }
}

fn decode(member: &str, text: Option<&str>) -> Result<Vec<u8>, KeyError> {
    let text = text.ok_or_else(|| (member.to_owned(), "missing".to_owned()))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| (member.to_owned(), "not base64url without padding".to_owned()))
}

fn fixed(member: &str, text: Option<&str>, length: usize) -> Result<Vec<u8>, KeyError> {
    let bytes = decode(member, text)?;
    match bytes.len() == length {
        true => Ok(bytes),
        false => Err((member.to_owned(), format!("{} bytes; expected {length}", bytes.len()))),
    }
}
