//! Signature verification, the one thing that the core is handed: Envoy's BoringSSL in the module,
//! pure Rust elsewhere. Both must give the same answers on the same vectors.

use jwt_compact::alg::{Es256, Rsa, RsaSignature};
use jwt_compact::{Algorithm as _, AlgorithmSignature as _};
use p384::ecdsa::signature::Verifier as _;
use rsa::traits::PublicKeyParts as _;

use crate::jose::keys::{Algorithm, Key, PublicKey};

/// The verifier could not say yes or no. Never the same as "bad signature".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// Checks one JWS signature (RFC 7518 section 3). A pure function of its arguments.
pub trait SignatureVerifier {
    /// Whether `signature`, in JWS form, is the key's signature over `message`. The algorithm is
    /// the key's.
    ///
    /// # Errors
    /// [`Unavailable`] if the implementation failed, whatever the signature.
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable>;

    /// About how many microseconds of the processor one check takes, where others wait for it:
    /// `limits.signature_ms` counts them.
    fn cost_us(&self, _: &Key) -> u64 {
        0
    }
}

/// Verification in pure Rust: the rsa, p256, p384 and ed25519-dalek crates.
#[derive(Debug, Clone, Copy, Default)]
pub struct PureRust;

impl SignatureVerifier for PureRust {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        Ok(match key.public() {
            PublicKey::Rsa(public) => {
                let scheme = rsa(key.algorithm()).ok_or(Unavailable)?;
                // RFC 8017 section 5.2.2 step 1: rsa's PSS takes s + n for s.
                is_below(signature, public)
                    && RsaSignature::try_from_slice(signature)
                        .is_ok_and(|signature| scheme.verify_signature(&signature, public, message))
            }
            PublicKey::P256(public) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| Es256.verify_signature(&signature, public, message)),
            PublicKey::P384(public) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| public.verify(message, &signature).is_ok()),
            // Strict: refuses small-order keys and non-canonical points (RFC 8032 section 8.9).
            PublicKey::Ed25519(public) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| public.verify_strict(message, &signature).is_ok()),
        })
    }
}

/// The scheme of an RSA algorithm. The salt of PSS is as long as the hash (RFC 7518 section 3.5).
const fn rsa(algorithm: Algorithm) -> Option<Rsa> {
    Some(match algorithm {
        Algorithm::Rs256 => Rsa::rs256(),
        Algorithm::Rs384 => Rsa::rs384(),
        Algorithm::Rs512 => Rsa::rs512(),
        Algorithm::Ps256 => Rsa::ps256(),
        Algorithm::Ps384 => Rsa::ps384(),
        Algorithm::Ps512 => Rsa::ps512(),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

/// Whether it is as long as the modulus and a smaller number.
fn is_below(signature: &[u8], public: &rsa::RsaPublicKey) -> bool {
    signature.len() == public.size() && rsa::BigUint::from_bytes_be(signature) < *public.n()
}

/// The ASN.1 DER form of a JWS ECDSA signature, for hosts that want it: of 64 bytes for ES256, of 96
/// for ES384. `None` if it is not that long, if its numbers are not in the group's range, and for
/// other algorithms.
pub fn ecdsa_der(algorithm: Algorithm, signature: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::Es256 => {
            let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
            Some(signature.to_der().as_bytes().to_vec())
        }
        Algorithm::Es384 => {
            let signature = p384::ecdsa::Signature::from_slice(signature).ok()?;
            Some(signature.to_der().as_bytes().to_vec())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
