//! Tokens: where they are found, how they are verified, what they are bound to, and the cache of
//! verified ones.

pub(crate) mod cache;
mod claims;
pub(crate) mod dpop;
mod issuer;
mod profile;
pub(crate) mod source;
mod verify;

pub(crate) use claims::{valid_at, Confirmation};
pub use issuer::Issuer;
pub(crate) use issuer::KeySource;
#[cfg(test)]
pub(crate) use profile::lookup;
pub(crate) use profile::Template;
pub use profile::{Preset, PRESETS};
pub use verify::verify_signature;
pub(crate) use verify::{check, Failure, Proven};
