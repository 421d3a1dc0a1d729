//! Which documents read which: none itself, and not too many in a chain.

use std::collections::BTreeSet;

use super::{Path, Problem};
use crate::plan::DocumentId;

/// Rules that call each other in a chain. Each is some frames of the module's stack of 1 MB.
const MAX_CALLS: usize = 48;

/// Rules that call themselves, or too many in a chain.
pub(super) fn circle(calls: &[BTreeSet<DocumentId>], documents: &[(Path, usize)]) -> Option<Problem> {
    let name = |id: usize| documents.get(id).map(|(path, _)| path.join(".")).unwrap_or_default();
    let mut depths: Vec<usize> = vec![0; calls.len()];
    for start in 0..calls.len() {
        // A document, and those that it reads and that are still to be looked at.
        let mut chain: Vec<(DocumentId, Vec<DocumentId>)> = Vec::new();
        let mut next = Some(start);
        loop {
            match next.take() {
                Some(id) if depths.get(id).is_some_and(|depth| *depth > 0) => {}
                Some(id) => {
                    if let Some(from) = chain.iter().position(|(open, _)| *open == id) {
                        let circle = chain.iter().skip(from).map(|(id, _)| name(*id));
                        let circle: Vec<String> = circle.chain([name(id)]).collect();
                        return Some(format!("rules that call themselves: {}", circle.join(" → ")));
                    }
                    chain.push((id, calls.get(id).into_iter().flatten().copied().collect()));
                }
                None => {}
            }
            let Some((id, open)) = chain.last_mut() else { break };
            match open.pop() {
                Some(inner) => next = Some(inner),
                None => {
                    let id = *id;
                    let deepest =
                        calls.get(id).into_iter().flatten().filter_map(|inner| depths.get(*inner)).max();
                    let depth = deepest.copied().unwrap_or(0).saturating_add(1);
                    if depth > MAX_CALLS {
                        return Some(format!(
                            "more than {MAX_CALLS} rules call each other in a chain, from `{}`",
                            name(id)
                        ));
                    }
                    if let Some(known) = depths.get_mut(id) {
                        *known = depth;
                    }
                    chain.pop();
                }
            }
        }
    }
    None
}
