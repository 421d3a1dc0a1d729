//! Signed tokens for tests, cases and demos. TEST ONLY: the private keys are in the repository, so
//! a configuration that trusts one of them lets everybody in.
//!
//! Signing needs no randomness (RSA without blinding and with a fixed salt, RFC 6979, Ed25519): it
//! works on wasm32, and the same claims give the same token. Header and claims are taken as they are: tests forge.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::jose::Key;
use everycall_core::Algorithm;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pss::Pss;
use rsa::sha2::{Digest as _, Sha256, Sha384, Sha512};
use rsa::signature::Signer as _;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use rsa::BigUint;
use serde_json::{json, Map, Value};

/// A test key can't be read or can't sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("test key `{id}`: {message}")]
pub struct MintError {
    id: String,
    message: String,
}

struct Stored {
    id: &'static str,
    algorithm: Algorithm,
    /// Trusted by nobody: forgeries are signed with it.
    foreign: bool,
    jwk: &'static str,
}

macro_rules! stored {
    ($id:literal, $algorithm:ident, $foreign:literal) => {
        stored!($id, $algorithm, $foreign, $id)
    };
    ($id:literal, $algorithm:ident, $foreign:literal, $file:literal) => {
        Stored {
            id: $id,
            algorithm: Algorithm::$algorithm,
            foreign: $foreign,
            jwk: include_str!(concat!("../../../tests/keys/", $file, ".jwk.json")),
        }
    };
}

/// One RSA key serves the six RSA algorithms, under six ids.
static STORED: [Stored; 18] = [
    stored!("test-only-rs256", Rs256, false),
    stored!("test-only-rs384", Rs384, false, "test-only-rs256"),
    stored!("test-only-rs512", Rs512, false, "test-only-rs256"),
    stored!("test-only-ps256", Ps256, false, "test-only-rs256"),
    stored!("test-only-ps384", Ps384, false, "test-only-rs256"),
    stored!("test-only-ps512", Ps512, false, "test-only-rs256"),
    stored!("test-only-es256", Es256, false),
    stored!("test-only-es384", Es384, false),
    stored!("test-only-eddsa", EdDsa, false),
    stored!("test-only-foreign-rs256", Rs256, true),
    stored!("test-only-foreign-rs384", Rs384, true, "test-only-foreign-rs256"),
    stored!("test-only-foreign-rs512", Rs512, true, "test-only-foreign-rs256"),
    stored!("test-only-foreign-ps256", Ps256, true, "test-only-foreign-rs256"),
    stored!("test-only-foreign-ps384", Ps384, true, "test-only-foreign-rs256"),
    stored!("test-only-foreign-ps512", Ps512, true, "test-only-foreign-rs256"),
    stored!("test-only-foreign-es256", Es256, true),
    stored!("test-only-foreign-es384", Es384, true),
    stored!("test-only-foreign-eddsa", EdDsa, true),
];

/// The ids of all test keys.
pub fn test_key_ids() -> impl Iterator<Item = &'static str> {
    STORED.iter().map(|stored| stored.id)
}

/// The id of the test key that this JWK holds the public half of. The key material is compared:
/// another `kid` doesn't make it another key. Of one material, `alg` chooses.
pub fn test_key_in(jwk: &Value) -> Option<&'static str> {
    test_key_for(jwk, &Algorithm::ALL)
}

/// As [`test_key_in`], where the issuer allows these algorithms: they choose if there is no `alg`.
pub fn test_key_for(jwk: &Value, algorithms: &[Algorithm]) -> Option<&'static str> {
    let material = material(jwk)?;
    let same = |stored: &&Stored| {
        serde_json::from_str(stored.jwk).ok().and_then(|jwk: Value| self::material(&jwk)).as_ref()
            == Some(&material)
    };
    let chosen = |stored: &&Stored| match jwk.get("alg").and_then(Value::as_str) {
        Some(alg) => alg == stored.algorithm.as_str(),
        None => algorithms.contains(&stored.algorithm),
    };
    let mut candidates = STORED.iter().filter(same);
    let first = candidates.clone().next();
    candidates.find(chosen).or(first).map(|stored| stored.id)
}

/// The algorithms that an issuer of a configuration allows, as far as they can be read.
pub(crate) fn algorithms(issuer: Option<&Value>) -> Vec<Algorithm> {
    let names = issuer.and_then(|issuer| issuer.get("algorithms")).and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).filter_map(Algorithm::named).collect()
}

