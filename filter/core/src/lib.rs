//! Every decision of Everycall: no proxy, no clock, no I/O, no globals.
//!
//! Start at [`engine`]: it holds the whole flow of a request on one screen. The caller (the
//! proxy-wasm adapter, the command line, a test) hands in a [`Request`] and the time, makes the
//! calls that a [`Step::Ask`] names, and lets a request through only with a [`Permit`].
#![forbid(unsafe_code)]

mod attributes;
mod bounded;
pub mod config;
mod decision;
mod engine;
mod grants;
mod identity;
mod input;
pub mod json;
mod keys;
mod pdp;
mod policy;
mod reads;
mod reason;
mod record;
mod request;
mod settings;
mod signature;
mod step;
mod target;
mod time;
pub mod token;

pub use attributes::{Attribute, Encoding, ATTRIBUTES};
pub use decision::{Challenge, Decision, Denial, Permit, Refusal};
pub use engine::{Engine, IdSeed, Stats};
pub use identity::{Identity, Kind};
pub use keys::{Algorithm, Key, KeySet, TEST_KEY_PREFIX};
pub use policy::{offered_builtins, RuleSet};
pub use reason::{Layer, Reason};
pub use record::{DecisionRecord, GrantRecord, PdpExchange, PolicyRecord, RequestRecord, Verdict};
pub use request::{Connection, Headers, Request, OWN_HEADER_PREFIX, REMOVED_HEADERS};
pub use settings::{ConfigError, ConfigErrors, LogRecords, Settings};
pub use signature::{ecdsa_der, PureRust, SignatureVerifier, Unavailable};
pub use step::{Budget, Call, Effect, Failure, FetchId, Pending, Reply, Step, StreamId};
pub use target::Target;
pub use time::UnixTime;
