//! Tokens: where they are found, how they are verified, what they are bound to, and the cache of
//! verified ones.

pub(crate) mod cache;
mod claims;
pub(crate) mod dpop;
mod jws;
mod profile;
pub(crate) mod source;
mod texts;
mod verify;

use crate::reason::Reason;

pub(crate) use claims::{valid_at, Confirmation};
pub(crate) use jws::Unverified;
#[cfg(test)]
pub(crate) use profile::lookup;
pub(crate) use profile::Template;
pub use profile::{Preset, PRESETS};
pub(crate) use texts::Texts;
pub(crate) use verify::{check, Failure, Proven};
pub use verify::{verify, verify_signature};

/// Why a token is refused: the reason, and the fact behind it for the record. The text holds claim
/// values at most, never a part of the token.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// From the fixed list.
    pub reason: Reason,
    /// What was found and what was expected.
    pub detail: String,
}

fn reject<T, E: From<Rejection>>(reason: Reason, detail: impl Into<String>) -> Result<T, E> {
    Err(Rejection { reason, detail: detail.into() }.into())
}

fn list<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(" or ")
}
