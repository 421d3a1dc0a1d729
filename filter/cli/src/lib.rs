//! What the command line, the tests and the reference server share.
//!
//! [`cases`] and [`mint`] need neither a clock nor a file system, so that the same case files drive
//! the core natively, in the filter and on wasm32. The features `cli` and `server` add the rest.
#![forbid(unsafe_code)]

mod at;
pub mod bundle_file;
mod bytes;
pub mod cases;
#[cfg(feature = "cli")]
pub mod clock;
#[cfg(feature = "cli")]
pub mod commands;
#[cfg(feature = "server")]
pub mod devserver;
pub mod feed_file;
#[cfg(feature = "cli")]
pub mod lint;
#[cfg(feature = "cli")]
pub mod load;
pub mod mint;
pub mod publisher;
#[cfg(feature = "cli")]
mod rego;
#[cfg(feature = "cli")]
pub mod sign;
#[cfg(feature = "cli")]
pub mod suite;
mod wire;

pub use at::At;
pub use bytes::Bytes;
pub use wire::WireRequest;
