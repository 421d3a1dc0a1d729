//! Signatures by the host's `verify_signature` (BoringSSL in Envoy), pure Rust where the host has
//! none or does not know the algorithm.

use std::cell::Cell;

use everycall_core::{ecdsa_der, Algorithm, Key, PureRust, SignatureVerifier, Unavailable};

use crate::host::{self, Error};

#[derive(Debug, Default)]
pub(crate) struct HostVerifier {
    /// The host said that it has no such function.
    absent: Cell<bool>,
}

impl SignatureVerifier for HostVerifier {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        if self.absent.get() {
            return PureRust.verify(key, message, signature);
        }
        let argument = match key.algorithm() {
            Algorithm::Rs256 => argument(key.spki(), signature, message),
            Algorithm::Es256 => match ecdsa_der(signature) {
                Some(der) => argument(key.spki(), &der, message),
                None => return Ok(false),
            },
            Algorithm::EdDsa => return PureRust.verify(key, message, signature),
        };
        match host::foreign_function("verify_signature", &argument) {
            Ok(result) => Ok(is_true(&result)),
            Err(Error::NotFound) => {
                self.absent.set(true);
                PureRust.verify(key, message, signature)
            }
            Err(Error::Failed) => Err(Unavailable),
        }
    }
}

/// Envoy's `VerifySignatureArguments` as protobuf: hash_function=1, public_key=2 (SPKI in DER),
/// signature=3 (RSA: PKCS#1 v1.5; ECDSA: ASN.1 DER), text=4.
fn argument(spki: &[u8], signature: &[u8], text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len().saturating_add(1024));
    for (tag, field) in [(0x0a, b"sha256".as_slice()), (0x12, spki), (0x1a, signature), (0x22, text)] {
        bytes.push(tag);
        let mut length = field.len();
        while length >= 0x80 {
            bytes.push(0x80 | u8::try_from(length & 0x7f).unwrap_or_default());
            length >>= 7;
        }
        bytes.push(u8::try_from(length).unwrap_or_default());
        bytes.extend_from_slice(field);
    }
    bytes
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
        let bytes = argument(&[1], &[2; 256], &[3; 128]);
        assert_eq!(&bytes[..11], b"\x0a\x06sha256\x12\x01\x01");
        assert_eq!(&bytes[11..14], &[0x1a, 0x80, 0x02]);
        assert_eq!(&bytes[14 + 256..][..3], &[0x22, 0x80, 0x01]);
    }
}
