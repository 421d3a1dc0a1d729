//! Tokens whose signature was checked already. A hit spares the signature, nothing else: validity
//! is checked again by the caller on every hit.

use std::sync::Arc;

use crate::bounded::BoundedMap;
use crate::identity::Identity;
use crate::policy::PolicyValue;

/// The end of a token's text: the end of its signature, so nearly unique among verified tokens.
type Tail = [u8; 16];

/// A verified caller, with what the policy input needs of it built once.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) identity: Arc<Identity>,
    /// `input.identity` but for `expires_in`.
    pub(crate) input: PolicyValue,
    /// Length of the claims as text, for the input's size limit.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Entry {
    token: Box<[u8]>,
    generation: u64,
    verified: Arc<Verified>,
}

/// At most `capacity` verified tokens. INVARIANT: only verified tokens are inserted, so a client
/// cannot fill it with rubbish; two tokens with one tail replace each other.
#[derive(Debug)]
pub(crate) struct TokenCache {
    entries: BoundedMap<Tail, Entry>,
}

impl TokenCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: BoundedMap::new(capacity) }
    }

    /// The identity of exactly this token, if it was verified under the same issuers and keys.
    /// The whole text is compared: one signature under two payloads must not be one entry.
    pub(crate) fn get(&self, token: &str, generation: u64) -> Option<Arc<Verified>> {
        let entry = self.entries.get(&tail(token)?)?;
        (entry.generation == generation && *entry.token == *token.as_bytes())
            .then(|| Arc::clone(&entry.verified))
    }

    pub(crate) fn insert(&mut self, token: &str, generation: u64, verified: Arc<Verified>) {
        if let Some(tail) = tail(token) {
            self.entries.insert(tail, Entry { token: token.as_bytes().into(), generation, verified });
        }
    }

    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.entries.set_capacity(capacity);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn tail(token: &str) -> Option<Tail> {
    token.as_bytes().last_chunk::<16>().copied()
}
