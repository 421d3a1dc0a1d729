//! What feeds tell of, and how a list of facts is taken in.

use serde_json::Value;

use crate::base::time::UnixTime;
use crate::base::words::words;
use crate::facts::revocations::Revocation;
use crate::facts::signals::Signal;

words! {
    /// What a feed tells of.
    pub enum FeedKind {
        /// What was revoked.
        Revocations = "revocations",
        /// What is known of callers and tasks.
        Signals = "signals",
    }
}

impl FeedKind {
    /// Whether this is a fact of such a feed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(self, fact: Value) -> Result<(), String> {
        match self {
            Self::Revocations => Revocation::read(fact)?.check(),
            Self::Signals => Signal::read(fact)?.check(),
        }
    }
}

/// The facts of one feed. A document's are staged first, and count when all of them were understood.
pub(crate) trait Content {
    /// Understands one fact.
    ///
    /// # Errors
    /// What is wrong with it.
    fn stage(&mut self, fact: Value) -> Result<(), String>;

    /// Nothing that is staged counts.
    fn abandon(&mut self);

    /// Lets up to `many` of what is staged count; whether there is more. The document was signed at
    /// `signed_at`.
    ///
    /// # Errors
    /// There are more than `max` facts, or too many of one kind.
    fn commit(&mut self, many: usize, signed_at: UnixTime, max: usize) -> Result<bool, Full>;

    /// A full list begins: what counts from now on is named by it. What counted before goes on to.
    fn begin_full(&mut self);

    /// Looks at up to `many` facts and drops those that were over at `signed_at`; with `named_only`
    /// those that the last full list did not name, too. Whether it has not been round yet.
    fn tidy(&mut self, many: usize, signed_at: UnixTime, named_only: bool) -> bool;

    /// The next [`Self::tidy`] begins from the start.
    fn begin_tidy(&mut self);

    /// How many facts there are.
    fn len(&self) -> usize;
}

/// There are more facts than may be: which.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) &'static str);

impl Full {
    /// More than the configuration says.
    pub(crate) const ENTRIES: Self = Self("there are more facts than `max_entries`");
}
