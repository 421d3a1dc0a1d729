//! Private keys that sign bundles: a JWK (RFC 7517) or PKCS#8 in PEM (RFC 5958, RFC 7468), on P-256,
//! P-384 or Ed25519. Signing with them needs no randomness, so one content has one signature.

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::Engine as _;
use everycall_core::jose::Key;
use everycall_core::{json, Algorithm};
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::DecodePrivateKey as _;
use serde_json::{json, Map, Value};

enum Secret {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

/// A private key with its id.
pub struct SigningKey {
    id: String,
    secret: Secret,
}

/// Never printed.
impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// PKCS#8 of an Ed25519 key without its public half, up to the 32 bytes of the seed (RFC 8410
/// section 7).
const ED25519_PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

impl SigningKey {
    /// A new key out of 32 random bytes. ES256 is what Envoy verifies fastest.
    ///
    /// # Errors
    /// The bytes are no number of the curve's group, which never happens, or other algorithms.
    pub fn from_random(algorithm: Algorithm, bytes: &[u8; 32]) -> Result<Self, String> {
        let secret = match algorithm {
            Algorithm::Es256 => Secret::P256(p256::ecdsa::SigningKey::from_slice(bytes).map_err(text)?),
            Algorithm::EdDsa => Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(bytes)),
            _ => return Err("a new key is for ES256 or EdDSA".to_owned()),
        };
        Self::with_id(secret, None)
    }

