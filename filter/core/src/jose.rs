//! Keys and signatures (RFC 7515 to 7518), and certificates.

pub(crate) mod certificate;
pub(crate) mod checks;
pub(crate) mod jws;
pub(crate) mod keys;
pub(crate) mod signature;
