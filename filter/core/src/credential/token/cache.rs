//! Tokens whose signature was checked already. A hit spares the signature, nothing else: validity
//! is checked again by the caller on every hit.

use std::sync::Arc;

use everycall_rego::Value;

use super::Confirmation;
use crate::authority::exceptions::Exception;
use crate::base::bounded::BoundedMap;
use crate::base::texts::Texts;
use crate::facts::revocations::Revocable;
use crate::identity::Identity;
use crate::input::Caller;

/// The end of a token's text: the end of its signature, so nearly unique among verified tokens.
type Tail = [u8; 16];

/// A verified caller, with what the policy input needs of it built once.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) identity: Arc<Identity>,
    /// For a token: the index of its issuer.
    pub(crate) issuer: Option<usize>,
    /// For a token: the fingerprint of its key.
    pub(crate) key: [u8; 32],
    /// What each request has to prove besides.
    pub(crate) confirmation: Confirmation,
    /// For a credential that exists by exception.
    pub(crate) exception: Option<Arc<Exception>>,
    /// By what it can be revoked.
    pub(crate) revocable: Revocable,
    /// `input.identity` but for `expires_in`.
    pub(crate) input: Value,
    /// Length of the claims as text, for the input's size limit.
    pub(crate) bytes: usize,
}

impl Verified {
    /// As facts tell of it.
    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller { identity: &self.identity, exception: self.exception.as_deref(), value: &self.input }
    }
}

#[derive(Debug)]
struct CachedToken {
    /// The token: its header and the dot behind it, which many tokens have in common, and all the rest.
    header: Arc<str>,
    rest: Box<str>,
    generation: u64,
    verified: Arc<Verified>,
}

impl CachedToken {
    /// Whether it is for this token, to the last byte.
    fn is_of(&self, token: &str) -> bool {
        token.strip_prefix(&*self.header) == Some(&*self.rest)
    }
}

/// What an entry takes besides the texts of the token and its claims, in bytes; and how often the
/// claims are held: as text, and as values, which take about three times as much. What entries share is
/// counted for each of them.
const ENTRY_BYTES: usize = 1_024;
const CLAIMS_HELD: usize = 4;
/// How many texts are looked for in what comes next.
const TEXTS: usize = 1_024;

/// A bounded number of verified tokens. INVARIANT: only verified tokens are inserted, so a client
/// cannot fill it with rubbish; two tokens with one tail replace each other.
#[derive(Debug)]
pub(crate) struct TokenCache {
    entries: BoundedMap<Tail, CachedToken>,
    texts: Texts,
}

impl TokenCache {
    pub(crate) fn new(capacity: usize, max_bytes: usize) -> Self {
        Self { entries: BoundedMap::weighed(capacity, max_bytes), texts: Texts::new(TEXTS) }
    }

    /// What its entries have in common.
    pub(crate) fn texts(&mut self) -> &mut Texts {
        &mut self.texts
    }

    /// The identity of exactly this token, if it was verified under the same issuers and keys.
    /// The whole text is compared: one signature under two payloads must not be one entry.
    pub(crate) fn get(&self, token: &str, generation: u64) -> Option<Arc<Verified>> {
        let entry = self.entries.get(&tail(token)?)?;
        (entry.generation == generation && entry.is_of(token)).then(|| Arc::clone(&entry.verified))
    }

    pub(crate) fn insert(&mut self, token: &str, generation: u64, verified: Arc<Verified>) {
        let Some(tail) = tail(token) else { return };
        let claims = verified.bytes.saturating_mul(CLAIMS_HELD);
        let weight = token.len().saturating_add(claims).saturating_add(ENTRY_BYTES);
        let end = token.find('.').map_or(0, |dot| dot.saturating_add(1));
        let Some((header, rest)) = token.split_at_checked(end) else { return };
        let entry = CachedToken { header: self.texts.share(header), rest: rest.into(), generation, verified };
        self.entries.insert_weighed(tail, entry, weight);
    }

    pub(crate) fn remove(&mut self, token: &str) {
        if let Some(tail) = tail(token) {
            self.entries.remove(&tail);
        }
    }

    pub(crate) fn set_bounds(&mut self, capacity: usize, max_bytes: usize) {
        self.entries.set_bounds(capacity, max_bytes);
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