/// The number that tells one public key from another: the modulus, or the first coordinate.
fn material(jwk: &Value) -> Option<Vec<u8>> {
    let text = jwk.get("n").or_else(|| jwk.get("x"))?.as_str()?;
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

enum Secret {
    Rsa(Box<rsa::RsaPrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

/// What PSS takes its salt from. A salt that repeats weakens the proof of security, not the test.
struct FixedSalt;

impl rsa::rand_core::RngCore for FixedSalt {
    fn next_u32(&mut self) -> u32 {
        rsa::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rsa::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for FixedSalt {}

/// A fixed key that signs tokens in tests. Everybody has it.
pub struct TestKey {
    id: &'static str,
    algorithm: Algorithm,
    public: Map<String, Value>,
    secret: Secret,
}

impl TestKey {
    /// An RSA key of 2048 bits.
    ///
    /// # Errors
    /// The stored key can't be read.
    pub fn rs256() -> Result<Self, MintError> {
        Self::of(Algorithm::Rs256)
    }

    /// A key on P-256.
    ///
    /// # Errors
    /// The stored key can't be read.
    pub fn es256() -> Result<Self, MintError> {
        Self::of(Algorithm::Es256)
    }

    /// An Ed25519 key.
    ///
    /// # Errors
    /// The stored key can't be read.
    pub fn eddsa() -> Result<Self, MintError> {
        Self::of(Algorithm::EdDsa)
    }

    /// The test key of this algorithm.
    ///
    /// # Errors
    /// The stored key can't be read.
    pub fn of(algorithm: Algorithm) -> Result<Self, MintError> {
        Self::find(|stored| stored.algorithm == algorithm && !stored.foreign)
    }

    /// A key of this algorithm that nobody trusts.
    ///
    /// # Errors
    /// The stored key can't be read.
    pub fn foreign(algorithm: Algorithm) -> Result<Self, MintError> {
        Self::find(|stored| stored.algorithm == algorithm && stored.foreign)
    }

    /// The test key with this id.
    ///
    /// # Errors
    /// There is none, or the stored key can't be read.
    pub fn named(id: &str) -> Result<Self, MintError> {
        Self::find(|stored| stored.id == id)
    }

    fn find(wanted: impl Fn(&Stored) -> bool) -> Result<Self, MintError> {
        let error = |id: &str, message: &str| MintError { id: id.to_owned(), message: message.to_owned() };
        let stored =
            STORED.iter().find(|stored| wanted(stored)).ok_or_else(|| error("", "there is no such key"))?;
        Self::read(stored).ok_or_else(|| error(stored.id, "cannot be read"))
    }

    /// A key of published vectors, from its JWK with the private half.
    ///
    /// # Errors
    /// It is not such a JWK.
    pub fn published(id: &'static str, algorithm: Algorithm, jwk: &Value) -> Result<Self, MintError> {
        let members = jwk.as_object().cloned().unwrap_or_default();
        let error = || MintError { id: id.to_owned(), message: "cannot be read".to_owned() };
        Self::from_members(id, algorithm, members).ok_or_else(error)
    }

    fn read(stored: &Stored) -> Option<Self> {
        Self::from_members(stored.id, stored.algorithm, serde_json::from_str(stored.jwk).ok()?)
    }

    fn from_members(id: &'static str, algorithm: Algorithm, mut public: Map<String, Value>) -> Option<Self> {
        let mut take = |name: &str| URL_SAFE_NO_PAD.decode(public.remove(name)?.as_str()?).ok();
        let secret = match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => {
                let mut number = |name: &str| Some(BigUint::from_bytes_be(&take(name)?));
                let (d, p, q) = (number("d")?, number("p")?, number("q")?);
                let e = BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(public.get("e")?.as_str()?).ok()?);
                let n = BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(public.get("n")?.as_str()?).ok()?);
                let key = rsa::RsaPrivateKey::from_components(n, e, d, vec![p, q]).ok()?;
                Secret::Rsa(Box::new(key))
            }
            Algorithm::Es256 => Secret::P256(p256::ecdsa::SigningKey::from_slice(&take("d")?).ok()?),
            Algorithm::Es384 => Secret::P384(p384::ecdsa::SigningKey::from_slice(&take("d")?).ok()?),
            Algorithm::EdDsa => {
                Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&take("d")?.try_into().ok()?))
            }
        };
        public.retain(|name, _| !["dp", "dq", "qi"].contains(&name.as_str()));
        public.insert("kid".into(), id.into());
        public.insert("alg".into(), algorithm.as_str().into());
        Some(Self { id, algorithm, public, secret })
    }

    /// What an RSA key makes of a block that already has its padding, right or wrong; `None` for
    /// other keys.
    pub fn rsa_block(&self, block: &[u8]) -> Option<Vec<u8>> {
        let Secret::Rsa(key) = &self.secret else { return None };
        let made = BigUint::from_bytes_be(block).modpow(key.d(), key.n()).to_bytes_be();
        let zeros = key.size().checked_sub(made.len())?;
        Some([vec![0; zeros], made].concat())
    }

    /// Its `kid`.
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// What it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half as a JWK.
    pub fn public_jwk(&self) -> Value {
        Value::Object(self.public.clone())
    }

    /// The public half alone, as a client sends it in a DPoP proof.
    pub fn bare_jwk(&self) -> Value {
        let mut jwk = self.public.clone();
        jwk.retain(|name, _| !["kid", "alg", "use"].contains(&name.as_str()));
        Value::Object(jwk)
    }

    /// The public half as a key set for a configuration.
    pub fn public_jwks(&self) -> Value {
        json!({"keys": [self.public]})
    }

    /// What a token is bound to whose proofs this key signs (RFC 9449 section 6.1).
    ///
    /// # Errors
    /// The stored key can't be read.
    pub fn thumbprint(&self) -> Result<String, MintError> {
        let key = Key::of_jwk(&self.public, self.algorithm);
        key.map(|key| key.thumbprint()).map_err(|message| MintError { id: self.id.to_owned(), message })
    }

    /// The header of an honest token.
    pub fn header(&self) -> Map<String, Value> {
        let member = |name: &str, value: &str| (name.to_owned(), Value::from(value));
        [member("alg", self.algorithm.as_str()), member("kid", self.id), member("typ", "JWT")]
            .into_iter()
            .collect()
    }

    /// A compact token with exactly this header and these claims.
    ///
    /// # Errors
    /// The key can't sign.
    pub fn sign(
        &self,
        header: &Map<String, Value>,
        claims: &Map<String, Value>,
    ) -> Result<String, MintError> {
        let message = signing_input(header, claims);
        Ok(compact(&message, &self.signature(message.as_bytes())?))
    }

    /// The JWS signature over a message (RFC 7518 section 3).
    ///
    /// # Errors
    /// The key can't sign.
    pub fn signature(&self, message: &[u8]) -> Result<Vec<u8>, MintError> {
        let signed = match &self.secret {
            Secret::Rsa(key) => rsa_signature(key, self.algorithm, message),
            Secret::P256(key) => {
                key.try_sign(message).ok().map(|signed: p256::ecdsa::Signature| signed.to_bytes().to_vec())
            }
            Secret::P384(key) => {
                key.try_sign(message).ok().map(|signed: p384::ecdsa::Signature| signed.to_bytes().to_vec())
            }
            Secret::Ed25519(key) => key.try_sign(message).ok().map(|signed| signed.to_bytes().to_vec()),
        };
        signed.ok_or_else(|| MintError { id: self.id.to_owned(), message: "cannot sign".to_owned() })
    }
}

