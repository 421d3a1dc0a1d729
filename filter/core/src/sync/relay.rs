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

    /// The same, unless a newer one is known, whoever is faster.
    pub(crate) fn raise(&self, shared: &Shared) {
        let is_known = |entry: &SharedEntry| match entry {
            SharedEntry::Ours { payload, .. } => {
                Self::split(payload).is_some_and(|(known, _)| known.age() >= self.age())
            }
            SharedEntry::Absent | SharedEntry::Foreign { .. } => false,
        };
        shared.raise(NOTICE, &self.encode(), is_known);
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

/// Who sent a text, and its entity tag; another worker did after this notice.
pub(crate) enum Sender {
    Server { etag: Option<String> },
    Worker { notice: Notice, etag: Option<String> },
}

impl Sender {
    pub(crate) fn etag(&self) -> &Option<String> {
        let (Self::Server { etag } | Self::Worker { etag, .. }) = self;
        etag
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::super::shared::{LocalData, SharedData};
    use super::*;
    use crate::jose::signature::Unavailable;

    /// A map in which another worker is faster: it writes before the first write of ours.
    struct Race {
        data: Rc<LocalData>,
        other: RefCell<Option<Notice>>,
    }

    impl SharedData for Race {
        fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, Unavailable> {
            self.data.get(key)
        }

        fn put(&self, key: &str, bytes: &[u8], expect: Option<u32>) -> Result<bool, Unavailable> {
            if let Some(other) = self.other.take() {
                other.raise(&Shared::new(Rc::<LocalData>::clone(&self.data), &[1; 32]));
            }
            self.data.put(key, bytes, expect)
        }
    }

    #[test]
    fn of_two_workers_the_newer_notice_stands_whoever_is_faster() {
        let notice = |sequence| Notice { sequence, issued_at: UnixTime::default(), number: 0, etag: None };
        for (ours, theirs) in [(6, 7), (7, 6), (6, 6)] {
            let data = Rc::new(LocalData::default());
            let race = Race { data: Rc::clone(&data), other: RefCell::new(Some(notice(theirs))) };
            let shared = Shared::new(Rc::new(race), &[1; 32]);
            notice(5).publish(&Shared::new(Rc::<LocalData>::clone(&data), &[1; 32]));
            notice(ours).raise(&shared);
            let newest = Notice::newest(&shared).unwrap();
            assert_eq!(newest.sequence, ours.max(theirs), "{ours} and {theirs}");
        }
    }
}
