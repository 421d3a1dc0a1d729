//! Documents of feeds: facts as lines, below a head that somebody signs.

use everycall_core::{feed_claims, feed_content, Algorithm, FeedIssue, FEED_TYPE};
use serde_json::Value;

use crate::bundle_file::signed_file;
use crate::mint::{MintError, TestKey};

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
        signed_file(FEED_TYPE, &claims, content, key, &sign)
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
    signed_file(FEED_TYPE, &claims, content, (key.id(), key.algorithm()), sign)
}
