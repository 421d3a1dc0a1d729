//! The newest bundle that was in force here: what is older is not taken again.

use super::super::{BundleError, BundleFault, BundleHead};
use crate::shared::{Entry, Shared};

const ENTRY: &str = "floor";

/// What this worker knows of it itself. The others' is in shared data, which may be lost or forged:
/// a forged one is not believed, and this one stays.
#[derive(Debug, Default)]
pub(super) struct Floor(Option<(u64, [u8; 32])>);

impl Floor {
    /// Whether this may be in force after all that were. `current` may come from the configuration.
    pub(super) fn admit(
        &self,
        head: &BundleHead,
        current: Option<&BundleHead>,
        shared: &Shared,
    ) -> Result<(), BundleError> {
        let current = current.map(|head| (head.sequence, head.digest));
        not_older(head, [self.0, read(shared), current].into_iter().flatten())
    }

    /// Remembers it.
    pub(super) fn raise(&mut self, head: &BundleHead, shared: &Shared) {
        self.0 = Some((head.sequence, head.digest));
        self.publish(shared);
    }

    /// Tells the other workers.
    pub(super) fn publish(&self, shared: &Shared) {
        let Some(floor) = self.0 else { return };
        // Another worker may raise it at the same time; both have to be seen.
        for _ in 0..8 {
            let Ok(entry) = shared.read(ENTRY) else { return };
            if decode(&entry).is_some_and(|known| known.0 >= floor.0) {
                return;
            }
            let payload = [&floor.0.to_le_bytes()[..], &floor.1].concat();
            if shared.write(ENTRY, &payload, &entry) != Ok(false) {
                return;
            }
        }
    }
}

/// Whether this may be in force after those of these sequences and digests.
pub(super) fn not_older(
    head: &BundleHead,
    known: impl IntoIterator<Item = (u64, [u8; 32])>,
) -> Result<(), BundleError> {
    let BundleHead { revision, sequence: offered, .. } = head;
    let older = |message: String| Err(BundleError::new(BundleFault::Older, "", message));
    for (sequence, digest) in known {
        if *offered < sequence {
            return older(format!("`{revision}` has the sequence {offered}; {sequence} was in force"));
        }
        if *offered == sequence && head.digest != digest {
            return older(format!("`{revision}` has the sequence {offered} of another that was in force"));
        }
    }
    Ok(())
}

fn read(shared: &Shared) -> Option<(u64, [u8; 32])> {
    decode(&shared.read(ENTRY).ok()?)
}

fn decode(entry: &Entry) -> Option<(u64, [u8; 32])> {
    let Entry::Ours { payload, .. } = entry else { return None };
    let (sequence, digest) = payload.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*sequence), digest.try_into().ok()?))
}
