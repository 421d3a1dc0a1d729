//! Bearer tokens: where they are found, how they are verified, and the cache of verified ones.

pub(crate) mod cache;
pub(crate) mod source;
mod verify;

pub(crate) use verify::valid_at;
pub use verify::{verify, Rejection, Unverified};
