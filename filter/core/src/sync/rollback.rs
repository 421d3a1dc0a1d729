//! Rollback protection: the newest file of a server that was in force here is remembered, and what is older is not taken
//! again.

use crate::sync::shared::{Shared, SharedEntry};
use crate::sync::signed::{FileError, FileFault};

const ENTRY: &str = "rollback";
/// SHA-256 of what the file said.
type Digest = [u8; 32];

/// The newest sequence, and what that said, as far as this worker knows it itself. The others' is in shared data, which
/// may be lost or forged: a forged one is not believed, and this one stays.
#[derive(Debug, Default)]
pub(crate) struct RollbackProtection(Option<(u64, Option<Digest>)>);

/// A file that may come into force.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<'o> {
    /// What it is called in errors.
    pub(crate) name: &'o str,
    pub(crate) sequence: u64,
    /// `None`: what it says can't be compared with what was in force.
    pub(crate) digest: Option<Digest>,
}

impl Offer<'_> {
    /// Whether this may be in force after those of these sequences and digests.
    pub(crate) fn not_older(
        self,
        known: impl IntoIterator<Item = (u64, Option<Digest>)>,
    ) -> Result<(), FileError> {
        let older = |message: String| Err(FileError::new(FileFault::Older, "", message));
        let Self { name, sequence: offered, digest } = self;
        for (sequence, known) in known {
            if offered < sequence {
                return older(format!("`{name}` has the sequence {offered}; {sequence} was in force"));
            }
            let differs = digest.zip(known).is_some_and(|(digest, known)| digest != known);
            if offered == sequence && differs {
                return older(format!("`{name}` has the sequence {offered} of another that was in force"));
            }
        }
        Ok(())
    }
}

impl RollbackProtection {
    /// Whether this may be in force after all that were. `current` may come from the configuration.
    pub(crate) fn admit(
        &self,
        offer: Offer<'_>,
        current: Option<(u64, Option<Digest>)>,
        shared: &Shared,
    ) -> Result<(), FileError> {
        offer.not_older([self.0, read(shared), current].into_iter().flatten())
    }

    /// Remembers it.
    pub(crate) fn raise(&mut self, sequence: u64, digest: Option<Digest>, shared: &Shared) {
        self.0 = Some((sequence, digest));
        self.publish(shared);
    }

    /// Tells the other workers.
    pub(crate) fn publish(&self, shared: &Shared) {
        let Some((sequence, digest)) = self.0 else { return };
        let payload = [&sequence.to_le_bytes()[..], digest.as_ref().map_or(&[], |all| all)].concat();
        shared.raise(ENTRY, &payload, |entry| decode(entry).is_some_and(|(known, _)| known >= sequence));
    }
}

fn read(shared: &Shared) -> Option<(u64, Option<Digest>)> {
    decode(&shared.read(ENTRY).ok()?)
}

fn decode(entry: &SharedEntry) -> Option<(u64, Option<Digest>)> {
    let SharedEntry::Ours { payload, .. } = entry else { return None };
    let (sequence, digest) = payload.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*sequence), digest.try_into().ok()))
}
