//! What the tests and the demo share: a real Envoy, a client that sends the bytes it is given, and
//! a server that shows the bytes it got.

pub mod bundle;
#[cfg(feature = "grpc")]
pub mod calls;
pub mod cases;
pub mod client;
pub mod connection;
pub mod devserver;
pub mod discovery;
pub mod envoy;
pub mod fault;
pub mod feeds;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod h2;
pub mod hostile;
pub mod json_schema;
pub mod server;
pub mod worker;

/// How each record begins in a log: its version.
pub const RECORD_BEGINS: &str = "{\"v\":2,";
