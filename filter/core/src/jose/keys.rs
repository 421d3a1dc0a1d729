//! Key sets (RFC 7517): strict about what a key is for, so that a token never chooses.

mod algorithm;
mod jwk;
mod roca;
mod set;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use algorithm::Algorithm;
pub use jwk::Jwks;
#[cfg(feature = "schema")]
pub(crate) use set::MAX_KEYS;
pub use set::{Fetched, KeyError, KeyRules, KeySet, Usage};

/// The `kid` of every published test key starts like this.
pub const TEST_KEY_PREFIX: &str = "test-only-";

/// The key itself. What it may be used for is said by the [`Key`] around it.
pub(crate) enum PublicKey {
    Rsa(rsa::RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// One usable key, with its one algorithm.
pub struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: PublicKey,
    spki: Vec<u8>,
    fingerprint: [u8; 32],
}

impl Key {
    fn new(id: Option<String>, algorithm: Algorithm, public: PublicKey, spki: Vec<u8>) -> Self {
        let mut hash = Sha256::new_with_prefix(algorithm.as_str());
        hash.update([0]);
        match &public {
            PublicKey::Ed25519(key) => hash.update(key.as_bytes()),
            _ => hash.update(&spki),
        }
        Self { id, algorithm, public, spki, fingerprint: hash.finalize().into() }
    }

    /// The public key inside the header of a proof (`jwk`, RFC 9449 section 4.2), for the algorithm
    /// that the header names. It must be of that algorithm's type, as strong as a configured key,
    /// and without private or symmetric members; `alg`, `use` and `key_ops` must agree if present.
    ///
    /// # Errors
    /// The first rule that it breaks, with the member. Long values are cut.
    pub fn of_jwk(jwk: &Map<String, Value>, algorithm: Algorithm) -> Result<Self, String> {
        jwk::of_members(jwk, algorithm).map_err(|(member, message)| format!("`{member}`: {message}"))
    }

    /// The `kid`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The one algorithm that this key serves.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key as SubjectPublicKeyInfo in DER (RFC 5280 section 4.1), for the host's crypto. Empty
    /// for Ed25519, which hosts don't verify.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of the algorithm's name, a zero byte, and the key: SubjectPublicKeyInfo in DER, or
    /// the 32 bytes of an Ed25519 key. Two keys with one fingerprint verify the same signatures;
    /// the `kid` has no part in it.
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The SHA-256 thumbprint in base64url (RFC 7638 section 3, RFC 8037 section 2). It is of the
    /// key as it was understood, so one key has one thumbprint however its JWK was written.
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.to_jwk()))
    }

    /// The key as a JWK of its required members alone, in the form that thumbprints are of.
    pub fn to_jwk(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = |crv: &str, x: Option<&[u8]>, y: Option<&[u8]>| {
            let (x, y) = (text(x.unwrap_or_default()), text(y.unwrap_or_default()));
            format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#)
        };
        match &self.public {
            PublicKey::Rsa(key) => {
                let (e, n) = (text(&key.e().to_bytes_be()), text(&key.n().to_bytes_be()));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            PublicKey::P256(key) => {
                let key = key.to_encoded_point(false);
                point("P-256", key.x().map(|x| &**x), key.y().map(|y| &**y))
            }
            PublicKey::P384(key) => {
                let key = key.to_encoded_point(false);
                point("P-384", key.x().map(|x| &**x), key.y().map(|y| &**y))
            }
            PublicKey::Ed25519(key) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(key.as_bytes()))
            }
        }
    }

    /// The size of an RSA key's modulus, in bits; `None` for other keys.
    pub fn rsa_bits(&self) -> Option<usize> {
        match &self.public {
            PublicKey::Rsa(key) => Some(key.n().bits()),
            _ => None,
        }
    }

    pub(crate) const fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {})", self.id, self.algorithm.as_str())
    }
}
