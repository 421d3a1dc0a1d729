//! Feeds: lists of facts that a server signs and numbers, and that every worker follows within a
//! second. What the facts are is their [`Content`]'s matter.
//!
//! A document of a feed is a signed file: its first line is in `head`, the facts are below, a line
//! each. `document` reads one in slices, `pull` fetches what is new and passes it on to the other
//! workers.

mod document;
pub(crate) mod fact;
mod head;
mod pull;
mod relay;

use std::fmt;

use serde_json::Value;

use crate::revocations::Revocation;
use crate::signals::Signal;
use crate::time::UnixTime;

pub use document::read_feed;
pub use head::{feed_claims, feed_content, FeedHead, FeedIssue, FEED_TYPE, MAX_FEED_LINE, MAX_FEED_PAGE};
pub(crate) use pull::{Feed, FeedSource, World};
pub use pull::{FeedState, FeedStats};

/// What a feed tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeedKind {
    /// What was revoked.
    Revocations,
    /// What is known of callers and tasks.
    Signals,
}

impl FeedKind {
    /// All feeds.
    pub const ALL: [Self; 2] = [Self::Revocations, Self::Signals];

    /// The word in heads, metrics and configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revocations => "revocations",
            Self::Signals => "signals",
        }
    }

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

impl fmt::Display for FeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
