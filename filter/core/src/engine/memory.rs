//! What clients can make a worker hold.

use crate::credential::token::{Issuer, KeySource};
use crate::engine::streams::MAX_HELD;
use crate::engine::WAITING_BYTES;
use crate::settings::Settings;

/// Envoy's bound for the headers of a request, which is its default.
const HEADERS: usize = 60 * 1024;
/// A request that waits for a decision point is held as it came, as its policy sees it, and as the question.
const FORMS: usize = 3;

impl Settings {
    /// The most bytes of a worker that clients can fill, by what with, besides a KiB for each open stream and what the
    /// proxy itself holds of a request.
    pub fn memory_bounds(&self) -> Vec<(&'static str, usize)> {
        let waiting = |issuer: &Issuer| match &issuer.keys {
            KeySource::Remote(remote) => *remote.max_waiting,
            KeySource::Inline(_) => 0,
        };
        let for_keys = self.issuers.iter().map(waiting).fold(0, usize::saturating_add);
        let for_points = self.limits.max_pending.saturating_mul(FORMS);
        vec![
            ("verified tokens", *self.limits.tokens_cached_bytes),
            ("records that wait for a tick", WAITING_BYTES),
            ("requests that wait for a decision point", for_points.saturating_mul(HEADERS)),
            ("requests that wait for keys", for_keys.saturating_mul(HEADERS)),
            ("requests of open streams, in order to decide them again", MAX_HELD),
        ]
    }
}
