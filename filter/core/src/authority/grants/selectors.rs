//! Whom grants are for: callers named exactly, below a SPIFFE ID, or by what their token claims.
//!
//! Each selector is a number, found by look-ups alone: their cost does not grow with the number of
//! grants, only with the segments of the caller's id and the sets of claims that grants ask for.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use super::sharded::ShardedMap;
use crate::base::spiffe::SpiffeId;
use crate::identity::Identity;

/// The subject of grants that need no credential.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// Whom a grant is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    /// The caller with this id, or [`ANONYMOUS`].
    Subject(String),
    /// Callers whose SPIFFE ID continues this text, which ends with `/`.
    Prefix(String),
    /// Callers whose token of this issuer claims all of this.
    Claims {
        /// The issuer.
        issuer: String,
        /// Claim, by name or JSON Pointer, to its text.
        claims: BTreeMap<String, String>,
    },
}

/// Sets of claims that may be asked for of one issuer: a call looks at each.
pub(crate) const MAX_CLAIM_SETS: usize = 64;

/// A selector's number.
pub(super) type SelectorId = u32;

/// All selectors.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    subjects: ShardedMap<Arc<str>, SelectorId>,
    prefixes: ShardedMap<Arc<str>, SelectorId>,
    /// By issuer: each set of claims that some grant asks for.
    claim_sets: BTreeMap<Arc<str>, Vec<ClaimSet>>,
    /// By the number of a set: the claims' texts, in the order of the set's names.
    claims: ShardedMap<(u32, Vec<String>), SelectorId>,
    /// How many sets of claims there are.
    sets: u32,
    count: SelectorId,
}

/// Names of claims, and their number.
#[derive(Debug)]
struct ClaimSet {
    names: Box<[String]>,
    number: u32,
}

/// A selector that the caller fits, and how precisely: smaller ranks come first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    pub(super) rank: u32,
    pub(super) selector: SelectorId,
}

/// Ranks: exact first, then prefixes, the longest first, then claims, the most first.
const EXACT: u32 = 0;
const PREFIX: u32 = 1 << 16;
const CLAIMS: u32 = 2 << 16;

impl Selectors {
    /// Drops some of them; whether there are more.
    pub(super) fn take_apart(&mut self, many: usize) -> bool {
        self.subjects.take_apart(many)
            || self.prefixes.take_apart(many)
            || self.claims.take_apart(many)
            || (0..many).all(|_| self.claim_sets.pop_first().is_some())
    }

    /// The selector's number; a new one if it is new.
    pub(super) fn insert(&mut self, selector: Selector) -> SelectorId {
        let new = self.count;
        let found = match selector {
            Selector::Subject(subject) => known_or(&mut self.subjects, subject.into(), new),
            Selector::Prefix(prefix) => known_or(&mut self.prefixes, prefix.into(), new),
            Selector::Claims { issuer, claims } => {
                let (names, texts): (Vec<String>, Vec<String>) = claims.into_iter().unzip();
                let set = self.claim_set(issuer, names);
                known_or(&mut self.claims, (set, texts), new)
            }
        };
        if found == new {
            self.count = new.saturating_add(1);
        }
        found
    }

    /// Whether the selector may be inserted: not if it asks for one set of claims too many.
    pub(super) fn has_room_for(&self, selector: &Selector) -> bool {
        let Selector::Claims { issuer, claims } = selector else { return true };
        let Some(sets) = self.claim_sets.get(issuer.as_str()) else { return true };
        sets.len() < MAX_CLAIM_SETS || sets.iter().any(|set| set.names.iter().eq(claims.keys()))
    }

    fn claim_set(&mut self, issuer: String, names: Vec<String>) -> u32 {
        let sets = self.claim_sets.entry(issuer.into()).or_default();
        if let Some(known) = sets.iter().find(|set| *set.names == *names) {
            return known.number;
        }
        let number = self.sets;
        self.sets = number.saturating_add(1);
        sets.push(ClaimSet { names: names.into(), number });
        number
    }

    /// The selectors that this caller fits, the most precise first; `None`: one without a credential.
    pub(super) fn of(&self, caller: Option<&Identity>) -> Vec<Fit> {
        let mut fits = Vec::new();
        let Some(caller) = caller else {
            fits.extend(
                self.subjects.get(ANONYMOUS).map(|selector| Fit { rank: EXACT, selector: *selector }),
            );
            return fits;
        };
        // A caller whose id reads `anonymous` must not match the grants for callers without one.
        if caller.id != ANONYMOUS {
            let exact = self.subjects.get(caller.id.as_str());
            fits.extend(exact.map(|selector| Fit { rank: EXACT, selector: *selector }));
        }
        self.below(&caller.id, &mut fits);
        self.claiming(caller, &mut fits);
        fits
    }

    /// Each prefix of the id that ends at the end of a segment, the longest first.
    fn below(&self, id: &str, fits: &mut Vec<Fit>) {
        if self.prefixes.is_empty() || SpiffeId::parse(id).is_err() {
            return;
        }
        // A SPIFFE ID has no trailing slash, so something follows each of these.
        for (slash, _) in id.rmatch_indices('/') {
            let Some((selector, length)) =
                id.get(..=slash).and_then(|prefix| Some((self.prefixes.get(prefix)?, prefix.len())))
            else {
                continue;
            };
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            fits.push(Fit {
                rank: PREFIX.saturating_add(0xffff_u32.saturating_sub(length)),
                selector: *selector,
            });
        }
    }

    /// Claims tell of the token's subject: never of an actor who calls on its behalf.
    fn claiming(&self, caller: &Identity, fits: &mut Vec<Fit>) {
        if caller.on_behalf_of.is_some() {
            return;
        }
        for set in self.claim_sets.get(&caller.issuer).into_iter().flatten() {
            let texts = set.names.iter().map(|name| caller.claims.find_text(name).map(str::to_owned));
            let Some(texts) = texts.collect::<Option<Vec<String>>>() else { continue };
            let Some(selector) = self.claims.get(&(set.number, texts)) else { continue };
            let count = u32::try_from(set.names.len()).unwrap_or(u32::MAX);
            fits.push(Fit {
                rank: CLAIMS.saturating_add(0xffff_u32.saturating_sub(count)),
                selector: *selector,
            });
        }
    }
}

fn known_or<K: Hash + Eq>(map: &mut ShardedMap<K, SelectorId>, key: K, new: SelectorId) -> SelectorId {
    if let Some(known) = map.get(&key) {
        return *known;
    }
    map.add(key, new);
    new
}
