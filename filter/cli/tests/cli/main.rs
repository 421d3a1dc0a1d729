//! The command line, run as people run it.
#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects
)] // a test may panic

mod about;
mod bundle;
mod cases;
mod check;
mod common;
mod decide;
mod exceptions;
mod feed_lists;
mod init;
mod key;
mod offline;
#[cfg(feature = "server")]
mod pdp;
mod remote_keys;
mod render;
mod revocations;
mod schema;
#[cfg(feature = "server")]
mod task;
mod test;
mod token;
