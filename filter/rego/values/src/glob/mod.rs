//! Globs as OPA has them: those of the Go package `gobwas/glob` 0.2.3. It matches by rules of its
//! own making, of which some are not what its documentation says: `ab**ba` takes `aba`, and of
//! several delimiters `?*` heeds the first one alone. Whoever wrote a policy tried it with OPA, so it is the
//! same rules here, step by step: a pattern to a tree, the tree to matchers, and matchers put together.

mod matcher;
mod syntax;
mod text;
mod tree;

use crate::budget::{Budget, Failure};

/// Whether the text matches the pattern as a whole.
pub(crate) fn is_match(
    pattern: &str,
    delimiters: &[char],
    text: &str,
    budget: &mut Budget,
) -> Result<bool, Failure> {
    budget.charge(pattern.len().saturating_mul(12).saturating_add(delimiters.len()))?;
    // Where a character that is none is found among broken ones.
    if delimiters.contains(&char::REPLACEMENT_CHARACTER) {
        return Err(Failure::Limit);
    }
    let parsed = syntax::parse(pattern)?;
    tree::compile(&parsed, &delimiters.into(), budget)?.matches(text.as_bytes(), budget)
}
