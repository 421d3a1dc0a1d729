//! The one place that reads a clock. Everything else is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

use everycall_core::UnixTime;

/// The system's wall clock.
#[allow(clippy::disallowed_methods)] // the command line has a clock, and nothing below it reads one
pub fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
