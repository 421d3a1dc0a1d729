//! All revocations that are known, and whether a caller is one of them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::{to_u32, Handle, Resolved, Revocable, Revocation, RevocationKind, ANY};
use crate::base::time::UnixTime;
use crate::facts::content::{Content, Full};

/// What is kept of one revocation. Bytes, because padding would make it a tenth larger.
#[derive(Debug, Clone, Copy)]
struct KnownRevocation {
    expires: [u8; 4],
    before: [u8; 4],
    /// The full list that named it last.
    round: u8,
}

impl KnownRevocation {
    const fn expires(self) -> u32 {
        u32::from_le_bytes(self.expires)
    }

    const fn before(self) -> u32 {
        u32::from_le_bytes(self.before)
    }
}

/// All revocations that are known.
///
/// A full list is merged into what is there: it is in force line by line, and what it does not name
/// any more goes when it is complete. Entries are dropped by the time that their list was signed at,
/// never by this machine's clock, which may be wrong.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    /// By kind, in the order of [`RevocationKind::ALL`].
    sets: [BTreeMap<Handle, KnownRevocation>; 6],
    len: usize,
    round: u8,
    /// Grows whenever more is revoked.
    version: u64,
    /// Where the next [`Content::tidy`] goes on.
    cursor: (usize, Option<Handle>),
    /// Read, and not in force yet.
    staged: Vec<Resolved>,
    /// What was revoked since somebody asked for it.
    newly: Vec<Handle>,
}

impl Revocations {
    /// Whether this caller is revoked now, and by what.
    pub(crate) fn check(&self, caller: &Revocable, now: UnixTime) -> Option<RevocationKind> {
        // Most requests come while nothing new was revoked.
        if self.len == 0 || caller.clear_at.load(Ordering::Relaxed) == self.version {
            return None;
        }
        let now = to_u32(now.secs());
        let mut is_clear = true;
        for (kind, handle) in &caller.handles {
            let Some(entry) = self.set(*kind).and_then(|set| set.get(handle)) else { continue };
            let is_before = entry.before() == ANY || caller.issued_at.is_none_or(|at| at < entry.before());
            if is_before && now < entry.expires() {
                return Some(*kind);
            }
            // That is so at this time.
            is_clear = false;
        }
        if is_clear {
            caller.clear_at.store(self.version, Ordering::Relaxed);
        }
        None
    }

    /// Takes one from a list that was signed at `signed_at`. Answers the handle of what is revoked by
    /// it and was not before.
    ///
    /// # Errors
    /// It is one more than `max`.
    pub(super) fn insert(
        &mut self,
        one: &Resolved,
        signed_at: UnixTime,
        max: usize,
    ) -> Result<Option<Handle>, Full> {
        let Resolved { kind, handle, expires, before } = *one;
        let (len, round) = (self.len, self.round);
        let Some(set) = self.sets.get_mut(index(kind)) else { return Ok(None) };
        if expires <= to_u32(signed_at.secs()) {
            if set.remove(&handle).is_some() {
                self.len = len.saturating_sub(1);
            }
            return Ok(None);
        }
        let known = set.get(&handle).copied();
        if known.is_none() && len >= max {
            return Err(Full::ENTRIES);
        }
        let entry = KnownRevocation { expires: expires.to_le_bytes(), before: before.to_le_bytes(), round };
        set.insert(handle, entry);
        if known.is_none() {
            self.len = len.saturating_add(1);
        }
        let is_new = known.is_none_or(|known| before > known.before() || expires > known.expires());
        if is_new {
            self.version = self.version.wrapping_add(1);
        }
        Ok(is_new.then_some(handle))
    }

    /// The handles of what was revoked since the last time.
    pub(crate) fn take_newly(&mut self) -> Vec<Handle> {
        std::mem::take(&mut self.newly)
    }

    fn set(&self, kind: RevocationKind) -> Option<&BTreeMap<Handle, KnownRevocation>> {
        self.sets.get(index(kind))
    }
}

impl Content for Revocations {
    fn stage(&mut self, fact: Value) -> Result<(), String> {
        self.staged.push(Revocation::read(fact)?.resolve()?);
        Ok(())
    }

    fn abandon(&mut self) {
        self.staged.clear();
    }

    fn commit(&mut self, many: usize, signed_at: UnixTime, max: usize) -> Result<bool, Full> {
        // In the order of the lines: a later one on the same thing counts.
        let mut staged = std::mem::take(&mut self.staged);
        let later = staged.split_off(many.min(staged.len()));
        self.staged = later;
        for one in staged {
            if let Some(handle) = self.insert(&one, signed_at, max)? {
                self.newly.push(handle);
            }
        }
        Ok(!self.staged.is_empty())
    }

    fn begin_full(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    fn begin_tidy(&mut self) {
        self.cursor = (0, None);
    }

    fn tidy(&mut self, many: usize, signed_at: UnixTime, named_only: bool) -> bool {
        let now = to_u32(signed_at.secs());
        let round = self.round;
        let (at, from) = self.cursor;
        let Some(set) = self.sets.get_mut(at) else {
            self.cursor = (0, None);
            return false;
        };
        let start = from.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let mut last = None;
        let mut seen: usize = 0;
        let mut gone = Vec::new();
        for (handle, entry) in set.range((start, std::ops::Bound::Unbounded)).take(many) {
            seen = seen.saturating_add(1);
            last = Some(*handle);
            if entry.expires() <= now || (named_only && entry.round != round) {
                gone.push(*handle);
            }
        }
        for handle in &gone {
            set.remove(handle);
        }
        self.len = self.len.saturating_sub(gone.len());
        self.cursor = if seen < many { (at.saturating_add(1), None) } else { (at, last) };
        true
    }

    fn len(&self) -> usize {
        self.len
    }
}

const fn index(kind: RevocationKind) -> usize {
    kind as usize
}