    /// Reads a key from a file's bytes. `id` is its `kid`; else the JWK's own, else the key's
    /// thumbprint (RFC 7638).
    ///
    /// # Errors
    /// It is not such a key. The error repeats nothing of it.
    pub fn read(bytes: &[u8], id: Option<&str>) -> Result<Self, String> {
        match std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN")) {
            Some(pem) => Self::from_pem(pem, id),
            None => Self::from_jwk(bytes, id),
        }
    }

    fn from_pem(pem: &str, id: Option<&str>) -> Result<Self, String> {
        let body = pem
            .split_once("-----BEGIN PRIVATE KEY-----")
            .and_then(|(_, rest)| rest.split_once("-----END PRIVATE KEY-----"))
            .ok_or("expected PKCS#8 in PEM: `-----BEGIN PRIVATE KEY-----`")?;
        let body: String = body.0.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| "the PEM is not base64")?;
        let seed = der.strip_prefix(&ED25519_PKCS8).and_then(|seed| seed.try_into().ok());
        let secret = match seed {
            Some(seed) => Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed)),
            None => match p256::SecretKey::from_pkcs8_der(&der) {
                Ok(key) => Secret::P256(key.into()),
                Err(_) => match p384::SecretKey::from_pkcs8_der(&der) {
                    Ok(key) => Secret::P384(key.into()),
                    Err(_) => return Err("not a key on P-256, P-384 or Ed25519".to_owned()),
                },
            },
        };
        Self::with_id(secret, id)
    }

    fn from_jwk(bytes: &[u8], id: Option<&str>) -> Result<Self, String> {
        let jwk = json::parse_object(bytes).map_err(|_| "neither PEM nor a JWK in strict JSON")?;
        let member = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = URL_SAFE_NO_PAD.decode(member("d")).map_err(|_| "`d` is not base64url")?;
        if number.is_empty() {
            return Err("`d` is missing: not a private key".to_owned());
        }
        let invalid = "`d` is not a private key of this curve";
        let secret = match (member("kty"), member("crv")) {
            ("EC", "P-256") => {
                Secret::P256(p256::ecdsa::SigningKey::from_slice(&number).map_err(|_| invalid)?)
            }
            ("EC", "P-384") => {
                Secret::P384(p384::ecdsa::SigningKey::from_slice(&number).map_err(|_| invalid)?)
            }
            ("OKP", "Ed25519") => {
                let seed = number.try_into().map_err(|_| invalid)?;
                Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed))
            }
            _ => return Err("expected a key on P-256, P-384 or Ed25519".to_owned()),
        };
        let key = Self::with_id(secret, id.or_else(|| jwk.get("kid").and_then(Value::as_str)))?;
        let public = key.public_jwk();
        if ["x", "y"].iter().all(|name| jwk.get(*name).is_none_or(|given| public.get(*name) == Some(given))) {
            Ok(key)
        } else {
            Err("`x` and `y` are of another key than `d`".to_owned())
        }
    }

    fn with_id(secret: Secret, id: Option<&str>) -> Result<Self, String> {
        let mut key = Self { id: id.unwrap_or_default().to_owned(), secret };
        if id.is_none() {
            let public = Key::of_jwk(&key.public_jwk(), key.algorithm())?;
            key.id = public.thumbprint();
        }
        if key.id.is_empty() || !key.id.bytes().all(|b| b.is_ascii_graphic()) {
            Err("the key's id is not printable ASCII".to_owned())
        } else {
            Ok(key)
        }
    }

    /// Its `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        match self.secret {
            Secret::P256(_) => Algorithm::Es256,
            Secret::P384(_) => Algorithm::Es384,
            Secret::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// The JWS signature over a message.
    ///
    /// # Errors
    /// The key can't sign.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        match &self.secret {
            Secret::P256(key) => {
                key.try_sign(message).map(|signed: p256::ecdsa::Signature| signed.to_bytes().to_vec())
            }
            Secret::P384(key) => {
                key.try_sign(message).map(|signed: p384::ecdsa::Signature| signed.to_bytes().to_vec())
            }
            Secret::Ed25519(key) => key.try_sign(message).map(|signed| signed.to_bytes().to_vec()),
        }
        .map_err(text)
    }

    /// The public half.
    pub fn public_jwk(&self) -> Map<String, Value> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (kty, crv, x, y) = match &self.secret {
            Secret::P256(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                ("EC", "P-256", point.x().map(|x| text(x)), point.y().map(|y| text(y)))
            }
            Secret::P384(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                ("EC", "P-384", point.x().map(|x| text(x)), point.y().map(|y| text(y)))
            }
            Secret::Ed25519(key) => ("OKP", "Ed25519", Some(text(key.verifying_key().as_bytes())), None),
        };
        let alg = self.algorithm().as_str();
        let jwk = json!({"kid": self.id, "kty": kty, "alg": alg, "use": "sig", "crv": crv, "x": x, "y": y});
        let members = jwk.as_object().cloned().unwrap_or_default();
        members.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    /// The whole key, private half included.
    pub fn private_jwk(&self) -> Map<String, Value> {
        let secret = match &self.secret {
            Secret::P256(key) => key.to_bytes().to_vec(),
            Secret::P384(key) => key.to_bytes().to_vec(),
            Secret::Ed25519(key) => key.to_bytes().to_vec(),
        };
        let mut jwk = self.public_jwk();
        jwk.insert("d".to_owned(), URL_SAFE_NO_PAD.encode(secret).into());
        jwk
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    // openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256, and ed25519. TEST ONLY.
    const P256: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgaLGUS7OGbfXF0u4w
x6MGtPmLD3PhjMap2+P+fXH1j6qhRANCAAQl3i0EpTqygdMfdRCJnl40o1nOXud7
6aBJ/4Wwbrih+0jyjzhga0zguDlvs9397P6YHSsf1ibD+M3xJNiEnu0/
-----END PRIVATE KEY-----
";
    const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIFzSY/n8ZNtQlA7gXhGGjptyxhZ8j7dPaxcqTC33QRd9
-----END PRIVATE KEY-----
";

    #[test]
    fn a_key_is_the_same_in_each_form() {
        for pem in [P256, ED25519] {
            let key = SigningKey::read(pem.as_bytes(), None).unwrap();
            assert_eq!(key.id().len(), 43, "a thumbprint");
            let jwk = Value::Object(key.private_jwk()).to_string();
            let again = SigningKey::read(jwk.as_bytes(), None).unwrap();
            assert_eq!(again.public_jwk(), key.public_jwk());
            assert_eq!(again.sign(b"m").unwrap(), key.sign(b"m").unwrap());
            assert_eq!(SigningKey::read(jwk.as_bytes(), Some("other")).unwrap().id(), "other");
        }
    }

    #[test]
    fn what_is_not_a_private_key_is_refused_without_repeating_it() {
        let key = SigningKey::read(P256.as_bytes(), None).unwrap();
        let public = Value::Object(key.public_jwk()).to_string();
        let other = SigningKey::from_random(Algorithm::Es256, &[7; 32]).unwrap();
        let mut mixed = key.private_jwk();
        mixed.insert("x".into(), other.public_jwk()["x"].clone());
        let rsa = include_str!("../../../tests/keys/test-only-rs256.jwk.json");
        for (text, expected) in [
            (public.as_str(), "`d` is missing"),
            (&Value::Object(mixed).to_string(), "another key"),
            (rsa, "expected a key on"),
            ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----", "PKCS#8"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "not a key"),
            ("hello", "neither"),
        ] {
            let error = SigningKey::read(text.as_bytes(), None).unwrap_err();
            assert!(error.contains(expected) && error.len() < 80, "{error}");
        }
    }
}
