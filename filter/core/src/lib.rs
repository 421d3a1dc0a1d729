//! Every decision of Everycall: no proxy, no clock, no I/O, no globals.
//!
//! Start at [`engine`]: it holds the whole flow of a request on one screen. The caller (the
//! proxy-wasm adapter, the command line, a test) hands in a [`Request`] and the time, makes the
//! calls that a [`Step::Ask`] names, and lets a request through only with a [`Permit`].
#![forbid(unsafe_code)]

pub mod authority;
mod base;
pub mod bundle;
pub mod config;
mod credential;
pub mod engine;
pub mod facts;
pub mod http;
pub mod identity;
pub mod input;
pub mod jose;
pub mod obligations;
pub mod pdp;
pub mod policy;
pub mod record;
#[cfg(feature = "schema")]
pub mod schema;
pub mod settings;
pub mod sync;

pub use base::reason::{Denied, Layer, Reason};
pub use base::time::UnixTime;
pub use base::{hex, json, protobuf};
pub use bundle::Bundle;
pub use config::{ConfigError, ConfigErrors};
pub use credential::token;
pub use engine::decision::{Decision, Denial, Permit};
pub use engine::step::{Effect, Pending, Step};
pub use engine::{Engine, IdSeed, Work};
pub use http::call::{Call, FetchId, Reply};
pub use http::request::{Connection, Headers, Request, StreamId};
pub use identity::{Identity, Kind};
pub use jose::keys::{Algorithm, KeySet};
pub use jose::signature::PureRust;
pub use record::{DecisionRecord, Record, Verdict};
pub use settings::{Configuring, Settings};
pub use sync::signed::FileError;
