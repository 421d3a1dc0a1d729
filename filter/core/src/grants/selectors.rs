//! Whom grants are for: callers named exactly, below a SPIFFE ID, or by what their token claims.
//!
//! Each selector is a number, found by look-ups alone: their cost does not grow with the number of
//! grants, only with the segments of the caller's id and the sets of claims that grants ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::Identity;
use crate::spiffe::SpiffeId;
use crate::token::lookup;

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

/// A selector's number.
pub(super) type SelectorId = u32;

/// All selectors.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    subjects: BTreeMap<Arc<str>, SelectorId>,
    prefixes: BTreeMap<Arc<str>, SelectorId>,
    /// By issuer: each set of claims that some grant asks for.
    claims: BTreeMap<Arc<str>, Vec<ClaimSet>>,
    count: SelectorId,
}

/// Selectors that ask for the same claims.
#[derive(Debug)]
struct ClaimSet {
    names: Box<[String]>,
    /// By the claims' texts, in the order of the names.
    selectors: BTreeMap<Vec<String>, SelectorId>,
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
        (0..many).all(|_| {
            self.subjects.pop_first().is_some() || self.prefixes.pop_first().is_some() || self.pop_claims()
        })
    }

    fn pop_claims(&mut self) -> bool {
        let Some(mut issuer) = self.claims.last_entry() else { return false };
        let sets = issuer.get_mut();
        let popped = sets.last_mut().is_some_and(|set| set.selectors.pop_first().is_some());
        if !popped && sets.pop().is_none() {
            issuer.remove();
        }
        true
    }

    /// The selector's number; a new one if it is new.
    pub(super) fn insert(&mut self, selector: Selector) -> SelectorId {
        let new = self.count;
        let found = match selector {
            Selector::Subject(subject) => entry(&mut self.subjects, subject, new),
            Selector::Prefix(prefix) => entry(&mut self.prefixes, prefix, new),
            Selector::Claims { issuer, claims } => {
                let (names, texts): (Vec<String>, Vec<String>) = claims.into_iter().unzip();
                let sets = self.claims.entry(issuer.into()).or_default();
                let at = sets.iter().position(|set| *set.names == *names).unwrap_or_else(|| {
                    sets.push(ClaimSet { names: names.into(), selectors: BTreeMap::new() });
                    sets.len().saturating_sub(1)
                });
                match sets.get_mut(at) {
                    Some(set) => *set.selectors.entry(texts).or_insert(new),
                    None => new,
                }
            }
        };
        if found == new {
            self.count = new.saturating_add(1);
        }
        found
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
        if caller.principal.is_some() {
            return;
        }
        for set in self.claims.get(caller.issuer.as_str()).into_iter().flatten() {
            let texts =
                set.names.iter().map(|name| lookup(&caller.claims, name)?.as_str().map(str::to_owned));
            let Some(texts) = texts.collect::<Option<Vec<String>>>() else { continue };
            let Some(selector) = set.selectors.get(&texts) else { continue };
            let count = u32::try_from(set.names.len()).unwrap_or(u32::MAX);
            fits.push(Fit {
                rank: CLAIMS.saturating_add(0xffff_u32.saturating_sub(count)),
                selector: *selector,
            });
        }
    }
}

fn entry(map: &mut BTreeMap<Arc<str>, SelectorId>, text: String, new: SelectorId) -> SelectorId {
    match map.get(text.as_str()) {
        Some(known) => *known,
        None => *map.entry(text.into()).or_insert(new),
    }
}
