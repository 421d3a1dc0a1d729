//! What an engine has of its worker: shared data, signatures, and ids that no other worker gives.

use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use crate::base::hex;
use crate::jose::signature::SignatureVerifier;
use crate::settings::Settings;
use crate::sync::follower::{FetchIds, Follower, Server, Source};
use crate::sync::shared::{Shared, SharedData};

/// What decision ids are derived from. Needs no randomness, but must differ between workers and
/// restarts: SHA-256 over node id, VM start time and a worker number does.
#[derive(Debug, Clone, Copy)]
pub struct IdSeed([u8; 32]);

impl IdSeed {
    /// From parts that, taken together, no other engine has.
    pub fn derive(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // Lengths keep the borders: ("a", "bc") is not ("ab", "c").
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// The worker that an engine is in.
pub(super) struct Worker {
    seed: IdSeed,
    counter: u64,
    fetches: FetchIds,
    verifier: Box<dyn SignatureVerifier>,
    /// What the workers of this configuration share.
    shared: Shared,
    /// What all configurations of the proxy share: proofs that were used.
    pub(super) common: Shared,
}

impl Worker {
    pub(super) fn new(
        settings: &Settings,
        verifier: Box<dyn SignatureVerifier>,
        data: Rc<dyn SharedData>,
        seed: IdSeed,
    ) -> Self {
        let shared = Shared::new(Rc::clone(&data), &settings.credential_digest);
        let (counter, fetches) = (0, FetchIds::default());
        Self { seed, counter, fetches, verifier, shared, common: Shared::common(data) }
    }

    pub(super) fn verifier(&self) -> &dyn SignatureVerifier {
        &*self.verifier
    }

    pub(super) const fn seed(&self) -> &[u8] {
        &self.seed.0
    }

    /// The id of the next decision.
    pub(super) fn next_id(&mut self) -> String {
        self.counter = self.counter.wrapping_add(1);
        let hash =
            Sha256::new().chain_update(self.seed.0).chain_update(self.counter.to_le_bytes()).finalize();
        hex::encode(hash.first_chunk::<16>().map(<[u8; 16]>::as_slice).unwrap_or_default())
    }

    /// The entries of those who follow the same under a configuration whose credentials are judged alike.
    pub(super) fn shared_at(&self, settings: &Settings, what: &str, server: &Server) -> Shared {
        self.shared.of_place(&settings.credential_digest, what, server.place())
    }

    pub(super) fn follow<S: Source>(&self, source: S, server: Server, shared: Shared) -> Follower<S> {
        Follower::new(source, server, shared, &self.fetches, self.seed())
    }
}
