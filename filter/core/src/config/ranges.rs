//! What numbers may be, from and to: the resolver refuses others, and the schema says so.

/// The least and the greatest value.
pub type Range = (i64, i64);

// A host reads 0 as "wait for ever".
pub(crate) const TIMEOUT_MS: Range = (1, 60_000);

pub(crate) const MAX_LIFETIME_S: Range = (1, 86_400);
pub(crate) const LEEWAY_S: Range = (0, 60);
pub(crate) const PROOF_AGE_S: Range = (1, 300);
pub(crate) const TRUSTED_HOPS: Range = (0, 32);
pub(crate) const PROOF_RSA_BITS: Range = (2_048, 8_192);

pub(crate) const KEYS_INTERVAL_S: Range = (1, 3_600);
/// At least `interval_s`.
pub(crate) const REFRESH_S: Range = (1, 86_400);
/// At least `refresh_s`.
pub(crate) const KEYS_MAX_STALE_S: Range = (1, 604_800);
pub(crate) const KEYS_WAIT_MS: Range = (0, 60_000);
pub(crate) const MAX_WAITING: Range = (0, 10_000);

pub(crate) const BUNDLE_INTERVAL_S: Range = (1, 86_400);
// Envoy takes no more than 32 MiB.
pub(crate) const BUNDLE_BYTES: Range = (1_024, 33_554_432);
pub(crate) const BUNDLE_MAX_STALE_S: Range = (1, 31_536_000);

pub(crate) const FEED_INTERVAL_MS: Range = (100, 60_000);
pub(crate) const FEED_ENTRIES: Range = (1, 10_000_000);
pub(crate) const FEED_MAX_AGE_S: Range = (1, 86_400);

pub(crate) const SWEEP_MS: Range = (100, 10_000);
pub(crate) const REDECIDE_S: Range = (1, 3_600);
pub(crate) const STREAM_MAX_S: Range = (1, 604_800);
pub(crate) const VALUE_BYTES: Range = (64, 65_536);
pub(crate) const STREAMS_AFTER_S: Range = (0, 86_400);

pub(crate) const MAX_IN_FLIGHT: Range = (1, 100_000);
pub(crate) const CONNECT_RETRIES: Range = (0, 3);
pub(crate) const BREAKER_FAILURES: Range = (1, 1_000);
pub(crate) const BREAKER_OPEN_MS: Range = (10, 600_000);

pub(crate) const INSTRUCTIONS: Range = (100, 10_000_000);
pub(crate) const BUILTIN_WORK: Range = (10_000, 1_000_000_000);
pub(crate) const INPUT_BYTES: Range = (1_024, 1_048_576);
pub(crate) const PDP_QUESTIONS: Range = (0, 64);
pub(crate) const PDP_ROUNDS: Range = (0, 16);
pub(crate) const MAX_PENDING: Range = (0, 100_000);
pub(crate) const TOKENS_CACHED: Range = (0, 1_000_000);
pub(crate) const TOKENS_CACHED_BYTES: Range = (0, 1_073_741_824);
pub(crate) const SIGNATURE_MS: Range = (1, 1_000);
pub(crate) const TOKEN_BYTES: Range = (256, 65_536);
pub(crate) const EXCEPTION_DAYS: Range = (1, 3_650);
/// `limits.elevation_hours`.
pub const ELEVATION_HOURS: Range = (1, 168);
/// `limits.break_glass_minutes`.
pub const BREAK_GLASS_MINUTES: Range = (1, 1_440);
