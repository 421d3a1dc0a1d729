//! Documents of feeds: facts as lines, below a head that somebody signs.

use everycall_core::facts::FeedKind;
use everycall_core::sync::{FeedHead, FeedPart, FileKind, MAX_FEED_LINE, MAX_FEED_PAGE};
use everycall_core::{Algorithm, UnixTime};
use serde_json::{json, Map, Value};

use crate::bundle_file::{claims, signed_file};
use crate::mint::{MintError, TestKey};

/// What a head says besides the digest.
#[derive(Debug, Clone, Copy)]
pub struct FeedIssue {
    /// Which feed it is.
    pub feed: FeedKind,
    /// The state of the list; grows with each change.
    pub sequence: u64,
    /// The state that the lines change; `None`: they are the full list, or a page of it.
    pub since: Option<u64>,
    /// When it is signed. All pages of a list at once.
    pub issued_at: UnixTime,
    /// Until when it counts.
    pub expires_at: UnixTime,
}

/// The pages that these lines make, each of at most [`MAX_FEED_PAGE`] bytes: at least one. A list of
/// changes must fit into one.
///
/// # Errors
/// A line is longer than [`MAX_FEED_LINE`].
pub fn feed_content(lines: &[Value]) -> Result<Vec<Vec<u8>>, String> {
    let mut pages = vec![Vec::new()];
    for (index, line) in lines.iter().enumerate() {
        let text = line.to_string();
        if text.len() > MAX_FEED_LINE {
            return Err(format!("[{index}]: {} bytes; a line holds at most {MAX_FEED_LINE}", text.len()));
        }
        let size = pages.last().map_or(0, Vec::len).saturating_add(text.len()).saturating_add(1);
        if size > MAX_FEED_PAGE {
            pages.push(Vec::new());
        }
        if let Some(page) = pages.last_mut() {
            page.extend_from_slice(text.as_bytes());
            page.push(b'\n');
        }
    }
    Ok(pages)
}

/// The claims of the head over page `page` (from 1) of `pages`, to be signed. Times are Unix seconds.
///
/// # Errors
/// The numbers do not fit together.
pub fn feed_claims(
    content: &[u8],
    issue: &FeedIssue,
    page: u32,
    pages: u32,
) -> Result<Map<String, Value>, String> {
    let FeedIssue { feed, sequence, since, issued_at, expires_at } = *issue;
    let own = json!({"feed": feed.as_str(), "page": page, "pages": pages});
    let mut claims = claims(own, content, sequence, (issued_at, expires_at));
    claims.extend(since.map(|since| ("since".to_owned(), json!(since))));
    FeedHead::of_claims(claims.clone()).map(|_| claims)
}

/// The documents that these facts make: the pages of a full list, or one document with the changes
/// since another state. `sign` makes the JWS signature over a message with the key of this id and
/// algorithm.
///
/// # Errors
/// A fact is too long, changes need more than one document, or there is no signature.
pub fn feed_documents(
    facts: &[Value],
    issue: &FeedIssue,
    key: (&str, Algorithm),
    sign: impl Fn(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<Vec<Vec<u8>>, String> {
    let contents = feed_content(facts)?;
    let pages = u32::try_from(contents.len()).map_err(|error| error.to_string())?;
    let document = |(content, page): (&Vec<u8>, u32)| {
        let claims = feed_claims(content, issue, page, pages)?;
        signed_file(FeedPart::TYPE, &claims, content, key, &sign)
    };
    contents.iter().zip(1..).map(document).collect()
}

/// As [`feed_documents`], signed with a test key. TEST ONLY.
///
/// # Errors
/// As [`feed_documents`].
pub fn test_feed_documents(
    facts: &[Value],
    issue: &FeedIssue,
    key: &TestKey,
) -> Result<Vec<Vec<u8>>, String> {
    let sign = |message: &[u8]| key.signature(message).map_err(|error: MintError| error.to_string());
    feed_documents(facts, issue, (key.id(), key.algorithm()), sign)
}

/// One page of a full list, with this below its head, signed with a test key. TEST ONLY.
///
/// # Errors
/// There is no such page, or no signature.
pub fn test_feed_page(
    content: &[u8],
    issue: &FeedIssue,
    (page, pages): (u32, u32),
    key: &TestKey,
) -> Result<Vec<u8>, String> {
    let claims = feed_claims(content, issue, page, pages)?;
    let sign = |message: &[u8]| key.signature(message).map_err(|error: MintError| error.to_string());
    signed_file(FeedPart::TYPE, &claims, content, (key.id(), key.algorithm()), sign)
}
