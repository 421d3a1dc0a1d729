//! What one worker fetched, on its way to the others: texts under names, each with a notice of what it is, and the
//! notice of the newest, which is written last. Shared data copies whole entries, so each worker looks at the notice
//! alone until there is news.

use super::shared::{read_time, Shared, SharedEntry};
use crate::base::time::UnixTime;

const NOTICE: &str = "notice";

/// Says what was shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) sequence: u64,
    /// When it was signed, or asked for.
    pub(crate) issued_at: UnixTime,
    /// What its kind has to say besides.
    pub(crate) number: u64,
    pub(crate) etag: Option<String>,
}

impl Notice {
    /// Of the newest that was shared.
    pub(crate) fn newest(shared: &Shared) -> Option<Self> {
        get(shared, NOTICE).map(|(notice, _)| notice)
    }

    /// The sequence, and when that was signed last: what is newer has more.
    pub(crate) const fn age(&self) -> (u64, UnixTime) {
        (self.sequence, self.issued_at)
    }

    /// Says that this is the newest.
    pub(crate) fn publish(&self, shared: &Shared) {
        // Another worker may be faster: its own tells of as much.
        put(shared, NOTICE, self, &[]);
    }

    fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let (sequence, rest) = payload.split_first_chunk::<8>()?;
        let (issued_at, rest) = read_time(rest)?;
        let (own, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (etag, rest) = rest.split_at_checked(usize::try_from(number(length)).ok()?)?;
        let etag = Some(std::str::from_utf8(etag).ok()?.to_owned()).filter(|etag| !etag.is_empty());
        Some((Self { sequence: number(sequence), issued_at, number: number(own), etag }, rest))
    }

    fn encode(&self) -> Vec<u8> {
        let Self { sequence, issued_at, number, etag } = self;
        let etag = etag.as_deref().unwrap_or_default();
        let length = u64::try_from(etag.len()).unwrap_or_default();
        let numbers = [sequence.to_le_bytes(), issued_at.micros().to_le_bytes(), number.to_le_bytes()];
        [&numbers.concat()[..], &length.to_le_bytes(), etag.as_bytes()].concat()
    }
}

/// Shares a text; whether it was written.
pub(crate) fn put(shared: &Shared, name: &str, notice: &Notice, text: &[u8]) -> bool {
    let payload = [&notice.encode(), text].concat();
    shared.read(name).and_then(|read| shared.write(name, &payload, &read)) == Ok(true)
}

/// What was shared under this name.
pub(crate) fn get(shared: &Shared, name: &str) -> Option<(Notice, Vec<u8>)> {
    let Ok(SharedEntry::Ours { payload, .. }) = shared.read(name) else { return None };
    let (notice, text) = Notice::split(&payload)?;
    Some((notice, text.to_vec()))
}
