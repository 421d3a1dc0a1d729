//! Signature verification, the one thing that the core is handed: Envoy's BoringSSL in the module,
//! pure Rust elsewhere. Both must give the same answers on the same vectors.

use jwt_compact::alg::{Es256, Rsa, RsaSignature};
use jwt_compact::{Algorithm as _, AlgorithmSignature as _};

use crate::keys::{Key, PublicKey};

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
}

/// Verification in pure Rust: the rsa, p256 and ed25519-dalek crates.
#[derive(Debug, Clone, Copy, Default)]
pub struct PureRust;

impl SignatureVerifier for PureRust {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        Ok(match key.public() {
            PublicKey::Rs256(public) => RsaSignature::try_from_slice(signature)
                .is_ok_and(|signature| Rsa::rs256().verify_signature(&signature, public, message)),
            PublicKey::Es256(public) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| Es256.verify_signature(&signature, public, message)),
            // Strict: refuses small-order keys and non-canonical points (RFC 8032 section 8.9).
            PublicKey::EdDsa(public) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| public.verify_strict(message, &signature).is_ok()),
        })
    }
}

/// The ASN.1 DER form of a 64-byte JWS ECDSA signature, for hosts that want it.
/// `None` if it is not 64 bytes with both numbers in the group's range.
pub fn ecdsa_der(signature: &[u8]) -> Option<Vec<u8>> {
    let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
    Some(signature.to_der().as_bytes().to_vec())
}
