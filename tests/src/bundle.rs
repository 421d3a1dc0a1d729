//! Bundle files that are signed now.

use everycall::bundle_file::{test_bundle_file, Issue};
use everycall::clock;
use everycall::mint::TestKey;
use everycall_core::UnixTime;
use serde_json::Value;

/// The file of a bundle with these parts, from now on for so many seconds.
///
/// # Errors
/// The parts are no bundle.
pub fn signed(parts: &Value, sequence: u64, key: &TestKey, lifetime_s: i64) -> anyhow::Result<Vec<u8>> {
    let issued_at = UnixTime::from_secs(clock::now().secs());
    let expires_at = UnixTime::from_secs(issued_at.secs() + lifetime_s);
    let issue = Issue { revision: None, sequence, issued_at, expires_at };
    test_bundle_file(parts, &issue, key).map_err(anyhow::Error::msg)
}
