//! What the first line of a feed's document says.

use serde::Deserialize;

use crate::facts::content::FeedKind;
use crate::sync::signed::{FileKind, Head};

/// The longest line: it is parsed at once.
pub const MAX_FEED_LINE: usize = 16 * 1024;
/// What a document holds below its head, at most.
pub const MAX_FEED_PAGE: usize = 1024 * 1024;
/// The most pages of a full list: 4 GiB.
const MAX_PAGES: u32 = 4_096;

/// What a document of a feed says of itself.
pub type FeedHead = Head<FeedPart>;

/// Which part of which list a document is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedPart {
    /// Which feed it is of.
    pub feed: FeedKind,
    /// The state that it changes; absent: it is a full list, or a page of one.
    #[serde(default)]
    pub since: Option<u64>,
    /// Its number, from 1.
    pub page: u32,
    /// How many pages the full list has.
    pub pages: u32,
}

impl FileKind for FeedPart {
    const TYPE: &'static str = "everycall-feed+jwt";
    const CLAIMS: &'static [&'static str] = &["feed", "since", "page", "pages"];

    fn check(Head { sequence, bytes, about, .. }: &FeedHead) -> Result<(), String> {
        let Self { since, page, pages, .. } = about;
        if !(1..=MAX_PAGES).contains(pages) || !(1..=*pages).contains(page) {
            return Err(format!("`page` is {page} of {pages}; expected 1 to {MAX_PAGES}"));
        }
        match since {
            Some(since) if since > sequence => {
                return Err(format!("`since` is {since} and `sequence` is {sequence}: it goes back"));
            }
            Some(_) if *pages != 1 => return Err("a list of changes has one page".into()),
            Some(since) if since == sequence && *bytes != 0 => {
                return Err("it changes something, and `sequence` is that of `since`".into());
            }
            _ => {}
        }
        if usize::try_from(*bytes).map_or(true, |bytes| bytes > MAX_FEED_PAGE) {
            return Err(format!("`bytes` is {bytes}; a page has at most {MAX_FEED_PAGE}"));
        }
        Ok(())
    }

    fn name(head: &FeedHead) -> String {
        format!("the list with the sequence {}", head.sequence)
    }
}

impl FeedHead {
    /// Whether it is of this feed.
    ///
    /// # Errors
    /// Of which one it is.
    pub fn is_of(&self, feed: FeedKind) -> Result<(), String> {
        let own = self.about.feed;
        (own == feed).then_some(()).ok_or_else(|| format!("`feed` is `{own}`; expected `{feed}`"))
    }

    /// Whether this is a page of the list that the other is a page of.
    pub(super) fn is_page_with(&self, other: &Self) -> bool {
        let of = |head: &Self| (head.sequence, head.about.since, head.about.pages, head.issued_at, head.key);
        of(self) == of(other)
    }
}
