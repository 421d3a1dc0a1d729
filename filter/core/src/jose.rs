//! Keys and signatures (RFC 7515 to 7518), and certificates.

pub(crate) mod certificate;
pub(crate) mod checks;
pub(crate) mod jws;
pub(crate) mod keys;
pub(crate) mod signature;

pub use keys::{Fetched, Jwks, Key, KeyError, KeyRules, Usage, TEST_KEY_PREFIX};
pub use signature::{ecdsa_der, SignatureVerifier, Unavailable};
