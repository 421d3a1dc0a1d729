//! Proofs that were used, over all workers of a proxy, so that none is used twice (RFC 9449
//! section 11.1). Another proxy can't see them.

use crate::base::reason::{Denied, Reason};
use crate::base::time::UnixTime;
use crate::credential::token::dpop::Proof;
use crate::sync::shared::{Shared, SharedEntry};

/// Buckets, and the proofs that one holds: a million together, 25 MB. They are kept for the longest
/// `dpop.max_age_s` that there may be, so that another configuration takes none of them again: some three
/// thousand a second.
const BUCKETS: u64 = 16_384;
const BUCKET: usize = 64;
/// Bytes of a proof's id that are kept: enough that nobody finds two alike.
const ID: usize = 16;
/// Of an entry: id, and the second from which on it is forgotten.
const ENTRY: usize = ID + 8;
/// Of N workers that claim in one bucket at once, one wins each round.
const ROUNDS: usize = 64;

/// Claims the proof: creates its entry if there is none. `shared` is what all configurations have
/// in common: a proof that one of them has seen is used for the others, too.
///
/// # Errors
/// [`Reason::DpopReplayed`] if it was claimed before; [`Reason::DpopUnavailable`] if that can't be
/// told: the bucket is full, not ours, or contended.
pub(crate) fn claim(shared: &Shared, proof: &Proof, now: UnixTime) -> Result<(), Denied> {
    let unavailable = |detail: &str| Denied { reason: Reason::DpopUnavailable, detail: detail.to_owned() };
    let id = proof.id.get(..ID).unwrap_or_default();
    let name = format!("proofs/{}", bucket(proof));
    for _ in 0..ROUNDS {
        let read = shared.read(&name).map_err(|_| unavailable("shared data can't be read"))?;
        let mut live = match &read {
            SharedEntry::Absent => Vec::new(),
            SharedEntry::Ours { payload, .. } => living(payload, now),
            SharedEntry::Foreign { .. } => {
                return Err(unavailable("shared data was written by somebody else"))
            }
        };
        if live.chunks_exact(ENTRY).any(|entry| entry.starts_with(id)) {
            return Err(Denied {
                reason: Reason::DpopReplayed,
                detail: "the DPoP proof was used before".to_owned(),
            });
        }
        if live.len() >= BUCKET.saturating_mul(ENTRY) {
            return Err(unavailable("no room to remember the proof"));
        }
        live.extend_from_slice(id);
        live.extend_from_slice(&proof.until.secs().to_le_bytes());
        match shared.write(&name, &live, &read) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(_) => return Err(unavailable("shared data can't be written")),
        }
    }
    Err(unavailable("too many proofs at once"))
}

/// Chosen by another part of the id than is kept.
fn bucket(proof: &Proof) -> u64 {
    let tail = proof.id.last_chunk::<8>().copied().unwrap_or_default();
    u64::from_le_bytes(tail) % BUCKETS
}

/// The entries that are still needed: a proof that is older is refused for its age.
fn living(payload: &[u8], now: UnixTime) -> Vec<u8> {
    let lives = |entry: &&[u8]| {
        let until = entry.last_chunk::<8>().copied().map(i64::from_le_bytes);
        until.is_some_and(|until| until > now.secs())
    };
    payload.chunks_exact(ENTRY).filter(lives).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::sync::shared::LocalData;

    fn proof(seed: u64, until: i64) -> Proof {
        use sha2::Digest as _;
        Proof { id: sha2::Sha256::digest(seed.to_le_bytes()).into(), until: UnixTime::from_secs(until) }
    }

    #[test]
    fn a_proof_is_claimed_once_until_its_age_refuses_it() {
        let shared = Shared::common(Rc::<LocalData>::default());
        let at = UnixTime::from_secs;
        let reason = |result: Result<(), Denied>| result.unwrap_err().reason;
        assert!(claim(&shared, &proof(1, 160), at(100)).is_ok());
        assert_eq!(reason(claim(&shared, &proof(1, 160), at(100))), Reason::DpopReplayed);
        assert_eq!(reason(claim(&shared, &proof(1, 160), at(159))), Reason::DpopReplayed);
        assert!(claim(&shared, &proof(2, 160), at(159)).is_ok());
        assert!(claim(&shared, &proof(1, 260), at(160)).is_ok(), "forgotten");
    }

    #[test]
    fn a_full_ring_refuses_and_empties_with_time() {
        let shared = Shared::common(Rc::<LocalData>::default());
        let at = UnixTime::from_secs;
        // Proofs of one bucket.
        let mut same = (0..).filter(|seed| bucket(&proof(*seed, 0)) == bucket(&proof(0, 0)));
        let first: Vec<u64> = same.by_ref().take(64).collect();
        for seed in &first {
            assert!(claim(&shared, &proof(*seed, 160), at(100)).is_ok());
        }
        let next = same.next().unwrap();
        let refused = claim(&shared, &proof(next, 160), at(100)).unwrap_err();
        assert_eq!(refused.reason, Reason::DpopUnavailable);
        // What is known is still known.
        assert_eq!(claim(&shared, &proof(first[3], 160), at(100)).unwrap_err().reason, Reason::DpopReplayed);
        assert!(claim(&shared, &proof(next, 260), at(160)).is_ok());
    }
}
