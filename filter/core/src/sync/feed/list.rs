//! What is remembered of a list, and of one whose pages still come.

use super::head::FeedHead;
use crate::sync::follower::Ask;

/// What is remembered of a list.
pub(super) struct List {
    pub(super) head: FeedHead,
    /// Of the full list's first page, if it came as one.
    pub(super) digest: Option<[u8; 32]>,
}

/// A full list of several pages that are fetched one after the other.
pub(super) struct Gathering {
    /// Of the first page.
    pub(super) head: FeedHead,
    pub(super) etag: Option<String>,
    pub(super) next: u32,
    /// Facts so far.
    pub(super) facts: usize,
}

impl Gathering {
    /// For the next page.
    pub(super) fn ask(&self) -> Ask {
        // The heads tell whether it is of the same list, too.
        Ask { query: Some(format!("page={}", self.next)), part_of: self.etag.clone(), ..Ask::default() }
    }
}
