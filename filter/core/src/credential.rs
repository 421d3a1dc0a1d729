//! Who calls: tokens, proofs and client certificates.

pub(crate) mod peer;
pub(crate) mod replay;
pub mod token;
