//! The text of a bundle from one worker to the others, in chunks: shared data copies whole entries,
//! and none may take long.

use sha2::{Digest as _, Sha256};

use super::super::BundleHead;
use crate::base::time::UnixTime;
use crate::config::RemoteBundle;
use crate::sync::shared::{Entry, Shared};

/// Bytes of one chunk.
const CHUNK: usize = 64 * 1024;
const NOTICE: &str = "notice";

/// The shared entries of one server; `digest` is of the configuration's other parts.
pub(super) fn entries(shared: &Shared, digest: &[u8; 32], remote: &RemoteBundle) -> Shared {
    let mut hash = Sha256::new_with_prefix("everycall bundle");
    hash.update(digest);
    for part in [&remote.cluster, &remote.host, &remote.path] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    shared.of(&hash.finalize().into())
}

/// Says which text the chunks hold; written last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    sequence: u64,
    issued_at: UnixTime,
    pub(super) length: usize,
    pub(super) etag: Option<String>,
}

impl Notice {
    pub(super) fn read(shared: &Shared) -> Option<Self> {
        let Ok(Entry::Ours { payload, .. }) = shared.read(NOTICE) else { return None };
        let (sequence, rest) = payload.split_first_chunk::<8>()?;
        let (issued_at, rest) = crate::sync::shared::read_time(rest)?;
        let (length, etag) = rest.split_first_chunk::<8>()?;
        let etag = std::str::from_utf8(etag).ok()?;
        Some(Self {
            sequence: u64::from_le_bytes(*sequence),
            issued_at,
            length: usize::try_from(u64::from_le_bytes(*length)).ok()?,
            etag: Some(etag.to_owned()).filter(|etag| !etag.is_empty()),
        })
    }

    fn write(&self, shared: &Shared) {
        let mut payload = self.sequence.to_le_bytes().to_vec();
        payload.extend(self.issued_at.micros().to_le_bytes());
        payload.extend(u64::try_from(self.length).unwrap_or(u64::MAX).to_le_bytes());
        payload.extend(self.etag.as_deref().unwrap_or_default().as_bytes());
        put(shared, NOTICE, &payload);
    }

    /// Whether it is of a later bundle, or of the same one signed later.
    pub(super) fn is_newer(&self, head: &BundleHead) -> bool {
        (self.sequence, self.issued_at) > (head.sequence, head.issued_at)
    }

    pub(super) fn is_of(&self, head: &BundleHead) -> bool {
        (self.sequence, self.issued_at) == (head.sequence, head.issued_at)
    }
}

/// A text on its way into shared data.
pub(super) struct Sharing {
    notice: Notice,
    text: Vec<u8>,
    next: usize,
}

impl Sharing {
    pub(super) fn of(head: &BundleHead, etag: Option<&str>, text: Vec<u8>) -> Self {
        let notice = Notice {
            sequence: head.sequence,
            issued_at: head.issued_at,
            length: text.len(),
            etag: etag.map(str::to_owned),
        };
        Self { notice, text, next: 0 }
    }

    /// Writes one chunk; whether there is more.
    pub(super) fn step(&mut self, shared: &Shared) -> bool {
        let Some(chunk) = self.text.chunks(CHUNK).nth(self.next) else {
            self.notice.write(shared);
            return false;
        };
        // Where it can't be shared, the others fetch for themselves.
        let written = put(shared, &name(self.next), chunk);
        self.next = self.next.saturating_add(1);
        written
    }
}

/// A text on its way out of shared data.
pub(super) struct Gathering {
    pub(super) notice: Notice,
    pub(super) text: Vec<u8>,
    next: usize,
}

impl Gathering {
    pub(super) fn of(notice: Notice) -> Self {
        Self { notice, text: Vec::new(), next: 0 }
    }

    /// Reads one chunk; whether that is all, or `None` if they don't make a text.
    pub(super) fn step(&mut self, shared: &Shared) -> Option<bool> {
        let Ok(Entry::Ours { payload, .. }) = shared.read(&name(self.next)) else { return None };
        let rest = self.notice.length.saturating_sub(self.text.len());
        if payload.len() != rest.min(CHUNK) || payload.is_empty() {
            return None;
        }
        self.text.extend(payload);
        self.next = self.next.saturating_add(1);
        Some(self.text.len() == self.notice.length)
    }
}

fn name(chunk: usize) -> String {
    format!("chunk/{chunk}")
}

fn put(shared: &Shared, name: &str, payload: &[u8]) -> bool {
    shared.read(name).and_then(|read| shared.write(name, payload, &read)) == Ok(true)
}
