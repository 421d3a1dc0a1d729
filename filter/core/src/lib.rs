//! Every decision of Everycall: no proxy, no clock, no I/O, no globals.
//!
//! Start at [`engine`]: it holds the whole flow of a request on one screen. The caller (the
//! proxy-wasm adapter, the command line, a test) hands in a [`Request`] and the time, makes the
//! calls that a [`Step::Ask`] names, and lets a request through only with a [`Permit`].
#![forbid(unsafe_code)]

mod authority;
mod base;
mod bundle;
pub mod config;
mod credential;
mod engine;
mod facts;
mod http;
mod identity;
mod input;
mod jose;
mod obligations;
mod pdp;
mod policy;
mod record;
#[cfg(feature = "schema")]
pub mod schema;
mod settings;
mod sync;

pub use authority::exceptions::{api_key_hash, is_api_key_id, Exception, API_KEY_PREFIX};
pub use base::reason::{Denied, Layer, Reason};
pub use base::time::UnixTime;
pub use base::{hex, json, protobuf};
pub use bundle::{Bundle, BundleHead, BundleName, BundleState, BundleStats, MAX_BUNDLE_LINE};
pub use config::{ConfigError, ConfigErrors, LogRecords, PdpProtocol};
pub use credential::token;
pub use engine::decision::{Challenge, Decision, Denial, Permit, Refusal};
pub use engine::step::{Effect, Pending, Step};
pub use engine::streams::{Admission, StreamClose, StreamStats};
pub use engine::{not_decided_again, Engine, IdSeed, OpenStream, PdpStats, Stats, Work};
pub use facts::content::FeedKind;
pub use facts::revocations::{Revocation, RevocationKind};
pub use facts::signals::{About, Signal};
pub use http::attributes::{
    Attribute, Encoding, ATTRIBUTES, CONNECTION_SOURCE, PROOF_ATTRIBUTES, SOURCE_STATE,
};
pub use http::call::{Call, Failure, FetchId, Reply};
pub use http::request::StreamId;
pub use http::request::{Connection, Headers, Request, IDENTITY_HEADERS, OWN_HEADER_PREFIX, REMOVED_HEADERS};
pub use http::target::Target;
pub use identity::{Binding, Claims, Identity, Kind};
#[cfg(feature = "schema")]
pub use input::{input_rows, InputRow};
pub use jose::keys::{Algorithm, Fetched, Jwks, Key, KeyError, KeyRules, KeySet, Usage, TEST_KEY_PREFIX};
pub use jose::signature::{ecdsa_der, PureRust, SignatureVerifier, Unavailable};
pub use obligations::{HeaderChanges, FORBIDDEN_HEADERS, FORBIDDEN_PREFIXES, OBLIGATIONS, RESPONSE_STATUSES};
pub use pdp::MAX_ANSWER;
pub use policy::{offered_builtins, RuleSet, RuleTrace, Trace};
pub use record::{
    BundleRecord, DecisionRecord, ElevationRecord, FeedRecord, GrantRecord, PdpExchange, PolicyRecord,
    Record, RequestRecord, ShadowOutcome, ShadowReads, ShadowRecord, SignalsRecord, StreamEnd,
    StreamIdentity, StreamRecord, Verdict, WouldRefuse,
};
pub use settings::{Configuring, FeedRules, Settings};
pub use sync::feed::{read_feed, FeedHead, FeedPart, FeedState, FeedStats, MAX_FEED_LINE, MAX_FEED_PAGE};
pub use sync::follower::FetchStats;
pub use sync::keyring::{KeyState, KeyStats};
pub use sync::shared::{LocalData, SharedData};
pub use sync::signed::{FileError, FileFault, FileKind, Head};
