//! What the first line of a feed's document says, and how documents are made.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::base::time::UnixTime;
use crate::facts::content::FeedKind;
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::signed::{self, FileError, FileFault};

/// The `typ` of a head, so that no other token of the same key is one.
pub const FEED_TYPE: &str = "everycall-feed+jwt";
/// The longest line: it is parsed at once.
pub const MAX_FEED_LINE: usize = 16 * 1024;
/// What a document holds below its head, at most.
pub const MAX_FEED_PAGE: usize = 1024 * 1024;
/// The one version of the format.
const VERSION: u32 = 1;
/// The most pages of a full list: 4 GiB.
const MAX_PAGES: u32 = 4_096;

/// What is signed, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    v: u32,
    feed: String,
    sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    page: u32,
    pages: u32,
    digest: String,
    bytes: u64,
    iat: i64,
    exp: i64,
}

/// What a document of a feed says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHead {
    /// The state that the list is in after this document; grows with each change.
    pub sequence: u64,
    /// The state that it changes; absent: it is a full list, or a page of one.
    pub since: Option<u64>,
    /// Its number, from 1.
    pub page: u32,
    /// How many pages the full list has.
    pub pages: u32,
    /// When it was signed: freshness counts from then.
    pub issued_at: UnixTime,
    /// It counts until then.
    pub expires_at: UnixTime,
    /// SHA-256 of what is below.
    pub digest: [u8; 32],
    /// The length of what is below.
    pub bytes: u64,
    /// The fingerprint of the key that signed it.
    pub(crate) key: [u8; 32],
}

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

/// The claims of the head over page `page` (from 1) of `pages`, to be signed with the header
/// `{"alg", "kid", "typ": FEED_TYPE}`. Times are Unix seconds.
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
    let claims = Claims {
        v: VERSION,
        feed: feed.as_str().to_owned(),
        sequence,
        since,
        page,
        pages,
        digest: URL_SAFE_NO_PAD.encode(Sha256::digest(content)),
        bytes: u64::try_from(content.len()).map_err(|error| error.to_string())?,
        iat: issued_at.secs(),
        exp: expires_at.secs(),
    };
    FeedHead::of(feed, &claims, [0; 32])?;
    match serde_json::to_value(claims) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err("the head is not JSON".to_owned()),
    }
}

impl FeedHead {
    /// Whether it counts now; `max_age_s` is a bound on its age.
    ///
    /// # Errors
    /// [`FileFault::Expired`] or [`FileFault::NotYetValid`].
    pub fn judge_times(&self, max_age_s: Option<i64>, now: UnixTime) -> Result<(), FileError> {
        let name = format_args!("the list with the sequence {}", self.sequence);
        signed::judge_times(&name, self.issued_at, self.expires_at, max_age_s, now)
    }

    /// The header and the claims of a document's first line, whoever signed them: to look at, not to
    /// decide by.
    ///
    /// # Errors
    /// It is not a head of this feed.
    pub fn unverified(feed: FeedKind, document: &[u8]) -> Result<(Map<String, Value>, Self), String> {
        let (header, claims) = signed::unverified_head(document)?;
        Ok((header, Self::of(feed, &claims, [0; 32])?))
    }

    /// Reads and verifies the first line. Of times it says nothing.
    pub(super) fn read(
        feed: FeedKind,
        line: &[u8],
        keys: &KeySet,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Self, FileError> {
        let (claims, key) = signed::read_head(line, FEED_TYPE, feed.as_str(), keys, verifier)?;
        Self::of(feed, &claims, key)
            .map_err(|message| FileError::new(FileFault::Malformed, "line 1", message))
    }

    /// Whether this is a page of the list that the other is a page of.
    pub(super) fn is_page_with(&self, other: &Self) -> bool {
        let of = |head: &Self| (head.sequence, head.since, head.pages, head.issued_at, head.key);
        of(self) == of(other)
    }

    fn of(kind: FeedKind, claims: &Claims, key: [u8; 32]) -> Result<Self, String> {
        let Claims { v, feed, sequence, since, page, pages, digest, bytes, iat, exp } = claims;
        if *v != VERSION {
            return Err(format!("`v` is {v}; expected {VERSION}"));
        }
        if feed != kind.as_str() {
            return Err(format!("`feed` is `{feed}`; expected `{kind}`"));
        }
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
        if *iat < 0 || exp <= iat {
            return Err(format!("`exp` is {exp} and `iat` is {iat}: it ends before it begins"));
        }
        if usize::try_from(*bytes).map_or(true, |bytes| bytes > MAX_FEED_PAGE) {
            return Err(format!("`bytes` is {bytes}; a page has at most {MAX_FEED_PAGE}"));
        }
        let digest = URL_SAFE_NO_PAD.decode(digest).ok().and_then(|digest| digest.try_into().ok());
        Ok(Self {
            sequence: *sequence,
            since: *since,
            page: *page,
            pages: *pages,
            issued_at: UnixTime::from_secs(*iat),
            expires_at: UnixTime::from_secs(*exp),
            digest: digest.ok_or("`digest` is not SHA-256 in base64url")?,
            bytes: *bytes,
            key,
        })
    }
}
