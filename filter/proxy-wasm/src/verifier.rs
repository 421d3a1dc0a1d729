//! Signatures by the host's `verify_signature` (BoringSSL in Envoy), pure Rust where the host has
//! none or does not know the algorithm.

use std::cell::Cell;
use std::rc::Rc;

use everycall_core::jose::{ecdsa_der, Key, SignatureVerifier, Unavailable};
use everycall_core::protobuf::Message;
use everycall_core::{Algorithm, PureRust};

use crate::host::{self, Error};

/// How many signatures were checked in which way.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    pub(crate) host: Cell<i64>,
    pub(crate) rust: Cell<i64>,
}

#[derive(Debug)]
pub(crate) struct HostVerifier {
    /// The host said that it has no such function.
    absent: Cell<bool>,
    signatures: Rc<Signatures>,
}

impl HostVerifier {
    pub(crate) fn new(signatures: Rc<Signatures>) -> Self {
        Self { absent: Cell::new(false), signatures }
    }

    fn in_rust(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        count(&self.signatures.rust);
        PureRust.verify(key, message, signature)
    }
}

fn count(counter: &Cell<i64>) {
    counter.set(counter.get().saturating_add(1));
}

impl SignatureVerifier for HostVerifier {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        if self.absent.get() {
            return self.in_rust(key, message, signature);
        }
        let Some(hash) = hash_function(key.algorithm()) else {
            return self.in_rust(key, message, signature);
        };
        let argument = match key.algorithm() {
            Algorithm::Es256 | Algorithm::Es384 => match ecdsa_der(key.algorithm(), signature) {
                Some(der) => argument(hash, key.spki(), &der, message),
                None => return Ok(false),
            },
            _ => argument(hash, key.spki(), signature, message),
        };
        match host::foreign_function("verify_signature", &argument) {
            Ok(result) => {
                count(&self.signatures.host);
                Ok(is_true(&result))
            }
            Err(Error::NotFound) => {
                self.absent.set(true);
                self.in_rust(key, message, signature)
            }
            Err(Error::Changed | Error::Failed) => Err(Unavailable),
        }
    }

    /// Measured in Envoy (`make holds`), and rounded up; ECDSA where the host can't is an estimate. RSA's goes by the
    /// square of the modulus.
    fn cost_us(&self, key: &Key) -> u64 {
        let in_host = !self.absent.get() && hash_function(key.algorithm()).is_some();
        let bits = key.rsa_bits().and_then(|bits| u64::try_from(bits).ok());
        match (key.algorithm(), bits.map(|bits| bits.saturating_mul(bits))) {
            (_, Some(square)) if in_host => square / 80_000,
            (_, Some(square)) => square / 5_000,
            (Algorithm::Es384, _) if in_host => 600,
            (Algorithm::Es384, _) => 7_500,
            (Algorithm::EdDsa, _) => 200,
            _ if in_host => 60,
            _ => 2_500,
        }
    }
}

/// The host's name for the algorithm's hash. None if the host can't verify the algorithm: it takes
/// PKCS#1 v1.5 for granted, and it has no Ed25519.
const fn hash_function(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 => Some("sha256"),
        Algorithm::Rs384 | Algorithm::Es384 => Some("sha384"),
        Algorithm::Rs512 => Some("sha512"),
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::EdDsa => None,
    }
}

/// Envoy's `VerifySignatureArguments` as protobuf: hash_function=1, public_key=2 (SPKI in DER),
/// signature=3 (RSA: PKCS#1 v1.5; ECDSA: ASN.1 DER), text=4.
fn argument(hash: &str, spki: &[u8], signature: &[u8], text: &[u8]) -> Vec<u8> {
    let mut message = Message::with_capacity(text.len().saturating_add(1024));
    for (number, field) in [(1, hash.as_bytes()), (2, spki), (3, signature), (4, text)] {
        message.bytes(number, field);
    }
    message.into_bytes()
}

/// Envoy's `VerifySignatureResult` says yes: result=1 is true, and there is no error=2. The status
/// of the call says nothing: a bad signature is a good call.
fn is_true(result: &[u8]) -> bool {
    result == [0x08, 0x01]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        assert!(is_true(&[0x08, 0x01]));
        for result in [&[][..], &[0x08], &[0x08, 0x00], &[0x08, 0x01, 0x12, 0x01, b'x'], &[0x12, 0x01, 0x01]]
        {
            assert!(!is_true(result), "{result:?}");
        }
    }

    #[test]
    fn lengths_are_varints() {
        let bytes = argument("sha256", &[1], &[2; 256], &[3; 128]);
        assert_eq!(&bytes[..11], b"\x0a\x06sha256\x12\x01\x01");
        assert_eq!(&bytes[11..14], &[0x1a, 0x80, 0x02]);
        assert_eq!(&bytes[14 + 256..][..3], &[0x22, 0x80, 0x01]);
    }

    #[test]
    fn the_host_gets_what_it_can_verify_with_the_hash_of_the_name() {
        for algorithm in Algorithm::ALL {
            let name = algorithm.as_str();
            let host = name.strip_prefix("RS").or_else(|| name.strip_prefix("ES"));
            let expected = host.map(|bits| format!("sha{bits}"));
            assert_eq!(hash_function(algorithm).map(str::to_owned), expected, "{name}");
        }
    }
}
