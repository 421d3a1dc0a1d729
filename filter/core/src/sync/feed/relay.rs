//! Changes of a feed from one worker to the others: each keeps the last of them in shared data, under
//! the sequence that they change, and reads on from its own.

use crate::sync::relay::{self, Notice};
use crate::sync::shared::Shared;

/// Changes that are kept.
const RING: u64 = 64;
/// The longest one that is shared: shared data copies whole entries. Beyond it each worker fetches.
const MAX_SHARED: usize = 256 * 1024;

/// Shares a document that changes the sequence `notice.number`, if that is news, and says so. What is too long is
/// announced only: each worker fetches it for itself.
pub(super) fn share(shared: &Shared, notice: &Notice, text: &[u8]) {
    let is_news = Notice::newest(shared).is_none_or(|known| known.age() < notice.age());
    if is_news && text.len() <= MAX_SHARED {
        relay::put(shared, &slot(notice.number), notice, text);
    }
    notice.raise(shared);
}

/// What changes `since`: where it leads, and its text.
pub(super) fn changes(shared: &Shared, since: u64) -> Option<(Notice, Vec<u8>)> {
    relay::get(shared, &slot(since)).filter(|(notice, _)| notice.number == since)
}

fn slot(since: u64) -> String {
    format!("changes/{}", since % RING)
}
