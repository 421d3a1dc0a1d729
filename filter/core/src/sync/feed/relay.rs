//! Changes of a feed from one worker to the others: each keeps the last of them in shared data, under
//! the sequence that they change, and reads on from its own.

use crate::sync::relay::{self, Notice};
use crate::sync::shared::Shared;

/// Changes that are kept.
const RING: u64 = 64;
/// The longest one that is shared: shared data copies whole entries. Beyond it each worker fetches.
const MAX_SHARED: usize = 256 * 1024;

/// Shares a document that changes the sequence `notice.number`, and says so. What is too long is announced.
pub(super) fn share(shared: &Shared, notice: &Notice, text: &[u8]) {
    if is_news(shared, notice) {
        if text.len() <= MAX_SHARED {
            relay::put(shared, &slot(notice.number), notice, text);
        }
        notice.publish(shared);
    }
}

/// Says that there is more: each worker fetches it for itself.
pub(super) fn announce(shared: &Shared, notice: &Notice) {
    if is_news(shared, notice) {
        notice.publish(shared);
    }
}

fn is_news(shared: &Shared, notice: &Notice) -> bool {
    Notice::newest(shared).is_none_or(|known| known.age() < notice.age())
}

/// What changes `since`: where it leads, and its text.
pub(super) fn changes(shared: &Shared, since: u64) -> Option<(Notice, Vec<u8>)> {
    relay::get(shared, &slot(since)).filter(|(notice, _)| notice.number == since)
}

fn slot(since: u64) -> String {
    format!("changes/{}", since % RING)
}
