//! Every decision of Everycall: no proxy, no clock, no I/O, no globals.
//!
//! Start at [`engine`]: it holds the whole flow of a request on one screen. The caller (the
//! proxy-wasm adapter, the command line, a test) hands in a [`Request`] and the time, makes the
//! calls that a [`Step::Ask`] names, and lets a request through only with a [`Permit`].
#![forbid(unsafe_code)]

mod ascii;
mod attributes;
mod bounded;
mod bundle;
mod certificate;
mod checks;
pub mod config;
mod decision;
mod elevations;
mod engine;
mod exceptions;
mod feed;
mod fetch;
mod floor;
mod grants;
pub mod hex;
mod identity;
mod input;
pub mod json;
mod keyring;
mod keys;
mod lease;
mod network;
mod obligations;
mod observe;
mod pdp;
mod peer;
mod policy;
mod reads;
mod reason;
mod record;
mod replay;
mod request;
mod revocations;
#[cfg(feature = "schema")]
pub mod schema;
mod settings;
mod shared;
mod signals;
mod signature;
mod signed;
mod spiffe;
mod step;
mod streams;
mod target;
mod time;
pub mod token;
mod unicode;
mod xfcc;

pub use attributes::{Attribute, Encoding, ATTRIBUTES, CONNECTION_SOURCE, PROOF_ATTRIBUTES, SOURCE_STATE};
pub use bundle::{
    bundle_claims, bundle_content, Bundle, BundleHead, BundleState, BundleStats, BUNDLE_TYPE, MAX_BUNDLE_LINE,
};
pub use config::{ConfigError, ConfigErrors, LogRecords, PdpProtocol};
pub use decision::{Challenge, Decision, Denial, Permit, Refusal};
pub use engine::{not_decided_again, Engine, IdSeed, PdpStats, Stats};
pub use exceptions::{api_key_hash, is_api_key_id, Exception, API_KEY_PREFIX};
pub use feed::{
    feed_claims, feed_content, read_feed, FeedHead, FeedIssue, FeedKind, FeedState, FeedStats, FEED_TYPE,
    MAX_FEED_LINE, MAX_FEED_PAGE,
};
pub use fetch::FetchStats;
pub use identity::{Binding, Identity, Kind};
pub use keyring::{KeyState, KeyStats};
pub use keys::{Algorithm, Fetched, Jwks, Key, KeyError, KeyRules, KeySet, Usage, TEST_KEY_PREFIX};
pub use obligations::{HeaderChanges, FORBIDDEN_HEADERS, FORBIDDEN_PREFIXES, OBLIGATIONS, RESPONSE_STATUSES};
pub use observe::MAX_OBSERVE_DAYS;
pub use pdp::MAX_ANSWER;
pub use policy::{offered_builtins, Claims, RuleSet, RuleTrace, Trace};
pub use reason::{Layer, Reason};
pub use record::{
    BundleRecord, DecisionRecord, ElevationRecord, FeedRecord, GrantRecord, PdpExchange, PolicyRecord,
    Record, RequestRecord, ShadowOutcome, ShadowReads, ShadowRecord, SignalsRecord, StreamIdentity,
    StreamRecord, Verdict, WouldRefuse,
};
pub use request::{
    Connection, Headers, Request, BREAK_GLASS_HEADER, IDENTITY_HEADERS, OWN_HEADER_PREFIX, REMOVED_HEADERS,
};
pub use revocations::{Revocation, RevocationKind};
pub use settings::{Configuring, FeedRules, Settings};
pub use shared::{LocalData, SharedData};
pub use signals::{About, Signal};
pub use signature::{ecdsa_der, PureRust, SignatureVerifier, Unavailable};
pub use signed::{FileError, FileFault};
pub use step::{Call, Effect, Failure, FetchId, Pending, Reply, Step, StreamId};
pub use streams::{Admission, Farewell, StreamEnd, StreamStats};
pub use target::Target;
pub use time::UnixTime;