fn rsa_signature(key: &rsa::RsaPrivateKey, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
    let digest = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 => Sha256::digest(message).to_vec(),
        Algorithm::Rs384 | Algorithm::Ps384 => Sha384::digest(message).to_vec(),
        _ => Sha512::digest(message).to_vec(),
    };
    // RFC 7518 section 3.5: the salt is as long as the hash.
    let pss = |scheme: Pss| key.sign_with_rng(&mut FixedSalt, scheme, &digest).ok();
    match algorithm {
        Algorithm::Rs256 => key.sign(Pkcs1v15Sign::new::<Sha256>(), &digest).ok(),
        Algorithm::Rs384 => key.sign(Pkcs1v15Sign::new::<Sha384>(), &digest).ok(),
        Algorithm::Rs512 => key.sign(Pkcs1v15Sign::new::<Sha512>(), &digest).ok(),
        Algorithm::Ps256 => pss(Pss::new_with_salt::<Sha256>(32)),
        Algorithm::Ps384 => pss(Pss::new_with_salt::<Sha384>(48)),
        Algorithm::Ps512 => pss(Pss::new_with_salt::<Sha512>(64)),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
    }
}

/// Test keys are public, but a habit of printing keys is not to be started.
impl std::fmt::Debug for TestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TestKey({})", self.id)
    }
}

/// What a signature is over: both parts as base64url.
pub fn signing_input(header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
    let encode =
        |members: &Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(members.clone()).to_string());
    format!("{}.{}", encode(header), encode(claims))
}

/// A compact token of a signing input and a signature.
pub fn compact(message: &str, signature: &[u8]) -> String {
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests;
