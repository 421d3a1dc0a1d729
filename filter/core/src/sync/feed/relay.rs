//! Changes of a feed from one worker to the others: each keeps the last of them in shared data, under
//! the sequence that they change, and reads on from its own.

use sha2::{Digest as _, Sha256};

use crate::base::time::UnixTime;
use crate::config::RemoteFeed;
use crate::facts::content::FeedKind;
use crate::sync::shared::{read_time, Entry, Shared};

/// Changes that are kept.
const RING: u64 = 64;
/// The longest one that is shared: shared data copies whole entries. Beyond it each worker fetches.
const MAX_SHARED: usize = 256 * 1024;
const NOTICE: &str = "notice";

/// The shared entries of one feed; `digest` is of the configuration's other parts.
pub(super) fn entries(shared: &Shared, digest: &[u8; 32], feed: FeedKind, remote: &RemoteFeed) -> Shared {
    let mut hash = Sha256::new_with_prefix("everycall feed");
    hash.update(digest);
    for part in [feed.as_str(), &remote.cluster, &remote.host, &remote.path] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    shared.of(&hash.finalize().into())
}

/// What was shared last; written after it. Small, because each worker looks at it at each tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) sequence: u64,
    pub(super) issued_at: UnixTime,
    /// What it changes.
    pub(super) since: u64,
}

impl Notice {
    pub(super) fn read(shared: &Shared) -> Option<Self> {
        let Ok(entry) = shared.read(NOTICE) else { return None };
        Self::decode(&entry)
    }

    fn decode(entry: &Entry) -> Option<Self> {
        let Entry::Ours { payload, .. } = entry else { return None };
        let (notice, rest) = Self::split(payload)?;
        rest.is_empty().then_some(notice)
    }

    fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (sequence, rest) = payload.split_first_chunk::<8>()?;
        let (issued_at, rest) = read_time(rest)?;
        let (since, rest) = rest.split_first_chunk::<8>()?;
        let [sequence, since] = [sequence, since].map(|bytes| u64::from_le_bytes(*bytes));
        Some((Self { sequence, issued_at, since }, rest))
    }

    fn encode(&self) -> Vec<u8> {
        let Self { sequence, issued_at, since } = self;
        [sequence.to_le_bytes(), issued_at.micros().to_le_bytes(), since.to_le_bytes()].concat()
    }

    fn age(&self) -> (u64, UnixTime) {
        (self.sequence, self.issued_at)
    }

    /// Whether it tells of more than this.
    pub(super) fn is_newer(&self, sequence: u64, issued_at: UnixTime) -> bool {
        self.age() > (sequence, issued_at)
    }

    /// Shares a document, and says so. What is too long for that is announced.
    pub(super) fn share(&self, shared: &Shared, etag: Option<&str>, text: &[u8]) {
        let Some(entry) = self.is_news(shared) else { return };
        let etag = etag.unwrap_or_default();
        let mut payload = self.encode();
        payload.extend(u64::try_from(etag.len()).unwrap_or_default().to_le_bytes());
        payload.extend(etag.as_bytes());
        payload.extend(text);
        let name = slot(self.since);
        if text.len() <= MAX_SHARED {
            let _ = shared.read(&name).and_then(|read| shared.write(&name, &payload, &read));
        }
        self.write(shared, &entry);
    }

    /// Says that there is more: each worker fetches it for itself.
    pub(super) fn announce(&self, shared: &Shared) {
        if let Some(entry) = self.is_news(shared) {
            self.write(shared, &entry);
        }
    }

    /// The entry of the last notice, if this one tells of more.
    fn is_news(&self, shared: &Shared) -> Option<Entry> {
        let entry = shared.read(NOTICE).ok()?;
        let known = Self::decode(&entry).is_some_and(|known| known.age() >= self.age());
        (!known).then_some(entry)
    }

    fn write(&self, shared: &Shared, entry: &Entry) {
        // Another worker was faster: its own tells of as much.
        let _ = shared.write(NOTICE, &self.encode(), entry);
    }
}

/// What changes `since`: where it leads, its entity tag, and its text.
pub(super) fn changes(shared: &Shared, since: u64) -> Option<(Notice, Option<String>, Vec<u8>)> {
    let Ok(Entry::Ours { payload, .. }) = shared.read(&slot(since)) else { return None };
    let (notice, rest) = Notice::split(&payload)?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (etag, text) = rest.split_at_checked(length)?;
    let etag = std::str::from_utf8(etag).ok()?;
    let etag = Some(etag.to_owned()).filter(|etag| !etag.is_empty());
    (notice.since == since).then(|| (notice, etag, text.to_vec()))
}

fn slot(since: u64) -> String {
    format!("changes/{}", since % RING)
}
