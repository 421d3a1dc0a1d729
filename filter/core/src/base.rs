//! What everything else is written with: text, time, JSON, names, and the reasons of decisions.

pub(crate) mod ascii;
pub(crate) mod bounded;
pub(crate) mod freshness;
pub mod hex;
pub mod json;
#[cfg(feature = "schema")]
pub(crate) mod patterns;
pub mod protobuf;
pub(crate) mod ranged;
pub(crate) mod reads;
pub(crate) mod reason;
#[cfg(feature = "schema")]
pub(crate) mod relations;
pub(crate) mod spiffe;
pub(crate) mod texts;
pub(crate) mod time;
pub(crate) mod unicode;
pub(crate) mod words;
