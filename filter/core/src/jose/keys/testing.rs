//! The stored test keys, private members included.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde_json::Value;

pub(crate) const RSA: &str = include_str!("../../../../../tests/keys/test-only-rs256.jwk.json");
pub(crate) const EC: &str = include_str!("../../../../../tests/keys/test-only-es256.jwk.json");
pub(crate) const P384: &str = include_str!("../../../../../tests/keys/test-only-es384.jwk.json");
pub(crate) const OKP: &str = include_str!("../../../../../tests/keys/test-only-eddsa.jwk.json");

/// The bytes that a member is the base64url of.
pub(crate) fn bytes(member: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(member.as_str().unwrap()).unwrap()
}
